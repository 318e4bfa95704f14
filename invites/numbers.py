"""How invites do: by workflow, how many were sent and accepted, and after how many days. Reads only."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from invites.scope import FirmView
from models import Invite, InviteState, db, utc_now

DAYS = 90
SAMPLE = 5000  # the newest accepted invites, of which the median is taken


@dataclass(frozen=True)
class Acceptance:
    """One workflow's numbers. `median_days` is None where nobody has accepted."""

    workflow: str
    sent: int
    accepted: int
    median_days: float | None

    @property
    def percent(self) -> int:
        """How many of a hundred were accepted."""
        return round(100 * self.accepted / self.sent) if self.sent else 0


def acceptance(view: FirmView, days: int = DAYS) -> list[Acceptance]:
    """The numbers of the invites made within the last `days`, the workflow with the most first."""
    since = utc_now() - timedelta(days=days)
    recent = view.invites().where(Invite.created_at >= since)
    counted = recent.with_only_columns(Invite.workflow, Invite.state, sa.func.count())
    sent: dict[str, int] = defaultdict(int)
    accepted: dict[str, int] = defaultdict(int)
    for workflow, state, number in db.session.execute(counted.group_by(Invite.workflow, Invite.state)):
        sent[workflow] += number
        accepted[workflow] += number if state is InviteState.ACCEPTED else 0
    waits = _waits(recent)
    found = [
        Acceptance(
            workflow,
            sent[workflow],
            accepted[workflow],
            statistics.median(waits[workflow]) if waits.get(workflow) else None,
        )
        for workflow in sent
    ]
    return sorted(found, key=lambda one: (-one.sent, one.workflow))


def _waits(recent: sa.Select[Invite]) -> dict[str, list[float]]:
    """Days from invite to accept, by workflow."""
    rows = db.session.execute(
        recent.where(Invite.state == InviteState.ACCEPTED, Invite.ended_at.is_not(None))
        .with_only_columns(Invite.workflow, Invite.created_at, Invite.ended_at)
        .order_by(Invite.created_at.desc())
        .limit(SAMPLE)
    )
    waits: dict[str, list[float]] = defaultdict(list)
    for workflow, made, ended in rows:
        if ended is not None:
            waits[workflow].append(_days(made, ended))
    return waits


def _days(made: datetime, ended: datetime) -> float:
    return (ended - made).total_seconds() / 86400
