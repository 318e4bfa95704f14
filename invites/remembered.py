"""What the Client Portal window remembers: whom staff ticked last time, and for whom it is not to ask again.

Last time is kept per client and workflow, as addresses, because a typed person has no contact before Send. "Don't ask
again" is kept on the contact: the window doesn't open on this person's account any more, in no workflow, until
somebody ticks them again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from models import Client, Contact, TickedLastTime, db, utc_now


def ticked_last_time(client: Client, workflow: str) -> frozenset[str]:
    """The normalised addresses ticked when something of this workflow was last sent; empty before the first time."""
    emails = db.session.scalar(
        sa.select(TickedLastTime.emails).where(
            TickedLastTime.client_id == client.id, TickedLastTime.workflow == workflow
        )
    )
    return frozenset(emails or ())


def remember_ticked(client: Client, workflow: str, emails: Iterable[str]) -> None:
    """Keep whom staff ticked, within the open unit of work; an empty choice leaves the last one in place."""
    ticked = sorted(set(emails))
    if not ticked:
        return
    row = db.session.get(TickedLastTime, (client.id, workflow), with_for_update=True, populate_existing=True)
    if row is None:
        row = TickedLastTime(client_id=client.id, workflow=workflow)
        db.session.add(row)
    row.emails, row.changed_at = ticked, utc_now()


def dont_ask_for(client: Client, contact_ids: Collection[str]) -> None:
    """Ask for nobody of `contact_ids` again, and again for everybody else on the record; in a unit of work."""
    wanted = Contact.id.in_(contact_ids)
    db.session.execute(
        sa.update(Contact)
        .where(Contact.client_id == client.id, Contact.dont_ask != wanted)
        .values(dont_ask=wanted)
        .execution_options(synchronize_session=False)
    )
