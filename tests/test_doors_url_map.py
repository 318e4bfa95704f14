"""Every route of the real application: it has a rule, its forms are checked, and foreign ids are as missing ones.

Generated over the URL map, so a new route is tested by existing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

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
    PortalAccess,
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
        assert route.access.who is not Who.EVERYBODY or route.access.reason


def test_strangers_get_to_the_sign_in_page_and_no_further(app: Flask, world: World) -> None:
    wrong = []
    for route in routes(app):
        answer = app.test_client().open(route.path({}), method=route.method)
        if route.access.who is Who.TOKEN:
            right = answer.status_code == 401
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
        if route.method not in UNSAFE or route.access.who is Who.TOKEN:
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


@pytest.fixture
def foreign(app: Flask, world: World) -> dict[str, str]:
    """Ids of another firm, by the names they have in addresses."""
    other = make_world(app, "Southwind Law", "southwind.example")
    client_id = make_client(
        other, "Foreign Holdings", ("Frank", "frank@foreign.example"), ("Fay", "fay@foreign.example")
    )
    access_id = give_access(other, client_id, "fay@foreign.example", "Fay")
    now = utc_now()
    with app.app_context(), unit_of_work() as session:
        item = WorkItem(
            firm_id=other.firm_id, client_id=client_id, workflow="client-request", title="Foreign survey",
            status="sent", visible=True, open=True, details={"questions": []},
        )  # fmt: skip
        invite = Invite(
            id=new_id(), firm_id=other.firm_id, client_id=client_id, email="frank@foreign.example",
            email_display="frank@foreign.example", workflow="client-record", invited_by_id=other.admin_id,
            created_at=now, expires_at=now,
        )  # fmt: skip
        message = MessageTemplate(firm_id=other.firm_id, name="Foreign words", body="Hello")
        survey = SurveyTemplate(firm_id=other.firm_id, title="Foreign questions")
        session.add_all([item, invite, message, survey])
        session.flush()
        contact_id = session.scalar(sa.select(Contact.id).where(Contact.client_id == client_id).limit(1))
        assert session.get(PortalAccess, access_id) is not None
        return {
            "client_id": client_id, "item_id": item.id, "invite_id": invite.id, "access_id": access_id,
            "contact_id": str(contact_id), "template_id": message.id, "survey_id": survey.id,
        }  # fmt: skip


def test_foreign_ids_are_as_missing_ones(
    app: Flask, world: World, dana: FlaskClient, nina: FlaskClient, foreign: dict[str, str]
) -> None:
    missing = {name: new_id() for name in foreign}
    wrong, seen = [], 0
    for route in routes(app):
        if route.access.who is Who.EVERYBODY or not route.rule.arguments & foreign.keys():
            continue
        client, headers, data = (nina if route.access.who is Who.PORTAL else dana), {}, {}
        if route.access.who is Who.TOKEN:
            client, headers = app.test_client(), {"Authorization": f"Bearer {TOKEN}"}
        elif route.method in UNSAFE:
            headers["X-CSRFToken"] = form_token(client)
        body = {"json": {}} if route.access.who is Who.TOKEN and route.method in UNSAFE else {"data": data}
        answers = [
            client.open(route.path(ids), method=route.method, headers=headers, **body)
            for ids in (foreign, missing)
        ]
        seen += 1
        texts = [
            _without_ids(answer.text, ids) for answer, ids in zip(answers, (foreign, missing), strict=True)
        ]
        statuses = [answer.status_code for answer in answers]
        if texts[0] != texts[1] or statuses not in ([404, 404], [422, 422]) or "Foreign" in answers[0].text:
            wrong.append((route.method, str(route.rule), statuses))
    assert wrong == []
    assert seen > 30


def form_token(client: FlaskClient) -> str:
    """A form token of whoever is signed in."""
    with client.session_transaction():
        pass
    return token_in(client.get("/portal/find-invite"))


def _without_ids(text: str, ids: dict[str, str]) -> str:
    for name, value in ids.items():
        text = text.replace(value, name)
    return text
