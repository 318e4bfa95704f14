"""Who looked at an item, and when. Staff see it; the first look of a person is a fact.

A page is looked at far more often than it is worth a write, so the portal asks `due` (a read) before it opens a unit
of work for `record`. Staff who look through a client's eyes leave no trace here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from invites.scope import PortalView
from models import ItemView, Login, PortalAccess, PortalUser, WorkItem, db, utc_now
from workflows.registry import installed

AGAIN: Final = timedelta(minutes=5)  # looks closer together than this are one


@dataclass(frozen=True)
class Opening:
    """One person who opened an item."""

    name: str
    email: str
    first_at: datetime
    last_at: datetime


def due(person: PortalView, item: WorkItem) -> bool:
    """Whether this look is to be recorded: the first one, or the last one is a while ago. Reads only."""
    seen = db.session.scalar(
        sa.select(ItemView.last_at).where(
            ItemView.item_id == item.id, ItemView.access_id == person.access_for(item).id
        )
    )
    return seen is None or utc_now() - seen >= AGAIN


def record(person: PortalView, item: WorkItem) -> None:
    """Record a look within the open unit of work; at this person's first look the workflow hears of it.

    Two tabs opened at once are one first look: the key of the table decides. Raises Missing.
    """
    access, now = person.access_for(item), utc_now()
    view = db.session.get(ItemView, (item.id, access.id))
    if view is None:
        try:
            with db.session.begin_nested():
                db.session.add(ItemView(item_id=item.id, access_id=access.id, first_at=now, last_at=now))
                db.session.flush()
        except IntegrityError:
            return
        installed().of(item).opened(item, person)
    else:
        view.last_at = now


def opened_by(items: Collection[WorkItem]) -> dict[str, list[Opening]]:
    """Who opened each of `items`, earliest first, by the item's id; one query for any number."""
    found: dict[str, list[Opening]] = {item.id: [] for item in items}
    rows = db.session.execute(
        sa.select(ItemView.item_id, Login.name, Login.email_display, ItemView.first_at, ItemView.last_at)
        .join(PortalAccess, PortalAccess.id == ItemView.access_id)
        .join(PortalUser, PortalUser.id == PortalAccess.portal_user_id)
        .join(Login, Login.id == PortalUser.login_id)
        .where(ItemView.item_id.in_(found))
        .order_by(ItemView.first_at, ItemView.access_id)
    )
    for item_id, name, email, first_at, last_at in rows:
        found[item_id].append(Opening(name, email, first_at, last_at))
    return found
