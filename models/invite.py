"""An invite: client x e-mail address, its link's generations, and the items that came with it.

At most one pending invite per client and address, enforced by a partial unique index: whoever inserts second gets
an IntegrityError, which means "join the existing one". A pending invite whose time is over *is* expired; the clock
decides at each use, no job has to run for it.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.hybrid import hybrid_method
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, id_column, link, state_column, utc_now
from models.portal import Scope


class InviteState(enum.StrEnum):
    """Pending is the only state that moves; the others are final."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    REVOKED = "revoked"


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _open_index(name: str, *columns: str, only: str = "", unique: bool = False) -> sa.Index:
    condition = f"state = 'pending' AND {only}" if only else "state = 'pending'"
    return sa.Index(name, *columns, unique=unique, **_where(condition))


class Invite(Base):
    """One address asked to join one client's portal."""

    __tablename__ = "invite"
    __table_args__ = (
        _open_index("uq_invite_pending", "client_id", "email", unique=True),
        sa.Index("ix_invite_client_email", "client_id", "email", "created_at", "id"),
        # The newest first, of all states (also how invites do) and of one.
        sa.Index("ix_invite_firm_id", "firm_id", "id"),
        sa.Index("ix_invite_firm_state", "firm_id", "state", "id"),
        sa.Index("ix_invite_declined", "firm_id", "ended_at", **_where("state = 'declined'")),
        _open_index("ix_invite_inviter", "invited_by_id", "expires_at"),
        # What the periodic jobs look for; empty of all that is dealt with.
        _open_index("ix_invite_remind", "remind_at", only="remind_at IS NOT NULL"),
        _open_index("ix_invite_expiry", "expires_at", only="expiry_noted_at IS NULL"),
        _open_index(
            "ix_invite_untold", "invited_by_id", only="expiry_noted_at IS NOT NULL AND expiry_told_at IS NULL"
        ),
        sa.CheckConstraint("generation >= 1", name="generation"),
        sa.CheckConstraint("expires_at <= access_ends_at", name="ends_with_access"),
    )

    id: Mapped[str] = id_column()
    firm_id: Mapped[str] = link("firm", index=False)
    client_id: Mapped[str] = link("client", index=False)
    contact_id: Mapped[str | None] = link("contact", nullable=True, index=False)
    email: Mapped[str] = mapped_column(sa.String(320), index=True)
    email_display: Mapped[str] = mapped_column(sa.String(320))
    name: Mapped[str] = mapped_column(sa.String(200), default="")
    state: Mapped[InviteState] = state_column(InviteState, InviteState.PENDING)
    scope: Mapped[Scope] = state_column(Scope, Scope.PORTAL, "scope")
    workflow: Mapped[str] = mapped_column(sa.String(60))  # slug of where it began
    message: Mapped[str] = mapped_column(sa.Text, default="")
    # The message template whose text was inserted, by id and name: what it achieved is told after it was deleted.
    template_id: Mapped[str | None] = mapped_column(sa.String(26))
    template_name: Mapped[str] = mapped_column(sa.String(120), default="")
    extra: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    invited_by_id: Mapped[str] = link("team_member", index=False)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]
    expires_in_days: Mapped[int] = mapped_column(default=30)
    access_ends_at: Mapped[
        datetime | None
    ]  # until when the access lasts that accepting brings; ends the link too
    generation: Mapped[int] = mapped_column(default=1)
    sends: Mapped[int] = mapped_column(default=0)  # mails asked for, reminders included
    last_asked_at: Mapped[datetime] = mapped_column(default=utc_now)  # decides "the same within 60 s"
    ended_at: Mapped[datetime | None]  # accepted, declined or revoked
    ended_reason: Mapped[str] = mapped_column(sa.String(24), default="")  # e.g. not_me, address_changed
    access_id: Mapped[str | None] = link("portal_access", nullable=True, index=False)
    reminds: Mapped[bool] = mapped_column(
        default=True
    )  # the switch; off for good once the person stopped them
    remind_at: Mapped[datetime | None]  # when to look whether a mail is due; NULL for never again
    reminded_until: Mapped[datetime | None]  # the schedule up to here is dealt with
    expiry_noted_at: Mapped[datetime | None]  # the event of this expiry is written
    expiry_told_at: Mapped[datetime | None]  # the inviter's digest names it

    invited_by: Mapped[Any] = relationship("TeamMember", lazy="joined", innerjoin=True)
    client: Mapped[Any] = relationship("Client")

    @hybrid_method
    def is_expired(self, now: datetime) -> bool:
        """Pending, and its time is over at `now`."""
        return self.state is InviteState.PENDING and self.expires_at <= now

    @is_expired.inplace.expression  # type: ignore[attr-defined]  # SQLAlchemy types it as a plain function
    @classmethod
    def _is_expired_sql(cls, now: datetime) -> sa.ColumnElement[bool]:
        return sa.and_(cls.state == InviteState.PENDING, cls.expires_at <= now)

    @hybrid_method
    def is_live(self, now: datetime) -> bool:
        """Pending, and its link works at `now`."""
        return self.state is InviteState.PENDING and self.expires_at > now

    @is_live.inplace.expression  # type: ignore[attr-defined]
    @classmethod
    def _is_live_sql(cls, now: datetime) -> sa.ColumnElement[bool]:
        return sa.and_(cls.state == InviteState.PENDING, cls.expires_at > now)

    def access_is_over(self, now: datetime) -> bool:
        """The access that accepting would bring ended before `now`: only another date makes the invite work again."""
        return self.access_ends_at is not None and self.access_ends_at <= now

    @property
    def greeting_name(self) -> str:
        """The first name for "Hello ..."; empty where none is known."""
        return self.name.split(" ")[0] if self.name else ""


class InviteToken(Base):
    """One generation of an invite's link. Only the SHA-256 of the token is kept.

    Old generations stay, so that an old link can say that a newer mail was sent.
    """

    __tablename__ = "invite_token"
    __table_args__ = (sa.UniqueConstraint("invite_id", "generation"), {"sqlite_with_rowid": False})

    token_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    invite_id: Mapped[str] = link("invite", index=False)
    generation: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class InviteItem(Base):
    """An item that the invite leads to; accepting turns each into an item grant."""

    __tablename__ = "invite_item"
    __table_args__ = ({"sqlite_with_rowid": False},)

    invite_id: Mapped[str] = link("invite", primary_key=True)
    item_id: Mapped[str] = link("work_item", primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class AcceptCode(Base):
    """The first half of an accept: name and password hash wait here for the mailed six-digit code.

    The code itself is derived from this row's id and never stored. One row per invite; a new try replaces it.
    """

    __tablename__ = "accept_code"

    id: Mapped[str] = id_column()
    invite_id: Mapped[str] = mapped_column(sa.String(26), sa.ForeignKey("invite.id"), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    password: Mapped[str] = mapped_column(sa.String(255))
    tries: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]
