"""The stage on which an invite's life is played (`life_moves.py`), and what whoever plays believes to be true.

Two firms, the first with two clients, the second with one, and three addresses that all of them write to. The stage is
built once; `clear()` empties the tables for the next life, which is cheaper than another database.

`Told` and `Place` are written by simple rules of their own, never read back from the rows: `life_truths.py` compares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
import time_machine
from flask import Flask

import config
from invites.accept import LinkState
from invites.orders import InviteResult, Outcome
from mail.links import invite_token
from models import (
    AcceptCode,
    AccessState,
    Contact,
    Event,
    Invite,
    InviteItem,
    InviteState,
    InviteToken,
    ItemGrant,
    Login,
    Outbox,
    PortalAccess,
    PortalUser,
    TeamMember,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.errors import InviteNotPending, ProblemForPeople, WrongState
from tests.support.world import make_client, make_login, make_world

NAMES = ("ada", "will", "bo")
STRANGER = "stranger@elsewhere.example"
DAYS = timedelta(days=30)
NO_DATE = datetime.max.replace(tzinfo=UTC)
MONTH = timedelta(days=31)
# Written by one life and gone before the next, whoever points at others first.
WRITTEN = (
    Event, Outbox, AcceptCode, InviteToken, InviteItem, ItemGrant, Invite, PortalAccess, PortalUser, WorkItem, Contact,
)  # fmt: skip


@dataclass
class Told:
    """What is believed of one invite."""

    id: str
    firm_id: str
    client_id: str
    email: str
    ends: datetime
    state: InviteState = InviteState.PENDING
    generation: int = 1
    reminds: bool = True
    noted: bool = False  # the event of this expiry is written
    items: set[str] = field(default_factory=set)
    asked: datetime = NO_DATE  # when somebody last asked for a mail
    access_ends: datetime | None = None  # until when accepting lets somebody in

    @property
    def is_over(self) -> bool:
        """The access that accepting would bring has ended: there is nothing to send again."""
        return self.access_ends is not None and self.access_ends <= utc_now()

    def stands(self, generation: int) -> LinkState:
        """Where the link of this generation leads at this moment."""
        if self.state is not InviteState.PENDING:
            return LinkState(self.state.value)
        if self.ends <= utc_now():
            return LinkState.EXPIRED
        return LinkState.LIVE if generation == self.generation else LinkState.SUPERSEDED


@dataclass
class Place:
    """What is believed of one person's access to one client."""

    firm_id: str
    client_id: str
    email: str
    state: AccessState
    until: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """By its date, and by nothing else."""
        return self.state is AccessState.ACTIVE and self.until is not None and self.until <= utc_now()

    @property
    def lets_in(self) -> bool:
        """At this moment."""
        return self.state is AccessState.ACTIVE and not self.has_ended


def end_of(day: date | None) -> datetime | None:
    """The last second of a day; both firms' clocks show UTC."""
    return datetime.combine(day, time(23, 59, 59), UTC) if day else None


class Undone(Exception):
    """Ends a unit of work without keeping it."""


