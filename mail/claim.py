"""Taking due mails out of the outbox: one statement that also checks that each may still be sent.

Firms take turns: each that has due mail gets an equal share of a batch, so that one firm's 50,000 do not delay
another's one. What is looked at are the rows of that batch alone, through an index by firm.

A claimed row is `sending`, carries the claim's `lease` (a fence: whoever settles with another lease changes nothing)
and in `due_at` the end of that lease. A worker that dies leaves it so, and after that moment the row is due again;
each such end counts as a crash, and ten of them end the mail, since a mail that kills workers would do so for ever.

What a mail depends on is checked in the very statement that claims it, so nothing goes out after revoke, accept,
expiry or removal. What is dead is cancelled by a statement of its own, with the reason for staff.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mail import outbox
from models import (
    AcceptCode,
    AccessState,
    Firm,
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


def more_due(now: datetime) -> bool:
    """Whether a claim that came back empty may find something if it looks again."""
    return anything_due(now) and not outbox.is_held()


def claim(limit: int, now: datetime, lease_seconds: float) -> list[Claimed]:
    """Take up to `limit` due mails for `lease_seconds`, firm by firm in turn; within the open unit of work.

    Due mails whose reason is gone are cancelled, those that ended ten workers are failed. Nothing while mail is held.
    """
    if outbox.is_held():
        outbox.set_held()
        return []
    due = _due_in_turn(limit, now)
    _end_crashed(due)
    _cancel_dead(due, now)
    lease = new_id()
    lease_until = now + timedelta(seconds=lease_seconds)
    statement = (
        sa.update(Outbox)
        .where(Outbox.id.in_(due), _due(now), _dead_because(now).is_(None))
        .values(
            state=MailState.SENDING,
            lease=lease,
            due_at=lease_until,
            attempts=Outbox.attempts + 1,
            crashes=Outbox.crashes + _was_sending(),
        )
        .returning(*(Outbox.__table__.c[name] for name in RETURNED))
        .execution_options(synchronize_session=False)
    )
    rows = db.session.execute(statement).mappings().all()
    return _interleaved([Claimed(**row, lease=lease, lease_until=lease_until) for row in rows])


def _due_in_turn(limit: int, now: datetime) -> list[str]:
    """Up to `limit` due mails, locked: an equal share for each firm that has some, in the order they fell due.

    Three statements however many firms and mails there are. Where more firms wait than fit, chance picks, so that
    none waits for ever. Mails of no firm (password resets) come first. Rows another worker is claiming at this moment
    are skipped, not waited for; SQLite has one writer at a time.
    """

    def first(of: Any, number: int) -> sa.Select[Any]:
        return (
            sa.select(Outbox.id)
            .where(of, _due(now))
            .order_by(Outbox.due_at, Outbox.id)
            .limit(number)
            .with_for_update(skip_locked=True, of=Outbox)
        )

    ids = list(db.session.scalars(first(Outbox.firm_id.is_(None), limit)))
    left = limit - len(ids)
    firms = list(db.session.scalars(_firms_waiting(left, now))) if left else []
    if not firms:
        return ids
    share = -(-left // len(firms))
    firm = Firm.__table__
    theirs = first(Outbox.firm_id == firm.c.id, share).correlate(firm)
    if db.session.get_bind().dialect.name == "postgresql":
        found = theirs.lateral("theirs")
        picked = sa.select(found.c.id).select_from(firm).join(found, sa.true())
    else:
        mail = sa.alias(Outbox.__table__, "theirs")
        picked = sa.select(mail.c.id).select_from(firm).join(mail, mail.c.id.in_(theirs))
    ids += db.session.scalars(picked.where(firm.c.id.in_(firms)))
    return ids[:limit]


def _firms_waiting(limit: int, now: datetime) -> sa.Select[Any]:
    """Firms with due mail. The index is leapt through from firm to firm, so a firm's 50,000 mails cost one step."""
    waiting = [_due(now), Outbox.firm_id.is_not(None)]
    leap = sa.select(sa.func.min(Outbox.firm_id).label("id")).where(*waiting).cte("leap", recursive=True)
    following = sa.select(sa.func.min(Outbox.firm_id)).where(*waiting, Outbox.firm_id > leap.c.id)
    leap = leap.union_all(sa.select(following.scalar_subquery()).where(leap.c.id.is_not(None)))
    return sa.select(leap.c.id).where(leap.c.id.is_not(None)).order_by(sa.func.random()).limit(limit)


def _interleaved(mails: list[Claimed]) -> list[Claimed]:
    """Firms in turn within the batch too: its time may be over before all are begun."""
    seen: dict[str | None, int] = defaultdict(int)
    places = []
    for mail in sorted(mails, key=lambda mail: mail.id):
        places.append((seen[mail.firm_id], mail.firm_id or "", mail))
        seen[mail.firm_id] += 1
    return [mail for _, _, mail in sorted(places, key=lambda place: place[:2])]


RETURNED = [name for name in Claimed.__dataclass_fields__ if name not in {"lease", "lease_until"}]


def _due(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(Outbox.state.in_([MailState.QUEUED, MailState.SENDING]), Outbox.due_at <= now)


def _was_sending() -> sa.ColumnElement[int]:
    return sa.case((Outbox.state == MailState.SENDING, 1), else_=0)


def _end_crashed(ids: list[str]) -> None:
    db.session.execute(
        sa.update(Outbox)
        .where(Outbox.id.in_(ids), Outbox.state == MailState.SENDING, Outbox.crashes >= MOST_CRASHES - 1)
        .values(state=MailState.FAILED, lease=None, crashes=MOST_CRASHES, error=CRASHED)
        .execution_options(synchronize_session=False)
    )


def _cancel_dead(ids: list[str], now: datetime) -> None:
    reason = _dead_because(now)
    db.session.execute(
        sa.update(Outbox)
        .where(Outbox.id.in_(ids), _due(now), reason.is_not(None))
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
