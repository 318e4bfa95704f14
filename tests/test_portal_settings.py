"""User settings: name, time zone, password, and sessions elsewhere."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

import config
from mail.sealed import unseal
from models import Login, Outbox, db
from tests.portal import ADA, NEW_PASSWORD, post, sign_in, words
from tests.support.world import PASSWORD, World, give_access, mails, make_client, make_world

PAGE = "/portal/settings"


@pytest.fixture
def world(app: Flask) -> World:
    world = make_world(app)
    give_access(world, make_client(world, "Byron Family", ("Ada Byron", ADA)), ADA)
    return world


@pytest.fixture
def ada(world: World, client: FlaskClient) -> FlaskClient:
    sign_in(client, ADA)
    return client


def login_of(world: World) -> Login:
    with world.app.app_context():
        return db.session.scalars(sa.select(Login).where(Login.email == ADA)).one()


def test_name_and_time_zone_are_kept(world: World, ada: FlaskClient) -> None:
    reply = post(ada, PAGE, PAGE, name="  Ada Lovelace ", time_zone="America/New_York")
    assert reply.status_code == 303
    login = login_of(world)
    assert (login.name, login.time_zone) == ("Ada Lovelace", "America/New_York")
    assert "Saved." in words(ada.get(PAGE))
    post(ada, PAGE, PAGE, name="Ada Lovelace", time_zone="")
    assert login_of(world).time_zone is None


@pytest.mark.parametrize(
    "name, zone, said",
    [("", "", "Enter your full name."), ("Ada", "Mars/Olympus", "Choose one of the time zones")],
)
def test_what_is_wrong_is_said_and_nothing_kept(
    world: World, ada: FlaskClient, name: str, zone: str, said: str
) -> None:
    page = post(ada, PAGE, PAGE, name=name, time_zone=zone)
    assert page.status_code == 422
    assert said in words(page)
    assert login_of(world).name == "Ada Byron"


def test_a_new_password_ends_other_sessions_and_is_told_by_mail(world: World, ada: FlaskClient) -> None:
    elsewhere = world.app.test_client()
    sign_in(elsewhere, ADA)
    reply = post(ada, PAGE, f"{PAGE}/password", current_password=PASSWORD, new_password=NEW_PASSWORD)
    assert reply.status_code == 303
    assert ada.get("/portal/").status_code == 200
    assert elsewhere.get("/portal/").status_code == 302
    assert mails(world.app) == [(ADA, "security", "queued")]
    with world.app.app_context():
        row = db.session.scalars(sa.select(Outbox)).one()
        assert unseal(config.current(), row.params["sealed"])["subject"] == "Your password was changed"
    sign_in(world.app.test_client(), ADA, NEW_PASSWORD)


@pytest.mark.parametrize(
    "current, new, said",
    [
        ("not the password", NEW_PASSWORD, "This is not your current password."),
        ("", NEW_PASSWORD, "This is not your current password."),
        (PASSWORD, "short", "at least 12 characters"),
        (PASSWORD, PASSWORD, "Choose another password"),
    ],
)
def test_a_password_that_wont_do_changes_nothing(
    world: World, ada: FlaskClient, current: str, new: str, said: str
) -> None:
    page = post(ada, PAGE, f"{PAGE}/password", current_password=current, new_password=new)
    assert page.status_code == 422
    assert said in words(page)
    assert mails(world.app) == []
    sign_in(world.app.test_client(), ADA, PASSWORD)


def test_guessing_the_current_password_is_limited(world: World, ada: FlaskClient) -> None:
    for _ in range(10):
        post(ada, PAGE, f"{PAGE}/password", current_password="guess", new_password=NEW_PASSWORD)
    reply = post(ada, PAGE, f"{PAGE}/password", current_password=PASSWORD, new_password=NEW_PASSWORD)
    assert reply.status_code == 429


def test_signing_out_everywhere_else(world: World, ada: FlaskClient) -> None:
    elsewhere = world.app.test_client()
    sign_in(elsewhere, ADA)
    assert post(ada, PAGE, f"{PAGE}/sessions").status_code == 303
    assert ada.get("/portal/").status_code == 200
    assert elsewhere.get("/portal/").status_code == 302
