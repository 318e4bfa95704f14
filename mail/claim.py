"""Taking due mails out of the outbox: one statement that also checks that each may still be sent.

Firms take turns: each that has due mail gets an equal share of a batch, so that one firm's 50,000 do not delay
another's one. What is looked at are the rows of that batch alone, through an index by firm.

A claimed row is `sending`, carries the claim's `lease` (a fence: whoever settles with another lease changes nothing)
and in `due_at` the end of that lease. A worker that dies leaves it so, and after that moment the row is due again;
each such end counts as a crash, and ten of them end the mail, since a mail that kills workers would do so for ever.

What a mail depends on is checked in the very statement that claims it, so nothing goes out after revoke, accept,
expiry or removal. Only where that leaves some out are those looked at again, and ended with the reason for staff.

The statements are built once, when this module is imported: to build them costs twenty times what running them does,
and a worker claims after each Send.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mail import outbox
from models import (
    AcceptCode,
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
from models.among import among
from models.base import UTCDateTime
from models.outbox import INVITE_MAILS, REMINDERS

MOST_CRASHES = 10
CRASHED = "crash: ten workers in a row ended while they sent this mail"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail that belongs to this worker until `lease_until`. Plain values: no session behind it."""

    lease: str
    lease_until: datetime
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


def anything_due(now: datetime) -> bool:
    """Whether a claim may find something: a cheap look without a writer's lock."""
    return db.session.connection().scalar(_ANYTHING, {"now": now}) is not None


def next_due() -> datetime | None:
    """When the next mail is due that is not yet taken."""
    found: datetime | None = db.session.connection().scalar(_NEXT)
    return found


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
    connection = db.session.connection()
    due = _due_in_turn(connection, limit, now)
    if not due:
        return []
    lease, lease_until = new_id(), now + timedelta(seconds=lease_seconds)
    values = {"ids": due, "now": now, "new_lease": lease, "lease_until": lease_until}
    rows: Sequence[Any] = connection.execute(_CLAIM, values).all()
    if len(rows) < len(due):
        taken = {row.id for row in rows}
        left = {"ids": [mail_id for mail_id in due if mail_id not in taken], "now": now}
        connection.execute(_END_CRASHED, left)
        connection.execute(_CANCEL_DEAD, left)
    return _interleaved([Claimed(lease, lease_until, *row) for row in rows])


