"""What a delivery report does, on both databases: to the standing, the timeline, the inviter, and to nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from invites.standing import standings
from mail import bounces, claim, outbox
from mail.bounces import Outcome
from mail.outcomes import Sent
from mail.reports import parse
from mail.settle import Result, settle
from mail.worker import send_due
from models import (
    AccessState,
    Client,
    Contact,
    Event,
    Invite,
    InviteState,
    Login,
    MailKind,
    MailState,
    Outbox,
    PortalAccess,
    TeamMember,
    db,
    unit_of_work,
    utc_now,
)
from tests.support.bounce_samples import SAMPLES
from tests.support.post import both_kinds, invite_mail, make_invite
from tests.support.smtp import MailServer
from tests.support.together import crowd
from tests.support.world import World, give_access, mails, make_world

CHARLES = "charles@engine-works.example"
REFUSED = "There is no such mailbox. The mail server said: 550 5.1.1 <"


@pytest.fixture
def post(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    with both_kinds(backend, tmp_path, request) as app:
        yield app


@pytest.fixture
def world(post: Flask) -> World:
    return make_world(post)


def put(world: World, invite_id: str, state: MailState = MailState.SENT, **more: Any) -> str:
    """An invite's mail in this state. Returns its Message-ID."""
    with world.app.app_context(), unit_of_work():
        row = outbox.enqueue(**invite_mail(db.session.get_one(Invite, invite_id), **more))
        row.state = state
        row.sent_at = utc_now() if state is MailState.SENT else None
        return row.message_id


def report(app: Flask, message_id: str, name: str = "postfix", to: str = CHARLES) -> Outcome:
    with app.app_context(), unit_of_work():
        return bounces.apply(parse(SAMPLES[name].raw(message_id, to)), utc_now())


def standing(app: Flask, invite_id: str) -> str:
    with app.app_context():
        invite = db.session.get_one(Invite, invite_id)
        client = db.session.get_one(Client, invite.client_id)
        return standings(client, [invite.email], "UTC")[invite.email].label


def states(app: Flask) -> list[str]:
    return [state for _, _, state in mails(app)]


def events(app: Flask) -> list[tuple[str, str]]:
    with app.app_context():
        rows = db.session.scalars(sa.select(Event).order_by(Event.id))
        return [(row.name, row.data.get("report", "")) for row in rows]


def notices(app: Flask) -> list[Outbox]:
    with app.app_context():
        return list(db.session.scalars(sa.select(Outbox).where(Outbox.kind == MailKind.STAFF_NOTICE)))


def test_the_standing_turns_and_the_inviter_is_told(post: Flask, world: World, smtp: MailServer) -> None:
    invite_id = make_invite(world)
    message_id = put(world, invite_id)
    assert standing(post, invite_id) == "Invited today, never logged in"
    assert report(post, message_id) is Outcome.BOUNCED
    assert standing(post, invite_id) == "Mail bounced"
    with post.app_context():
        row = db.session.scalars(sa.select(Outbox).where(Outbox.message_id == message_id)).one()
        assert row.error.startswith(REFUSED)
        assert outbox.delivery_text(row).startswith("Mail bounced: There is no such mailbox.")
        event = db.session.scalars(sa.select(Event)).one()
        assert (event.name, event.workflow, event.invite_id) == (
            "invite_bounced",
            "client-request",
            invite_id,
        )
        assert event.data["reason"] == row.error
        contact_id = db.session.scalar(sa.select(Contact.id))
        client_id = db.session.scalar(sa.select(Client.id))
        send_due(post.config["PORTAL"])
    assert smtp.everyone() == ["dana@northwind.example"]
    (mail,) = smtp.mails
    assert mail.message["Subject"] == "The mail to Charles Babbage came back"
    assert f"The invite to Charles Babbage ({CHARLES}) for Byron Family did not arrive." in mail.text
    assert "There is no such mailbox." in mail.text
    assert f"http://localhost:8000/clients/{client_id}/people/{contact_id}" in mail.text.split()


@pytest.mark.parametrize("name", ["arf", "arf-redacted", "jmrp"])
def test_a_complaint_ends_the_reminders_for_good(post: Flask, world: World, name: str) -> None:
    invite_id = make_invite(world)
    assert report(post, put(world, invite_id), name) is Outcome.BOUNCED
    assert standing(post, invite_id) == "Mail bounced"
    with post.app_context():
        invite = db.session.get_one(Invite, invite_id)
        assert not invite.reminds
        assert invite.state is InviteState.PENDING
    assert ("invite_bounced", "complaint") in events(post)
    (notice,) = notices(post)
    assert "reported as unwanted" in " ".join(notice.params["paragraphs"])