class Stage:
    """The firms, clients and addresses, and the life that is played on them."""

    def __init__(self, app: Flask, clock: time_machine.Traveller) -> None:
        self.app, self.clock = app, clock
        self.worlds = [make_world(app, f"Firm {letter}", f"{letter}.example") for letter in "ab"]
        first, second = self.worlds
        self.clients = [
            (first, make_client(first, "Byron Family")),
            (first, make_client(first, "Engine Works")),
            (second, make_client(second, "Byron Family")),
        ]
        self.addresses = [f"{name}@family.example" for name in NAMES]
        with app.app_context(), unit_of_work():
            make_login(STRANGER, "Somebody Else")
        self.invites: dict[str, Told] = {}
        self.places: dict[str, Place] = {}
        self.events: Counter[tuple[str, str, str | None]] = Counter()  # (firm, name, invite or access)
        self.touched: Told | None = None

    def clear(self) -> None:
        """An empty stage for the next life."""
        with unit_of_work() as session:
            for table in WRITTEN:
                session.execute(sa.delete(table))
            session.execute(sa.delete(Login).where(Login.email.in_(self.addresses)))
            session.execute(sa.update(TeamMember).values(expiry_digest_at=None))
        db.session.expunge_all()
        self.invites, self.places, self.touched = {}, {}, None
        self.events = Counter()

    # Units of work that end badly

    @contextmanager
    def undone(self) -> Iterator[None]:
        """A unit of work whose page breaks after everything was done: nothing of it is kept."""
        before = self._counts()
        try:
            with unit_of_work():
                yield
                db.session.flush()
                raise Undone
        except (Undone, ProblemForPeople):
            assert self._counts() == before

    @contextmanager
    def refused(self, errors: tuple[type[Exception], ...]) -> Iterator[None]:
        """A unit of work that must be refused with one of these."""
        try:
            with unit_of_work():
                yield
        except errors:
            return
        raise AssertionError("this was not refused")

    # Rows

    def pending(self, client_id: str, email: str) -> Told | None:
        """The invite of this address that is open, expired or not."""
        found = [
            one
            for one in self.invites.values()
            if (one.client_id, one.email, one.state) == (client_id, email, InviteState.PENDING)
        ]
        return found[0] if found else None

    def row(self, told: Told) -> Invite:
        """Its row, read anew."""
        return db.session.get_one(Invite, told.id, populate_existing=True)

    def member(self, firm_id: str) -> TeamMember:
        """The firm's admin."""
        (world,) = (world for world in self.worlds if world.firm_id == firm_id)
        return db.session.get_one(TeamMember, world.admin_id)

    @staticmethod
    def token(told: Told, generation: int) -> str:
        """The link's token, as the mail held it."""
        return invite_token(config.current(), told.id, generation)

    @staticmethod
    def granted(access_id: str) -> list[str]:
        """The items that this access was given."""
        return list(db.session.scalars(sa.select(ItemGrant.item_id).where(ItemGrant.access_id == access_id)))

    def places_of(self, client_id: str, email: str) -> list[Place]:
        """The person's access to this client, if there ever was one."""
        return [one for one in self.places.values() if (one.client_id, one.email) == (client_id, email)]

    def believe(self, result: InviteResult, items: set[str], until: datetime | None = None) -> Told | None:
        """Believe what an order (with a date for the access, or without) must have done to the invite it made or joined."""
        if result.invite is None:
            return None
        now = utc_now()
        if result.outcome is Outcome.INVITED:
            row = result.invite
            told = Told(row.id, row.firm_id, row.client_id, row.email, min(now + DAYS, until or NO_DATE))
            told.asked, told.access_ends = now, until
            self.invites[told.id] = told
            self.events[told.firm_id, "invite_created", told.id] += 1
        told = self.invites[result.invite.id]
        for place in self.places_of(told.client_id, told.email):
            if place.has_ended:  # invited again, so removed from now on
                place.state = AccessState.REMOVED
        if until is not None:
            told.access_ends, told.ends = until, min(told.ends, until)
        elif told.is_over:
            told.access_ends = None
        if result.outcome is Outcome.ADDED:
            told.asked = now
        if result.outcome is Outcome.RESENT:
            self.believe_renewed(told)
        assert told.stands(told.generation) is LinkState.LIVE
        told.items |= items
        return told

    def believe_renewed(self, told: Told) -> None:
        """A fresh link, and the whole time again."""
        told.asked = utc_now()
        told.ends = min(told.asked + DAYS, told.access_ends or NO_DATE)
        told.generation, told.noted = told.generation + 1, False
        self.events[told.firm_id, "invite_resent", told.id] += 1

    def believe_ended(self, told: Told, state: InviteState) -> None:
        """One of the final states."""
        told.state = state
        self.events[told.firm_id, f"invite_{state.value}", told.id] += 1

    def moves(self, told: Told, move: Callable[[], Any], *, needs_time: bool = False) -> bool:
        """Whether the move was made: exactly where the invite is pending and, where that is needed, not over."""
        pending = told.state is InviteState.PENDING
        try:
            with unit_of_work():
                move()
        except InviteNotPending:
            assert not pending
            return False
        except WrongState:
            assert pending
            assert needs_time
            assert told.is_over
            return False
        assert pending
        assert not (needs_time and told.is_over)
        return True

    @staticmethod
    def _counts() -> list[int]:
        db.session.rollback()
        counts = (sa.select(sa.func.count()).select_from(table).scalar_subquery() for table in WRITTEN)
        return list(db.session.execute(sa.select(*counts)).one())
