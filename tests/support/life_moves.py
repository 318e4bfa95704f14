"""What can happen to an invite, each as a move on the stage (`life_stage.py`).

Every move goes through the product's own functions, each in a unit of work as at an edge, and then says what must have
come of it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from invites import accept, access_until, change_address, expiry, lifecycle, reminders
from invites import access as accesses
from invites.accept import Link, LinkState
from invites.invitees import Invitee
from invites.inviting import invite_people
from invites.lifecycle import Occasion
from invites.new_invites import insert_invites
from invites.orders import InviteOrder, InviteResult, Outcome, Recipient
from models import (
    AccessState,
    Client,
    Contact,
    Invite,
    InviteState,
    PortalAccess,
    Scope,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.address import parse_address
from models.errors import InviteNotPending, ProblemForPeople, Refused, WrongState
from tests.support.life_stage import DAYS, NO_DATE, STRANGER, Place, Stage, Told, end_of
from tests.support.world import World, hashed

ACCESS_MOVES: dict[str, tuple[Callable[..., Any], AccessState, str]] = {
    "removed": (accesses.remove, AccessState.REMOVED, "access_removed"),
    "suspended": (accesses.suspend, AccessState.SUSPENDED, "access_suspended"),
    "restored": (accesses.restore, AccessState.ACTIVE, "access_restored"),
}


class Play(Stage):
    """The life that is played."""

    # What staff do

    def invite(self, place: int, who: int, *, item: bool = True, scope: Scope = Scope.ITEMS) -> Told | None:
        """Somebody is invited, with a new item or from the record; the open invite there is afterwards."""
        world, client_id = self.clients[place]
        email = self.addresses[who]
        before = self.pending(client_id, email)
        there = next(iter(self.places_of(client_id, email)), None)
        suspended, inside = (
            there is not None and there.state is AccessState.SUSPENDED,
            there is not None and there.lets_in,
        )
        with unit_of_work():
            result, items = self._send(world, client_id, email, item, scope)
        if suspended:
            assert result.outcome is Outcome.BLOCKED
        elif inside:
            assert result.outcome is Outcome.HAS_ACCESS
        elif before is None:
            assert result.outcome is Outcome.INVITED
        else:
            assert result.invite.id == before.id
        return self.believe(result, items)

    def invite_again(self, told: Told) -> Told | None:
        """After any end."""
        place = [client_id for _, client_id in self.clients].index(told.client_id)
        return self.invite(place, self.addresses.index(told.email), scope=Scope.PORTAL)

    def invite_again_of(self, access_id: str) -> Told | None:
        """Somebody who was in once."""
        place = self.places[access_id]
        return self.invite_again(Told("", place.firm_id, place.client_id, place.email, utc_now()))

    def write_about_an_item(self, access_id: str) -> None:
        """Somebody who is in gets an item, and a mail about it that waits for more."""
        place = self.places[access_id]
        client = [client_id for _, client_id in self.clients].index(place.client_id)
        self.invite(client, self.addresses.index(place.email))

    def insert_beside(self, told: Told) -> None:
        """A second row beside an open invite: refused by the database, and the product takes that for an answer."""
        row = self.row(told)
        columns = [column.key for column in sa.inspect(Invite).column_attrs if column.key != "id"]
        with pytest.raises(IntegrityError), unit_of_work() as session:
            session.add(Invite(**{name: getattr(row, name) for name in columns}))
            session.flush()
        with unit_of_work() as session:
            row = self.row(told)
            occasion = Occasion(row.client, row.invited_by, "client-record", "invited you")
            contact = session.get_one(Contact, row.contact_id)
            person = Invitee(parse_address(told.email), contact.id, contact.name, Scope.ITEMS)
            assert insert_invites(InviteOrder(()), [(occasion, person)]) == {}

    def resend(self, told: Told) -> bool:
        """A fresh link; whether there was anything to send again."""
        row = self.row(told)
        if self.moves(
            told, lambda: lifecycle.resend(row, row.invited_by, "sent you a new link"), needs_time=True
        ):
            self.believe_renewed(told)
            return True
        return False

    def revoke(self, told: Told) -> None:
        """The invite ends."""
        row = self.row(told)
        if self.moves(told, lambda: lifecycle.revoke(row, row.invited_by)):
            self.believe_ended(told, InviteState.REVOKED)

    def extend(self, told: Told, days: int) -> None:
        """The same link works longer, never shorter."""
        row = self.row(told)
        if self.moves(told, lambda: lifecycle.extend(row, days, row.invited_by), needs_time=True):
            longer = min(utc_now() + timedelta(days=days), told.access_ends or NO_DATE)
            told.ends, told.noted = max(told.ends, longer), False

    def date_invite(self, told: Told, day: date | None) -> None:
        """Until when the access lasts that accepting brings; the link ends with it, and works again with a later day."""
        row, ends = self.row(told), end_of(day)
        if not self.moves(told, lambda: access_until.of_invite(row, day, row.invited_by)):
            return
        was_cut = told.access_ends is not None and told.ends >= told.access_ends
        whole = max(told.ends, told.asked + DAYS) if was_cut else told.ends
        was_expired = told.stands(told.generation) is LinkState.EXPIRED
        told.access_ends, told.ends = ends, min(whole, ends or NO_DATE)
        if was_expired and told.ends > utc_now():
            told.noted = False

    def date_access(self, access_id: str, day: date | None) -> None:
        """Until when somebody who has joined gets in; a later day brings back whose day is over."""
        place = self.places[access_id]
        try:
            with unit_of_work():
                row = db.session.get_one(PortalAccess, access_id)
                access_until.of_access(row, day, self.member(place.firm_id))
        except WrongState:
            assert place.state is AccessState.REMOVED
            return
        assert place.state is not AccessState.REMOVED
        if place.has_ended:
            self.events[place.firm_id, "access_restored", access_id] += 1
        place.until = end_of(day)

    def change_address(self, told: Told, who: int) -> Told | None:
        """The invite goes to another mailbox, with its items; the open invite there is afterwards."""
        row, address = self.row(told), self.addresses[who]
        try:
            with unit_of_work():
                result = change_address.of_invite(row, row.invited_by, address)
        except InviteNotPending:
            assert told.state is not InviteState.PENDING
            return None
        except WrongState:
            assert told.is_over
            return None
        except Refused:
            assert self.places_of(told.client_id, address)[0].state is AccessState.SUSPENDED
            return None
        except ProblemForPeople:
            assert address == told.email
            return None
        assert told.state is InviteState.PENDING
        assert not told.is_over
        self.believe_ended(told, InviteState.REVOKED)
        there = self.believe(result, told.items, told.access_ends)
        if there is not None:
            there.reminds = db.session.get_one(Invite, there.id).reminds
        return there

    def move_access(self, access_id: str, how: str) -> None:
        """Remove, suspend or restore."""
        move, state, name = ACCESS_MOVES[how]
        place = self.places[access_id]
        try:
            with unit_of_work():
                move(db.session.get_one(PortalAccess, access_id), self.member(place.firm_id))
        except WrongState:
            assert place.state is state or (how, place.state) == ("suspended", AccessState.REMOVED)
            assert not (how == "restored" and place.has_ended)
            return
        if how == "restored" and place.until is not None and place.until <= utc_now():
            place.until = None
        place.state = state
        self.events[place.firm_id, name, access_id] += 1

    def suspend_with_an_open_invite(self, access_id: str) -> Told | None:
        """Removed, invited again, restored before that invite was used, and then suspended on purpose."""
        self.move_access(access_id, "removed")
        told = self.invite_again_of(access_id)
        self.move_access(access_id, "restored")
        self.move_access(access_id, "suspended")
        return told

    def change_address_of_access(self, access_id: str, who: int) -> Told | None:
        """An active person's access ends and the new address is invited."""
        place, address = self.places[access_id], self.addresses[who]
        try:
            with unit_of_work():
                row = db.session.get_one(PortalAccess, access_id)
                granted = set(self.granted(access_id))
                result = change_address.of_access(row, self.member(place.firm_id), address)
        except ProblemForPeople:
            assert (
                not place.lets_in
                or address == place.email
                or (self.places_of(place.client_id, address)[0].state is AccessState.SUSPENDED)
            )
            return None
        place.state = AccessState.REMOVED
        self.events[place.firm_id, "access_removed", access_id] += 1
        return self.believe(result, granted, place.until)

    # What the person does

    def look(self, told: Told, generation: int) -> Link:
        """Open a link: it says where it stands."""
        link = accept.look_up(self.token(told, generation))
        assert link.state is told.stands(generation)
        return link

    def press(self, told: Told, link: Link) -> None:
        """The button on the page of a link that was opened just now or a while ago; only a live one has it."""
        place = next(iter(self.places_of(told.client_id, told.email)), None)
        # Restored after the invite: its link undoes neither a suspension nor a date that is over.
        shut = place is not None and (place.state is AccessState.SUSPENDED or place.has_ended)
        live = link.state is told.stands(link.generation) is LinkState.LIVE
        works = live and not shut
        try:
            with unit_of_work():
                access_id = self._accept(told, link)
        except InviteNotPending:
            assert not works
            return
        except Refused:
            assert shut
            return
        assert works, (told, link.state)
        assert told.items <= set(self.granted(access_id))
        self.believe_ended(told, InviteState.ACCEPTED)
        until = place.until if place is not None and place.lets_in else told.access_ends
        self.places[access_id] = Place(told.firm_id, told.client_id, told.email, AccessState.ACTIVE, until)

    def press_as_a_stranger(self, told: Told, link: Link) -> None:
        """A login of another address never uses an invite up."""
        with self.refused((WrongState, InviteNotPending)):
            accept.accept_as(link, accept.login_of(STRANGER))

    def decline(self, told: Told, *, not_me: bool = False) -> None:
        """Decline, or This isn't me."""
        row = self.row(told)
        if self.moves(told, lambda: lifecycle.decline(row, not_me=not_me)):
            self.believe_ended(told, InviteState.DECLINED)

    def send_me_a_new_link(self, told: Told, generation: int) -> None:
        """Works on an expired link only."""
        stands = told.stands(generation)
        try:
            with unit_of_work():
                accept.send_new_link(self.look(told, generation))
        except InviteNotPending:
            assert stands is not LinkState.EXPIRED
            return
        except WrongState:
            assert stands is LinkState.EXPIRED
            assert told.is_over
            return
        assert not told.is_over
        assert stands is LinkState.EXPIRED
        self.believe_renewed(told)

    def stop_reminders(self, told: Told) -> None:
        """The link at the foot of a reminder."""
        with unit_of_work():
            reminders.stop(self.row(told))
        told.reminds = False

    # What time and jobs do

    def pass_time(self, span: timedelta) -> None:
        """The clock goes on; nothing else happens."""
        db.session.rollback()
        self.clock.shift(span)

    def run_jobs(self) -> None:
        """Reminders, expiry notes and digests, twice: the second time finds nothing."""
        with unit_of_work():
            reminders.remind_due()
        with unit_of_work():
            expiry.note_expired()
        for told in self.invites.values():
            if told.stands(told.generation) is LinkState.EXPIRED and not told.noted:
                told.noted = True
                self.events[told.firm_id, "invite_expired", told.id] += 1
        with unit_of_work():
            expiry.tell_inviters()
        for job in (reminders.remind_due, expiry.note_expired, expiry.tell_inviters):
            with unit_of_work():
                assert job() == 0

    # What breaks

    def broken(self, told: Told, what: str) -> None:
        """The same moves in a unit of work that is rolled back; what is believed stays as it is."""
        row, (world, _) = self.row(told), self.clients[0]
        moves: dict[str, Callable[[], Any]] = {
            "invited": lambda: self._send(world, self.clients[0][1], self.addresses[0], True, Scope.ITEMS),
            "resent": lambda: lifecycle.resend(row, row.invited_by, "sent you a new link"),
            "revoked": lambda: lifecycle.revoke(row, row.invited_by),
            "accepted": lambda: self._accept(told, accept.look_up(self.token(told, told.generation))),
            "declined": lambda: lifecycle.decline(row),
            "moved": lambda: change_address.of_invite(row, row.invited_by, self.addresses[1]),
            "reminded": reminders.remind_due,
            "noted": expiry.note_expired,
        }
        with self.undone():
            moves[what]()

    # Helpers

    def _accept(self, told: Told, link: Link) -> str:
        login = accept.login_of(told.email)
        access = accept.accept_as(link, login) if login else accept.accept_new(link, "Ada", hashed())[1]
        return access.id

    def _send(
        self, world: World, client_id: str, email: str, item: bool, scope: Scope
    ) -> tuple[InviteResult, set[str]]:
        client = db.session.get_one(Client, client_id)
        items = []
        if item:
            items = [
                WorkItem(
                    firm_id=world.firm_id, client_id=client_id, workflow="client-request", title="Organizer",
                    status="sent", visible=True, open=True,
                )
            ]  # fmt: skip
            db.session.add_all(items)
            db.session.flush()
        slug, what = ("client-request", "sent you a survey") if items else ("client-record", "invited you")
        order = InviteOrder((Recipient(email=email, can_see=scope),))
        (result,) = invite_people(Occasion(client, world.member, slug, what, items), order)
        return result, {one.id for one in items}
