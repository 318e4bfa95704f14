"""Manage Client Portals as staff see it: tabs, filters, search, order, pages, and what each costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from invites import portal_counts
from invites import portals as listing
from invites.portal_counts import Count
from invites.portals import PortalQuery
from invites.scope import FirmView
from models import (
    AccessState,
    Client,
    ClientAssignment,
    Contact,
    Invite,
    Outbox,
    PortalAccess,
    TeamMember,
    db,
    unit_of_work,
    utc_now,
)
from models.database import statements
from tests.portal import invite
from tests.staff import Shown, Staff
from tests.support.world import World, give_access, make_client, make_world

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


def write(app: Flask, *statements: Any) -> None:
    with app.app_context(), unit_of_work() as session:
        for statement in statements:
            session.execute(statement)


def of(email: str) -> Any:
    return Invite.email == email


@pytest.fixture
def firm(app: Flask, world: World) -> dict[str, str]:
    """One person in each standing; client ids by name."""
    ids = {}
    names = (
        "Invited", "Expiring", "Expired", "Bounced", "Declined", "Removed", "Logged", "Joined", "Ended", "Never",
    )  # fmt: skip
    for name in names:
        email = f"{name.lower()}@x.example"
        ids[name] = make_client(world, f"{name} & Co", (f"Person {name}", email))
        if name in {"Removed", "Logged", "Joined", "Ended"}:
            seen = utc_now() if name in {"Removed", "Logged"} else None
            state = AccessState.REMOVED if name == "Removed" else AccessState.ACTIVE
            give_access(world, ids[name], email, f"Person {name}", state=state, last_login_at=seen)
        elif name != "Never":
            invite(world, ids[name], email)
    now = utc_now()
    bounced = sa.select(Invite.id).where(of("bounced@x.example"))
    write(
        app,
        sa.update(Invite).where(of("expiring@x.example")).values(expires_at=now + timedelta(days=3)),
        sa.update(Invite).where(of("expired@x.example")).values(expires_at=now - timedelta(days=3)),
        sa.update(PortalAccess).where(PortalAccess.email == "ended@x.example").values(ends_at=now - SECOND),
        sa.update(PortalAccess).where(PortalAccess.email == "joined@x.example").values(ends_at=now + DAY),
        sa.update(Invite).where(of("declined@x.example")).values(state="declined", ended_at=now),
        sa.update(Outbox).where(Outbox.invite_id.in_(bounced)).values(state="bounced"),
    )
    ids["Silent"] = make_client(world, "Silent & Co", ("Person Silent", None))
    return ids


def names(shown: Shown) -> list[str]:
    """The first words of the rows' people (or clients), in order."""
    rows = shown.tree.xpath("//table[contains(@class, 'picks')]/tbody/tr")
    return [
        " ".join(row.xpath(".//td[not(contains(@class, 'pick'))]")[0].text_content().split()) for row in rows
    ]


def chips(shown: Shown) -> dict[str, str]:
    """Label -> count."""
    found = shown.tree.xpath("//a[@class='chip']")
    return {one.xpath("./text()")[0].strip(): one.xpath("./span")[0].text_content() for one in found}


@pytest.mark.parametrize(
    "show, expected",
    [
        ("invited", {"Invited", "Expiring", "Expired", "Bounced"}),
        ("logged-in", {"Logged"}),
        ("expiring", {"Expiring"}),
        ("expired", {"Expired"}),
        ("bounced", {"Bounced"}),
        ("declined", {"Declined"}),
        ("removed", {"Removed"}),
        ("ended", {"Ended"}),
        ("no-email", {"Silent"}),
        (
            "",
            {"Invited", "Expiring", "Expired", "Bounced", "Declined", "Removed", "Logged", "Joined", "Ended"},
        ),
    ],
)
def test_each_filter_shows_its_people(
    dana: Staff, firm: dict[str, str], show: str, expected: set[str]
) -> None:
    shown = dana.open(f"/portals?show={show}")
    assert {name.split()[0] for name in names(shown)} == expected


def test_labels_counts_and_columns(dana: Staff, firm: dict[str, str]) -> None:
    shown = dana.open("/portals")
    assert chips(shown) == {
        "Show all": "9",
        "Show all invited but not accepted": "4",
        "Show all who have logged in": "1",
        "Expiring in 7 days": "1",
        "Expired": "1",
        "Bounced": "1",
        "Declined": "1",
        "Removed": "1",
        "Access ended": "1",
        "No e-mail": "1",
    }
    tabs = [" ".join(one.text_content().split()) for one in shown.tree.xpath("//nav[@class='tabs']/a")]
    assert tabs == ["Without client portals 4", "With portal users 9"]
    heads = [" ".join(one.text_content().split()) for one in shown.tree.xpath("//th")][1:]
    assert heads == ["Client", "Person", "Standing", "Mail", "Invited", "Expires", "Last login"]
    bounced = dana.open("/portals?show=bounced").words
    assert "Bounced & Co Person Bounced bounced@x.example Mail bounced Mail bounced Invited" in bounced
    assert "Dana Reyes Link until" in bounced


