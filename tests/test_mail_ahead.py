"""The batch that is taken while the lines send another one: whatever ends the sending, it is given back, and comes once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

import background
from mail import outbox
from mail.worker import send_due
from models import Invite, MailState, Outbox, db, unit_of_work, utc_now
from tests.support.post import both_kinds, invite_mail, make_invite
from tests.support.smtp import MailServer
from tests.support.world import make_world

MAILS = 350  # batches of 100, 200 and the rest, which is taken while those 200 are sent
ENDS_AFTER = 150


@pytest.fixture
def post(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    with both_kinds(backend, tmp_path, request) as app:
        invite_id = make_invite(make_world(app))
        with app.app_context(), unit_of_work():
            invite = db.session.get_one(Invite, invite_id)
            outbox.enqueue_many(
                [outbox.NewMail(**invite_mail(invite, to_email=f"{n}@x.example")) for n in range(MAILS)]
            )
        yield app


def send(app: Flask, later: timedelta = timedelta()) -> int:
    with app.app_context():
        return send_due(app.config["PORTAL"], utc_now() + later)


def rows(app: Flask) -> Counter[tuple[MailState, int, int]]:
    """How many mails are in which state, with so many attempts and crashes."""
    with app.app_context():
        found = db.session.execute(sa.select(Outbox.state, Outbox.attempts, Outbox.crashes))
        return Counter((state, attempts, crashes) for state, attempts, crashes in found)


def all_came_once(app: Flask, smtp: MailServer) -> bool:
    return rows(app) == {(MailState.SENT, 1, 0): MAILS} and set(Counter(smtp.everyone()).values()) == {1}


def test_a_relay_that_breaks_gets_nothing_more(post: Flask, smtp: MailServer) -> None:
    smtp.at_rcpt = lambda address: "530 sign in first" if len(smtp.mails) >= ENDS_AFTER else None
    sent = send(post)
    assert ENDS_AFTER <= sent == len(smtp.mails) < MAILS
    assert rows(post) == {(MailState.SENT, 1, 0): sent, (MailState.QUEUED, 0, 0): MAILS - sent}
    smtp.at_rcpt = None
    assert send(post, timedelta(minutes=2)) == MAILS - sent
    assert all_came_once(post, smtp)


def test_a_worker_that_is_to_stop_gives_it_back(post: Flask, smtp: MailServer) -> None:
    stopping = post.extensions["background"].stopping
    smtp.at_data = lambda mail: stopping.set() if len(smtp.mails) >= ENDS_AFTER else None
    sent = send(post)
    assert ENDS_AFTER <= sent == len(smtp.mails) < MAILS
    assert rows(post) == {(MailState.SENT, 1, 0): sent, (MailState.QUEUED, 0, 0): MAILS - sent}
    smtp.at_data = None
    stopping.clear()
    assert send(post) == MAILS - sent
    assert all_came_once(post, smtp)


def test_a_database_that_is_away_meanwhile_costs_the_lines_nothing(post: Flask, smtp: MailServer) -> None:
    """It is back when the outcomes are written down: no mail waits for the end of its lease, none comes twice."""

    def away(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sending = any(thread.name == "smtp" for thread in threading.enumerate())
        if sending and statement.startswith("UPDATE outbox") and "attempts=(outbox.attempts" in statement:
            raise sa.exc.OperationalError(statement, {}, Exception("the database restarts"))

    with post.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", away)
        assert not background.stopping()
    assert send(post) == MAILS
    assert all_came_once(post, smtp)
