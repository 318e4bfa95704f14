"""A login: one per e-mail address, whoever the person is at firms and clients.

`email` is the normalised ASCII form, the one that is looked up and sent to; `email_display` is what people see.
Team member and portal user are roles of a login: staff of one firm may be a client of another.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask_security.core import UserMixin
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, id_column, link, state_column, utc_now


class Login(Base, UserMixin):
    """Somebody who can sign in. Flask-Security reads and writes the columns it knows by name."""

    __tablename__ = "login"

    # Flask-Security's mixin declares plain types for the columns it knows; ours are the mapped ones.
    id: Mapped[str] = id_column()  # type: ignore[assignment]
    email: Mapped[str] = mapped_column(sa.String(320), unique=True)
    email_display: Mapped[str] = mapped_column(sa.String(320))
    name: Mapped[str] = mapped_column(sa.String(200), default="")
    password: Mapped[str | None] = mapped_column(sa.String(255))
    active: Mapped[bool] = mapped_column(default=True)
    fs_uniquifier: Mapped[str] = mapped_column(sa.String(64), unique=True)
    confirmed_at: Mapped[datetime | None]
    last_login_at: Mapped[datetime | None]  # type: ignore[assignment]
    current_login_at: Mapped[datetime | None]  # type: ignore[assignment]
    last_login_ip: Mapped[str | None] = mapped_column(sa.String(64))
    current_login_ip: Mapped[str | None] = mapped_column(sa.String(64))
    login_count: Mapped[int] = mapped_column(default=0)
    time_zone: Mapped[str | None] = mapped_column(sa.String(60))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    # Roles live in team_member and portal_access; Flask-Security asks for the attribute all the same.
    @property
    def roles(self) -> list[Any]:  # type: ignore[override]
        """No global roles: what a login may do follows from its places at firms and clients."""
        return []


class Role(enum.StrEnum):
    """A team member's role in the firm."""

    ADMIN = "admin"
    STAFF = "staff"


class Sees(enum.StrEnum):
    """Which clients a team member may see."""

    ALL = "all"
    ASSIGNED = "assigned"


class TeamMember(Base):
    """A login's place in a firm."""

    __tablename__ = "team_member"
    __table_args__ = (sa.UniqueConstraint("firm_id", "login_id"),)

    id: Mapped[str] = id_column()
    firm_id: Mapped[str] = link("firm")
    login_id: Mapped[str] = link("login")
    role: Mapped[Role] = state_column(Role, Role.STAFF, "role")
    sees: Mapped[Sees] = state_column(Sees, Sees.ALL, "sees")
    permissions: Mapped[list[Any]] = mapped_column(default=list)
    active: Mapped[bool] = mapped_column(default=True)
    expiry_digest_at: Mapped[datetime | None]  # the latest mail about expired invites; one a day at most
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    login: Mapped[Login] = relationship(lazy="joined", innerjoin=True)
    firm: Mapped[Any] = relationship("Firm", lazy="joined", innerjoin=True)

    @property
    def name(self) -> str:
        """The name clients read in mails."""
        return self.login.name or self.login.email_display

    def may(self, permission: str) -> bool:
        """Whether this member has a named permission; admins have all."""
        return self.role is Role.ADMIN or permission in self.permissions
