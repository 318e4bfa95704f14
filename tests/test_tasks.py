"""The worker's tasks: woken at once, found by the sweep when a wake-up was lost, and tidying what has ended alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

import background
import hooks
import tasks
from invites import lifecycle
from mail import mailbox
from models import (
    AcceptCode,
    Event,
    IdempotentCall,
    Invite,
    Login,
    LoginSession,
    RateLimit,
    db,
    new_id,
    unit_of_work,
    utc_now,
)
from tests.portal import invite, view_of
from tests.support.smtp import MailServer
from tests.support.world import World, mails, make_client, make_world

ADA, WILL = "ada@byron.example", "will@byron.example"


SWEEP = 60  # seconds: what comes sooner was woken. How soon it comes is measured in bench/


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


@pytest.fixture
def worker(make_app: Callable[..., Flask], app: Flask) -> Iterator[Flask]:
    """A worker of its own beside `app`, as another process would be: they share the database and the queue only."""
    worker = make_app()
    yield worker
    background.stop(worker)
    mailbox.stop(worker.config["PORTAL"])


def until(there: Callable[[], Any], seconds: float = 60) -> None:
    """Wait until `there()` is true."""
    begun = time.monotonic()
    while not there():
        assert time.monotonic() - begun < seconds, "it did not happen"
        time.sleep(0.02)


# Woken and swept ----------------------------------------------------------------------------------------------------


def test_a_mail_leaves_at_once_from_another_process(
    world: World, byron: str, worker: Flask, smtp: MailServer
) -> None:
    background.start(worker)
    invite(world, byron, ADA)
    smtp.wait(1)  # the first one waits for the worker's start
    invite(world, byron, WILL)
    smtp.wait(2, seconds=SWEEP - 5)


def test_facts_are_told_at_once_too(world: World, byron: str, worker: Flask, smtp: MailServer) -> None:
    """Also where nothing is mailed: a revoke, a decline, an accept."""
    heard: list[str] = []

    def hear(sender: str, *, invite_id: str, **extra: Any) -> None:
        heard.append(invite_id)

    invite_id = invite(world, byron, ADA)
    background.start(worker)
    smtp.wait(1)
    until(lambda: undispatched(world) == 0)
    hooks.invite_revoked.connect(hear)
    try:
        with world.app.app_context(), unit_of_work() as session:
            lifecycle.revoke(session.get_one(Invite, invite_id), view_of(world).member)
        until(lambda: heard, SWEEP - 5)
        until(lambda: undispatched(world) == 0)
    finally:
        hooks.invite_revoked.disconnect(hear)
    assert heard == [invite_id]


def undispatched(world: World) -> int:
    with world.app.app_context():
        return int(db.session.scalar(sa.select(sa.func.count()).where(Event.dispatched_at.is_(None))) or 0)


def test_a_worker_that_starts_finds_what_waits(
    world: World, byron: str, worker: Flask, smtp: MailServer
) -> None:
    invite(world, byron, ADA)
    world.app.extensions["background"].huey.storage.flush_all()  # the queue lost everything
    background.start(worker)
    assert smtp.wait(1)[0].recipients == (ADA,)


def test_the_sweep_finds_rows_whose_wake_up_was_lost(
    world: World, byron: str, worker: Flask, smtp: MailServer
) -> None:
    background.start(worker)
    invite(world, byron, ADA)
    smtp.wait(1)
    until(lambda: undispatched(world) == 0)
    time.sleep(0.5)  # what the first mail woke has ended
    # A worker died between taking the wake-up and clearing it: every later one is folded into it, for ever.
    storage = world.app.extensions["background"].huey.storage
    for name in ("mail", "facts", "seals"):
        storage.put_data(f"pending:{name}", b"1")
    invite(world, byron, WILL)
    time.sleep(0.6)
    assert mails(world.app)[1:] == [(WILL, "invite", "queued")]
    worker.extensions["background"].wake(sweep=True)  # what the scheduler does each minute
    smtp.wait(2)
    until(lambda: mails(world.app)[1:] == [(WILL, "invite", "sent")])


def test_two_workers_send_each_mail_once(
    world: World, make_app: Callable[..., Flask], worker: Flask, smtp: MailServer
) -> None:
    other = make_app()
    try:
        background.start(worker)
        background.start(other)
        people = [(f"Person {number}", f"person{number}@byron.example") for number in range(40)]
        client = make_client(world, "Everybody", *people)
        for _, email in people:
            invite(world, client, email)
        smtp.wait(40, seconds=40)
        until(lambda: {state for _, _, state in mails(world.app)} == {"sent"})
        assert smtp.everyone() == sorted(email for _, email in people)
    finally:
        background.stop(other)
        mailbox.stop(other.config["PORTAL"])


# Tidying ------------------------------------------------------------------------------------------------------------


def test_tidy_deletes_only_what_ended(app: Flask, world: World, byron: str) -> None:
    now = utc_now()
    past, soon = now - timedelta(seconds=5), now + timedelta(minutes=5)
    ids = [invite(world, byron, ADA), invite(world, byron, WILL)]
    with app.app_context(), unit_of_work() as session:
        login_id = session.scalars(sa.select(Login.id).limit(1)).one()
        for name, end in (("ended", past), ("lives", soon)):
            session.add_all(
                [
                    LoginSession(
                        id_hash=name, login_id=login_id, data={}, created_at=now, seen_at=now, expires_at=end
                    ),
                    AcceptCode(invite_id=ids.pop(), name=name, password="x", expires_at=end),
                    RateLimit(key=name, hits=3, expires_at=end.timestamp()),
                ]
            )
        for name, begun in (
            ("ended", now - timedelta(hours=49)),
            ("lives", now - timedelta(hours=24, minutes=5)),  # kept for at least 24 hours
        ):
            session.add(
                IdempotentCall(
                    id=new_id(), team_member_id=world.admin_id, key=name, request_hash="x", created_at=begun
                )
            )
    before = counts(app)
    with app.app_context():
        tasks.tidy()
        assert db.session.scalars(sa.select(LoginSession.id_hash)).all() == ["lives"]
        assert db.session.scalars(sa.select(AcceptCode.name)).all() == ["lives"]
        assert db.session.scalars(sa.select(RateLimit.key)).all() == ["lives"]
        assert db.session.scalars(sa.select(IdempotentCall.key)).all() == ["lives"]
    gone = {"login_session": 1, "accept_code": 1, "rate_limit": 1, "idempotent_call": 1}
    assert {name: rows - gone.get(name, 0) for name, rows in before.items()} == counts(app)


def counts(app: Flask) -> dict[str, int]:
    """How many rows each table has."""
    with app.app_context():
        metadata = sa.MetaData()
        metadata.reflect(db.engine)
        return {
            name: int(db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0)
            for name, table in metadata.tables.items()
            if not name.startswith("huey")
        }


def test_every_task_runs_on_an_empty_installation(app: Flask) -> None:
    """The first minute of a new installation: nothing there, nothing fails, nothing is made."""
    before = counts(app)
    for function, _ in app.extensions["background"]._specs.values():
        with app.app_context():
            function()
    assert counts(app) == before
