"""Faults on purpose: what the mail room promises when processes die, lines break and disks are full.

Every run of the tests plays them small; bench/drills/README.md says how to play them in full. Deadlines count there
alone. The worker processes are the product's own in full, and the mail room's by itself when small.
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
from mail.worker import send_due
from models import Event, Invite, Outbox, PortalAccess, db, migrating
from tests.support import door
from tests.support.drill import (
    FULL,
    Workers,
    assert_each_once,
    finish,
    many_invites,
    own_postgres,
    restart_at_once,
    size,
    states,
    tell,
    unsent,
    wait_until,
    workers,
)
from tests.support.together import post, racing_world

pytestmark = [pytest.mark.drill]
# One line: then a worker that dies leaves one mail in doubt at most. In full the leases run out by themselves, as on a
# customer's machine; small, nobody waits for one, and a machine that is slow for seconds makes none run out.
ONE_LINE = {"MAIL_CONNECTIONS": "1", "RETRY_DELAYS_SECONDS": "1", "RATE_LIMITS": "false"}
LEASE = {"MAIL_DEADLINE_SECONDS": "2", "LEASE_SECONDS": "4"} if FULL else {"LEASE_SECONDS": "300"}


@pytest.fixture
def sink(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sink]:
    marker = request.node.get_closest_marker("sink")
    with running_sink(tmp_path / "taken", **(marker.kwargs if marker else {})) as running:
        yield running


@pytest.fixture
def crew(settings: dict[str, Any], sink: Sink, tmp_path: Path) -> Iterator[Workers]:
    with workers(settings | ONE_LINE | LEASE | sink.settings, tmp_path) as crew:
        yield crew


@pytest.fixture
def heir(make_app: Callable[..., Flask], sink: Sink) -> Flask:
    """An application of this process, on the same database and folder: it works on where a worker died."""
    return make_app(**ONE_LINE, **LEASE, **sink.settings)


@pytest.mark.sink(fail=20, delay=0 if FULL else 0.01)
def test_kills_at_random_lose_nothing(
    app: Flask, heir: Flask, crew: Workers, sink: Sink, backend: str
) -> None:
    number, kills = size(150, 10_000), size(2, 5)
    many_invites(app, number)
    chance, begun = random.Random(4), time.monotonic()
    for kill in range(kills):
        worker = crew.start(mail_alone=not FULL)
        goal = number * (kill + 1) * 0.7 / kills * chance.uniform(0.6, 1)
        wait_until(lambda goal=goal: sink.count() > goal, 120, crew.log)
        crew.kill(worker)
    if FULL:
        crew.start()
        wait_until(lambda: unsent(app) == 0, 300, lambda: (states(app), crew.log()))
    else:
        finish(heir)
    took = time.monotonic() - begun
    doubles = assert_each_once(sink, number, duplicates=kills)
    assert states(app) == {"sent": number}
    tell("kills at random", backend, f"{number} mails, {kills} kills: {doubles} twice, 0 lost, {took:.0f} s")
    assert not FULL or took < 60


POINTS = ["before_claim", "after_claim", "after_connect", "after_data_sent", "after_accept", "before_settle", "after_settle"]  # fmt: skip


def test_a_kill_at_each_failpoint(app: Flask, heir: Flask, crew: Workers, sink: Sink, backend: str) -> None:
    """A mail comes twice where the worker dies between the relay's 250 and its note of it, and nowhere else."""
    found: dict[str, int] = {}
    for number, point in enumerate(POINTS, start=1):
        many_invites(app, 10, f"Firm {point}", f"{point.replace('_', '-')}.example")
        worker = crew.start(mail_alone=True, PORTAL_FAILPOINT=f"delivery.{point}:kill")
        assert worker.wait(120) == -signal.SIGKILL, crew.log()
        crew.running.remove(worker)
        finish(heir)
        doubles = assert_each_once(sink, number * 10, duplicates=1)
        found[point] = doubles - sum(found.values())
    assert found == {point: int(point == "after_accept") for point in POINTS}
    tell("a kill at each failpoint", backend, ", ".join(f"{point} {twice}" for point, twice in found.items()))


@pytest.mark.parametrize("what", ["invite", "accept"])
def test_a_kill_in_the_midst_of_a_change_keeps_nothing_of_it(app: Flask, crew: Workers, what: str) -> None:
    def rows() -> Counter[str]:
        with app.app_context():
            found = Counter(f"invite {state.value}" for state in db.session.scalars(sa.select(Invite.state)))
            for table in (Outbox, Event, PortalAccess):
                found[table.__tablename__] = len(db.session.scalars(sa.select(table.id)).all())
            db.session.rollback()
        return found

    many_invites(app, 1)
    before = rows()
    point = {"invite": "invite.after_insert", "accept": "accept.after_update"}[what]
    killed = crew.run("-m", "tests.support.door", what, PORTAL_FAILPOINT=f"{point}:kill")
    assert killed.wait(120) == -signal.SIGKILL, crew.log()
    assert rows() == before
    if what == "invite":
        many_invites(app, 3, "Third Firm", "third.example")
        assert rows()["invite pending"] == rows()["outbox"] == 4
    else:
        door.accept(app)
        assert rows()["invite accepted"] == rows()["portal_access"] == 1


@pytest.mark.sink(hang_up=True)
def test_a_line_closed_right_after_the_250_makes_no_duplicate(
    app: Flask, heir: Flask, sink: Sink, backend: str
) -> None:
    number = size(60, 1000)
    many_invites(app, number)
    finish(heir)
    assert_each_once(sink, number)
    tell("250 and a closed line", backend, f"{number} times: 0 twice")


