"""A person's place in Client Portals: the portal user, and access to each client with its scope.

Scope `portal` sees everything made visible to the client's portal; scope `items` sees what was granted to this
person and nothing else, so that tax data doesn't reach an outsider because somebody typed an address.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import sqlalchemy as sa
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


class PortalAccess(Base):
    """Portal user x client."""

    __tablename__ = "portal_access"
    __table_args__ = (sa.UniqueConstraint("client_id", "portal_user_id"),)

    id: Mapped[str] = id_column()
    firm_id: Mapped[str] = link("firm")
    client_id: Mapped[str] = link("client")
    portal_user_id: Mapped[str] = link("portal_user")
    contact_id: Mapped[str | None] = link("contact", nullable=True)
    email: Mapped[str] = mapped_column(sa.String(320), index=True)  # the invited address, normalised
    state: Mapped[AccessState] = state_column(AccessState, AccessState.ACTIVE)
    scope: Mapped[Scope] = state_column(Scope, Scope.PORTAL, "scope")
    accepted_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_login_at: Mapped[
        datetime | None
    ]  # last time on this client's side; other firms' logins are not ours to see
    changed_at: Mapped[datetime] = mapped_column(default=utc_now)

    portal_user: Mapped[PortalUser] = relationship(lazy="joined", innerjoin=True)
    client: Mapped[Any] = relationship("Client")


class ItemGrant(Base):
    """This access may see this item: what scope `items` sees, and who the chosen people of an item are."""

    __tablename__ = "item_grant"

    item_id: Mapped[str] = link("work_item", primary_key=True)
    access_id: Mapped[str] = link("portal_access", primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
