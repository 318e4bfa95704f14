"""A job: one action on many rows, carried out by the worker in batches.

The request that asks for it writes the job and its rows, in one statement however many there are, and answers at once.
The rows are the truth, as with mail: each batch is one unit of work that does the work and marks its rows together. A
worker that is killed therefore leaves no row half done, the next one goes on behind the last batch, and carrying a job
out twice does nothing the second time.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, id_column, link, state_column, utc_now


class JobAction(enum.StrEnum):
    """What is done to each row."""

    INVITE = "invite"  # rows are clients; their primary contacts are invited
    RESEND = "resend"
    REVOKE = "revoke"
    EXTEND = "extend"
    REMOVE = "remove"
    IMPORT = "import"  # rows are lines of a file


class JobState(enum.StrEnum):
    """Where a job is."""

    DRAFT = "draft"  # an import that was looked at and not yet confirmed
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


class RowOutcome(enum.StrEnum):
    """What came of one row."""

    WAITING = "waiting"
    DONE = "done"
    SKIPPED = "skipped"  # nothing had to be done: has access already, invited a moment ago, there already
    REFUSED = "refused"  # can't be done, and why
    FAILED = "failed"  # our fault; it is in the log


class Job(Base):
    """One action on many rows, for one team member."""

    __tablename__ = "job"
    __table_args__ = (
        sa.Index(
            "ix_job_open",
            "id",
            sqlite_where=sa.text("state IN ('queued', 'running')"),
            postgresql_where=sa.text("state IN ('queued', 'running')"),
        ),
        sa.Index("ix_job_member", "member_id", "id"),
    )

    id: Mapped[str] = id_column()
    firm_id: Mapped[str] = link("firm")
    member_id: Mapped[str] = link("team_member", index=False)
    action: Mapped[JobAction] = state_column(JobAction, name="action")
    state: Mapped[JobState] = state_column(JobState, JobState.QUEUED)
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)  # message, days, file name
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)  # rows dealt with, whatever came of them
    refused: Mapped[int] = mapped_column(default=0)  # of those: refused or failed
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    member: Mapped[Any] = relationship("TeamMember", lazy="joined", innerjoin=True)


class JobItem(Base):
    """One row of a job, with what came of it. `number` counts from 1; for an import it is the line of the file."""

    __tablename__ = "job_item"
    __table_args__ = (
        sa.Index(
            "ix_job_item_waiting",
            "job_id",
            "number",
            sqlite_where=sa.text("outcome = 'waiting'"),
            postgresql_where=sa.text("outcome = 'waiting'"),
        ),
    )

    job_id: Mapped[str] = link("job", primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str | None] = mapped_column(sa.String(26))
    invite_id: Mapped[str | None] = mapped_column(sa.String(26))
    access_id: Mapped[str | None] = mapped_column(sa.String(26))
    who: Mapped[str] = mapped_column(sa.String(320), default="")  # as it was when the job was asked for
    data: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))  # a line of a file
    outcome: Mapped[RowOutcome] = state_column(RowOutcome, RowOutcome.WAITING, "outcome")
    reason: Mapped[str] = mapped_column(sa.String(500), default="")
