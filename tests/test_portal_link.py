"""The page behind a mailed link: what it says, what it never says, and that looking changes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from invites import lifecycle
from models import Firm, Invite, Login, db, unit_of_work, utc_now
from tests.portal import (
    ADA,
    NEW_PASSWORD,
    accept,
    everything,
    file,
    invite,
    link,
    sign_in,
    survey,
    view_of,
    words,
)
from tests.support.world import World, give_access, mails, make_client, make_login, make_world


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", "will@byron.example"))


def the_invite(world: World) -> Invite:
    return db.session.scalars(sa.select(Invite).order_by(Invite.id.desc()).limit(1)).one()


def expire(world: World) -> None:
    with world.app.app_context(), unit_of_work():
        the_invite(world).expires_at = utc_now() - timedelta(minutes=1)


def revoke(world: World) -> None:
    with world.app.app_context(), unit_of_work():
        lifecycle.revoke(the_invite(world), view_of(world).member)


def resend(world: World) -> None:
    with world.app.app_context(), unit_of_work():
        lifecycle.resend(the_invite(world), view_of(world).member, "sent you a survey")


def test_a_hundred_looks_change_nothing(world: World, byron: str, client: FlaskClient) -> None:
    item = survey(world, byron, ADA)
    path = link(world.app, ADA, item)
    before = everything(world.app)
    for _ in range(50):
        got, head = client.get(path), client.head(path)
        assert (got.status_code, head.status_code) == (200, 200)
        assert "Set-Cookie" not in got.headers
        assert "Set-Cookie" not in head.headers
    for page in ("/decline", "/not-me"):
        assert client.get(path.replace("?", f"{page}?")).status_code == 200
    assert everything(world.app) == before


def test_the_page_says_who_what_for_whom_and_until_when(
    world: World, byron: str, client: FlaskClient
) -> None:
    item = survey(world, byron, ADA, message="Ten minutes should do. See https://evil.example <b>now</b>")
    page = client.get(link(world.app, ADA, item))
    said = words(page)
    assert "Dana Reyes sent you a survey" in said
    assert f"This invite is for {ADA}" in said
    assert "It works until" in said
    assert "(UTC)" in said
    assert "Full name" in said
    assert "Create password" in said
    assert "I already have a login" in said
    assert "+1 555 0100" in page.text
    # The message is inert: no link, no markup.
    assert "&lt;b&gt;now&lt;/b&gt;" in page.text
    assert 'href="https://evil.example' not in page.text


def test_nothing_of_the_client_is_named_before_acceptance(
    world: World, byron: str, client: FlaskClient
) -> None:
    item = survey(world, byron, ADA, title="Divorce settlement")
    shown = file(world, byron, ADA, name="Secret plan.pdf")
    for one in (item, shown):
        for page in ("", "/decline", "/not-me"):
            text = client.get(link(world.app, ADA, one).replace("?", f"{page}?")).text
            assert "Byron Family" not in text
            assert "Divorce settlement" not in text
            assert "Secret plan" not in text
    assert "Dana Reyes shared a file with you" in words(client.get(link(world.app, ADA, shown)))


def test_a_firm_may_show_titles(world: World, byron: str, client: FlaskClient) -> None:
    with world.app.app_context(), unit_of_work():
        db.session.get_one(Firm, world.firm_id).shows_titles = True
    item = survey(world, byron, ADA, title="Tax organizer 2026")
    assert "Tax organizer 2026" in words(client.get(link(world.app, ADA, item)))


def test_an_item_of_somebody_else_in_the_address_shows_nothing(
    world: World, byron: str, client: FlaskClient
) -> None:
    with world.app.app_context(), unit_of_work():
        db.session.get_one(Firm, world.firm_id).shows_titles = True
    survey(world, byron, ADA, title="Mine")
    foreign = survey(world, make_client(world, "Hopper", ("Grace", "grace@hopper.example")), title="Foreign")
    page = client.get(link(world.app, ADA, foreign))
    assert page.status_code == 200
    assert "Foreign" not in page.text


def test_the_link_reaches_no_other_site_and_no_cache(world: World, byron: str, client: FlaskClient) -> None:
    invite(world, byron, ADA)
    page = client.get(link(world.app, ADA))
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert "invited you to the Client Portal" in words(page)


def test_an_unknown_link_is_a_404_and_counts(world: World, client: FlaskClient) -> None:
    for number in range(30):
        assert client.get(f"/portal/invite/guess{number}").status_code == 404
    assert client.get("/portal/invite/one-more").status_code == 429


def test_another_sites_form_is_refused(world: World, byron: str, client: FlaskClient) -> None:
    invite(world, byron, ADA)
    path = link(world.app, ADA)
    before = everything(world.app)
    for action in ("", "/decline", "/not-me", "/code", "/code/again", "/new-link", "/switch"):
        answer = client.post(
            path + action,
            data={"name": "Eve", "password": NEW_PASSWORD},
            headers={"Origin": "https://evil.example"},
        )
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers
    assert everything(world.app) == before


def test_an_expired_link_sends_a_new_one_to_the_invited_address_only(
    world: World, byron: str, client: FlaskClient
) -> None:
    survey(world, byron, ADA)
    path = link(world.app, ADA)
    expire(world)
    assert "This invite has expired" in words(client.get(path))
    assert client.post(path, data={"name": "Ada", "password": NEW_PASSWORD}).status_code == 409
    before = mails(world.app)
    answer = client.post(f"{path}/new-link", data={"email": "eve@evil.example"}, follow_redirects=True)
    assert "A newer mail was sent" in words(answer)
    assert mails(world.app)[len(before) :] == [(ADA, "invite", "queued")]
    assert accept(world.app.test_client(), world.app, link(world.app, ADA)).status_code == 200


def test_an_older_link_says_that_a_newer_mail_was_sent(world: World, byron: str, client: FlaskClient) -> None:
    survey(world, byron, ADA)
    old = link(world.app, ADA)
    resend(world)
    page = client.get(old)
    assert "A newer mail was sent" in words(page)
    assert "Accept" not in words(page)
    assert client.post(old, data={"name": "Ada", "password": NEW_PASSWORD}).status_code == 409
    expire(world)
    assert "This invite has expired" in words(client.get(old))


def test_a_revoked_link_says_so_and_whom_to_call(world: World, byron: str, client: FlaskClient) -> None:
    survey(world, byron, ADA)
    path = link(world.app, ADA)
    revoke(world)
    page = client.get(path)
    assert "Northwind Tax withdrew this invite" in words(page)
    assert "Dana Reyes at Northwind Tax" in words(page)
    assert "+1 555 0100" in words(page)
    before = everything(world.app)
    assert client.post(path, data={"name": "Ada", "password": NEW_PASSWORD}).status_code == 409
    assert client.post(f"{path}/decline").status_code == 409
    assert everything(world.app) == before


@pytest.mark.parametrize(
    "way, reason, said",
    [
        ("/decline", "declined", "This invite was declined"),
        ("/not-me", "not_me", "Thank you for telling us"),
    ],
)
def test_decline_and_not_me_ask_once_more(
    world: World, byron: str, client: FlaskClient, way: str, reason: str, said: str
) -> None:
    survey(world, byron, ADA)
    path = link(world.app, ADA)
    before = everything(world.app)
    assert client.get(path + way).status_code == 200
    assert everything(world.app) == before
    answer = client.post(path + way, follow_redirects=True)
    assert said in words(answer)
    with world.app.app_context():
        row = the_invite(world)
        assert (row.state.value, row.ended_reason) == ("declined", reason)
    assert client.post(path, data={"name": "Ada", "password": NEW_PASSWORD}).status_code == 409


def test_a_login_of_the_address_is_asked_to_sign_in_and_then_accepts(
    world: World, byron: str, client: FlaskClient
) -> None:
    with world.app.app_context(), unit_of_work():
        make_login(ADA, "Ada Byron")
    item = survey(world, byron, ADA)
    path = link(world.app, ADA, item)
    page = client.get(path)
    assert "Sign in to accept" in words(page)
    assert "Create password" not in words(page)
    answer = sign_in(client, ADA, url=f"/login?next={path}")
    assert answer.location == path
    assert f"You are signed in as {ADA}" in words(client.get(path))
    cookie = client.get_cookie("portal_session")
    answer = client.post(path)
    assert (answer.status_code, answer.location) == (303, f"/portal/items/{item}")
    rotated = client.get_cookie("portal_session")
    assert cookie is not None
    assert rotated is not None
    assert rotated.value != cookie.value
    assert client.get(answer.location).status_code == 200


def test_the_wrong_account_sees_both_addresses_and_uses_nothing_up(
    world: World, byron: str, client: FlaskClient
) -> None:
    other = "eve@other.example"
    give_access(world, make_client(world, "Other", ("Eve", other)), other, "Eve")
    survey(world, byron, ADA)
    path = link(world.app, ADA)
    sign_in(client, other)
    before = everything(world.app)
    said = words(client.get(path))
    assert ADA in said
    assert other in said
    answer = client.post(path)
    assert answer.status_code == 409
    assert everything(world.app) == before
    answer = client.post(f"{path}/switch", follow_redirects=True)
    assert "Create password" in words(answer)
    with world.app.app_context():
        assert the_invite(world).state.value == "pending"


def test_a_used_link_leads_to_sign_in_or_to_the_item(world: World, byron: str, client: FlaskClient) -> None:
    item = survey(world, byron, ADA)
    path = link(world.app, ADA, item)
    accept(client, world.app, path)
    assert client.get(path).location == f"/portal/items/{item}"
    stranger = world.app.test_client()
    page = stranger.get(path)
    assert "This invite was accepted" in words(page)
    assert "Sign in" in words(page)
    assert stranger.post(path, data={"name": "Eve", "password": NEW_PASSWORD}).status_code == 409
    with world.app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).where(Login.email == ADA)) == 1
