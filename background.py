"""The queue behind the worker: Huey by URL, wake-ups, and the consumer that lives in a process of ours.

The rows are the truth (outbox, events), the queue only says "look now". So a wake-up that is lost costs a minute at
most, until the sweep, and a queue that is down never fails a request. Tasks are not defined here: `tasks.register(app)`
names them, in three kinds:

- `on_wake(app, name, function)`: runs after each commit that called `wake(name)`, at the worker's start and every
  minute. Wake-ups are folded while one waits; in one process it never runs twice at once.
- `every(app, name, minutes, function)`: periodic work, done once whoever runs it, in a fleet of workers too.
- `task(app, name, function)`: work that `enqueue(name, ...)` asks for, with plain arguments.

Each runs in an application context of its own. QUEUE_URL picks the engine; unset, it follows the database: a small
SQLite file beside ours (without fsync, since nothing in it is worth one), or tables in the same PostgreSQL. Each of
them wakes a worker in another process at once.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from datetime import datetime
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from flask import Flask, current_app

from later import kept_out, once_more, put_off

put_off("psycopg")  # Huey imports the driver on SQLite, too
import psycopg

with kept_out("redis"):  # and Redis's client wherever it is installed: 6 MB
    from huey import Huey, PostgresHuey, crontab
    from huey import storage as storages
    from huey.consumer import Consumer, Scheduler
    from huey.serializer import SignedSerializer

from bell import BellStorage
from config import Settings, WrongSetting
from models import utc_now
from models.event import after_appending

log = structlog.get_logger(__name__)

THREADS = 4  # mail, facts and whatever else waits at the same time
STOP_SECONDS = 10.0  # what a stop waits for what is running
DOWN_SECONDS = 1.0  # how often a queue that is down is asked
AGAIN_AFTER = 0.1  # seconds; what many ask for within them is done together


class Background:
    """One application's queue: what is registered, the Huey behind it, and the consumer if one runs here."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.on_wake: dict[str, _OneAtATime] = {}
        self.stopping = threading.Event()
        self.consumer: _Consumer | None = None
        self.thread: threading.Thread | None = None
        self._specs: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {}
        self._tasks: dict[str, Any] = {}
        self._huey: Huey | None = None
        self._pid = 0
        self._lock = threading.Lock()
        self._timer: tuple[datetime, threading.Timer] | None = None

    def add(self, name: str, function: Callable[..., Any], **options: Any) -> None:
        """Name a task. Raises ValueError where the name is taken."""
        if name in self._specs:
            raise ValueError(f"there is a task named {name!r} already")
        self._specs[name] = (function, options)

    @property
    def huey(self) -> Huey:
        """The Huey instance, opened when it is first needed and anew after a fork. Raises what its engine raises."""
        with self._lock:
            if self._huey is None or self._pid != os.getpid():
                huey = _open(self.settings)
                self._tasks = {name: self._add_to(huey, name, *spec) for name, spec in self._specs.items()}
                self._huey, self._pid = huey, os.getpid()
            return self._huey

    def _add_to(self, huey: Huey, name: str, function: Callable[..., Any], options: dict[str, Any]) -> Any:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            if name in self.on_wake:
                huey.storage.pop_data(_pending(name))  # from here on a wake-up is a new one
            with self.app.app_context():
                function(*args, **kwargs)

        if "minutes" in options:
            return huey.periodic_task(_schedule(options["minutes"]), name=name)(run)
        return huey.task(name=name)(run)

    def put(self, name: str, **arguments: Any) -> None:
        """Put one call of the task into the queue."""
        huey = self.huey
        huey.enqueue(self._tasks[name].s(**arguments))

    def wake(self, *names: str, sweep: bool = False) -> None:
        """Ask for the named tasks of the kind `on_wake`, or for all of them.

        One that runs in this process runs again, past the queue. `sweep` asks the queue all the same, and clears
        folding first, in case a worker died with it.
        """
        storage = self.huey.storage
        for name in [name for name in self.on_wake if name in names or not names]:
            if sweep:
                storage.pop_data(_pending(name))
            elif self.on_wake[name].nudge():
                continue
            if storage.put_if_empty(_pending(name), b"1"):
                self.put(name)

    def wake_at(self, moment: datetime) -> None:
        """Wake at `moment`, in this process: a retry that is due before the next sweep."""
        with self._lock:
            if self.stopping.is_set() or (
                self._timer and self._timer[0] <= moment and self._timer[1].is_alive()
            ):
                return
            if self._timer:
                self._timer[1].cancel()
            timer = threading.Timer(max((moment - utc_now()).total_seconds(), 0.05), _wake_safely, [self])
            timer.daemon = True
            timer.start()
            self._timer = (moment, timer)

    def end(self) -> None:
        """End the consumer and a `wake_at()`; what runs ends or gives its rows back."""
        self.stopping.set()
        with self._lock:
            if self._timer:
                self._timer[1].cancel()
        if self.consumer is not None and self.thread is not None:
            self.consumer.begun.wait(STOP_SECONDS)
            self.consumer.stop(graceful=True)
            self.thread.join(1)
        self.consumer = self.thread = None


