"""Many clients at once, written in bulk: for tests of what is done to hundreds of rows."""

from __future__ import annotations

import sqlalchemy as sa

from models import Client, Contact, unit_of_work, utc_now
from tests.support.world import World


def many_clients(world: World, number: int) -> list[str]:
    """So many clients, each with one contact that has an address. Their ids, in order."""
    ids = [f"{one:026}" for one in range(number)]
    shared = {"firm_id": world.firm_id, "created_at": utc_now()}
    with world.app.app_context(), unit_of_work() as session:
        session.execute(
            sa.insert(Client),
            [shared | {"id": one, "name": one, "name_key": one, "is_person": False} for one in ids],
        )
        session.execute(
            sa.insert(Contact),
            [
                shared
                | {
                    "id": f"c{one[1:]}", "client_id": one, "name": one, "name_key": one, "is_primary": True,
                    "email": f"p{int(one)}@x.example", "email_display": f"p{int(one)}@x.example",
                }
                for one in ids
            ],
        )  # fmt: skip
    return ids
