"""Some rows of a job, as an action of `bulk_run.py` gets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from invites.scope import FirmView
from models import Job, JobItem


@dataclass(frozen=True)
class Batch:
    """Rows of one job, with the view of the member who asked for it."""

    view: FirmView
    job: Job
    items: Sequence[JobItem]

    @property
    def message(self) -> str:
        """The personal message, perhaps empty."""
        return str(self.job.params.get("message", ""))

    @property
    def template(self) -> tuple[str, str] | None:
        """Id and name of the message template whose text was inserted."""
        found = self.job.params.get("template")
        return (found[0], found[1]) if found else None

    @property
    def days(self) -> int | None:
        """How long links work; None for the firm's own."""
        return self.job.params.get("days")

    @property
    def actor(self) -> str:
        """For the event log."""
        return f"member:{self.view.member.id}"