def _due_in_turn(connection: sa.Connection, limit: int, now: datetime) -> list[str]:
    """Up to `limit` due mails, locked: an equal share for each firm that has some, in the order they fell due.

    Three statements however many firms and mails there are. Where more firms wait than fit, chance picks, so that
    none waits for ever. Mails of no firm (password resets) come first. Rows another worker is claiming at this moment
    are skipped, not waited for; SQLite has one writer at a time.
    """
    ids = list(connection.scalars(_OF_NO_FIRM, {"now": now, "number": limit}))
    left = limit - len(ids)
    firms = list(connection.scalars(_FIRMS_WAITING, {"now": now, "number": left})) if left else []
    if firms:
        share = -(-left // len(firms))
        picked = _OF_FIRMS[connection.dialect.name]
        ids += connection.scalars(picked, {"now": now, "number": share, "firms": firms})
    return ids[:limit]


def _interleaved(mails: list[Claimed]) -> list[Claimed]:
    """Firms in turn within the batch too: its time may be over before all are begun."""
    seen: dict[str | None, int] = defaultdict(int)
    places = []
    for mail in sorted(mails, key=lambda mail: mail.id):
        places.append((seen[mail.firm_id], mail.firm_id or "", mail))
        seen[mail.firm_id] += 1
    return [mail for _, _, mail in sorted(places, key=lambda place: place[:2])]


# The statements. Each takes `now`; `number` is a limit, `ids` are mails ---------------------------------------------

RETURNED = [name for name in Claimed.__dataclass_fields__ if name not in {"lease", "lease_until"}]

_MAIL: Any = Outbox.__table__
_INVITE: Any = Invite.__table__
_NOW = sa.bindparam("now", type_=UTCDateTime())
_NUMBER = sa.bindparam("number", type_=sa.Integer())
_AMONG = among(_MAIL.c.id)
# The states stand in the statement itself, word for word as in the index: it holds the waiting mails alone.
_STATES: Any = sa.bindparam(
    "waits", [MailState.QUEUED, MailState.SENDING], expanding=True, literal_execute=True
)
_WAITS = _MAIL.c.state.in_(_STATES)
_DUE = sa.and_(_WAITS, _MAIL.c.due_at <= _NOW)
_WAS_SENDING = _MAIL.c.state == MailState.SENDING
_CRASHED = sa.and_(_WAS_SENDING, _MAIL.c.crashes >= MOST_CRASHES - 1)

_ANYTHING = sa.select(sa.literal(1)).where(_DUE).limit(1)
_NEXT = sa.select(sa.func.min(_MAIL.c.due_at)).where(_WAITS, _MAIL.c.state == MailState.QUEUED)


def _first_due(of: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return (
        sa.select(_MAIL.c.id)
        .where(of, _DUE)
        .order_by(_MAIL.c.due_at, _MAIL.c.id)
        .limit(_NUMBER)
        .with_for_update(skip_locked=True, of=_MAIL)
    )


def _firms_waiting() -> sa.Select[Any]:
    """Firms with due mail. The index is leapt through from firm to firm, so a firm's 50,000 mails cost one step."""
    waiting = [_DUE, _MAIL.c.firm_id.is_not(None)]
    leap = sa.select(sa.func.min(_MAIL.c.firm_id).label("id")).where(*waiting).cte("leap", recursive=True)
    following = sa.select(sa.func.min(_MAIL.c.firm_id)).where(*waiting, _MAIL.c.firm_id > leap.c.id)
    leap = leap.union_all(sa.select(following.scalar_subquery()).where(leap.c.id.is_not(None)))
    return sa.select(leap.c.id).where(leap.c.id.is_not(None)).order_by(sa.func.random()).limit(_NUMBER)


def _of_firms() -> dict[str, sa.Select[Any]]:
    """The first due mails of each of `firms`, by dialect."""
    firm: Any = Firm.__table__
    waiting = among(firm.c.id, "firms")
    theirs = _first_due(_MAIL.c.firm_id == firm.c.id).correlate(firm)
    lateral, mail = theirs.lateral("theirs"), sa.alias(_MAIL, "theirs")
    return {
        "postgresql": sa.select(lateral.c.id).select_from(firm).join(lateral, sa.true()).where(waiting),
        "sqlite": sa.select(mail.c.id).select_from(firm).join(mail, mail.c.id.in_(theirs)).where(waiting),
    }


def _dead_because() -> sa.ColumnElement[str | None]:
    """Why this mail must not go out any more, in a sentence; NULL while it may."""
    invite = (
        sa.select(
            sa.case(
                (_INVITE.c.state == InviteState.ACCEPTED, "The invite was accepted before this mail left."),
                (_INVITE.c.state == InviteState.DECLINED, "The invite was declined before this mail left."),
                (_INVITE.c.state == InviteState.REVOKED, "The invite was revoked before this mail left."),
                (_INVITE.c.expires_at <= _NOW, "The invite expired before this mail left."),
                (
                    _INVITE.c.generation != _MAIL.c.generation,
                    "A newer mail with a fresh link took its place.",
                ),
                else_=sa.null(),
            )
        )
        .where(_INVITE.c.id == _MAIL.c.invite_id)
        .correlate(_MAIL)
        .scalar_subquery()
    )

    def is_there(*which: Any) -> sa.Exists:
        return sa.exists().where(*which).correlate(_MAIL)

    stopped = is_there(Invite.id == _MAIL.c.invite_id, Invite.reminds.is_(False))
    code = is_there(AcceptCode.id == _MAIL.c.accept_code_id, AcceptCode.expires_at > _NOW)
    access = is_there(PortalAccess.id == _MAIL.c.access_id, PortalAccess.is_active(_NOW))  # type: ignore[arg-type]  # bound later
    item = is_there(WorkItem.id == _MAIL.c.item_id, WorkItem.visible.is_(True))
    kind = _MAIL.c.kind
    of_invite = kind.in_([*INVITE_MAILS, MailKind.ACCEPT_CODE])
    of_access = kind.in_([MailKind.ITEM, MailKind.SIGN_IN])
    of_item = sa.and_(kind == MailKind.ITEM, _MAIL.c.item_id.is_not(None))
    return sa.case(
        (sa.and_(of_invite, _MAIL.c.invite_id.is_not(None), invite.is_not(None)), invite),
        (sa.and_(kind.in_(REMINDERS), stopped), "The reminders of this invite are switched off."),
        (sa.and_(kind == MailKind.ACCEPT_CODE, ~code), "The code is not valid any more."),
        (sa.and_(of_access, ~access), "The person has no access at this moment."),
        (sa.and_(of_item, ~item), "The client can't see the item any more."),
        else_=sa.null(),
    )


_OF_NO_FIRM = _first_due(_MAIL.c.firm_id.is_(None))
_FIRMS_WAITING = _firms_waiting()
_OF_FIRMS = _of_firms()
_DEAD_BECAUSE = _dead_because()
_CLAIM = (
    sa.update(_MAIL)
    .where(_AMONG, _DUE, ~_CRASHED, _DEAD_BECAUSE.is_(None))
    .values(
        state=MailState.SENDING,
        lease=sa.bindparam("new_lease"),
        due_at=sa.bindparam("lease_until"),
        attempts=_MAIL.c.attempts + 1,
        crashes=_MAIL.c.crashes + sa.case((_WAS_SENDING, 1), else_=0),
    )
    .returning(*(_MAIL.c[name] for name in RETURNED))
)
_END_CRASHED = (
    sa.update(_MAIL)
    .where(_AMONG, _CRASHED)
    .values(state=MailState.FAILED, lease=None, crashes=MOST_CRASHES, error=CRASHED)
)
_CANCEL_DEAD = (
    sa.update(_MAIL)
    .where(_AMONG, _DUE, _DEAD_BECAUSE.is_not(None))
    .values(state=MailState.CANCELLED, lease=None, error=_DEAD_BECAUSE)
)
