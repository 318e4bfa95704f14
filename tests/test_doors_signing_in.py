"""Signing in, where it leads, and a forgotten password."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask

import config
from mail.sealed import unseal
from models import Login, LoginSession, Outbox, PortalAccess, TeamMember, db, unit_of_work
from tests.doors import cookie_of, open_doors, sign_in_as, token_in
from tests.support.world import PASSWORD, World, give_access, make_client, make_world
from web import security

DANA, NINA = "dana@northwind.example", "nina@clients.example"
NEW_PASSWORD = "violet harbour seventeen"


@pytest.fixture
def doors(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    yield from open_doors(backend, tmp_path, request, RATE_LIMITS="false")


@pytest.fixture
def world(doors: Flask) -> World:
    world = make_world(doors)
    give_access(world, make_client(world, "Byron Family", ("Nina", NINA)), NINA, "Nina")
    return world


def security_mails(app: Flask) -> list[tuple[str, dict[str, Any]]]:
    """(address, what the mail says) of the mails about signing in, oldest first."""
    with app.app_context():
        rows = db.session.scalars(sa.select(Outbox).where(Outbox.kind == "security").order_by(Outbox.id))
        return [(row.to_email, unseal(config.current(), row.params["sealed"])) for row in rows]


def ask_for_reset(app: Flask, email: str) -> tuple[str, float]:
    """What the page says, and how long it took."""
    client = app.test_client()
    token = token_in(client.get("/reset"))
    began = time.monotonic()
    answer = client.post("/reset", data={"email": email, "csrf_token": token})
    assert answer.status_code == 200
    took = time.monotonic() - began
    return answer.text.replace(email, "ADDRESS").replace(token_in(answer), "TOKEN"), took


@pytest.mark.parametrize("typed", [DANA, "Dana@Northwind.Example", "  DANA@NORTHWIND.EXAMPLE "])
def test_the_address_is_found_however_it_is_written(doors: Flask, world: World, typed: str) -> None:
    client = doors.test_client()
    assert sign_in_as(client, typed).location == "/"
    assert client.get("/").text == "staff of Northwind Tax"


def test_staff_land_at_their_home_and_portal_users_at_theirs(doors: Flask, world: World) -> None:
    assert sign_in_as(doors.test_client(), DANA).location == "/"
    nina = doors.test_client()
    assert sign_in_as(nina, NINA).location == "/portal/"
    assert nina.get("/login").location == "/portal/"


def test_signing_in_is_noted_on_the_login_and_on_the_clients_side_alone(doors: Flask, world: World) -> None:
    sign_in_as(doors.test_client(), NINA)
    with doors.app_context():
        login = db.session.scalars(sa.select(Login).where(Login.email == NINA)).one()
        access = db.session.scalars(sa.select(PortalAccess)).one()
        assert login.login_count == 1
        assert login.current_login_at is not None
        assert login.current_login_ip == "127.0.0.1"
        assert access.last_login_at is not None


def test_a_removed_access_shows_no_later_login(doors: Flask, world: World) -> None:
    with doors.app_context(), unit_of_work():
        db.session.execute(sa.update(PortalAccess).values(state="removed"))
    sign_in_as(doors.test_client(), NINA)
    with doors.app_context():
        assert db.session.scalars(sa.select(PortalAccess)).one().last_login_at is None


@pytest.mark.parametrize(
    "email, password",
    [(DANA, "wrong but long enough"), ("nobody@northwind.example", PASSWORD), ("not an address", PASSWORD)],
)
def test_the_answer_is_the_same_whoever_has_a_login(
    doors: Flask, world: World, email: str, password: str
) -> None:
    client = doors.test_client()
    answer = sign_in_as(client, email, password)
    assert answer.status_code == 200
    assert "The address or the password is not right." in answer.text
    assert "does not exist" not in answer.text
    assert client.get("/").status_code == 302


def test_a_login_switched_off_reads_the_same_sentence(doors: Flask, world: World) -> None:
    with doors.app_context(), unit_of_work():
        db.session.execute(sa.update(Login).where(Login.email == DANA).values(active=False))
    answer = sign_in_as(doors.test_client(), DANA)
    assert "The address or the password is not right." in answer.text
    assert "disabled" not in answer.text


@pytest.mark.one_database
@pytest.mark.parametrize(
    "wanted, lands",
    [
        ("/clients", "/clients"),
        ("/clients?q=b%20c&page=2", "/clients?q=b%20c&page=2"),
        ("http://localhost/clients", "/clients"),
        ("//evil.example", "/"),
        ("///evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/clients", "/"),
        ("https://localhost.evil.example/", "/"),
        ("http://localhost@evil.example/", "/"),
        ("http://[evil", "/"),
        ("javascript:alert(1)", "/"),
        (" //evil.example", "/"),
        ("\u200b//evil.example", "/"),
        ("clients", "/"),
        ("/" + "a" * 3000, "/"),
    ],
)
def test_next_leads_to_our_own_origin_only(doors: Flask, world: World, wanted: str, lands: str) -> None:
    in_form = sign_in_as(doors.test_client(), DANA, next=wanted)
    assert in_form.status_code == 302
    assert in_form.location == lands
    client = doors.test_client()
    token = token_in(client.get("/login"))
    in_address = client.post(
        "/login",
        query_string={"next": wanted},
        data={"email": DANA, "password": PASSWORD, "csrf_token": token},
    )
    assert in_address.location == lands
    assert client.get("/login", query_string={"next": wanted}).location == lands


def test_who_wanted_a_page_gets_it_after_signing_in(doors: Flask, world: World) -> None:
    client = doors.test_client()
    asked = client.get("/clients?q=byron")
    assert asked.status_code == 302
    assert sign_in_as(client, DANA, url=asked.location).location == "/clients?q=byron"


@pytest.mark.one_database
def test_logout_by_a_mere_link_is_not_possible(doors: Flask, world: World) -> None:
    client = doors.test_client()
    sign_in_as(client, DANA)
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").status_code == 400
    assert client.get("/").status_code == 200


@pytest.mark.one_database
def test_nobody_is_remembered_beyond_the_session(doors: Flask, world: World) -> None:
    client = doors.test_client()
    answer = sign_in_as(client, DANA, remember="y")
    assert "remember_token" not in str(answer.headers)
    assert "portal_session" in str(answer.headers)


def test_forgot_and_reset(doors: Flask, world: World) -> None:
    elsewhere = doors.test_client()
    sign_in_as(elsewhere, DANA)
    ask_for_reset(doors, "Dana@Northwind.example")
    [(address, mail)] = security_mails(doors)
    assert address == DANA
    link = mail["button"][1]
    assert link.startswith("http://localhost:8000/reset/")

    path = link.removeprefix("http://localhost:8000")
    client = doors.test_client()
    page = client.get(path)
    assert page.headers["Referrer-Policy"] == "no-referrer"
    short = client.post(
        path, data={"password": "short", "password_confirm": "short", "csrf_token": token_in(page)}
    )
    assert "at least 12 characters" in short.text
    done = client.post(
        path,
        data={"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD, "csrf_token": token_in(page)},
        headers={"Origin": "null", "Sec-Fetch-Site": "same-origin"},
    )
    assert done.location == "/login"

    assert elsewhere.get("/").status_code == 302, "the sessions of before are ended"
    with doors.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(LoginSession)) == 0
    assert sign_in_as(doors.test_client(), DANA, PASSWORD).status_code == 200
    assert sign_in_as(doors.test_client(), DANA, NEW_PASSWORD).location == "/"
    assert [mail["subject"] for _, mail in security_mails(doors)] == [
        "Choose a new password",
        "Your password was changed",
    ]
    assert doors.test_client().get(path).location == "/reset", "the link works once"


def test_no_table_holds_a_reset_link(doors: Flask, world: World) -> None:
    ask_for_reset(doors, DANA)
    token = security_mails(doors)[0][1]["button"][1].rpartition("/")[2]
    with doors.app_context():
        for table in Login.metadata.tables.values():
            for row in db.session.execute(sa.select(table)):
                assert token not in repr(row)


def test_asking_for_a_reset_tells_nobody_who_has_a_login(doors: Flask, world: World) -> None:
    known, took_known = ask_for_reset(doors, DANA)
    unknown, took_unknown = ask_for_reset(doors, "nobody@northwind.example")
    assert known == unknown
    assert [address for address, _ in security_mails(doors)] == [DANA]
    assert took_known >= security.FORGOT_SECONDS
    assert took_unknown >= security.FORGOT_SECONDS


@pytest.mark.one_database
def test_a_damaged_reset_link_leads_to_a_new_one(doors: Flask, world: World) -> None:
    client = doors.test_client()
    answer = client.get("/reset/not-a-link", follow_redirects=True)
    assert "Ask for a new one here" in answer.text


def test_a_member_of_two_firms_works_in_the_first_until_another_is_chosen(doors: Flask, world: World) -> None:
    other = make_world(doors, "Southwind Law", "southwind.example")
    with doors.app_context(), unit_of_work():
        login_id = db.session.scalar(sa.select(Login.id).where(Login.email == DANA))
        db.session.add(TeamMember(firm_id=other.firm_id, login_id=login_id))
    client = doors.test_client()
    sign_in_as(client, DANA)
    assert client.get("/").text == "staff of Northwind Tax"
    with client.session_transaction() as session:
        session["firm_id"] = other.firm_id
    assert client.get("/").text == "staff of Southwind Law"
    with client.session_transaction() as session:
        session["firm_id"] = "a firm that is not theirs"
    assert client.get("/").text == "staff of Northwind Tax"


def test_an_old_weak_hash_is_renewed_at_sign_in_beside_other_writers(doors: Flask, world: World) -> None:
    with doors.app_context(), unit_of_work():
        db.session.execute(sa.update(Login).where(Login.email == DANA).values(password=_stronger(PASSWORD)))
    before = _password_of(doors, DANA)
    client = doors.test_client()
    assert sign_in_as(client, DANA).location == "/"
    assert _password_of(doors, DANA) != before
    assert cookie_of(client).startswith("s.")
    assert sign_in_as(doors.test_client(), DANA).location == "/"


def _stronger(password: str) -> str:
    return PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash(password)


def _password_of(app: Flask, email: str) -> str | None:
    with app.app_context():
        return db.session.scalar(sa.select(Login.password).where(Login.email == email))


def test_many_sign_in_at_once(doors: Flask, world: World) -> None:
    def one(number: int) -> tuple[int, str]:
        client = doors.test_client()
        email = (DANA, NINA, "sam@northwind.example", "mia@northwind.example")[number % 4]
        return sign_in_as(client, email).status_code, cookie_of(client)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(48)))
    assert {status for status, _ in answers} == {302}
    assert len({cookie for _, cookie in answers}) == 48
    with doors.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(LoginSession)) == 48
