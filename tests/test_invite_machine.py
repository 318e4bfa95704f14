"""An invite's whole life, played at random: whatever happens in whatever order, these stay true.

At most one pending invite per client and address, and one live link per invite; a link is accepted at most once; no
mail is taken out of the outbox after revoke, accept or expiry; every fact has its event, and a rollback leaves none; no
row of one firm is visible to another; never two reminders within twenty hours.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import config
from invites import accept, change_address, expiry, lifecycle, reminders, schedule
from invites import access as accesses
from invites.accept import LinkState
from invites.inviting import invite_people
from invites.lifecycle import Occasion
from invites.orders import InviteOrder, InviteResult, Outcome, Recipient
from invites.scope import FirmView
from mail import claim, settle
from mail.claim import Claimed
from mail.links import invite_token
from mail.outcomes import Permanent, Sent, Temporary
from mail.settle import Result
from models import (
    AccessState,
    Client,
    Contact,
    Event,
    Invite,
    InviteItem,
    InviteState,
    InviteToken,
    MailKind,
    MailState,
    Outbox,
    PortalAccess,
    Scope,
    TeamMember,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.errors import InviteNotPending, Missing, ProblemForPeople, Refused, WrongState
from models.outbox import INVITE_MAILS, REMINDERS
from tests.support.post import both_kinds
from tests.support.world import World, hashed, make_client, make_login, make_world

NAMES = ("ada", "will", "bo")
FACTS = (
    "invite_created",
    "invite_mailed",
    "invite_resent",
    "invite_accepted",
    "invite_declined",
    "invite_revoked",
    "invite_expired",
    "access_removed",
    "access_suspended",
    "access_restored",
)
OF_OUTCOME = {Outcome.INVITED: "invite_created", Outcome.RESENT: "invite_resent"}
LEASE = 300.0
# Hypothesis begins with short stories and then varies them, so each life has a stormy youth, which it only chooses.
EXAMPLES, STEPS, YOUTH = 16, 10, 60

PICK = st.integers(0, 10_000)
_number = count(1)


ANY = range(12)
ENDS = (
    (accesses.remove, "access_removed"),
    (accesses.suspend, "access_suspended"),
    (accesses.restore, "access_restored"),
)
SPANS = (timedelta(minutes=2), timedelta(hours=7), timedelta(days=3), timedelta(days=31))
# rule -> (weight, what may be given)
MOVES: dict[str, tuple[int, dict[str, Any]]] = {
    "invite": (6, {"place": ANY, "who": ANY, "item": (True, False), "scope": list(Scope)}),
    "invite_and_roll_back": (1, {"place": ANY, "who": ANY}),
    "resend": (3, {"one": ANY}),
    "revoke": (1, {"one": ANY}),
    "revoke_and_roll_back": (1, {"one": ANY}),
    "extend": (1, {"one": ANY, "days": range(1, 91)}),
    "change_address": (2, {"one": ANY, "who": ANY}),
    "end_or_restore": (4, {"one": ANY, "move": ENDS}),
    "change_address_of_an_active_person": (1, {"one": ANY, "who": ANY}),
    "open": (2, {"one": ANY, "back": range(3)}),
    "accept": (3, {"one": ANY, "back": (0, 0, 1)}),
    "accept_as_somebody_else": (1, {"one": ANY}),
    "decline": (1, {"one": ANY, "not_me": (True, False)}),
    "send_me_a_new_link": (2, {"one": ANY}),
    "stop_reminders": (1, {"one": ANY}),
    "time_passes": (4, {"span": SPANS}),
    "days_go_by": (3, {"number": range(1, 5)}),
    "worker_sends": (6, {"outcome": ("sent", "sent", "sent", "later", "refused")}),
    "worker_dies": (2, {}),
    "dead_worker_comes_back": (2, {}),
    "mail_bounces": (1, {"one": ANY}),
    "jobs_run": (3, {}),
}
TRUTHS = (
    "one_pending_invite_per_client_and_address",
    "one_live_link_per_invite",
    "every_fact_has_its_event",
    "a_link_is_accepted_at_most_once",
    "no_two_reminders_within_twenty_hours",
    "no_row_of_one_firm_is_visible_to_another",
)


class _Undone(Exception):
    """Ends a unit of work without keeping it."""


class Life(RuleBasedStateMachine):
    """Two firms, three clients, three addresses, and everything that can happen to an invite."""

    app: Flask

    def __init__(self) -> None:
        super().__init__()
        self.travel = time_machine.travel(datetime(2026, 3, 2, 9, 30, tzinfo=UTC), tick=False)
        self.clock = self.travel.start()
        self.context = self.app.app_context()
        self.context.push()
        self.invites: list[str] = []
        self.accesses: list[str] = []
        self.expected: Counter[str] = Counter()
        self.taken: list[list[Claimed]] = []  # by workers that died

    def teardown(self) -> None:
        """Leave nothing to the next life: its mails are not sent, its events not counted."""
        db.session.rollback()
        with unit_of_work() as session:
            session.execute(sa.update(Outbox).values(state=MailState.CANCELLED, lease=None))
            session.execute(sa.update(Invite).values(state=InviteState.REVOKED))
        self.context.pop()
        self.travel.stop()

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        """Two firms of their own for each life, so that the same database serves all; then a stormy youth."""
        number = next(_number)
        self.worlds = [
            make_world(self.app, f"Firm {number}{letter}", f"{letter}{number}.example") for letter in "ab"
        ]
        first, second = self.worlds
        self.clients = [
            (first, make_client(first, "Byron Family", ("Ada Byron", f"ada@{number}.example"))),
            (first, make_client(first, "Engine Works")),
            (second, make_client(second, "Byron Family")),
        ]
        self.addresses = [f"{name}@{number}.example" for name in NAMES]
        self.stranger = f"stranger@{number}.example"
        with unit_of_work():
            make_login(self.stranger, "Somebody Else")
        self.firms = [world.firm_id for world in self.worlds]
        for place in range(len(self.clients)):  # every life begins with something that can happen to somebody
            self.invite(place, place, place != 1, Scope.ITEMS)
        self.worker_sends("sent")
        chance = random.Random(seed)
        for _ in range(YOUTH):
            self.something_happens(chance)

    def something_happens(self, chance: random.Random) -> None:
        """Any of the rules, the mends more often than the ends, and what stays true after it."""
        name = chance.choices(list(MOVES), [weight for weight, _ in MOVES.values()])[0]
        given = {key: chance.choice(values) for key, values in MOVES[name][1].items()}
        needs = {"end_or_restore": self.accesses, "change_address_of_an_active_person": self.accesses}
        if not needs.get(name, True) or (name == "dead_worker_comes_back" and not self.taken):
            return
        note(f"{name}({given})")
        getattr(self, name)(**given)
        for truth in TRUTHS:
            getattr(self, truth)()

    # What staff do

    @rule(place=PICK, who=PICK, item=st.booleans(), scope=st.sampled_from(list(Scope)))
    def invite(self, place: int, who: int, item: bool, scope: Scope) -> None:
        """Somebody is invited: from the record, or with a new item."""
        world, client_id = self._of(self.clients, place)
        with unit_of_work():
            results = self._send(world, client_id, self._of(self.addresses, who), item, scope)
        self._note(results)

    @rule(place=PICK, who=PICK)
    def invite_and_roll_back(self, place: int, who: int) -> None:
        """The page breaks after everything was done: nothing is kept."""
        world, client_id = self._of(self.clients, place)
        before = self._rows()
        with self._undone():
            self._send(world, client_id, self._of(self.addresses, who), True, Scope.PORTAL)
        assert self._rows() == before

    @precondition(lambda self: self.invites)
    @rule(one=PICK)
    def resend(self, one: int) -> None:
        """A fresh link; the ones before are of no use any more."""
        row = self._invite(one)
        generation = row.generation
        if self._moves(row, lambda: lifecycle.resend(row, row.invited_by, "sent you a new link")):
            self.expected["invite_resent"] += 1
            assert (row.generation, row.is_live(utc_now())) == (generation + 1, True)

    @precondition(lambda self: self.invites)
    @rule(one=PICK)
    def revoke(self, one: int) -> None:
        """The invite ends."""
        row = self._invite(one)
        self.expected["invite_revoked"] += self._moves(row, lambda: lifecycle.revoke(row, row.invited_by))

    @precondition(lambda self: self.invites)
    @rule(one=PICK)
    def revoke_and_roll_back(self, one: int) -> None:
        """It didn't."""
        row = self._invite(one)
        state, before = row.state, self._rows()
        with self._undone():
            if state is InviteState.PENDING:
                lifecycle.revoke(row, row.invited_by)
        assert (row.state, self._rows()) == (state, before)

    @precondition(lambda self: self.invites)
    @rule(one=PICK, days=st.integers(1, 90))
    def extend(self, one: int, days: int) -> None:
        """The same link works longer."""
        row = self._invite(one)
        ends = row.expires_at
        if self._moves(row, lambda: lifecycle.extend(row, days, row.invited_by)):
            assert row.expires_at >= max(ends, utc_now())

    @precondition(lambda self: self.invites)
    @rule(one=PICK, who=PICK)
    def change_address(self, one: int, who: int) -> None:
        """The invite goes to another mailbox, with its items."""
        row, address = self._invite(one), self._of(self.addresses, who)
        items = {item.id for item in lifecycle.items_of(row)}
        pending, client_id = row.state is InviteState.PENDING, row.client_id
        try:
            with unit_of_work():
                result = change_address.of_invite(row, row.invited_by, address)
        except InviteNotPending:
            assert not pending
            return
        except Refused:  # suspended at this client
            return
        except ProblemForPeople:
            assert address == row.email
            return
        assert pending
        self._note([result])
        self.expected["invite_revoked"] += 1
        assert (row.state, row.ended_reason) == (InviteState.REVOKED, "address_changed")
        there = lifecycle.pending_invite(client_id, address)
        if there is not None:
            assert items <= {item.id for item in lifecycle.items_of(there)}

    @precondition(lambda self: self.accesses)
    @rule(
        one=PICK,
        move=st.sampled_from(ENDS),
    )
    def end_or_restore(self, one: int, move: tuple[Callable[..., Any], str]) -> None:
        """Remove, suspend or restore."""
        access_id = self._of(self.accesses, one)
        try:
            with unit_of_work():
                move[0](db.session.get_one(PortalAccess, access_id), self._member(access_id))
        except WrongState:
            return
        self.expected[move[1]] += 1

    @precondition(lambda self: self.accesses)
    @rule(one=PICK, who=PICK)
    def change_address_of_an_active_person(self, one: int, who: int) -> None:
        """Access ends and the new address is invited."""
        access_id, address = self._of(self.accesses, one), self._of(self.addresses, who)
        row = db.session.get_one(PortalAccess, access_id)
        before = (row.email, row.portal_user.login.email)
        try:
            with unit_of_work():
                result = change_address.of_access(row, self._member(access_id), address)
        except ProblemForPeople:
            return
        self._note([result])
        self.expected["access_removed"] += 1
        assert row.state is AccessState.REMOVED
        assert (row.email, row.portal_user.login.email) == before

    # What the person does

    @precondition(lambda self: self.invites)
    @rule(one=PICK, back=st.integers(0, 2))
    def open(self, one: int, back: int) -> None:
        """Look at a link: it says where it stands and changes nothing."""
        row = self._invite(one)
        generation = max(1, row.generation - back)
        before = self._rows()
        assert accept.look_up(self._token(row, generation)).state is self._stands(row, generation)
        assert self._rows() == before

    @precondition(lambda self: self.invites)
    @rule(one=PICK, back=st.integers(0, 2))
    def accept(self, one: int, back: int) -> None:
        """Accept with the newest link or an older one."""
        row = self._invite(one)
        generation = max(1, row.generation - back)
        works = self._stands(row, generation) is LinkState.LIVE
        items = {item.id for item in lifecycle.items_of(row)}
        try:
            with unit_of_work():
                link = accept.look_up(self._token(row, generation))
                login = accept.login_of(row.email)
                access = (
                    accept.accept_as(link, login) if login else accept.accept_new(link, "Ada", hashed())[1]
                )
                access_id, granted = access.id, set(self._granted(access.id))
        except InviteNotPending:
            assert not works
            return
        assert works
        assert items <= granted
        self.expected["invite_accepted"] += 1
        if access_id not in self.accesses:
            self.accesses.append(access_id)

    @precondition(lambda self: self.invites)
    @rule(one=PICK)
    def accept_as_somebody_else(self, one: int) -> None:
        """A login of another address never uses an invite up."""
        row = self._invite(one)
        state, before = row.state, self._rows()
        with pytest.raises((WrongState, InviteNotPending)), unit_of_work():
            login = accept.login_of(self.stranger)
            assert login is not None
            accept.accept_as(accept.look_up(self._token(row, row.generation)), login)
        assert (row.state, self._rows()) == (state, before)

    @precondition(lambda self: self.invites)
    @rule(one=PICK, not_me=st.booleans())
    def decline(self, one: int, not_me: bool) -> None:
        """Decline, or This isn't me."""
        row = self._invite(one)
        moved = self._moves(row, lambda: lifecycle.decline(row, not_me=not_me))
        self.expected["invite_declined"] += moved

    @precondition(lambda self: self.invites)
    @rule(one=PICK)
    def send_me_a_new_link(self, one: int) -> None:
        """Works on an expired link only."""
        row = self._invite(one)
        stands = self._stands(row, row.generation)
        try:
            with unit_of_work():
                accept.send_new_link(accept.look_up(self._token(row, row.generation)))
        except InviteNotPending:
            assert stands is not LinkState.EXPIRED
            return
        assert stands is LinkState.EXPIRED
        self.expected["invite_resent"] += 1

    @precondition(lambda self: self.invites)
    @rule(one=PICK)
    def stop_reminders(self, one: int) -> None:
        """`Stop these reminders`, of any invite, again and again."""
        row = self._invite(one)
        with unit_of_work():
            reminders.stop(row)
        assert not row.reminds or row.state is not InviteState.PENDING

    # What time and machines do

    @rule(span=st.sampled_from(SPANS))
    def time_passes(self, span: timedelta) -> None:
        """The clock goes on; nothing else happens."""
        db.session.rollback()
        self.clock.shift(span)

    @rule(number=st.integers(1, 5))
    def days_go_by(self, number: int) -> None:
        """As they mostly do: the jobs look, the worker sends."""
        for _ in range(number):
            self.time_passes(timedelta(days=1))
            self.jobs_run()
            self.worker_sends("sent")

    @rule(outcome=st.sampled_from(["sent", "sent", "sent", "later", "refused"]))
    def worker_sends(self, outcome: str) -> None:
        """The worker takes what is due and the relay answers."""
        answer = {"sent": Sent(), "later": Temporary("450 later"), "refused": Permanent("550 no")}[outcome]
        mails = self._claim()
        with unit_of_work():
            settle.settle([Result(mail, answer) for mail in mails], utc_now())
        if outcome == "sent":
            self.expected["invite_mailed"] += sum(mail.kind is MailKind.INVITE for mail in mails)

    @rule()
    def worker_dies(self) -> None:
        """The worker takes what is due and is never seen again."""
        self.taken.append(self._claim())

    @precondition(lambda self: self.taken)
    @rule()
    def dead_worker_comes_back(self) -> None:
        """It was only slow: what it sent counts where the mail is still its own."""
        mails = self.taken.pop()
        with unit_of_work() as session:
            ours = set(
                session.scalars(
                    sa.select(Outbox.id).where(
                        Outbox.lease.in_([mail.lease for mail in mails]), Outbox.state == MailState.SENDING
                    )
                )
            )
            assert settle.settle([Result(mail, Sent()) for mail in mails], utc_now()) == len(ours)
        self.expected["invite_mailed"] += sum(
            mail.kind is MailKind.INVITE and mail.id in ours for mail in mails
        )

    @rule(one=PICK)
    def mail_bounces(self, one: int) -> None:
        """A delivery report turns a mail that was sent into one that came back."""
        with unit_of_work() as session:
            sent = list(
                session.scalars(
                    sa.select(Outbox)
                    .where(Outbox.firm_id.in_(self.firms), Outbox.state == MailState.SENT)
                    .order_by(Outbox.id)
                )
            )
            if sent:
                mail = self._of(sent, one)
                mail.state, mail.error = MailState.BOUNCED, "550 5.1.1 no such person"

    @rule()
    def jobs_run(self) -> None:
        """Reminders, expiry notes and digests, twice: the second time finds nothing."""
        with unit_of_work():
            reminders.remind_due()
        with unit_of_work():
            self.expected["invite_expired"] += expiry.note_expired()
        with unit_of_work():
            expiry.tell_inviters()
        for job in (reminders.remind_due, expiry.note_expired, expiry.tell_inviters):
            with unit_of_work():
                assert job() == 0

    # What stays true

    @invariant()
    def one_pending_invite_per_client_and_address(self) -> None:
        """Also held by a partial unique index."""
        db.session.rollback()
        pending = Counter(
            db.session.execute(
                sa.select(Invite.client_id, Invite.email).where(Invite.state == InviteState.PENDING)
            ).all()
        )
        assert all(number == 1 for number in pending.values()), pending

    @invariant()
    def one_live_link_per_invite(self) -> None:
        """And every generation has its one token."""
        rows = db.session.execute(
            sa.select(Invite.id, Invite.generation, sa.func.count(InviteToken.token_hash))
            .join(InviteToken, InviteToken.invite_id == Invite.id)
            .where(Invite.id.in_(self.invites))
            .group_by(Invite.id, Invite.generation)
        ).all()
        assert all(generation == tokens for _, generation, tokens in rows), rows
        assert len(rows) == len(self.invites)

    @invariant()
    def every_fact_has_its_event(self) -> None:
        """What happened, as often as it happened, and nothing that was rolled back."""
        if not hasattr(self, "firms"):
            return
        found = dict(
            db.session.execute(
                sa.select(Event.name, sa.func.count())
                .where(Event.firm_id.in_(self.firms), Event.name.in_(FACTS))
                .group_by(Event.name)
            ).all()
        )
        assert found == {name: number for name, number in self.expected.items() if number}

    @invariant()
    def a_link_is_accepted_at_most_once(self) -> None:
        """One event and one access for each accepted invite."""
        rows = db.session.execute(
            sa.select(Event.invite_id, sa.func.count(), sa.func.max(Event.access_id))
            .where(Event.name == "invite_accepted", Event.invite_id.in_(self.invites))
            .group_by(Event.invite_id)
        ).all()
        accepted = set(
            db.session.scalars(
                sa.select(Invite.id).where(Invite.id.in_(self.invites), Invite.state == InviteState.ACCEPTED)
            )
        )
        assert all(number == 1 for _, number, _ in rows)
        assert {invite_id for invite_id, _, _ in rows} == accepted
        assert {access_id for _, _, access_id in rows} <= set(self.accesses)

    @invariant()
    def no_two_reminders_within_twenty_hours(self) -> None:
        """Of one invite."""
        times: dict[str, list[datetime]] = {}
        for invite_id, at in db.session.execute(
            sa.select(Outbox.invite_id, Outbox.created_at)
            .where(Outbox.invite_id.in_(self.invites), Outbox.kind.in_(REMINDERS))
            .order_by(Outbox.created_at)
        ):
            times.setdefault(invite_id, []).append(at)
        assert all(
            later - earlier >= schedule.APART
            for found in times.values()
            for earlier, later in pairwise(found)
        ), times

    @invariant()
    def no_row_of_one_firm_is_visible_to_another(self) -> None:
        """By list and by id."""
        if not hasattr(self, "firms"):
            return
        for world in self.worlds:
            view = FirmView(db.session.get_one(TeamMember, world.admin_id))
            for statement in (view.invites(), view.accesses(), view.items(), view.contacts(), view.clients()):
                assert {row.firm_id for row in db.session.scalars(statement).unique()} <= {world.firm_id}
        if self.invites:
            row = self._invite(-1)
            (other,) = (world for world in self.worlds if world.firm_id != row.firm_id)
            with pytest.raises(Missing):
                FirmView(db.session.get_one(TeamMember, other.admin_id)).invite(row.id)
        mixed = (
            sa.select(InviteItem.invite_id)
            .join(Invite, Invite.id == InviteItem.invite_id)
            .join(WorkItem, WorkItem.id == InviteItem.item_id)
            .where(Invite.client_id != WorkItem.client_id)
        )
        assert db.session.scalars(mixed).all() == []
        db.session.rollback()

    # Helpers

    @staticmethod
    def _of(rows: list[Any], number: int) -> Any:
        return rows[number % len(rows)]

    def _invite(self, number: int) -> Invite:
        return db.session.get_one(Invite, self._of(self.invites, number), populate_existing=True)

    def _member(self, access_id: str) -> TeamMember:
        firm_id = db.session.get_one(PortalAccess, access_id).firm_id
        (world,) = (world for world in self.worlds if world.firm_id == firm_id)
        return db.session.get_one(TeamMember, world.admin_id)

    def _send(
        self, world: World, client_id: str, address: str, with_item: bool, scope: Scope
    ) -> list[InviteResult]:
        client = db.session.get_one(Client, client_id)
        member = db.session.get_one(TeamMember, world.admin_id)
        items = []
        if with_item:
            items = [
                WorkItem(
                    firm_id=world.firm_id, client_id=client_id, workflow="client-request", title="Organizer",
                    status="sent", visible=True, open=True,
                )
            ]  # fmt: skip
            db.session.add_all(items)
            db.session.flush()
        slug, what = ("client-request", "sent you a survey") if items else ("client-record", "invited you")
        order = InviteOrder((Recipient(email=address, can_see=scope),))
        return invite_people(Occasion(client, member, slug, what, items), order)

    def _note(self, results: list[InviteResult]) -> None:
        for result in results:
            name = OF_OUTCOME.get(result.outcome)
            if name:
                self.expected[name] += 1
            if result.invite is not None and result.invite.id not in self.invites:
                self.invites.append(result.invite.id)

    def _moves(self, row: Invite, move: Callable[[], Any]) -> bool:
        """Whether the move was made; it must be exactly where the invite is pending."""
        pending = row.state is InviteState.PENDING
        try:
            with unit_of_work():
                move()
        except InviteNotPending:
            assert not pending
            return False
        assert pending
        return True

    def _stands(self, row: Invite, generation: int) -> LinkState:
        """Where a link stands, said anew and simply."""
        if row.state is not InviteState.PENDING:
            return LinkState(row.state.value)
        if row.expires_at <= utc_now():
            return LinkState.EXPIRED
        return LinkState.LIVE if generation == row.generation else LinkState.SUPERSEDED

    @staticmethod
    def _token(row: Invite, generation: int) -> str:
        return invite_token(config.current(), row.id, generation)

    @staticmethod
    def _granted(access_id: str) -> list[str]:
        table = sa.table("item_grant", sa.column("item_id"), sa.column("access_id"))
        return list(db.session.scalars(sa.select(table.c.item_id).where(table.c.access_id == access_id)))

    def _claim(self) -> list[Claimed]:
        """Take what is due; every mail with a link must belong to an invite that lives at this very moment."""
        now = utc_now()
        with unit_of_work() as session:
            mails = claim.claim(100, now, LEASE)
            for mail in mails:
                if mail.kind in INVITE_MAILS:
                    row = session.get_one(Invite, mail.invite_id, populate_existing=True)
                    assert row.is_live(now)
                    assert mail.generation == row.generation
                    assert mail.to_email == row.email
                    assert row.reminds or mail.kind is MailKind.INVITE
                if mail.access_id is not None:
                    access = session.get_one(PortalAccess, mail.access_id, populate_existing=True)
                    assert access.state is AccessState.ACTIVE
        return mails

    @contextmanager
    def _undone(self) -> Iterator[None]:
        """A unit of work that ends badly."""
        try:
            with unit_of_work():
                yield
                db.session.flush()
                raise _Undone
        except _Undone:
            db.session.rollback()

    def _rows(self) -> list[int]:
        tables = (Invite, InviteToken, InviteItem, Outbox, Event, Contact, PortalAccess, WorkItem)
        db.session.rollback()
        counts = (sa.select(sa.func.count()).select_from(table).scalar_subquery() for table in tables)
        return list(db.session.execute(sa.select(*counts)).one())


@pytest.fixture
def post(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    with both_kinds(backend, tmp_path, request) as app:
        yield app


def test_an_invite_lives_by_its_rules(post: Flask) -> None:
    """Played on each database; a failure prints the story that leads to it."""
    run_state_machine_as_test(
        type("Life", (Life,), {"app": post}),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
