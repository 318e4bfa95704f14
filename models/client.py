"""The client record, its contacts, and which team members look after it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, id_column, link, utc_now


class Client(Base):
    """A person or a business the firm works for."""

    __tablename__ = "client"
    __table_args__ = (
        sa.UniqueConstraint("firm_id", "external_id"),
        sa.Index("ix_client_firm_name", "firm_id", "name_key", "id"),
        sa.Index("ix_client_firm_id", "firm_id", "id"),
    )

    id: Mapped[str] = id_column()
    firm_id: Mapped[str] = link("firm", index=False)
    name: Mapped[str] = mapped_column(sa.String(200))
    name_key: Mapped[str] = mapped_column(sa.String(200))  # casefolded, for sorting and searching by index
    external_id: Mapped[str | None] = mapped_column(sa.String(120))
    is_person: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    created_by_id: Mapped[str | None] = link("team_member", nullable=True)

    contacts: Mapped[list[Contact]] = relationship(
        back_populates="client", order_by="(Contact.is_primary.desc(), Contact.created_at, Contact.id)"
    )

    @sa.orm.validates("name")
    def _fold_name(self, key: str, value: str) -> str:
        self.name_key = value.casefold()[:200]
        return value


class Contact(Base):
    """A named person on the record, mostly with an address. Two contacts may share one address (a couple)."""

    __tablename__ = "contact"
    __table_args__ = (sa.Index("ix_contact_client_email", "client_id", "email"),)

    id: Mapped[str] = id_column()
    firm_id: Mapped[str] = link("firm", index=False)
    client_id: Mapped[str] = link("client", index=False)
    name: Mapped[str] = mapped_column(sa.String(200), default="")
    name_key: Mapped[str] = mapped_column(sa.String(200), default="")  # casefolded, for searching by words
    email: Mapped[str | None] = mapped_column(sa.String(320))
    email_display: Mapped[str | None] = mapped_column(sa.String(320))
    is_primary: Mapped[bool] = mapped_column(default=False)
    dont_ask: Mapped[bool] = mapped_column(default=False)  # the window doesn't open because of this person
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    client: Mapped[Client] = relationship(back_populates="contacts")

    @sa.orm.validates("name")
    def _fold_name(self, key: str, value: str) -> str:
        self.name_key = value.casefold()[:200]
        return value

    @property
    def label(self) -> str:
        """The name, or the address where there is no name."""
        return self.name or self.email_display or "(no name)"


class ClientAssignment(Base):
    """A team member who sees only assigned clients sees this one."""

    __tablename__ = "client_assignment"

    client_id: Mapped[str] = link("client", primary_key=True)
    team_member_id: Mapped[str] = link("team_member", primary_key=True)

    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class TickedLastTime(Base):
    """Whom staff ticked when they last sent something of this workflow to this client: normalised addresses."""

    __tablename__ = "ticked_last_time"

    client_id: Mapped[str] = link("client", primary_key=True)
    workflow: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    emails: Mapped[list[Any]] = mapped_column(default=list)
    changed_at: Mapped[datetime] = mapped_column(default=utc_now)
