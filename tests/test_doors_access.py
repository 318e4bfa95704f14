"""Who gets in where, and that forms come from our own pages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from models import ApiToken, Login, TeamMember, db, unit_of_work, utc_now
from tests.doors import open_doors, sign_in_as, token_in
from tests.support.world import World, give_access, make_client, make_world
from web import access_rules
from web.access_rules import declare, portal_page, public_page, rule_of, staff_page

pytestmark = pytest.mark.one_database

DANA, SAM, NINA = "dana@northwind.example", "sam@northwind.example", "nina@clients.example"


@pytest.fixture
def doors(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    yield from open_doors(backend, tmp_path, request)


@pytest.fixture
def world(doors: Flask) -> World:
    world = make_world(doors)
    give_access(world, make_client(world, "Byron Family", ("Nina", NINA)), NINA, "Nina")
    return world


def signed_in(app: Flask, email: str) -> FlaskClient:
    client = app.test_client()
    assert sign_in_as(client, email).status_code == 302
    return client


def test_strangers_are_led_to_the_sign_in_page_and_back(doors: Flask, world: World) -> None:
    client = doors.test_client()
    assert client.get("/").location == "/login"
    assert client.get("/clients?q=a%20b").location == "/login?next=/clients?q%3Da%2520b"
    assert client.get("/portal/").location == "/login?next=/portal/"
    assert client.post("/clients").location == "/login"


def test_staff_pages_do_not_exist_for_portal_users(doors: Flask, world: World) -> None:
    nina = signed_in(doors, NINA)
    assert nina.get("/portal/").text == "portal of Nina"
    for path in ("/clients", "/portals", "/settings"):
        assert nina.get(path).status_code == 404
    assert nina.get("/").location == "/portal/", "the bare address means their own home"


def test_staff_without_a_portal_of_their_own_stay_at_their_home(doors: Flask, world: World) -> None:
    assert signed_in(doors, DANA).get("/portal/").location == "/"


def test_staff_who_are_also_somebodys_client_have_both_sides(doors: Flask, world: World) -> None:
    give_access(world, make_client(world, "Dana's own", ("Dana", DANA)), DANA)
    dana = signed_in(doors, DANA)
    assert dana.get("/").status_code == 200
    assert dana.get("/portal/").text == "portal of Dana Reyes"


def test_permissions_and_admin_pages(doors: Flask, world: World) -> None:
    dana, sam = signed_in(doors, DANA), signed_in(doors, SAM)
    assert dana.get("/portals").status_code == 200
    assert dana.get("/settings").status_code == 200
    assert sam.get("/portals").status_code == 403
    assert sam.get("/settings").status_code == 403
    assert "admin of your firm" in sam.get("/settings").text
    with doors.app_context(), unit_of_work():
        db.session.execute(
            sa.update(TeamMember).where(TeamMember.id == world.staff_id).values(permissions=["portals"])
        )
    assert sam.get("/portals").status_code == 200


def test_a_member_who_left_is_out_at_once(doors: Flask, world: World) -> None:
    dana = signed_in(doors, DANA)
    with doors.app_context(), unit_of_work():
        db.session.execute(sa.update(TeamMember).where(TeamMember.id == world.admin_id).values(active=False))
    assert dana.get("/clients").status_code == 404


def test_a_route_without_a_rule_lets_nobody_in(doors: Flask, world: World) -> None:
    answer = signed_in(doors, DANA).get("/forgotten-mark")
    assert answer.status_code == 403
    assert "nobody should read this" not in answer.text
    assert rule_of(doors, "forgotten_mark") is None


def test_two_rules_on_one_route_are_refused() -> None:
    def view() -> str:
        return ""

    staff_page(view)
    with pytest.raises(TypeError, match="access rule already"):
        portal_page(view)


def test_a_public_route_says_why() -> None:
    with pytest.raises(ValueError, match="reason"):
        public_page(" ")(lambda: "")


def test_a_declared_rule_is_kept_once(doors: Flask) -> None:
    declare(doors, "forgotten_mark", access_rules.STAFF)
    with pytest.raises(ValueError, match="another access rule"):
        declare(doors, "forgotten_mark", access_rules.PORTAL)
    assert doors.test_client().get("/forgotten-mark").location == "/login?next=/forgotten-mark"


# Forms --------------------------------------------------------------------------------------------------------------


def test_a_form_needs_its_token(doors: Flask, world: World) -> None:
    dana = signed_in(doors, DANA)
    answer = dana.post("/clients")
    assert answer.status_code == 400
    assert "load the page again" in answer.text
    token = token_in(dana.get("/form"))
    assert dana.post("/clients", data={"csrf_token": token}).status_code == 200
    assert dana.post("/clients", headers={"X-CSRFToken": token}).status_code == 200
    assert signed_in(doors, SAM).post("/clients", data={"csrf_token": token}).status_code == 400


OURS = "http://localhost"


@pytest.mark.parametrize(
    "headers, status",
    [
        ({}, 200),
        ({"Origin": OURS}, 200),
        ({"Origin": "http://LOCALHOST"}, 200),
        ({"Origin": "https://localhost"}, 200),  # a proxy that speaks https in front of us
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Referer": OURS + "/portal/invite/good"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Referer": "https://evil.example/" + OURS}, 403),
        ({"Referer": "http://[evil"}, 403),
    ],
)
def test_where_a_link_pages_form_may_come_from(
    doors: Flask, world: World, headers: dict[str, str], status: int
) -> None:
    client = doors.test_client()
    assert client.post("/portal/invite/good", headers=headers).status_code == status
    assert client.get("/portal/invite/good", headers=headers).status_code == 200, "looking is always allowed"
    signed_in_now = client.get("/portal/").status_code == 200
    assert signed_in_now is (status == 200)


def test_a_right_token_from_a_foreign_page_is_refused_too(doors: Flask, world: World) -> None:
    dana = signed_in(doors, DANA)
    token = token_in(dana.get("/form"))
    answer = dana.post("/clients", data={"csrf_token": token}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "another page than ours" in answer.text


# API tokens ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def token(doors: Flask, world: World) -> str:
    with doors.app_context(), unit_of_work():
        db.session.add(
            ApiToken(team_member_id=world.admin_id, token_hash=hashlib.sha256(b"the token").hexdigest())
        )
    return "the token"


def whoami(app: Flask, authorization: str | None) -> tuple[int, dict[str, str]]:
    headers = {"Authorization": authorization} if authorization is not None else {}
    answer = app.test_client().get("/api/v1/whoami", headers=headers)
    return answer.status_code, answer.get_json()


def test_a_call_acts_as_the_tokens_member(doors: Flask, world: World, token: str) -> None:
    assert whoami(doors, f"Bearer {token}") == (200, {"member": world.admin_id})
    with doors.app_context():
        assert db.session.scalars(sa.select(ApiToken)).one().used_at is not None


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Basic the token", "Bearer another", "Bearer \xff"]
)
def test_no_token_no_call(doors: Flask, world: World, token: str, authorization: str | None) -> None:
    status, body = whoami(doors, authorization)
    assert status == 401
    assert body["code"] == "unauthorized"


def test_a_withdrawn_token_and_a_member_who_left(doors: Flask, world: World, token: str) -> None:
    with doors.app_context(), unit_of_work():
        db.session.execute(sa.update(Login).where(Login.email == DANA).values(active=False))
    assert whoami(doors, f"Bearer {token}")[0] == 401
    with doors.app_context(), unit_of_work():
        db.session.execute(sa.update(Login).where(Login.email == DANA).values(active=True))
        db.session.execute(sa.update(ApiToken).values(revoked_at=utc_now()))
    assert whoami(doors, f"Bearer {token}")[0] == 401


def test_a_browser_session_is_no_way_into_the_api(doors: Flask, world: World) -> None:
    dana = signed_in(doors, DANA)
    assert dana.get("/api/v1/whoami").status_code == 401
    assert dana.post("/api/v1/things").status_code == 401
