"""Whole stories of an invite, by the real mails: who got which, what each link does, and who sees what in the end."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

import tasks
from models import Invite, Login, Outbox, PortalAccess, Scope, db, unit_of_work, utc_now
from tests.portal import (
    ADA,
    NEW_PASSWORD,
    OUTSIDER,
    WILL,
    accept,
    esign,
    everything,
    file,
    invite,
    sign_in,
    survey,
    words,
)
from tests.staff import Staff
from tests.support.smtp import Mail, MailServer
from tests.support.world import World, give_access, make_client, make_world

pytestmark = pytest.mark.settings(RATE_LIMITS="false")


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


@pytest.fixture
def post(app: Flask, smtp: MailServer) -> Callable[[], MailServer]:
    """`post()`: the worker sends what is queued; the server with what arrived."""

    def deliver() -> MailServer:
        with app.app_context():
            tasks.send_mail()
        return smtp

    return deliver


def link_in(mail: Mail) -> str:
    """The invite's link in a mail, as a path."""
    found = re.search(r"https?://\S+/portal/invite/\S+", mail.text)
    assert found, mail.text
    address = urlsplit(found.group(0))
    return f"{address.path}?{address.query}" if address.query else address.path


def last_link(smtp: MailServer, email: str) -> str:
    return link_in([mail for mail in smtp.to(email) if "/portal/invite/" in mail.text][-1])


def count(app: Flask, *conditions: Any) -> int:
    with app.app_context():
        return int(db.session.scalar(sa.select(sa.func.count()).where(*conditions)) or 0)


def test_expired_by_the_clock_then_send_me_a_new_link_reaches_only_the_invited_address(
    app: Flask, world: World, byron: str, post: Callable[[], MailServer], time_machine: Any
) -> None:
    item = survey(world, byron, ADA)
    old = last_link(post(), ADA)
    time_machine.move_to(utc_now() + timedelta(days=30, seconds=1), tick=True)  # and no job ran
    stranger = app.test_client()
    bare = old.split("?")[0]
    assert "This invite has expired" in words(stranger.get(old))
    stranger.post(f"{bare}/new-link", data={"email": "eve@evil.example", "item": item})
    smtp = post()
    assert smtp.everyone() == [ADA, ADA]
    assert "A newer mail was sent" in words(stranger.get(old))
    assert ADA.split("@")[0] not in smtp.to(ADA)[-1].sender
    landed = accept(app.test_client(), app, last_link(smtp, ADA))
    assert landed.request.path == f"/portal/items/{item}"


def test_removed_invited_again_accepted(
    app: Flask, world: World, byron: str, post: Callable[[], MailServer]
) -> None:
    first = survey(world, byron, ADA)
    ada = app.test_client()
    accept(ada, app, last_link(post(), ADA))
    second = survey(world, byron, title="For everybody")
    assert ada.get(f"/portal/items/{second}").status_code == 200
    dana = Staff.of(app)
    with app.app_context():
        access_id = db.session.scalars(sa.select(PortalAccess.id)).one()
    asked = dana.open(f"/access/{access_id}/remove")
    assert "2 open surveys" in asked.words
    asked.press()
    for path in (f"/portal/items/{first}", f"/portal/items/{second}", f"/portal/?client={byron}"):
        assert ada.get(path).status_code == 404, path
    assert "Access removed" in dana.open(f"/clients/{byron}").words
    third = survey(world, byron, ADA, title="Only this one", can_see=Scope.ITEMS)
    path = last_link(post(), ADA)
    assert "Accept" in words(ada.get(path))  # signed in still, and has nothing to type
    assert ada.post(path, follow_redirects=True).request.path == f"/portal/items/{third}"
    assert ada.get(f"/portal/items/{second}").status_code == 404  # this invite shows one item
    assert count(app, PortalAccess.client_id == byron) == 1
    assert count(app, Login.email == ADA) == 1


