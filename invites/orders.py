"""What staff ask for in the Client Portal window, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from models import Invite, Scope, db


@dataclass(frozen=True)
class Recipient:
    """One ticked row: a contact, or a typed address (which becomes a contact)."""

    contact_id: str | None = None
    email: object = (
        None  # as typed; parsed when the order is carried out, so that each row gets its own outcome
    )
    name: str = ""
    can_see: Scope | None = None  # None: whole portal for contacts, this item for added people


@dataclass(frozen=True)
class InviteOrder:
    """Whom to invite, with what words. An order may not be empty."""

    recipients: tuple[Recipient, ...]
    message: str = ""
    expires_in_days: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    access_ends_at: datetime | None = None  # until when those who are invited get in
    template: tuple[str, str] | None = None  # id and name of the message template whose text was inserted


class Outcome(StrEnum):
    """What came of one recipient (contract: API v1)."""

    INVITED = "invited"
    ADDED = "added_to_invite"
    RESENT = "resent"
    ALREADY_INVITED = "already_invited"
    HAS_ACCESS = "already_has_access"
    INVALID = "invalid"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class InviteResult:
    """One recipient's outcome, with a sentence for the pop-up `Invite sent`."""

    email: str
    name: str
    outcome: Outcome
    reason: str
    key: str = ""  # the address as it is looked up; empty where it is none
    invite_id: str | None = None
    made: Mapping[str, Any] | None = None  # the columns of an invite that was made just now

    @property
    def invite(self) -> Invite | None:
        """The invite's row. Asks the database: for many results take the ids."""
        return db.session.get(Invite, self.invite_id) if self.invite_id else None

    @property
    def ok(self) -> bool:
        """Whether the person can get in now or will by the mail."""
        return self.outcome not in {Outcome.INVALID, Outcome.BLOCKED}

    @property
    def who(self) -> str:
        """The name, else the address."""
        return self.name or self.email
