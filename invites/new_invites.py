"""New invites: the rows of many at once, for one client or for hundreds.

Nobody touches these rows again in the same request, so they go to the database without becoming objects first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

import config
from invites import schedule
from invites.invitees import Invitee
from invites.lifecycle import Occasion, expiry, mail_to, token_row
from invites.orders import InviteOrder
from mail import outbox
from models import (
    Invite,
    InviteItem,
    InviteState,
    InviteToken,
    append_events,
    db,
    insert_rows,
    new_id,
    utc_now,
)
from models.failpoints import reach


def insert_invites(
    order: InviteOrder, asked: Sequence[tuple[Occasion, Invitee]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Insert pending invites with tokens, items, events and mails, for any number of clients in the same statements.

    Only those that nobody else inserted meanwhile come back: (client, address) -> the invite's columns.
    """
    if not asked:
        return {}
    db.session.flush()  # what they point at comes first
    occasions = {occasion.client.id: occasion for occasion, _ in asked}
    shared = {client_id: _shared(occasion, order) for client_id, occasion in occasions.items()}
    rows = _insert(
        [
            shared[occasion.client.id]
            | {
                "id": new_id(),
                "contact_id": person.contact_id,
                "email": person.address.key,
                "email_display": person.address.display,
                "name": person.name,
                "scope": person.scope,
            }
            for occasion, person in asked
        ]
    )
    reach("invite.after_insert")
    insert_rows(InviteToken, [token_row(row["id"], row["generation"]) for row in rows])
    insert_rows(
        InviteItem,
        [
            {"invite_id": row["id"], "item_id": item.id, "created_at": row["created_at"]}
            for row in rows
            for item in occasions[row["client_id"]].items
        ],
    )
    append_events([occasions[row["client_id"]].event("invite_created", row["id"]) for row in rows])
    outbox.enqueue_many(
        [
            mail_to(
                occasions[row["client_id"]],
                row["id"],
                row["generation"],
                row["email"],
                row["name"],
                order.message,
                due_at=row["created_at"],
            )
            for row in rows
        ]
    )
    return {(row["client_id"], row["email"]): row for row in rows}


def _insert(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Insert invites; those that came in, where somebody else has a pending one of the same address by now."""
    if insert_rows(Invite, rows, leave_out_taken=True) == len(rows):
        return rows
    ids = [row["id"] for row in rows]
    there = set(db.session.scalars(sa.select(Invite.id).where(Invite.id.in_(ids))))
    return [row for row in rows if row["id"] in there]


def _shared(occasion: Occasion, order: InviteOrder) -> dict[str, Any]:
    """The columns that all invites of one occasion have in common."""
    now = utc_now()
    firm = occasion.member.firm
    days = order.expires_in_days or firm.invite_days or config.current().invite_days
    ends = expiry(now, days, occasion.items, firm.time_zone, order.access_ends_at)
    template_id, template_name = order.template or (None, "")
    return {
        "firm_id": occasion.client.firm_id,
        "client_id": occasion.client.id,
        "state": InviteState.PENDING,
        "workflow": occasion.workflow,
        "message": order.message,
        "template_id": template_id,
        "template_name": template_name,
        "access_ends_at": order.access_ends_at,
        "metadata": dict(order.extra),
        "invited_by_id": occasion.member.id,
        "created_at": now,
        "last_asked_at": now,
        "expires_in_days": days,
        "expires_at": ends,
        "reminds": True,
        "remind_at": schedule.next_look(now, ends, schedule.days_of(firm), now),
        "generation": 1,
        "sends": 1,
        "ended_reason": "",
    }