def test_bounced_address_changed_accepted(
    app: Flask, world: World, byron: str, post: Callable[[], MailServer], smtp: MailServer
) -> None:
    wrong, right = "ada@byrom.example", "ada@byron.org"
    client_id = make_client(world, "Typed wrongly", ("Ada Byron", wrong))
    item = esign(world, client_id, ("Ada Byron", wrong))
    old = last_link(post(), wrong)
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(Outbox).values(state="bounced", error="550 5.1.1 no such person"))
    dana = Staff.of(app)
    record = dana.open(f"/clients/{client_id}")
    assert "Mail bounced" in record.words
    smtp.clear()
    with app.app_context():
        invite_id = db.session.scalars(sa.select(Invite.id).where(Invite.email == wrong)).one()
    done = dana.open(f"/invites/{invite_id}/change-address").press(email=right)
    assert f"Ada Byron {right} Invited today, never logged in" in done.words
    assert post().everyone() == [right]
    assert "This invite was withdrawn" in words(app.test_client().get(old))
    ada = app.test_client()
    landed = accept(ada, app, last_link(smtp, right))
    assert landed.request.path == f"/portal/items/{item}"
    assert "Sign" in words(landed)  # the signature waits for the new address
    assert "Last login" in dana.open(f"/clients/{client_id}").words


def test_one_person_with_two_clients_and_one_login(
    app: Flask, world: World, byron: str, post: Callable[[], MailServer]
) -> None:
    elsewhere = make_world(app, "Alder Legal", "alder.example")
    engines = make_client(elsewhere, "Engine Works", ("A. Byron", ADA))
    first, second = survey(world, byron, ADA), survey(elsewhere, engines, ADA, title="Of the other firm")
    at_byron, at_engines = (
        link_in(mail) for mail in sorted(post().to(ADA), key=lambda mail: "Alder" in mail.text)
    )
    ada = app.test_client()
    accept(ada, app, at_byron)
    assert ada.get(f"/portal/items/{second}").status_code == 404
    assert ada.post(at_engines, follow_redirects=True).request.path == f"/portal/items/{second}"
    to_do = words(ada.get("/portal/todo"))
    assert "Tax organizer 2026" in to_do
    assert "Of the other firm" in to_do
    assert "Byron Family, Northwind Tax" in to_do
    assert "Engine Works, Alder Legal" in to_do
    assert count(app, Login.email == ADA) == 1
    assert count(app, PortalAccess.email == ADA) == 2
    with app.app_context():
        theirs = db.session.scalars(sa.select(PortalAccess.id).where(PortalAccess.client_id == engines)).one()
    assert Staff.of(app).open(f"/access/{theirs}/remove").status == 404
    Staff.of(app, "dana@alder.example").open(f"/access/{theirs}/remove").press()
    assert ada.get(f"/portal/items/{second}").status_code == 404
    assert ada.get(f"/portal/items/{first}").status_code == 200


def test_a_couple_with_one_mailbox(app: Flask, world: World, post: Callable[[], MailServer]) -> None:
    home = "home@turner.example"
    turners = make_client(world, "The Turners", ("John Turner", home), ("Jane Turner", home))
    item = esign(world, turners, ("John Turner", home), ("Jane Turner", home))
    smtp = post()
    assert smtp.everyone() == [home]  # one mail serves both
    record = Staff.of(app).open(f"/clients/{turners}").words
    assert "Shared mailbox with Jane Turner" in record
    assert "Shared mailbox with John Turner" in record
    together = app.test_client()
    page = words(accept(together, app, last_link(smtp, home), name="John Turner"))
    assert "John Turner" in page
    assert "Jane Turner" in page
    assert together.get(f"/portal/items/{item}").status_code == 200
    assert count(app, Login.email == home) == 1
    survey(world, turners, home)
    assert [address for address in post().everyone() if address != home] == []


def test_signed_in_as_somebody_else(
    app: Flask, world: World, byron: str, post: Callable[[], MailServer]
) -> None:
    give_access(world, byron, WILL, "William King")
    item = survey(world, byron, ADA, can_see=Scope.ITEMS)
    path = last_link(post(), ADA)
    browser = app.test_client()
    sign_in(browser, WILL)
    before = everything(app)
    page = words(browser.get(path))
    assert ADA in page
    assert WILL in page
    assert everything(app) == before
    assert browser.post(path).status_code == 409
    assert count(app, Invite.state == "accepted") == 0  # nothing was used up
    bare = path.split("?")[0]
    switched = browser.post(f"{bare}/switch", data={"item": item}, follow_redirects=True)
    assert "password" in switched.text
    assert accept(browser, app, path).request.path == f"/portal/items/{item}"
    assert count(app, Invite.state == "accepted") == 1


