"""Pages, lists, a Send and its mails in a firm that grew threefold: the database works as much for them as before.

SQLite counts the steps of its programs, so this asks no clock. The words of a search that many rows have are looked up
to a limit (invites/searching.py), and `How invites do` reads 20,000 of them at most; how long these take at a million
stands in docs/performance.md.
"""

from __future__ import annotations

import random
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

import tasks
from bench import portal_rows
from models import (
    Client,
    Contact,
    Invite,
    Login,
    Outbox,
    PortalAccess,
    PortalUser,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from tests.portal import sign_in, survey
from tests.staff import Staff
from tests.support.world import World, give_access, make_client, make_world, token_for

pytestmark = pytest.mark.one_database

FEW, MANY = 2000, 6000
EACH = 50  # steps of a program are counted by so many


@contextmanager
def steps(app: Flask) -> Iterator[list[int]]:
    """How often SQLite's programs took EACH steps within the block."""
    counted = [0]

    def more() -> int:
        counted[0] += 1
        return 0

    def listen(connection: sqlite3.Connection, *rest: Any) -> None:
        connection.set_progress_handler(more, EACH)

    def stop(connection: sqlite3.Connection, *rest: Any) -> None:
        connection.set_progress_handler(None, 0)

    with app.app_context():
        engine = db.engine
    sa.event.listen(engine, "checkout", listen)
    sa.event.listen(engine, "checkin", stop)
    try:
        yield counted
    finally:
        sa.event.remove(engine, "checkout", listen)
        sa.event.remove(engine, "checkin", stop)


def grow(world: World, start: int, end: int) -> None:
    """Clients with a person and an invite each, and a piece of work that waits for them."""
    chance, now = random.Random(start), utc_now()
    rows: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for number in range(start, end):
        portal_rows.add(rows, number, world.firm_id, world.admin_id, chance, now, True)
        rows[WorkItem].append(
            {"firm_id": world.firm_id, "client_id": rows[Client][-1]["id"], "workflow": "client-request", "title": "T",
             "status": "sent", "visible": True, "open": True, "details": {}, "sent_at": now - timedelta(days=3),
             "due_on": (now + timedelta(days=chance.randrange(-30, 30))).date()}
        )  # fmt: skip
    with world.app.app_context(), unit_of_work() as session:
        for table in (Client, Contact, Login, PortalUser, PortalAccess, Invite, Outbox, WorkItem):
            session.execute(sa.insert(table), rows[table])


def test_what_staff_do_costs_the_same_in_a_firm_that_grew(app: Flask) -> None:
    world = make_world(app)
    client_id = make_client(world, "Byron Family", ("Ada Byron", "ada@byron.example"))
    survey(world, client_id, "will@byron.example")
    dana = Staff.of(app)
    token = token_for(world, world.admin_id, "t")
    pages = [
        "/", "/clients", "/clients?q=byron+family", f"/clients/{client_id}", "/invites/expired", "/portals",
        "/portals?tab=without", "/templates", "/settings/firm",
    ]  # fmt: skip
    lists = [
        "/clients", "/clients?q=byron+family", "/clients?external_id=none", "/invites", "/invites?state=pending",
        "/invites?state=declined", "/invites?email=ada@byron.example", f"/invites?client_id={client_id}",
        "/invites?q=byron+family", f"/clients/{client_id}/access", f"/clients/{client_id}/client-requests",
        f"/clients/{client_id}/invite-step",
    ]  # fmt: skip
    other_id = make_client(world, "Zuse Works")
    give_access(world, client_id, "ada@byron.example")
    caller, ada, numbers = app.test_client(), app.test_client(), count()
    sign_in(ada, "ada@byron.example")

    def call(path: str, body: dict[str, Any] | None = None) -> None:
        method, headers = "GET" if body is None else "POST", {"Authorization": f"Bearer {token}"}
        answer = caller.open(f"/api/v1{path}", method=method, json=body, headers=headers)
        assert answer.status_code in {200, 201}, (path, answer.text)

    def see(path: str) -> None:
        assert ada.get(path, follow_redirects=True).status_code == 200, path

    def send() -> None:
        people = [{"email": f"p{next(numbers)}@x.example"} for _ in range(10)]
        call(f"/clients/{other_id}/invites", {"recipients": people})

    def work() -> None:
        with app.app_context():
            tasks.send_mail()
            tasks.make_facts()
            tasks.note_expiries()
            tasks.send_reminders()

    found: list[dict[str, int]] = []
    for start, end in ((0, FEW), (FEW, MANY)):
        grow(world, start, end)
        todo: dict[str, Callable[[], object]] = {path: partial(dana.open, path) for path in pages}
        todo |= {f"/api/v1{path}": partial(call, path) for path in lists}
        todo |= {path: partial(see, path) for path in ("/portal/", "/portal/todo", "/portal/files")}
        todo["a Send to ten"] = send
        todo["their mails"] = work
        cost = {}
        for _ in range(3):  # at first connections read the schema, and the worker notes what grew
            for name, do in todo.items():
                with steps(app) as counted:
                    do()
                cost[name] = counted[0] * EACH
        found.append(cost)
    before, after = found
    grown = {
        path: (cost, after[path]) for path, cost in before.items() if after[path] > 1.3 * cost + 20 * EACH
    }
    assert grown == {}
