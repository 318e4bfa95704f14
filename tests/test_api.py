"""API v1 as a developer meets it: the contract's calls, status codes and shapes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from invites import searching
from invites.standing import StandingKey
from models import (
    Invite,
    Outbox,
    PortalAccess,
    StoredFile,
    TeamMember,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.database import statements
from schemas.api import STANDINGS
from tests.portal import invite
from tests.support.world import World, give_access, mails, make_client, make_world, token_for
from workflows.esign_request.sample import engagement_letter

ADA = "ada@byron.example"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", None), external_id="B-1")


class Caller:
    """A developer with one token."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self.client, self.headers = client, {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> TestResponse:
        headers = self.headers | options.pop("headers", {})
        if body is not None:
            options["json"] = body
        return self.client.open(f"/api/v1{path}", method=method, headers=headers, **options)


@pytest.fixture
def api(world: World) -> Caller:
    return Caller(world.app.test_client(), token_for(world, world.admin_id, "admin-token"))


@pytest.fixture
def caller(world: World) -> Callable[[str], Caller]:
    return lambda member_id: Caller(
        world.app.test_client(), token_for(world, member_id, f"token-{member_id}")
    )


def problem(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.mimetype == "application/problem+json"
    body: dict[str, Any] = response.get_json()
    assert body["code"] == code
    assert body["status"] == status
    assert {"type", "title", "detail"} <= body.keys()
    return body


def test_without_a_good_token_nothing(api: Caller, byron: str) -> None:
    anonymous = api.client.get("/api/v1/clients")
    problem(anonymous, 401, "unauthorized")
    assert "Bearer" in anonymous.headers["WWW-Authenticate"]
    problem(api("GET", "/clients", headers={"Authorization": "Bearer wrong"}), 401, "unauthorized")


def test_clients_and_contacts(api: Caller) -> None:
    made = api(
        "POST",
        "/clients",
        {
            "name": "Hopper Inc.",
            "external_id": "H",
            "contacts": [{"name": "Grace", "email": "Grace@hopper.example"}, {"name": "No Mail"}],
        },
    )
    assert made.status_code == 201, made.text
    client = made.get_json()
    assert client.keys() == {"id", "name", "external_id", "contacts", "created_at"}
    assert [contact["email"] for contact in client["contacts"]] == ["Grace@hopper.example", None]
    assert client["created_at"].endswith("Z")
    assert api("GET", f"/clients/{client['id']}").get_json() == client
    problem(api("POST", "/clients", {"name": "Other", "external_id": "H"}), 422, "invalid")
    assert (
        api("PATCH", f"/clients/{client['id']}", {"name": "Hopper Compilers"}).get_json()["name"]
        == "Hopper Compilers"
    )
    contact = api(
        "POST", f"/clients/{client['id']}/contacts", {"name": "Howard", "email": "howard@hopper.example"}
    ).get_json()
    assert (
        api("PATCH", f"/contacts/{contact['id']}", {"email": "h@hopper.example"}).get_json()["email"]
        == "h@hopper.example"
    )
    for query in ("q=hop", "q=grace@", "external_id=H"):
        assert [c["id"] for c in api("GET", f"/clients?{query}").get_json()["items"]] == [client["id"]]
    assert api("GET", "/clients?q=opper").get_json()["items"] == []


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "A\x00B"}, "name"),
        ({"name": ["x"]}, "name"),
        ({"name": "A", "id": "mine"}, "id"),
        ({"name": "A", "created_at": "now"}, "created_at"),
        ({"name": "A", "contacts": [{"email": ["a@b.example"]}]}, "contacts.0.email"),
        ({"name": "A", "contacts": [{"email": {"a": 1}}]}, "contacts.0.email"),
        ({"name": "A", "contacts": [{"name": "x", "email": "ada@ｅxample.com"}]}, "contacts.0.email"),
        ({"name": "A", "contacts": "no"}, "contacts"),
    ],
)  # fmt: skip
def test_bad_bodies_name_the_field(api: Caller, body: Any, field: str) -> None:
    errors = problem(api("POST", "/clients", body), 422, "invalid")["errors"]
    assert field in errors or any(key.startswith(field) for key in errors), errors
    assert api("GET", "/clients").get_json()["items"] == []


