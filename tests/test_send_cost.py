"""What Send costs does not hang on how many people it goes to: the same statements for one and for two hundred."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from models import ApiToken, Invite, MailKind, Outbox, db, unit_of_work
from models.address import BadAddress, parse_address
from models.api_token import hash_of_token
from models.database import statements
from tests.staff import Staff
from tests.support.world import World, give_access, make_client, make_world

MANY = 200
HEADERS = {"Authorization": "Bearer admin-token"}


@pytest.fixture
def world(app: Flask) -> World:
    world = make_world(app)
    with app.app_context(), unit_of_work() as session:
        session.add(
            ApiToken(team_member_id=world.admin_id, name="t", token_hash=hash_of_token("admin-token"))
        )
    app.test_client().get("/api/v1/clients", headers=HEADERS)  # the token's first call is noted
    return world


def people(number: int, mark: str = "") -> list[tuple[str, str]]:
    return [(f"Person {place}", f"person{place}{mark}@x.example") for place in range(number)]


def typed(number: int) -> list[dict[str, str]]:
    return [{"name": name, "email": email} for name, email in people(number)]


def post(world: World, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """One call of the API: its answer, and the statements it took."""
    with world.app.app_context(), statements() as seen:
        answer = world.app.test_client().post(f"/api/v1{path}", json=body, headers=HEADERS)
    assert answer.status_code == 201, answer.text
    body = answer.get_json()
    return body, seen


def outcomes(results: list[dict[str, Any]]) -> set[str]:
    return {result["outcome"] for result in results}


def test_inviting_from_the_record(world: World) -> None:
    """New people, then people of the record, then the same ones again: each time as many statements as for one."""
    few, many = (make_client(world, name, ("Ada", "ada@x.example")) for name in ("Few", "Many"))
    for recipients, outcome in ((typed, "invited"), (typed, "already_invited")):
        one, first = post(world, f"/clients/{few}/invites", {"recipients": recipients(1)})
        all_, second = post(world, f"/clients/{many}/invites", {"recipients": recipients(MANY)})
        assert outcomes(one["results"]) == outcomes(all_["results"]) == {outcome}
        assert len(all_["results"]) == MANY
        assert len(first) == len(second), second
        assert len(second) < 25


def test_postgresql_keeps_what_it_planned_from_one_request_to_the_next(world: World, backend: str) -> None:
    """Planning takes longer than running; the driver would forget all plans whenever a reading ends."""
    if backend != "postgresql":
        pytest.skip("Python's own SQLite keeps statements by itself")
    client = make_client(world, "Byron Family", ("Ada", "ada@x.example"))
    for number in range(8):
        recipients = [{"email": f"new{number}@x.example"}]
        post(world, f"/clients/{client}/invites", {"recipients": recipients})
    with world.app.app_context():
        kept = sa.text("SELECT statement FROM pg_prepared_statements")
        planned = " ".join(db.session.scalars(kept))
    for table in ("api_token", "contact", "invite", "outbox", "event"):
        assert f"INSERT INTO {table} " in planned or f"FROM {table} " in planned, planned


def test_inviting_who_is_on_the_record(world: World) -> None:
    counts = []
    for number in (1, MANY):
        client = make_client(world, f"Record of {number}", *people(number))
        contacts = world.app.test_client().get(f"/api/v1/clients/{client}", headers=HEADERS).get_json()
        recipients = [{"contact_id": contact["id"]} for contact in contacts["contacts"]]
        answer, seen = post(world, f"/clients/{client}/invites", {"recipients": recipients})
        assert [result["outcome"] for result in answer["results"]] == ["invited"] * number
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_sending_work_to_new_people_and_to_those_inside(world: World) -> None:
    """A client request to people who are invited by it and to people who have access, half of each."""
    counts = []
    for number in (2, MANY):
        client = make_client(world, f"Byron Family {number}", *people(number, f".{number}"))
        for name, email in people(number, f".{number}")[: number // 2]:
            give_access(world, client, email, name)
        recipients = [{"email": email} for _, email in people(number, f".{number}")]
        body = {"title": "Organizer", "invite": {"recipients": recipients}}
        answer, seen = post(world, f"/clients/{client}/client-requests", body)
        assert outcomes(answer["invite_results"]) == {"invited", "already_has_access"}
        counts.append(len(seen))
    assert counts[0] == counts[1]
    with world.app.app_context():
        mails = sa.select(sa.func.count()).where(Outbox.kind == MailKind.ITEM)
        assert db.session.scalar(mails) == 1 + MANY // 2


def test_the_staff_window(world: World) -> None:
    """Typed into the box of the record's window and sent at once."""
    dana, counts = Staff.of(world.app), []
    for number in (1, MANY):
        client = make_client(world, f"Lovelace {number}", ("Ada", "ada@x.example"))
        window = dana.open(f"/clients/{client}/invite")
        box = ", ".join(email for _, email in people(number))
        with world.app.app_context(), statements() as seen:
            assert "Invite sent" in window.press("do=send", new_email=box).words
        with world.app.app_context():
            invited = db.session.scalar(sa.select(sa.func.count()).where(Invite.client_id == client))
        assert invited == number + 1  # Ada was ticked
        counts.append(len(seen))
    assert counts[0] == counts[1]


@pytest.mark.one_database
def test_an_invite_made_just_now_is_answered_as_it_is_read_later(world: World) -> None:
    """Send shows it as it was written, without asking the database for it."""
    client = make_client(world, "Byron Family", ("Ada", "ada@x.example"))
    body = {
        "recipients": [{"email": "ada@x.example", "name": "Ada"}, {"email": "New@x.example"}],
        "message": "Hello {{ person.first_name }}",
        "expires_in_days": 7,
        "metadata": {"case": 17},
    }
    request = {"title": "Organizer", "due_on": None, "invite": body | {"access_until": "2099-12-31"}}
    del request["due_on"]
    sent, _ = post(world, f"/clients/{client}/client-requests", request)
    for result in sent["invite_results"]:
        read = world.app.test_client().get(f"/api/v1/invites/{result['invite']['id']}", headers=HEADERS)
        assert read.get_json() == result["invite"]


@pytest.mark.parametrize(
    ("text", "key", "display"),
    [
        ("ada@x.example", "ada@x.example", "ada@x.example"),
        ("  ada.b+tax@Gmail.COM ", "ada.b+tax@gmail.com", "ada.b+tax@gmail.com"),
        ("Ada@X.example", "ada@x.example", "Ada@x.example"),
        ("ada@straße.example", "ada@xn--strae-oqa.example", "ada@straße.example"),
        (f"{'a' * 64}@x.example", f"{'a' * 64}@x.example", f"{'a' * 64}@x.example"),
    ],
)
def test_addresses_whose_domain_is_known_already_are_read_alike(text: str, key: str, display: str) -> None:
    for _ in range(2):
        address = parse_address(text)
        assert (address.key, address.display) == (key, display)


@pytest.mark.parametrize(
    "text",
    ["a..b@x.example", ".a@x.example", "a@x", "a@-x.example", "a@b@x.example", "a b@x.example", "a@x.example.",
     f"{'a' * 65}@x.example", "a@", "@x.example", "a@ｘ.example", "ａ@x.example", "a@xn--strae-oqa.example"],
)  # fmt: skip
def test_what_is_no_address_is_refused_each_time(text: str) -> None:
    for _ in range(2):
        with pytest.raises(BadAddress):
            parse_address(text)
