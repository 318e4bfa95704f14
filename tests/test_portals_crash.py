"""A job whose worker is killed with kill -9 goes on in the next one: no row is lost, done twice or half done."""

from __future__ import annotations

import signal
import sqlite3
import time
from pathlib import Path

import pytest
from flask import Flask

from invites import bulk
from invites.bulk import Target
from invites.portals import PortalQuery
from mail import outbox
from models import JobAction, unit_of_work
from tests.portal import view_of
from tests.support.live import Live, _environment
from tests.support.many import many_clients
from tests.support.world import World, make_world

pytestmark = [pytest.mark.one_database]

MANY = 900


@pytest.fixture
def job_id(app: Flask) -> str:
    """A job over many clients, each with one contact."""
    world: World = make_world(app)
    many_clients(world, MANY)
    with app.app_context(), unit_of_work():
        outbox.hold()  # sending the mails is not what is looked at here
        job = bulk.start(view_of(world), JobAction.INVITE, Target(PortalQuery(without=True)), {})
        return job.id


def counted(path: Path, query: str) -> int:
    with sqlite3.connect(path, timeout=30) as connection:
        found: int = connection.execute(query).fetchone()[0]
    connection.close()
    return found


def test_killed_in_the_middle(app: Flask, job_id: str, data_dir: Path) -> None:
    path = data_dir / "portal.sqlite3"
    key = {"SECRET_KEY": app.config["PORTAL"].secret_key, "DATABASE_URL": f"sqlite:///{path}"}
    done = "SELECT done FROM job"

    def worker(name: str, failpoint: str = "") -> Live:
        more = {"PORTAL_FAILPOINT": failpoint} if failpoint else {}
        live = Live("http://localhost", data_dir, _environment(data_dir, key | more))
        live.start(name, "--data", str(data_dir), "worker")
        return live

    first = worker("first", "job.after_batch:kill")  # dies with the batch worked and not committed
    assert first.processes["first"].wait(60) == -signal.SIGKILL
    first.processes.clear()
    assert counted(path, done) == 0
    assert counted(path, "SELECT count(*) FROM invite") == 0

    # Killed from outside somewhere in the middle: after one batch there are twelve seconds to do so.
    second = worker("second", "job.after_batch:sleep=3")
    ends = time.monotonic() + 60
    while not counted(path, done) and time.monotonic() < ends:
        time.sleep(0.05)
    second.stop("second", signal.SIGKILL)
    half = counted(path, done)
    assert 0 < half < MANY
    assert counted(path, "SELECT count(*) FROM invite") == half
    assert counted(path, "SELECT count(*) FROM job_item WHERE outcome = 'done'") == half

    third = worker("third")
    try:
        ends = time.monotonic() + 90
        while counted(path, done) < MANY and time.monotonic() < ends:
            time.sleep(0.2)
    finally:
        third.stop("third")
    assert counted(path, "SELECT count(*) FROM job WHERE state = 'done'") == 1
    assert counted(path, "SELECT count(*) FROM job_item WHERE outcome = 'done'") == MANY
    assert counted(path, "SELECT count(*) FROM invite") == MANY
    assert counted(path, "SELECT count(DISTINCT client_id) FROM invite") == MANY
    assert counted(path, "SELECT count(*) FROM outbox WHERE kind = 'invite'") == MANY
