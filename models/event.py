"""The append-only log of what happened: activity for people, facts for hooks, later the source of webhooks.

Lower rooms never fire facts. They append an event in the transaction of the change; the dispatcher turns committed
events into facts. So a fact is never about something that was rolled back, and none is lost in a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, id_column, link, new_id, utc_now
from models.database import after_commit, db
from models.rows import insert_rows


class Event(Base):
    """Something that happened, with ids and plain values only."""

    __tablename__ = "event"
    __table_args__ = (
        sa.Index(
            "ix_event_undispatched",
            "id",
            sqlite_where=sa.text("dispatched_at IS NULL"),
            postgresql_where=sa.text("dispatched_at IS NULL"),
        ),
        sa.Index("ix_event_client", "client_id", "id"),
    )

    id: Mapped[str] = id_column()
    firm_id: Mapped[str] = link("firm", index=False)
    name: Mapped[str] = mapped_column(sa.String(60))  # a fact's name, or another word for the activity list
    workflow: Mapped[str] = mapped_column(sa.String(60))  # the fact's sender
    client_id: Mapped[str | None] = link("client", nullable=True, index=False)
    item_id: Mapped[str | None] = link("work_item", nullable=True, index=False)
    invite_id: Mapped[str | None] = link("invite", nullable=True)
    access_id: Mapped[str | None] = link("portal_access", nullable=True, index=False)
    actor: Mapped[str] = mapped_column(sa.String(40), default="system")  # member:ID, login:ID or system
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    dispatched_at: Mapped[datetime | None]


_AFTER_APPENDING: list[Callable[[], None]] = []


def after_appending(callback: Callable[[], None]) -> None:
    """Call `callback` after each commit that appended events: the worker's wake-up lies in a higher room."""
    if callback not in _AFTER_APPENDING:
        _AFTER_APPENDING.append(callback)


def append_events(rows: Sequence[Mapping[str, Any]]) -> None:
    """Append many events in one statement within the open unit of work; each row is `append_event`'s arguments.

    What the rows point at must have been sent to the database already.
    """
    if not rows:
        return
    rest: dict[str, Any] = {
        "actor": "system",
        "client_id": None,
        "item_id": None,
        "invite_id": None,
        "access_id": None,
        "data": {},
    }
    now = utc_now()
    insert_rows(Event, [{**rest, **row, "id": new_id(), "created_at": now} for row in rows])
    for callback in _AFTER_APPENDING:
        after_commit(callback)


def append_event(
    name: str,
    *,
    firm_id: str,
    workflow: str,
    actor: str = "system",
    client_id: str | None = None,
    item_id: str | None = None,
    invite_id: str | None = None,
    access_id: str | None = None,
    **data: Any,
) -> Event:
    """Append one event to the log within the open unit of work; `data` must be plain JSON values."""
    event = Event(
        name=name,
        firm_id=firm_id,
        workflow=workflow,
        actor=actor,
        client_id=client_id,
        item_id=item_id,
        invite_id=invite_id,
        access_id=access_id,
        data=data,
        created_at=utc_now(),
    )
    db.session.add(event)
    for callback in _AFTER_APPENDING:
        after_commit(callback)
    return event
