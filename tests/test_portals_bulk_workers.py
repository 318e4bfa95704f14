"""Bulk jobs on several workers at once: each row is done exactly once, and progress never runs backwards.

Three colleagues invite the same 500 clients at the same moment, each by a job of their own, so that the workers meet at
every row. On PostgreSQL the workers are processes, and one of them is killed with kill -9 while it holds a batch; on
SQLite, where one process serves all, they are threads.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

import tasks
from invites import bulk
from invites.bulk import Target
from invites.portals import PortalQuery
from mail import outbox
from models import (
    ApiToken,
    Event,
    Invite,
    Job,
    JobAction,
    JobItem,
    JobState,
    MailKind,
    Outbox,
    RowOutcome,
    db,
    unit_of_work,
)
from models.api_token import hash_of_token
from tests.portal import view_of
from tests.support.drill import wait_until, workers
from tests.support.many import many_clients
from tests.support.world import World, make_world

MANY, JOBS = 500, 3
TOKEN = "pi_the token of who looks at the progress"


@pytest.fixture
def jobs(app: Flask) -> list[str]:
    """Three jobs that want the same; the mails rest, as sending them is not what is looked at here."""
    world: World = make_world(app)
    many_clients(world, MANY)
    with app.app_context(), unit_of_work() as session:
        outbox.hold()
        session.add(ApiToken(team_member_id=world.admin_id, name="test", token_hash=hash_of_token(TOKEN)))
    ids = []
    for _ in range(JOBS):
        with app.app_context(), unit_of_work():
            target = Target(PortalQuery(without=True))
            ids.append(bulk.start(view_of(world), JobAction.INVITE, target, {}).id)
    return ids


@pytest.mark.settings(RATE_LIMITS="false")
def test_each_row_is_done_once_whoever_works(
    app: Flask, backend: str, jobs: list[str], settings: dict[str, Any], tmp_path: Path
) -> None:
    crew = threads(app) if backend == "sqlite" else processes(app, jobs, settings, tmp_path)
    with crew as told:
        wait_until(Progress(app, jobs), 120, told)
    with app.app_context():
        assert set(db.session.scalars(sa.select(Job.state))) == {JobState.DONE}
        assert set(db.session.scalars(sa.select(Job.done))) == {MANY}
        outcomes = db.session.execute(sa.select(JobItem.client_id, JobItem.outcome)).all()
        done = Counter(client_id for client_id, outcome in outcomes if outcome is RowOutcome.DONE)
        assert len(done) == MANY
        assert set(done.values()) == {1}
        assert Counter(outcome for _, outcome in outcomes) == {
            RowOutcome.DONE: MANY,
            RowOutcome.SKIPPED: (JOBS - 1) * MANY,
        }
        invited = list(db.session.scalars(sa.select(Invite.client_id)))
        assert len(invited) == len(set(invited)) == MANY
        mailed = list(db.session.scalars(sa.select(Outbox.invite_id).where(Outbox.kind == MailKind.INVITE)))
        assert len(mailed) == len(set(mailed)) == MANY
        events = sa.select(sa.func.count()).where(Event.name == "invite_created")
        assert db.session.scalar(events) == MANY


class Progress:
    """What the page with the bar asks again and again: whether all is done; fails where a bar ran backwards."""

    def __init__(self, app: Flask, jobs: list[str]) -> None:
        self.client, self.seen = app.test_client(), dict.fromkeys(jobs, 0)

    def __call__(self) -> bool:
        for job_id, before in self.seen.items():
            answer = self.client.get(f"/api/v1/jobs/{job_id}", headers={"Authorization": f"Bearer {TOKEN}"})
            job = answer.get_json()
            assert before <= job["done"] <= job["total"] == MANY, (before, job)
            self.seen[job_id] = job["done"]
        return all(done == MANY for done in self.seen.values())


@contextmanager
def threads(app: Flask) -> Iterator[Callable[[], str]]:
    """Three threads of one process, begun at once."""
    together = threading.Barrier(JOBS, timeout=60)

    def work() -> None:
        with app.app_context():
            together.wait()
            tasks.run_jobs()

    crew = [threading.Thread(target=work) for _ in range(JOBS)]
    for one in crew:
        one.start()
    yield str
    for one in crew:
        one.join(60)


@contextmanager
def processes(
    app: Flask, jobs: list[str], settings: dict[str, Any], folder: Path
) -> Iterator[Callable[[], str]]:
    """One worker stands still with its first batch done and not committed; two more come, wait for it, and it is killed."""
    with workers(settings, folder) as crew:
        first = crew.start(PORTAL_FAILPOINT="job.after_batch:sleep=600")
        wait_until(lambda: free(app) == JOBS - 1, 60, crew.log)
        crew.start()
        crew.start()
        wait_until(lambda: waiting(app) > 0, 60, crew.log)
        crew.kill(first)
        yield crew.log


def free(app: Flask) -> int:
    """How many open jobs nobody holds at this moment."""
    with app.app_context():
        open_jobs = sa.select(Job.id).where(Job.state.in_([JobState.QUEUED, JobState.RUNNING]))
        found = len(db.session.scalars(open_jobs.with_for_update(of=Job, skip_locked=True)).all())
        db.session.rollback()
        return found


def waiting(app: Flask) -> int:
    """How many workers wait for the rows of another."""
    with app.app_context():
        asked = sa.text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        found = int(db.session.scalar(asked) or 0)
        db.session.rollback()
        return found
