"""What the Client Portal window remembers: whom staff ticked last time, and for whom it doesn't ask again."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from models import Contact, WorkItem, db, unit_of_work
from tests.staff import Shown, Staff
from tests.support.world import World, give_access, mails, make_client, make_world

pytestmark = pytest.mark.one_database

ADA, WILL, EVE = "ada@byron.example", "will@byron.example", "eve@ledger.example"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


def send(dana: Staff, client_id: str, title: str) -> Shown:
    """Fill in the send form; the window, or the record where everybody who must see it can."""
    return dana.open(f"/clients/{client_id}/send/client-request").press(title=title)


def tick(window: Shown, *names: str, **more: Any) -> Shown:
    """Send with exactly these people ticked."""
    changes: dict[str, Any] = {}
    for number, row in enumerate(window.tree.xpath("//li[@data-person]")):
        ticked = any(name in " ".join(row.itertext()) for name in names)
        changes[f"people-{number}-tick"] = "1" if ticked else None
    return window.press("do=send", **changes, **more)


def test_those_ticked_last_time_decide_whether_the_window_opens(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    give_access(world, byron, ADA)
    assert "“First” is sent" in send(dana, byron, "First").words  # the primary contact is in
    window = dana.open(f"/clients/{byron}/send/client-request").press("do=people", title="Second")
    tick(window, "William")
    assert "Sending “Third”" in send(dana, byron, "Third").words  # William was wanted, and isn't in yet
    give_access(world, byron, WILL)
    assert "“Third” is sent" in send(dana, byron, "Third").words
    assert len(window.tree.xpath("//li[@data-person]")) == 2
    other = dana.open(f"/clients/{byron}/send/file")
    assert other.status == 200  # each workflow remembers for itself


def test_nobody_ticked_leaves_the_last_choice(app: Flask, dana: Staff, byron: str, world: World) -> None:
    give_access(world, byron, ADA)
    tick(dana.open(f"/clients/{byron}/send/client-request").press("do=people", title="One"), "William")
    send(dana, byron, "Two").press("do=skip")
    assert "Sending “Three”" in send(dana, byron, "Three").words


def test_dont_ask_again_for_this_person(app: Flask, dana: Staff, byron: str) -> None:
    window = send(dana, byron, "One")
    number = window.row("Ada")
    window.press("do=skip", **{f"people-{number}-tick": None, f"people-{number}-dont_ask": "1"})
    assert kept(app) == {"Ada Byron": True, "William King": False}
    assert "“Two” is sent" in send(dana, byron, "Two").words
    assert mails(app) == []
    window = dana.open(f"/clients/{byron}/send/client-request").press("do=people", title="Three")
    assert window.ticked() == ["William King"]
    tick(window, "Ada")  # ticking somebody asks for them again
    assert kept(app) == {"Ada Byron": False, "William King": False}
    assert "Sending “Four”" in send(dana, byron, "Four").words


def test_of_another_client_nothing_is_changed(app: Flask, dana: Staff, byron: str, world: World) -> None:
    make_client(world, "Eve", ("Eve", EVE))
    with app.app_context(), unit_of_work():
        db.session.execute(sa.update(Contact).where(Contact.email == EVE).values(dont_ask=True))
    send(dana, byron, "One").press("do=skip")
    assert kept(app)["Eve"] is True
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(WorkItem)) == 1


def kept(app: Flask) -> dict[str, bool]:
    with app.app_context():
        rows = db.session.execute(sa.select(Contact.name, Contact.dont_ask))
        return {row.name: row.dont_ask for row in rows}
