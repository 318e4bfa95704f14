"""What is written beside the database: the 250s not settled yet, and what was last sent. On both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

import background
import commands
from mail import claim, outbox, restored
from mail.journal import Journal, Left
from mail.worker import send_due
from models import Event, Invite, MailState, Outbox, db, unit_of_work, utc_now
from tests.support.post import both_kinds, invite_mail, make_invite
from tests.support.smtp import MailServer
from tests.support.world import World, make_world


@pytest.fixture
def post(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    with both_kinds(backend, tmp_path, request) as app:
        yield app


@pytest.fixture
def world(post: Flask) -> World:
    return make_world(post)


def put(world: World, address: str) -> str:
    invite_id = make_invite(world, address)
    with world.app.app_context(), unit_of_work():
        return outbox.enqueue(**invite_mail(db.session.get_one(Invite, invite_id))).id


def send(app: Flask, later: timedelta = timedelta()) -> int:
    with app.app_context():
        return send_due(app.config["PORTAL"], utc_now() + later)


def test_what_a_dead_worker_had_handed_over_is_settled_and_not_sent_again(
    post: Flask, world: World, smtp: MailServer
) -> None:
    taken, begun = put(world, "ada@x.example"), put(world, "bob@x.example")
    with post.app_context():
        with unit_of_work():
            mails = {mail.id: mail for mail in claim.claim(10, utc_now(), 300)}
        dead = Journal(post.config["PORTAL"])
        dead.note(taken, mails[taken].lease)
        dead.note(begun, "a lease of long ago")
        with Left(post.config["PORTAL"]) as left:  # it lives: nobody touches its file
            assert left.accepted == set()
        dead.close()  # what a process's death does to the lock
    assert send(post) == 0
    with post.app_context():
        assert db.session.get_one(Outbox, taken).state is MailState.SENT
        assert db.session.get_one(Outbox, begun).state is MailState.SENDING
        assert db.session.scalar(sa.select(sa.func.count()).where(Event.name == "invite_mailed")) == 1
    assert send(post, timedelta(minutes=6)) == 1
    assert smtp.everyone() == ["bob@x.example"]
    assert list((post.config["PORTAL"].data_dir / "accepted").iterdir()) == []


def test_a_worker_that_starts_settles_it_whoever_takes_the_wake_up(
    post: Flask, world: World, smtp: MailServer
) -> None:
    runs = threading.Event()
    background.task(post, "look", runs.set)
    taken = put(world, "ada@x.example")
    with post.app_context():
        with unit_of_work():
            (mail,) = claim.claim(10, utc_now(), 300)
        dead = Journal(post.config["PORTAL"])
        dead.note(taken, mail.lease)
        dead.close()
    commands.start_worker(post)  # it knows no task of the mail room here: all wake-ups go to others
    with post.app_context():
        background.enqueue("look")
        assert runs.wait(60)
        assert db.session.get_one(Outbox, taken).state is MailState.SENT
    assert smtp.everyone() == []


def test_a_line_cut_off_is_not_read(post: Flask, world: World) -> None:
    journal = Journal(post.config["PORTAL"])
    journal.note("a", "b")
    journal.close()
    (path,) = (post.config["PORTAL"].data_dir / "accepted").iterdir()
    path.write_bytes(path.read_bytes() + b"c d")
    with Left(post.config["PORTAL"]) as left:
        assert left.accepted == {("a", "b")}
    assert not path.exists()


def test_a_database_older_than_the_mail_is_noticed(post: Flask, world: World, smtp: MailServer) -> None:
    put(world, "ada@x.example")
    assert send(post) == 1
    settings = post.config["PORTAL"]
    with post.app_context():
        assert restored.check(settings) is False
        with unit_of_work() as session:  # the copy of before the mail was sent comes back
            session.execute(sa.update(Outbox).values(state=MailState.QUEUED, sent_at=None))
    post.extensions.pop("mail_checked")
    assert send(post) == 0
    assert len(smtp.mails) == 1
    with post.app_context():
        assert outbox.is_held()
        assert outbox.links_rest()
        with unit_of_work():
            assert outbox.release() == 1
        assert not outbox.links_rest()
    assert send(post) == 1


def test_another_database_is_no_older_one(post: Flask, world: World, smtp: MailServer) -> None:
    settings = post.config["PORTAL"]
    (settings.data_dir / "last_sent").write_text("01AAAAAAAAAAAAAAAAAAAAAAAA 01BBBBBBBBBBBBBBBBBBBBBBBB\n")
    put(world, "ada@x.example")
    assert send(post) == 1
    with post.app_context():
        assert not outbox.is_held()