def test_what_is_not_json(api: Caller) -> None:
    problem(api("POST", "/clients", data="{", content_type="application/json"), 400, "bad_request")
    problem(
        api("POST", "/clients", data="name=x", content_type="application/x-www-form-urlencoded"),
        415,
        "unsupported_media_type",
    )
    bodies: tuple[Any, ...] = ([], "text", 3, None)
    for body in bodies:
        response = api("POST", "/clients", data=json.dumps(body), content_type="application/json")
        assert response.status_code == 422, body
    wrong = api("DELETE", "/clients")
    problem(wrong, 405, "method_not_allowed")
    assert "POST" in wrong.headers["Allow"]


def test_invites_life(app: Flask, api: Caller, byron: str, time_machine: Any) -> None:
    sent = api(
        "POST",
        f"/clients/{byron}/invites",
        {
            "recipients": [{"email": ADA}, {"email": "nonsense"}],
            "message": "Hello",
            "expires_in_days": 7,
            "metadata": {"ref": 7},
        },
    )
    assert sent.status_code == 201, sent.text
    good, bad = sent.get_json()["results"]
    assert (good["outcome"], bad["outcome"], bad["invite"]) == ("invited", "invalid", None)
    invite = good["invite"]
    assert invite.keys() == {
        "id", "client_id", "client_name", "email", "name", "state", "expired", "standing", "workflow", "items", "message",
        "metadata", "created_at", "expires_at", "accepted_at", "invited_by", "sends", "delivery",
        "access_until", "template",
    }  # fmt: skip
    assert (invite["state"], invite["standing"], invite["client_name"]) == (
        "pending",
        "invited",
        "Byron Family",
    )
    assert invite["invited_by"] == {"name": "Dana Reyes", "email": "dana@northwind.example"}
    assert invite["delivery"]["state"] == "queued"
    assert api("GET", f"/invites/{invite['id']}").get_json()["id"] == invite["id"]
    assert (
        api("POST", f"/clients/{byron}/invites", {"recipients": [{"email": ADA}]}).get_json()["results"][0][
            "outcome"
        ]
        == "already_invited"
    )
    assert mails(app) == [(ADA, "invite", "queued")]
    time_machine.move_to(utc_now() + timedelta(days=8), tick=True)
    assert api("GET", f"/invites/{invite['id']}").get_json()["expired"] is True
    again = api("POST", f"/invites/{invite['id']}/resend")
    assert again.status_code == 202
    assert (again.get_json()["expired"], again.get_json()["sends"]) == (False, 2)
    assert api("POST", f"/invites/{invite['id']}/revoke").get_json()["state"] == "revoked"
    problem(api("POST", f"/invites/{invite['id']}/revoke"), 409, "invite_not_pending")
    problem(api("POST", f"/invites/{invite['id']}/resend"), 409, "invite_not_pending")
    for query, count in (
        ("state=revoked", 1),
        ("state=pending", 0),
        (f"email={ADA}", 1),
        ("standing=revoked", 1),
        ("q=ada", 1),
        (f"client_id={byron}", 1),
    ):
        assert len(api("GET", f"/invites?{query}").get_json()["items"]) == count, query
    problem(api("GET", "/invites?state=wrong"), 422, "invalid")
    problem(api("GET", "/invites?standing=wrong"), 422, "invalid")
    problem(api("GET", "/invites?stat=pending"), 422, "invalid")


