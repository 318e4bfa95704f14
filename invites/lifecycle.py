"""What happens to an invite: invite, join, resend, revoke, decline.

Every move is one guarded statement (`UPDATE ... WHERE state = 'pending'`), and its row count says whether it was
ours: reading first and writing later let four of four threads win. Two who invite one address at the same moment
meet at the partial unique index; the second joins the first one's invite.

All functions work inside the caller's unit of work. They append events; they never fire facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import cast
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

import config
from invites.grants import grant_items
from invites.orders import InviteOrder, InviteResult, Outcome, Recipient
from invites.standing import StandingKey, standings
from mail import links, outbox
from models import (
    AccessState,
    Client,
    Contact,
    Invite,
    InviteItem,
    InviteState,
    InviteToken,
    MailKind,
    PortalAccess,
    Scope,
    TeamMember,
    WorkItem,
    append_event,
    db,
    new_id,
    utc_now,
)
from models.address import Address, BadAddress, parse_address
from models.errors import InviteNotPending

SAME_REQUEST = timedelta(seconds=60)  # double click, two colleagues: no second mail


@dataclass(frozen=True)
class Occasion:
    """Why people are invited: by whom, to which client, from which workflow, with which items."""

    client: Client
    member: TeamMember
    workflow: str
    what: str  # as the mail says it after the sender's name: "sent you a survey"
    items: Sequence[WorkItem] = ()

    @property
    def actor(self) -> str:
        """For the event log."""
        return f"member:{self.member.id}"


def invite_people(occasion: Occasion, order: InviteOrder) -> list[InviteResult]:
    """Carry out an order; one result per recipient, in order. One bad address does not stop the others.

    The recipients' addresses are read in one go; each invite is then an insert or one guarded update.
    """
    _lock_client(occasion.client)
    parsed = [_resolve(occasion, recipient) for recipient in order.recipients]
    keys = [address.key for _, address, _ in parsed if address]
    zone = occasion.member.firm.time_zone
    known = standings(occasion.client, keys, zone)
    done: dict[str, InviteResult] = {}
    results = []
    for recipient, address, contact_or_reason in parsed:
        if address is None:
            typed = recipient.email if isinstance(recipient.email, str) else ""
            results.append(InviteResult(typed, recipient.name, Outcome.INVALID, str(contact_or_reason)))
            continue
        if address.key in done:
            first = done[address.key]
            reason = f"Shares a mailbox with {first.who}: one mail serves both."
            name = contact_or_reason.name if isinstance(contact_or_reason, Contact) else recipient.name
            results.append(InviteResult(address.display, name, Outcome.ALREADY_INVITED, reason, first.invite))
            continue
        contact = (
            contact_or_reason
            if isinstance(contact_or_reason, Contact)
            else _new_contact(occasion, recipient, address)
        )
        standing = known[address.key]
        scope = recipient.can_see or (Scope.PORTAL if contact_or_reason else Scope.ITEMS)
        if not occasion.items:
            scope = Scope.PORTAL if recipient.can_see is None else recipient.can_see
        if standing.key is StandingKey.SUSPENDED:
            result = InviteResult(
                address.display,
                contact.name,
                Outcome.BLOCKED,
                "Access is suspended. Choose Restore access on the record first.",
            )
        elif standing.key is StandingKey.ACTIVE and standing.access is not None:
            result = _already_in(occasion, standing.access, contact)
        else:
            result = _invite_one(occasion, order, contact, address, scope)
        done[address.key] = result
        results.append(result)
    return results


def _lock_client(client: Client) -> None:
    """One order at a time per client: two at once would both add the same new person to the record."""
    db.session.flush()
    db.session.execute(sa.select(Client.id).where(Client.id == client.id).with_for_update())
    db.session.expire(client, ["contacts"])


def _resolve(
    occasion: Occasion, recipient: Recipient
) -> tuple[Recipient, Address | None, Contact | str | None]:
    """The address of one recipient and its contact; (.., None, sentence) where it can't be used."""
    contacts = occasion.client.contacts
    if recipient.contact_id is not None:
        contact = next((known for known in contacts if known.id == recipient.contact_id), None)
        if contact is None:
            return recipient, None, "This person is not on the client's record any more."
        typed = recipient.email if recipient.email and not contact.email else contact.email_display
        if not typed:
            return recipient, None, f"{contact.label} has no e-mail address. Add one beside the name."
        try:
            address = parse_address(typed)
        except BadAddress as error:
            return recipient, None, str(error)
        if not contact.email:
            contact.email, contact.email_display = address.key, address.display
        return recipient, address, contact
    try:
        address = parse_address(recipient.email)
    except BadAddress as error:
        return recipient, None, str(error)
    return recipient, address, next((known for known in contacts if known.email == address.key), None)


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


