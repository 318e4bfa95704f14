"""When a pending invite is due for a reminder, or for the warning three days before it ends: pure, no rows.

The days count from the last mail with the link that somebody asked for (invite, resend, an item that joined), so a
person who was just written to is left alone. What is due is derived from the schedule at each look; the row only keeps
when to look next, and up to where the schedule is dealt with. So however many looks were missed, one mail follows,
never five; and no two follow each other within twenty hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import config
from models import Firm, Invite, MailKind, utc_now

WARN_BEFORE = timedelta(days=3)
APART = timedelta(hours=20)


@dataclass(frozen=True)
class Point:
    """A moment of the schedule and the kind of mail that belongs to it."""

    at: datetime
    kind: MailKind


def days_of(firm: Firm) -> list[int]:
    """The days after a mail on which this firm reminds: its own, else REMINDER_DAYS."""
    chosen = firm.reminder_days
    return sorted(config.current().reminder_days if chosen is None else chosen)


def points(asked_at: datetime, expires_at: datetime, days: Sequence[int]) -> list[Point]:
    """The whole schedule between the mail and the end, in order. A reminder close to the warning gives way to it."""
    warn_at = expires_at - WARN_BEFORE
    warning = [Point(warn_at, MailKind.EXPIRY_WARNING)] if warn_at >= asked_at + APART else []
    moments = [asked_at + timedelta(days=days_after) for days_after in days]
    reminders = [
        Point(moment, MailKind.REMINDER)
        for moment in moments
        if moment < expires_at and not (warning and abs(moment - warn_at) < APART)
    ]
    return sorted([*reminders, *warning], key=lambda point: point.at)


def next_look(
    asked_at: datetime, expires_at: datetime, days: Sequence[int], after: datetime
) -> datetime | None:
    """The first moment of the schedule after `after`; None where there is none any more."""
    return next((point.at for point in points(asked_at, expires_at, days) if point.at > after), None)


def due(invite: Invite, days: Sequence[int], now: datetime) -> MailKind | None:
    """The one mail that is due at `now`, however many moments have passed; None where none is.

    A warning that would follow within twenty hours comes at once instead of the reminder.
    """
    since = max(invite.last_asked_at, invite.reminded_until or invite.last_asked_at)
    passed = [
        point
        for point in points(invite.last_asked_at, invite.expires_at, days)
        if since < point.at <= now + APART
    ]
    if not any(point.at <= now for point in passed):
        return None
    return max((point.kind for point in passed), key=lambda kind: kind is MailKind.EXPIRY_WARNING)


def replan(invite: Invite, firm: Firm) -> None:
    """Set when to look next, after the invite's mail, its end or its switch changed. A new end may expire anew."""
    after = max(utc_now(), invite.reminded_until or invite.last_asked_at)
    look = next_look(invite.last_asked_at, invite.expires_at, days_of(firm), after)
    invite.remind_at = look if invite.reminds else None
    invite.expiry_noted_at = invite.expiry_told_at = None
