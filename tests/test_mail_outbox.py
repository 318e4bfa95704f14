"""The outbox on both databases: what is claimed, what is cancelled, what an attempt leads to, who settles."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from mail import claim, outbox, settle
from mail.claim import Claimed
from mail.outcomes import Dropped, Outcome, Permanent, RelayBroken, Sent, Temporary, Untouched
from mail.settle import Result
from models import (
    AcceptCode,
    AccessState,
    Event,
    Invite,
    InviteState,
    MailKind,
    MailState,
    Outbox,
    PortalAccess,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.database import statements
from models.errors import Missing, WrongState
from tests.support.post import both_kinds, invite_mail, make_invite
from tests.support.world import World, give_access, make_client, make_world

MINUTE = timedelta(minutes=1)


@pytest.fixture
def post(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    with both_kinds(backend, tmp_path, request) as app:
        yield app


@pytest.fixture
def world(post: Flask) -> World:
    return make_world(post)


@pytest.fixture
def context(post: Flask) -> Iterator[None]:
    with post.app_context():
        yield


def put(invite_id: str, **more: Any) -> str:
    with unit_of_work():
        return outbox.enqueue(**invite_mail(db.session.get_one(Invite, invite_id), **more)).id


def take(limit: int = 10, at: datetime | None = None, lease_seconds: float = 300) -> list[Claimed]:
    with unit_of_work():
        return claim.claim(limit, at or utc_now(), lease_seconds)


def end(mail: Claimed, outcome: Outcome, at: datetime | None = None) -> int:
    with unit_of_work():
        return settle.settle([Result(mail, outcome)], at or utc_now())


def row(mail_id: str) -> Outbox:
    db.session.rollback()
    return db.session.get_one(Outbox, mail_id, populate_existing=True)


def change(invite_id: str, **columns: Any) -> None:
    with unit_of_work() as session:
        session.execute(sa.update(Invite).where(Invite.id == invite_id).values(**columns))


# In


@pytest.mark.usefixtures("context")
def test_a_mail_of_a_transaction_that_fails_never_was(world: World) -> None:
    invite_id = make_invite(world)
    with pytest.raises(ZeroDivisionError), unit_of_work():
        outbox.enqueue(**invite_mail(db.session.get_one(Invite, invite_id)))
        raise ZeroDivisionError
    assert outbox.list_mails() == []


@pytest.mark.usefixtures("context")
def test_the_message_id_is_made_with_the_row(world: World) -> None:
    mail_id = put(make_invite(world))
    assert row(mail_id).message_id == f"<{mail_id.lower()}@localhost.localdomain>"


@pytest.mark.settings(ITEM_MAIL_SECONDS=600)
@pytest.mark.usefixtures("context")
def test_items_within_ten_minutes_are_one_mail(world: World) -> None:
    client_id = make_client(world, "Byron Family")
    ada, bob = (
        give_access(world, client_id, "ada@x.example"),
        give_access(world, client_id, "bob@x.example", "Bob"),
    )
    with unit_of_work() as session:
        items = [
            WorkItem(
                firm_id=world.firm_id,
                client_id=client_id,
                workflow="file",
                title=f"{n}.pdf",
                status="visible",
                visible=True,
            )
            for n in range(3)
        ]
        session.add_all(items)
        session.flush()
        for access, email in ((ada, "ada@x.example"), (bob, "bob@x.example")):
            for item in items:
                outbox.enqueue(
                    MailKind.ITEM, to_email=email, firm_id=world.firm_id, access_id=access, item_id=item.id,
                    params={"what": "shared a file with you"},
                )  # fmt: skip
        ids = [item.id for item in items]
    mails = outbox.list_mails()
    assert sorted((mail.to_email, mail.params["items"] == ids) for mail in mails) == [
        ("ada@x.example", True),
        ("bob@x.example", True),
    ]
    assert take() == []
    assert len(take(at=utc_now() + timedelta(seconds=660))) == 2


# Claim


@pytest.mark.usefixtures("context")
def test_a_claim_takes_what_is_due_once(world: World) -> None:
    invite_id = make_invite(world)
    now, later = put(invite_id), put(invite_id, due_at=utc_now() + MINUTE)
    (mail,) = take()
    assert (mail.id, mail.attempts, mail.params) == (now, 1, {"what": "sent you a survey"})
    assert row(now).state is MailState.SENDING
    assert take() == []
    assert [mail.id for mail in take(at=utc_now() + MINUTE)] == [later]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"state": InviteState.ACCEPTED}, "The invite was accepted before this mail left."),
        ({"state": InviteState.REVOKED}, "The invite was revoked before this mail left."),
        ({"state": InviteState.DECLINED}, "The invite was declined before this mail left."),
        ({"generation": 2}, "A newer mail with a fresh link took its place."),
        ({"expires_at": utc_now() - MINUTE}, "The invite expired before this mail left."),
    ],
)
@pytest.mark.usefixtures("context")
def test_nothing_goes_out_for_an_invite_that_ended(
    world: World, columns: dict[str, Any], reason: str
) -> None:
    ended, lives = make_invite(world), make_invite(world, "ada@x.example")
    dead, alive = put(ended), put(lives)
    change(ended, **columns)
    assert [mail.id for mail in take()] == [alive]
    assert (row(dead).state, row(dead).error) == (MailState.CANCELLED, reason)


@pytest.mark.settings(ITEM_MAIL_SECONDS=0)
@pytest.mark.parametrize("state", [AccessState.REMOVED, AccessState.SUSPENDED])
@pytest.mark.usefixtures("context")
def test_nothing_goes_out_without_access(world: World, state: AccessState) -> None:
    client_id = make_client(world, "Byron Family")
    access_id = give_access(world, client_id, "ada@x.example")
    with unit_of_work():
        mails = [
            outbox.enqueue(kind, to_email="ada@x.example", firm_id=world.firm_id, access_id=access_id).id
            for kind in (MailKind.ITEM, MailKind.SIGN_IN)
        ]
    with unit_of_work() as session:
        session.execute(sa.update(PortalAccess).values(state=state))
    assert take() == []
    assert {row(mail_id).state for mail_id in mails} == {MailState.CANCELLED}


@pytest.mark.usefixtures("context")
def test_a_code_that_was_replaced_is_not_mailed(world: World) -> None:
    invite_id = make_invite(world)
    with unit_of_work() as session:
        code = AcceptCode(invite_id=invite_id, name="C", password="hash", expires_at=utc_now() + MINUTE)
        session.add(code)
        session.flush()
        values = {"kind": MailKind.ACCEPT_CODE, "sender_id": None}
        invite = session.get_one(Invite, invite_id)
        old = outbox.enqueue(**invite_mail(invite, **values, accept_code_id="0" * 26)).id
        new = outbox.enqueue(**invite_mail(invite, **values, accept_code_id=code.id)).id
    assert [mail.id for mail in take()] == [new]
    assert row(old).state is MailState.CANCELLED


@pytest.mark.usefixtures("context")
def test_a_lease_that_ran_out_is_taken_again_and_fences_the_first(world: World) -> None:
    mail_id, at = put(make_invite(world)), utc_now()
    (first,) = take(at=at, lease_seconds=60)
    assert take(at=at + timedelta(seconds=59)) == []
    (second,) = take(at=at + timedelta(seconds=61))
    assert (second.id, second.crashes, second.attempts) == (mail_id, 1, 2)
    assert end(first, Sent()) == 0
    assert end(first, Permanent("late")) == 0
    assert row(mail_id).state is MailState.SENDING
    assert end(second, Sent()) == 1
    assert row(mail_id).state is MailState.SENT


@pytest.mark.usefixtures("context")
def test_ten_crashes_end_a_mail(world: World) -> None:
    mail_id, at = put(make_invite(world)), utc_now()
    for crash in range(10):
        (mail,) = take(at=at, lease_seconds=60)
        assert mail.crashes == crash
        at += timedelta(seconds=61)
    assert take(at=at) == []
    assert (row(mail_id).state, row(mail_id).error) == (MailState.FAILED, claim.CRASHED)
    assert row(mail_id).error.startswith("crash")


def test_claims_at_once_share_the_mails(post: Flask, world: World) -> None:
    with post.app_context():
        invite_id = make_invite(world)
        with unit_of_work():
            invite = db.session.get_one(Invite, invite_id)
            outbox.enqueue_many([outbox.NewMail(**invite_mail(invite)) for _ in range(200)])
    taken: list[str] = []

    def work() -> None:
        with post.app_context():
            while mails := take(7):
                taken.extend(mail.id for mail in mails)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 200


@pytest.mark.usefixtures("context")
def test_a_claim_needs_the_same_statements_for_many(world: World) -> None:
    invite_id = make_invite(world)
    counts = []
    for number in (1, 50):
        with unit_of_work():
            invite = db.session.get_one(Invite, invite_id)
            outbox.enqueue_many([outbox.NewMail(**invite_mail(invite)) for _ in range(number)])
        with statements() as seen:
            mails = take(100)
            with unit_of_work():
                settle.settle([Result(mail, Temporary("later")) for mail in mails], utc_now())
        assert len(mails) == number
        counts.append(len(seen))
    assert counts[0] == counts[1]


# Settle


@pytest.mark.usefixtures("context")
def test_a_sent_invite_is_an_event_once(world: World) -> None:
    invite_id = make_invite(world)
    put(invite_id)
    (mail,) = take()
    assert end(mail, Sent()) == 1
    assert end(mail, Sent()) == 0
    sent = row(mail.id)
    assert (sent.state, sent.lease, sent.error) == (MailState.SENT, None, "")
    assert sent.sent_at is not None
    events = db.session.scalars(sa.select(Event)).all()
    assert [(e.name, e.invite_id, e.firm_id, e.workflow, e.data["mail_id"]) for e in events] == [
        ("invite_mailed", invite_id, world.firm_id, "client-request", mail.id)
    ]


@pytest.mark.settings(RETRY_DELAYS_SECONDS="60,300")
@pytest.mark.usefixtures("context")
def test_retries_wait_longer_each_time_until_72_hours_are_over(world: World) -> None:
    mail_id, at = put(make_invite(world)), utc_now()
    for delay in (60, 300, 300):
        (mail,) = take(at=at)
        end(mail, Temporary("it said 451 not now"), at)
        found = row(mail_id)
        assert found.state is MailState.QUEUED
        assert found.error == "Waiting for the mail server: it said 451 not now"
        assert timedelta(seconds=delay * 0.8) <= found.due_at - at <= timedelta(seconds=delay * 1.2)
        assert outbox.delivery_text(found) == "Waiting for the mail server"
        at = found.due_at
    at = row(mail_id).created_at + timedelta(hours=72)
    (mail,) = take(at=at)
    end(mail, Temporary("it said 451 not now"), at)
    assert (row(mail_id).state, row(mail_id).error) == (MailState.FAILED, "Given up: it said 451 not now")


@pytest.mark.usefixtures("context")
def test_a_full_mailbox_gets_a_day(world: World) -> None:
    mail_id = put(make_invite(world))
    at = utc_now() + timedelta(hours=25)
    (mail,) = take(at=at)
    end(mail, Temporary("the mailbox is full", give_up_after=timedelta(days=1)), at)
    assert row(mail_id).state is MailState.FAILED


@pytest.mark.parametrize(
    ("outcome", "state", "attempts"),
    [
        (Permanent("no such person"), MailState.FAILED, 1),
        (Dropped("gone"), MailState.CANCELLED, 1),
        (RelayBroken("sign-in refused"), MailState.QUEUED, 0),
        (Untouched(), MailState.QUEUED, 0),
    ],
)
@pytest.mark.usefixtures("context")
def test_what_the_other_outcomes_leave(
    world: World, outcome: Outcome, state: MailState, attempts: int
) -> None:
    mail_id = put(make_invite(world))
    (mail,) = take()
    assert end(mail, outcome) == 0
    assert (row(mail_id).state, row(mail_id).attempts, row(mail_id).lease) == (state, attempts, None)
    assert getattr(outcome, "reason", "") in row(mail_id).error
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Event)) == 0


# What people see and do


@pytest.mark.usefixtures("context")
def test_the_delivery_of_an_invite_is_its_latest_invite_mail_in_one_query(world: World) -> None:
    first, second, third = (make_invite(world, f"{n}@x.example") for n in range(3))
    put(first)
    newer = put(first)
    put(first, kind=MailKind.ACCEPT_CODE)
    other = put(second)
    with statements() as seen:
        found = outbox.delivery_of([first, second, third])
    assert {invite: mail.id for invite, mail in found.items()} == {first: newer, second: other}
    assert len([statement for statement in seen if "SELECT" in statement]) == 1
    assert outbox.delivery_of([]) == {}


@pytest.mark.usefixtures("context")
def test_retry_by_hand_begins_anew(world: World) -> None:
    mail_id = put(make_invite(world))
    (mail,) = take()
    with pytest.raises(WrongState), unit_of_work():
        outbox.retry(mail_id)
    end(mail, Permanent("no such person"))
    assert outbox.delivery_text(row(mail_id)) == "Mail not sent: no such person"
    with unit_of_work():
        outbox.retry(mail_id)
    at = utc_now() + timedelta(hours=1)
    (again,) = take(at=at)
    assert again.attempts == 1
    end(again, Sent(), at)
    with pytest.raises(WrongState), unit_of_work():
        outbox.retry(mail_id)
    with pytest.raises(Missing), unit_of_work():
        outbox.retry("0" * 26)


@pytest.mark.usefixtures("context")
def test_nothing_leaves_while_mail_is_held(world: World) -> None:
    invite_id = make_invite(world)
    before = put(invite_id)
    with unit_of_work():
        assert outbox.hold() == 1
    after = put(invite_id)
    assert take() == []
    assert {row(before).state, row(after).state} == {MailState.HELD}
    assert outbox.is_held()
    assert outbox.counts() == {MailState.HELD: 2}
    with unit_of_work():
        assert outbox.hold() == 0
        assert outbox.release() == 2
    assert not outbox.is_held()
    assert {mail.id for mail in take()} == {before, after}
    assert len(outbox.list_mails(MailState.SENDING)) == 2


@pytest.mark.usefixtures("context")
def test_a_sealed_text_can_t_be_read_in_the_table_and_goes_when_it_is_sent(world: World) -> None:
    with unit_of_work():
        mail_id = outbox.enqueue_security(
            to_email="ada@x.example",
            subject="Choose",
            paragraphs=["One."],
            button=("Go", "https://x/reset/SECRET"),
        ).id
    raw = db.session.execute(sa.text("SELECT params FROM outbox")).scalar_one()
    assert "SECRET" not in str(raw)
    (mail,) = take()
    assert end(mail, Sent()) == 1
    assert row(mail_id).params == {}
