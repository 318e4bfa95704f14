"""Change address: the old link is dead, items, contact and open signatures follow, and the login is never edited."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from invites import access as accesses
from invites import change_address, lifecycle
from invites.orders import InviteResult
from models import (
    AccessState,
    ApiToken,
    Contact,
    Event,
    Invite,
    InviteItem,
    ItemGrant,
    Login,
    Outbox,
    PortalAccess,
    Scope,
    Signer,
    db,
    unit_of_work,
)
from models.api_token import hash_of_token
from models.errors import Invalid, InviteNotPending, Refused, WrongState
from tests.portal import (
    ADA,
    OUTSIDER,
    WILL,
    accept,
    esign,
    file,
    invite,
    link,
    sign_in,
    survey,
    view_of,
    words,
)
from tests.staff import Staff
from tests.support.world import World, give_access, mails, make_client, make_world

NEW = "ada@new-home.example"

pytestmark = pytest.mark.settings(RATE_LIMITS="false")


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


def move_invite(world: World, email: str, typed: object) -> InviteResult:
    with world.app.app_context(), unit_of_work() as session:
        row = session.scalars(
            sa.select(Invite).where(Invite.email == email).order_by(Invite.id.desc())
        ).first()
        return change_address.of_invite(row, view_of(world).member, typed)


def move_access(world: World, access_id: str, typed: object) -> InviteResult:
    with world.app.app_context(), unit_of_work() as session:
        row = session.get_one(PortalAccess, access_id)
        return change_address.of_access(row, view_of(world).member, typed)


def states(app: Flask) -> list[tuple[str, str, str]]:
    with app.app_context():
        rows = db.session.execute(
            sa.select(Invite.email, Invite.state, Invite.ended_reason).order_by(Invite.created_at, Invite.id)
        )
        return [(email, state.value, reason) for email, state, reason in rows]


def items_of(app: Flask, email: str) -> set[str]:
    with app.app_context():
        return set(
            db.session.scalars(
                sa.select(InviteItem.item_id)
                .join(Invite, Invite.id == InviteItem.invite_id)
                .where(Invite.email == email, Invite.state == "pending")
            )
        )


def contacts(app: Flask) -> dict[str, str | None]:
    with app.app_context():
        return dict(db.session.execute(sa.select(Contact.name, Contact.email)).all())


def signers(app: Flask) -> dict[str, tuple[str, str, str]]:
    with app.app_context():
        rows = db.session.execute(sa.select(Signer.name, Signer.email, Signer.email_display, Signer.state))
        return {name: (email, shown, state.value) for name, email, shown, state in rows}


# A pending invite


def test_the_old_link_is_dead_and_everything_goes_to_the_new_address(
    app: Flask, world: World, byron: str
) -> None:
    item = survey(world, byron, ADA, can_see=Scope.ITEMS, message="Ten minutes should do.")
    second = file(world, byron, ADA, can_see=Scope.ITEMS)
    old = link(app, ADA)
    result = move_invite(world, ADA, "Ada@New-Home.example")
    assert (result.outcome.value, result.email, result.name) == (
        "invited",
        "Ada@new-home.example",
        "Ada Byron",
    )
    assert states(app) == [(ADA, "revoked", "address_changed"), (NEW, "pending", "")]
    assert items_of(app, NEW) == {item, second}
    assert contacts(app) == {"Ada Byron": NEW, "William King": WILL}
    assert mails(app)[2:] == [(NEW, "invite", "queued")]
    with app.app_context():
        made = db.session.scalars(sa.select(Invite).where(Invite.email == NEW)).one()
        assert (made.scope, made.message, made.workflow) == (
            Scope.ITEMS, "Ten minutes should do.", "client-request",
        )  # fmt: skip
        mail = db.session.scalars(sa.select(Outbox).where(Outbox.to_email == NEW)).one()
        assert mail.params["what"] == "sent you a survey"
        named = list(db.session.scalars(sa.select(Event.name).order_by(Event.id)))
        assert named[-3:] == ["invite_revoked", "invite_created", "address_changed"]
    person = app.test_client()
    assert "This invite was withdrawn" in words(person.get(old))
    assert person.post(old, data={"name": "Ada", "password": "violet harbour seventeen"}).status_code == 409
    assert accept(person, app, link(app, NEW)).status_code == 200
    assert person.get(f"/portal/items/{item}").status_code == 200


def test_an_expired_invite_can_move_too(app: Flask, world: World, byron: str, time_machine: Any) -> None:
    invite(world, byron, ADA)
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(Invite).values(expires_at=Invite.created_at))
    move_invite(world, ADA, NEW)
    assert states(app) == [(ADA, "revoked", "address_changed"), (NEW, "pending", "")]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (ADA, "This is the address it goes to already."),
        ("ADA@Byron.example", "This is the address it goes to already."),
        ("ada@", "is not an e-mail address"),
        ("", "Enter an e-mail address."),
        (None, "Enter one e-mail address as text."),
    ],
)
def test_the_same_address_and_what_is_none_are_refused(
    app: Flask, world: World, byron: str, typed: object, said: str
) -> None:
    invite(world, byron, ADA)
    with pytest.raises(Invalid) as raised:
        move_invite(world, ADA, typed)
    assert said in raised.value.fields["email"][0]
    assert states(app) == [(ADA, "pending", "")]
    assert mails(app) == [(ADA, "invite", "queued")]


def test_an_address_with_an_open_invite_is_joined(app: Flask, world: World, byron: str) -> None:
    first = survey(world, byron, WILL)
    theirs = link(app, WILL)
    second = survey(world, byron, ADA, title="Another one")
    result = move_invite(world, ADA, WILL)
    assert result.outcome.value == "added_to_invite"
    assert states(app) == [(WILL, "pending", ""), (ADA, "revoked", "address_changed")]
    assert items_of(app, WILL) == {first, second}
    assert accept(app.test_client(), app, theirs).status_code == 200  # earlier links stay valid


def test_an_address_that_has_access_is_granted_the_items(app: Flask, world: World, byron: str) -> None:
    access_id = give_access(world, byron, WILL, "William King", scope=Scope.ITEMS)
    item = survey(world, byron, ADA, can_see=Scope.ITEMS)
    result = move_invite(world, ADA, WILL)
    assert result.outcome.value == "already_has_access"
    assert states(app) == [(ADA, "revoked", "address_changed")]
    with app.app_context():
        grant = db.session.scalars(sa.select(ItemGrant).where(ItemGrant.item_id == item)).one()
        assert grant.access_id == access_id
    assert mails(app)[-1] == (WILL, "item", "queued")


def test_a_suspended_address_is_refused_and_nothing_is_kept(app: Flask, world: World, byron: str) -> None:
    give_access(world, byron, WILL, "William King", state=AccessState.SUSPENDED)
    survey(world, byron, ADA)
    before = (states(app), contacts(app), mails(app))
    with pytest.raises(Refused, match="suspended"):
        move_invite(world, ADA, WILL)
    assert (states(app), contacts(app), mails(app)) == before


@pytest.mark.parametrize("end", ["accepted", "revoked", "declined"])
def test_an_invite_that_ended_does_not_move(app: Flask, world: World, byron: str, end: str) -> None:
    invite_id = invite(world, byron, ADA)
    path = link(app, ADA)
    if end == "accepted":
        accept(app.test_client(), app, path)
    elif end == "declined":
        app.test_client().post(f"{path}/decline")
    else:
        with app.app_context(), unit_of_work() as session:
            lifecycle.revoke(session.get_one(Invite, invite_id), view_of(world).member)
    before = len(mails(app))
    with pytest.raises(InviteNotPending, match=end):
        move_invite(world, ADA, NEW)
    assert contacts(app)["Ada Byron"] == ADA
    assert len(mails(app)) == before


def test_open_signatures_follow_and_given_ones_stay(app: Flask, world: World, byron: str) -> None:
    esign(world, byron, ("Ada Byron", ADA), ("William King", WILL))
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(Signer).where(Signer.email == ADA).values(state="viewed"))
    signed = esign(world, byron, ("Ada Lovelace", ADA), title="Signed before")
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(Signer).where(Signer.item_id == signed).values(state="signed"))
    move_invite(world, ADA, NEW)
    assert signers(app) == {
        "Ada Byron": (NEW, NEW, "waiting"),
        "William King": (WILL, WILL, "waiting"),
        "Ada Lovelace": (ADA, ADA, "signed"),
    }


def test_of_a_couple_with_one_mailbox_only_the_one_moves(app: Flask, world: World) -> None:
    both = "home@turner.example"
    turners = make_client(world, "The Turners", ("John Turner", both), ("Jane Turner", both))
    esign(world, turners, ("John Turner", both), ("Jane Turner", both))
    assert states(app) == [(both, "pending", "")]
    move_invite(world, both, "john@turner.example")
    assert contacts(app) == {"John Turner": "john@turner.example", "Jane Turner": both}
    assert {name: email for name, (email, _, _) in signers(app).items()} == {
        "John Turner": "john@turner.example",
        "Jane Turner": both,
    }
    assert states(app) == [(both, "revoked", "address_changed"), ("john@turner.example", "pending", "")]


# A person who has joined


def test_of_an_active_person_this_access_ends_and_the_new_address_is_invited(
    app: Flask, world: World, byron: str
) -> None:
    other = make_client(world, "Engine Works")
    there = give_access(world, other, ADA)
    elsewhere = survey(world, other, title="Of another client")
    item = survey(world, byron, ADA, can_see=Scope.ITEMS)
    person = app.test_client()
    sign_in(person, ADA)
    assert person.post(link(app, ADA), follow_redirects=True).status_code == 200
    assert person.get(f"/portal/items/{item}").status_code == 200
    with app.app_context():
        (access_id,) = db.session.scalars(sa.select(PortalAccess.id).where(PortalAccess.client_id == byron))
        login_before = _login(ADA)
    result = move_access(world, access_id, NEW)
    assert result.outcome.value == "invited"
    assert person.get(f"/portal/items/{item}").status_code == 404  # in the very session that was open
    assert person.get(f"/portal/items/{elsewhere}").status_code == 200
    assert items_of(app, NEW) == {item}
    with app.app_context():
        assert db.session.get_one(PortalAccess, access_id).state is AccessState.REMOVED
        assert db.session.get_one(PortalAccess, there).state is AccessState.ACTIVE
        assert _login(ADA) == login_before
        assert db.session.scalar(sa.select(Invite.scope).where(Invite.email == NEW)) is Scope.ITEMS
    assert contacts(app)["Ada Byron"] == NEW
    assert mails(app)[-1] == (NEW, "invite", "queued")
    newcomer = app.test_client()
    assert accept(newcomer, app, link(app, NEW)).status_code == 200
    assert newcomer.get(f"/portal/items/{item}").status_code == 200
    assert newcomer.get(f"/portal/items/{elsewhere}").status_code == 404


def _login(email: str) -> tuple[Any, ...]:
    row = db.session.scalars(sa.select(Login).where(Login.email == email)).one()
    return (row.id, row.email, row.email_display, row.name, row.password, row.fs_uniquifier, row.active)


def test_the_same_address_or_no_active_access_is_refused(app: Flask, world: World, byron: str) -> None:
    access_id = give_access(world, byron, ADA)
    with pytest.raises(Invalid):
        move_access(world, access_id, ADA)
    for end in (accesses.suspend, accesses.remove):
        with app.app_context(), unit_of_work() as session:
            end(session.get_one(PortalAccess, access_id), view_of(world).member)
        with pytest.raises(WrongState):
            move_access(world, access_id, NEW)
    assert states(app) == []
    assert mails(app) == []


def test_what_hangs_on_a_person_is_what_this_person_sees(app: Flask, world: World, byron: str) -> None:
    outsider = give_access(world, byron, OUTSIDER, "Bo Keeper", scope=Scope.ITEMS)
    whole = give_access(world, byron, ADA)
    survey(world, byron, title="For the family")
    esign(world, byron, ("Bo Keeper", OUTSIDER))
    with app.app_context():
        found = [accesses.open_work(db.session.get_one(PortalAccess, one)) for one in (outsider, whole)]
        assert found == [["1 open signature"], ["1 open survey"]]
        with unit_of_work() as session:
            accesses.suspend(session.get_one(PortalAccess, outsider), view_of(world).member)
        assert accesses.open_work(db.session.get_one(PortalAccess, outsider)) == ["1 open signature"]


# The page and the API


def test_the_page_says_what_follows_and_does_it(app: Flask, world: World, byron: str) -> None:
    access_id = give_access(world, byron, ADA)
    survey(world, byron)
    dana = Staff.of(app)
    form = dana.open(f"/access/{access_id}/change-address")
    assert "That access to Byron Family ends now" in form.words
    assert "Goes along: 1 open survey" in form.words
    assert form.press(email="nobody").errors()
    done = form.press(email=NEW)
    assert f"Ada Byron: {NEW}. Invite sent." in done.words
    assert dana.open(f"/access/{access_id}/change-address").status == 409
    assert Staff.of(app, "mia@northwind.example").open(f"/access/{access_id}/change-address").status == 404


def test_the_api_moves_an_invite(app: Flask, world: World, byron: str) -> None:
    with app.app_context(), unit_of_work() as session:
        session.add(ApiToken(team_member_id=world.admin_id, name="t", token_hash=hash_of_token("ours")))
    other = make_world(app, "Alder Legal", "alder.example")
    with app.app_context(), unit_of_work() as session:
        session.add(ApiToken(team_member_id=other.admin_id, name="t", token_hash=hash_of_token("theirs")))
    item = survey(world, byron, ADA)
    with app.app_context():
        old = db.session.scalars(sa.select(Invite.id)).one()

    def call(path: str, body: Any, token: str = "ours") -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return app.test_client().post(f"/api/v1{path}", json=body, headers=headers)

    assert call(f"/invites/{old}/change-address", {"email": NEW}, "theirs").status_code == 404
    refused = call(f"/invites/{old}/change-address", {"email": ADA})
    assert (refused.status_code, list(refused.get_json()["errors"])) == (422, ["email"])
    assert call(f"/invites/{old}/change-address", {}).status_code == 422
    answer = call(f"/invites/{old}/change-address", {"email": NEW})
    assert answer.status_code == 201, answer.text
    body = answer.get_json()
    assert (body["email"], body["state"], [one["id"] for one in body["items"]]) == (NEW, "pending", [item])
    assert body["id"] != old
    again = call(f"/invites/{old}/change-address", {"email": "third@new-home.example"})
    assert (again.status_code, again.get_json()["code"]) == (409, "invite_not_pending")
    give = give_access(world, byron, WILL, "William King")
    moved = call(f"/access/{give}/change-address", {"email": "will@new-home.example"})
    assert (moved.status_code, moved.get_json()["state"]) == (201, "pending")
    assert call(f"/access/{give}/change-address", {"email": NEW}).status_code == 409
