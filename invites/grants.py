"""Grants: which access may see which item, beyond what its scope shows anyway."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from models import ItemGrant, PortalAccess, WorkItem, db, utc_now


def grant_items(access: PortalAccess, items: Iterable[WorkItem]) -> None:
    """Let `access` see each of `items`; those it sees by grant already are left as they are."""
    ids = [item.id for item in items]
    if not ids:
        return
    there = set(
        db.session.scalars(
            sa.select(ItemGrant.item_id).where(ItemGrant.access_id == access.id, ItemGrant.item_id.in_(ids))
        )
    )
    db.session.add_all(
        ItemGrant(item_id=item_id, access_id=access.id, created_at=utc_now())
        for item_id in ids
        if item_id not in there
    )
