"""How invites do, by workflow and by message template; templates are remembered by the invites, and can be deleted."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

import tasks
from invites import numbers
from models import Invite, InviteState, MessageTemplate, TeamMember, db, new_id, unit_of_work, utc_now
from models.database import statements
from tests.portal import ADA, WILL, invite, survey, view_of
from tests.staff import Staff
from tests.support.world import World, make_client, make_world


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


def template(world: World, name: str, owner_id: str | None = None) -> str:
    with world.app.app_context(), unit_of_work() as session:
        row = MessageTemplate(
            id=new_id(), firm_id=world.firm_id, name=name, body=f"Words of {name}.", owner_id=owner_id
        )
        session.add(row)
        return row.id


def remember(
    app: Flask, invite_id: str, template_id: str, name: str, accepted_after: int | None = None
) -> None:
    """As if the invite had been written with a template, and accepted after so many days."""
    with app.app_context(), unit_of_work() as session:
        row = session.get_one(Invite, invite_id)
        row.template_id, row.template_name = template_id, name
        if accepted_after is not None:
            row.state = InviteState.ACCEPTED
            row.ended_at = row.created_at + timedelta(days=accepted_after)


def test_by_workflow_and_by_template_in_three_queries(app: Flask, world: World, byron: str) -> None:
    kind, mine, gone = template(world, "Kind"), template(world, "Sam's", world.staff_id), new_id()
    sent = {
        email: invite(world, byron, email)
        for email in ("old@x.example", ADA, WILL, "c@x.example", "d@x.example", "e@x.example")
    }
    survey(world, byron, "f@x.example")
    remember(app, sent[ADA], kind, "Kind as it was called", accepted_after=2)
    remember(app, sent[WILL], kind, "Kind", accepted_after=4)
    remember(app, sent["c@x.example"], mine, "Sam's")
    remember(app, sent["d@x.example"], gone, "Gone", accepted_after=1)
    with app.app_context(), unit_of_work() as session:
        session.get_one(Invite, sent["old@x.example"]).created_at = utc_now() - timedelta(days=91)
    with app.app_context():
        view = view_of(world)
        view.firm_id  # noqa: B018  # the member's own rows are read before the counting
        with statements() as made:
            found = numbers.acceptance(view)
        assert len(made) == 3, made
        assert [(one.key, one.sent, one.accepted, one.median_days) for one in found.workflows] == [
            ("client-record", 5, 3, 2.0),
            ("client-request", 1, 0, None),
        ]
        assert {one.name: (one.sent, one.accepted, one.median_days) for one in found.templates} == {
            "Kind": (2, 2, 3.0),
            "": (2, 0, None),
            "A colleague's own template": (1, 0, None),
            "Gone (deleted)": (1, 1, 1.0),
        }
        assert (found.counted, found.is_partial) == (6, False)
        some = numbers.acceptance(view, most=2)
        assert (some.counted, some.is_partial) == (2, True)
        assigned = numbers.acceptance(type(view)(db.session.get_one(TeamMember, world.assigned_id)))
        assert assigned.counted == 0


@pytest.mark.one_database
def test_the_window_says_which_template_was_inserted(app: Flask, world: World, byron: str) -> None:
    kind = template(world, "Kind")
    dana = Staff.of(app)
    window = dana.open(f"/clients/{byron}/invite").press(f"insert_template={kind}")
    assert "Words of Kind." in window.fields()["message"]
    assert window.fields()["template_id"] == kind
    (button,) = window.tree.xpath("//button[@name='insert_template']")
    assert button.get("data-template") == kind  # what the script puts there without asking the server
    number = window.row("William")
    window.press("do=send", **{f"people-{number}-tick": None})
    with app.app_context():
        row = db.session.scalars(sa.select(Invite)).unique().one()
        assert (row.template_id, row.template_name) == (kind, "Kind")
    plain = dana.open(f"/clients/{byron}/invite")
    plain.press(
        "do=send", template_id=kind, **{f"people-{plain.row('Ada')}-tick": None}
    )  # its text was not sent
    shown = dana.open("/portals/numbers").words
    assert "By message template" in shown
    assert "Without a template 1" in shown
    with app.app_context():
        names = db.session.scalars(
            sa.select(Invite.template_name).order_by(Invite.created_at, Invite.id)
        ).all()
        assert names == ["Kind", ""]


@pytest.mark.one_database
def test_bulk_invites_remember_it_too(app: Flask, world: World, byron: str) -> None:
    kind = template(world, "Kind")
    dana = Staff.of(app)
    asked = dana.open(f"/portals/bulk?action=invite&tab=without&pick={byron}")
    filled = asked.press("do=insert", template=kind, message="Before.")
    assert filled.fields()["message"].split() == ["Before.", "Words", "of", "Kind."]
    filled.press("do=start")
    with app.app_context():
        tasks.run_jobs()
        row = db.session.scalars(sa.select(Invite)).unique().one()
        assert (row.template_name, row.message) == ("Kind", "Before.\n\nWords of Kind.")


@pytest.mark.one_database
def test_a_template_is_deleted_after_a_question(app: Flask, world: World, byron: str) -> None:
    kind = template(world, "Kind")
    dana = Staff.of(app)
    remember(app, invite(world, byron, ADA), kind, "Kind")
    sam = Staff.of(app, "sam@northwind.example")
    assert sam.post(f"/templates/messages/{kind}/delete", {}).status in {400, 403}
    (way,) = dana.open(f"/templates/messages/{kind}").tree.xpath("//a[contains(@href, '/delete')]/@href")
    asked = dana.open(way)
    assert "Delete the template Kind?" in asked.words
    done = asked.press(action="/delete")
    assert "Kind is deleted." in done.words
    assert "No message templates yet" in done.words
    assert dana.open(way).status == 404
    assert "Kind (deleted)" in dana.open("/portals/numbers").words
    assert not dana.open(f"/clients/{byron}/invite").tree.xpath("//button[@name='insert_template']")
