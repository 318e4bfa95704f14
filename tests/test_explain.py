"""Why can't they see it? The chain says the same as the rows, and its button mends the first no."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from invites import explain
from invites.scope import FirmView, can_see
from models import (
    AccessState,
    ApiToken,
    Audience,
    Contact,
    Event,
    FirmLicence,
    Invite,
    InviteItem,
    InviteState,
    ItemGrant,
    Login,
    MailState,
    Outbox,
    PortalAccess,
    Scope,
    Signer,
    TeamMember,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.api_token import hash_of_token
from models.database import statements
from tests.portal import file, invite, survey
from tests.staff import Shown, Staff
from tests.support.world import PASSWORD, World, give_access, make_client, make_world

pytestmark = pytest.mark.one_database

ADA, WILL = "ada@byron.example", "will@byron.example"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


def ask(dana: Staff, client_id: str, email: str, item_id: str) -> Shown:
    return dana.open(f"/clients/{client_id}/explain?email={email}&item_id={item_id}")


def chain(shown: Shown) -> dict[str, str]:
    """check -> yes or no."""
    return {one.get("data-check"): one.get("data-ok") for one in shown.tree.xpath("//li[@data-check]")}


def button(shown: Shown) -> str:
    """The one button of the chain."""
    (one,) = shown.tree.xpath("//li[@data-check]//*[self::a or self::button]")
    return " ".join(one.text_content().split())


def change(app: Flask, model: type[Any], **values: Any) -> None:
    with app.app_context(), unit_of_work():
        db.session.execute(sa.update(model).values(**values))


# The chain and the rows ----------------------------------------------------------------------------------------------


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    """A person and an item in any state there is."""
    return {
        "access": draw(st.none() | st.sampled_from(AccessState)),
        "scope": draw(st.sampled_from(Scope)),
        "invite": draw(st.none() | st.sampled_from(InviteState)),
        "invite_scope": draw(st.sampled_from(Scope)),
        "expired": draw(st.booleans()),
        "mail": draw(st.none() | st.sampled_from(MailState)),
        "leads": draw(st.booleans()),
        "visible": draw(st.booleans()),
        "audience": draw(st.sampled_from(Audience)),
        "granted": draw(st.booleans()),
        "signs": draw(st.booleans()),
        "licensed": draw(st.booleans()),
    }


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=situations())
def test_the_chain_agrees_with_what_the_rows_say(
    app: Flask, world: World, byron: str, case: dict[str, Any]
) -> None:
    item_id = _item(app, world, byron)
    access_id = _access(app, world, byron)
    with app.app_context(), unit_of_work() as session:
        _arrange(session, world, byron, item_id, access_id, case)
        item = session.get_one(WorkItem, item_id)
        view = FirmView(session.get_one(TeamMember, world.admin_id))
        found = explain.explain(
            view, view.client(byron), ADA, item, "file", "files" if not case["licensed"] else ""
        )
        access = session.get_one(PortalAccess, access_id)
        sees = case["access"] is not None and can_see(access, item)
        assert found.can_see == sees, (case, found)
        assert (found.broken is None) == found.can_see
        first = found.broken
        if first is not None and first.fix is None:  # nothing to press: the mail only has to arrive
            assert first.check == "mail_delivered"
        session.rollback()


def _item(app: Flask, world: World, client_id: str) -> str:
    with app.app_context():
        found = db.session.scalar(sa.select(WorkItem.id))
    return found or file(world, client_id, visible=False)


def _access(app: Flask, world: World, client_id: str) -> str:
    with app.app_context():
        found = db.session.scalar(sa.select(PortalAccess.id))
    return found or give_access(world, client_id, ADA)


def _arrange(
    session: Any, world: World, client_id: str, item_id: str, access_id: str, case: dict[str, Any]
) -> None:
    now = utc_now()
    item = session.get_one(WorkItem, item_id)
    item.visible, item.audience = case["visible"], case["audience"]
    access = session.get_one(PortalAccess, access_id)
    access.scope = case["scope"]
    if case["access"] is None:
        access.email = "somebody.else@byron.example"
    else:
        access.email, access.state = ADA, case["access"]
    if case["granted"]:
        session.add(ItemGrant(item_id=item_id, access_id=access_id))
    if case["signs"]:
        session.add(Signer(item_id=item_id, name="Ada", email=ADA, email_display=ADA))
    if not case["licensed"]:
        session.execute(sa.delete(FirmLicence))
    if case["invite"] is not None:
        row = Invite(
            firm_id=world.firm_id,
            client_id=client_id,
            email=ADA,
            email_display=ADA,
            name="Ada",
            state=case["invite"],
            scope=case["invite_scope"],
            workflow="file",
            invited_by_id=world.admin_id,
            expires_at=now + timedelta(days=-1 if case["expired"] else 5),
        )
        session.add(row)
        session.flush()
        if case["leads"]:
            session.add(InviteItem(invite_id=row.id, item_id=item_id))
        if case["mail"] is not None:
            session.add(
                Outbox(
                    kind="invite", firm_id=world.firm_id, to_email=ADA, invite_id=row.id, state=case["mail"]
                )
            )
    session.flush()


def test_it_asks_the_same_number_of_times_however_much_there_is(app: Flask, world: World, byron: str) -> None:
    items = [file(world, byron, ADA) for _ in range(2)]
    with app.app_context():
        view = FirmView(db.session.get_one(TeamMember, world.admin_id))
        client, item = view.client(byron), view.item(items[0])
        with statements() as few:
            explain.explain(view, client, ADA, item, "file", "files")
    for _ in range(6):
        file(world, byron, ADA, WILL)
    with app.app_context():
        view = FirmView(db.session.get_one(TeamMember, world.admin_id))
        client, item = view.client(byron), view.item(items[0])
        with statements() as many:
            explain.explain(view, client, ADA, item, "file", "files")
    assert len(few) == len(many) <= 9


# The page and its buttons --------------------------------------------------------------------------------------------


def test_never_invited(dana: Staff, byron: str, world: World) -> None:
    item_id = survey(world, byron)
    shown = ask(dana, byron, ADA, item_id)
    assert "Ada Byron can't see Tax organizer 2026" in shown.words
    assert chain(shown)["invited"] == "no"
    assert button(shown) == "Invite"


def test_a_bounced_mail_leads_to_change_address(app: Flask, dana: Staff, byron: str, world: World) -> None:
    item_id = survey(world, byron, ADA)
    shown = ask(dana, byron, ADA, item_id)
    assert (chain(shown)["invited"], chain(shown)["mail_delivered"]) == ("yes", "no")
    assert "Mail on its way." in shown.words
    assert not shown.tree.xpath("//li[@data-check]//*[self::a or self::button]")  # it only has to arrive
    change(app, Outbox, state=MailState.BOUNCED, error="mailbox unknown")
    shown = ask(dana, byron, ADA, item_id)
    assert "Mail bounced: mailbox unknown." in shown.words
    assert button(shown) == "Change address"


def test_not_accepted_and_run_out(app: Flask, dana: Staff, byron: str, world: World) -> None:
    item_id = survey(world, byron, ADA)
    change(app, Outbox, state=MailState.SENT, sent_at=utc_now())
    shown = ask(dana, byron, ADA, item_id)
    assert chain(shown) == {
        "invited": "yes", "mail_delivered": "yes", "accepted": "no", "access_active": "no", "item_visible": "yes",
        "item_visible_to_them": "yes", "licence": "yes",
    }  # fmt: skip
    assert button(shown) == "Resend invite"
    change(app, Invite, expires_at=utc_now() - timedelta(days=1))
    shown = ask(dana, byron, ADA, item_id)
    assert "The invite ran out on" in shown.words
    assert "gets a fresh link" in shown.press(action="/resend").words


def test_a_suspended_access_is_restored(app: Flask, dana: Staff, byron: str, world: World) -> None:
    item_id = survey(world, byron)
    give_access(world, byron, ADA, state=AccessState.SUSPENDED)
    shown = ask(dana, byron, ADA, item_id)
    assert button(shown) == "Restore access"
    shown.press(action="/restore")
    assert "Ada Byron can see Tax organizer 2026" in ask(dana, byron, ADA, item_id).words


def test_an_invisible_file_is_made_visible_and_a_survey_is_sent_to_one_more(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    give_access(world, byron, ADA)
    hidden = file(world, byron, visible=False)
    assert button(ask(dana, byron, ADA, hidden)) == "Make visible"
    give_access(world, byron, WILL, "William King", scope=Scope.ITEMS)
    item_id = survey(world, byron)
    shown = ask(dana, byron, WILL, item_id)
    assert "sees only what was sent to them, and this was not." in shown.words
    assert button(shown) == "Send it to William King"
    done = shown.press(action="/grant")
    assert "William King can see Tax organizer 2026" in done.words
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(ItemGrant)) == 1


def test_without_a_licence_it_says_so(app: Flask, dana: Staff, byron: str, world: World) -> None:
    give_access(world, byron, ADA)
    hidden, shown_before = file(world, byron, visible=False), file(world, byron)
    with app.app_context(), unit_of_work():
        db.session.execute(sa.delete(FirmLicence).where(FirmLicence.key == "files"))
    shown = ask(dana, byron, ADA, hidden)
    assert (chain(shown)["item_visible"], chain(shown)["licence"]) == ("no", "no")
    assert button(shown) == "See licences"
    assert "Ada Byron can see" in ask(dana, byron, ADA, shown_before).words


def test_others_people_and_items_are_as_missing(app: Flask, dana: Staff, byron: str, world: World) -> None:
    other = make_client(world, "Eve", ("Eve", "eve@ledger.example"))
    item_id = survey(world, other)
    assert ask(dana, byron, ADA, item_id).status == 404
    assert ask(dana, byron, "eve@ledger.example", survey(world, byron)).status == 404
    assert dana.open(f"/clients/{byron}/explain").status == 200


# The API ---------------------------------------------------------------------------------------------------------------


def test_the_api_tells_the_same(app: Flask, byron: str, world: World) -> None:
    item_id = survey(world, byron, ADA)
    with app.app_context(), unit_of_work():
        db.session.add(ApiToken(team_member_id=world.admin_id, token_hash=hash_of_token("token")))
    headers = {"Authorization": "Bearer token"}
    client = app.test_client()

    def call(**query: str) -> Any:
        return client.get(f"/api/v1/clients/{byron}/explain", query_string=query, headers=headers)

    answer = call(email="ADA@byron.example", item_type="client-request", item_id=item_id)
    assert answer.status_code == 200
    assert answer.json["can_see"] is False
    assert [step["check"] for step in answer.json["steps"]] == [
        "invited", "mail_delivered", "accepted", "access_active", "item_visible", "item_visible_to_them", "licence",
    ]  # fmt: skip
    assert answer.json["steps"][2] | {"text": ""} == {
        "check": "accepted",
        "ok": False,
        "text": "",
        "fix": "resend",
    }
    assert call(email="no address", item_type="client-request", item_id=item_id).status_code == 422
    assert call(item_type="client-request", item_id=item_id).status_code == 422
    assert call(email=ADA, item_type="file", item_id=item_id).status_code == 404


# Why can't they sign in? -----------------------------------------------------------------------------------------------


def panel_of(dana: Staff, client_id: str, app: Flask, email: str) -> Shown:
    with app.app_context():
        key = db.session.scalars(sa.select(Contact.id).where(Contact.email == email)).one()
    return dana.open(f"/clients/{client_id}/people/{key}/sign-in")


def test_unlock_forgets_the_wrong_passwords(app: Flask, dana: Staff, byron: str, world: World) -> None:
    give_access(world, byron, ADA)
    ada = Staff(app.test_client())
    for _ in range(11):
        last = ada.open("/login").press(email=ADA, password="wrong horse battery")
    assert last.status == 429
    shown = panel_of(dana, byron, app, ADA)
    assert "Locked after too many wrong passwords, for 15 more minutes." in shown.words
    assert button(shown) == "Unlock"
    assert "Ada Byron can try to sign in again at once." in shown.press(action="/unlock").words
    assert chain(panel_of(dana, byron, app, ADA))["not_locked"] == "yes"
    assert ada.open("/login").press(email=ADA, password=PASSWORD).path == "/portal/"
    with app.app_context():
        names = db.session.scalars(sa.select(Event.name).order_by(Event.id)).all()
    assert names[-2:] == ["sign_in_unlocked", "signed_in"]


def test_wrong_address_no_password_switched_off(app: Flask, dana: Staff, byron: str, world: World) -> None:
    assert button(panel_of(dana, byron, app, ADA)) == "Invite"
    invite(world, byron, ADA)
    assert button(panel_of(dana, byron, app, ADA)) == "Resend invite"
    change(app, Outbox, state="bounced")
    assert button(panel_of(dana, byron, app, ADA)) == "Change address"
    change(app, Outbox, state="sent")
    over = utc_now() - timedelta(hours=1)
    change(app, Invite, access_ends_at=over, expires_at=over)
    assert button(panel_of(dana, byron, app, ADA)) == "Change the date"
    give_access(world, byron, ADA)
    shown = panel_of(dana, byron, app, ADA)
    assert "Nothing stands in the way" in shown.words
    assert "gets a mail that leads to sign-in" in shown.press(action="/send-sign-in").words
    change(app, Login, password=None)
    assert button(panel_of(dana, byron, app, ADA)) == "Send sign-in mail"
    change(app, Login, active=False)
    with app.app_context(), unit_of_work():
        db.session.execute(sa.update(Login).where(Login.email.like("%northwind%")).values(active=True))
    assert chain(panel_of(dana, byron, app, ADA))["login_active"] == "no"
