"""What happens to an invite, as the rows and the outbox show it: who got which mail, and that nobody else did."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

import config
from invites import accept, lifecycle
from invites import access as accesses
from invites.inviting import invite_people
from invites.lifecycle import Occasion
from invites.orders import InviteOrder, InviteResult, Recipient
from invites.scope import FirmView
from mail.links import invite_token
from models import (
    AccessState,
    Contact,
    Event,
    Invite,
    InviteState,
    InviteToken,
    PortalAccess,
    Scope,
    TeamMember,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.database import statements
from models.errors import InviteNotPending, WrongState
from tests.support.world import World, give_access, hashed, mails, make_client, make_world

ADA = "ada@byron.example"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", "will@byron.example"))


def view(world: World) -> FirmView:
    return FirmView(db.session.get_one(TeamMember, world.admin_id))


def send(
    world: World, client_id: str, *people: Recipient, items: int = 0, **order: object
) -> list[InviteResult]:
    """Send from the record, or with freshly made items."""
    with unit_of_work():
        firm = view(world)
        client = firm.client(client_id)
        made = [new_item(world, client_id, f"Item {n}") for n in range(items)]
        workflow, what = (
            ("client-request", "sent you a survey") if items else ("client-record", "invited you")
        )
        results = invite_people(
            Occasion(client, firm.member, workflow, what, made), InviteOrder(tuple(people), **order)
        )
    return results


def new_item(world: World, client_id: str, title: str, due_on: date | None = None) -> WorkItem:
    item = WorkItem(
        firm_id=world.firm_id, client_id=client_id, workflow="client-request", title=title, status="sent",
        visible=True, open=True, due_on=due_on,
    )  # fmt: skip
    db.session.add(item)
    db.session.flush()
    return item


def outcomes(results: list[InviteResult]) -> list[str]:
    return [result.outcome.value for result in results]


def live_link(app: Flask, invite_id: str, generation: int | None = None) -> accept.Link:
    invite = db.session.get_one(Invite, invite_id)
    return accept.look_up(invite_token(config.current(), invite_id, generation or invite.generation))


@contextmanager
def inside(app: Flask):
    with app.app_context():
        yield
        db.session.rollback()


def test_one_invite_one_mail_and_nobody_else(app: Flask, world: World, byron: str) -> None:
    with inside(app):
        results = send(world, byron, Recipient(email="Ada@Byron.example"))
        invite = results[0].invite
        assert outcomes(results) == ["invited"]
        assert (invite.state, invite.scope, invite.generation) == (InviteState.PENDING, Scope.PORTAL, 1)
        assert timedelta(days=29, hours=23) < invite.expires_at - utc_now() <= timedelta(days=30)
    assert mails(app) == [(ADA, "invite", "queued")]


def test_the_same_within_a_minute_sends_no_second_mail(app: Flask, world: World, byron: str) -> None:
    with inside(app):
        send(world, byron, Recipient(email=ADA))
        assert outcomes(send(world, byron, Recipient(email=ADA))) == ["already_invited"]
    assert mails(app) == [(ADA, "invite", "queued")]


def test_again_after_a_minute_is_resent_with_a_fresh_link(
    app: Flask, world: World, byron: str, time_machine
) -> None:
    with inside(app):
        first = send(world, byron, Recipient(email=ADA))[0].invite.id
        time_machine.move_to(utc_now() + timedelta(minutes=2), tick=True)
        results = send(world, byron, Recipient(email=ADA))
        assert outcomes(results) == ["resent"]
        assert results[0].invite.id == first
        assert live_link(app, first, 1).state is accept.LinkState.SUPERSEDED
        assert live_link(app, first, 2).state is accept.LinkState.LIVE


def test_a_second_item_joins_and_earlier_links_stay_valid(app: Flask, world: World, byron: str) -> None:
    with inside(app):
        first = send(world, byron, Recipient(email=ADA), items=1)
        second = send(world, byron, Recipient(email=ADA), items=1)
        assert outcomes(first) + outcomes(second) == ["invited", "added_to_invite"]
        invite = second[0].invite
        assert invite.id == first[0].invite.id
        assert invite.generation == 1
        assert len(lifecycle.items_of(invite)) == 2
        assert live_link(app, invite.id, 1).state is accept.LinkState.LIVE
    assert mails(app) == [(ADA, "invite", "queued")] * 2


def test_one_bad_address_does_not_stop_the_others(app: Flask, world: World, byron: str) -> None:
    with inside(app):
        results = send(
            world, byron, Recipient(email="nonsense"), Recipient(email=["a@b.example"]), Recipient(email=ADA),
            Recipient(contact_id="missing"),
        )  # fmt: skip
        assert outcomes(results) == ["invalid", "invalid", "invited", "invalid"]
        assert all(result.reason for result in results)
    assert mails(app) == [(ADA, "invite", "queued")]


def test_a_typed_person_becomes_a_contact_and_sees_only_the_item(
    app: Flask, world: World, byron: str
) -> None:
    with inside(app):
        results = send(
            world, byron, Recipient(email="charles@engine.example", name="Charles Babbage"), items=1
        )
        assert results[0].invite.scope is Scope.ITEMS
        contact = db.session.scalars(
            sa.select(Contact).where(Contact.email == "charles@engine.example")
        ).one()
        assert (contact.name, contact.client_id) == ("Charles Babbage", byron)


def test_what_somebody_sees_stays_as_it_was_where_nobody_says_anything_else(
    app: Flask, world: World, byron: str
) -> None:
    charles = "charles@engine.example"
    with inside(app):
        assert send(world, byron, Recipient(email=charles), items=1)[0].invite.scope is Scope.ITEMS
        assert send(world, byron, Recipient(email=charles), items=1)[0].invite.scope is Scope.ITEMS
        with unit_of_work():
            lifecycle.revoke(db.session.scalars(sa.select(Invite)).one(), view(world).member)
        again = send(world, byron, Recipient(email=charles), items=1)[0]
        assert (again.outcome.value, again.invite.scope) == ("invited", Scope.ITEMS)
        wider = send(world, byron, Recipient(email=charles, can_see=Scope.PORTAL), items=1)[0]
        assert wider.invite.scope is Scope.PORTAL


def test_a_couple_with_one_mailbox_gets_one_invite(app: Flask, world: World) -> None:
    turner = make_client(
        world,
        "Turner",
        ("John Turner", "turners@household.example"),
        ("Jane Turner", "turners@household.example"),
    )
    with inside(app):
        people = [Recipient(contact_id=contact.id) for contact in view(world).client(turner).contacts]
        results = send(world, turner, *people)
        assert outcomes(results) == ["invited", "already_invited"]
        assert "John Turner" in results[1].reason
    assert mails(app) == [("turners@household.example", "invite", "queued")]


@pytest.mark.parametrize("items", [0, 1])
def test_fifty_people_cost_as_many_statements_as_one(app: Flask, world: World, items: int) -> None:
    counts = []
    for many in (1, 50):
        client_id = make_client(world, f"{many}")
        with inside(app), statements() as sent:
            people = [Recipient(email=f"p{n}@many{many}.example") for n in range(many)]
            assert outcomes(send(world, client_id, *people, items=items)) == ["invited"] * many
        counts.append(len(sent))
    assert counts[0] == counts[1]


def test_who_has_access_gets_the_item_mail_and_no_invite(app: Flask, world: World, byron: str) -> None:
    give_access(world, byron, ADA)
    with inside(app):
        assert outcomes(send(world, byron, Recipient(email=ADA), items=1)) == ["already_has_access"]
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Invite)) == 0
    assert mails(app) == [(ADA, "item", "queued")]


def test_a_suspended_person_is_blocked(app: Flask, world: World, byron: str) -> None:
    give_access(world, byron, ADA, state=AccessState.SUSPENDED)
    with inside(app):
        assert outcomes(send(world, byron, Recipient(email=ADA))) == ["blocked"]
    assert mails(app) == []


def test_an_invite_never_ends_before_its_item_is_due(app: Flask, world: World, byron: str) -> None:
    due = utc_now().date() + timedelta(days=60)
    with inside(app), unit_of_work():
        firm = view(world)
        item = new_item(world, byron, "Late", due)
        occasion = Occasion(firm.client(byron), firm.member, "client-request", "sent you a survey", [item])
        invite = invite_people(occasion, InviteOrder((Recipient(email=ADA),)))[0].invite
        assert invite.expires_at.date() == due


def test_accepting_makes_login_access_and_grants_once(app: Flask, world: World, byron: str) -> None:
    with inside(app):
        invite = send(world, byron, Recipient(email=ADA, can_see=Scope.ITEMS), items=2)[0].invite
        with unit_of_work():
            login, access = accept.accept_new(live_link(app, invite.id), "Ada Byron", hashed())
            assert (login.email, access.scope, access.state) == (ADA, Scope.ITEMS, AccessState.ACTIVE)
        link = live_link(app, invite.id)
        assert link.state is accept.LinkState.ACCEPTED
        with pytest.raises(InviteNotPending), unit_of_work():
            accept.accept_new(link, "Eve", hashed())
        assert db.session.scalar(sa.select(sa.func.count()).select_from(PortalAccess)) == 1
        names = list(db.session.scalars(sa.select(Event.name).order_by(Event.id)))
        assert names.count("invite_accepted") == 1


def test_a_login_of_another_address_consumes_nothing(app: Flask, world: World, byron: str) -> None:
    give_access(world, make_client(world, "Other"), "eve@elsewhere.example", "Eve")
    with inside(app):
        invite = send(world, byron, Recipient(email=ADA))[0].invite
        eve = accept.login_of("eve@elsewhere.example")
        with pytest.raises(WrongState, match=r"eve@elsewhere.example.*ada@byron.example"), unit_of_work():
            accept.accept_as(live_link(app, invite.id), eve)
        assert live_link(app, invite.id).state is accept.LinkState.LIVE


def test_removed_invited_again_accepted(app: Flask, world: World, byron: str) -> None:
    access_id = give_access(world, byron, ADA)
    with inside(app):
        with unit_of_work():
            accesses.remove(view(world).access(access_id), world.member)
        invite = send(world, byron, Recipient(email=ADA, can_see=Scope.ITEMS))[0].invite
        with unit_of_work():
            access = accept.accept_as(live_link(app, invite.id), accept.login_of(ADA))
        assert (access.id, access.state, access.scope) == (access_id, AccessState.ACTIVE, Scope.ITEMS)


@pytest.mark.parametrize("end", ["revoke", "decline", "not_me"])
def test_an_ended_invite_stays_ended(app: Flask, world: World, byron: str, end: str) -> None:
    with inside(app):
        invite = send(world, byron, Recipient(email=ADA))[0].invite
        with unit_of_work():
            if end == "revoke":
                lifecycle.revoke(invite, world.member)
            else:
                lifecycle.decline(invite, not_me=end == "not_me")
        link = live_link(app, invite.id)
        assert link.state in {accept.LinkState.REVOKED, accept.LinkState.DECLINED}
        for move in (
            lambda: lifecycle.resend(invite, world.member, "x"),
            lambda: lifecycle.revoke(invite, world.member),
        ):
            with pytest.raises(InviteNotPending), unit_of_work():
                move()
        assert outcomes(send(world, byron, Recipient(email=ADA))) == ["invited"]


def test_the_clock_alone_expires_and_resending_revives(
    app: Flask, world: World, byron: str, time_machine
) -> None:
    with inside(app):
        invite = send(world, byron, Recipient(email=ADA), expires_in_days=2)[0].invite
        time_machine.move_to(utc_now() + timedelta(days=3), tick=True)
        link = live_link(app, invite.id)
        assert link.state is accept.LinkState.EXPIRED
        with pytest.raises(InviteNotPending), unit_of_work():
            accept.accept_new(link, "Ada", hashed())
        with unit_of_work():
            accept.send_new_link(link)
        assert live_link(app, invite.id).state is accept.LinkState.LIVE
        assert live_link(app, invite.id, 1).state is accept.LinkState.SUPERSEDED
    assert {email for email, _, _ in mails(app)} == {ADA}


def test_the_code_counts_its_tries(app: Flask, world: World, byron: str) -> None:
    with inside(app):
        invite = send(world, byron, Recipient(email=ADA))[0].invite
        with unit_of_work():
            code = accept.begin(live_link(app, invite.id), "Ada", hashed())
            right = accept.links.accept_code(config.current(), code.id)
        wrong = "000000" if right != "000000" else "111111"
        for _ in range(accept.CODE_TRIES):
            with unit_of_work():
                assert accept.check_code(live_link(app, invite.id), wrong) is not None
        with pytest.raises(WrongState), unit_of_work():
            accept.check_code(live_link(app, invite.id), right)


def test_no_table_holds_a_token(app: Flask, world: World, byron: str) -> None:
    with inside(app):
        invite = send(world, byron, Recipient(email=ADA), items=1)[0].invite
        token = invite_token(config.current(), invite.id, 1)
        for table in InviteToken.metadata.sorted_tables:
            for row in db.session.execute(sa.select(table)):
                assert token not in repr(row)
