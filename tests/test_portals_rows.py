"""The derived rows of Manage Client Portals: whatever changes, they say what the standing says, on both databases."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from invites import access as accesses
from invites import portal_export, records
from invites import portals as listing
from invites.portal_standing import person_stands
from invites.portals import PortalQuery
from invites.scope import FirmView
from invites.standing import StandingKey, standings_of
from models import (
    Client,
    Contact,
    Event,
    Invite,
    Outbox,
    PortalAccess,
    PortalClient,
    PortalPerson,
    PortalTally,
    SearchWord,
    TeamMember,
    TickedLastTime,
    db,
    unit_of_work,
    utc_now,
)
from models.database import statements
from models.portal_list import SEPARATORS
from tests.portal import invite, view_of
from tests.support.world import World, give_access, make_client, make_world
from web.staff.portals import PortalLine, lines_of

ADA, WILL = "ada@byron.example", "will@byron.example"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


def people(app: Flask) -> dict[str, tuple[str, str, str]]:
    """Mailbox -> (name, stage, part)."""
    with app.app_context():
        rows = db.session.scalars(sa.select(PortalPerson))
        return {row.email or row.name: (row.name, row.stage, row.part) for row in rows}


def without(app: Flask) -> dict[str, tuple[bool, bool]]:
    """Client -> (has somebody inside or invited, has an address)."""
    with app.app_context():
        rows = db.session.scalars(sa.select(PortalClient))
        return {row.name_key: (row.has_portal, row.has_email) for row in rows}


def tallies(app: Flask) -> dict[str, int]:
    """The kept totals, without those that are nought."""
    with app.app_context():
        number = sa.func.sum(PortalTally.number)
        rows = db.session.execute(sa.select(PortalTally.what, number).group_by(PortalTally.what))
        return {what: int(total) for what, total in rows if total}


def counted(app: Flask) -> dict[str, int]:
    """The same by counting."""
    with app.app_context():
        stage = sa.select(PortalPerson.stage, sa.func.count()).group_by(PortalPerson.stage)
        what = sa.case((PortalClient.has_email, "without"), else_="without_email")
        clients = sa.select(what, sa.func.count()).where(~PortalClient.has_portal).group_by(what)
        return {key: n for rows in (stage, clients) for key, n in db.session.execute(rows)}


def write(app: Flask, *statements: Any) -> None:
    with app.app_context(), unit_of_work() as session:
        for statement in statements:
            session.execute(statement)


def test_a_life(app: Flask, world: World) -> None:
    byron = make_client(world, "Byron Family", ("Ada Byron", ADA), ("Annabella", None))
    assert people(app) == {
        ADA: ("Ada Byron", "no_invite", "none"),
        "Annabella": ("Annabella", "no_email", "none"),
    }
    assert without(app) == {"byron family": (False, True)}
    invite(world, byron, ADA)
    assert people(app)[ADA] == ("Ada Byron", "invited", "open")
    assert without(app) == {"byron family": (True, True)}
    write(app, sa.update(Outbox).values(state="bounced"))
    assert people(app)[ADA][1] == "bounced"
    write(app, sa.update(Outbox).values(state="failed"))
    assert people(app)[ADA][1] == "mail_failed"
    write(app, sa.update(Outbox).values(state="sent"))
    assert people(app)[ADA][1] == "invited"
    write(app, sa.update(Invite).values(state="declined", ended_at=utc_now()))
    assert people(app)[ADA] == ("Ada Byron", "declined", "over")
    assert without(app) == {"byron family": (False, True)}
    write(app, sa.update(Invite).values(state="accepted"))
    access_id = give_access(world, byron, ADA)
    assert people(app)[ADA] == ("Ada Byron", "joined", "inside")
    write(app, sa.update(PortalAccess).values(last_login_at=utc_now()))
    assert people(app)[ADA][1] == "logged_in"
    with app.app_context(), unit_of_work():
        view = view_of(world)
        accesses.suspend(view.access(access_id), view.member)
    assert people(app)[ADA] == ("Ada Byron", "suspended", "inside")
    with app.app_context(), unit_of_work():
        view = view_of(world)
        accesses.remove(view.access(access_id), view.member)
    assert people(app)[ADA] == ("Ada Byron", "removed", "over")


def test_a_resent_mail_clears_what_was_bounced(app: Flask, world: World) -> None:
    invite(world, make_client(world, "B", ("Ada", ADA)), ADA)
    write(app, sa.update(Outbox).values(state="bounced"))
    with app.app_context(), unit_of_work() as session:
        old = session.scalars(sa.select(Outbox)).one()
        session.add(
            Outbox(
                firm_id=old.firm_id,
                kind="invite",
                to_email=ADA,
                invite_id=old.invite_id,
                created_at=utc_now(),
            )
        )
    assert people(app)[ADA][1] == "invited"


def test_contacts_that_change_their_address_and_share_it(app: Flask, world: World) -> None:
    client_id = make_client(world, "Turner", ("John", "t@home.example"), ("Jane", None))
    with app.app_context(), unit_of_work():
        view = view_of(world)
        jane = next(one for one in view.client(client_id).contacts if one.name == "Jane")
        records.change_contact(view, jane, "Jane", "t@home.example")
    assert people(app) == {"t@home.example": ("John, Jane", "no_invite", "none")}
    give_access(world, client_id, "t@home.example", "John")
    write(app, sa.update(Contact).values(email="new@home.example", email_display="new@home.example"))
    assert people(app) == {
        "t@home.example": ("", "joined", "inside"),
        "new@home.example": ("John, Jane", "no_invite", "none"),
    }
    write(app, sa.delete(PortalAccess), sa.update(Contact).values(email=None, email_display=None))
    assert set(people(app)) == {"t@home.example", "John", "Jane"}  # the access was deleted behind our back
    assert tallies(app) == counted(app)
    write(app, *(sa.delete(table) for table in (TickedLastTime, Event, Contact, Client)))
    assert (people(app), without(app), tallies(app)) == ({}, {}, {})


def test_words_of_names_and_addresses(app: Flask, world: World) -> None:
    client_id = make_client(world, "O'Hara & Söhne (Übersee)", ("Ägidius von-Stein", "a.stein@x-y.example"))

    def words(kind: str) -> set[str]:
        with app.app_context():
            return set(db.session.scalars(sa.select(SearchWord.word).where(SearchWord.kind == kind)))

    theirs = {"o", "hara", "söhne", "übersee", "ägidius", "von", "stein", "a", "x", "y", "example"}
    assert words("p") == words("c") == theirs
    with app.app_context(), unit_of_work():
        view = view_of(world)
        client = view.client(client_id)
        records.change_client(view, client, f"New{SEPARATORS}Name", is_person=False, external_id=None)
    assert words("p") == words("c") == {"new", "name", "ägidius", "von", "stein", "a", "x", "y", "example"}
    invite(world, client_id, "a.stein@x-y.example")  # not in the tab of those without a portal any more
    assert words("c") == set()
    write(app, sa.update(Invite).values(state="revoked"))
    assert words("c") == words("p")


def test_what_is_rolled_back_leaves_no_row(app: Flask, world: World) -> None:
    with app.app_context(), pytest.raises(KeyError), unit_of_work():
        records.add_client(view_of(world), "Gone", contacts=[("Gone", "gone@x.example")])
        raise KeyError
    assert people(app) == {}
    assert without(app) == {}


def test_what_a_savepoint_undoes_takes_nothing_else_with_it(app: Flask, world: World) -> None:
    """What calls for the lists at the commit was the first thing noted, and that is gone."""
    with app.app_context(), unit_of_work() as session:
        with session.begin_nested() as undone:
            records.add_client(view_of(world), "Gone", contacts=[("Gone", "gone@x.example")])
            undone.rollback()
        records.add_client(view_of(world), "Byron Family", contacts=[("Ada Byron", ADA)])
    assert people(app) == {ADA: ("Ada Byron", "no_invite", "none")}
    assert without(app) == {"byron family": (False, True)}


def test_the_rows_agree_with_the_standing_whatever_happens(app: Flask, world: World) -> None:
    """Sixty random changes, some behind the back of the rooms; after each, rows and standings agree."""
    chance = random.Random(7)
    client_id = make_client(world, "Byron", ("Ada", ADA), ("Will", WILL))
    give_access(world, client_id, WILL, "Will")
    member = world.admin_id
    for _ in range(60):
        kind = chance.randrange(6)
        email = chance.choice([ADA, WILL])
        now = utc_now()
        if kind == 0:
            with app.app_context(), unit_of_work() as session:
                session.execute(
                    sa.update(Invite)
                    .where(Invite.email == email, Invite.state == "pending")
                    .values(state="revoked")
                )
                session.add(
                    Invite(
                        firm_id=world.firm_id, client_id=client_id, email=email, email_display=email, workflow="x",
                        invited_by_id=member, expires_at=now + timedelta(days=3), created_at=now,
                    )
                )  # fmt: skip
        elif kind == 1:
            state = chance.choice(["accepted", "declined", "revoked"])
            write(
                app,
                sa.update(Invite).where(Invite.email == email, Invite.state == "pending").values(state=state),
            )
        elif kind == 2:
            state = chance.choice(["active", "suspended", "removed"])
            ends = chance.choice([None, now - timedelta(hours=1), now + timedelta(days=1)])
            write(app, sa.update(PortalAccess).values(state=state, ends_at=ends, changed_at=now))
        elif kind == 3:
            seen = chance.choice([None, now])
            write(app, sa.update(PortalAccess).values(last_login_at=seen))
        elif kind == 4:
            write(app, sa.update(Outbox).values(state=chance.choice(["bounced", "failed", "sent", "queued"])))
        else:
            with app.app_context(), unit_of_work() as session:
                for found in session.scalars(sa.select(Invite.id).where(Invite.email == email)):
                    session.add(
                        Outbox(
                            firm_id=world.firm_id, kind=chance.choice(["invite", "reminder"]), to_email=email,
                            invite_id=found, state=chance.choice(["queued", "cancelled", "bounced"]),
                        )
                    )  # fmt: skip
        agree(app, client_id)
        assert tallies(app) == counted(app)


def agree(app: Flask, client_id: str) -> None:
    same = {"joined": "active", "logged_in": "active"}
    with app.app_context():
        member = db.session.scalars(sa.select(TeamMember)).first()
        found = standings_of({client_id}, {ADA, WILL}, member.firm.time_zone)
        for row in db.session.scalars(sa.select(PortalPerson)):
            standing = found.get((row.client_id, row.email))
            key = standing.key if standing else StandingKey.NO_INVITE
            others = [one for one in StandingKey if one is not key]
            is_key = sa.select(PortalPerson.id).where(PortalPerson.id == row.id)
            assert db.session.scalar(is_key.where(person_stands(key, utc_now())))
            assert not any(db.session.scalar(is_key.where(person_stands(one, utc_now()))) for one in others)
            if key is StandingKey.EXPIRED:
                key = StandingKey.INVITED
            if row.access_ends_at is None or row.access_ends_at > utc_now():
                assert same.get(row.stage, row.stage) == key.value
            if standing and standing.invite:
                assert row.invite_id == standing.invite.id
            if standing and standing.access:
                assert row.access_id == standing.access.id
        view, query = FirmView(member), PortalQuery()
        lines = lines_of(view, listing.page_of(view, query)[0])
        pieces = list(portal_export.people(view, query, 1))
        assert max(len(piece) for piece in pieces) <= 1
        assert [
            (line.email, line.standing, line.delivery, line.invited_by) for piece in pieces for line in piece
        ] == [said(line) for line in lines]


def said(line: PortalLine) -> tuple[str, str, str, str]:
    """What the page says of a row."""
    invite = line.standing.invite
    by = invite.invited_by.name if invite else ""
    return line.row.email_display or "", line.standing.label, line.delivery, by


def test_two_at_one_client_at_once_and_many_in_one_go(app: Flask, world: World) -> None:
    """Eight threads invite to one client and to their own; lists and totals are those of all."""
    shared = make_client(world, "Shared", *((f"P{n}", f"p{n}@x.example") for n in range(40)))
    own = [make_client(world, f"Own {n}", (f"Q{n}", f"q{n}@x.example")) for n in range(8)]

    def work(n: int) -> None:
        for place in range(5):
            invite(world, shared, f"p{n * 5 + place}@x.example")
        invite(world, own[n], f"q{n}@x.example")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert {stage for _, stage, _ in people(app).values()} == {"invited"}
    assert tallies(app) == counted(app) == {"invited": 48}
    with app.app_context(), statements() as seen, unit_of_work():
        db.session.execute(sa.update(Invite).values(state="revoked"))
    assert len(seen) < 10
    assert tallies(app) == counted(app) == {"revoked": 48, "without": 9}
