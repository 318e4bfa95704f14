"""Sessions as a browser and the table see them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from models import Login, LoginSession, db, unit_of_work, utc_now
from tests.doors import cookie_of, open_doors, sign_in_as, token_in
from tests.support.world import PASSWORD, World, give_access, make_client, make_world
from web.sessions import ABSOLUTE, IDLE, end_sessions

DANA = "dana@northwind.example"


@pytest.fixture
def doors(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    yield from open_doors(backend, tmp_path, request)


@pytest.fixture
def world(doors: Flask) -> World:
    return make_world(doors)


def rows(app: Flask) -> list[LoginSession]:
    with app.app_context():
        found = list(db.session.scalars(sa.select(LoginSession)))
        db.session.expunge_all()
        return found


def test_a_cookie_copied_before_logout_is_dead_after_it(doors: Flask, world: World) -> None:
    client = doors.test_client()
    sign_in_as(client, DANA)
    copied = cookie_of(client)
    thief = doors.test_client()
    thief.set_cookie("portal_session", copied)
    assert thief.get("/").status_code == 200

    answer = client.post("/logout", data={"csrf_token": token_in(client.get("/form"))})
    assert answer.status_code == 302
    assert answer.location == "/login"

    assert client.get("/").location == "/login"
    assert thief.get("/").location == "/login"
    assert rows(doors) == []


def test_the_table_holds_neither_the_cookie_nor_a_part_of_it(doors: Flask, world: World) -> None:
    client = doors.test_client()
    sign_in_as(client, DANA)
    [row] = rows(doors)
    assert cookie_of(client) not in repr(vars(row))
    assert cookie_of(client).removeprefix("s.") not in repr(vars(row))
    assert row.login_id
    assert client.get("/").status_code == 200


def test_the_id_changes_at_sign_in_and_at_accept(doors: Flask, world: World) -> None:
    give_access(
        world, make_client(world, "Byron", ("Nina", "nina@clients.example")), "nina@clients.example", "Nina"
    )
    client = doors.test_client()
    client.get("/login")
    planted = cookie_of(client)
    sign_in_as(client, "nina@clients.example")
    signed_in = cookie_of(client)
    assert signed_in != planted

    client.post("/portal/invite/good")
    accepted = cookie_of(client)
    assert accepted != signed_in
    assert len(rows(doors)) == 1

    old = doors.test_client()
    old.set_cookie("portal_session", signed_in)
    assert old.get("/portal/").status_code == 302
    assert client.get("/portal/").text == "portal of Nina"


def test_what_a_strangers_session_held_does_not_become_the_logins(doors: Flask, world: World) -> None:
    client = doors.test_client()
    planted = token_in(client.get("/form"))
    client.post("/remember", data={"word": "planted", "csrf_token": planted})
    sign_in_as(client, DANA)
    with client.session_transaction() as session:
        assert "word" not in session
    assert client.post("/clients", data={"csrf_token": planted}).status_code == 400


def test_signing_in_by_a_stolen_anonymous_cookie_is_no_way_in(doors: Flask, world: World) -> None:
    with doors.app_context():
        user = db.session.scalar(sa.select(Login.fs_uniquifier).where(Login.email == DANA))
    signer = doors.session_interface.get_signing_serializer(doors)  # type: ignore[attr-defined]
    client = doors.test_client()
    client.set_cookie("portal_session", signer.dumps({"_user_id": user, "_fresh": True}))
    assert client.get("/").location == "/login"


def test_a_session_ends_after_idle_hours_and_after_days_in_use(doors: Flask, world: World) -> None:
    start = utc_now()
    with time_machine.travel(start, tick=False) as clock:
        idle, busy = doors.test_client(), doors.test_client()
        sign_in_as(idle, DANA)
        sign_in_as(busy, DANA)
        clock.shift(IDLE - timedelta(minutes=1))
        assert busy.get("/").status_code == 200
        clock.shift(timedelta(minutes=2))
        assert idle.get("/").status_code == 302
        while utc_now() < start + ABSOLUTE - timedelta(hours=8):
            assert busy.get("/").status_code == 200
            clock.shift(timedelta(hours=6))
        clock.move_to(start + ABSOLUTE + timedelta(minutes=1))
        assert busy.get("/").status_code == 302


def test_reading_pages_writes_every_five_minutes_at_most(doors: Flask, world: World) -> None:
    start = utc_now()
    with time_machine.travel(start, tick=False) as clock:
        client = doors.test_client()
        sign_in_as(client, DANA)
        clock.shift(timedelta(minutes=4))
        client.get("/")
        assert rows(doors)[0].seen_at == start
        clock.shift(timedelta(minutes=2))
        client.get("/")
        assert rows(doors)[0].seen_at == start + timedelta(minutes=6)


def test_ended_sessions_stay_ended_even_when_a_request_is_on_its_way(doors: Flask, world: World) -> None:
    here, there = doors.test_client(), doors.test_client()
    sign_in_as(here, DANA)
    sign_in_as(there, DANA)
    with there.session_transaction() as session:
        with doors.app_context(), unit_of_work():
            login_id = db.session.scalar(sa.select(Login.id).where(Login.email == DANA))
            end_sessions(login_id)
        session["word"] = "too late"
    assert rows(doors) == []
    assert here.get("/").status_code == 302
    assert there.get("/").status_code == 302


def test_expired_rows_go_when_somebody_signs_in(doors: Flask, world: World) -> None:
    with time_machine.travel(utc_now() - timedelta(days=30)):
        sign_in_as(doors.test_client(), DANA)
    sign_in_as(doors.test_client(), "sam@northwind.example")
    assert len(rows(doors)) == 1


def test_looking_at_an_invite_makes_no_cookie_and_no_row(doors: Flask, world: World) -> None:
    client = doors.test_client()
    for _ in range(20):
        assert "Set-Cookie" not in client.get("/portal/invite/good").headers
        assert "Set-Cookie" not in client.head("/portal/invite/good").headers
    assert rows(doors) == []


def test_health_static_and_api_know_no_session(doors: Flask, world: World) -> None:
    client = doors.test_client()
    sign_in_as(client, DANA)
    answer = client.get("/api/v1/whoami")
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert "Set-Cookie" not in client.get("/healthz").headers


def test_what_a_view_left_uncommitted_is_not_kept_by_the_session(doors: Flask, world: World) -> None:
    client = doors.test_client()
    sign_in_as(client, DANA)
    assert client.get("/half-done").text == "half done"
    with client.session_transaction() as session:
        assert session["word"] == "kept"
    with doors.app_context():
        assert db.session.scalar(sa.select(Login.name).where(Login.email == DANA)) == "Dana Reyes"


def test_a_login_that_is_switched_off_is_out_at_once(doors: Flask, world: World) -> None:
    client = doors.test_client()
    sign_in_as(client, DANA)
    with doors.app_context(), unit_of_work():
        db.session.execute(sa.update(Login).where(Login.email == DANA).values(active=False))
    assert client.get("/").status_code == 302
    assert sign_in_as(client, DANA, PASSWORD).status_code == 200
    assert client.get("/").status_code == 302


@pytest.mark.one_database
def test_the_cookie_is_guarded(
    doors: Flask, world: World, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    answer = sign_in_as(doors.test_client(), DANA)
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert "SameSite=Lax" in answer.headers["Set-Cookie"]
    assert "Secure" not in answer.headers["Set-Cookie"]

    (tmp_path / "https").mkdir()
    for https in open_doors(
        "sqlite", tmp_path / "https", request, PORTAL_BASE_URL="https://portal.example.com"
    ):
        answer = https.test_client().get("/form", base_url="https://portal.example.com")
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-portal=")
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
