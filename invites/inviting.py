"""Inviting people: one order of the Client Portal window becomes contacts, invites, mails and events.

Everything is read and written in a fixed number of statements, however many people are ticked. The client's row is
locked meanwhile: two orders at once would both add the same new person to the record. Below that lock still lies the
partial unique index (one pending invite per client and address): where it says that somebody was faster, the order
joins the invite that is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

import config
from invites import schedule
from invites.access_until import close_ended
from invites.grants import grant_items
from invites.lifecycle import SAME_REQUEST, Occasion, expiry, mail_for, renew, token_of
from invites.orders import InviteOrder, InviteResult, Outcome, Recipient
from invites.standing import Standing, StandingKey, standings
from mail import outbox
from mail.outbox import NewMail
from models import (
    Client,
    Contact,
    Invite,
    InviteItem,
    InviteState,
    MailKind,
    PortalAccess,
    Scope,
    WorkItem,
    append_event,
    db,
    new_id,
    utc_now,
)
from models.address import Address, BadAddress, parse_address
from models.failpoints import reach


@dataclass(frozen=True)
class Invitee:
    """A recipient whose address can be used, with its contact (made where it was only typed)."""

    address: Address
    contact: Contact
    scope: Scope
    by_default: bool = False  # nobody said what this person is to see


def invite_people(occasion: Occasion, order: InviteOrder) -> list[InviteResult]:
    """Carry out an order; one result per recipient, in order. One bad address does not stop the others.

    Works inside the caller's unit of work. The recipients' outcomes are those of the contract (`Outcome`).
    """
    lock_client(occasion.client)
    found = [_resolve(occasion, recipient) for recipient in order.recipients]
    people = {person.address.key: person for person in reversed(found) if isinstance(person, Invitee)}
    # Held before the standings are read: an accept of this very moment is over by then and shows, or waits for us.
    pending = _pending(occasion.client.id, people)
    known = standings(occasion.client, list(people), occasion.member.firm.time_zone)
    people = {
        key: _as_before(person, known[key].scope(bool(occasion.items))) for key, person in people.items()
    }
    outcomes = _carry_out(occasion, order, people, known, pending)
    results, served = [], set()
    for recipient, person in zip(order.recipients, found, strict=True):
        if isinstance(person, str):
            typed = recipient.email if isinstance(recipient.email, str) else ""
            results.append(InviteResult(typed, recipient.name, Outcome.INVALID, person))
        elif person.address.key in served:
            first = outcomes[person.address.key]
            reason = f"Shares a mailbox with {first.who}: one mail serves both."
            name = person.contact.name
            results.append(
                InviteResult(person.address.display, name, Outcome.ALREADY_INVITED, reason, first.invite)
            )
        else:
            served.add(person.address.key)
            results.append(outcomes[person.address.key])
    return results


def lock_client(client: Client) -> None:
    """Keep others from inviting to this client until the transaction ends. Taken before any lock on an invite."""
    # NO KEY UPDATE (`key_share`): the transaction has written rows that point at the client already, and so has the one
    # it may wait for; a full FOR UPDATE would wait for those too, and two orders at once would be a deadlock.
    db.session.flush()
    db.session.execute(sa.select(Client.id).where(Client.id == client.id).with_for_update(key_share=True))
    db.session.expire(client, ["contacts"])


def _resolve(occasion: Occasion, recipient: Recipient) -> Invitee | str:
    """The person behind one row, or the sentence why it can't be used."""
    contacts = occasion.client.contacts
    try:
        if recipient.contact_id is None:
            address = parse_address(recipient.email)
            contact = next((known for known in contacts if known.email == address.key), None)
        else:
            contact = next((known for known in contacts if known.id == recipient.contact_id), None)
            if contact is None:
                return "This person is not on the client's record any more."
            typed = contact.email_display or recipient.email
            if not typed:
                return f"{contact.label} has no e-mail address. Add one beside the name."
            address = parse_address(typed)
    except BadAddress as error:
        return str(error)
    added = contact is None
    if contact is None:
        contact = _new_contact(occasion, recipient, address)
    elif not contact.email:
        contact.email, contact.email_display = address.key, address.display
    narrow = added and bool(occasion.items)
    usual = Scope.ITEMS if narrow else Scope.PORTAL
    return Invitee(address, contact, recipient.can_see or usual, by_default=recipient.can_see is None)