def test_a_delay_is_told_once_on_the_timeline_and_nowhere_else(post: Flask, world: World) -> None:
    invite_id = make_invite(world)
    message_id = put(world, invite_id)
    assert report(post, message_id, "delayed") is Outcome.NOTED
    assert report(post, message_id, "exim-delayed") is Outcome.REPEATED
    assert standing(post, invite_id) == "Invited today, never logged in"
    assert states(post) == ["sent"]
    assert events(post) == [("mail_delayed", "temporary")]
    assert report(post, message_id) is Outcome.BOUNCED
    assert report(post, message_id, "delayed") is Outcome.REPEATED


def test_a_repeated_report_changes_nothing(post: Flask, world: World) -> None:
    message_id = put(world, make_invite(world))
    assert report(post, message_id) is Outcome.BOUNCED
    before = mails(post), events(post)
    for name in ("postfix", "gmail", "qmail", "arf"):
        assert report(post, message_id, name) is Outcome.REPEATED
    assert (mails(post), events(post)) == before


@pytest.mark.parametrize("state", [MailState.SENDING, MailState.QUEUED, MailState.HELD])
def test_a_report_that_comes_before_our_settle_counts_at_once(
    post: Flask, world: World, state: MailState
) -> None:
    invite_id = make_invite(world)
    message_id = put(world, invite_id, MailState.QUEUED)
    with post.app_context():
        with unit_of_work():
            (claimed,) = claim.claim(10, utc_now(), 60)
        with unit_of_work():  # in doubt: the line broke behind the final dot, so it waits for another try
            if state is not MailState.SENDING:
                db.session.execute(sa.update(Outbox).values(state=state, lease=None))
    assert report(post, message_id) is Outcome.BOUNCED
    assert [name for name, _ in events(post)] == ["invite_mailed", "invite_bounced"]
    with post.app_context(), unit_of_work():
        assert settle([Result(claimed, Sent())], utc_now()) == 0
    assert standing(post, invite_id) == "Mail bounced"
    with post.app_context(), unit_of_work():
        db.session.execute(sa.delete(Outbox).where(Outbox.kind == MailKind.STAFF_NOTICE))
    with post.app_context(), unit_of_work():
        assert claim.claim(10, utc_now() + timedelta(hours=5), 60) == []


@pytest.mark.parametrize("state", [MailState.QUEUED, MailState.FAILED, MailState.CANCELLED])
def test_a_mail_that_never_left_can_t_come_back(post: Flask, world: World, state: MailState) -> None:
    message_id = put(world, make_invite(world), state)
    assert report(post, message_id) is Outcome.LATE
    assert states(post) == [state.value]
    assert events(post) == []


@pytest.mark.parametrize("state", [InviteState.ACCEPTED, InviteState.DECLINED, InviteState.REVOKED])
@pytest.mark.parametrize("name", ["postfix", "arf", "delayed"])
def test_an_answered_invite_is_not_touched(post: Flask, world: World, state: InviteState, name: str) -> None:
    message_id = put(world, make_invite(world))
    with post.app_context(), unit_of_work():
        db.session.execute(sa.update(Invite).values(state=state))
    assert report(post, message_id, name) is Outcome.LATE
    assert states(post) == ["sent"]
    assert events(post) == []


def test_an_active_person_is_not_touched(post: Flask, world: World) -> None:
    invite_id = make_invite(world)
    message_id = put(world, invite_id)
    with post.app_context():
        client_id = db.session.get_one(Invite, invite_id).client_id
    give_access(world, client_id, CHARLES)
    assert report(post, message_id) is Outcome.LATE
    with post.app_context():
        assert db.session.scalars(sa.select(PortalAccess.state)).all() == [AccessState.ACTIVE]
    assert states(post) == ["sent"]


def test_unknown_and_forged_reports_do_nothing(post: Flask, world: World) -> None:
    put(world, make_invite(world))
    for wrong in ("<01hzzzzzzzzzzzzzzzzzzzzzzz@localhost.localdomain>", "<>", "%ID%", "<a@b>"):
        for name in ("postfix", "gmail", "arf", "qmail"):
            assert report(post, wrong, name) is Outcome.UNKNOWN
    assert report(post, "<a@b>", "vacation") is Outcome.IGNORED
    assert states(post) == ["sent"]
    assert events(post) == []


