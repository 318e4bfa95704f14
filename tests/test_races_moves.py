"""Different people press different buttons at the same instant: one wins, and the other is told what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

import config
from invites import accept, lifecycle
from invites.scope import PortalView
from mail.links import invite_token
from models import Client, Event, Invite, InviteToken, Outbox, PortalAccess, db, new_id
from models.errors import InviteNotPending
from tests.support import races
from tests.support.together import (
    MANY,
    TOKEN,
    Crowd,
    count,
    in_a_unit_of_work,
    invite_rows,
    one_access,
    post,
    texts,
)
from tests.support.world import World, give_access, hashed, make_client

ROUNDS = 12

pytestmark = pytest.mark.settings(RATE_LIMITS="false")


people, racing, world, byron = races.people, races.racing, races.world, races.byron


Move = Callable[[str], Any]


def accept_move(token: str) -> str:
    accept.accept_new(accept.look_up(token), "Ada Byron", hashed())
    return "accepted"


def revoke_move(token: str) -> str:
    invite = accept.look_up(token).invite
    lifecycle.revoke(invite, invite.invited_by)
    return "revoked"


def decline_move(token: str) -> str:
    lifecycle.decline(accept.look_up(token).invite)
    return "declined"


def resend_move(token: str) -> str:
    invite = accept.look_up(token).invite
    lifecycle.resend(invite, invite.invited_by, "sent you a new link")
    return "resent"


def first_token(app: Flask, invite_id: str) -> str:
    """The token of an invite's first mail."""
    with app.app_context():
        return invite_token(config.current(), invite_id, 1)


@pytest.mark.parametrize(
    "moves",
    [(revoke_move, accept_move), (decline_move, accept_move), (revoke_move, decline_move, accept_move)],
    ids=["revoke-accept", "decline-accept", "all-three"],
)
def test_only_one_end_of_an_invite(
    app: Flask, world: World, byron: str, people: Crowd, moves: tuple[Move, ...]
) -> None:
    addresses = [f"person{number}@byron.example" for number in range(ROUNDS)]
    for address, token in invite_rows(app, world, byron, addresses).items():
        calls = [
            in_a_unit_of_work(app, lambda move=move, t=token: move(t)) for move in moves for _ in range(4)
        ]
        answers = people.at_once(calls)
        won = [one for one in answers if isinstance(one, str)]
        assert len(won) == 1, answers
        assert all(isinstance(one, InviteNotPending) for one in answers if one not in won), answers
        with app.app_context():
            [state] = db.session.scalars(sa.select(Invite.state).where(Invite.email == address))
            names = list(
                db.session.scalars(
                    sa.select(Event.name)
                    .join(Invite, Invite.id == Event.invite_id)
                    .where(Invite.email == address, Event.name != "invite_created")
                )
            )
        assert (state.value, names) == (won[0], [f"invite_{won[0]}"])
        assert count(app, PortalAccess.email == address) == (1 if won == ["accepted"] else 0)


def test_a_resend_and_an_accept_of_the_older_link(
    app: Flask, world: World, byron: str, people: Crowd
) -> None:
    """Accepted first: nothing is sent again. Sent again first: the older link no longer accepts."""
    seen: Counter[str] = Counter()
    addresses = [f"person{number}@byron.example" for number in range(ROUNDS)]
    for address, token in invite_rows(app, world, byron, addresses).items():
        calls = [in_a_unit_of_work(app, lambda m=m, t=token: m(t)) for m in (resend_move, accept_move)]
        answers = people.at_once(calls)
        won = [one for one in answers if isinstance(one, str)]
        assert len(won) == 1, answers
        assert any(isinstance(one, InviteNotPending) for one in answers), answers
        seen[won[0]] += 1
        accepted = won == ["accepted"]
        assert count(app, PortalAccess.email == address) == (1 if accepted else 0)
        assert count(app, Outbox.to_email == address) == (1 if accepted else 2)
    assert sum(seen.values()) == ROUNDS


