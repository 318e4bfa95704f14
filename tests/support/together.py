"""Many people pressing the same button at the same instant: threads behind one barrier, and what came of it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

import config
from invites.inviting import invite_people
from invites.lifecycle import Occasion
from invites.orders import InviteOrder, Recipient
from invites.scope import FirmView
from mail.links import invite_token
from models import (
    ApiToken,
    Event,
    Invite,
    InviteState,
    Login,
    PortalAccess,
    PortalUser,
    TeamMember,
    db,
    unit_of_work,
    utc_now,
)
from models.api_token import hash_of_token
from tests.support.world import World, make_client, make_world

MANY = 16
TOKEN = "the token of the races"


class Crowd:
    """A number of threads that start together. What each returned, or the exception it raised, comes back in order."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def at_once(self, functions: Sequence[Callable[[], Any]]) -> list[Any]:
        """Call all `functions` at the same instant, each in a thread of its own."""
        barrier = threading.Barrier(len(functions), timeout=60)

        def run(function: Callable[[], Any]) -> Any:
            barrier.wait()
            try:
                return function()
            except Exception as error:  # noqa: BLE001  # it is this thread's answer
                return error

        return list(self._pool.map(run, functions, timeout=120))


@contextmanager
def crowd(size: int = MANY) -> Iterator[Crowd]:
    """A crowd of up to `size`."""
    with ThreadPoolExecutor(size) as pool:
        yield Crowd(pool)


def racing_world(app: Flask) -> tuple[World, str]:
    """A firm with an API token, and the id of a client whose only contact has no address."""
    world = make_world(app)
    with app.app_context(), unit_of_work() as session:
        session.add(
            ApiToken(
                team_member_id=world.admin_id,
                name="races",
                token_hash=hash_of_token(TOKEN),
                used_at=utc_now(),
            )
        )
    return world, make_client(world, "Byron Family", ("Annabella Milbanke", None))


def post(app: Flask, path: str, body: Any) -> Callable[[], TestResponse]:
    """A POST to the API by a caller of its own."""
    caller = app.test_client()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return lambda: caller.post(f"/api/v1{path}", json=body, headers=headers)


def texts(answers: list[Any]) -> str:
    """What came, for a failing assertion."""
    return "\n".join(
        repr(one) if isinstance(one, Exception) else f"{one.status_code} {one.text[:300]}" for one in answers
    )


def count(app: Flask, *conditions: Any) -> int:
    """How many rows of the table the conditions speak of."""
    with app.app_context():
        return int(db.session.scalar(sa.select(sa.func.count()).where(*conditions)) or 0)


def per_address(app: Flask, column: Any, *conditions: Any) -> Counter[str]:
    """Address -> how many rows."""
    with app.app_context():
        return Counter(db.session.scalars(sa.select(column).where(*conditions)))


def invite_rows(app: Flask, world: World, client_id: str, addresses: list[str]) -> dict[str, str]:
    """A pending invite for each address with its first link; address -> token."""
    with app.app_context():
        with unit_of_work() as session:
            member = session.get_one(TeamMember, world.admin_id)
            client = FirmView(member).client(client_id)
            order = InviteOrder(tuple(Recipient(email=address) for address in addresses))
            occasion = Occasion(client, member, "client-record", "invited you to the Client Portal")
            ids = {result.email: result.invite.id for result in invite_people(occasion, order)}
        return {address: invite_token(config.current(), ids[address], 1) for address in addresses}


def in_a_unit_of_work(app: Flask, work: Callable[[], Any]) -> Callable[[], Any]:
    """`work` as an edge of its own: an application context and a unit of work; the answer as plain text."""

    def run() -> Any:
        with app.app_context(), unit_of_work():
            return work()

    return run


def one_access(app: Flask, address: str) -> None:
    """Exactly one of everything that accepting makes."""
    assert count(app, PortalAccess.email == address) == 1
    assert count(app, Login.email == address) == 1
    assert count(app, PortalUser.login_id == Login.id, Login.email == address) == 1
    assert (
        count(app, Event.name == "invite_accepted", Event.invite_id == Invite.id, Invite.email == address)
        == 1
    )
    assert count(app, Invite.email == address, Invite.state == InviteState.ACCEPTED) == 1