def init_app(app: Flask) -> None:
    """Give the application its queue. Nothing is opened yet. Raises WrongSetting for a QUEUE_URL we can't use."""
    settings: Settings = app.config["PORTAL"]
    _engine(settings)
    app.extensions["background"] = Background(app, settings)
    after_appending(_wake_for_facts)


def on_wake(app: Flask, name: str, function: Callable[[], Any]) -> None:
    """Run `function` after each `wake(name)`, at the start and every minute; never twice at once in a process."""
    background = _of(app)
    once = _OneAtATime(function)
    background.add(name, once)
    background.on_wake[name] = once


def every(app: Flask, name: str, minutes: int, function: Callable[[], Any]) -> None:
    """Run `function` every so many minutes (1 to 59, or a multiple of 60), once whoever runs workers."""
    _schedule(minutes)
    _of(app).add(name, function, minutes=minutes)


def task(app: Flask, name: str, function: Callable[..., Any]) -> None:
    """Name a task for `enqueue()`."""
    _of(app).add(name, function)


def enqueue(name: str, **arguments: Any) -> None:
    """Ask the worker for one call of a task, with plain values. Call it after the commit (`after_commit`).

    Raises what the queue raises where it is down: work that must not be lost has a row of its own.
    """
    _of(current_app).put(name, **arguments)


def wake(*names: str) -> None:
    """Tell the worker that rows are waiting for the named tasks, or for all of them.

    Never raises: were it lost, the sweep finds the rows within a minute.
    """
    _wake_safely(_of(current_app), *names)


def _wake_for_facts() -> None:
    if "background" in current_app.extensions:  # a small application of a test may have no queue
        wake("facts")


def wake_at(moment: datetime) -> None:
    """Wake this process's worker at `moment` (UTC), where that is sooner than the sweep."""
    _of(current_app).wake_at(moment)


def stopping() -> bool:
    """Whether this process's worker was asked to stop: long work ends at the next safe point."""
    return bool(_of(current_app).stopping.is_set())


def rest(seconds: float) -> None:
    """Wait so long, or until this process's worker is asked to stop."""
    _of(current_app).stopping.wait(seconds)


def check(app: Flask) -> None:
    """Raises where the queue can't be reached (for /readyz)."""
    _of(app).huey.storage.queue_size()


def start(app: Flask, threads: int = THREADS) -> None:
    """Start the worker's threads in this process, without touching its signal handlers; once per application."""
    background = _of(app)
    if background.consumer is not None:
        return
    background.stopping.clear()
    consumer = _Consumer(background, workers=threads, max_delay=DOWN_SECONDS, shutdown_timeout=STOP_SECONDS)
    background.consumer = consumer
    background.thread = threading.Thread(target=consumer.run, name="worker", daemon=True)
    background.thread.start()
    _RUNNING.append(background)  # the scheduler's first look, at once, is the sweep at the start


def wait() -> None:
    """Stay until the worker of this process was stopped, or an exception (a signal's) ends the waiting."""
    while _RUNNING:
        thread = _RUNNING[-1].thread
        if thread is None or not thread.is_alive():
            return
        thread.join(0.5)


def stop(app: Flask | None = None) -> None:
    """Stop the worker of `app` (default: all in this process): what is running ends or gives its rows back."""
    for background in [known for known in _RUNNING if app is None or known.app is app]:
        background.end()
        _RUNNING.remove(background)


_RUNNING: list[Background] = []


def _of(app: Flask) -> Background:
    background: Background = app.extensions["background"]
    return background


def _pending(name: str) -> str:
    return f"pending:{name}"


def _wake_safely(background: Background, *names: str, sweep: bool = False) -> None:
    try:
        background.wake(*names, sweep=sweep)
    except Exception:  # whatever the engine raises: the row is committed, and the sweep finds it
        log.warning("wake-up lost, the sweep will find the rows", exc_info=True)


