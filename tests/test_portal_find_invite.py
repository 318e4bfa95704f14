"""`I was invited but can't find the mail`: the same answer for everyone, and mail only to the typed address."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from models import Invite, InviteState, db, unit_of_work, utc_now
from tests.portal import ADA, OUTSIDER, WILL, accept, invite, link, post, survey, words
from tests.support.world import World, mails, make_client, make_world
from web.portal.find_invite import LEAST_SECONDS

PAGE = "/portal/find-invite"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA))


def change(world: World, **values: object) -> None:
    with world.app.app_context(), unit_of_work():
        db.session.execute(sa.update(Invite).values(**values))


def ask(person: FlaskClient, address: str) -> str:
    page = post(person, PAGE, PAGE, email=address)
    assert page.status_code == 200
    return words(page).replace(address, "ADDRESS")


def test_everyone_gets_the_same_answer_after_the_same_time(
    world: World, byron: str, client: FlaskClient
) -> None:
    invite(world, byron, ADA)
    change(world, last_asked_at=utc_now() - timedelta(hours=1))
    began = time.monotonic()
    known = ask(client, ADA)
    between = time.monotonic()
    unknown = ask(client, "nobody@nowhere.example")
    assert known == unknown
    assert "If something waits for ADDRESS" in known
    assert between - began >= LEAST_SECONDS
    assert time.monotonic() - between >= LEAST_SECONDS


def test_a_live_invite_is_mailed_again_and_keeps_its_link(
    world: World, byron: str, client: FlaskClient
) -> None:
    survey(world, byron, ADA, WILL)
    path = link(world.app, ADA)
    change(world, last_asked_at=utc_now() - timedelta(hours=1))
    before = mails(world.app)
    ask(client, "Ada@Byron.Example")
    assert mails(world.app)[len(before) :] == [(ADA, "invite", "queued")]
    assert link(world.app, ADA) == path
    assert accept(client, world.app, path).status_code == 200


def test_an_expired_invite_is_mailed_again_with_a_fresh_link_to_that_address_only(
    world: World, byron: str, client: FlaskClient
) -> None:
    survey(world, byron, ADA, WILL)
    old = link(world.app, ADA)
    hour_ago = utc_now() - timedelta(hours=1)
    change(world, last_asked_at=hour_ago, expires_at=hour_ago)
    before = mails(world.app)
    ask(client, "Ada@Byron.Example")
    assert mails(world.app)[len(before) :] == [(ADA, "invite", "queued")]
    assert "A newer mail was sent" in words(client.get(old))
    assert accept(client, world.app, link(world.app, ADA)).status_code == 200


def test_what_was_sent_a_moment_ago_is_not_sent_again(world: World, byron: str, client: FlaskClient) -> None:
    survey(world, byron, ADA)
    before = mails(world.app)
    ask(client, ADA)
    assert mails(world.app) == before


@pytest.mark.parametrize("state", [InviteState.REVOKED, InviteState.DECLINED])
def test_an_ended_invite_stays_ended(
    world: World, byron: str, client: FlaskClient, state: InviteState
) -> None:
    survey(world, byron, ADA)
    change(world, state=state)
    before = mails(world.app)
    ask(client, ADA)
    assert mails(world.app) == before


def test_who_accepted_already_gets_the_way_to_sign_in(world: World, byron: str, client: FlaskClient) -> None:
    survey(world, byron, OUTSIDER)
    accept(world.app.test_client(), world.app, link(world.app, OUTSIDER))
    before = mails(world.app)
    ask(client, OUTSIDER)
    assert mails(world.app)[len(before) :] == [(OUTSIDER, "sign_in", "queued")]


@pytest.mark.parametrize("address", ["", "not an address", "a@b", "ada@byron.example, will@byron.example"])
def test_what_is_no_address_is_said_beside_the_field(world: World, client: FlaskClient, address: str) -> None:
    page = post(client, PAGE, PAGE, email=address)
    assert page.status_code == 422
    assert "field-error" in page.text
    assert address in page.text
    assert mails(world.app) == []


def test_nobodys_mailbox_is_flooded(world: World, byron: str, client: FlaskClient) -> None:
    for _ in range(5):
        ask(client, ADA)
    page = post(client, PAGE, PAGE, email=ADA)
    assert page.status_code == 429
    assert ask(client, WILL)
