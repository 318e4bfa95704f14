"""Every route of the real application: it has a rule, its forms are checked, and foreign ids are as missing ones.

Generated over the URL map, so a new route is tested by existing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from models import (
    ApiToken,
    Contact,
    Invite,
    MessageTemplate,
    SurveyTemplate,
    WorkItem,
    db,
    new_id,
    unit_of_work,
    utc_now,
)
from tests.doors import sign_in_as, token_in
from tests.support.world import World, give_access, make_client, make_world
from web.access_rules import AccessRule, Who, rule_of
from web.csrf import UNSAFE

pytestmark = [pytest.mark.one_database, pytest.mark.settings(RATE_LIMITS="false")]

DANA, NINA = "dana@northwind.example", "nina@clients.example"
TOKEN = "the token of the test"


# Bodies that are right but for the ids in the address, by the last part of the route; others send `{"name": ...}`.
BODIES: dict[str, dict[str, Any]] = {
    "contacts": {"name": "New", "email": "new@clients.example"},
    "invites": {"recipients": [{"email": "new@clients.example"}]},
    "client-requests": {"title": "New survey", "questions": []},
    "esign-requests": {"file_id": "0" * 26, "signers": [{"name": "New", "email": "new@clients.example"}]},
    "visibility": {"visible": True},
    "change-address": {"email": "new@clients.example"},
    "<invite_id>": {"access_until": None},
    "<access_id>": {"access_until": None},
}
WITHOUT_BODY = {"resend", "revoke", "remove", "suspend", "restore", "send-sign-in"}


@dataclass(frozen=True)
class Route:
    """One rule of the URL map with one method."""

    rule: Rule
    method: str
    access: AccessRule

    def path(self, ids: dict[str, str]) -> str:
        """An address of this route; parameters nobody named get a plain value."""
        values = {"slug": "client-request", "which": "document", "number": "1"} | ids
        for name in self.rule.arguments - values.keys():
            one_of = getattr(self.rule._converters[name], "items", None)
            values[name] = sorted(one_of)[0] if one_of else "0" * 26
        built = self.rule.build({name: values[name] for name in self.rule.arguments})
        assert built is not None
        return built[1]


def routes(app: Flask) -> Iterator[Route]:
    """Every route, one method at a time."""
    for rule in app.url_map.iter_rules():
        access = rule_of(app, rule.endpoint)
        assert access is not None, f"{rule.endpoint} ({rule}) has no access rule"
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield Route(rule, method, access)


@pytest.fixture
def world(app: Flask) -> World:
    world = make_world(app)
    with app.app_context(), unit_of_work():
        db.session.add(
            ApiToken(team_member_id=world.admin_id, token_hash=hashlib.sha256(TOKEN.encode()).hexdigest())
        )
    give_access(world, make_client(world, "Byron Family", ("Nina", NINA)), NINA, "Nina")
    return world


@pytest.fixture
def dana(app: Flask, world: World) -> FlaskClient:
    client = app.test_client()
    assert sign_in_as(client, DANA).status_code == 302
    return client


@pytest.fixture
def nina(app: Flask, world: World) -> FlaskClient:
    client = app.test_client()
    assert sign_in_as(client, NINA).status_code == 302
    return client


def test_every_route_has_an_access_rule(app: Flask) -> None:
    without = {rule.endpoint for rule in app.url_map.iter_rules() if rule_of(app, rule.endpoint) is None}
    assert without == set()


def test_every_public_route_says_why(app: Flask) -> None:
    for route in routes(app):
        assert route.access.who not in {Who.EVERYBODY, Who.SIGNED} or route.access.reason


def test_strangers_get_to_the_sign_in_page_and_no_further(app: Flask, world: World) -> None:
    wrong = []
    for route in routes(app):
        answer = app.test_client().open(route.path({}), method=route.method)
        if route.access.who is Who.TOKEN:
            right = answer.status_code == 401
        elif route.access.who is Who.SIGNED:
            right = answer.status_code == 404  # no secret is set, so there is nothing to sign with
        elif route.access.who is Who.EVERYBODY:
            right = answer.status_code < 500
        else:
            right = answer.status_code == 302 and answer.location.startswith("/login")
        if not right:
            wrong.append((route.method, str(route.rule), answer.status_code))
    assert wrong == []


def test_portal_users_find_no_staff_page(app: Flask, nina: FlaskClient) -> None:
    wrong = []
    for route in routes(app):
        if route.access.who is Who.STAFF:
            answer = nina.open(route.path({}), method=route.method)
            home = route.path({}) == "/" and answer.location == "/portal/"
            if answer.status_code != 404 and not home:
                wrong.append((route.method, str(route.rule), answer.status_code))
    assert wrong == []


def test_every_form_checks_where_it_comes_from(
    app: Flask, world: World, dana: FlaskClient, nina: FlaskClient
) -> None:
    wrong = []
    for route in routes(app):
        if route.method not in UNSAFE or route.access.who in {Who.TOKEN, Who.SIGNED}:
            continue
        client = nina if route.access.who is Who.PORTAL else dana
        foreign = client.open(route.path({}), method=route.method, headers={"Origin": "https://evil.example"})
        if foreign.status_code != 403:
            wrong.append(("foreign origin", str(route.rule), foreign.status_code))
        without_token = client.open(route.path({}), method=route.method)
        if not route.access.origin_checked and without_token.status_code != 400:
            wrong.append(("no form token", str(route.rule), without_token.status_code))
    assert wrong == []


def test_only_pages_that_hang_on_a_link_go_without_a_form_token(app: Flask) -> None:
    for route in routes(app):
        if route.access.origin_checked:
            assert str(route.rule).startswith(("/portal/invite/<token>", "/portal/sign/<token>")), route.rule


def test_looking_changes_nothing_that_only_a_form_may(app: Flask) -> None:
    """An API call that changes something is no GET, and no page is a PUT, PATCH or DELETE."""
    for route in routes(app):
        if route.method in UNSAFE - {"POST"}:
            assert route.access.who is Who.TOKEN, route.rule


# Foreign ids --------------------------------------------------------------------------------------------------------


def add_work(world: World) -> dict[str, str]:
    """A client with all there can be of one; its ids, by the names they have in addresses."""
    client_id = make_client(
        world, "Foreign Holdings", ("Frank", "frank@foreign.example"), ("Fay", "fay@foreign.example")
    )
    access_id = give_access(world, client_id, "fay@foreign.example", "Fay")
    now = utc_now()
    with world.app.app_context(), unit_of_work() as session:
        item = WorkItem(
            firm_id=world.firm_id, client_id=client_id, workflow="client-request", title="Foreign survey",
            status="sent", visible=True, open=True, details={"questions": []},
        )  # fmt: skip
        invite = Invite(
            id=new_id(), firm_id=world.firm_id, client_id=client_id, email="frank@foreign.example",
            email_display="frank@foreign.example", workflow="client-record", invited_by_id=world.admin_id,
            created_at=now, expires_at=now,
        )  # fmt: skip
        session.add_all([item, invite])
        session.flush()
        contact_id = session.scalar(sa.select(Contact.id).where(Contact.client_id == client_id).limit(1))
        return {
            "client_id": client_id, "item_id": item.id, "invite_id": invite.id, "access_id": access_id,
            "contact_id": str(contact_id),
        }  # fmt: skip


def test_another_firms_ids_are_as_missing_ones(
    app: Flask, world: World, dana: FlaskClient, nina: FlaskClient
) -> None:
    other = make_world(app, "Southwind Law", "southwind.example")
    foreign = add_work(other)
    with app.app_context(), unit_of_work() as session:
        message = MessageTemplate(firm_id=other.firm_id, name="Foreign words", body="Hello")
        survey = SurveyTemplate(firm_id=other.firm_id, title="Foreign questions")
        session.add_all([message, survey])
        session.flush()
        messages, surveys = foreign | {"template_id": message.id}, foreign | {"template_id": survey.id}
    assert answers_as_missing(app, messages, dana, nina) > 30
    assert answers_as_missing(app, surveys, dana, nina) > 30


def test_clients_a_member_is_not_assigned_to_are_as_missing_ones(
    app: Flask, world: World, nina: FlaskClient
) -> None:
    unassigned = add_work(world)
    mia = app.test_client()
    assert sign_in_as(mia, "mia@northwind.example").status_code == 302
    with app.app_context(), unit_of_work():
        db.session.execute(sa.update(ApiToken).values(team_member_id=world.assigned_id))
    assert answers_as_missing(app, unassigned, mia, nina) > 30


def answers_as_missing(app: Flask, foreign: dict[str, str], staff: FlaskClient, person: FlaskClient) -> int:
    """Ask every route for foreign ids and for missing ones: both get the same 404. Returns how many there were."""
    missing = {name: new_id() for name in foreign}
    wrong, seen = [], 0
    for route in routes(app):
        if route.access.who is Who.EVERYBODY or not route.rule.arguments & foreign.keys():
            continue
        if route.access.who is Who.TOKEN:
            client, headers = app.test_client(), {"Authorization": f"Bearer {TOKEN}"}
        else:
            client = person if route.access.who is Who.PORTAL else staff
            headers = {"X-CSRFToken": form_token(client)} if route.method in UNSAFE else {}
        seen += 1
        statuses, texts = [], []
        for ids in (foreign, missing):
            body = body_of(route) if route.access.who is Who.TOKEN and route.method in UNSAFE else {}
            answer = client.open(route.path(ids), method=route.method, headers=headers, **body)
            statuses.append(answer.status_code)
            texts.append(_without_ids(answer.text, ids))
        if statuses != [404, 404] or texts[0] != texts[1] or "Foreign" in texts[0]:
            wrong.append((route.method, str(route.rule), statuses, texts))
    assert wrong == []
    return seen


def body_of(route: Route) -> dict[str, Any]:
    """The body of an API call, as arguments of the test client."""
    last = str(route.rule).rpartition("/")[2]
    if last == "files":
        return {"data": {"file": (BytesIO(b"%PDF-1.4"), "a.pdf")}}
    return {} if last in WITHOUT_BODY else {"json": BODIES.get(last, {"name": "New"})}


def form_token(client: FlaskClient) -> str:
    """A form token of whoever is signed in."""
    with client.session_transaction():
        pass
    return token_in(client.get("/portal/find-invite"))


def _without_ids(text: str, ids: dict[str, str]) -> str:
    for name, value in ids.items():
        text = text.replace(value, name)
    return text