def _already_in(occasion: Occasion, access: PortalAccess, contact: Contact) -> InviteResult:
    """A person with access needs no invite: the item is granted and an item mail goes out."""
    grant_items(access, occasion.items)
    for item in occasion.items:
        outbox.enqueue(
            MailKind.ITEM,
            to_email=access.email,
            to_name=contact.name,
            firm_id=access.firm_id,
            access_id=access.id,
            item_id=item.id,
            sender_id=occasion.member.id,
            params={"what": occasion.what},
        )
    return InviteResult(
        contact.email_display or access.email,
        contact.name,
        Outcome.HAS_ACCESS,
        "Has access already and gets a mail about this."
        if occasion.items
        else "Has access already: no invite needed.",
    )


def _invite_one(
    occasion: Occasion, order: InviteOrder, contact: Contact, address: Address, scope: Scope
) -> InviteResult:
    pending = pending_invite(occasion.client.id, address.key)
    if pending is None:
        created = _insert(occasion, order, contact, address, scope)
        if created is not None:
            return InviteResult(address.display, contact.name, Outcome.INVITED, "Invite sent.", created)
        pending = pending_invite(occasion.client.id, address.key)
        if pending is None:  # accepted or revoked within the same instant
            return InviteResult(
                address.display,
                contact.name,
                Outcome.BLOCKED,
                "Somebody else changed this invite just now. Try again.",
            )
    return _join(occasion, order, pending, contact, scope)


def _insert(
    occasion: Occasion, order: InviteOrder, contact: Contact, address: Address, scope: Scope
) -> Invite | None:
    """Insert a pending invite; None where another transaction was faster (the partial unique index says so)."""
    now = utc_now()
    days = order.expires_in_days or occasion.member.firm.invite_days or config.current().invite_days
    invite = Invite(
        id=new_id(),
        firm_id=occasion.client.firm_id,
        client_id=occasion.client.id,
        contact_id=contact.id,
        email=address.key,
        email_display=address.display,
        name=contact.name,
        scope=scope,
        workflow=occasion.workflow,
        message=order.message,
        extra=dict(order.extra),
        invited_by_id=occasion.member.id,
        created_at=now,
        last_asked_at=now,
        expires_in_days=days,
        expires_at=expiry(now, days, occasion.items, occasion.member.firm.time_zone),
        sends=1,
        state=InviteState.PENDING,
        generation=1,
    )
    db.session.flush()  # the contact first: a savepoint must not take it back
    try:
        with db.session.begin_nested():
            db.session.add(invite)
            db.session.flush()
    except IntegrityError:
        return None
    _add_token(invite)
    _add_items(invite, occasion.items)
    _mail(occasion, invite, order.message)
    append_event(
        "invite_created",
        firm_id=invite.firm_id,
        workflow=occasion.workflow,
        actor=occasion.actor,
        client_id=invite.client_id,
        item_id=occasion.items[0].id if occasion.items else None,
        invite_id=invite.id,
    )
    return invite


