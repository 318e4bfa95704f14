"""Rows as the API's answers. Each takes many rows and asks the database a fixed number of times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from invites.access_until import day_of
from invites.orders import InviteResult
from invites.standing import StandingKey, standings_of
from invites.step import InviteStep
from mail import outbox
from models import (
    Client,
    Invite,
    InviteItem,
    InviteState,
    MailState,
    Outbox,
    PortalAccess,
    WorkItem,
    db,
    utc_now,
)
from web.who import current_member
from workflows.registry import Workflow


def invites(rows: Sequence[Invite]) -> list[dict[str, Any]]:
    """Invites with their client's name, items, standing and delivery."""
    ids = [invite.id for invite in rows]
    clients = {invite.client_id for invite in rows}
    found_names = db.session.execute(sa.select(Client.id, Client.name).where(Client.id.in_(clients)))
    names = {row.id: row.name for row in found_names}
    items: dict[str, list[dict[str, str]]] = defaultdict(list)
    found = db.session.execute(
        sa.select(InviteItem.invite_id, WorkItem.workflow, WorkItem.id, WorkItem.title)
        .join(WorkItem, WorkItem.id == InviteItem.item_id)
        .where(InviteItem.invite_id.in_(ids))
        .order_by(InviteItem.created_at, WorkItem.id)
    )
    for invite_id, workflow, item_id, title in found:
        items[invite_id].append({"type": workflow, "id": item_id, "title": title})
    mails = outbox.delivery_of(ids)
    zone = current_member().firm.time_zone
    standings = standings_of(clients, {invite.email for invite in rows}, zone)
    now = utc_now()
    return [
        {
            "id": invite.id,
            "client_id": invite.client_id,
            "client_name": names.get(invite.client_id, ""),
            "email": invite.email_display,
            "name": invite.name,
            "state": invite.state.value,
            "expired": invite.is_expired(now),
            "standing": standings[invite.client_id, invite.email].key.value
            if (invite.client_id, invite.email) in standings
            else StandingKey.NO_INVITE.value,
            "workflow": invite.workflow,
            "items": items[invite.id],
            "message": invite.message,
            "metadata": invite.extra,
            "created_at": invite.created_at,
            "expires_at": invite.expires_at,
            "accepted_at": invite.ended_at if invite.state is InviteState.ACCEPTED else None,
            "invited_by": {"name": invite.invited_by.name, "email": invite.invited_by.login.email_display},
            "access_until": day_of(invite.access_ends_at, zone),
            "template": invite.template_name or None,
            "sends": invite.sends,
            "delivery": _delivery(mails.get(invite.id)),
        }
        for invite in rows
    ]


def _delivery(mail: Outbox | None) -> dict[str, Any] | None:
    if mail is None:
        return None
    waits = mail.state in {MailState.QUEUED, MailState.SENDING}
    return {
        "state": mail.state.value,
        "attempts": mail.attempts,
        "sent_at": mail.sent_at,
        "next_attempt_at": mail.due_at if waits else None,
        "error": mail.error or None,
    }


def results(outcomes: Sequence[InviteResult]) -> list[dict[str, Any]]:
    """What came of each recipient, with the invite where there is one."""
    rows = {result.invite.id: result.invite for result in outcomes if result.invite is not None}
    shown = dict(zip(rows, invites(list(rows.values())), strict=True))
    return [
        {
            "email": result.email,
            "outcome": result.outcome.value,
            "reason": result.reason,
            "invite": shown[result.invite.id] if result.invite is not None else None,
        }
        for result in outcomes
    ]


def accesses(rows: Sequence[PortalAccess]) -> list[dict[str, Any]]:
    """Who gets in, with their names."""
    zone, now = current_member().firm.time_zone, utc_now()
    return [
        {
            "id": access.id,
            "client_id": access.client_id,
            "email": access.portal_user.login.email_display,
            "name": access.portal_user.login.name,
            "state": access.state.value,
            "access_until": day_of(access.ends_at, zone),
            "ended": access.has_ended(now),
            "scope": access.scope.value,
            "last_login_at": access.last_login_at,
            "accepted_at": access.accepted_at,
        }
        for access in rows
    ]


def items(
    workflow: Workflow, rows: Sequence[WorkItem], outcomes: Sequence[InviteResult] | None = None
) -> list[Any]:
    """Work items with their workflow's own fields; `invite_results` only where something was sent."""
    own = workflow.api_fields_of(list(rows))
    sent: Mapping[str, Any] = {} if outcomes is None else {"invite_results": results(outcomes)}
    return [
        {
            "id": item.id,
            "type": item.workflow,
            "client_id": item.client_id,
            "title": item.title,
            "status": workflow.status(item),
            "due_on": item.due_on.isoformat() if item.due_on else None,
            "created_at": item.created_at,
            "sent_at": item.sent_at,
            "own": own[item.id],
            **sent,
        }
        for item in rows
    ]


def step(found: InviteStep) -> dict[str, Any]:
    """The Client Portal window's content."""
    return {
        "client_id": found.client.id,
        "workflow": found.workflow,
        "opens": found.opens,
        "people": [
            {
                "contact_id": person.contact_id,
                "name": person.name,
                "email": person.email or None,
                "shared_mailbox_with": person.shared_mailbox_with or None,
                "standing": person.standing.key.value,
                "standing_text": person.standing.label,
                "can_invite": person.can_invite,
                "preselected": person.ticked,
                "can_see": person.can_see_word,
            }
            for person in found.people
        ],
    }