def test_a_report_that_names_several_of_our_mails_does_nothing(post: Flask, world: World) -> None:
    """Whoever got two mails of ours could otherwise choose; a real report is about one."""
    first = put(world, make_invite(world, "a@x.example"))
    second = put(world, make_invite(world, "b@x.example"))
    raw = f"From: mailer-daemon\nSubject: failure notice\nReferences: {first} {second}\n\n550 5.1.1 no such user\n"
    with post.app_context(), unit_of_work():
        assert bounces.apply(parse(raw.encode()), utc_now()) is Outcome.UNKNOWN
    assert states(post) == ["sent", "sent"]


@pytest.mark.parametrize("name", ["vacation", "answer", "delivered", "read", "not-spam"])
def test_what_is_no_failure_does_nothing(post: Flask, world: World, name: str) -> None:
    message_id = put(world, make_invite(world))
    assert report(post, message_id, name) is Outcome.IGNORED
    assert states(post) == ["sent"]
    assert events(post) == []


def test_another_firm_s_person_of_the_same_address_stays_as_they_are(post: Flask, world: World) -> None:
    other = make_world(post, "Southwind Law", "southwind.example")
    mine, theirs = make_invite(world), make_invite(other)
    message_id = put(world, mine)
    put(other, theirs)
    assert report(post, message_id) is Outcome.BOUNCED
    assert standing(post, mine) == "Mail bounced"
    assert standing(post, theirs) == "Invited today, never logged in"
    assert [notice.to_email for notice in notices(post)] == ["dana@northwind.example"]
    with post.app_context():
        assert {row.firm_id for row in db.session.scalars(sa.select(Event))} == {world.firm_id}


def test_what_waits_for_a_dead_address_stops(post: Flask, world: World) -> None:
    invite_id = make_invite(world)
    message_id = put(world, invite_id)
    put(world, invite_id, MailState.QUEUED, params={"what": "sent you a file"})
    put(world, invite_id, MailState.QUEUED, kind=MailKind.REMINDER)
    assert report(post, message_id) is Outcome.BOUNCED
    assert [(kind, state) for _, kind, state in mails(post)] == [
        ("invite", "bounced"),
        ("invite", "bounced"),
        ("reminder", "cancelled"),
        ("staff_notice", "queued"),
    ]
    assert standing(post, invite_id) == "Mail bounced"


def test_a_reminder_that_comes_back_counts_too(post: Flask, world: World) -> None:
    invite_id = make_invite(world)
    put(world, invite_id)
    assert report(post, put(world, invite_id, kind=MailKind.REMINDER)) is Outcome.BOUNCED
    assert standing(post, invite_id) == "Mail bounced"


def test_the_old_mail_of_a_resent_invite_only_shows_on_the_timeline(post: Flask, world: World) -> None:
    invite_id = make_invite(world)
    old = put(world, invite_id)
    with post.app_context(), unit_of_work():
        db.session.execute(sa.update(Invite).values(generation=2))
    put(world, invite_id, MailState.QUEUED)
    assert report(post, old) is Outcome.NOTED
    assert states(post) == ["bounced", "queued"]
    assert events(post) == [("mail_bounced", "permanent")]
    assert standing(post, invite_id) == "Invited today, never logged in"


def test_the_inviter_is_told_once_per_invite(post: Flask, world: World) -> None:
    invite_id = make_invite(world)
    assert report(post, put(world, invite_id)) is Outcome.BOUNCED
    with post.app_context(), unit_of_work():
        db.session.execute(sa.update(Invite).values(generation=2))
    assert report(post, put(world, invite_id)) is Outcome.BOUNCED
    assert [name for name, _ in events(post)] == ["invite_bounced", "invite_bounced"]
    assert len(notices(post)) == 1


@pytest.mark.parametrize(
    ("gone", "told"),
    [("left", ["sam@northwind.example"]), ("unassigned", ["sam@northwind.example"]), ("both", [])],
)
def test_who_left_or_sees_no_more_is_not_told(post: Flask, world: World, gone: str, told: list[str]) -> None:
    invite_id = make_invite(world)
    message_id = put(world, invite_id, sender_id=world.staff_id)
    with post.app_context(), unit_of_work() as session:
        if gone == "unassigned":
            session.execute(sa.update(Invite).values(invited_by_id=world.assigned_id))
        else:
            session.execute(sa.update(TeamMember).where(TeamMember.id == world.admin_id).values(active=False))
        if gone == "both":
            session.execute(
                sa.update(Login).where(Login.email == "sam@northwind.example").values(active=False)
            )
    assert report(post, message_id) is Outcome.BOUNCED
    assert [notice.to_email for notice in notices(post)] == told