@pytest.mark.settings(ITEM_MAIL_SECONDS="0")
def test_shared_with_a_person_who_already_has_access(
    app: Flask, world: World, byron: str, post: Callable[[], MailServer]
) -> None:
    give_access(world, byron, ADA)
    give_access(world, byron, OUTSIDER, "Bo Keeper", scope=Scope.ITEMS)
    item = file(world, byron, ADA, OUTSIDER, can_see=Scope.ITEMS)
    smtp = post()
    assert smtp.everyone() == [ADA, OUTSIDER]
    assert count(app, Invite.id.is_not(None)) == 0  # an item notice, no invite
    for mail in smtp.mails:
        assert "/portal/invite/" not in mail.text
        assert f"/portal/items/{item}" in mail.text
    keeper = app.test_client()
    sign_in(keeper, OUTSIDER)
    assert keeper.get(f"/portal/items/{item}").status_code == 200


def test_reminder_job_off_for_a_week(
    app: Flask, world: World, byron: str, post: Callable[[], MailServer], time_machine: Any
) -> None:
    invite(world, byron, ADA)
    begin = utc_now()
    assert post().everyone() == [ADA]
    for day in range(1, 8):  # the worker sends mail, but nobody asks for reminders
        time_machine.move_to(begin + timedelta(days=day), tick=True)
        post()
    time_machine.move_to(begin + timedelta(days=8), tick=True)
    for _ in range(3):
        with app.app_context():
            tasks.send_reminders()
    smtp = post()
    assert smtp.everyone() == [ADA, ADA]  # one that catches up, not one for each day that was missed
    assert smtp.to(ADA)[1].message["Subject"].startswith("Reminder from Northwind Tax")
    assert link_in(smtp.to(ADA)[1]) == link_in(smtp.to(ADA)[0])
    time_machine.move_to(begin + timedelta(days=12), tick=True)
    with app.app_context():
        tasks.send_reminders()
    assert len(post().mails) == 2
    assert accept(app.test_client(), app, link_in(smtp.to(ADA)[0])).status_code == 200


def test_removal_ends_open_pages_of_this_client_at_once_and_of_no_other(
    app: Flask, world: World, byron: str, post: Callable[[], MailServer]
) -> None:
    other = make_client(world, "Engine Works")
    give_access(world, other, ADA)
    access_id = give_access(world, byron, ADA)
    shown, kept = file(world, byron), file(world, other, name="Kept.pdf")
    ada: FlaskClient = app.test_client()
    sign_in(ada, ADA)
    pages = (f"/portal/items/{shown}", f"/portal/items/{shown}/download", f"/portal/?client={byron}")
    assert [ada.get(path).status_code for path in pages] == [200, 200, 200]
    Staff.of(app).open(f"/access/{access_id}/remove").press()
    assert [ada.get(path).status_code for path in pages] == [404, 404, 404]
    assert "2025 return.pdf" not in ada.get("/portal/files").text
    assert ada.get(f"/portal/items/{kept}").status_code == 200


def test_revoking_ends_a_half_done_accept_at_once(
    app: Flask, world: World, byron: str, post: Callable[[], MailServer]
) -> None:
    invite_id = invite(world, byron, ADA)
    path = last_link(post(), ADA)
    ada = app.test_client()
    begun = ada.post(path, data={"name": "Ada", "password": NEW_PASSWORD})
    assert begun.status_code == 303
    Staff.of(app).open(f"/invites/{invite_id}/revoke").press()
    assert "This invite was withdrawn" in words(ada.get(begun.location))
    assert [mail.message["Subject"] for mail in post().mails][1:] == []  # nor does the code go out
    assert count(app, Login.email == ADA) == 0
