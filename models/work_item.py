"""A work item: a client request, a file, an eSign request, or whatever a plugged-in workflow brings.

One table holds what all have in common, so that audience, to-do, links and licences are decided in one place.
`details` (JSON) carries a workflow's own fields; a workflow that needs columns brings a table of its own.
"""

from __future__ import annotations

import enum
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, id_column, link, state_column, utc_now


class Audience(enum.StrEnum):
    """Who of a client's portal users sees a visible item."""

    PORTAL = "portal"  # everybody with scope `portal`
    PEOPLE = "people"  # those with a grant


class WorkItem(Base):
    """A piece of work between firm and client."""

    __tablename__ = "work_item"
    __table_args__ = (
        sa.Index("ix_work_item_client_workflow", "client_id", "workflow", "created_at", "id"),
        sa.Index("ix_work_item_firm_due", "firm_id", "open", "due_on"),
        sa.Index("ix_work_item_firm_sent", "firm_id", "open", "sent_at"),
        sa.Index(
            "ix_work_item_workflow_status", "workflow", "status", "id"
        ),  # sweeps: what waits for sealing
    )

    id: Mapped[str] = id_column()
    firm_id: Mapped[str] = link("firm", index=False)
    client_id: Mapped[str] = link("client", index=False)
    workflow: Mapped[str] = mapped_column(sa.String(60))  # the slug
    title: Mapped[str] = mapped_column(sa.String(300))
    status: Mapped[str] = mapped_column(sa.String(24))  # the workflow's own words
    visible: Mapped[bool] = mapped_column(default=False)  # the client side may see it (subject to audience)
    open: Mapped[bool] = mapped_column(default=False)  # the client still has to do something
    audience: Mapped[Audience] = state_column(Audience, Audience.PORTAL, "audience")
    due_on: Mapped[date | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_by_id: Mapped[str | None] = link("team_member", nullable=True, index=False)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    sent_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]

    client: Mapped[Any] = relationship("Client")
    created_by: Mapped[Any] = relationship("TeamMember")


class ItemView(Base):
    """A portal user opened an item: first and last time (staff see who opened it and when)."""

    __tablename__ = "item_view"

    item_id: Mapped[str] = link("work_item", primary_key=True)
    access_id: Mapped[str] = link("portal_access", primary_key=True)
    first_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_at: Mapped[datetime] = mapped_column(default=utc_now)