def test_four_workers_send_each_mail_once(app: Flask, crew: Workers, sink: Sink, backend: str) -> None:
    number = size(200, 5000)
    many_invites(app, number)
    begun = time.monotonic()
    for _ in range(4):
        crew.start(
            mail_alone=not FULL, LEASE_SECONDS="300", MAIL_DEADLINE_SECONDS="120", MAIL_CONNECTIONS="2"
        )
    wait_until(lambda: unsent(app) == 0, 300, lambda: (states(app), crew.log()))
    assert_each_once(sink, number)
    tell(
        "four workers", backend, f"{number} mails: 0 twice, {time.monotonic() - begun:.0f} s with their start"
    )


@pytest.mark.sink(delay=0.2)
def test_a_worker_that_is_told_to_stop_gives_back_what_it_has_not_begun(
    app: Flask, make_app: Callable[..., Flask], crew: Workers, sink: Sink, backend: str
) -> None:
    number = 60
    many_invites(app, number)
    worker = crew.start(LEASE_SECONDS="300", MAIL_DEADLINE_SECONDS="120", MAIL_CONNECTIONS="2")
    wait_until(lambda: sink.count() >= 4, 120, crew.log)
    begun = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    took = time.monotonic() - begun
    crew.running.remove(worker)
    left = states(app)
    assert left.get("sending", 0) == 0
    assert left["sent"] == sink.count() < number
    finish(make_app(**sink.settings, MAIL_CONNECTIONS="20"))
    assert_each_once(sink, number)
    tell(
        "SIGTERM in mid-send",
        backend,
        f"ended after {took:.1f} s, {number - left['sent']} given back, 0 twice",
    )
    assert not FULL or took < 10


@pytest.mark.settings(MAIL_DEADLINE_SECONDS=4, LEASE_SECONDS=300, MAIL_CONNECTIONS=3)
def test_a_mute_and_a_dripping_server_end_at_the_deadline_and_other_mail_goes_on(
    make_app: Callable[..., Flask], sink: Sink, backend: str
) -> None:
    app = make_app(**sink.settings)
    number = size(30, 300)
    many_invites(app, number, also=("mute@northwind.example", "drip@northwind.example"))
    begun = time.monotonic()
    with app.app_context():
        assert send_due(app.config["PORTAL"]) == number - 2
    took = time.monotonic() - begun
    assert states(app) == {"sent": number - 2, "queued": 2}
    tell(
        "a mute and a dripping server",
        backend,
        f"deadline 4 s, ended after {took:.1f} s, {number - 2} others sent",
    )
    assert took >= 4
    assert not FULL or took < 6


@pytest.fixture
def disk(app: Flask) -> Iterator[threading.Event]:
    """While this is set the disk is full, as the database tells it: SQLite has no page left, PostgreSQL says so."""
    full = threading.Event()

    def limit(connection: Any, *rest: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 8 if full.is_set() else 1 << 30}")

    def refuse(connection: Any, cursor: Any, statement: str, *rest: object) -> None:
        if full.is_set() and statement.startswith("INSERT INTO outbox"):
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device'"
                           " USING ERRCODE = '53100'; END $$")  # fmt: skip

    with app.app_context():
        sqlite = db.engine.dialect.name == "sqlite"
        sa.event.listen(db.engine, *(("checkout", limit) if sqlite else ("before_cursor_execute", refuse)))
    yield full
    full.clear()


def test_a_full_disk_during_send_keeps_nothing_and_heals(
    app: Flask, disk: threading.Event, backend: str
) -> None:
    _, client_id = racing_world(app)
    people = [{"email": f"p{n}@x.example"} for n in range(400)]
    disk.set()
    answer = post(app, f"/clients/{client_id}/invites", {"recipients": people})()
    assert (answer.status_code, answer.get_json()["code"]) == (507, "no_room"), answer.text
    assert "disk is full" in answer.get_json()["detail"]
    assert states(app) == {}
    with app.app_context():
        assert db.session.scalars(sa.select(Invite.id)).all() == []
    disk.clear()
    again = post(app, f"/clients/{client_id}/invites", {"recipients": people})()
    assert again.status_code == 201, again.text
    assert states(app) == {"queued": 400}
    tell("a full disk during Send", backend, f"{answer.status_code}, nothing kept, 400 sent afterwards")


@pytest.mark.postgres
@pytest.mark.one_database
@pytest.mark.sink(delay=0.005)
def test_a_database_that_restarts_at_once(sink: Sink, tmp_path: Path) -> None:
    """A PostgreSQL of its own, since its `immediate` stop would take other tests' databases with it."""
    number, restarts = size(200, 10_000), size(1, 3)
    with own_postgres() as (server, url):
        values = {
            "PORTAL_DATA_DIR": str(tmp_path / "data"),
            "DATABASE_URL": url,
            "SECRET_KEY": "the tests' own key, long enough to be one",
            "PORTAL_TESTING": "true",
        } | ONE_LINE | LEASE | sink.settings  # fmt: skip
        app = create_app(values)
        with app.app_context():
            migrating.upgrade()
        many_invites(app, number)
        begun = time.monotonic()
        with workers(values | ({"MAIL_CONNECTIONS": "4"} if FULL else {}), tmp_path) as crew:
            crew.start(mail_alone=not FULL)
            for restart in range(restarts):
                goal = number * (restart + 1) // (restarts + 2)
                wait_until(lambda goal=goal: sink.count() > goal, 120, crew.log)
                restart_at_once(server)
            wait_until(lambda: unsent(app) == 0, 300, lambda: (states(app), crew.log()))
        doubles = assert_each_once(sink, number, duplicates=restarts)
        took = time.monotonic() - begun
        tell(
            "restarts of the database",
            "postgresql",
            f"{number} mails, {restarts} restarts: {doubles} twice, {took:.0f} s",
        )
        with app.app_context():
            db.engine.dispose()
