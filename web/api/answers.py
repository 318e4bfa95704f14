"""Rows as the API's answers. Each takes many rows and asks the database a fixed number of times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Bundle

from invites.access_until import day_of
from invites.orders import InviteResult
from invites.standing import StandingKey, decide, standings_of
from invites.step import InviteStep
from mail import outbox
from models import (
    Client,
    Invite,
    InviteItem,
    InviteState,
    Login,
    MailState,
    Outbox,
    PortalAccess,
    TeamMember,
    WorkItem,
    db,
    utc_now,
)
from models.among import among
from schemas.answers import ItemAnswer
from web.who import current_member
from workflows.registry import Workflow


def invites(ids: Sequence[str]) -> list[dict[str, Any]]:
    """Invites in the order of their ids, with their client's name, items, standing and delivery."""
    rows, items, zone = _rows(ids), _items(ids), current_member().firm.time_zone
    clients, emails = {row.client_id for row in rows.values()}, {row.email for row in rows.values()}
    found = standings_of(clients, emails, zone)
    keys = {one: found[row.client_id, row.email].key for one, row in rows.items()}
    return [_invite(rows[one], keys[one], items[one], zone) for one in ids]


def results(
    outcomes: Sequence[InviteResult], client: Client, work: Sequence[WorkItem] = ()
) -> list[dict[str, Any]]:
    """What came of each recipient, with the invite where there is one; `work` is what they were invited to.

    An invite that was made just now is shown as it was written. The others are pending too, so each is its address's
    newest one, and the address has no access: the standing follows from the row and its mail.
    """
    ids = list({result.invite_id for result in outcomes if result.invite_id and result.made is None})
    member = current_member()
    items, now, zone = _items(ids), utc_now(), member.firm.time_zone
    shown = {
        one: _invite(row, decide(row.email, None, row, row.mail, now, zone).key, items[one], zone)
        for one, row in _rows(ids).items()
    }
    links = [{"type": item.workflow, "id": item.id, "title": item.title} for item in work]
    for result in outcomes:
        if result.made is not None:
            row = _made(result.made, client, member)
            shown[result.made["id"]] = _invite(row, StandingKey.INVITED, links, zone)
    return [
        {
            "email": result.email,
            "outcome": result.outcome.value,
            "reason": result.reason,
            "invite": shown[result.invite_id] if result.invite_id else None,
        }
        for result in outcomes
    ]


def _made(row: Mapping[str, Any], client: Client, member: TeamMember) -> SimpleNamespace:
    """An invite of this very request in the form of `_rows`, which needn't be asked for it."""
    waiting = SimpleNamespace(
        state=MailState.QUEUED, attempts=0, sent_at=None, due_at=row["created_at"], error=""
    )
    return SimpleNamespace(
        **row,
        extra=row["metadata"],
        ended_at=None,
        client_name=client.name,
        inviter_name=member.login.name,
        inviter_email=member.login.email_display,
        mail=waiting,
    )


def _invite(row: Any, standing: StandingKey, items: list[dict[str, str]], zone: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "client_id": row.client_id,
        "client_name": row.client_name,
        "email": row.email_display,
        "name": row.name,
        "state": row.state.value,
        "expired": row.state is InviteState.PENDING and row.expires_at <= utc_now(),
        "standing": standing.value,
        "workflow": row.workflow,
        "items": items,
        "message": row.message,
        "metadata": row.extra,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "accepted_at": row.ended_at if row.state is InviteState.ACCEPTED else None,
        "invited_by": {"name": row.inviter_name or row.inviter_email, "email": row.inviter_email},
        "access_until": day_of(row.access_ends_at, zone),
        "template": row.template_name or None,
        "sends": row.sends,
        "delivery": _delivery(row.mail),
    }


def _delivery(mail: Any) -> dict[str, Any] | None:
    if mail.state is None:
        return None
    waits = mail.state in {MailState.QUEUED, MailState.SENDING}
    return {
        "state": mail.state.value,
        "attempts": mail.attempts,
        "sent_at": mail.sent_at,
        "next_attempt_at": mail.due_at if waits else None,
        "error": mail.error or None,
    }


def _rows(ids: Sequence[str]) -> dict[str, Any]:
    """What is shown of invites, as plain rows: an answer of a thousand needs no objects."""
    return {row.id: row for row in db.session.execute(_INVITES, {"ids": ids})} if ids else {}


def _items(ids: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    items: dict[str, list[dict[str, str]]] = defaultdict(list)
    if ids:
        for invite_id, workflow, item_id, title in db.session.execute(_ITEMS, {"ids": ids}):
            items[invite_id].append({"type": workflow, "id": item_id, "title": title})
    return items


_INVITES = (
    sa.select(
        Invite.id,
        Invite.client_id,
        Invite.email,
        Invite.email_display,
        Invite.name,
        Invite.state,
        Invite.workflow,
        Invite.message,
        Invite.extra,
        Invite.created_at,
        Invite.expires_at,
        Invite.ended_at,
        Invite.access_ends_at,
        Invite.template_name,
        Invite.sends,
        Client.name.label("client_name"),
        Login.name.label("inviter_name"),
        Login.email_display.label("inviter_email"),
        Bundle("mail", Outbox.state, Outbox.attempts, Outbox.sent_at, Outbox.due_at, Outbox.error),
    )
    .join(Client, Client.id == Invite.client_id)
    .join(TeamMember, TeamMember.id == Invite.invited_by_id)
    .join(Login, Login.id == TeamMember.login_id)
    .outerjoin(Outbox, Outbox.id == outbox.latest_of(Invite.id))
    .where(among(Invite.id))
)
_ITEMS = (
    sa.select(InviteItem.invite_id, WorkItem.workflow, WorkItem.id, WorkItem.title)
    .join(WorkItem, WorkItem.id == InviteItem.item_id)
    .where(among(InviteItem.invite_id))
    .order_by(InviteItem.created_at, WorkItem.id)
)


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


def sent(
    workflow: Workflow, client: Client, rows: Sequence[WorkItem], outcomes: Sequence[InviteResult]
) -> dict[str, Any]:
    """The (first) work item that was sent, in its final form, with what came of each recipient."""
    (item, *_) = items(workflow, rows)
    return {**_SENT.dump(item), "invite_results": results(outcomes, client, rows)}


_SENT = ItemAnswer(exclude=["invite_results"])


def items(workflow: Workflow, rows: Sequence[WorkItem]) -> list[dict[str, Any]]:
    """Work items with their workflow's own fields."""
    own = workflow.api_fields_of(list(rows))
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