def _as_before(person: Invitee, scope: Scope | None) -> Invitee:
    """Who was invited to single items is not given the whole portal because nobody said anything this time."""
    return replace(person, scope=scope) if person.by_default and scope else person


def _new_contact(occasion: Occasion, recipient: Recipient, address: Address) -> Contact:
    """A typed person becomes a contact of the client."""
    contact = Contact(
        id=new_id(),
        firm_id=occasion.client.firm_id,
        name=recipient.name.strip()[:200],
        email=address.key,
        email_display=address.display,
        is_primary=not occasion.client.contacts,
        created_at=utc_now(),
    )
    occasion.client.contacts.append(contact)
    return contact


def _carry_out(
    occasion: Occasion,
    order: InviteOrder,
    people: dict[str, Invitee],
    known: dict[str | None, Standing],
    held: dict[str, Invite],
) -> dict[str, InviteResult]:
    """The outcome of each address; `held` are the pending invites."""
    outcomes: dict[str, InviteResult] = {}
    mails: list[NewMail] = []
    to_invite = []
    for key, person in people.items():
        standing = known[key]
        if standing.key is StandingKey.SUSPENDED:
            outcomes[key] = _result(
                person, Outcome.BLOCKED, "Access is suspended. Choose Restore access on the record first."
            )
        elif standing.key is StandingKey.ACTIVE and standing.access is not None:
            outcomes[key] = _already_in(occasion, person, standing.access, mails)
        else:
            to_invite.append(key)
    close_ended([known[key].access for key in to_invite], occasion.actor)
    pending = {key: held[key] for key in to_invite if key in held}
    fresh = insert_invites(order, [(occasion, people[key]) for key in to_invite if key not in pending])
    for invite in fresh:
        outcomes[invite.email] = _result(people[invite.email], Outcome.INVITED, "Invite sent.", invite)
        mails.append(mail_for(occasion, invite, order.message))
    late = [key for key in to_invite if key not in pending and key not in outcomes]
    pending |= _pending(occasion.client.id, late)
    outcomes |= _join(occasion, order, people, pending, mails)
    for key in late:  # inserted by somebody else, and accepted or revoked within the same instant
        gone = _result(people[key], Outcome.BLOCKED, "Somebody else changed this invite just now. Try again.")
        outcomes.setdefault(key, gone)
    outbox.enqueue_many(mails)
    return outcomes


def _result(person: Invitee, outcome: Outcome, reason: str, invite: Invite | None = None) -> InviteResult:
    return InviteResult(person.address.display, person.contact.name, outcome, reason, invite)


def _already_in(
    occasion: Occasion, person: Invitee, access: PortalAccess, mails: list[NewMail]
) -> InviteResult:
    """A person with access needs no invite: the items are granted and an item mail goes out."""
    if not occasion.items:
        return _result(person, Outcome.HAS_ACCESS, "Has access already: no invite needed.")
    grant_items(access, occasion.items)
    mails += [
        NewMail(
            MailKind.ITEM,
            to_email=access.email,
            to_name=person.contact.name,
            firm_id=access.firm_id,
            access_id=access.id,
            item_id=item.id,
            sender_id=occasion.member.id,
            params={"what": occasion.what},
        )
        for item in occasion.items
    ]
    return _result(person, Outcome.HAS_ACCESS, "Has access already and gets a mail about this.")


def _pending(client_id: str, keys: Collection[str]) -> dict[str, Invite]:
    """The pending invites of these addresses, expired or not, locked for this transaction."""
    if not keys:
        return {}
    rows = db.session.scalars(
        sa.select(Invite)
        .where(Invite.client_id == client_id, Invite.email.in_(keys), Invite.state == InviteState.PENDING)
        .with_for_update(of=Invite, key_share=True)
        .execution_options(populate_existing=True)
    ).unique()
    return {invite.email: invite for invite in rows}