class _OneAtATime:
    """Within a process: a call that comes while one runs makes that one run again, instead of beside it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._running = self._again = False

    def nudge(self) -> bool:
        """Make the one that runs run again; False where none runs."""
        with self._lock:
            self._again = self._running
            return self._running

    def __call__(self) -> None:
        with self._lock:
            if self._running:
                self._again = True
                return
            self._running = True
        try:
            while True:
                self._function()
                with self._lock:
                    if not self._again:
                        self._running = False
                        return
                    self._again = False
                rest(AGAIN_AFTER)
        except BaseException:
            with self._lock:
                self._running = self._again = False
            raise


# Engines ------------------------------------------------------------------------------------------------------------


def _engine(settings: Settings) -> str:
    url = settings.queue_url or settings.database_url
    scheme = urlsplit(url).scheme.partition("+")[0]
    engine = {"postgres": "postgresql", "rediss": "redis"}.get(scheme, scheme)
    if engine not in {"sqlite", "postgresql", "redis"}:
        raise WrongSetting("QUEUE_URL must begin with redis://, rediss://, postgresql:// or sqlite://")
    if engine == "redis" and find_spec("redis") is None:
        raise WrongSetting("QUEUE_URL names Redis: install its client first (requirements-deploy.txt)")
    return engine


def _open(settings: Settings) -> Huey:
    options = {
        "results": False,
        # Huey pickles its tasks: signed, so that who can write to the queue can't run code of theirs in ours.
        "serializer": SignedSerializer(secret=settings.derived_key("queue"), salt="portal-invites"),
    }
    url = settings.queue_url or settings.database_url
    match _engine(settings):
        case "redis":
            return Huey("portal", storage_class=once_more(storages).RedisStorage, url=url, **options)
        case "postgresql":
            dsn = "postgresql://" + url.partition("://")[2]
            connect = functools.partial(_connect, dsn)
            with connect() as turn:  # Huey makes its tables: two that make the same at once fail
                turn.execute("SELECT pg_advisory_lock(7216002)")
                return PostgresHuey("portal", connection=connect, **options)
        case _:
            own = unquote(urlsplit(settings.queue_url).path.removeprefix("/")) if settings.queue_url else ""
            filename = own or str(settings.data_dir / "queue.sqlite3")
            files = {"filename": filename, "fsync": False, "cache_mb": 1, "timeout": 10}
            return Huey("portal", storage_class=BellStorage, **files, **options)


def _connect(dsn: str) -> psycopg.Connection:
    connection = psycopg.connect(dsn, connect_timeout=10, autocommit=True)
    connection.execute("SET synchronous_commit TO off")  # nothing in a queue is worth a wait for the disk
    return connection


def _schedule(minutes: int) -> Any:
    if 1 <= minutes <= 59:
        return crontab(minute=f"*/{minutes}")
    hours, rest = divmod(minutes, 60)
    if rest or not 1 <= hours <= 24:
        raise ValueError(f"every {minutes} minutes: say 1 to 59, or whole hours up to a day")
    return crontab(minute="0", hour="0" if hours == 24 else f"*/{hours}")


# The consumer -------------------------------------------------------------------------------------------------------


class _Scheduler(Scheduler):
    """Sweeps once a minute, and puts periodic work in once for all workers of a fleet."""

    def enqueue_periodic_tasks(self, now: datetime | None) -> None:
        background: Background = self.huey.background
        _wake_safely(background, sweep=True)
        minute = f"{self.huey._get_timestamp():%Y%m%d%H%M}"
        for task in self.huey.read_periodic(now):
            storage, once, last = self.huey.storage, f"once:{task.name}:{minute}", f"last:{task.name}"
            try:
                if not storage.put_if_empty(once, b"1"):
                    continue  # another worker was faster
                before = storage.peek_data(last)
                if isinstance(before, (bytes, memoryview)):
                    storage.pop_data(bytes(before).decode())
                storage.put_data(last, once.encode())
                self.huey.enqueue(task)
            except Exception:  # the queue is down: the next minute asks again
                log.warning("periodic work was not asked for", task=task.name, exc_info=True)


class _Consumer(Consumer):
    """Huey's consumer as a guest: it leaves the process's signal handlers alone."""

    scheduler_class = _Scheduler

    def __init__(self, background: Background, **options: Any) -> None:
        huey = background.huey
        huey.background = background
        self.begun = threading.Event()
        super().__init__(huey, check_worker_health=True, **options)

    def start(self) -> None:
        """Begin all threads, and say so: an end that came before could not wait for them."""
        super().start()
        self.begun.set()

    def _set_signal_handlers(self) -> None:
        """The process that took us in has its own."""
