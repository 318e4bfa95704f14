"""How an item changes its status, and how that is noted: one guarded statement, one event."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import sqlalchemy as sa

from models import WorkItem, append_event, db


def move(item: WorkItem, origins: Collection[str], status: str, **values: Any) -> bool:
    """The one guarded UPDATE behind each change of status; whether it was ours.

    Two tabs, two people of one client: whoever comes second finds the row moved on and changes nothing. The row is
    held until the unit of work ends, so what follows happens one after the other.
    """
    db.session.flush()
    statement = (
        sa.update(WorkItem)
        .where(WorkItem.id == item.id, WorkItem.status.in_(origins))
        .values(status=status, **values)
        .execution_options(synchronize_session=False)
    )
    moved = cast("sa.CursorResult[object]", db.session.execute(statement)).rowcount == 1
    db.session.refresh(item)
    return moved


def note(
    item: WorkItem, name: str, *, actor: str = "system", access_id: str | None = None, **data: Any
) -> None:
    """Append an event about `item`: a fact where one of that name is declared, activity in any case."""
    append_event(
        name,
        firm_id=item.firm_id,
        workflow=item.workflow,
        actor=actor,
        client_id=item.client_id,
        item_id=item.id,
        access_id=access_id,
        **data,
    )