def test_clients_without_portals(dana: Staff, firm: dict[str, str]) -> None:
    shown = dana.open("/portals?tab=without")
    assert names(shown) == ["Declined & Co", "Never & Co", "Removed & Co", "Silent & Co"]
    assert chips(shown) == {"Show all": "4", "No e-mail": "1"}
    assert names(dana.open("/portals?tab=without&show=no-email")) == ["Silent & Co"]
    assert names(dana.open("/portals?tab=without&q=nev")) == ["Never & Co"]


def test_search_by_the_beginning_of_any_word(dana: Staff, world: World) -> None:
    turners = make_client(world, "Türner & Söhne", ("Ada van Dijk", "a.lovelace@byron-books.example"))
    other = make_client(world, "Hopper Compilers", ("Grace Hopper", "grace@hopper.example"))
    for client_id, email in ((turners, "a.lovelace@byron-books.example"), (other, "grace@hopper.example")):
        invite(world, client_id, email)
    for typed in (
        "dijk",
        "DIJ",
        "lovelace",
        "books",
        "söh",
        "TÜR",
        "ada van",
        "a.lovelace@byron",
        "van söhne",
    ):
        assert names(dana.open(f"/portals?q={typed}")) == ["Türner & Söhne"], typed
    for typed in ("ijk", "grace dijk", "urner", "%", "_", "'"):
        shown = dana.open("/portals?" + f"q={typed}".replace("%", "%25"))
        assert names(shown) in (
            [],
            ["Hopper Compilers", "Türner & Söhne"],
            ["Türner & Söhne", "Hopper Compilers"],
        )
    assert "Nobody is found by “ijk” here." in dana.open("/portals?q=ijk").words
    assert names(dana.open("/portals?q=grace&show=bounced")) == []
    assert chips(dana.open("/portals?q=grace"))["Show all"] == "1"


