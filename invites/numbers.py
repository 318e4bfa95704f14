"""How invites do: how many were sent and accepted, and after how many days; by workflow and by message template.

Reads only, and never more than the newest `MOST` invites, of which those of the last `DAYS` days count: the page costs
the same in a firm of twenty thousand invites as in one of half a million, and says so where it leaves some out.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from invites.scope import FirmView
from models import Invite, InviteState, MessageTemplate, db, utc_now

DAYS = 90
MOST = 20_000
SAMPLE = 5000  # the newest accepted invites, of which the median is taken


@dataclass(frozen=True)
class Acceptance:
    """One workflow's or template's numbers. `median_days` is None where nobody has accepted."""

    key: str  # a workflow's slug, a template's id; empty for invites without a template
    name: str  # a template's name; empty for workflows
    sent: int
    accepted: int
    median_days: float | None

    @property
    def percent(self) -> int:
        """How many of a hundred were accepted."""
        return round(100 * self.accepted / self.sent) if self.sent else 0


@dataclass(frozen=True)
class Numbers:
    """The page's numbers."""

    workflows: list[Acceptance]
    templates: list[Acceptance]  # empty where no invite was written with a template
    counted: int
    is_partial: bool  # there are more invites within the time than were counted


@dataclass(frozen=True)
class _Group:
    workflow: str
    template: str
    template_name: str = ""
    sent: int = 0
    accepted: int = 0


def acceptance(view: FirmView, days: int = DAYS, most: int = MOST) -> Numbers:
    """The numbers of the invites made within the last `days`, the group with the most first. Three queries."""
    since = utc_now() - timedelta(days=days)
    newest = (
        view.invites()
        .order_by(Invite.id.desc())
        .with_only_columns(
            Invite.workflow,
            sa.func.coalesce(Invite.template_id, "").label("template_id"),
            Invite.template_name,
            Invite.state,
            Invite.created_at,
            Invite.ended_at,
        )
        .limit(most + 1)
        .subquery()
    )
    recent = sa.select(newest).where(newest.c.created_at >= since).subquery()
    groups = _groups(recent)
    waits = _waits(recent)
    names = _names(view, groups)
    counted = sum(group.sent for group in groups)
    return Numbers(
        workflows=_rows(groups, waits, lambda group: group.workflow, {}),
        templates=_rows(groups, waits, lambda group: group.template, names) if names else [],
        counted=min(counted, most),
        is_partial=counted > most,
    )


def _groups(recent: Any) -> list[_Group]:
    column = recent.c
    accepted = sa.func.sum(sa.case((column.state == InviteState.ACCEPTED, 1), else_=0))
    rows = db.session.execute(
        sa.select(
            column.workflow,
            column.template_id,
            sa.func.max(column.template_name),
            sa.func.count(),
            accepted,
        ).group_by(column.workflow, column.template_id)
    )
    return [_Group(*row) for row in rows]


def _waits(recent: Any) -> list[tuple[_Group, float]]:
    """Days from invite to accept, with the group of each."""
    column = recent.c
    rows = db.session.execute(
        sa.select(column.workflow, column.template_id, column.created_at, column.ended_at)
        .where(column.state == InviteState.ACCEPTED, column.ended_at.is_not(None))
        .order_by(column.created_at.desc())
        .limit(SAMPLE)
    )
    return [(_Group(row.workflow, row.template_id), _days(row.created_at, row.ended_at)) for row in rows]


def _names(view: FirmView, groups: list[_Group]) -> dict[str, str]:
    """What the templates are called: by their name now; a deleted one by the name it had when it was inserted.

    A colleague's own templates are named as that, and no more.
    """
    used = {group.template: group.template_name for group in groups if group.template}
    if not used:
        return {}
    there = db.session.execute(
        sa.select(MessageTemplate.id, MessageTemplate.name, MessageTemplate.owner_id).where(
            MessageTemplate.firm_id == view.firm_id, MessageTemplate.id.in_(used)
        )
    )
    names = {
        row.id: row.name if row.owner_id in {None, view.member.id} else "A colleague's own template"
        for row in there
    }
    return {key: names.get(key, f"{name} (deleted)") for key, name in used.items()}


def _rows(
    groups: list[_Group],
    waits: list[tuple[_Group, float]],
    key_of: Callable[[_Group], str],
    names: dict[str, str],
) -> list[Acceptance]:
    sent: dict[str, int] = defaultdict(int)
    accepted: dict[str, int] = defaultdict(int)
    days: dict[str, list[float]] = defaultdict(list)
    for group in groups:
        sent[key_of(group)] += group.sent
        accepted[key_of(group)] += group.accepted
    for group, waited in waits:
        days[key_of(group)].append(waited)
    found = [
        Acceptance(
            key,
            names.get(key, ""),
            sent[key],
            accepted[key],
            statistics.median(days[key]) if key in days else None,
        )
        for key in sent
    ]
    return sorted(found, key=lambda one: (-one.sent, one.key))


def _days(made: datetime, ended: datetime) -> float:
    return (ended - made).total_seconds() / 86400
