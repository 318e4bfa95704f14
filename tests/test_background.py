"""The queue: tasks in their context, wake-ups folded, periodic work once, and a process's signals left alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask, current_app

import background
from config import WrongSetting
from models import after_commit, unit_of_work, utc_now
from tests.support.live import PROJECT
from tests.support.post import both_kinds, plain_app


@pytest.fixture
def post(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    with both_kinds(backend, tmp_path, request) as app:
        yield app


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until `true()`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_a_commit_wakes_each_task_and_a_rollback_none(post: Flask) -> None:
    ran: list[str] = []
    background.on_wake(post, "mail", lambda: ran.append(f"mail of {current_app.name}"))
    background.on_wake(post, "facts", lambda: ran.append("facts"))
    background.start(post)
    until(lambda: sorted(ran) == ["facts", "mail of post"])  # the sweep at start
    ran.clear()
    with post.app_context():
        with pytest.raises(ZeroDivisionError), unit_of_work():
            after_commit(background.wake)
            raise ZeroDivisionError
        time.sleep(0.5)
        assert ran == []
        with unit_of_work():
            after_commit(background.wake)
    until(lambda: sorted(ran) == ["facts", "mail of post"])


def test_a_wake_up_by_name_runs_that_task_alone(post: Flask) -> None:
    ran: list[str] = []
    for name in ("mail", "facts", "jobs"):
        background.on_wake(post, name, lambda name=name: ran.append(name))
    background.start(post)
    until(lambda: sorted(ran) == ["facts", "jobs", "mail"])  # the sweep at start
    ran.clear()
    with post.app_context(), unit_of_work():
        for _ in range(3):
            after_commit(background.wake, "mail")
        after_commit(background.wake, "jobs")
        after_commit(background.wake, "unknown")
    until(lambda: sorted(ran) == ["jobs", "mail"])


def test_wake_ups_are_folded_and_none_is_lost(post: Flask) -> None:
    seen, asked, running, most = [0], [0], threading.Semaphore(1), []
    all_asked = threading.Event()

    def look() -> None:
        most.append(running.acquire(blocking=False))
        all_asked.wait(60)  # the first look is not over before all hundred have asked
        seen.append(asked[0])
        running.release()

    background.on_wake(post, "mail", look)
    background.start(post, threads=3)
    with post.app_context():
        for number in range(1, 101):
            asked[0] = number
            background.wake()
        all_asked.set()
        until(lambda: seen[-1] == 100)
    assert all(most)  # never twice at once
    assert len(seen) < 10


def test_a_wake_up_of_what_runs_here_runs_it_again_past_the_queue(post: Flask) -> None:
    ran: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def look() -> None:
        ran.append(len(ran))
        begun.set()
        go.wait(60)

    background.on_wake(post, "mail", look)
    background.start(post)
    assert begun.wait(60)
    with post.app_context():
        for _ in range(3):
            background.wake("mail")
        assert background._of(post).huey.storage.queue_size() == 0
        go.set()
        until(lambda: len(ran) == 2)
        time.sleep(0.3)
        assert len(ran) == 2


def test_a_wake_up_while_no_worker_runs_waits_for_it(post: Flask) -> None:
    ran: list[int] = []
    background.on_wake(post, "mail", lambda: ran.append(1))
    with post.app_context():
        for _ in range(5):
            background.wake()
    background.start(post)
    until(lambda: bool(ran))


# A worker that would not look into its queue by itself while the test lasts, nor sweep.
DEAF = """
import sys
from pathlib import Path
import background, bell
from tests.support.post import plain_app