@pytest.mark.parametrize("few", [1000, 0])
def test_invites_by_standing_fill_their_pages(
    app: Flask, api: Caller, world: World, byron: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is cut after the filter, not before: who asks for one declined invite gets it, however old."""
    monkeypatch.setattr(searching, "FEW", few)  # both ways to find them
    assert list(StandingKey) == STANDINGS
    made = {}
    for name in ("declined", "expired", "bounced", "active", "ended", "invited"):
        email = f"{name}@x.example"
        if name in {"active", "ended"}:
            give_access(world, byron, email)
        made[name] = invite(world, byron, email) if name not in {"active", "ended"} else ""
    hour = timedelta(hours=1)
    with app.app_context(), unit_of_work() as session:
        of = Invite.email
        over = utc_now() - hour
        session.execute(
            sa.update(Invite).where(of == "declined@x.example").values(state="declined", ended_at=over)
        )
        session.execute(sa.update(Invite).where(of == "expired@x.example").values(expires_at=over))
        session.execute(
            sa.update(Outbox).where(Outbox.to_email == "bounced@x.example").values(state="bounced")
        )
        session.execute(
            sa.update(PortalAccess).where(PortalAccess.email == "ended@x.example").values(ends_at=over)
        )
        for email in ("active@x.example", "ended@x.example"):  # accepted, so that an invite is there
            session.add(
                Invite(
                    firm_id=world.firm_id, client_id=byron, email=email, email_display=email, workflow="client-record",
                    state="accepted", ended_at=over, invited_by_id=world.admin_id, expires_at=utc_now() + hour,
                )
            )  # fmt: skip
    for standing in ("declined", "expired", "bounced", "invited", "active", "removed"):
        page = api("GET", f"/invites?standing={standing}&limit=1").get_json()
        name = "ended" if standing == "removed" else standing
        assert [one["email"] for one in page["items"]] == [f"{name}@x.example"], standing
        assert page["items"][0]["standing"] == standing
        assert page["next_cursor"] is None
    for path, found in (
        ("invites?q=decl", 1),
        ("invites?q=byr+x", 6),
        ("invites?q=eclined", 0),
        ("clients?q=byr+exp", 1),
    ):
        assert len(api("GET", f"/{path}").get_json()["items"]) == found, path


def test_all_bad_is_refused_whole(app: Flask, api: Caller, byron: str) -> None:
    errors = problem(
        api("POST", f"/clients/{byron}/invites", {"recipients": [{"email": "x"}, {"email": ["y"]}]}),
        422,
        "invalid",
    )["errors"]
    assert errors
    problem(
        api(
            "POST",
            f"/clients/{byron}/client-requests",
            {"title": "T", "invite": {"recipients": [{"email": "x"}]}},
        ),
        422,
        "invalid",
    )
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(WorkItem)) == 0
    assert mails(app) == []


def test_invite_step(api: Caller, byron: str) -> None:
    step = api("GET", f"/clients/{byron}/invite-step?workflow=client-request").get_json()
    assert (step["client_id"], step["workflow"], step["opens"]) == (byron, "client-request", True)
    ada, will = step["people"]
    assert (ada["standing"], ada["preselected"], ada["can_see"], ada["can_invite"]) == (
        "no_invite",
        True,
        "portal",
        True,
    )
    assert (will["standing"], will["standing_text"], will["email"], will["can_invite"]) == (
        "no_email",
        "No e-mail",
        None,
        False,
    )
    problem(api("GET", f"/clients/{byron}/invite-step?workflow=unknown"), 422, "invalid")


def test_the_step_stays_closed_where_everybody_is_in(api: Caller, world: World, byron: str) -> None:
    give_access(world, byron, ADA)
    assert api("GET", f"/clients/{byron}/invite-step?workflow=file").get_json()["opens"] is False
    assert api("GET", f"/clients/{byron}/invite-step").get_json()["opens"] is True


def test_a_client_request_with_invites(app: Flask, api: Caller, byron: str) -> None:
    body = {
        "title": "Organizer", "introduction": "Hello", "due_on": (utc_now() + timedelta(days=20)).date().isoformat(),
        "questions": [{"key": "moved", "type": "yes_no", "label": "Moved?", "required": True}],
        "invite": {"recipients": [{"email": ADA}], "message": "Please"},
    }  # fmt: skip
    sent = api("POST", f"/clients/{byron}/client-requests", body)
    assert sent.status_code == 201, sent.text
    item = sent.get_json()
    assert (item["type"], item["title"], item["status"]) == ("client-request", "Organizer", "sent")
    assert item["invite_results"][0]["outcome"] == "invited"
    assert item["invite_results"][0]["invite"]["items"] == [
        {"type": "client-request", "id": item["id"], "title": "Organizer"}
    ]
    assert api("GET", f"/client-requests/{item['id']}").get_json()["questions"][0]["key"] == "moved"
    assert [one["id"] for one in api("GET", f"/clients/{byron}/client-requests").get_json()["items"]] == [
        item["id"]
    ]
    assert mails(app) == [(ADA, "invite", "queued")]
    for wrong, field in (
        ({"due_on": "2001-01-01"}, "due_on"),
        ({"title": ""}, "title"),
        ({"questions": [{"type": "magic", "label": "x"}]}, "questions"),
    ):
        errors = problem(api("POST", f"/clients/{byron}/client-requests", body | wrong), 422, "invalid")[
            "errors"
        ]
        assert any(key.startswith(field) for key in errors), errors


def test_a_dry_run_keeps_and_mails_nothing(app: Flask, api: Caller, byron: str) -> None:
    invite = {"recipients": [{"email": "new@person.example"}]}
    for path, body in (
        (f"/clients/{byron}/invites", invite),
        (f"/clients/{byron}/client-requests", {"title": "T", "invite": invite}),
    ):
        plan = api("POST", f"{path}?dry_run=true", body)
        assert plan.status_code == 200, plan.text
        results = plan.get_json().get("results") or plan.get_json()["invite_results"]
        assert results[0]["outcome"] == "invited"
    assert mails(app) == []
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Invite)) == 0
        assert db.session.scalar(sa.select(sa.func.count()).select_from(WorkItem)) == 0
    assert len(api("GET", f"/clients/{byron}").get_json()["contacts"]) == 2


def upload(
    api: Caller, client_id: str, data: bytes, name: str = "return.pdf", query: str = "", **form: str
) -> TestResponse:
    return api(
        "POST",
        f"/clients/{client_id}/files{query}",
        data={"file": (io.BytesIO(data), name), **form},
        content_type="multipart/form-data",
    )


def test_files(app: Flask, api: Caller, byron: str) -> None:
    pdf = engagement_letter("Northwind", "Byron", 2026)
    hidden = upload(api, byron, pdf)
    assert hidden.status_code == 201, hidden.text
    file = hidden.get_json()
    assert (file["visible"], file["name"], file["size"], file["content_type"]) == (
        False,
        "return.pdf",
        len(pdf),
        "application/pdf",
    )
    assert mails(app) == []
    shown = api(
        "PUT",
        f"/files/{file['id']}/visibility",
        {"visible": True, "invite": {"recipients": [{"email": ADA}]}},
    )
    assert shown.status_code == 200, shown.text
    assert (shown.get_json()["visible"], shown.get_json()["invite_results"][0]["outcome"]) == (
        True,
        "invited",
    )
    assert mails(app) == [(ADA, "invite", "queued")]
    assert api("PUT", f"/files/{file['id']}/visibility", {"visible": False}).get_json()["visible"] is False
    at_once = upload(
        api, byron, pdf, visible="true", invite=json.dumps({"recipients": [{"email": "new@person.example"}]})
    )
    assert at_once.status_code == 201, at_once.text
    assert at_once.get_json()["invite_results"][0]["outcome"] == "invited"
    problem(upload(api, byron, b""), 422, "invalid")
    problem(upload(api, byron, pdf, visible="true", invite="{"), 422, "invalid")
    problem(
        upload(api, byron, pdf, visible="true", invite='{"recipients": [{"email": "x"}]}'), 422, "invalid"
    )
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(StoredFile)) == 2


@pytest.mark.settings(MAX_UPLOAD_MB="0.01")
def test_a_file_too_large(api: Caller, byron: str) -> None:
    problem(upload(api, byron, b"x" * 20_000, "a.txt"), 413, "too_large")


def test_an_esign_request(app: Flask, api: Caller, byron: str) -> None:
    file = upload(api, byron, engagement_letter("Northwind", "Byron", 2026)).get_json()
    body = {
        "file_id": file["id"],
        "title": "Letter",
        "signers": [
            {"name": "Ada Byron", "email": ADA},
            {"name": "Charles", "email": "charles@engine.example"},
        ],
    }
    sent = api(
        "POST",
        f"/clients/{byron}/esign-requests",
        body
        | {
            "invite": {"recipients": [{"email": ADA}, {"email": "charles@engine.example", "name": "Charles"}]}
        },
    )
    assert sent.status_code == 201, sent.text
    assert sent.get_json()["status"] == "sent"
    assert {email for email, _, _ in mails(app)} == {ADA, "charles@engine.example"}
    text = upload(api, byron, b"just text", "a.txt").get_json()
    problem(api("POST", f"/clients/{byron}/esign-requests", body | {"file_id": text["id"]}), 422, "invalid")
    problem(api("POST", f"/clients/{byron}/esign-requests", body | {"signers": []}), 422, "invalid")


def test_a_missing_licence_is_402_and_inviting_still_works(app: Flask, api: Caller, byron: str) -> None:
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.text("DELETE FROM firm_licence"))
    for path, body in (
        ("client-requests", {"title": "T"}),
        ("esign-requests", {"file_id": "x", "signers": [{"name": "A", "email": ADA}]}),
    ):
        problem(api("POST", f"/clients/{byron}/{path}", body), 402, "licence_missing")
    problem(upload(api, byron, b"text", "a.txt"), 402, "licence_missing")
    problem(api("GET", f"/clients/{byron}/invite-step?workflow=file"), 402, "licence_missing")
    assert api("POST", f"/clients/{byron}/invites", {"recipients": [{"email": ADA}]}).status_code == 201


def test_access_and_its_moves(app: Flask, api: Caller, world: World, byron: str) -> None:
    access_id = give_access(world, byron, ADA)
    [access] = api("GET", f"/clients/{byron}/access").get_json()["items"]
    assert access.keys() == {
        "id",
        "client_id",
        "email",
        "name",
        "state",
        "scope",
        "last_login_at",
        "accepted_at",
        "access_until",
        "ended",
    }
    assert api("POST", f"/access/{access_id}/send-sign-in").status_code == 202
    for move, state in (("suspend", "suspended"), ("restore", "active"), ("remove", "removed")):
        assert api("POST", f"/access/{access_id}/{move}").get_json()["state"] == state
    problem(api("POST", f"/access/{access_id}/suspend"), 409, "wrong_state")
    problem(api("POST", f"/access/{access_id}/send-sign-in"), 409, "wrong_state")
    assert mails(app) == [(ADA, "sign_in", "queued")]


def test_an_idempotency_key_does_it_once(app: Flask, api: Caller, byron: str) -> None:
    key = {"Idempotency-Key": "k1"}
    body = {"title": "T", "invite": {"recipients": [{"email": ADA}]}}
    first = api("POST", f"/clients/{byron}/client-requests", body, headers=key)
    second = api("POST", f"/clients/{byron}/client-requests", body, headers=key)
    assert (second.status_code, second.get_json()) == (201, first.get_json())
    assert second.headers["Idempotent-Replayed"] == "true"
    problem(
        api("POST", f"/clients/{byron}/client-requests", body | {"title": "U"}, headers=key), 422, "invalid"
    )
    problem(
        api("POST", f"/clients/{byron}/client-requests", body, headers={"Idempotency-Key": "x" * 256}),
        422,
        "invalid",
    )
    assert mails(app) == [(ADA, "invite", "queued")]
    refused = [api("POST", "/clients", {"name": ""}, headers={"Idempotency-Key": "k2"}) for _ in range(2)]
    assert [answer.status_code for answer in refused] == [422, 422]
    assert refused[0].get_json() == refused[1].get_json()


def test_lists_are_stable_while_rows_are_added_and_cost_no_more(
    app: Flask, api: Caller, world: World
) -> None:
    for number in range(7):
        make_client(world, f"Client {number}", ("A", f"a{number}@x.example"))
    seen, cursor = [], None
    while True:
        answer = api("GET", "/clients?limit=3" + (f"&cursor={cursor}" if cursor else "")).get_json()
        seen += [client["name"] for client in answer["items"]]
        make_client(world, f"Late {len(seen)}")
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"Client {number}" for number in reversed(range(7))]
    problem(api("GET", "/clients?limit=101"), 422, "invalid")
    problem(api("GET", "/clients?cursor=%FF"), 422, "invalid")
    for path in ("/clients", "/invites"):
        counts = []
        for limit in (1, 7):
            with app.app_context(), statements() as sent:
                api("GET", f"{path}?limit={limit}")
            counts.append(len(sent))
        assert counts[0] == counts[1]


FOREIGN = (
    ("GET", "/clients/{client}"), ("PATCH", "/clients/{client}"), ("POST", "/clients/{client}/contacts"),
    ("PATCH", "/contacts/{contact}"), ("GET", "/clients/{client}/invite-step"), ("POST", "/clients/{client}/invites"),
    ("GET", "/invites/{invite}"), ("POST", "/invites/{invite}/resend"), ("POST", "/invites/{invite}/revoke"),
    ("GET", "/clients/{client}/access"), ("POST", "/access/{access}/remove"), ("POST", "/access/{access}/suspend"),
    ("POST", "/access/{access}/restore"), ("POST", "/access/{access}/send-sign-in"),
    ("POST", "/clients/{client}/client-requests"), ("GET", "/clients/{client}/client-requests"),
    ("GET", "/client-requests/{item}"), ("GET", "/files/{item}"), ("PUT", "/files/{item}/visibility"),
    ("GET", "/clients/{client}/files"), ("GET", "/esign-requests/{item}"), ("GET", "/clients/{client}/esign-requests"),
)  # fmt: skip
BODIES: dict[str, Any] = {
    "PATCH": {"name": "x"},
    "/contacts": {"name": "x"},
    "/invites": {"recipients": [{"email": ADA}]},
    "/client-requests": {"title": "T"},
    "/visibility": {"visible": True},
}


@pytest.mark.parametrize("method, path", FOREIGN)
def test_foreign_ids_are_as_missing_ones(
    app: Flask, world: World, api: Caller, byron: str, caller: Callable[[str], Caller], method: str, path: str
) -> None:
    access_id = give_access(world, byron, "will@byron.example")
    invite = api(
        "POST",
        f"/clients/{byron}/client-requests",
        {"title": "T", "invite": {"recipients": [{"email": ADA}]}},
    ).get_json()
    contact = api("GET", f"/clients/{byron}").get_json()["contacts"][0]["id"]
    ids = {
        "client": byron, "contact": contact, "invite": invite["invite_results"][0]["invite"]["id"],
        "access": access_id, "item": invite["id"],
    }  # fmt: skip
    other = make_world(app, "Other Firm", "other.example")
    body = next((body for end, body in BODIES.items() if method == end or path.endswith(end)), None)
    for stranger in (caller(other.admin_id), caller(world.assigned_id)):
        foreign = stranger(method, path.format(**ids), body)
        missing = stranger(method, path.format(**dict.fromkeys(ids, "01ARZ3NDEKTSV4RRFFQ69G5FAV")), body)
        assert (foreign.status_code, foreign.get_json()) == (404, missing.get_json()), foreign.text
        problem(foreign, 404, "not_found")


def test_openapi_names_every_call_and_the_docs_page_is_offline(api: Caller, app: Flask) -> None:
    spec = api.client.get("/api/v1/openapi.json").get_json()
    assert spec["openapi"].startswith("3.1")
    paths = set(spec["paths"])
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/v1/") and "openapi" not in rule.rule:
            documented = rule.rule.replace("<", "{").replace(">", "}")
            assert documented in paths, documented
    page = api.client.get("/api/docs").text
    assert "http://" not in page
    assert "https://" not in page


def test_nobody_but_an_active_member_uses_a_token(api: Caller, world: World) -> None:
    with world.app.app_context(), unit_of_work() as session:
        session.get_one(TeamMember, world.admin_id).active = False
    problem(api("GET", "/clients"), 401, "unauthorized")
