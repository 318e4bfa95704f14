"""Change address: the mail went, or will go, to the wrong mailbox, so everything moves to another one.

A live link never moves. The old invite ends (its link with it) and the new address gets an invite of its own with the
same items, scope, message and number of days; where that address has an open invite at the client already, the items
join it. Of a person who has joined, this client's access ends, and the new address is invited; the login is never
edited, because it is the person's, at other clients and firms too. The contact on the record and the signatures that
still wait follow the person, not others who share the old mailbox.

All functions work inside the caller's unit of work.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from invites import access as accesses
from invites.inviting import invite_people, lock_client
from invites.lifecycle import Occasion, items_of, need_time, revoke
from invites.orders import InviteOrder, InviteResult, Recipient
from invites.step import RECORD
from models import (
    Contact,
    Invite,
    ItemGrant,
    MailKind,
    Outbox,
    PortalAccess,
    Scope,
    Signer,
    SignerState,
    TeamMember,
    WorkItem,
    append_event,
    db,
    utc_now,
)
from models.address import Address, BadAddress, parse_address
from models.errors import Invalid, Refused, WrongState

REASON = "address_changed"
WHAT = "invited you to the Client Portal"


def of_invite(invite: Invite, member: TeamMember, typed: object) -> InviteResult:
    """Move a pending invite, expired or not, to another address; what came of the new one.

    Raises Invalid (`email`: no address, or the same one), InviteNotPending, WrongState where its access is over, or
    Refused where the new address is suspended at this client. Where it has access already, the items are granted to it.
    """
    address = _address(typed, invite.email)
    lock_client(invite.client)
    what = _what(invite)
    revoke(invite, member, REASON)
    need_time(invite)
    contact = _contact(invite.client_id, invite.contact_id, invite.email)
    occasion = Occasion(invite.client, member, invite.workflow, what, items_of(invite))
    order = InviteOrder(
        (_recipient(contact, address, invite.name, invite.scope),),
        message=invite.message,
        expires_in_days=invite.expires_in_days,
        extra=invite.extra,
        access_ends_at=invite.access_ends_at,
        template=(invite.template_id, invite.template_name) if invite.template_id else None,
    )
    result = _move(occasion, order, contact, invite.email, address)
    new = result.invite
    if new is not None and not invite.reminds and new.created_at > invite.created_at:
        new.reminds, new.remind_at = False, None
    return result


def of_access(access: PortalAccess, member: TeamMember, typed: object) -> InviteResult:
    """End an active person's access to this client and invite the new address with the same items.

    Raises Invalid (`email`), WrongState unless the access is active, or Refused where the new address is suspended.
    """
    address = _address(typed, access.email)
    lock_client(access.client)
    db.session.refresh(access, with_for_update={"of": PortalAccess, "key_share": True})
    if not access.is_active(utc_now()):
        raise WrongState(f"This access is {accesses.word(access)}, so there is no address to change.")
    items = _granted(access)
    accesses.remove(access, member)
    contact = _contact(access.client_id, access.contact_id, access.email)
    occasion = Occasion(access.client, member, RECORD, WHAT, items)
    name = access.portal_user.login.name
    order = InviteOrder((_recipient(contact, address, name, access.scope),), access_ends_at=access.ends_at)
    return _move(occasion, order, contact, access.email, address)


def invite_of(result: InviteResult, client_id: str) -> Invite:
    """The new address's invite: the one just made or joined, else the one its access came from. Raises Refused."""
    made = result.invite
    if made is not None:
        return made
    latest = db.session.scalars(
        sa.select(Invite)
        .where(Invite.client_id == client_id, Invite.email == result.key)
        .order_by(Invite.created_at.desc(), Invite.id.desc())
        .limit(1)
    ).one_or_none()
    if latest is None:
        raise Refused(f"{result.email} has access to this client already and needs no invite.")
    return latest


def _address(typed: object, old: str) -> Address:
    try:
        address = parse_address(typed)
    except BadAddress as error:
        raise Invalid({"email": [str(error)]}) from error
    if address.key == old:
        raise Invalid({"email": ["This is the address it goes to already. Type the new one."]})
    return address


def _contact(client_id: str, contact_id: str | None, old: str) -> Contact | None:
    """The person on the record: the one the invite names, else the only one with the old address."""
    if contact_id is not None:
        contact = db.session.get(Contact, contact_id)
        if contact is not None and contact.email in {old, None}:
            return contact
    found = db.session.scalars(sa.select(Contact).where(Contact.client_id == client_id, Contact.email == old))
    return next(iter(found), None)


def _recipient(contact: Contact | None, address: Address, name: str, scope: Scope) -> Recipient:
    if contact is None:
        return Recipient(email=address.display, name=name, can_see=scope)
    return Recipient(contact_id=contact.id, can_see=scope)


def _move(
    occasion: Occasion, order: InviteOrder, contact: Contact | None, old: str, address: Address
) -> InviteResult:
    """Contact and signers first, then the invite: its mail lands where the new address can see."""
    if contact is not None:
        contact.email, contact.email_display = address.key, address.display
    signing = _signers_follow(occasion, contact, old, address)
    (result,) = invite_people(occasion, order)
    if not result.ok:
        raise Refused(result.reason)
    append_event(
        REASON,
        firm_id=occasion.client.firm_id,
        workflow=occasion.workflow,
        actor=occasion.actor,
        client_id=occasion.client.id,
        invite_id=result.invite_id,
        signers=signing,
    )
    return result


def _signers_follow(occasion: Occasion, contact: Contact | None, old: str, address: Address) -> list[str]:
    """Signatures of this person that still wait go to the new address; ids of the signers.

    Whoever looked at the document by the old address is not known to be this person, so it counts as not viewed.
    """
    shared = sa.exists().where(Contact.client_id == occasion.client.id, Contact.email == old)
    is_person: sa.ColumnElement[bool] = sa.and_(Signer.contact_id.is_(None), ~shared)
    if contact is not None:
        is_person = sa.or_(is_person, Signer.contact_id == contact.id)
    open_items = sa.select(WorkItem.id).where(
        WorkItem.client_id == occasion.client.id, WorkItem.open.is_(True)
    )
    rows = db.session.scalars(
        sa.update(Signer)
        .where(
            Signer.item_id.in_(open_items),
            Signer.email == old,
            Signer.state.in_([SignerState.WAITING, SignerState.VIEWED]),
            is_person,
        )
        .values(email=address.key, email_display=address.display, state=SignerState.WAITING, viewed_at=None)
        .returning(Signer.id)
        .execution_options(synchronize_session=False)
    )
    return sorted(rows)


def _granted(access: PortalAccess) -> Sequence[WorkItem]:
    """What this person was granted, the newest thing to do first: the mail leads there."""
    return list(
        db.session.scalars(
            sa.select(WorkItem)
            .join(ItemGrant, ItemGrant.item_id == WorkItem.id)
            .where(ItemGrant.access_id == access.id)
            .order_by(WorkItem.open.desc(), WorkItem.created_at.desc(), WorkItem.id)
        )
    )


def _what(invite: Invite) -> str:
    """How the first mail said what it is about: the person at the new address reads it for the first time."""
    params = db.session.scalars(
        sa.select(Outbox.params)
        .where(Outbox.invite_id == invite.id, Outbox.kind == MailKind.INVITE)
        .order_by(Outbox.id)
        .limit(1)
    ).one_or_none()
    return str((params or {}).get("what") or WHAT)