def _join(
    occasion: Occasion, order: InviteOrder, pending: Invite, contact: Contact, scope: Scope
) -> InviteResult:
    """A pending invite is there: the item joins it, or it is sent again, or it was this very request a moment ago."""
    now = utc_now()
    fresh = _add_items(pending, occasion.items)
    if scope is Scope.PORTAL:
        pending.scope = Scope.PORTAL  # widened on purpose, never narrowed behind somebody's back
    expired = pending.expires_at <= now
    if not expired and not fresh and now - pending.last_asked_at < SAME_REQUEST:
        return InviteResult(
            pending.email_display,
            contact.name,
            Outcome.ALREADY_INVITED,
            "Invited a moment ago: no second mail.",
            pending,
        )
    if fresh and not expired:
        later = expiry(now, 0, occasion.items, occasion.member.firm.time_zone)
        pending.expires_at = max(pending.expires_at, later)
        pending.last_asked_at, pending.sends = now, pending.sends + 1
        _mail(occasion, pending, order.message)
        return InviteResult(
            pending.email_display,
            contact.name,
            Outcome.ADDED,
            "Added to the open invite. Earlier links stay valid.",
            pending,
        )
    _renew(pending, order.expires_in_days, occasion)
    pending.message = order.message or pending.message
    _mail(occasion, pending, order.message)
    _resent_event(occasion, pending)
    return InviteResult(
        pending.email_display, contact.name, Outcome.RESENT, "Invited again with a fresh link.", pending
    )


def resend(invite: Invite, member: TeamMember, what: str) -> Invite:
    """Mail a fresh link and restart the expiry; older links say that a newer mail was sent. Works on expired ones.

    Raises InviteNotPending where the invite was accepted, declined or revoked.
    """
    _lock(invite)
    items = items_of(invite)
    occasion = Occasion(invite.client, member, invite.workflow, what, items)
    _renew(invite, None, occasion)
    _mail(occasion, invite, invite.message)
    _resent_event(occasion, invite)
    return invite


def revoke(invite: Invite, member: TeamMember, reason: str = "") -> Invite:
    """End a pending invite: its links say so, its mails are never sent. Raises InviteNotPending."""
    _end(invite, InviteState.REVOKED, reason)
    append_event(
        "invite_revoked",
        firm_id=invite.firm_id,
        workflow=invite.workflow,
        actor=f"member:{member.id}",
        client_id=invite.client_id,
        invite_id=invite.id,
    )
    return invite


def decline(invite: Invite, *, not_me: bool = False) -> Invite:
    """The person declines, or says the mail reached the wrong one. Raises InviteNotPending."""
    reason = "not_me" if not_me else "declined"
    _end(invite, InviteState.DECLINED, reason)
    append_event(
        "invite_declined",
        firm_id=invite.firm_id,
        workflow=invite.workflow,
        client_id=invite.client_id,
        invite_id=invite.id,
        reason=reason,
    )
    return invite


def claim_for_accept(invite: Invite, generation: int, now: datetime) -> bool:
    """The one conditional UPDATE that accepts: true for exactly one caller, ever."""
    statement = (
        sa.update(Invite)
        .where(Invite.id == invite.id, Invite.is_live(now), Invite.generation == generation)
        .values(state=InviteState.ACCEPTED, ended_at=now)
        .execution_options(synchronize_session=False)
    )
    won = cast("sa.CursorResult[object]", db.session.execute(statement)).rowcount == 1
    db.session.refresh(invite)
    return won


def pending_invite(client_id: str, email: str) -> Invite | None:
    """The pending invite of an address at a client, expired or not, locked for this transaction."""
    return db.session.scalars(
        sa.select(Invite)
        .where(Invite.client_id == client_id, Invite.email == email, Invite.state == InviteState.PENDING)
        .options(joinedload(Invite.invited_by))
        .with_for_update(of=Invite)
        .execution_options(populate_existing=True)
    ).one_or_none()


