"""What happens to an invite after it was made: resend, revoke, decline, accept. How one is made: `inviting.py`.

Every move is one guarded statement (`UPDATE ... WHERE state = 'pending'`), and its row count says whether it was
ours: reading first and writing later let four of four threads win.

All functions work inside the caller's unit of work. They append events; they never fire facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

import config
from invites import schedule
from mail import links, outbox
from mail.outbox import NewMail
from models import (
    Client,
    Invite,
    InviteItem,
    InviteState,
    InviteToken,
    MailKind,
    TeamMember,
    WorkItem,
    append_event,
    db,
    utc_now,
)
from models.errors import Invalid, InviteNotPending, WrongState
from models.failpoints import reach

MOST_DAYS = 90
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

    def event(self, name: str, invite_id: str) -> dict[str, Any]:
        """An event about an invite of this occasion, for `append_events`."""
        return {
            "name": name,
            "firm_id": self.client.firm_id,
            "workflow": self.workflow,
            "actor": self.actor,
            "client_id": self.client.id,
            "item_id": self.items[0].id if self.items else None,
            "invite_id": invite_id,
        }


def resend(invite: Invite, member: TeamMember, what: str) -> Invite:
    """Mail a fresh link and restart the expiry; older links say that a newer mail was sent. Works on expired ones.

    Raises InviteNotPending where the invite was accepted, declined or revoked; WrongState where its access is over.
    """
    lock(invite)
    need_time(invite)
    items = items_of(invite)
    occasion = Occasion(invite.client, member, invite.workflow, what, items)
    renew(invite, None, occasion, items)
    outbox.enqueue_many([mail_for(occasion, invite, invite.message)])
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


def extend(invite: Invite, days: int, member: TeamMember) -> Invite:
    """Let the invite's link work for `days` (1 to 90) from now, without a mail; never shorter than it would have.

    Works on expired ones: the mailed link works again. Raises Invalid, InviteNotPending where it has ended, or
    WrongState where its access is over.
    """
    if not 1 <= days <= MOST_DAYS:
        raise Invalid({"days": [f"Choose 1 to {MOST_DAYS} days."]})
    lock(invite, "so it can't be extended")
    need_time(invite)
    ends = expiry(utc_now(), days, items_of(invite), member.firm.time_zone, invite.access_ends_at)
    invite.expires_at = max(invite.expires_at, ends)
    schedule.replan(invite, member.firm)
    append_event(
        "invite_extended",
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
    reach("accept.after_update")
    db.session.refresh(invite)
    return won


def pending_invite(client_id: str, email: str) -> Invite | None:
    """The pending invite of an address at a client, expired or not, locked for this transaction."""
    return db.session.scalars(
        sa.select(Invite)
        .where(Invite.client_id == client_id, Invite.email == email, Invite.state == InviteState.PENDING)
        .options(joinedload(Invite.invited_by))
        .with_for_update(of=Invite, key_share=True)  # rows that point at the invite don't wait for it
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


def expiry(
    now: datetime, days: int, items: Sequence[WorkItem], zone: str, access_ends_at: datetime | None = None
) -> datetime:
    """When an invite ends: after `days`, but never before its items are due (end of that day in `zone`).

    Staff's date for the access has the last word: accepting what is over helps nobody.
    """
    ends = [now + timedelta(days=days)]
    midnight = time(23, 59, 59)
    ends += [datetime.combine(item.due_on, midnight, ZoneInfo(zone)) for item in items if item.due_on]
    return min(max(ends), access_ends_at) if access_ends_at else max(ends)


def need_time(invite: Invite) -> None:
    """Raises WrongState where the access that this invite brings is over: a fresh link would be dead at once."""
    if invite.access_is_over(utc_now()):
        raise WrongState("The access of this invite has ended. Change its date, or remove it, first.")


def lock(invite: Invite, so: str = "so there is nothing to send again") -> None:
    """Hold a pending invite for this transaction, as it stands now. Raises InviteNotPending."""
    locked = pending_invite(invite.client_id, invite.email)
    if locked is None or locked.id != invite.id:
        db.session.refresh(invite)
        raise InviteNotPending(f"This invite was {invite.state.value} already, {so}.")


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


def renew(invite: Invite, days: int | None, occasion: Occasion, items: Sequence[WorkItem]) -> None:
    """A fresh generation of the link, and the expiry restarted; `items` are all that the invite leads to."""
    now = utc_now()
    invite.expires_in_days = days or invite.expires_in_days
    invite.generation += 1
    invite.sends += 1
    invite.last_asked_at, invite.reminded_until = now, None
    zone = occasion.member.firm.time_zone
    invite.expires_at = expiry(now, invite.expires_in_days, items, zone, invite.access_ends_at)
    schedule.replan(invite, occasion.member.firm)
    db.session.add(InviteToken(**token_row(invite.id, invite.generation)))
    append_event(
        "invite_resent",
        firm_id=invite.firm_id,
        workflow=occasion.workflow,
        actor=occasion.actor,
        client_id=invite.client_id,
        invite_id=invite.id,
    )


def token_row(invite_id: str, generation: int) -> dict[str, Any]:
    """The columns of the row that knows one generation of an invite's link by its hash."""
    token = links.invite_token(config.current(), invite_id, generation)
    return {
        "token_hash": links.token_hash(token),
        "invite_id": invite_id,
        "generation": generation,
        "created_at": utc_now(),
    }


def mail_for(occasion: Occasion, invite: Invite, message: str) -> NewMail:
    """The mail with the invite's current link, landing on the occasion's first item."""
    return mail_to(occasion, invite.id, invite.generation, invite.email, invite.name, message)


def mail_to(
    occasion: Occasion,
    invite_id: str,
    generation: int,
    email: str,
    name: str,
    message: str,
    due_at: datetime | None = None,
) -> NewMail:
    """The same for an invite that is known by its columns alone."""
    return NewMail(
        MailKind.INVITE,
        to_email=email,
        to_name=name,
        firm_id=occasion.client.firm_id,
        invite_id=invite_id,
        generation=generation,
        item_id=occasion.items[0].id if occasion.items else None,
        due_at=due_at,
        sender_id=occasion.member.id,
        params={"what": occasion.what, "message": message},
    )
