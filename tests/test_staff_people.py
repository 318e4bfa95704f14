"""A person of a client: what the panel says, what its buttons do, and what is asked before something ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from models import AccessState, Contact, Invite, Outbox, PortalAccess, db, unit_of_work, utc_now
from tests.portal import invite, survey
from tests.staff import Shown, Staff
from tests.support.world import World, give_access, mails, make_client, make_world

pytestmark = pytest.mark.one_database

ADA, WILL = "ada@byron.example", "will@byron.example"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL), ("Annabella", None))


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


def panel(dana: Staff, client_id: str, name: str) -> Shown:
    """Select a name in the record's Client Portal section."""
    record = dana.open(f"/clients/{client_id}")
    for one in record.tree.xpath("//section[@id='client-portal']//a[contains(@href, '/people/')]"):
        if name in one.text_content():
            return dana.open(one.get("href"))
    raise AssertionError(f"{name} is not in the Client Portal section: {record.words}")


def buttons(shown: Shown) -> list[str]:
    """What can be pressed on the panel, in order."""
    return [
        " ".join(one.text_content().split())
        for one in shown.tree.xpath(
            "//*[@data-dialog]//div[contains(@class, 'actions')]//*[self::a or self::button]"
        )
    ]


def of(app: Flask, model: type[Any], email: str) -> str:
    with app.app_context():
        row = (
            db.session.scalars(sa.select(model).where(model.email == email).order_by(model.id.desc()))
            .unique()
            .first()
        )
        return row.state.value


