"""The queue of a fleet: two machines on one PostgreSQL, or on one Redis, and a queue that goes away."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask

import background
import config
from models import after_commit, unit_of_work
from tests.support.outside import running_redis
from tests.support.post import post_office
from tests.support.postgres import Cluster
from tests.support.together import crowd

NOON = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)


@pytest.fixture(params=[pytest.param("postgresql", marks=pytest.mark.postgres), "redis"])
def machines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Flask, Flask]]:
    """Two applications with folders of their own and one queue."""
    with contextlib.ExitStack() as stack:
        if request.param == "redis":
            url = stack.enter_context(running_redis())
        else:
            cluster = request.getfixturevalue("cluster")
            name = f"fleet_{cluster.worker}"
            url = cluster.create(name)
            stack.callback(cluster.drop, name)
        first, second = (
            stack.enter_context(post_office(tmp_path / name, QUEUE_URL=url)) for name in ("a", "b")
        )
        yield first, second


def queued(app: Flask) -> int:
    return int(background._of(app).huey.storage.queue_size())


def test_what_one_machine_commits_wakes_the_other(machines: tuple[Flask, Flask]) -> None:
    web, worker = machines
    ran, woken = [], threading.Event()

    def look() -> None:
        ran.append(1)
        woken.set()

    for app in machines:
        background.on_wake(app, "mail", look)
    background.start(worker)
    assert woken.wait(60)  # the sweep at the start
    woken.clear()
    with web.app_context(), unit_of_work():
        after_commit(background.wake, "mail")
    assert woken.wait(30)  # long before the next sweep
    assert queued(web) == 0


def test_many_wake_ups_of_both_are_one_task(machines: tuple[Flask, Flask]) -> None:
    for app in machines:
        background.on_wake(app, "mail", lambda: None)
    for app in machines * 10:
        with app.app_context():
            background.wake("mail")
    assert queued(machines[0]) == 1


def test_periodic_work_is_asked_for_once_whoever_runs_it(machines: tuple[Flask, Flask]) -> None:
    schedulers = []
    for app in machines:
        background.every(app, "reminders", 10, lambda: None)
        huey = background._of(app).huey
        huey.background = background._of(app)
        schedulers.append(background._Scheduler(huey, threading.Event(), 1, True))
    found = []
    for minute in (0, 1, 10, 11, 20):
        with time_machine.travel(NOON + timedelta(minutes=minute), tick=False):
            for scheduler in [*schedulers, *schedulers]:
                scheduler.enqueue_periodic_tasks(None)
        found.append(queued(machines[0]))
    assert found == [1, 1, 2, 2, 3]


@pytest.mark.postgres
def test_machines_that_start_at_once_on_an_empty_database_all_start(cluster: Cluster, tmp_path: Path) -> None:
    name = f"queue_{cluster.worker}"
    settings = config.load({"PORTAL_DATA_DIR": tmp_path, "QUEUE_URL": cluster.create(name)})
    with crowd(8) as machines:
        found = machines.at_once([lambda: background._open(settings).storage.queue_size()] * 8)
    cluster.drop(name)
    assert found == [0] * 8


def test_a_queue_that_is_gone_harms_no_commit(tmp_path: Path) -> None:
    queue = contextlib.ExitStack()
    url = queue.enter_context(running_redis())
    done: list[str] = []
    with queue, post_office(tmp_path, QUEUE_URL=url) as app, app.app_context():
        background.on_wake(app, "mail", lambda: None)
        background.wake("mail")
        background.check(app)
        queue.close()
        with unit_of_work():
            after_commit(background.wake, "mail")
            after_commit(done.append, "committed")
        assert done == ["committed"]
        with pytest.raises(Exception, match=r"refused|closed"):
            background.check(app)
