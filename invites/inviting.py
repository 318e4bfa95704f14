"""Inviting people: one order of the Client Portal window becomes contacts, invites, mails and events.

Everything is read and written in a fixed number of statements, however many people are ticked. The client's row is
locked meanwhile: two orders at once would both add the same new person to the record. Below that lock still lies the
partial unique index (one pending invite per client and address): where it says that somebody was faster, the order
joins the invite that is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import lazyload

from invites import schedule
from invites.access_until import close_ended
from invites.grants import grant_items
from invites.invitees import Invitee, invitees
from invites.lifecycle import SAME_REQUEST, Occasion, expiry, mail_for, renew
from invites.new_invites import insert_invites
from invites.orders import InviteOrder, InviteResult, Outcome
from mail import outbox
from mail.outbox import NewMail
from models import (
    AccessState,
    Client,
    Invite,
    InviteItem,
    MailKind,
    PortalAccess,
    Scope,
    WorkItem,
    db,
    utc_now,
)
from models.among import among

SUSPENDED = "Access is suspended. Choose Restore access on the record first."
HAS_ACCESS = "Has access already: no invite needed."
HAS_ACCESS_AND_MAIL = "Has access already and gets a mail about this."
TOO_LATE = "Somebody else changed this invite just now. Try again."


def invite_people(occasion: Occasion, order: InviteOrder) -> list[InviteResult]:
    """Carry out an order; one result per recipient, in order. One bad address does not stop the others.

    Works inside the caller's unit of work. The recipients' outcomes are those of the contract (`Outcome`).
    """
    lock_client(occasion.client)
    found = invitees(occasion, order.recipients)
    people = {person.address.key: person for person in reversed(found) if isinstance(person, Invitee)}
    known = _known(occasion.client.id, people)
    # Held before the accesses are read: an accept of this very moment is over by then and shows, or waits for us.
    pending = _pending(occasion.client.id, known)
    accesses = _accesses(occasion.client.id, known)
    before = _scopes_before(occasion, known, accesses, pending)
    outcomes = _already_in(occasion, people, accesses)
    to_invite = [_as_before(person, before) for key, person in people.items() if key not in outcomes]
    close_ended([accesses.get(person.address.key) for person in to_invite], occasion.actor)
    outcomes |= _invite(occasion, order, to_invite, pending)
    results, served = [], set()
    for recipient, person in zip(order.recipients, found, strict=True):
        if isinstance(person, str):
            typed = recipient.email if isinstance(recipient.email, str) else ""
            results.append(InviteResult(typed, recipient.name, Outcome.INVALID, person))
        elif person.address.key in served:
            first = outcomes[person.address.key]
            reason = f"Shares a mailbox with {first.who}: one mail serves both."
            results.append(_result(person, Outcome.ALREADY_INVITED, reason, first.invite_id))
        else:
            served.add(person.address.key)
            results.append(outcomes[person.address.key])
    return results


def lock_client(client: Client) -> None:
    """Keep others from inviting to this client until the transaction ends. Taken before any lock on an invite."""
    # NO KEY UPDATE (`key_share`): the transaction has written rows that point at the client already, and so has the one
    # it may wait for; a full FOR UPDATE would wait for those too, and two orders at once would be a deadlock.
    db.session.flush()
    connection = db.session.connection()
    if connection.dialect.name != "sqlite":  # where we are the only one who writes
        connection.execute(_LOCK, {"client_id": client.id})
    db.session.expire(client, ["contacts"])


def _result(person: Invitee, outcome: Outcome, reason: str, invite_id: str | None = None) -> InviteResult:
    return InviteResult(
        person.address.display, person.name, outcome, reason, key=person.address.key, invite_id=invite_id
    )


def _known(client_id: str, keys: Collection[str]) -> set[str]:
    """Which of these addresses have, or had, an invite or an access. Most have none: nothing more is asked of them."""
    return set(db.session.connection().scalars(_KNOWN, {"client_id": client_id, "keys": keys}))


def _accesses(client_id: str, keys: Collection[str]) -> dict[str, PortalAccess]:
    """The access of each of these addresses that has, or had, one."""
    if not keys:
        return {}
    rows = db.session.scalars(_ACCESSES, {"client_id": client_id, "keys": keys})
    return {access.email: access for access in rows}


def _scopes_before(
    occasion: Occasion,
    keys: Collection[str],
    accesses: Mapping[str, PortalAccess],
    pending: Mapping[str, Invite],
) -> dict[str, Scope]:
    """What was decided before that an address is to see (see `Standing.scope`)."""
    before: dict[str, Scope] = {}
    rest = [key for key in keys if key not in accesses and key not in pending]
    if occasion.items and rest:
        rows = db.session.connection().execute(_SCOPES, {"client_id": occasion.client.id, "keys": rest})
        before = {row.email: row.scope for row in rows}  # of several invites the newest stays
    before |= {key: access.scope for key, access in accesses.items()}
    return before | {key: invite.scope for key, invite in pending.items()}


def _as_before(person: Invitee, before: Mapping[str, Scope]) -> Invitee:
    """Who was invited to single items is not given the whole portal because nobody said anything this time."""
    known = before.get(person.address.key)
    return replace(person, scope=known) if person.by_default and known else person


def _already_in(
    occasion: Occasion, people: Mapping[str, Invitee], accesses: Mapping[str, PortalAccess]
) -> dict[str, InviteResult]:
    """People with access need no invite: the items are granted, an item mail goes out. Suspended ones are blocked."""
    now = utc_now()
    inside = {key: access.id for key, access in accesses.items() if access.is_active(now)}
    outcomes = {
        key: _result(people[key], Outcome.BLOCKED, SUSPENDED)
        for key, access in accesses.items()
        if access.state is AccessState.SUSPENDED
    }
    grant_items(inside.values(), occasion.items)
    outbox.enqueue_many(
        [
            NewMail(
                MailKind.ITEM,
                to_email=key,
                to_name=people[key].name,
                firm_id=occasion.client.firm_id,
                access_id=access_id,
                item_id=item.id,
                sender_id=occasion.member.id,
                params={"what": occasion.what},
            )
            for key, access_id in inside.items()
            for item in occasion.items
        ]
    )
    reason = HAS_ACCESS_AND_MAIL if occasion.items else HAS_ACCESS
    return outcomes | {key: _result(people[key], Outcome.HAS_ACCESS, reason) for key in inside}


def _invite(
    occasion: Occasion, order: InviteOrder, people: Sequence[Invitee], held: Mapping[str, Invite]
) -> dict[str, InviteResult]:
    """The outcome of each of these people, who have no access; `held` are the pending invites."""
    fresh = [person for person in people if person.address.key not in held]
    made = insert_invites(order, [(occasion, person) for person in fresh])
    client_id = occasion.client.id
    late = {person.address.key for person in fresh if (client_id, person.address.key) not in made}
    pending = {**held, **_pending(client_id, late)}
    outcomes, mails = {}, []
    joined = {
        person.address.key: pending[person.address.key] for person in people if person.address.key in pending
    }
    items = items_by_invite(joined.values())
    for person in people:
        key = person.address.key
        if (client_id, key) in made:
            row = made[client_id, key]
            outcomes[key] = replace(_result(person, Outcome.INVITED, "Invite sent.", row["id"]), made=row)
        elif key not in joined:  # inserted by somebody else, and accepted or revoked within the same instant
            outcomes[key] = _result(person, Outcome.BLOCKED, TOO_LATE)
        else:
            invite = joined[key]
            outcomes[key] = _join(occasion, order, person, invite, items[invite.id])
            if outcomes[key].outcome is not Outcome.ALREADY_INVITED:
                mails.append(mail_for(occasion, invite, order.message))
    outbox.enqueue_many(mails)
    return outcomes


def _pending(client_id: str, keys: Collection[str]) -> dict[str, Invite]:
    """The pending invites of these addresses, expired or not, locked for this transaction."""
    if not keys:
        return {}
    rows = db.session.scalars(
        _PENDING, {"client_id": client_id, "keys": keys}, execution_options={"populate_existing": True}
    )
    return {invite.email: invite for invite in rows}


def _join(
    occasion: Occasion, order: InviteOrder, person: Invitee, invite: Invite, there: Sequence[WorkItem]
) -> InviteResult:
    """A pending invite is there: the items join, or it is sent again, or it was this very request a moment ago."""
    now = utc_now()
    if person.scope is Scope.PORTAL:
        invite.scope = Scope.PORTAL  # widened on purpose, never narrowed behind somebody's back
    follow(invite, order, now)
    known = {item.id for item in there}
    fresh = [item for item in occasion.items if item.id not in known]
    db.session.add_all(InviteItem(invite_id=invite.id, item_id=item.id, created_at=now) for item in fresh)
    if invite.is_expired(now) or (not fresh and now - invite.last_asked_at >= SAME_REQUEST):
        take_words(invite, order.message, order.template)
        renew(invite, order.expires_in_days, occasion, [*there, *fresh])
        return _result(person, Outcome.RESENT, "Invited again with a fresh link.", invite.id)
    if fresh:
        due = expiry(now, 0, fresh, occasion.member.firm.time_zone, invite.access_ends_at)
        invite.expires_at = max(invite.expires_at, due)
        invite.last_asked_at, invite.sends = now, invite.sends + 1
        schedule.replan(invite, occasion.member.firm)
        return _result(
            person, Outcome.ADDED, "Added to the open invite. Earlier links stay valid.", invite.id
        )
    return _result(person, Outcome.ALREADY_INVITED, "Invited a moment ago: no second mail.", invite.id)


def follow(invite: Invite, order: InviteOrder, now: datetime) -> None:
    """What a later order says of an open invite's access holds; without a word it stays as it is.

    Only a date that is over goes: whoever invites again without a date wants the person to get in.
    """
    if order.access_ends_at is not None:
        invite.access_ends_at = order.access_ends_at
        invite.expires_at = min(invite.expires_at, order.access_ends_at)
    elif invite.access_is_over(now):
        invite.access_ends_at = None


def take_words(invite: Invite, message: str, template: tuple[str, str] | None) -> None:
    """A new message replaces the one before, and so does the template it came from; without one both stay."""
    if message:
        invite.message = message
        invite.template_id, invite.template_name = template or (None, "")


def items_by_invite(invites: Collection[Invite]) -> dict[str, list[WorkItem]]:
    """The items of each invite, in one query."""
    found: dict[str, list[WorkItem]] = defaultdict(list)
    if invites:
        for invite_id, item in db.session.execute(
            sa.select(InviteItem.invite_id, WorkItem)
            .join(WorkItem, WorkItem.id == InviteItem.item_id)
            .where(InviteItem.invite_id.in_([invite.id for invite in invites]))
        ):
            found[invite_id].append(item)
    return found


# Built once: composing a statement costs as much as running it.
_LOCK = sa.select(Client.id).where(Client.id == sa.bindparam("client_id")).with_for_update(key_share=True)
_KNOWN = sa.union_all(
    *(
        sa.select(table.c.email).where(
            table.c.client_id == sa.bindparam("client_id"), among(table.c.email, "keys")
        )
        for table in (Invite.__table__, PortalAccess.__table__)
    )
)
_ACCESSES = (
    sa.select(PortalAccess)
    .where(PortalAccess.client_id == sa.bindparam("client_id"), among(PortalAccess.email, "keys"))
    .options(lazyload(PortalAccess.portal_user))
)
_SCOPES = (
    sa.select(Invite.email, Invite.scope)
    .where(Invite.client_id == sa.bindparam("client_id"), among(Invite.email, "keys"))
    .order_by(Invite.created_at, Invite.id)
)
_PENDING = (
    sa.select(Invite)
    # A literal, so that the partial index of the pending ones serves.
    .where(
        Invite.client_id == sa.bindparam("client_id"),
        among(Invite.email, "keys"),
        sa.text("invite.state = 'pending'"),
    )
    .options(lazyload(Invite.invited_by))
    .with_for_update(of=Invite, key_share=True)
)