def test_parallel_resends_each_make_a_link_and_the_last_one_holds(
    app: Flask, world: World, byron: str, people: Crowd
) -> None:
    [token] = invite_rows(app, world, byron, ["ada@byron.example"]).values()
    with app.app_context():
        invite_id = db.session.scalars(sa.select(Invite.id)).one()
    answers = people.at_once([post(app, f"/invites/{invite_id}/resend", {}) for _ in range(MANY)])
    assert {getattr(one, "status_code", one) for one in answers} == {202}, texts(answers)
    with app.app_context():
        invite = db.session.get_one(Invite, invite_id)
        assert (invite.generation, invite.sends) == (MANY + 1, MANY + 1)
        generations = sorted(db.session.scalars(sa.select(InviteToken.generation)))
        assert generations == list(range(1, MANY + 2))
        assert accept.look_up(token).state is accept.LinkState.SUPERSEDED


def test_sends_against_accepts_end_without_an_error(
    app: Flask, world: World, byron: str, people: Crowd
) -> None:
    """Staff send more items to a person who is accepting at that very moment."""
    for number in range(ROUNDS):
        address = f"person{number}@byron.example"
        recipients = [{"email": address, "can_see": "item"}]  # who sees only what was granted
        body = {"title": "Organizer", "questions": [], "invite": {"recipients": recipients}}
        first = post(app, f"/clients/{byron}/client-requests", body)().get_json()
        token = first_token(app, first["invite_results"][0]["invite"]["id"])
        calls: list[Callable[[], Any]] = [
            post(app, f"/clients/{byron}/client-requests", body) for _ in range(8)
        ]
        calls += [in_a_unit_of_work(app, lambda t=token: accept_move(t)) for _ in range(4)]
        answers = people.at_once(calls)
        sent, accepts = answers[:8], answers[8:]
        assert {getattr(one, "status_code", one) for one in sent} == {201}, texts(sent)
        assert {one.get_json()["invite_results"][0]["outcome"] for one in sent} <= {
            "added_to_invite",
            "already_has_access",
        }
        assert accepts.count("accepted") == 1, accepts
        one_access(app, address)
        assert count(app, Invite.email == address) == 1
        with app.app_context():  # and every item that was sent is there for the person
            login = accept.login_of(address)
            assert login is not None
            seen = set(db.session.scalars(PortalView(login).items()))
            assert {one.get_json()["id"] for one in sent} | {first["id"]} == {item.id for item in seen}


def test_an_accept_against_a_new_invite(app: Flask, world: World, byron: str, people: Crowd) -> None:
    """Somebody with access elsewhere at the firm accepts while staff send to the same address again."""
    other = make_client(world, "Hopper Inc.")
    for number in range(ROUNDS):
        address = f"person{number}@byron.example"
        give_access(world, other, address, "Grace Hopper")
        token = invite_rows(app, world, byron, [address])[address]

        def accept_it(address: str = address, token: str = token) -> str:
            login = accept.login_of(address)
            assert login is not None
            accept.accept_as(accept.look_up(token), login)
            return "accepted"

        calls: list[Callable[[], Any]] = [in_a_unit_of_work(app, accept_it)] * 4
        body = {"recipients": [{"email": address}]}
        calls += [post(app, f"/clients/{byron}/invites", body) for _ in range(8)]
        answers = people.at_once(calls)
        assert answers[:4].count("accepted") == 1, answers[:4]
        assert {getattr(one, "status_code", one) for one in answers[4:]} == {201}, texts(answers[4:])
        outcomes = {one.get_json()["results"][0]["outcome"] for one in answers[4:]}
        assert outcomes <= {"already_invited", "already_has_access"}
        assert count(app, PortalAccess.email == address, PortalAccess.client_id == byron) == 1


def test_one_idempotency_key_sent_at_once_is_one_call(
    app: Flask, world: World, byron: str, people: Crowd
) -> None:
    """A caller whose network repeats a request: one client, and every answer the same or "still running"."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": new_id()}

    def call() -> TestResponse:
        return app.test_client().post("/api/v1/clients", json={"name": "Hopper Inc."}, headers=headers)

    answers = people.at_once([call] * MANY)
    statuses = Counter(getattr(one, "status_code", one) for one in answers)
    assert set(statuses) <= {201, 409}, texts(answers)
    assert len({one.text for one in answers if one.status_code == 201}) == 1
    again = call()
    assert again.status_code == 201
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).where(Client.name == "Hopper Inc.")) == 1
