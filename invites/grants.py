"""Grants: which access may see which item, beyond what its scope shows anyway."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from models import ItemGrant, WorkItem, db, insert_rows, utc_now


def grant_items(access_ids: Collection[str], items: Iterable[WorkItem]) -> None:
    """Let each access see each of `items`; those it sees by grant already are left as they are."""
    ids = [item.id for item in items]
    if not ids or not access_ids:
        return
    db.session.flush()
    there = {
        (row.access_id, row.item_id)
        for row in db.session.execute(
            sa.select(ItemGrant.access_id, ItemGrant.item_id).where(
                ItemGrant.access_id.in_(access_ids), ItemGrant.item_id.in_(ids)
            )
        )
    }
    now = utc_now()
    insert_rows(
        ItemGrant,
        [
            {"access_id": access_id, "item_id": item_id, "created_at": now}
            for access_id in access_ids
            for item_id in ids
            if (access_id, item_id) not in there
        ],
    )
