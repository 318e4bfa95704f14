"""An import as a job: its lines as a draft, what would come of each, and the confirmation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

import background
from invites import importing
from invites.importing import Line
from invites.scope import FirmView
from models import Job, JobAction, JobItem, JobState, RowOutcome, after_commit, db, new_id, utc_now

KEEP_DRAFTS = timedelta(hours=24)


def draft(view: FirmView, rows: Sequence[tuple[int, dict[str, str]]], name: str) -> Job:
    """Keep the lines of a file until they are confirmed. Raises PermissionMissing."""
    view.need_permission("import")
    job = Job(
        id=new_id(),
        firm_id=view.firm_id,
        member_id=view.member.id,
        action=JobAction.IMPORT,
        state=JobState.DRAFT,
        params={"file": name[:200]},
        total=len(rows),
        created_at=utc_now(),
    )
    db.session.add(job)
    db.session.flush()
    db.session.execute(
        sa.insert(JobItem),
        [
            {
                "job_id": job.id,
                "number": number,
                "who": (cells.get("contact") or cells.get("client") or "")[:320],
                "data": cells,
                "outcome": RowOutcome.WAITING,
                "reason": "",
            }
            for number, cells in rows
        ],
    )
    return job


def plan(view: FirmView, job: Job) -> list[tuple[int, dict[str, str], Line]]:
    """(line, cells, what would come of it), without writing anything."""
    statement = sa.select(JobItem).where(JobItem.job_id == job.id).order_by(JobItem.number)
    items = [(item.number, item.data or {}) for item in db.session.scalars(statement)]
    with db.session.no_autoflush:
        lines = list(importing.import_rows(view.member.firm, [cells for _, cells in items], view))
    db.session.rollback()  # forgets what the rehearsal made
    return [(number, cells, line) for (number, cells), line in zip(items, lines, strict=True)]


def confirm(job: Job) -> None:
    """Hand a draft to the worker, within the caller's unit of work."""
    job.state = JobState.QUEUED
    after_commit(background.wake, "jobs")


def drop_drafts(now: datetime) -> None:
    """Delete imports that nobody confirmed for a day."""
    old = sa.select(Job.id).where(Job.state == JobState.DRAFT, Job.created_at < now - KEEP_DRAFTS)
    db.session.execute(
        sa.delete(JobItem).where(JobItem.job_id.in_(old)).execution_options(synchronize_session=False)
    )
    db.session.execute(
        sa.delete(Job)
        .where(Job.state == JobState.DRAFT, Job.created_at < now - KEEP_DRAFTS)
        .execution_options(synchronize_session=False)
    )
