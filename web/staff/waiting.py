"""What waits on clients: over all clients a member sees, what is stuck, each kind in one query.

Bounced and unsent invites, expired and declined ones that nobody followed up, work that is overdue, and work that
nobody opened. The newest fifty of each, each along an index in its order; the lists of Manage Client Portals hold the
rest, and the rows derived for these say here, too, whose mail bounced and whose invite expired.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import aliased, joinedload

from invites.portals import in_stage
from invites.scope import FirmView
from models import (
    AccessState,
    Client,
    Invite,
    InviteState,
    ItemView,
    PortalAccess,
    PortalPerson,
    Stage,
    WorkItem,
    db,
    utc_now,
)

EACH = 50
UNOPENED_AFTER = timedelta(days=2)
DECLINED_FOR = timedelta(days=30)


@dataclass(frozen=True)
class Waiting:
    """One line: who or what, why, and the row behind it."""

    kind: str  # bounced, not_sent, expired, declined, overdue, unopened
    client: Client
    at: datetime | date
    invite: Invite | None = None
    item: WorkItem | None = None


def waiting_on_clients(view: FirmView) -> list[Waiting]:
    """Everything that is stuck, the most urgent kind first."""
    now = utc_now()
    lines = [
        Waiting(kind, invite.client, invite.last_asked_at, invite=invite)
        for kind, stage in (("bounced", Stage.BOUNCED), ("not_sent", Stage.MAIL_FAILED))
        for invite in _undelivered(view, stage)
    ]
    lines += [Waiting("overdue", item.client, item.due_on or now, item=item) for item in _overdue(view)]
    lines += [
        Waiting("expired", invite.client, invite.expires_at, invite=invite) for invite in _expired(view, now)
    ]
    lines += [
        Waiting("declined", invite.client, invite.ended_at or now, invite=invite)
        for invite in _declined(view, now)
    ]
    lines += [
        Waiting("unopened", item.client, item.sent_at or now, item=item) for item in _unopened(view, now)
    ]
    return lines


def no_access(invite: type[Invite]) -> sa.ColumnElement[bool]:
    """The invited address has no access to that client by now."""
    return ~sa.exists().where(
        PortalAccess.client_id == invite.client_id,
        PortalAccess.email == invite.email,
        PortalAccess.state != AccessState.REMOVED,
    )


def newest(invite: type[Invite]) -> sa.ColumnElement[bool]:
    """No later invite of the same address to the same client."""
    later = aliased(Invite)
    return ~sa.exists().where(
        later.client_id == invite.client_id,
        later.email == invite.email,
        sa.tuple_(later.created_at, later.id) > sa.tuple_(invite.created_at, invite.id),
    )


def _undelivered(view: FirmView, stage: Stage) -> list[Invite]:
    return _people(view, stage, PortalPerson.since)


def _expired(view: FirmView, now: datetime) -> list[Invite]:
    return _people(view, Stage.INVITED, PortalPerson.expires_at, PortalPerson.expires_at <= now)


def _people(view: FirmView, stage: Stage, order: Any, *conditions: sa.ColumnElement[bool]) -> list[Invite]:
    """The latest invites, by `order`, of those who are in this stage."""
    some = (
        view.portal_people()
        .where(in_stage(stage), *conditions)
        .order_by(order.desc(), PortalPerson.id.desc())
        .limit(EACH)
        .with_only_columns(PortalPerson.invite_id, order.label("place"))
        .subquery()
    )
    statement = sa.select(Invite).join(some, some.c.invite_id == Invite.id).order_by(some.c.place.desc())
    return _invites(statement)


def _declined(view: FirmView, now: datetime) -> list[Invite]:
    statement = view.invites().where(
        Invite.state == InviteState.DECLINED,
        Invite.ended_at > now - DECLINED_FOR,
        newest(Invite),
        no_access(Invite),
    )
    return _invites(statement.order_by(Invite.ended_at.desc()))


def _invites(statement: sa.Select[Invite]) -> list[Invite]:
    return list(db.session.scalars(statement.options(joinedload(Invite.client)).limit(EACH)).unique())


def _overdue(view: FirmView) -> list[WorkItem]:
    today = utc_now().astimezone(ZoneInfo(view.member.firm.time_zone)).date()
    statement = view.items().where(WorkItem.open.is_(True), WorkItem.due_on < today).order_by(WorkItem.due_on)
    return _items(statement)


def _unopened(view: FirmView, now: datetime) -> list[WorkItem]:
    """Work that asks something of the client, was sent a while ago, and was opened by nobody."""
    today = now.astimezone(ZoneInfo(view.member.firm.time_zone)).date()
    statement = view.items().where(
        WorkItem.open.is_(True),
        WorkItem.visible.is_(True),
        WorkItem.sent_at < now - UNOPENED_AFTER,
        sa.or_(WorkItem.due_on.is_(None), WorkItem.due_on >= today),
        ~sa.exists().where(ItemView.item_id == WorkItem.id),
    )
    return _items(statement.order_by(WorkItem.sent_at.desc()))


def _items(statement: sa.Select[WorkItem]) -> list[WorkItem]:
    return list(db.session.scalars(statement.options(joinedload(WorkItem.client)).limit(EACH)).unique())