bell.LOOKS_EVERY = background._Scheduler.periodic_task_seconds = 3600
app = plain_app(Path(sys.argv[1]))
background.on_wake(app, "mail", lambda: print("mail", flush=True))
background.start(app)
background.wait()
"""


@pytest.mark.one_database
def test_a_wake_up_from_another_process_is_heard_at_once(tmp_path: Path) -> None:
    app = plain_app(tmp_path)
    background.on_wake(app, "mail", lambda: None)
    with subprocess.Popen(
        [sys.executable, "-c", DEAF, str(tmp_path)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as worker:
        heard: list[str] = []
        listener = threading.Thread(target=lambda: heard.extend(iter(worker.stdout.readline, "")))
        listener.start()
        until(lambda: len(heard) == 1)  # the sweep at its start
        for number in (2, 3):
            background._of(app).wake("mail")
            until(lambda number=number: len(heard) == number)
        worker.kill()
        listener.join()
    background._of(app).wake("mail")  # nobody listens
    assert background._of(app).huey.storage.queue_size() == 1
    background._of(app).huey.storage.close()


def test_a_task_that_raises_harms_no_other(post: Flask) -> None:
    ran: list[int] = []

    def bad() -> None:
        raise RuntimeError("a bug")

    background.on_wake(post, "bad", bad)
    background.task(post, "job", lambda number: ran.append(number))
    background.start(post)
    with post.app_context():
        for number in range(3):
            background.wake()
            background.enqueue("job", number=number)
        until(lambda: sorted(ran) == [0, 1, 2])
        background.check(post)


def test_a_wake_up_can_be_asked_for_later(post: Flask) -> None:
    ran: list[float] = []
    background.on_wake(post, "mail", lambda: ran.append(time.monotonic()))
    background.start(post)
    until(lambda: len(ran) == 1)
    asked = time.monotonic()
    with post.app_context():
        background.wake_at(utc_now() + timedelta(seconds=0.5))
        background.wake_at(utc_now() + timedelta(hours=1))
    until(lambda: len(ran) == 2)
    assert ran[1] - asked > 0.4


def test_periodic_work_is_done_once_in_a_fleet(post: Flask) -> None:
    ran: list[str] = []
    first, second = (background.Background(post, post.config["PORTAL"]) for _ in range(2))
    for name, process in (("first", first), ("second", second)):
        process.add("tidy", lambda name=name: ran.append(name), minutes=1)
        scheduler = background._Consumer(process)._create_scheduler()
        scheduler.enqueue_periodic_tasks(None)
    tasks = []
    while task := first.huey.dequeue():
        tasks.append(task.name)
    assert tasks == ["tidy"]
    for process in (first, second):
        process.huey.storage.close()


def test_signals_stay_the_process_s_own_and_a_stop_is_quick(post: Flask) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    background.on_wake(post, "mail", lambda: None)
    background.start(post)
    time.sleep(0.3)
    assert {number: signal.getsignal(number) for number in before} == before
    begun = time.monotonic()
    background.stop(post)
    assert time.monotonic() - begun < background.STOP_SECONDS  # which it waits for what runs
    background.wait()  # nothing runs, so it returns


def test_a_long_task_sees_that_it_is_to_stop(post: Flask) -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        while not background.stopping():
            time.sleep(0.01)
        ended.set()

    background.on_wake(post, "long", work)
    background.start(post)
    assert begun.wait(30)
    background.stop(post)
    assert ended.is_set()


def test_names_are_taken_once_and_wrong_ones_refused(tmp_path: Path) -> None:
    app = plain_app(tmp_path)
    background.task(app, "job", lambda: None)
    with pytest.raises(ValueError, match="a task named 'job' already"):
        background.on_wake(app, "job", lambda: None)
    with pytest.raises(ValueError, match="every 61 minutes"):
        background.every(app, "odd", 61, lambda: None)
    with pytest.raises(WrongSetting, match="QUEUE_URL must begin with"):
        plain_app(tmp_path, QUEUE_URL="amqp://localhost")


def test_a_queue_file_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.sqlite3"
    app = plain_app(tmp_path, QUEUE_URL=f"sqlite:///{path}")
    background.check(app)
    assert path.exists()
    background._of(app).huey.storage.close()
