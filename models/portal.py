"""A person's place in Client Portals: the portal user, and access to each client with its scope.

Scope `portal` sees everything made visible to the client's portal; scope `items` sees what was granted to this
person and nothing else, so that tax data doesn't reach an outsider because somebody typed an address.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.hybrid import hybrid_method
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, id_column, link, state_column, utc_now
from models.login import Login


class PortalUser(Base):
    """A login's place at clients: many clients, of many firms."""

    __tablename__ = "portal_user"

    id: Mapped[str] = id_column()
    login_id: Mapped[str] = mapped_column(sa.String(26), sa.ForeignKey("login.id"), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    login: Mapped[Login] = relationship(lazy="joined", innerjoin=True)


class AccessState(enum.StrEnum):
    """Whether a portal user gets in at a client. Removal can be undone."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REMOVED = "removed"


class Scope(enum.StrEnum):
    """What a portal user sees of a client."""

    PORTAL = "portal"
    ITEMS = "items"


def lets_in(state: AccessState, ends_at: datetime | None, now: datetime) -> bool:
    """Whether an access lets its person in at `now`."""
    return state is AccessState.ACTIVE and (ends_at is None or ends_at > now)


def is_over(state: AccessState, ends_at: datetime | None, now: datetime) -> bool:
    """Whether nothing but its date ended an access, at `now`."""
    return state is AccessState.ACTIVE and ends_at is not None and ends_at <= now


class PortalAccess(Base):
    """Portal user x client. Whether it lets somebody in is asked with `is_active`, never by the state alone."""

    __tablename__ = "portal_access"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "portal_user_id"),
        sa.Index("ix_portal_access_client_email", "client_id", "email", "changed_at", "id"),
    )

    id: Mapped[str] = id_column()
    firm_id: Mapped[str] = link("firm")
    client_id: Mapped[str] = link("client", index=False)
    portal_user_id: Mapped[str] = link("portal_user")
    contact_id: Mapped[str | None] = link("contact", nullable=True)
    email: Mapped[str] = mapped_column(sa.String(320), index=True)  # the invited address, normalised
    state: Mapped[AccessState] = state_column(AccessState, AccessState.ACTIVE)
    scope: Mapped[Scope] = state_column(Scope, Scope.PORTAL, "scope")
    ends_at: Mapped[datetime | None]  # active until then; the clock decides at each use
    accepted_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_login_at: Mapped[
        datetime | None
    ]  # last time on this client's side; other firms' logins are not ours to see
    changed_at: Mapped[datetime] = mapped_column(default=utc_now)

    portal_user: Mapped[PortalUser] = relationship(lazy="joined", innerjoin=True)
    client: Mapped[Any] = relationship("Client")

    @hybrid_method
    def is_active(self, now: datetime) -> bool:
        """Lets the person in at `now`."""
        return lets_in(self.state, self.ends_at, now)

    @is_active.inplace.expression  # type: ignore[attr-defined]  # SQLAlchemy types it as a plain function
    @classmethod
    def _is_active_sql(cls, now: datetime) -> sa.ColumnElement[bool]:
        return sa.and_(cls.state == AccessState.ACTIVE, sa.or_(cls.ends_at.is_(None), cls.ends_at > now))

    @hybrid_method
    def has_ended(self, now: datetime) -> bool:
        """Its date is over at `now`, and nothing but the date ended it."""
        return is_over(self.state, self.ends_at, now)

    @has_ended.inplace.expression  # type: ignore[attr-defined]
    @classmethod
    def _has_ended_sql(cls, now: datetime) -> sa.ColumnElement[bool]:
        return sa.and_(cls.state == AccessState.ACTIVE, cls.ends_at <= now)


class ItemGrant(Base):
    """This access may see this item: what scope `items` sees, and who the chosen people of an item are."""

    __tablename__ = "item_grant"

    item_id: Mapped[str] = link("work_item", primary_key=True)
    access_id: Mapped[str] = link("portal_access", primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