def insert_invites(order: InviteOrder, asked: Sequence[tuple[Occasion, Invitee]]) -> list[Invite]:
    """Insert pending invites with tokens, items and events, for any number of clients in the same few statements.

    Only those that nobody else inserted meanwhile come back. The mails are the caller's (`mail_for`).
    """
    if not asked:
        return []
    db.session.flush()  # the contacts first
    occasions = {occasion.client.id: occasion for occasion, _ in asked}
    shared = {client_id: _shared(occasion, order) for client_id, occasion in occasions.items()}
    rows = [
        shared[occasion.client.id]
        | {
            "id": new_id(),
            "contact_id": person.contact.id,
            "email": person.address.key,
            "email_display": person.address.display,
            "name": person.contact.name,
            "scope": person.scope,
        }
        for occasion, person in asked
    ]
    dialect = sqlite if db.session.get_bind().dialect.name == "sqlite" else postgresql
    statement = dialect.insert(Invite).on_conflict_do_nothing().returning(Invite)
    invites = list(db.session.scalars(statement, rows).unique())
    reach("invite.after_insert")
    db.session.add_all(token_of(invite) for invite in invites)
    db.session.add_all(
        InviteItem(invite_id=invite.id, item_id=item.id, created_at=invite.created_at)
        for invite in invites
        for item in occasions[invite.client_id].items
    )
    for invite in invites:
        occasion = occasions[invite.client_id]
        append_event(
            "invite_created",
            firm_id=invite.firm_id,
            workflow=occasion.workflow,
            actor=occasion.actor,
            client_id=invite.client_id,
            item_id=occasion.items[0].id if occasion.items else None,
            invite_id=invite.id,
        )
    return invites


def _shared(occasion: Occasion, order: InviteOrder) -> dict[str, Any]:
    """What all invites of one occasion have in common."""
    now = utc_now()
    firm = occasion.member.firm
    days = order.expires_in_days or firm.invite_days or config.current().invite_days
    ends = expiry(now, days, occasion.items, firm.time_zone, order.access_ends_at)
    template_id, template_name = order.template or (None, "")
    return {
        "firm_id": occasion.client.firm_id,
        "client_id": occasion.client.id,
        "state": InviteState.PENDING,
        "workflow": occasion.workflow,
        "message": order.message,
        "template_id": template_id,
        "template_name": template_name,
        "access_ends_at": order.access_ends_at,
        "extra": dict(order.extra),
        "invited_by_id": occasion.member.id,
        "created_at": now,
        "last_asked_at": now,
        "expires_in_days": days,
        "expires_at": ends,
        "remind_at": schedule.next_look(now, ends, schedule.days_of(firm), now),
        "generation": 1,
        "sends": 1,
        "ended_reason": "",
    }


def _join(
    occasion: Occasion,
    order: InviteOrder,
    people: dict[str, Invitee],
    pending: dict[str, Invite],
    mails: list[NewMail],
) -> dict[str, InviteResult]:
    """Pending invites are there: the items join, or it is sent again, or it was this very request a moment ago."""
    now = utc_now()
    items = items_by_invite(pending.values())
    outcomes = {}
    for key, invite in pending.items():
        person = people[key]
        if person.scope is Scope.PORTAL:
            invite.scope = Scope.PORTAL  # widened on purpose, never narrowed behind somebody's back
        follow(invite, order, now)
        there = {item.id for item in items[invite.id]}
        fresh = [item for item in occasion.items if item.id not in there]
        db.session.add_all(InviteItem(invite_id=invite.id, item_id=item.id, created_at=now) for item in fresh)
        if invite.is_expired(now) or (not fresh and now - invite.last_asked_at >= SAME_REQUEST):
            take_words(invite, order.message, order.template)
            renew(invite, order.expires_in_days, occasion, [*items[invite.id], *fresh])
            outcomes[key] = _result(person, Outcome.RESENT, "Invited again with a fresh link.", invite)
        elif fresh:
            due = expiry(now, 0, fresh, occasion.member.firm.time_zone, invite.access_ends_at)
            invite.expires_at = max(invite.expires_at, due)
            invite.last_asked_at, invite.sends = now, invite.sends + 1
            schedule.replan(invite, occasion.member.firm)
            reason = "Added to the open invite. Earlier links stay valid."
            outcomes[key] = _result(person, Outcome.ADDED, reason, invite)
        else:
            reason = "Invited a moment ago: no second mail."
            outcomes[key] = _result(person, Outcome.ALREADY_INVITED, reason, invite)
            continue
        mails.append(mail_for(occasion, invite, order.message))
    return outcomes


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
