"""Many at once, on both databases: one invite and one mail, one access and one login, at whatever instant.

Real threads, real requests. The two promises are kept for 50 rounds of 16; the ways around them run for fewer. What
happens when different people press different buttons is in tests/test_races_moves.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import requests
import sqlalchemy as sa
from flask import Flask

from invites import accept
from models import (
    AcceptCode,
    Contact,
    Event,
    Invite,
    InviteItem,
    InviteState,
    InviteToken,
    Outbox,
    PortalAccess,
    db,
    unit_of_work,
)
from models.errors import InviteNotPending
from tests.portal import NEW_PASSWORD, code
from tests.support import races
from tests.support.live import Live
from tests.support.together import (
    MANY,
    Crowd,
    count,
    in_a_unit_of_work,
    invite_rows,
    one_access,
    per_address,
    post,
    texts,
)
from tests.support.world import World, hashed, make_login

ROUNDS = 50
FEWER = 6

pytestmark = pytest.mark.settings(RATE_LIMITS="false")


people, racing, world, byron = races.people, races.racing, races.world, races.byron


# Sending ------------------------------------------------------------------------------------------------------------


def test_parallel_sends_make_one_invite_and_one_mail(
    app: Flask, world: World, byron: str, people: Crowd
) -> None:
    addresses = [f"person{number}@byron.example" for number in range(ROUNDS)]
    for address in addresses:
        calls = [
            post(app, f"/clients/{byron}/invites", {"recipients": [{"email": address}]}) for _ in range(MANY)
        ]
        answers = people.at_once(calls)
        assert [getattr(one, "status_code", one) for one in answers] == [201] * MANY, texts(answers)
        results = [one.get_json()["results"][0] for one in answers]
        assert Counter(result["outcome"] for result in results) == {"invited": 1, "already_invited": MANY - 1}
        assert len({result["invite"]["id"] for result in results}) == 1
    once = dict.fromkeys(addresses, 1)
    assert per_address(app, Invite.email, Invite.state == InviteState.PENDING) == once
    assert per_address(app, Invite.email) == once
    assert per_address(app, Outbox.to_email) == once
    assert per_address(app, Contact.email, Contact.email.is_not(None)) == once
    assert count(app, InviteToken.token_hash.is_not(None)) == ROUNDS
    assert count(app, Event.name == "invite_created") == ROUNDS


def test_parallel_client_requests_join_one_invite(
    app: Flask, world: World, byron: str, people: Crowd
) -> None:
    for number in range(FEWER):
        address = f"person{number}@byron.example"
        body = {"title": "Tax organizer", "questions": [], "invite": {"recipients": [{"email": address}]}}
        answers = people.at_once([post(app, f"/clients/{byron}/client-requests", body) for _ in range(MANY)])
        assert [getattr(one, "status_code", one) for one in answers] == [201] * MANY, texts(answers)
        outcomes = Counter(one.get_json()["invite_results"][0]["outcome"] for one in answers)
        assert outcomes == {"invited": 1, "added_to_invite": MANY - 1}
        items = {one.get_json()["id"] for one in answers}
        assert len(items) == MANY
        with app.app_context():
            [invite] = db.session.scalars(sa.select(Invite).where(Invite.email == address))
            joined = set(
                db.session.scalars(sa.select(InviteItem.item_id).where(InviteItem.invite_id == invite.id))
            )
            assert joined == items
            assert invite.sends == MANY
            # A mail for each item, each leading to its own; all with the one link.
            mails = db.session.execute(
                sa.select(Outbox.item_id, Outbox.generation).where(Outbox.to_email == address)
            ).all()
            assert {item for item, _ in mails} == items
            assert [generation for _, generation in mails] == [1] * MANY
        assert count(app, Contact.email == address) == 1


def test_first_requests_from_all_sides_make_one_contact(
    app: Flask, world: World, byron: str, people: Crowd
) -> None:
    """Invites, client requests and contacts at once, all for an address that nobody knew before."""
    for number in range(FEWER):
        address = f"person{number}@byron.example"
        recipients = [{"email": address}]
        request = {"title": "Organizer", "questions": [], "invite": {"recipients": recipients}}
        calls = [post(app, f"/clients/{byron}/invites", {"recipients": recipients}) for _ in range(8)]
        calls += [post(app, f"/clients/{byron}/client-requests", request) for _ in range(8)]
        answers = people.at_once(calls)
        assert {getattr(one, "status_code", one) for one in answers} == {201}, texts(answers)
        assert count(app, Contact.email == address) == 1
        assert count(app, Invite.email == address) == 1


def test_two_orders_for_the_same_people_in_opposite_order_both_end(
    app: Flask, world: World, byron: str, people: Crowd
) -> None:
    """Rows locked in opposite order would be a deadlock, which the database ends with an error."""
    for number in range(FEWER):
        addresses = [{"email": f"person{number}-{place}@byron.example"} for place in range(5)]
        there = {"recipients": addresses}
        back = {"recipients": addresses[::-1]}
        path = f"/clients/{byron}/invites"
        answers = people.at_once([post(app, path, body) for body in (there, back) for _ in range(4)])
        assert {getattr(one, "status_code", one) for one in answers} == {201}, texts(answers)
    assert count(app, Invite.state == InviteState.PENDING) == 5 * FEWER


def test_parallel_sends_to_a_running_server(live_server: Live, people: Crowd) -> None:
    """The same over real sockets, against the one process with its worker at work."""
    token = live_server.command("create-token", "--email", "dana@northwind.example").strip()
    api, headers = f"{live_server.url}/api/v1", {"Authorization": f"Bearer {token}"}
    client_id = requests.post(f"{api}/clients", json={"name": "Races"}, headers=headers, timeout=30).json()[
        "id"
    ]

    def send(address: str) -> Callable[[], requests.Response]:
        body = {"recipients": [{"email": address}]}
        return lambda: requests.post(
            f"{api}/clients/{client_id}/invites", json=body, headers=headers, timeout=60
        )

    for number in range(3):
        address = f"race{number}@byron.example"
        answers = people.at_once([send(address)] * MANY)
        assert [getattr(one, "status_code", one) for one in answers] == [201] * MANY, texts(answers)
        outcomes = Counter(one.json()["results"][0]["outcome"] for one in answers)
        assert outcomes == {"invited": 1, "already_invited": MANY - 1}
        live_server.wait_for_mail(address)
    assert {str(mail["To"]): 1 for mail in live_server.mails()} == Counter(
        str(mail["To"]) for mail in live_server.mails()
    )


# Accepting ----------------------------------------------------------------------------------------------------------


def test_parallel_accepts_give_one_access(app: Flask, world: World, byron: str, people: Crowd) -> None:
    addresses = [f"person{number}@byron.example" for number in range(ROUNDS)]
    tokens = invite_rows(app, world, byron, addresses)
    for address in addresses:

        def accept_it(token: str = tokens[address]) -> str:
            _, access = accept.accept_new(accept.look_up(token), "Ada Byron", hashed())
            return access.id

        answers = people.at_once([in_a_unit_of_work(app, accept_it)] * MANY)
        won = [one for one in answers if isinstance(one, str)]
        lost = [one for one in answers if isinstance(one, InviteNotPending)]
        assert (len(won), len(lost)) == (1, MANY - 1), answers
        one_access(app, address)


def test_parallel_accepts_by_one_signed_in_login_give_one_access(
    app: Flask, world: World, byron: str, people: Crowd
) -> None:
    addresses = [f"person{number}@byron.example" for number in range(FEWER)]
    tokens = invite_rows(app, world, byron, addresses)
    with app.app_context(), unit_of_work():
        for address in addresses:
            make_login(address, "Ada Byron")
    for address in addresses:

        def accept_it(address: str = address) -> str:
            login = accept.login_of(address)
            assert login is not None
            return accept.accept_as(accept.look_up(tokens[address]), login).id

        answers = people.at_once([in_a_unit_of_work(app, accept_it)] * MANY)
        assert sum(isinstance(one, str) for one in answers) == 1, answers
        assert sum(isinstance(one, InviteNotPending) for one in answers) == MANY - 1, answers
        one_access(app, address)


def test_parallel_accepts_through_the_pages_give_one_access(
    app: Flask, world: World, byron: str, people: Crowd
) -> None:
    """The whole way: name and password, the mailed code, and the code's page sent sixteen times at once."""
    addresses = [f"person{number}@byron.example" for number in range(FEWER)]
    tokens = invite_rows(app, world, byron, addresses)
    for address in addresses:
        path = f"/portal/invite/{tokens[address]}"
        start = begin(app, path)
        browsers = [app.test_client() for _ in range(MANY)]
        typed = {"code": code(app), "start": start}
        answers = people.at_once([lambda b=b, p=path, t=typed: b.post(f"{p}/code", data=t) for b in browsers])
        statuses = Counter(getattr(one, "status_code", one) for one in answers)
        assert set(statuses) <= {303, 409}, texts(answers)
        entered = [one for one in answers if one.location == "/portal/"]
        assert len(entered) == 1, texts(answers)
        assert sum(browser.get("/portal/").status_code == 200 for browser in browsers) == 1
        one_access(app, address)
    assert count(app, AcceptCode.id.is_not(None)) == 0


