"""The outbox: a mail is a row in the same transaction as the work it speaks of.

The row is the truth, the queue only a wake-up: a worker killed at any moment loses nothing, because the row with
its lease is still there. A row says what the mail depends on (an invite's generation, an access, an item), and the
claim checks it in the same statement, so that nothing goes out after revoke, accept or expiry. It never holds a
token or a finished text: both are made from ids at the moment of sending.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, id_column, link, state_column, utc_now


class MailState(enum.StrEnum):
    """A mail's delivery. Never mixed up with the invite's state."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    BOUNCED = "bounced"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HELD = "held"


class MailKind(enum.StrEnum):
    """Which folder of templates/mail/ speaks."""

    INVITE = "invite"  # depends on invite and generation
    ACCEPT_CODE = "accept_code"  # depends on the accept code
    ITEM = "item"  # depends on an active access
    SIGN_IN = "sign_in"  # depends on an active access
    STAFF_NOTICE = "staff_notice"
    REMINDER = "reminder"  # depends on invite, generation, and on the reminders' switch
    EXPIRY_WARNING = "expiry_warning"  # the same
    EXPIRY_DIGEST = "expiry_digest"  # to the inviter: whose invites ran out
    SECURITY = "security"  # password reset and the like, written by Flask-Security


REMINDERS = (MailKind.REMINDER, MailKind.EXPIRY_WARNING)
INVITE_MAILS = (MailKind.INVITE, *REMINDERS)  # those that carry an invite's link


def _waiting_index(name: str, *columns: str) -> sa.Index:
    """An index of the mails that are still to be sent alone."""
    where = sa.text("state IN ('queued', 'sending')")
    return sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)


_HAS_ACCESS = sa.text("access_id IS NOT NULL")


class Outbox(Base):
    """One mail to one address."""

    __tablename__ = "outbox"
    __table_args__ = (
        _waiting_index("ix_outbox_due", "due_at", "id"),
        _waiting_index("ix_outbox_turn", "firm_id", "due_at", "id"),  # firms take turns
        # Invites' mails, nearly all there are, have none.
        sa.Index("ix_outbox_access_id", "access_id", sqlite_where=_HAS_ACCESS, postgresql_where=_HAS_ACCESS),
    )

    id: Mapped[str] = id_column()
    firm_id: Mapped[str | None] = link("firm", nullable=True, index=False)  # ix_outbox_turn serves the claim
    kind: Mapped[MailKind] = state_column(MailKind, name="kind")
    to_email: Mapped[str] = mapped_column(sa.String(320))
    to_name: Mapped[str] = mapped_column(sa.String(200), default="")
    invite_id: Mapped[str | None] = link("invite", nullable=True)
    generation: Mapped[int | None]
    item_id: Mapped[str | None] = link("work_item", nullable=True, index=False)
    access_id: Mapped[str | None] = link("portal_access", nullable=True, index=False)
    accept_code_id: Mapped[str | None] = mapped_column(sa.String(26))
    sender_id: Mapped[str | None] = link("team_member", nullable=True, index=False)
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[MailState] = state_column(MailState, MailState.QUEUED)
    due_at: Mapped[datetime] = mapped_column(default=utc_now)  # next try; while sending: end of the lease
    lease: Mapped[str | None] = mapped_column(
        sa.String(26)
    )  # the claim that owns the row, a fence for settle
    attempts: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    message_id: Mapped[str] = mapped_column(sa.String(200), default="")
    error: Mapped[str] = mapped_column(sa.String(500), default="")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    sent_at: Mapped[datetime | None]