def items_of(invite: Invite) -> list[WorkItem]:
    """The items an invite leads to, in the order they joined."""
    return list(
        db.session.scalars(
            sa.select(WorkItem)
            .join(InviteItem, InviteItem.item_id == WorkItem.id)
            .where(InviteItem.invite_id == invite.id)
            .order_by(InviteItem.created_at, WorkItem.id)
        )
    )


def expiry(now: datetime, days: int, items: Sequence[WorkItem], zone: str) -> datetime:
    """When an invite ends: after `days`, but never before its items are due (end of that day in `zone`)."""
    ends = [now + timedelta(days=days)]
    midnight = time(23, 59, 59)
    ends += [datetime.combine(item.due_on, midnight, ZoneInfo(zone)) for item in items if item.due_on]
    return max(ends)


def _lock(invite: Invite) -> None:
    locked = pending_invite(invite.client_id, invite.email)
    if locked is None or locked.id != invite.id:
        db.session.refresh(invite)
        raise InviteNotPending(
            f"This invite was {invite.state.value} already, so there is nothing to send again."
        )


def _end(invite: Invite, state: InviteState, reason: str) -> None:
    statement = (
        sa.update(Invite)
        .where(Invite.id == invite.id, Invite.state == InviteState.PENDING)
        .values(state=state, ended_at=utc_now(), ended_reason=reason)
        .execution_options(synchronize_session=False)
    )
    won = cast("sa.CursorResult[object]", db.session.execute(statement)).rowcount == 1
    db.session.refresh(invite)
    if not won:
        raise InviteNotPending(f"This invite was {invite.state.value} already.")


def _renew(invite: Invite, days: int | None, occasion: Occasion) -> None:
    now = utc_now()
    invite.expires_in_days = days or invite.expires_in_days
    invite.generation += 1
    invite.sends += 1
    invite.last_asked_at = now
    items = [*occasion.items, *items_of(invite)]
    invite.expires_at = expiry(now, invite.expires_in_days, items, occasion.member.firm.time_zone)
    _add_token(invite)


def _add_token(invite: Invite) -> None:
    token = links.invite_token(config.current(), invite.id, invite.generation)
    db.session.add(
        InviteToken(
            token_hash=links.token_hash(token),
            invite_id=invite.id,
            generation=invite.generation,
            created_at=utc_now(),
        )
    )


def _add_items(invite: Invite, items: Sequence[WorkItem]) -> bool:
    """Put items on the invite; whether one of them was new to it."""
    if not items:
        return False
    there = set(db.session.scalars(sa.select(InviteItem.item_id).where(InviteItem.invite_id == invite.id)))
    fresh = [item for item in items if item.id not in there]
    db.session.add_all(
        InviteItem(invite_id=invite.id, item_id=item.id, created_at=utc_now()) for item in fresh
    )
    return bool(fresh)


def _mail(occasion: Occasion, invite: Invite, message: str) -> None:
    outbox.enqueue(
        MailKind.INVITE,
        to_email=invite.email,
        to_name=invite.name,
        firm_id=invite.firm_id,
        invite_id=invite.id,
        generation=invite.generation,
        item_id=occasion.items[0].id if occasion.items else None,
        sender_id=occasion.member.id,
        params={"what": occasion.what, "message": message},
    )


def _resent_event(occasion: Occasion, invite: Invite) -> None:
    append_event(
        "invite_resent",
        firm_id=invite.firm_id,
        workflow=occasion.workflow,
        actor=occasion.actor,
        client_id=invite.client_id,
        invite_id=invite.id,
    )


def active_accesses(client: Client) -> list[PortalAccess]:
    """Who gets into this client's portal now."""
    return list(
        db.session.scalars(
            sa.select(PortalAccess).where(
                PortalAccess.client_id == client.id, PortalAccess.state == AccessState.ACTIVE
            )
        ).unique()
    )
