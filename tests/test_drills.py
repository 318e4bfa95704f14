"""Faults on purpose: what the mail room promises when processes die, lines break and disks are full.

CI's size; bench/drills/README.md says how to run them in full. The worker processes are the product's own.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app import create_app
from bench.sink import Sink, running_sink
from invites.accept import accept_new, look_up
from mail.links import invite_token
from mail.worker import send_due
from models import Invite, InviteState, PortalAccess, db, failpoints, unit_of_work
from tests.support.drill import (
    Workers,
    many_invites,
    own_postgres,
    restart_at_once,
    size,
    states,
    unsent,
    wait_until,
    workers,
)
from tests.support.smtp import MailServer
from tests.support.together import post, racing_world
from tests.support.world import hashed

pytestmark = [pytest.mark.drill]
QUICK = {
    "MAIL_DEADLINE_SECONDS": "2",
    "LEASE_SECONDS": "4",
    "RETRY_DELAYS_SECONDS": "1",
    "MAIL_CONNECTIONS": "2",
    "RATE_LIMITS": "false",
}


@pytest.fixture
def sink(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sink]:
    marker = request.node.get_closest_marker("sink")
    with running_sink(tmp_path / "taken", **(marker.kwargs if marker else {})) as running:
        yield running


@pytest.fixture
def crew(settings: dict[str, Any], sink: Sink, tmp_path: Path) -> Iterator[Workers]:
    with workers(settings | QUICK | sink.settings, tmp_path) as crew:
        yield crew


def assert_once_each(sink: Sink, number: int, duplicates: int = 0) -> None:
    """Everybody got their mail; what came twice is the same mail, and there are no more than so many of it."""
    taken = sink.taken()
    seen = Counter(mail.recipient for mail in taken)
    assert len(seen) == number
    assert len(taken) - number <= duplicates, f"{len(taken) - number} duplicates"
    same: dict[str, set[tuple[str, str, str]]] = {}
    for mail in taken:
        same.setdefault(mail.recipient, set()).add((mail.message_id, mail.link, mail.digest))
    assert all(len(versions) == 1 for versions in same.values())
    assert all("/portal/invite/" in mail.link for mail in taken)


@pytest.mark.sink(fail=20)
def test_kills_at_random_lose_nothing(app: Flask, crew: Workers, sink: Sink) -> None:
    number, kills = size("DRILL_MAILS", 600), size("DRILL_KILLS", 3)
    many_invites(app, number)
    chance = random.Random(4)
    for kill in range(kills):
        worker = crew.start()
        goal = number * (kill + 1) * 0.7 / kills * chance.uniform(0.6, 1)
        wait_until(lambda goal=goal: sink.count() > goal, 60, crew.log)
        crew.kill(worker)
    crew.start()
    wait_until(lambda: unsent(app) == 0, 120, lambda: (states(app), crew.log()))
    assert_once_each(sink, number, duplicates=kills)
    assert states(app) == {"sent": number}


POINTS = [
    "before_claim",
    "after_claim",
    "after_connect",
    "after_data_sent",
    "after_accept",
    "before_settle",
    "after_settle",
]


@pytest.mark.one_database
def test_a_kill_at_each_failpoint(
    app: Flask, make_app: Callable[..., Flask], crew: Workers, sink: Sink
) -> None:
    """SQLite and one connection: what counts is the order of steps, which no database changes.

    Ten mails a point, so that they are one settled group and no other mail is on the wire when the worker dies.
    """
    short = {"MAIL_CONNECTIONS": "1", "MAIL_DEADLINE_SECONDS": "2", "LEASE_SECONDS": "3"}
    heir = make_app(**sink.settings, **short)  # works on where a worker died
    for number, point in enumerate(POINTS, start=1):
        many_invites(app, 10, f"Firm {point}", f"{point.replace('_', '-')}.example")
        worker = crew.start(mail_alone=True, PORTAL_FAILPOINT=f"delivery.{point}:kill", **short)
        assert worker.wait(60) == -signal.SIGKILL, crew.log()
        crew.running.remove(worker)
        time.sleep(3.1)  # the lease of the one that died
        with heir.app_context():
            send_due(heir.config["PORTAL"])
        assert unsent(app) == 0, states(app)
        after_accept = POINTS.index(point) >= POINTS.index("after_accept")
        assert_once_each(sink, number * 10, duplicates=1 if after_accept else 0)


def fail_at(monkeypatch: pytest.MonkeyPatch, point: str | None) -> None:
    """What PORTAL_FAILPOINT=point:raise does to a process, for this one."""
    monkeypatch.setattr(failpoints, "_CHOSEN", {point: "raise"} if point else {})


def test_a_failure_while_inviting_keeps_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at(monkeypatch, "invite.after_insert")
    with pytest.raises(failpoints.FailpointReached):
        many_invites(app, 3)
    fail_at(monkeypatch, None)
    assert states(app) == {}
    with app.app_context():
        assert db.session.scalars(sa.select(Invite.id)).all() == []
    many_invites(app, 3, "Second Firm", "second.example")
    assert states(app) == {"queued": 3}


def test_a_failure_while_accepting_keeps_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    many_invites(app, 1)

    def accept() -> None:
        with app.app_context(), unit_of_work() as session:
            token = invite_token(app.config["PORTAL"], session.scalars(sa.select(Invite.id)).one(), 1)
            accept_new(look_up(token), "Ada", hashed())

    def found() -> tuple[InviteState, int]:
        with app.app_context():
            people = db.session.scalar(sa.select(sa.func.count()).select_from(PortalAccess)) or 0
            return db.session.scalars(sa.select(Invite.state)).one(), people

    fail_at(monkeypatch, "accept.after_update")
    with pytest.raises(failpoints.FailpointReached):
        accept()
    assert found() == (InviteState.PENDING, 0)
    fail_at(monkeypatch, None)
    accept()
    assert found() == (InviteState.ACCEPTED, 1)


@pytest.mark.sink(hang_up=True)
def test_a_line_closed_right_after_the_250_makes_no_duplicate(app: Flask, crew: Workers, sink: Sink) -> None:
    number = size("DRILL_HANG_UPS", 150)
    many_invites(app, number)
    crew.start()
    wait_until(lambda: unsent(app) == 0, 60, lambda: (states(app), crew.log()))
    assert_once_each(sink, number)


def test_four_workers_send_each_mail_once(app: Flask, crew: Workers, sink: Sink) -> None:
    number = size("DRILL_ROWS", 600)
    many_invites(app, number)
    for _ in range(4):
        crew.start()
    wait_until(lambda: unsent(app) == 0, 120, lambda: (states(app), crew.log()))
    assert_once_each(sink, number)


@pytest.mark.sink(delay=0.2)
def test_a_worker_that_is_told_to_stop_gives_back_what_it_has_not_begun(
    app: Flask, crew: Workers, sink: Sink
) -> None:
    number = 60
    many_invites(app, number)
    worker = crew.start()
    wait_until(lambda: sink.count() >= 4, 60, crew.log)
    begun = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    worker.wait(15)
    assert time.monotonic() - begun < 10
    crew.running.remove(worker)
    left = states(app)
    assert left.get("sending", 0) == 0
    assert left["sent"] == sink.count() < number
    crew.start(MAIL_CONNECTIONS="8")
    wait_until(lambda: unsent(app) == 0, 60, lambda: (states(app), crew.log()))
    assert_once_each(sink, number)


@pytest.mark.settings(MAIL_DEADLINE_SECONDS=2, LEASE_SECONDS=10, MAIL_CONNECTIONS=2)
def test_a_mute_server_holds_one_line_until_the_deadline_and_other_mail_goes_on(
    app: Flask, smtp: MailServer
) -> None:
    many_invites(app, 30)

    def mute(address: str) -> None:
        if address == "p0@northwind.example":
            time.sleep(5)

    smtp.at_rcpt = mute
    begun = time.monotonic()
    with app.app_context():
        assert send_due(app.config["PORTAL"]) == 29
    assert time.monotonic() - begun < 2 + 2 + 2
    assert states(app) == {"sent": 29, "queued": 1}


@pytest.mark.one_database
def test_a_full_disk_during_send_keeps_nothing_and_heals(app: Flask) -> None:
    """SQLite with no page left, which is what a full disk looks like to it."""
    _, client_id = racing_world(app)
    people = [{"email": f"p{n}@x.example"} for n in range(400)]
    full = threading.Event()

    def limit(connection: Any, *rest: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 8 if full.is_set() else 1 << 30}")

    with app.app_context():
        sa.event.listen(db.engine, "checkout", limit)
    full.set()
    answer = post(app, f"/clients/{client_id}/invites", {"recipients": people})()
    assert answer.status_code in {500, 503, 507}, answer.text
    assert answer.get_json()["detail"]
    assert states(app) == {}
    with app.app_context():
        assert db.session.scalars(sa.select(Invite.id)).all() == []
    full.clear()
    again = post(app, f"/clients/{client_id}/invites", {"recipients": people})()
    assert again.status_code == 201, again.text
    assert states(app) == {"queued": 400}


@pytest.mark.postgres
@pytest.mark.one_database
@pytest.mark.sink(delay=0.005)
def test_a_database_that_restarts_at_once_three_times(sink: Sink, tmp_path: Path) -> None:
    """A PostgreSQL of its own, since its `immediate` stop would take other tests' databases with it."""
    number = size("DRILL_MAILS", 600)
    with own_postgres() as (server, url):
        values = {
            "PORTAL_DATA_DIR": tmp_path / "data",
            "DATABASE_URL": url,
            "SECRET_KEY": "k" * 40,
            "PORTAL_TESTING": "true",
        }
        app = create_app(values)
        with app.app_context():
            app.extensions["alembic"].upgrade()
        many_invites(app, number)
        with workers(values | QUICK | sink.settings, tmp_path) as crew:
            for restart in range(3):
                crew.start()
                wait_until(lambda restart=restart: sink.count() > number * (restart + 1) // 5, 60, crew.log)
                restart_at_once(server)
            crew.start()
            wait_until(lambda: unsent(app) == 0, 120, lambda: (states(app), crew.log()))
        assert_once_each(sink, number, duplicates=3)
        with app.app_context():
            db.engine.dispose()
