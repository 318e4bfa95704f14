"""Remind: staff ask the people who have something to do to do it. Who has access gets an item mail, who hasn't accepted
yet the invite again, with a fresh link.

Whom an item waits for: those it is visible to by scope, grant or as a signer; of signers only those who haven't signed.
Nobody is reminded of the same item twice within a day, however many members press the button: the item is locked, and
the events say who was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from invites.inviting import items_by_invite
from invites.lifecycle import Occasion, mail_for, renew
from invites.scope import FirmView, reaches
from mail import outbox
from mail.outbox import NewMail
from models import (
    Audience,
    Event,
    Invite,
    InviteItem,
    InviteState,
    MailKind,
    MailState,
    PortalAccess,
    Scope,
    Signer,
    SignerState,
    WorkItem,
    append_event,
    db,
    utc_now,
)
from models.errors import WrongState

ONE_A_DAY = timedelta(days=1)
EVENT = "item_reminded"
WHAT = "reminds you of something that waits for you"
MOST = 200  # people of one item


@dataclass(frozen=True)
class Reminded:
    """What came of it, by the names of the people."""

    now: tuple[str, ...]
    lately: tuple[str, ...]  # within a day already

    @property
    def sentence(self) -> str:
        """For the page."""
        if not self.now and not self.lately:
            return "Nobody can be reminded: invite somebody first, or correct the address."
        parts = []
        if self.now:
            parts.append(f"{_join(self.now)} {'is' if len(self.now) == 1 else 'are'} reminded.")
        if self.lately:
            were = "was" if len(self.lately) == 1 else "were"
            parts.append(f"{_join(self.lately)} {were} reminded within the last day already.")
        return " ".join(parts)


def remind(view: FirmView, item: WorkItem) -> Reminded:
    """Remind everybody this item waits for, within the open unit of work; in a fixed number of statements.

    Raises WrongState where nothing is to be done any more.
    """
    now = utc_now()
    if not item.open:
        raise WrongState("This is done already: there is nothing to remind of.")
    db.session.execute(sa.select(WorkItem.id).where(WorkItem.id == item.id).with_for_update(key_share=True))
    lately = _reminded(item, now)
    accesses, invites = _accesses(item, now), _invites(item, now)
    turn = _turn(item)
    if turn is not None:
        accesses = [access for access in accesses if access.email in turn]
        invites = [invite for invite in invites if invite.email in turn]
    items_of = items_by_invite(invites)
    mails: list[NewMail] = []
    told, before = [], []
    for access in accesses:
        who = access.portal_user.login.name or access.portal_user.login.email_display
        if access.email in lately:
            before.append(who)
            continue
        told.append(who)
        mails.append(
            NewMail(
                MailKind.ITEM,
                to_email=access.email,
                to_name=access.portal_user.login.name,
                firm_id=access.firm_id,
                access_id=access.id,
                item_id=item.id,
                sender_id=view.member.id,
                params={"what": WHAT},
                due_at=now,  # at once: somebody pressed a button for it
            )
        )
        _note(view, item, access_id=access.id)
    for invite in invites:
        who = invite.name or invite.email_display
        if invite.email in lately:
            before.append(who)
            continue
        told.append(who)
        occasion = Occasion(invite.client, view.member, invite.workflow, WHAT, [item])
        renew(invite, None, occasion, items_of[invite.id])
        mails.append(mail_for(occasion, invite, invite.message))
        _note(view, item, invite_id=invite.id)
    outbox.enqueue_many(mails)
    return Reminded(tuple(told), tuple(before))


def reachable(items: Collection[WorkItem]) -> set[str]:
    """The ids of those items that wait for somebody who can be reminded. Two queries."""
    ids, now = [item.id for item in items], utc_now()
    if not ids:
        return set()
    inside = (
        sa.select(WorkItem.id)
        .join(PortalAccess, PortalAccess.client_id == WorkItem.client_id)
        .where(WorkItem.id.in_(ids), PortalAccess.is_active(now), reaches(), _unsigned(PortalAccess.email))
    )
    invited = (
        sa.select(WorkItem.id)
        .join(Invite, Invite.client_id == WorkItem.client_id)
        .where(WorkItem.id.in_(ids), *_invite_waits(now))
    )
    return {*db.session.scalars(inside), *db.session.scalars(invited)}


def reminded_lately(items: Collection[WorkItem]) -> dict[str, datetime]:
    """When somebody was last reminded of each of these items, if within a day. One query."""
    now = utc_now()
    rows = db.session.execute(
        sa.select(Event.item_id, sa.func.max(Event.created_at).label("at"))
        .where(
            Event.client_id.in_({item.client_id for item in items}),
            Event.item_id.in_([item.id for item in items]),
            Event.name == EVENT,
            Event.created_at > now - ONE_A_DAY,
        )
        .group_by(Event.item_id)
    )
    return {row.item_id: row.at for row in rows if row.item_id}


def _reminded(item: WorkItem, now: datetime) -> set[str]:
    """The addresses that were reminded of this item within a day."""
    rows = db.session.scalars(
        sa.select(sa.func.coalesce(PortalAccess.email, Invite.email))
        .select_from(Event)
        .outerjoin(PortalAccess, PortalAccess.id == Event.access_id)
        .outerjoin(Invite, Invite.id == Event.invite_id)
        .where(
            Event.client_id == item.client_id,
            Event.item_id == item.id,
            Event.name == EVENT,
            Event.created_at > now - ONE_A_DAY,
        )
    )
    return set(rows)


def _accesses(item: WorkItem, now: datetime) -> Sequence[PortalAccess]:
    return (
        db.session.scalars(
            sa.select(PortalAccess)
            .join(WorkItem, WorkItem.client_id == PortalAccess.client_id)
            .where(
                WorkItem.id == item.id, PortalAccess.is_active(now), reaches(), _unsigned(PortalAccess.email)
            )
            .order_by(PortalAccess.id)
            .limit(MOST)
        )
        .unique()
        .all()
    )


def _invites(item: WorkItem, now: datetime) -> list[Invite]:
    """The open invites that lead there, but for those whose mail comes back, locked."""
    rows = (
        db.session.scalars(
            sa.select(Invite)
            .join(WorkItem, WorkItem.client_id == Invite.client_id)
            .where(WorkItem.id == item.id, *_invite_waits(now))
            .options(joinedload(Invite.client))
            .order_by(Invite.id)
            .limit(MOST)
            .with_for_update(of=Invite, key_share=True)
            .execution_options(populate_existing=True)
        )
        .unique()
        .all()
    )
    mails = outbox.delivery_of([invite.id for invite in rows])
    bounced = {invite_id for invite_id, mail in mails.items() if mail.state is MailState.BOUNCED}
    return [invite for invite in rows if invite.id not in bounced]


def _invite_waits(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """The invite is open, and accepting it shows the item."""
    leads = sa.exists().where(InviteItem.item_id == WorkItem.id, InviteItem.invite_id == Invite.id)
    whole = sa.and_(Invite.scope == Scope.PORTAL, WorkItem.audience == Audience.PORTAL)
    signs = sa.exists().where(Signer.item_id == WorkItem.id, Signer.email == Invite.email)
    return (
        Invite.state == InviteState.PENDING,
        sa.or_(Invite.access_ends_at.is_(None), Invite.access_ends_at > now),
        WorkItem.visible.is_(True),
        sa.or_(leads, whole, signs),
        _unsigned(Invite.email),
    )


def _unsigned(email: Any) -> sa.ColumnElement[bool]:
    """Nobody has to sign the item, or this address still has to."""
    open_states = [SignerState.WAITING, SignerState.VIEWED]
    return sa.or_(
        ~sa.exists().where(Signer.item_id == WorkItem.id),
        sa.exists().where(
            Signer.item_id == WorkItem.id, Signer.email == email, Signer.state.in_(open_states)
        ),
    )


def _turn(item: WorkItem) -> set[str] | None:
    """Whose turn it is to sign, where signers sign one after the other; None where there is no order."""
    if not (item.details or {}).get("ordered"):
        return None
    rows = db.session.execute(
        sa.select(Signer.email, Signer.position).where(
            Signer.item_id == item.id, Signer.state.in_([SignerState.WAITING, SignerState.VIEWED])
        )
    ).all()
    first = min((row.position for row in rows), default=0)
    return {row.email for row in rows if row.position == first}


def _note(
    view: FirmView, item: WorkItem, *, access_id: str | None = None, invite_id: str | None = None
) -> None:
    append_event(
        EVENT,
        firm_id=item.firm_id,
        workflow=item.workflow,
        actor=f"member:{view.member.id}",
        client_id=item.client_id,
        item_id=item.id,
        access_id=access_id,
        invite_id=invite_id,
    )


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
