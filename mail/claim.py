"""Taking due mails out of the outbox: one statement that also checks that each may still be sent.

A claimed row is `sending`, carries the claim's `lease` (a fence: whoever settles with another lease changes nothing)
and in `due_at` the end of that lease. A worker that dies leaves it so, and after that moment the row is due again;
each such end counts as a crash, and ten of them end the mail, since a mail that kills workers would do so for ever.

What a mail depends on is checked in the very statement that claims it, so nothing goes out after revoke, accept,
expiry or removal. What is dead is cancelled by a statement of its own, with the reason for staff.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mail import outbox
from models import (
    AcceptCode,
    AccessState,
    Invite,
    InviteState,
    MailKind,
    MailState,
    Outbox,
    PortalAccess,
    WorkItem,
    db,
    new_id,
)
from models.outbox import INVITE_MAILS, REMINDERS

MOST_CRASHES = 10
CRASHED = "crash: ten workers in a row ended while they sent this mail"


@dataclass(frozen=True)
class Claimed:
    """A mail that belongs to this worker until `lease_until`. Plain values: no session behind it."""

    id: str
    kind: MailKind
    firm_id: str | None
    to_email: str
    to_name: str
    invite_id: str | None
    generation: int | None
    item_id: str | None
    access_id: str | None
    accept_code_id: str | None
    sender_id: str | None
    params: dict[str, Any]
    attempts: int  # this one included
    crashes: int
    message_id: str
    created_at: datetime
    lease: str
    lease_until: datetime


def anything_due(now: datetime) -> bool:
    """Whether a claim may find something: a cheap look without a writer's lock."""
    return db.session.scalar(sa.select(sa.literal(1)).where(_due(now)).limit(1)) is not None


def next_due() -> datetime | None:
    """When the next mail is due that is not yet taken."""
    return db.session.scalar(sa.select(sa.func.min(Outbox.due_at)).where(Outbox.state == MailState.QUEUED))


def claim(limit: int, now: datetime, lease_seconds: float) -> list[Claimed]:
    """Take up to `limit` due mails for `lease_seconds`, in the order they fell due; within the open unit of work.

    Due mails whose reason is gone are cancelled, those that ended ten workers are failed. Nothing while mail is held.
    """
    if outbox.is_held():
        outbox.set_held()
        return []
    _end_crashed(now)
    _cancel_dead(now)
    lease = new_id()
    lease_until = now + timedelta(seconds=lease_seconds)
    # Rows another worker is claiming at this moment are skipped, not waited for. SQLite has one writer at a time.
    due = (
        sa.select(Outbox.id)
        .where(_due(now), _dead_because(now).is_(None))
        .order_by(Outbox.due_at, Outbox.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Outbox)
        .cte("due")
    )
    statement = (
        sa.update(Outbox)
        .where(Outbox.id.in_(sa.select(due.c.id)))
        .values(
            state=MailState.SENDING,
            lease=lease,
            due_at=lease_until,
            attempts=Outbox.attempts + 1,
            crashes=Outbox.crashes + _was_sending(),
        )
        .returning(*(Outbox.__table__.c[name] for name in _RETURNED))
        .execution_options(synchronize_session=False)
    )
    rows = db.session.execute(statement).mappings().all()
    claimed = [Claimed(**row, lease=lease, lease_until=lease_until) for row in rows]
    return sorted(claimed, key=lambda mail: mail.id)


_RETURNED = [name for name in Claimed.__dataclass_fields__ if name not in {"lease", "lease_until"}]


def _due(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(Outbox.state.in_([MailState.QUEUED, MailState.SENDING]), Outbox.due_at <= now)


def _was_sending() -> sa.ColumnElement[int]:
    return sa.case((Outbox.state == MailState.SENDING, 1), else_=0)


def _end_crashed(now: datetime) -> None:
    doomed = (
        sa.select(Outbox.id)
        .where(_due(now), Outbox.state == MailState.SENDING, Outbox.crashes >= MOST_CRASHES - 1)
        .with_for_update(skip_locked=True)
    )
    db.session.execute(
        sa.update(Outbox)
        .where(Outbox.id.in_(doomed))
        .values(state=MailState.FAILED, lease=None, crashes=MOST_CRASHES, error=CRASHED)
        .execution_options(synchronize_session=False)
    )


def _cancel_dead(now: datetime) -> None:
    reason = _dead_because(now)
    dead = (
        sa.select(Outbox.id)
        .where(_due(now), reason.is_not(None))
        .with_for_update(skip_locked=True, of=Outbox)
    )
    db.session.execute(
        sa.update(Outbox)
        .where(Outbox.id.in_(dead))
        .values(state=MailState.CANCELLED, lease=None, error=reason)
        .execution_options(synchronize_session=False)
    )


def _dead_because(now: datetime) -> sa.ColumnElement[str | None]:
    """Why this mail must not go out any more, in a sentence; NULL while it may."""
    invite = (
        sa.select(
            sa.case(
                (Invite.state == InviteState.ACCEPTED, "The invite was accepted before this mail left."),
                (Invite.state == InviteState.DECLINED, "The invite was declined before this mail left."),
                (Invite.state == InviteState.REVOKED, "The invite was revoked before this mail left."),
                (Invite.expires_at <= now, "The invite expired before this mail left."),
                (Invite.generation != Outbox.generation, "A newer mail with a fresh link took its place."),
                else_=sa.null(),
            )
        )
        .where(Invite.id == Outbox.invite_id)
        .correlate(Outbox)
        .scalar_subquery()
    )
    code = (
        sa.exists()
        .where(AcceptCode.id == Outbox.accept_code_id, AcceptCode.expires_at > now)
        .correlate(Outbox)
    )
    access = (
        sa.exists()
        .where(PortalAccess.id == Outbox.access_id, PortalAccess.state == AccessState.ACTIVE)
        .correlate(Outbox)
    )
    item = sa.exists().where(WorkItem.id == Outbox.item_id, WorkItem.visible.is_(True)).correlate(Outbox)
    of_invite = Outbox.kind.in_([*INVITE_MAILS, MailKind.ACCEPT_CODE])
    stopped = sa.exists().where(Invite.id == Outbox.invite_id, Invite.reminds.is_(False)).correlate(Outbox)
    of_access = Outbox.kind.in_([MailKind.ITEM, MailKind.SIGN_IN])
    return sa.case(
        (sa.and_(of_invite, Outbox.invite_id.is_not(None), invite.is_not(None)), invite),
        (sa.and_(Outbox.kind.in_(REMINDERS), stopped), "The reminders of this invite are switched off."),
        (sa.and_(Outbox.kind == MailKind.ACCEPT_CODE, ~code), "The code is not valid any more."),
        (sa.and_(of_access, ~access), "The person has no access at this moment."),
        (
            sa.and_(Outbox.kind == MailKind.ITEM, Outbox.item_id.is_not(None), ~item),
            "The client can't see the item any more.",
        ),
        else_=sa.null(),
    )
