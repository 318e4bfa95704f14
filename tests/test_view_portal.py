"""View Client Portal: staff see what the person sees, nothing changes, and it is in the log who looked."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from models import AccessState, Event, ItemView, Scope, db
from tests.portal import esign, everything, file, survey
from tests.staff import Staff
from tests.support.world import World, give_access, make_client, make_world

pytestmark = pytest.mark.one_database

ADA, WILL = "ada@byron.example", "will@byron.example"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


def hrefs(shown: object) -> list[str]:
    return [one.get("href") for one in shown.tree.xpath("//main//a")]  # type: ignore[attr-defined]


def test_staff_see_what_the_person_sees_and_no_more(
    app: Flask, dana: Staff, world: World, byron: str
) -> None:
    other = make_world(app, "Contoso", "contoso.example")
    theirs = make_client(other, "Ada's Company", ("Ada", ADA))
    survey(other, theirs, title="Secret of Contoso")
    whole = survey(world, byron, title="For everybody")
    narrow = file(world, byron, name="For William.pdf", people=[("William King", WILL)])
    ada = give_access(world, byron, ADA)
    give_access(other, theirs, ADA)
    home = dana.open(f"/clients/{byron}/portal/{ada}/")
    assert home.status == 200
    body = home.answer.get_data(as_text=True)
    assert "You see what Ada sees. Nothing you do here changes anything." in body
    assert "For everybody" in home.words
    assert "Secret of Contoso" not in body
    assert "For William.pdf" not in body
    here = f"/clients/{byron}/portal/{ada}"
    assert f"{here}/items/{whole}" in hrefs(home)
    assert not [link for link in hrefs(home) if link.startswith("/portal")]
    assert dana.open(f"{here}/items/{whole}").status == 200
    assert dana.open(f"{here}/items/{narrow}").status == 404
    assert dana.open(f"{here}/todo").status == dana.open(f"{here}/files").status == 200


def test_nothing_is_changed_but_the_log(app: Flask, dana: Staff, world: World, byron: str) -> None:
    ada = give_access(world, byron, ADA)
    request, document = survey(world, byron), esign(world, byron, ("Ada Byron", ADA))
    paper = file(world, byron, data=b"the bytes")
    here = f"/clients/{byron}/portal/{ada}"
    dana.open(f"{here}/")
    before = everything(app)
    for item_id in (request, document, paper):
        shown = dana.open(f"{here}/items/{item_id}")
        assert shown.status == 200
        for box in shown.tree.xpath("//main//form"):
            assert box.xpath("ancestor::fieldset[@disabled]")
    assert dana.client.get(f"{here}/items/{paper}/download").data == b"the bytes"
    assert dana.client.get(f"{here}/items/{document}/pages/1.png").status_code == 200
    page = dana.open(f"{here}/items/{request}")
    refused = dana.post(f"{here}/items/{request}/submit", page.fields("/answers") | {"city": "London"})
    assert refused.status == 409
    assert "Nothing can be changed here." in refused.words
    assert dana.open(f"{here}/items/{request}/submit").status == 409
    assert dana.open(f"{here}/settings").status == 409
    after = everything(app)
    for table in before.keys() - {"login_session", "event", "rate_limit"}:
        assert before[table] == after[table], table
    with app.app_context():
        assert db.session.scalars(sa.select(ItemView.item_id)).all() == []
        seen = db.session.execute(
            sa.select(Event.actor, Event.access_id).where(Event.name == "portal_viewed")
        ).all()
    assert [tuple(row) for row in seen] == [(f"member:{world.admin_id}", ada)]
    words = dana.open(f"/clients/{byron}/activity").words
    assert "Dana Reyes looked at the Client Portal as Ada Byron sees it" in words


def test_the_whole_portal(app: Flask, dana: Staff, world: World, byron: str) -> None:
    survey(world, byron, title="For everybody")
    file(world, byron, name="For William.pdf", people=[("William King", WILL)])
    shown = dana.open(f"/clients/{byron}/portal/whole/")
    assert "For everybody" in shown.words
    files = dana.open(f"/clients/{byron}/portal/whole/files")
    assert files.status == 200
    assert "For William.pdf" not in files.words
    assert "looked at the whole Client Portal" in dana.open(f"/clients/{byron}/activity").words


def test_only_who_gets_in_can_be_looked_at(app: Flask, dana: Staff, world: World, byron: str) -> None:
    gone = give_access(world, byron, ADA, state=AccessState.REMOVED)
    assert dana.open(f"/clients/{byron}/portal/{gone}/").status == 409
    other = make_client(world, "Eve", ("Eve", "eve@ledger.example"))
    eve = give_access(world, other, "eve@ledger.example", scope=Scope.ITEMS)
    assert dana.open(f"/clients/{byron}/portal/{eve}/").status == 404
    mia = Staff.of(app, "mia@northwind.example")
    assert mia.open(f"/clients/{other}/portal/{eve}/").status == 404
    assert mia.open(f"/clients/{other}/portal/whole/").status == 404