def begin(app: Flask, path: str) -> str:
    """Enter name and password; the id of the beginning."""
    begun = app.test_client().post(path, data={"name": "Ada Byron", "password": NEW_PASSWORD})
    assert begun.status_code == 303, begun.text
    return str(begun.location).partition("start=")[2][:26]


def test_guessing_in_parallel_gets_no_more_tries(app: Flask, world: World, byron: str, people: Crowd) -> None:
    """Sixteen wrong codes at the same instant are sixteen tries, of which five are looked at."""
    addresses = [f"person{number}@byron.example" for number in range(4)]
    tokens = invite_rows(app, world, byron, addresses)
    for address in addresses:
        path = f"/portal/invite/{tokens[address]}"
        start = begin(app, path)
        right = code(app)
        wrong = {"code": f"{(int(right) + 1) % 1_000_000:06}", "start": start}
        answers = people.at_once(
            [lambda p=path, w=wrong: app.test_client().post(f"{p}/code", data=w) for _ in range(MANY)]
        )
        statuses = Counter(getattr(one, "status_code", one) for one in answers)
        assert statuses == {422: accept.CODE_TRIES, 409: MANY - accept.CODE_TRIES}, texts(answers)
        late = app.test_client().post(f"{path}/code", data={"code": right, "start": start})
        assert late.status_code == 409, "the tries are used up"
        assert count(app, PortalAccess.email == address) == 0


def test_beginning_twice_at_once_leaves_one_code(app: Flask, world: World, byron: str, people: Crowd) -> None:
    [token] = invite_rows(app, world, byron, ["ada@byron.example"]).values()
    fields = {"name": "Ada Byron", "password": NEW_PASSWORD}
    for _ in range(3):
        answers = people.at_once(
            [lambda: app.test_client().post(f"/portal/invite/{token}", data=fields) for _ in range(6)]
        )
        assert {getattr(one, "status_code", one) for one in answers} == {303}, texts(answers)
        assert count(app, AcceptCode.id.is_not(None)) == 1