def test_the_record_shows_each_person_with_standing(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    give_access(world, byron, ADA, last_login_at=utc_now())
    invite(world, byron, WILL)
    words = dana.open(f"/clients/{byron}").words
    assert "Ada Byron ada@byron.example Last login" in words
    assert "William King will@byron.example Invited today, never logged in" in words
    assert "Annabella No e-mail" in words


def test_resend_makes_a_fresh_link(app: Flask, dana: Staff, byron: str, world: World) -> None:
    invite(world, byron, WILL)
    shown = panel(dana, byron, "William")
    assert buttons(shown) == ["Resend invite", "Change address", "Revoke invite", "Switch reminders off"]
    done = shown.press(action="/resend")
    assert done.path == f"/clients/{byron}"
    assert "William King gets a fresh link. Older links say that a newer mail was sent." in done.words
    with app.app_context():
        assert db.session.scalars(sa.select(Invite.generation)).one() == 2
    assert mails(app) == [(WILL, "invite", "queued"), (WILL, "invite", "queued")]


def test_revoke_asks_and_names_what_waits(app: Flask, dana: Staff, byron: str, world: World) -> None:
    survey(world, byron, WILL, title="Organizer 2026")
    shown = panel(dana, byron, "William")
    link = shown.tree.xpath("//a[contains(@href, '/revoke')]")[0]
    assert link.get("data-opens-dialog") is not None
    asked = dana.open(link.get("href"))
    assert "Revoke the invite to William King?" in asked.words
    assert "Waiting for William King: Organizer 2026" in asked.words
    assert of(app, Invite, WILL) == "pending"
    done = asked.press(action="/revoke")
    assert "The invite to William King is revoked." in done.words
    assert of(app, Invite, WILL) == "revoked"
    assert buttons(panel(dana, byron, "William")) == ["Invite again", "Change address"]


def test_removing_asks_names_open_work_and_can_be_undone(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    access_id = give_access(world, byron, ADA)
    survey(world, byron)
    shown = panel(dana, byron, "Ada")
    assert buttons(shown) == ["Resend invite", "Change address", "Suspend", "Remove access"]
    assert "1 open survey" in shown.words
    asked = dana.open(f"/access/{access_id}/remove")
    assert "Waiting for Ada Byron: 1 open survey" in asked.words
    assert of(app, PortalAccess, ADA) == "active"
    assert "Ada Byron has no access to Byron Family any more." in asked.press(action="/remove").words
    assert of(app, PortalAccess, ADA) == "removed"
    shown = panel(dana, byron, "Ada")
    assert buttons(shown) == ["Restore access", "Invite again"]
    assert "Ada Byron has access to Byron Family again." in shown.press(action="/restore").words
    assert of(app, PortalAccess, ADA) == "active"


def test_suspend_asks_and_is_restored(app: Flask, dana: Staff, byron: str, world: World) -> None:
    access_id = give_access(world, byron, ADA)
    dana.open(f"/access/{access_id}/suspend").press(action="/suspend")
    shown = panel(dana, byron, "Ada")
    assert "Suspended" in shown.words
    assert buttons(shown) == ["Restore access", "Remove access"]
    shown.press(action="/restore")
    assert of(app, PortalAccess, ADA) == "active"


def test_resending_to_somebody_inside_mails_the_way_in(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    give_access(world, byron, ADA)
    done = panel(dana, byron, "Ada").press(action="/send-sign-in")
    assert "Ada Byron gets a mail that leads to sign-in and to what is waiting." in done.words
    assert mails(app) == [(ADA, "sign_in", "queued")]


def test_invite_again_ticks_this_person_alone(app: Flask, dana: Staff, byron: str, world: World) -> None:
    give_access(world, byron, WILL, "William King", state=AccessState.REMOVED)
    shown = panel(dana, byron, "William")
    window = dana.open(shown.tree.xpath("//a[@data-opens-window]")[0].get("href"))
    assert window.ticked() == ["William King"]
    window.press("do=send")
    assert mails(app) == [(WILL, "invite", "queued")]


def test_what_moved_on_meanwhile_is_said(app: Flask, dana: Staff, byron: str, world: World) -> None:
    invite_id = invite(world, byron, WILL)
    shown, asked = panel(dana, byron, "William"), dana.open(f"/invites/{invite_id}/revoke")
    asked.press(action="/revoke")
    late = shown.press(action="/resend")
    assert late.status == 409
    assert "revoked already" in late.words
    assert len(mails(app)) == 1


def test_a_bounced_address_is_mended_and_the_old_invite_ends(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    invite(world, byron, WILL)
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(Outbox).values(state="bounced", error="550 no such mailbox"))
    shown = panel(dana, byron, "William")
    assert "Mail bounced: 550 no such mailbox" in shown.words
    assert buttons(shown) == ["Change address", "Resend invite", "Revoke invite"]
    form = dana.open(shown.tree.xpath("//a[contains(@href, '/change-address')]")[0].get("href"))
    wrong = form.press(email="william@")
    assert wrong.status == 422
    assert wrong.fields()["email"] == "william@"
    assert "the address it goes to already" in wrong.press(email="WILL@byron.example").words
    record = wrong.press(email="william@byron.example")
    assert "William King william@byron.example Invited today" in record.words
    assert "will@byron.example" not in record.words
    assert (of(app, Invite, WILL), of(app, Invite, "william@byron.example")) == ("revoked", "pending")


def test_an_address_that_left_the_record_still_shows_its_access(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    access_id = give_access(world, byron, ADA)
    with app.app_context(), unit_of_work() as session:
        session.execute(
            sa.update(Contact)
            .where(Contact.email == ADA)
            .values(email="new@byron.example", email_display="new@byron.example")
        )
    words = dana.open(f"/clients/{byron}").words
    assert "Ada Byron new@byron.example No invite sent" in words
    assert "Ada Byron ada@byron.example Not on the record any more" in words
    shown = dana.open(f"/clients/{byron}/people/{access_id}")
    assert buttons(shown) == ["Resend invite", "Change address", "Suspend", "Remove access"]


def test_two_with_one_mailbox_are_two_rows(dana: Staff, world: World) -> None:
    turners = make_client(
        world, "Turner", ("John Turner", "t@home.example"), ("Jane Turner", "t@home.example")
    )
    assert (
        "Jane Turner t@home.example Shared mailbox with John Turner" in dana.open(f"/clients/{turners}").words
    )
    shown = dana.open(f"/clients/{turners}/invite")
    assert "Shared mailbox with Jane Turner" in shown.words
    done = shown.press("do=send")
    assert "Shares a mailbox with John Turner: one mail serves both." in done.words


def test_an_expired_invite_says_until_when_it_worked(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    invite(world, byron, WILL)
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(Invite).values(expires_at=utc_now() - timedelta(days=2)))
    shown = panel(dana, byron, "William")
    assert "The link has run out. Resend invite sends a fresh one." in shown.words
    assert "Expired" in shown.words


def test_the_list_of_portals_opens_the_panel_by_the_invite_or_the_access(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    invite_id, access_id = invite(world, byron, WILL), give_access(world, byron, ADA, "Ada Byron")
    listed = dana.open("/portals")
    found = {
        link.text_content(): link.get("href").partition("?")[0]
        for link in listed.tree.xpath("//td[contains(@class, 'who')]/a[@data-opens-dialog]")
    }
    assert found == {
        "William King": f"/clients/{byron}/people/{invite_id}",
        "Ada Byron": f"/clients/{byron}/people/{access_id}",
    }
    assert buttons(dana.open(found["William King"])) == buttons(panel(dana, byron, "William King"))
    assert "Ada Byron" in dana.open(f"{found['Ada Byron']}/sign-in").words
