"""What follows from an expiry: the event, once, and the inviter's mail, one a day at most.

That an invite is expired is never decided here: every use asks the clock (`Invite.is_expired`), with these jobs
switched off too. `expiry_noted_at` and `expiry_told_at` only say what was done about it; whatever gives an invite a
new end clears them. Both steps are guarded by the rows they mark, so they are safe to run twice and beside each other.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

import sqlalchemy as sa

from mail import outbox
from mail.outbox import NewMail
from models import Invite, InviteState, MailKind, TeamMember, append_event, db, utc_now

BATCH = 200
ONE_A_DAY = timedelta(days=1)
NAMED = 20  # how many a digest names; the page behind its button has them all
PAGE = "/invites/expired"

_UNTOLD = (
    Invite.state == InviteState.PENDING,
    Invite.expiry_noted_at.is_not(None),
    Invite.expiry_told_at.is_(None),
)


def note_expired(limit: int = BATCH) -> int:
    """Append the event `invite_expired` for up to `limit` invites whose time is over; how many. In a unit of work."""
    now = utc_now()
    unnoted = sa.and_(Invite.is_expired(now), Invite.expiry_noted_at.is_(None))
    due = (
        sa.select(Invite.id)
        .where(unnoted)
        .order_by(Invite.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
        .cte("due")
    )
    rows = db.session.execute(
        sa.update(Invite)
        .where(Invite.id.in_(sa.select(due.c.id)), unnoted)
        .values(expiry_noted_at=now)
        .returning(Invite.id, Invite.firm_id, Invite.client_id, Invite.workflow)
        .execution_options(synchronize_session=False)
    ).all()
    for row in rows:
        append_event(
            "invite_expired",
            firm_id=row.firm_id,
            workflow=row.workflow,
            client_id=row.client_id,
            invite_id=row.id,
        )
    return len(rows)


def tell_inviters(limit: int = BATCH) -> int:
    """Mail up to `limit` inviters which of their invites ran out since the last such mail; how many were looked at.

    Who got one within a day waits, and so do the invites. Inside a unit of work, until it says 0.
    """
    now = utc_now()
    members = _members(now - ONE_A_DAY, limit)
    if not members:
        return 0
    found: dict[str, list[str]] = defaultdict(list)
    rows = db.session.execute(
        sa.update(Invite)
        .where(Invite.invited_by_id.in_([member.id for member in members]), *_UNTOLD)
        .values(expiry_told_at=now)
        .returning(Invite.id, Invite.invited_by_id)
        .execution_options(synchronize_session=False)
    )
    for invite_id, member_id in rows:
        found[member_id].append(invite_id)
    for member in members:
        member.expiry_digest_at = now
    outbox.enqueue_many(
        [
            _digest(member, sorted(found[member.id]))
            for member in members
            if member.active and found[member.id]
        ]
    )
    return len(members)


def _members(before: datetime, limit: int) -> list[TeamMember]:
    waiting = sa.exists().where(Invite.invited_by_id == TeamMember.id, *_UNTOLD)
    idle = sa.or_(TeamMember.expiry_digest_at.is_(None), TeamMember.expiry_digest_at <= before)
    return list(
        db.session.scalars(
            sa.select(TeamMember)
            .where(waiting, idle)
            .order_by(TeamMember.id)
            .limit(limit)
            .with_for_update(of=TeamMember, skip_locked=True, key_share=True)
            .execution_options(populate_existing=True)
        ).unique()
    )


def _digest(member: TeamMember, invite_ids: list[str]) -> NewMail:
    return NewMail(
        MailKind.EXPIRY_DIGEST,
        to_email=member.login.email,
        to_name=member.name,
        firm_id=member.firm_id,
        params={"invites": invite_ids[:NAMED], "count": len(invite_ids), "page": PAGE},
    )
