"""Where delivery reports come from: the drop folder and the IMAP mailbox, each report handled once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import OperationalError
from ulid import ULID

import config
from config import ImapFolder, WrongSetting
from mail import bounces, outbox
from mail.imap import ImapProblem, Mailbox
from mail.report_reader import DEAD_AFTER, KEEP_DONE, read_folder, read_mailbox, read_reports
from models import Event, Invite, MailState, Outbox, db, unit_of_work, utc_now
from tests.support.bounce_samples import SAMPLES
from tests.support.imap import ImapServer, running_imap
from tests.support.post import both_kinds, invite_mail, make_invite
from tests.support.world import World, make_world

CHARLES = "charles@engine-works.example"


@pytest.fixture
def post(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    with both_kinds(backend, tmp_path / "data", request) as app:
        yield app


@pytest.fixture
def world(post: Flask) -> World:
    return make_world(post)


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


def sent(world: World, address: str = CHARLES) -> bytes:
    """A mail that was sent, and the report that it came back."""
    invite_id = make_invite(world, address)
    with world.app.app_context(), unit_of_work():
        row = outbox.enqueue(**invite_mail(db.session.get_one(Invite, invite_id)))
        row.state = MailState.SENT
        return SAMPLES["postfix"].raw(row.message_id, address)


def read(app: Flask, folder: Path) -> int:
    with app.app_context():
        return read_folder(folder)


def bounced(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).where(Outbox.state == MailState.BOUNCED))


def facts(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).where(Event.name == "invite_bounced"))


def names(folder: Path) -> list[str]:
    """The files of a folder by the names they came with."""
    return sorted(path.name.partition("-")[2] for path in folder.iterdir())


def test_files_go_to_done_or_odd(post: Flask, world: World, drop: Path) -> None:
    (drop / "a.eml").write_bytes(sent(world))
    (drop / "b.EML").write_bytes(SAMPLES["postfix"].raw("<stranger@elsewhere.example>"))
    (drop / "c.eml").write_bytes(b"a" * 2_000_000)
    (drop / "d.eml").write_bytes(SAMPLES["vacation"].raw())
    (drop / "e.eml").mkdir()
    (drop / "f.eml").symlink_to(drop / "a.eml")
    os.mkfifo(drop / "g.eml")
    (drop / ".h.eml").write_bytes(b"still being written")
    (drop / "i.tmp").write_bytes(b"the same")
    assert read(post, drop) == 7
    assert names(drop / "done") == ["a.eml", "d.eml"]
    assert names(drop / "odd") == ["b.EML", "c.eml", "e.eml", "f.eml", "g.eml"]
    assert names(drop / "busy") == []
    assert (drop / ".h.eml").exists()
    assert (drop / "i.tmp").exists()
    assert (bounced(post), facts(post)) == (1, 1)
    assert read(post, drop) == 0


def test_two_workers_handle_each_file_once(post: Flask, world: World, drop: Path) -> None:
    for number in range(30):
        (drop / f"{number}.eml").write_bytes(sent(world, f"{number}@x.example"))
    done: list[int] = []
    start = threading.Barrier(3)

    def work() -> None:
        start.wait()
        done.append(read(post, drop))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(done) == 3
    assert sum(done) == 30
    assert len(names(drop / "done")) == 30
    assert (bounced(post), facts(post)) == (30, 30)


def test_what_a_dead_worker_left_is_read_again(post: Flask, world: World, drop: Path) -> None:
    """One died before the commit, the other after it: what was done already changes nothing."""
    before, after = sent(world), sent(world, "ada@x.example")
    (drop / "after.eml").write_bytes(after)
    assert read(post, drop) == 1
    (done,) = (drop / "done").iterdir()
    dead = str(ULID.from_datetime(utc_now() - DEAD_AFTER - timedelta(seconds=5)))
    alive = str(ULID.from_datetime(utc_now() - DEAD_AFTER + timedelta(seconds=60)))
    done.rename(drop / "busy" / f"{dead}-after.eml")
    (drop / "busy" / f"{dead}-before.eml").write_bytes(before)
    (drop / "busy" / f"{alive}-busy.eml").write_bytes(b"x")
    assert read(post, drop) == 2
    assert {name.rpartition("-")[2] for name in names(drop / "done")} == {"after.eml", "before.eml"}
    assert names(drop / "busy") == ["busy.eml"]
    assert (bounced(post), facts(post)) == (2, 2)


def test_done_files_go_after_a_month(post: Flask, world: World, drop: Path) -> None:
    for folder in ("done", "odd"):
        (drop / folder).mkdir()
        for days in (-1, 1):
            made = ULID.from_datetime(utc_now() - KEEP_DONE + timedelta(days=days))
            (drop / folder / f"{made}-{days}.eml").write_bytes(b"x")
    read(post, drop)
    assert names(drop / "done") == ["1.eml"]
    assert len(names(drop / "odd")) == 2


def test_a_database_that_is_away_leaves_the_file_where_it_was(
    post: Flask, world: World, drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (drop / "a.eml").write_bytes(sent(world))

    def away(*arguments: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("the database is away"))

    with monkeypatch.context() as broken:
        broken.setattr(bounces, "_mail_of", away)
        with pytest.raises(OperationalError):
            read(post, drop)
    assert (drop / "a.eml").exists()
    assert names(drop / "busy") == []
    assert read(post, drop) == 1
    assert bounced(post) == 1


# The mailbox


@pytest.fixture
def imap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImapServer]:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "imap.trust"))
    with running_imap(tmp_path) as server:
        yield server


def place(server: ImapServer, **more: str) -> ImapFolder:
    user, password = (
        quote(more.get("user", server.user), safe=""),
        quote(more.get("password", server.password), safe=""),
    )
    folder = quote(more.get("folder", server.folder))
    read = config._imap_folder(
        f"imaps://{user}:{password}@{more.get('host', 'localhost')}:{server.port}/{folder}"
    )
    assert read is not None
    return read


def visit(app: Flask, server: ImapServer, **more: str) -> int:
    with app.app_context():
        return read_mailbox(Mailbox(place(server, **more)))


def test_unread_mails_are_handled_and_marked_after_the_commit(
    post: Flask, world: World, imap: ImapServer
) -> None:
    seen: list[int] = []
    first = imap.add(sent(world))
    odd = imap.add(SAMPLES["postfix"].raw("<stranger@elsewhere.example>"))
    large = imap.add(b"a" * 1_100_000)
    imap.before_store = lambda: seen.append(bounced(post))
    assert visit(post, imap) == 3
    assert imap.mails[first].flags == {"\\Seen"}
    assert imap.mails[odd].flags == imap.mails[large].flags == {"\\Seen", "\\Flagged"}
    assert seen == [1, 1, 1], "the bounce is committed when the mail is marked"
    assert not [command for command in imap.commands if f"{large} (BODY" in command]
    assert visit(post, imap) == 0
    assert facts(post) == 1


def test_a_mail_that_was_not_marked_is_read_again_and_changes_nothing(
    post: Flask, world: World, imap: ImapServer
) -> None:
    uid = imap.add(sent(world))
    assert visit(post, imap) == 1
    imap.mails[uid].flags.clear()
    assert visit(post, imap) == 1
    assert (bounced(post), facts(post)) == (1, 1)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"password": "wrong"}, "AUTHENTICATIONFAILED"),
        ({"folder": "Other"}, "no such folder"),
        ({"host": "127.0.0.1"}, "its certificate is not valid"),
    ],
)
@pytest.mark.one_database
def test_a_mailbox_that_refuses_us_says_why(
    post: Flask, imap: ImapServer, more: dict[str, str], reason: str
) -> None:
    with pytest.raises(ImapProblem, match=reason) as caught, Mailbox(place(imap, **more)):
        pass
    assert imap.password not in str(caught.value)
    assert visit(post, imap, **more) == 0


@pytest.mark.one_database
def test_an_unknown_certificate_is_refused(
    post: Flask, imap: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ImapProblem, match="its certificate is not valid"), Mailbox(place(imap)):
        pass
    assert imap.commands == []


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (lambda server: setattr(server, "mute", "SEARCH"), "no answer within 1 seconds"),
        (lambda server: setattr(server, "drip", "SEARCH"), "it took longer than 3 seconds"),
    ],
    ids=["mute", "dripping"],
)
def test_a_server_that_holds_the_line_is_left(
    post: Flask, imap: ImapServer, behave: Callable[[ImapServer], None], reason: str
) -> None:
    behave(imap)
    begun = time.monotonic()
    with pytest.raises(ImapProblem, match=reason), Mailbox(place(imap), answer=1, visit=3) as mailbox:
        mailbox.unread()
    assert time.monotonic() - begun < 60  # the server would hold the line for ever


# Settings


@pytest.mark.one_database
def test_both_places_are_read_as_the_settings_say(
    post: Flask, world: World, drop: Path, imap: ImapServer
) -> None:
    (drop / "a.eml").write_bytes(sent(world))
    imap.add(sent(world, "ada@x.example"))
    url = f"imaps://{quote(imap.user)}:{quote(imap.password, safe='')}@localhost:{imap.port}/{quote(imap.folder)}"
    settings = config.load(
        {"PORTAL_DATA_DIR": drop.parent / "data", "BOUNCE_DIR": drop, "BOUNCE_IMAP_URL": url}
    )
    assert imap.password not in repr(settings)
    with post.app_context():
        assert read_reports(settings) == 2
        assert read_reports(config.load({"PORTAL_DATA_DIR": drop.parent / "data"})) == 0
    assert bounced(post) == 2


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("BOUNCE_DIR", "/nowhere/at/all", "is not a folder"),
        ("BOUNCE_IMAP_URL", "imap://a:b@c/d", "only imaps:// (TLS from the first byte) is read"),
        ("BOUNCE_IMAP_URL", "imaps://c/d", "host, user and password are needed"),
        ("BOUNCE_IMAP_URL", "imaps://a:hush@c:port/d", "its host or port can't be read"),
        ("BOUNCE_IMAP_URL", "imaps://a:hush@c/d?e", "write ?, # and @"),
        ("BOUNCE_IMAP_URL", "imaps://a:hush%0d%0aX@c/d", "must be plain ASCII"),
        ("BOUNCE_SECRET", "hush", "must be whsec_ and 24 to 64 random bytes in base64"),
        ("BOUNCE_SECRET", "whsec_c2hvcnQ=", "must be whsec_ and 24 to 64 random bytes in base64"),
        ("BOUNCE_SECRET", "whsec_***", "must be whsec_ and 24 to 64 random bytes in base64"),
    ],
)
def test_a_wrong_setting_is_one_line_without_the_secret(
    tmp_path: Path, name: str, value: str, sentence: str
) -> None:
    with pytest.raises(WrongSetting) as caught:
        config.load({"PORTAL_DATA_DIR": tmp_path, name: value})
    line = str(caught.value)
    assert line.startswith(name)
    assert sentence in line
    assert "\n" not in line
    assert "hush" not in line


def test_the_folder_is_INBOX_unless_it_is_named(tmp_path: Path) -> None:
    settings = config.load(
        {"PORTAL_DATA_DIR": tmp_path, "BOUNCE_IMAP_URL": "imaps://me%40x.example:p%40ss@mail.example"}
    )
    assert settings.bounce_imap == ImapFolder("mail.example", 993, "me@x.example", "p@ss", "INBOX")