def test_the_notice_holds_no_link_that_a_stranger_wrote(post: Flask, world: World, smtp: MailServer) -> None:
    message_id = put(world, make_invite(world))
    raw = (
        SAMPLES["postfix"]
        .raw(message_id, CHARLES)
        .replace(
            b"550 5.1.1 <charles@engine-works.example>: Recipient address",
            b'550 5.1.1 <a href="https://evil.example/x">https://evil.example/x</a> <script>',
        )
    )
    with post.app_context():
        with unit_of_work():
            assert bounces.apply(parse(raw), utc_now()) is Outcome.BOUNCED
        send_due(post.config["PORTAL"])
    (mail,) = smtp.mails
    assert "evil" in mail.text
    assert "https://evil.example" not in mail.text + mail.html
    assert "<script" not in mail.html
    assert 'href="http://localhost:8000/clients/' in mail.html


def test_a_mail_about_an_item_that_comes_back_touches_no_standing(post: Flask, world: World) -> None:
    invite_id = make_invite(world)
    with post.app_context():
        client_id = db.session.get_one(Invite, invite_id).client_id
    access_id = give_access(world, client_id, "ada@x.example")
    with post.app_context(), unit_of_work():
        row = outbox.enqueue(
            MailKind.SIGN_IN, to_email="ada@x.example", firm_id=world.firm_id, access_id=access_id
        )
        row.state = MailState.SENT
        message_id = row.message_id
    assert report(post, message_id, "delayed", "ada@x.example") is Outcome.NOTED
    assert report(post, message_id, "postfix", "ada@x.example") is Outcome.NOTED
    assert report(post, message_id, "postfix", "ada@x.example") is Outcome.REPEATED
    assert events(post) == [("mail_delayed", "temporary"), ("mail_bounced", "permanent")]
    assert states(post) == ["bounced"]
    with post.app_context():
        assert db.session.get_one(PortalAccess, access_id).state is AccessState.ACTIVE


def test_a_notice_that_comes_back_makes_no_notice(post: Flask, world: World) -> None:
    assert report(post, put(world, make_invite(world))) is Outcome.BOUNCED
    (notice,) = notices(post)
    with post.app_context(), unit_of_work() as session:
        session.execute(sa.update(Outbox).where(Outbox.id == notice.id).values(state=MailState.SENT))
    before = events(post)
    assert report(post, notice.message_id, "postfix", notice.to_email) is Outcome.NOTED
    assert len(notices(post)) == 1
    assert events(post) == before


def test_a_sealed_text_that_came_back_early_doesn_t_stay(post: Flask, world: World) -> None:
    with post.app_context(), unit_of_work():
        row = outbox.enqueue_security(to_email="ada@x.example", subject="Reset", paragraphs=["x"])
        row.state, row.attempts = MailState.SENDING, 1
        message_id = row.message_id
    assert report(post, message_id, "postfix", "ada@x.example") is Outcome.NOTED
    with post.app_context():
        assert db.session.scalar(sa.select(Outbox.params)) == {}


def test_reports_and_the_settle_at_the_same_instant(post: Flask, world: World) -> None:
    """Whoever comes first, every mail ends as bounced, with one fact, and each inviter is told once."""
    ids = [make_invite(world, f"{number}@x.example") for number in range(6)]
    message_ids = [put(world, invite_id, MailState.QUEUED) for invite_id in ids]
    with post.app_context(), unit_of_work():
        claimed = claim.claim(100, utc_now(), 60)

    def settled() -> int:
        with post.app_context(), unit_of_work():
            return settle([Result(mail, Sent()) for mail in claimed], utc_now())

    with crowd() as many:
        outcomes = many.at_once(
            [settled]
            + [
                lambda number=number: report(post, message_ids[number], to=f"{number}@x.example")
                for number in [*range(6), *range(6)]
            ]
        )
    assert sorted(outcomes[1:]) == [Outcome.BOUNCED] * 6 + [Outcome.REPEATED] * 6
    names = [name for name, _ in events(post)]
    assert (names.count("invite_bounced"), names.count("invite_mailed")) == (6, 6)
    assert [state for _, kind, state in mails(post) if kind == "invite"] == ["bounced"] * 6
    assert len(notices(post)) == 6
