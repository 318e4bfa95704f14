"""From the row to the mailbox over real SMTP, on both databases: who got which mail, and that nobody else did."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click.testing
import pytest
import sqlalchemy as sa
from flask import Flask

import background
from commands import cli
from mail import claim, links, mailbox, outbox
from mail.check import send_test
from mail.outcomes import Permanent, Sent
from mail.worker import send_due
from models import (
    Event,
    Firm,
    Invite,
    InviteState,
    MailKind,
    MailState,
    Outbox,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.errors import Missing
from tests.support.post import both_kinds, invite_mail, make_invite, post_office
from tests.support.smtp import HANG_UP, MailServer
from tests.support.world import World, give_access, mails, make_client, make_world

CHARLES = "charles@engine-works.example"


@pytest.fixture
def post(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    with both_kinds(backend, tmp_path, request) as app:
        yield app


@pytest.fixture
def world(post: Flask) -> World:
    return make_world(post)


def put(world: World, invite_id: str, **more: Any) -> str:
    with world.app.app_context(), unit_of_work():
        return outbox.enqueue(**invite_mail(db.session.get_one(Invite, invite_id), **more)).id


def send(app: Flask, later: timedelta = timedelta()) -> int:
    with app.app_context():
        return send_due(app.config["PORTAL"], utc_now() + later)


def states(app: Flask) -> list[str]:
    return [state for _, _, state in mails(app)]


def test_an_invite_arrives_with_its_link(post: Flask, world: World, smtp: MailServer) -> None:
    invite_id = make_invite(world)
    put(
        world,
        invite_id,
        params={"what": "sent you a survey", "message": "Hello {{ person.first_name }}, ten minutes."},
    )
    assert send(post) == 1
    (mail,) = smtp.mails
    assert (mail.sender, mail.recipients) == ("portal@example.com", (CHARLES,))
    assert mail.message["Subject"] == "Northwind Tax: Dana Reyes sent you a survey"
    assert str(mail.message["From"]) == "Northwind Tax <portal@example.com>"
    assert str(mail.message["Reply-To"]) == "Dana Reyes <dana@northwind.example>"
    assert str(mail.message["To"]) == f"Charles Babbage <{CHARLES}>"
    link = links.invite_link(post.config["PORTAL"], invite_id, 1)
    assert link in mail.text
    assert link in mail.html
    assert "Hello Charles, ten minutes." in mail.text
    assert send(post) == 0
    assert len(smtp.mails) == 1
    assert states(post) == ["sent"]


def test_an_item_s_mail_lands_on_its_item(post: Flask, world: World, smtp: MailServer) -> None:
    invite_id = make_invite(world)
    with post.app_context(), unit_of_work() as session:
        client_id = session.get_one(Invite, invite_id).client_id
        item = WorkItem(
            firm_id=world.firm_id,
            client_id=client_id,
            workflow="file",
            title="Secret.pdf",
            status="visible",
            visible=True,
        )
        session.add(item)
        session.flush()
        item_id = item.id
    put(world, invite_id, item_id=item_id)
    assert send(post) == 1
    assert f"?item={item_id}" in smtp.mails[0].text
    assert "Secret" not in smtp.mails[0].text + smtp.mails[0].html + str(smtp.mails[0].message["Subject"])


@pytest.mark.settings(ITEM_MAIL_SECONDS=60)
def test_a_person_with_access_gets_the_items_and_the_way_in(
    post: Flask, world: World, smtp: MailServer
) -> None:
    client_id = make_client(world, "Byron Family")
    access_id = give_access(world, client_id, "ada@x.example")
    with post.app_context(), unit_of_work() as session:
        items = [
            WorkItem(
                firm_id=world.firm_id,
                client_id=client_id,
                workflow="file",
                title=f"{n}.pdf",
                status="visible",
                visible=n != 2,
            )
            for n in range(3)
        ]
        session.add_all(items)
        session.flush()
        for item in items:
            outbox.enqueue(
                MailKind.ITEM, to_email="ada@x.example", to_name="Ada Byron", firm_id=world.firm_id, access_id=access_id,
                item_id=item.id, sender_id=world.admin_id, params={"what": "shared a file with you"},
            )  # fmt: skip
        outbox.enqueue(
            MailKind.SIGN_IN, to_email="ada@x.example", to_name="Ada Byron", firm_id=world.firm_id, access_id=access_id,
            sender_id=world.admin_id,
        )  # fmt: skip
    assert send(post) == 1
    assert smtp.mails[0].message["Subject"] == "Northwind Tax: sign in to your Client Portal"
    assert "/portal/" in smtp.mails[0].text
    assert send(post, timedelta(seconds=61)) == 1
    text = smtp.mails[1].text
    assert smtp.mails[1].message["Subject"] == "Northwind Tax: 2 new items in your Client Portal"
    assert "0.pdf, for Byron Family" in text
    assert "1.pdf" in text
    assert "2.pdf" not in text  # made invisible again before the mail left
    assert smtp.everyone() == ["ada@x.example", "ada@x.example"]


def test_a_mail_whose_items_are_all_hidden_again_is_cancelled(
    post: Flask, world: World, smtp: MailServer
) -> None:
    client_id = make_client(world, "Byron Family")
    access_id = give_access(world, client_id, "ada@x.example")
    with post.app_context(), unit_of_work() as session:
        item = WorkItem(
            firm_id=world.firm_id,
            client_id=client_id,
            workflow="file",
            title="x",
            status="hidden",
            visible=False,
        )
        session.add(item)
        session.flush()
        outbox.enqueue(
            MailKind.ITEM,
            to_email="ada@x.example",
            firm_id=world.firm_id,
            access_id=access_id,
            item_id=item.id,
        )
    assert send(post, timedelta(hours=1)) == 0
    assert states(post) == ["cancelled"]
    assert smtp.mails == []


def test_each_attempt_carries_the_same_bytes(post: Flask, world: World, smtp: MailServer) -> None:
    put(world, make_invite(world))
    smtp.at_data = lambda mail: "451 4.3.0 try again later"
    assert send(post) == 0
    assert send(post, timedelta(hours=1)) == 0
    smtp.at_data = None
    assert send(post, timedelta(hours=3)) == 1
    assert smtp.refused[0].raw == smtp.refused[1].raw == smtp.mails[0].raw


def test_who_gets_which(post: Flask, world: World, smtp: MailServer) -> None:
    smtp.at_rcpt = lambda address: "550 5.1.1 no such person" if address.startswith("gone") else None
    people = ["ada@x.example", "gone@x.example", "bob@x.example"]
    for address in people:
        put(world, make_invite(world, address))
    assert send(post) == 2
    assert smtp.everyone() == ["ada@x.example", "bob@x.example"]
    with post.app_context():
        failed = outbox.list_mails(MailState.FAILED)
        assert [mail.to_email for mail in failed] == ["gone@x.example"]
        assert failed[0].error == "The mail server refused the recipient: 550 5.1.1 no such person"
        assert db.session.scalar(sa.select(sa.func.count()).where(Event.name == "invite_mailed")) == 2


def test_a_line_that_breaks_after_the_dot_is_retried_with_the_same_message_id(
    post: Flask, world: World, smtp: MailServer
) -> None:
    put(world, make_invite(world))
    smtp.at_data = lambda mail: HANG_UP
    assert send(post) == 0
    smtp.at_data = None
    assert send(post, timedelta(hours=1)) == 1
    assert len({mail.message["Message-ID"] for mail in smtp.mails}) == 1


def test_a_mail_that_can_t_be_written_fails_at_once_and_alone(
    post: Flask, world: World, smtp: MailServer
) -> None:
    put(
        world,
        make_invite(world, "ada@x.example"),
        params={"what": "sent you a survey", "message": "{{ person.age }}"},
    )
    put(world, make_invite(world, "bob@x.example"))
    assert send(post) == 1
    assert smtp.everyone() == ["bob@x.example"]
    with post.app_context():
        (failed,) = outbox.list_mails(MailState.FAILED)
        assert "there is no placeholder 'person.age'" in failed.error


def test_a_relay_that_refuses_us_fails_nothing_and_is_asked_once_a_minute(
    post: Flask, world: World, smtp: MailServer
) -> None:
    for number in range(8):
        put(world, make_invite(world, f"{number}@x.example"))
    smtp.at_rcpt = lambda address: "530 5.7.0 authentication required"
    assert send(post) == 0
    assert set(states(post)) == {"queued"}
    with post.app_context():
        pause = outbox.relay_pause()
        assert pause is not None
        assert "530" in pause.reason
        assert outbox.delivery_text(outbox.list_mails()[0], pause) == "Waiting for the mail server"
    smtp.at_rcpt = None
    connections = smtp.connections
    assert send(post, timedelta(seconds=30)) == 0
    assert smtp.connections == connections
    assert send(post, timedelta(minutes=2)) == 8
    with post.app_context():
        assert outbox.relay_pause() is None
    assert len(smtp.everyone()) == len(set(smtp.everyone())) == 8


@pytest.mark.settings(MAIL_SERVER="127.0.0.1", MAIL_PORT=1, MAIL_CONNECTIONS=1)
def test_a_relay_that_is_down_takes_five_tries_and_then_a_pause(post: Flask, world: World) -> None:
    for number in range(20):
        put(world, make_invite(world, f"{number}@x.example"))
    assert send(post) == 0
    with post.app_context():
        attempts = sorted(mail.attempts for mail in outbox.list_mails())
        assert attempts == [0] * 15 + [1] * 5
        pause = outbox.relay_pause()
        assert pause is not None
        assert pause.reason == "it refuses connections"


@pytest.mark.settings(MAIL_DEADLINE_SECONDS=20, LEASE_SECONDS=20.5, MAIL_CONNECTIONS=1)
def test_what_could_outlive_its_lease_is_not_begun(post: Flask, world: World, smtp: MailServer) -> None:
    for number in range(12):
        put(world, make_invite(world, f"{number}@x.example"))
    smtp.at_data = lambda mail: time.sleep(0.2)
    assert send(post) == 12
    assert len(smtp.everyone()) == len(set(smtp.everyone())) == 12
    with post.app_context():
        assert {(mail.attempts, mail.crashes) for mail in outbox.list_mails()} == {(1, 0)}


@pytest.mark.settings(MAIL_CONNECTIONS=4)
def test_many_mails_over_several_kept_lines(post: Flask, world: World, smtp: MailServer) -> None:
    invite_id = make_invite(world)
    with post.app_context(), unit_of_work():
        invite = db.session.get_one(Invite, invite_id)
        outbox.enqueue_many(
            [outbox.NewMail(**invite_mail(invite, to_email=f"{n}@x.example")) for n in range(300)]
        )
    assert send(post) == 300
    assert len(set(smtp.everyone())) == len(smtp.mails) == 300
    assert smtp.connections <= 4
    assert set(states(post)) == {"sent"}


def test_no_transaction_is_open_while_smtp_talks(post: Flask, world: World, smtp: MailServer) -> None:
    """The revoke below would wait for ever on SQLite, and deadlock the test on PostgreSQL."""
    invite_id = make_invite(world)
    put(world, invite_id)

    def revoke(mail: object) -> None:
        with post.app_context(), unit_of_work() as session:
            session.execute(sa.update(Invite).values(state=InviteState.REVOKED))
            session.execute(sa.update(Outbox).values(to_name="changed meanwhile"))

    smtp.at_data = revoke
    assert send(post) == 1
    assert states(post) == ["sent"]


@pytest.mark.settings(ACCEPT_NEEDS_CODE="true")
def test_no_token_is_in_any_table(post: Flask, world: World, smtp: MailServer) -> None:
    put(world, make_invite(world), params={"what": "sent you a survey", "message": "Hello"})
    assert send(post) == 1
    found = re.search(r"/portal/invite/([\w-]{43})", smtp.mails[0].text)
    assert found
    with post.app_context():
        for table in reversed(sa.inspect(db.engine).get_table_names()):
            rows = db.session.execute(sa.text(f'SELECT * FROM "{table}"')).all()  # noqa: S608 names of our own tables
            assert found[1] not in str(rows)


# The built-in mailbox and the embedded worker


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Flask]:
    """The default: SQLite, no relay."""
    with post_office(tmp_path) as app:
        yield app


def test_without_a_relay_mails_lie_in_the_built_in_mailbox(alone: Flask) -> None:
    world = make_world(alone)
    settings = alone.config["PORTAL"]
    assert mailbox.list_mails(settings) == []
    for address in ("ada@x.example", "bob@x.example"):
        put(world, make_invite(world, address))
        assert send(alone) == 1
    newest, older = mailbox.list_mails(settings)
    assert [newest.to, older.to] == ["Charles Babbage <bob@x.example>", "Charles Babbage <ada@x.example>"]
    assert newest.subject == "Northwind Tax: Dana Reyes sent you a survey"
    assert mailbox.list_mails(settings, limit=1) == [newest]
    mail = mailbox.read_mail(settings, newest.id)
    assert len(mail.links) == 1
    assert mail.links[0] in mail.html
    assert "Northwind Tax" in mail.text
    assert b"Delivered-To: bob@x.example" in mailbox.read_raw(settings, newest.id)
    assert settings.mailbox_dir.stat().st_mode & 0o077 == 0
    for wrong in ("../secret_key", "0" * 26, "x", ".hidden"):
        with pytest.raises(Missing):
            mailbox.read_mail(settings, wrong)


def test_a_full_disk_is_a_temporary_answer(alone: Flask) -> None:
    world = make_world(alone)
    put(world, make_invite(world))
    settings = alone.config["PORTAL"]
    mailbox.running(settings)
    settings.mailbox_dir.rmdir()
    assert send(alone) == 0
    assert states(alone) == ["queued"]
    settings.mailbox_dir.mkdir()
    assert send(alone, timedelta(hours=1)) == 1


def test_a_mail_leaves_within_moments_of_the_commit(post: Flask, world: World, smtp: MailServer) -> None:
    background.on_wake(post, "mail", lambda: send_due(post.config["PORTAL"]))
    background.start(post)
    for number in range(3):
        invite_id = make_invite(world, f"{number}@x.example")
        put(world, invite_id)
        smtp.wait(number + 1, seconds=5)
    begun = time.monotonic()
    put(world, invite_id)
    smtp.wait(4, seconds=5)
    assert time.monotonic() - begun < 2
    begun = time.monotonic()
    background.stop(post)
    assert time.monotonic() - begun < 5


@pytest.mark.settings(RETRY_DELAYS_SECONDS="1")
def test_a_retry_that_is_due_soon_needs_no_sweep(post: Flask, world: World, smtp: MailServer) -> None:
    background.on_wake(post, "mail", lambda: send_due(post.config["PORTAL"]))
    background.start(post)
    smtp.at_data = lambda mail: "451 4.3.0 try again later" if len(smtp.refused) < 2 else None
    put(world, make_invite(world))
    smtp.wait(1, seconds=15)
    assert len(smtp.refused) == 2


def test_a_queue_that_is_down_fails_no_request(tmp_path: Path) -> None:
    with post_office(tmp_path, QUEUE_URL="postgresql://nobody@127.0.0.1:1/none") as app:
        world = make_world(app)
        background.on_wake(app, "mail", lambda: None)
        put(world, make_invite(world))
        assert states(app) == ["queued"]
        with pytest.raises(Exception, match="refused"):
            background.check(app)


def test_a_claimed_mail_of_a_dead_worker_is_sent_by_the_next(
    post: Flask, world: World, smtp: MailServer
) -> None:
    put(world, make_invite(world))
    with post.app_context(), unit_of_work():
        assert len(claim.claim(10, utc_now(), 60)) == 1
    assert send(post) == 0
    assert send(post, timedelta(seconds=61)) == 1
    assert len(smtp.mails) == 1


def test_firm_names_of_all_kinds_keep_the_configured_address(
    post: Flask, world: World, smtp: MailServer
) -> None:
    names = ["Smith, Jones & Co", "Acme <ceo@bank.example>", '"Q" \\ O\'Neil', "日本税理士法人", "x" * 200]
    for name in names:
        with post.app_context(), unit_of_work() as session:
            session.execute(sa.update(Firm).values(name=name))
        put(world, make_invite(world))
        assert send(post) == 1
    assert {mail.sender for mail in smtp.mails} == {"portal@example.com"}
    assert [mail.message["From"].addresses[0].addr_spec for mail in smtp.mails] == ["portal@example.com"] * 5
    assert [mail.message["From"].addresses[0].display_name for mail in smtp.mails] == names


def test_mail_test_tells_each_step(post: Flask, smtp: MailServer) -> None:
    steps: list[str] = []
    assert send_test(post, post.config["PORTAL"], "ada@x.example", steps.append) == Sent()
    assert smtp.everyone() == ["ada@x.example"]
    told = "\n".join(steps)
    for part in (
        "connecting to 127.0.0.1",
        "EHLO",
        "MAIL FROM:<portal@example.com>",
        "RCPT TO:<ada@x.example>",
        "DATA",
        "250",
    ):
        assert part in told
    smtp.at_rcpt = lambda address: "550 5.1.1 no such person"
    assert send_test(post, post.config["PORTAL"], "gone@x.example", steps.append) == Permanent(
        "The mail server refused the recipient: 550 5.1.1 no such person"
    )
    assert steps[-1] == "550 5.1.1 no such person"


def test_the_operator_s_commands(app: Flask, smtp: MailServer) -> None:
    world = make_world(app)
    put(world, make_invite(world))
    commands = click.testing.CliRunner()

    def run(*arguments: str) -> click.testing.Result:
        return commands.invoke(cli, list(arguments), obj=lambda overrides: app)

    line = run("outbox", "list").output
    mail_id = line.split()[0]
    assert line == f"{mail_id}  queued    invite        0  {CHARLES}\n"
    assert "Held: 1 waiting now" in run("outbox", "hold").output
    assert send(app) == 0
    assert "held" in run("outbox", "list", "--state", "held").output
    assert "Mail is held" in run("outbox", "list").output
    assert "Released: 1" in run("outbox", "release").output
    smtp.at_rcpt = lambda address: "550 5.1.1 no such person"
    assert send(app) == 0
    assert "no such person" in run("outbox", "list").output
    smtp.at_rcpt = None
    assert run("outbox", "retry", mail_id).exit_code == 0
    assert send(app) == 1
    refused = run("outbox", "retry", mail_id)
    assert (refused.exit_code, refused.output) == (1, "Error: This mail was sent already.\n")
    assert run("outbox", "retry", "0" * 26).exit_code == 1
    assert "250" in run("mail", "test", "ada@x.example").output
    assert smtp.everyone() == ["ada@x.example", CHARLES]
    assert run("mail", "test", "nonsense").exit_code == 1
