"""Measure the product against a plain view, on this machine, and print the table of docs/performance.md.

    python -m bench [--size small|full] [--only sqlite|postgresql] [--parts PARTS] [--rows N] [--processes 1|2]

Parts: compose, worker, rate, latency (these four by default), hooks, growth (Send on top of N invites). Rate and
latency with one process for each server, or with two (bench/servers.py says which).

Everything runs in turns, ours and the plain view's, and what counts is the ratio of medians: a machine that others use
too slows both. The load is a firm's: requests go to a thousand clients in turn, for ours and the plain view alike
(bench/servers.py says more). Needs what the tests need (requirements-test.txt), nothing else.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

from bench import hooks_cost, mailroom
from bench.servers import databases, new_database, running

SIZES = {
    "small": {"turns": 3, "rounds": 10, "many": 300, "sends": 12, "mails": 1000, "trips": 150},
    "full": {"turns": 3, "rounds": 40, "many": 1000, "sends": 60, "mails": 10000, "trips": 500},
}


class Table:
    """Lines of the result, printed as they come."""

    def line(self, what: str, ours: str, plain: str, ratio: str, goal: str) -> None:
        """One line in Markdown."""
        print(f"| {what} | {ours} | {plain} | {ratio} | {goal} |", flush=True)

    def head(self, title: str) -> None:
        """A table of its own."""
        print(
            f"\n### {title}\n\n| what | ours | plain view | ratio | goal |\n| --- | --- | --- | --- | --- |",
            flush=True,
        )


def rates(table: Table, where: dict[str, str], kind: str, size: dict[str, int], processes: int) -> None:
    """Persisted and mailed end to end, processor time, memory."""
    folder = Path(where["sqlite"])
    with (
        running(
            "ours", new_database(where, kind, "ours"), folder / f"ours-{kind}", processes=processes
        ) as ours,
        running(
            "plain", new_database(where, kind, "plain"), folder / f"plain-{kind}", processes=processes
        ) as plain,
    ):
        for people, callers, rounds, goal in (
            (10, 1, size["rounds"], ""),
            (10, 4, size["rounds"], "4 x, cpu 1/4"),
            (size["many"], 1, 1, "10 x"),
        ):
            found: dict[str, list[tuple[float, float]]] = {"ours": [], "plain": []}
            for _ in range(size["turns"]):
                for server in (ours, plain):
                    found[server.kind].append(server.rate(people, callers, rounds))
            speed = {name: median(rate for rate, _ in runs) for name, runs in found.items()}
            cost = {name: median(cpu for _, cpu in runs) for name, runs in found.items()}
            table.line(
                f"{kind}: {people} a request, {callers} callers, invites/s",
                f"{speed['ours']:.0f}", f"{speed['plain']:.0f}", f"{speed['ours'] / speed['plain']:.1f} x", goal,
            )  # fmt: skip
            table.line(
                f"{kind}: the same, processor ms an invite",
                f"{cost['ours']:.2f}", f"{cost['plain']:.2f}", f"1/{cost['plain'] / cost['ours']:.1f}", "1/4",
            )  # fmt: skip
        table.line(
            f"{kind}: memory, MB", f"{ours.memory():.0f}", f"{plain.memory():.0f}",
            f"{ours.memory() / plain.memory():.2f} x", "1.5 x",
        )  # fmt: skip


def latencies(table: Table, where: dict[str, str], kind: str, size: dict[str, int], processes: int) -> None:
    """Send to 1, 10 and many people, with a relay that takes 0 and 200 ms a mail."""
    folder = Path(where["sqlite"])
    with (
        running(
            "ours", new_database(where, kind, "quick"), folder / f"quick-{kind}", processes=processes
        ) as quick,
        running(
            "ours", new_database(where, kind, "slow"), folder / f"slow-{kind}", delay=0.2, processes=processes
        ) as slow,
    ):
        p50: dict[tuple[int, str], float] = {}
        for people, sends in (
            (1, size["sends"]),
            (10, size["sends"]),
            (size["many"], max(size["sends"] // 6, 3)),
        ):
            times: dict[str, list[float]] = {"quick": [], "slow": []}
            with quick.caller() as one, slow.caller() as two:
                for _ in range(sends):
                    times["quick"].append(quick.send(people, one))
                    times["slow"].append(slow.send(people, two))
            for name, taken in times.items():
                p50[people, name] = median(taken)
            tops = {name: quantiles(taken, n=100)[98] for name, taken in times.items()}
            table.line(
                f"{kind}: Send to {people}, ms p50 / p99, relay 0 and 200 ms",
                f"{p50[people, 'quick'] * 1000:.0f} / {tops['quick'] * 1000:.0f}",
                f"{p50[people, 'slow'] * 1000:.0f} / {tops['slow'] * 1000:.0f} (ours, slow relay)",
                f"{p50[people, 'slow'] / p50[people, 'quick']:.2f} / {tops['slow'] / tops['quick']:.2f} x", "1.3 / 1.5 x",
            )  # fmt: skip
        many = size["many"]
        table.line(
            f"{kind}: Send to {many} against one", f"{p50[many, 'quick'] * 1000:.0f} ms", "-",
            f"{p50[many, 'quick'] / p50[1, 'quick']:.0f} x", "60 x for 1,000, under 150 ms",
        )  # fmt: skip


def growth(table: Table, where: dict[str, str], kind: str, size: dict[str, int], rows: int) -> None:
    """Persisted and mailed on top of so many invites, against an empty table."""
    folder = Path(where["sqlite"])
    with (
        running("ours", new_database(where, kind, "empty"), folder / f"empty-{kind}") as empty,
        running("ours", new_database(where, kind, "grown"), folder / f"grown-{kind}", invites=rows) as grown,
    ):
        found: dict[str, list[tuple[float, float]]] = {"empty": [], "grown": []}
        for turn in range(2 * size["turns"]):
            pair = [("empty", empty), ("grown", grown)]
            for name, server in pair if turn % 2 else reversed(pair):
                found[name].append(server.rate(10, 4, size["rounds"]))
    for place, what in enumerate(["invites/s", "processor ms an invite"]):
        few, many = (median(run[place] for run in found[name]) for name in ("empty", "grown"))
        table.line(
            f"{kind}: 10 a request, 4 callers, on top of {rows:,} invites, {what}",
            f"{many:.2f}", f"{few:.2f} (empty)", f"{many / few:.2f} x", "" if place else "0.8 x",
        )  # fmt: skip


def hook(table: Table, where: dict[str, str], kind: str, size: dict[str, int]) -> None:
    """What a hook costs."""
    folder = Path(where["sqlite"])
    for line in hooks_cost.dispatch(new_database(where, kind, "calls"), folder / f"calls-{kind}"):
        table.line(*line)
    for line in hooks_cost.idle(new_database(where, kind, "trips"), folder / f"trips-{kind}", size["trips"]):
        table.line(*line)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument("--parts", default="compose,worker,rate,latency")
    parser.add_argument("--rows", type=int, default=100_000, help="invites that growth begins with")
    parser.add_argument("--processes", type=int, choices=[1, 2], default=1)
    options = parser.parse_args()
    size, kinds = SIZES[options.size], [options.only] if options.only else ["sqlite", "postgresql"]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    )
    table = Table()
    parts: dict[str, Callable[[dict[str, str], str], None]] = {
        "rate": lambda where, kind: rates(table, where, kind, size, options.processes),
        "latency": lambda where, kind: latencies(table, where, kind, size, options.processes),
        "hooks": lambda where, kind: hook(table, where, kind, size),
        "growth": lambda where, kind: growth(table, where, kind, size, options.rows),
    }
    if "compose" in options.parts:
        table.head("Writing a mail")
        table.line(*mailroom.writing())
    with databases(sorted({"sqlite", *kinds})) as where:
        for kind in kinds:
            layout = "two processes each" if options.processes == 2 else "one process each"
            table.head(f"{kind}, {layout}, load {os.getloadavg()[0]:.1f}")
            if "worker" in options.parts:
                for line in mailroom.worker(
                    new_database(where, kind, "room"), Path(where["sqlite"]) / f"room-{kind}", size["mails"]
                ):
                    table.line(*line)
            for name, part in parts.items():
                if name in options.parts:
                    part(where, kind)


if __name__ == "__main__":
    main()
