"""What decides a standing, read as columns: for lists too long to make an object of each row."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from models.invite import InviteState
from models.outbox import MailState
from models.portal import AccessState, is_over, lets_in


class AccessColumns(NamedTuple):
    """Of a `PortalAccess`."""

    state: AccessState
    ends_at: datetime | None
    last_login_at: datetime | None

    def is_active(self, now: datetime) -> bool:
        """Lets the person in at `now`."""
        return lets_in(self.state, self.ends_at, now)

    def has_ended(self, now: datetime) -> bool:
        """Its date is over at `now`, and nothing but the date ended it."""
        return is_over(self.state, self.ends_at, now)


class InviteColumns(NamedTuple):
    """Of an `Invite`."""

    state: InviteState
    created_at: datetime
    expires_at: datetime


class MailColumns(NamedTuple):
    """Of an `Outbox` row."""

    state: MailState
    attempts: int
    error: str
