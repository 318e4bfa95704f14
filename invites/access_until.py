"""Access until a date: a person gets in up to the end of that day, as the firm's clock has it.

The day is kept as its last second (`PortalAccess.ends_at`, `Invite.access_ends_at`), and the clock decides at each use
(`is_active`); no job has to run. An invite brings its date along: accepting gives access until then, and its link ends
with it, so that nobody accepts what is over already.

All functions work inside the caller's unit of work.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time
from typing import cast
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from invites import schedule
from invites.lifecycle import expiry, items_of, lock
from models import AccessState, Invite, PortalAccess, TeamMember, append_event, db, utc_now
from models.errors import Invalid, WrongState

FIELD = "access_until"
OVER = "This day is over. Choose today or a later day."


def end_of(day: date | None, zone: str) -> datetime | None:
    """The last second of `day` in `zone`; None stays None. Raises Invalid where that is over."""
    if day is None:
        return None
    ends = datetime.combine(day, time(23, 59, 59), ZoneInfo(zone))
    if ends <= utc_now():
        raise Invalid({FIELD: [OVER]})
    return ends


def day_of(ends: datetime | None, zone: str) -> date | None:
    """The day that `end_of` was given."""
    return ends.astimezone(ZoneInfo(zone)).date() if ends is not None else None


def of_access(access: PortalAccess, day: date | None, member: TeamMember) -> PortalAccess:
    """Set until when a person gets in, or let it last (None). A later day brings back whose day is over.

    Raises Invalid (`access_until`), or WrongState where the access was removed.
    """
    now, ends = utc_now(), end_of(day, member.firm.time_zone)
    was_over = access.has_ended(now)
    statement = (
        sa.update(PortalAccess)
        .where(PortalAccess.id == access.id, PortalAccess.state != AccessState.REMOVED)
        .values(ends_at=ends, changed_at=now)
        .execution_options(synchronize_session=False)
    )
    moved = cast("sa.CursorResult[object]", db.session.execute(statement)).rowcount == 1
    db.session.refresh(access)
    if not moved:
        raise WrongState("This access was removed. Restore it first.")
    names = ["access_until_changed", *(["access_restored"] if was_over else [])]
    for name in names:
        append_event(
            name,
            firm_id=access.firm_id,
            workflow="client-record",
            actor=f"member:{member.id}",
            client_id=access.client_id,
            access_id=access.id,
            until=day.isoformat() if day else None,
        )
    return access


def of_invite(invite: Invite, day: date | None, member: TeamMember) -> Invite:
    """Set until when the access lasts that a pending invite brings, or let it last (None).

    The link ends with it; with a later day it works again for as long as it would have. Raises Invalid
    (`access_until`) or InviteNotPending.
    """
    zone = member.firm.time_zone
    ends = end_of(day, zone)
    lock(invite, "so its date can't be changed")
    was_cut = invite.access_ends_at is not None and invite.expires_at >= invite.access_ends_at
    full = expiry(invite.last_asked_at, invite.expires_in_days, items_of(invite), zone) if was_cut else None
    link_ends = max(filter(None, (invite.expires_at, full)))
    invite.access_ends_at = ends
    invite.expires_at = min(link_ends, ends) if ends else link_ends
    schedule.replan(invite, member.firm)
    append_event(
        "access_until_changed",
        firm_id=invite.firm_id,
        workflow=invite.workflow,
        actor=f"member:{member.id}",
        client_id=invite.client_id,
        invite_id=invite.id,
        until=day.isoformat() if day else None,
    )
    return invite


def close_ended(accesses: Collection[PortalAccess | None], actor: str) -> None:
    """Whose day is over and who is invited again counts as removed from now on, so that the invite says how they stand.

    One statement, and none where nobody's day is over.
    """
    now = utc_now()
    over = [access for access in accesses if access is not None and access.has_ended(now)]
    if not over:
        return
    rows = db.session.execute(
        sa.update(PortalAccess)
        .where(PortalAccess.id.in_([access.id for access in over]), PortalAccess.has_ended(now))
        .values(state=AccessState.REMOVED, changed_at=now)
        .returning(PortalAccess.id, PortalAccess.firm_id, PortalAccess.client_id)
        .execution_options(synchronize_session=False)
    ).all()
    for access in over:
        db.session.expire(access)
    for row in rows:
        append_event(
            "access_ended",
            firm_id=row.firm_id,
            workflow="client-record",
            actor=actor,
            client_id=row.client_id,
            access_id=row.id,
        )