def fill(world: World, many: int) -> None:
    """Clients with an invited person each, made in one go; every second expires a day later than the one before."""
    now = utc_now()
    with world.app.app_context(), unit_of_work() as session:
        for number in range(many):
            client = Client(firm_id=world.firm_id, name=f"Client {number * 7919 % many:05}")
            session.add(client)
            session.flush()
            email, name = f"p{number}@x.example", f"Anna{number % 3} Person"
            session.add(
                Contact(
                    firm_id=world.firm_id, client_id=client.id, name=name, email=email, email_display=email
                )
            )
            session.add(
                Invite(
                    firm_id=world.firm_id, client_id=client.id, email=email, email_display=email,
                    name=name, workflow="client-record", invited_by_id=world.admin_id,
                    created_at=now - timedelta(minutes=number // 2), expires_at=now + timedelta(days=1 + number // 2),
                )
            )  # fmt: skip


def walk(view: FirmView, query: PortalQuery, size: int) -> list[Any]:
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        rows, cursor = listing.page_of(view, query, cursor, size)
        found += rows
    return found


def test_pages_hold_everybody_once_in_every_order(
    app: Flask, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(world, 61)
    with app.app_context():
        view = FirmView(db.session.get_one(TeamMember, world.admin_id))
        for sort in ("invited", "client", "expires"):
            rows = walk(view, PortalQuery(show="invited", sort=sort), 7)
            assert len({row.id for row in rows}) == len(rows) == 61
            column = listing.SORTS[sort]
            values = [(getattr(row, column.column.key), row.id) for row in rows]
            assert values == sorted(values, reverse=column.descending)
        by_filter = {row.id for row in walk(view, PortalQuery(q="anna"), 7)}
        monkeypatch.setattr(listing, "MOST_COUNTED", 10)  # now the filter is a large one: from the words
        found = walk(view, PortalQuery(q="anna"), 7)
        assert len(found) == len({row.id for row in found}) == len(by_filter) == 61
        assert {row.id for row in walk(view, PortalQuery(q="anna1 per"), 7)} == {
            row.id for row in found if row.name.startswith("Anna1") or "anna1" in row.search_text.split()
        }
        assert portal_counts.counts(view, PortalQuery())[""] == Count(61)
        assert portal_counts.count(view, PortalQuery(show="invited")) == 61


def test_a_rare_filter_and_a_common_beginning_are_answered_from_the_filter(
    app: Flask, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both hold more rows than are counted; a sample tells where a page is found sooner. The rows are the same."""
    fill(world, 40)
    write(app, sa.update(Invite).where(Invite.email.like("%9@x.example")).values(state="declined"))
    monkeypatch.setattr(listing, "MOST_COUNTED", -1)
    monkeypatch.setattr(listing, "SAMPLE", 4)
    with app.app_context():
        view = FirmView(db.session.get_one(TeamMember, world.admin_id))
        rare, common = PortalQuery(show="declined", q="anna"), PortalQuery(show="invited", q="anna")
        newest = [row.since for row in walk(view, rare, 2)]
        assert len(newest) == 4
        assert newest == sorted(newest, reverse=True)
        assert len({row.id for row in walk(view, common, 7)}) == 36
        assert walk(view, PortalQuery(show="declined", q="nobody"), 7) == []


def test_next_page_by_its_link_and_a_foreign_cursor(dana: Staff, world: World) -> None:
    fill(world, 51)
    shown = dana.open("/portals?show=invited&sort=client")
    first = names(shown)
    assert len(first) == 50
    following = dana.open(shown.tree.xpath("//a[@rel='next']")[0].get("href"))
    assert len(names(following)) == 1
    assert [*first, *names(following)] == sorted([*first, *names(following)])
    assert dana.open("/portals?after=nonsense").status == 404
    assert dana.open("/portals?after=WzEsMl0").status == 404


def test_rows_cost_no_queries(app: Flask, dana: Staff, world: World) -> None:
    def cost(path: str) -> int:
        with app.app_context(), statements() as seen:
            assert dana.open(path).status == 200
        return len(seen)

    paths = ["/portals", "/portals?show=invited&sort=expires", "/portals?tab=without", "/portals?q=cl"]
    client_id = make_client(world, "Client", ("P", "p@x.example"))
    invite(world, client_id, "p@x.example")
    make_client(world, "Clear", ("Q", "q@x.example"))
    before = {path: cost(path) for path in paths}
    fill(world, 12)
    for number in range(8):
        make_client(world, f"Clean {number}", ("Q", f"q{number}@x.example"), ("R", None))
    assert {path: cost(path) for path in paths} == before


def test_who_sees_assigned_clients_only(app: Flask, world: World, firm: dict[str, str]) -> None:
    write(
        app,
        sa.insert(ClientAssignment).values(
            client_id=firm["Bounced"], team_member_id=world.assigned_id, created_at=utc_now()
        ),
    )
    mia = Staff.of(app, "mia@northwind.example")
    shown = mia.open("/portals")
    assert names(shown) == ["Bounced & Co"]
    assert chips(shown)["Show all"] == "1"
    assert chips(shown)["Expired"] == "0"
    assert names(mia.open("/portals?q=person")) == ["Bounced & Co"]
    assert not shown.tree.xpath("//button[@name='action']")  # no permission for bulk actions
    assert "Export" not in shown.words


def test_another_firm_sees_nothing(app: Flask, world: World, firm: dict[str, str]) -> None:
    make_world(app, "Other firm", domain="other.example")
    theirs = Staff.of(app, "dana@other.example")
    assert names(theirs.open("/portals")) == names(theirs.open("/portals?q=person")) == []
    assert set(chips(theirs.open("/portals")).values()) == {"0"}


def test_a_person_with_access_and_without_an_invite_is_listed_with_the_last_login(
    app: Flask, dana: Staff, world: World
) -> None:
    client_id = make_client(world, "B", ("Ada", "ada@x.example"))
    give_access(world, client_id, "ada@x.example", last_login_at=utc_now() - timedelta(days=1))
    assert "Last login" in dana.open("/portals?show=logged-in&sort=login").words
    write(app, sa.update(PortalAccess).values(state="suspended"))
    assert "Suspended" in dana.open("/portals").words


@pytest.mark.parametrize("most", [1000, -1], ids=["from the filter", "from the words"])
def test_every_page_is_a_range_of_an_index(
    app: Flask, world: World, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """SQLite's own plans: nothing is sorted and no table is read through, whatever filter, order or search."""
    monkeypatch.setattr(listing, "MOST_COUNTED", most)
    if app.config["PORTAL"].database_url.startswith("postgresql"):
        pytest.skip("PostgreSQL plans by the number of rows: few are always read through")
    with app.app_context():
        view = FirmView(db.session.get_one(TeamMember, world.admin_id))
        for without, filters in ((False, listing.WITH), (True, listing.WITHOUT)):
            for show, one in filters.items():
                for sort in one.sorts:
                    for q in ("", "ada"):
                        query = PortalQuery(without, show, q, sort)
                        with statements() as seen:
                            listing.page_of(view, query)
                            portal_counts.counts(view, query)
                        for statement in seen:
                            if "portal_" in statement:
                                agreed_plan(statement, query)


def agreed_plan(statement: str, query: PortalQuery) -> None:
    asked = f"EXPLAIN QUERY PLAN {statement}"
    values = ("x",) * statement.count("?")
    plan = [row[3] for row in db.session.connection().exec_driver_sql(asked, values)]
    for line in plan:
        assert "USE TEMP B-TREE FOR ORDER BY" not in line, (query, plan)
        assert not line.startswith(("SCAN portal_", "SCAN search_")), (query, plan)
