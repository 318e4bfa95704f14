"""Access until a date: the clock ends it at each use, everywhere; set, changed, removed, restored, invited again."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

import tasks
from invites import access as accesses
from invites import access_until, bulk, change_address, explain
from invites.bulk import Target
from invites.lifecycle import extend, resend
from invites.portals import PortalQuery
from invites.scope import can_see
from models import (
    ApiToken,
    Event,
    Firm,
    Invite,
    JobAction,
    JobItem,
    Outbox,
    PortalAccess,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.api_token import hash_of_token
from models.errors import Invalid, WrongState
from tests.portal import ADA, WILL, accept, invite, link, sign_in, survey, view_of, words
from tests.staff import Staff
from tests.support.world import World, give_access, mails, make_client, make_world

pytestmark = pytest.mark.settings(RATE_LIMITS="false")

LAST_DAY = date(2030, 12, 31)
BEFORE = datetime(2030, 12, 31, 22, tzinfo=UTC)  # the firm's zone is UTC
AFTER = datetime(2031, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.fixture
def clock(time_machine: Any) -> Any:
    """Two hours before the last day ends."""
    time_machine.move_to(BEFORE, tick=True)
    return time_machine


@pytest.fixture
def world(app: Flask, clock: Any) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


def end(world: World, access_id: str, day: date | None = LAST_DAY) -> None:
    with world.app.app_context(), unit_of_work() as session:
        access_until.of_access(session.get_one(PortalAccess, access_id), day, view_of(world).member)


def names(app: Flask, access_id: str) -> list[str]:
    with app.app_context():
        return list(
            db.session.scalars(
                sa.select(Event.name).where(Event.access_id == access_id).order_by(Event.created_at, Event.id)
            )
        )


def test_the_clock_ends_it_in_every_place(app: Flask, world: World, byron: str, clock: Any) -> None:
    access_id = give_access(world, byron, ADA)
    item_id = survey(world, byron)
    other = give_access(world, make_client(world, "King Ltd", ("Ada Byron", ADA)), ADA)
    end(world, access_id)
    ada = app.test_client()
    sign_in(ada, ADA)
    assert ada.get(f"/portal/items/{item_id}").status_code == 200
    with app.app_context(), unit_of_work() as session:
        accesses.send_sign_in(session.get_one(PortalAccess, access_id), view_of(world).member)
    clock.move_to(AFTER, tick=True)  # no job ran
    assert ada.get(f"/portal/items/{item_id}").status_code == 404
    assert ada.get(f"/portal/?client={byron}").status_code == 404
    assert "Nothing to do" in words(ada.get("/portal/"))  # other clients untouched, signed in still
    with app.app_context():
        tasks.send_mail()
        assert {mail[2] for mail in mails(app)} == {
            "cancelled"
        }  # the item mail and the one that leads to sign-in
        access = db.session.get_one(PortalAccess, access_id)
        item = db.session.get_one(WorkItem, item_id)
        assert not can_see(access, item)
        view = view_of(world)
        client = view.client(byron)
        found = explain.explain(view, client, ADA, item, "survey", "")
        assert found.broken is not None
        assert (found.broken.check, found.broken.fix) == ("access_active", explain.Fix.RESTORE)
        assert found.broken.text == "Access ended on 31 Dec 2030."
        assert accesses.active_accesses(client) == []
        with pytest.raises(WrongState, match="This access is over"):
            accesses.send_sign_in(access, view.member)
        assert db.session.get_one(PortalAccess, other).is_active(utc_now())
    dana = Staff.of(app)
    assert "Access ended 31 Dec 2030" in dana.open(f"/clients/{byron}").words
    assert "Access ended 31 Dec 2030" in dana.open("/portals?q=ada").words
    assert dana.open(f"/clients/{byron}/portal/{access_id}/").status == 409
    window = dana.open(f"/clients/{byron}/send/client-request").press("do=people", title="Next")
    assert "Ada Byron" not in window.ticked()
    assert "access ended 31 dec 2030" in window.words
    signs = dana.open(f"/clients/{byron}/people/{_contact(app, byron)}/sign-in").words
    assert "Access to this client ended on 31 Dec 2030." in signs


def _contact(app: Flask, client_id: str) -> str:
    with app.app_context():
        return str(
            db.session.scalar(
                sa.select(PortalAccess.contact_id).where(
                    PortalAccess.client_id == client_id, PortalAccess.email == ADA
                )
            )
        )


def test_restored_and_given_a_later_day(app: Flask, world: World, byron: str, clock: Any) -> None:
    access_id = give_access(world, byron, ADA)
    end(world, access_id)
    clock.move_to(AFTER, tick=True)
    with app.app_context(), unit_of_work() as session:
        access = accesses.restore(session.get_one(PortalAccess, access_id), view_of(world).member)
        assert access.ends_at is None
        assert access.is_active(utc_now())
        with pytest.raises(WrongState):
            accesses.restore(access, view_of(world).member)
        with pytest.raises(Invalid):
            access_until.of_access(access, LAST_DAY, view_of(world).member)
    end(world, access_id, date(2031, 1, 31))
    clock.move_to(datetime(2031, 2, 1, 1, tzinfo=UTC), tick=True)
    end(world, access_id, date(2031, 2, 28))
    with app.app_context():
        assert db.session.get_one(PortalAccess, access_id).is_active(utc_now())
    told = ["access_until_changed", "access_restored", "access_until_changed", "access_until_changed"]
    assert names(app, access_id) == [*told, "access_restored"]
    with app.app_context(), unit_of_work() as session:
        access = accesses.suspend(session.get_one(PortalAccess, access_id), view_of(world).member)
        assert (
            accesses.restore(access, view_of(world).member).ends_at is not None
        )  # its day is not over: it stays
        accesses.remove(access, view_of(world).member)
        with pytest.raises(WrongState):
            access_until.of_access(access, None, view_of(world).member)


def test_an_invite_brings_its_date_and_its_link_ends_with_it(
    app: Flask, world: World, byron: str, clock: Any
) -> None:
    invite_id, other_id = invite(world, byron, ADA), invite(world, byron, WILL)
    for one in (invite_id, other_id):
        with app.app_context(), unit_of_work() as session:
            row = access_until.of_invite(session.get_one(Invite, one), LAST_DAY, view_of(world).member)
            assert row.expires_at == row.access_ends_at
    accept(app.test_client(), app, link(app, ADA))
    with app.app_context():
        access = db.session.scalars(sa.select(PortalAccess)).unique().one()
        assert access_until.day_of(access.ends_at, "UTC") == LAST_DAY
    clock.move_to(AFTER, tick=True)
    stranger = app.test_client()
    page = words(stranger.get(link(app, WILL)))
    assert "This invite has expired" in page
    assert "The access it offered ended on" in page
    assert "Send me a new link" not in page
    with app.app_context():
        row = db.session.get_one(Invite, other_id)
        for move in (
            lambda: resend(row, view_of(world).member, "again"),
            lambda: extend(row, 30, view_of(world).member),
        ):
            with pytest.raises(WrongState, match="has ended"):
                move()
        db.session.rollback()
    dana = Staff.of(app)
    shown = dana.open(f"/invites/{other_id}/access-until")
    done = shown.press("do=remove")
    assert "William King has access without an end date, after accepting." in done.words
    with app.app_context():
        row = db.session.get_one(Invite, other_id)
        assert row.is_live(utc_now())  # for as long as it would have worked
        assert row.expires_at == row.last_asked_at + timedelta(days=30)


def test_invited_again_after_the_end(app: Flask, world: World, byron: str, clock: Any) -> None:
    access_id = give_access(world, byron, ADA)
    end(world, access_id)
    clock.move_to(AFTER, tick=True)
    invite(world, byron, ADA)
    dana = Staff.of(app)
    assert "Invited today, never logged in" in dana.open(f"/clients/{byron}").words
    assert "Ada Byron" in dana.open("/portals?show=invited").words  # the list follows: rows, not the clock
    assert names(app, access_id)[-1] == "access_ended"
    ada = app.test_client()
    sign_in(ada, ADA)
    ada.post(link(app, ADA))
    with app.app_context():
        access = db.session.get_one(PortalAccess, access_id)
        assert access.is_active(utc_now())
        assert access.ends_at is None


def test_an_older_link_brings_nobody_past_the_day(app: Flask, world: World, byron: str, clock: Any) -> None:
    """Removed, invited again, restored, and given an end: the open link keeps to it."""
    access_id = give_access(world, byron, ADA)
    with app.app_context(), unit_of_work() as session:
        accesses.remove(session.get_one(PortalAccess, access_id), view_of(world).member)
    invite(world, byron, ADA)
    with app.app_context(), unit_of_work() as session:
        accesses.restore(session.get_one(PortalAccess, access_id), view_of(world).member)
    end(world, access_id)
    clock.move_to(AFTER, tick=True)
    ada = app.test_client()
    sign_in(ada, ADA)
    refused = ada.post(link(app, ADA))
    assert refused.status_code == 409
    assert "Your access has ended. Nothing was used up: please ask Northwind Tax." in words(refused)
    dana = Staff.of(app)
    assert "Access ended 31 Dec 2030" in dana.open(f"/clients/{byron}").words
    assert "Byron Family" in dana.open("/portals?show=ended").words


def test_another_address_needs_another_day_first(app: Flask, world: World, byron: str, clock: Any) -> None:
    invite_id = invite(world, byron, ADA)
    with app.app_context(), unit_of_work() as session:
        access_until.of_invite(session.get_one(Invite, invite_id), LAST_DAY, view_of(world).member)
    clock.move_to(AFTER, tick=True)
    with app.app_context(), pytest.raises(WrongState, match="Change its date"), unit_of_work() as session:
        change_address.of_invite(session.get_one(Invite, invite_id), view_of(world).member, "ada@new.example")
    with app.app_context():
        assert db.session.get_one(Invite, invite_id).state.value == "pending"


@pytest.mark.one_database
def test_the_portal_says_when_access_ends(app: Flask, world: World, byron: str) -> None:
    """The day as the firm's clock has it; with the client's name where there are several."""
    with app.app_context(), unit_of_work() as session:
        session.get_one(Firm, world.firm_id).time_zone = "America/New_York"
    access_id = give_access(world, byron, ADA)
    end(world, access_id, date(2031, 1, 5))
    ada = app.test_client()
    sign_in(ada, ADA)
    assert "Nothing to do Your access ends on 5 Jan 2031. You are up to date." in words(ada.get("/portal/"))
    seen = Staff.of(app).open(f"/clients/{byron}/portal/{access_id}/").words
    assert "Your access ends on 5 Jan 2031." in seen
    king = make_client(world, "King Ltd", ("Ada Byron", ADA))
    give_access(world, king, ADA)
    assert "Your access to Byron Family ends on 5 Jan 2031." in words(ada.get("/portal/"))
    assert "ends on" not in words(ada.get(f"/portal/?client={king}"))


def test_bulk_sends_and_refuses_by_the_same_rule(app: Flask, world: World, byron: str, clock: Any) -> None:
    access_id = give_access(world, byron, ADA)
    end(world, access_id)
    king = make_client(world, "King Ltd", ("William King", WILL))
    dated = invite(world, king, WILL)
    with app.app_context(), unit_of_work() as session:
        access_until.of_invite(session.get_one(Invite, dated), LAST_DAY, view_of(world).member)
    clock.move_to(AFTER + timedelta(minutes=2), tick=True)

    def run(action: JobAction, **target: Any) -> list[tuple[str, str]]:
        with app.app_context(), unit_of_work():
            job = bulk.start(view_of(world), action, Target(PortalQuery(), **target), {"days": None})
            job_id = job.id
        with app.app_context():
            tasks.run_jobs()
            rows = db.session.scalars(
                sa.select(JobItem).where(JobItem.job_id == job_id).order_by(JobItem.number)
            )
            return [(row.outcome.value, row.reason) for row in rows]

    ended = "The access of this invite has ended. Change its date first."
    assert run(JobAction.RESEND, api_ids=(dated,)) == [("refused", ended)]
    assert run(JobAction.EXTEND, api_ids=(dated,)) == [("refused", ended)]
    assert run(JobAction.INVITE, api_ids=(byron, king)) == [
        ("done", "Ada Byron is invited."),
        ("done", "William King is invited again with a fresh link."),
    ]
    with app.app_context():
        assert all(row.is_live(utc_now()) for row in db.session.scalars(sa.select(Invite)).unique())


@pytest.mark.one_database
def test_staff_set_change_and_remove_it(app: Flask, world: World, byron: str) -> None:
    give_access(world, byron, ADA)
    dana = Staff.of(app)
    panel = dana.open(f"/clients/{byron}/people/{_contact(app, byron)}")
    (way,) = panel.tree.xpath("//a[contains(., 'Let the access end on a date')]/@href")
    form = dana.open(way)
    assert "Choose a day." in form.press().errors()
    assert "This day is over. Choose today or a later day." in form.press(access_until="2030-12-30").errors()
    assert form.press(access_until="2030-12-31").path == f"/clients/{byron}"
    assert "Access until 31 Dec 2030" in dana.open(f"/clients/{byron}").words
    panel = dana.open(f"/clients/{byron}/people/{_contact(app, byron)}")
    assert "Access until 31 Dec 2030 Change Remove the date" in panel.words
    assert "has access without an end date" in panel.press(action=way).words
    assert "Access until" not in dana.open(f"/clients/{byron}").words


@pytest.mark.one_database
def test_the_window_takes_a_date(app: Flask, world: World, byron: str) -> None:
    dana = Staff.of(app)
    window = dana.open(f"/clients/{byron}/invite")
    assert "This day is over" in " ".join(window.press("do=send", access_until="2030-12-01").errors())
    assert mails(app) == []
    window.press("do=send", access_until="2031-01-15")
    with app.app_context():
        rows = db.session.scalars(sa.select(Invite)).unique().all()
        assert {access_until.day_of(row.access_ends_at, "UTC") for row in rows} == {date(2031, 1, 15)}
        assert len(rows) == 2
    assert dana.open(f"/clients/{byron}").words.count("Access until 15 Jan 2031") == 2


@pytest.mark.one_database
def test_the_api_sets_and_shows_it(app: Flask, world: World, byron: str, clock: Any) -> None:
    access_id = give_access(world, byron, ADA)
    with app.app_context(), unit_of_work() as session:
        session.add(ApiToken(team_member_id=world.admin_id, name="t", token_hash=hash_of_token("ours")))
    browser = app.test_client()

    def call(method: str, path: str, body: Any = None) -> Any:
        return browser.open(
            f"/api/v1{path}", method=method, json=body, headers={"Authorization": "Bearer ours"}
        )

    people = {"recipients": [{"email": WILL}], "access_until": "2031-01-15"}
    (result,) = call("POST", f"/clients/{byron}/invites", people).get_json()["results"]
    assert result["invite"]["access_until"] == "2031-01-15"
    invite_id = result["invite"]["id"]
    changed = call("PATCH", f"/invites/{invite_id}", {"access_until": "2031-01-10"}).get_json()
    assert (changed["access_until"], changed["expires_at"]) == ("2031-01-10", "2031-01-10T23:59:59.000Z")
    assert call("PATCH", f"/invites/{invite_id}", {"access_until": None}).get_json()["access_until"] is None
    over = call("POST", f"/clients/{byron}/invites", people | {"access_until": "2020-01-01"})
    assert over.status_code == 422
    assert over.get_json()["errors"] == {"access_until": ["This day is over. Choose today or a later day."]}
    dated = call("PATCH", f"/access/{access_id}", {"access_until": "2030-12-31"}).get_json()
    assert (dated["access_until"], dated["ended"], dated["state"]) == ("2030-12-31", False, "active")
    clock.move_to(AFTER, tick=True)
    assert call("GET", f"/access/{access_id}").get_json()["ended"] is True
    assert call("POST", f"/access/{access_id}/send-sign-in").status_code == 409
    assert call("POST", f"/access/{access_id}/restore").get_json()["access_until"] is None
    assert call("PATCH", "/access/nobody", {"access_until": None}).status_code == 404
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Outbox)) == 1
