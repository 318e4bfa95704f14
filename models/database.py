"""The database and its one edge: `unit_of_work()`.

Only edges (views, tasks, commands) open a unit of work; everything below adds and flushes. A unit of work that
ends well commits once, one that raises keeps nothing. What must happen only after a commit (the wake-up of the
worker) is handed to `after_commit()`.

SQLite: WAL, foreign keys on, and writers begin with BEGIN IMMEDIATE. A transaction that reads first and writes
later fails at once there when another writer came between, however long the busy timeout is; so a unit of work
first ends the request's reading transaction and begins anew as a writer. Rows loaded before are loaded again, under
the lock, when they are next touched. Threads and processes queue up for that lock before SQLite (`sqlite_turns.py`):
who waits for it there sleeps up to a tenth of a second at a time and looks again, while others come and take it. The
wait for the disk comes after that turn, and one wait serves all who committed before it began (`sqlite_log.py`).
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from flask import Flask, current_app
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy.orm import Session

from models.portal_list import settle_lists
from models.sqlite_log import Log
from models.sqlite_turns import WAIT, Turns

db = SQLAlchemy()

_WRITES = "portal_writes"
_AFTER_COMMIT = "portal_after_commit"
_OPEN = "portal_unit_of_work"
_TURNS = "portal_turns"
_LOG = "portal_log"


def init_database(app: Flask, url: str) -> None:
    """Give the application its engine for `url`."""
    options: dict[str, Any] = {"url": url, "pool_pre_ping": not url.startswith("sqlite")}
    # The connection used last goes first: its pages and its prepared statements are at hand.
    options |= {"pool_size": 20, "max_overflow": 20, "pool_use_lifo": True}
    if url.startswith("sqlite"):
        options["connect_args"] = {"timeout": WAIT, "check_same_thread": False}
    else:
        # Our pages read a few rows of many: starting parallel workers or a compiler costs more than all of the reading.
        # And what they read lies in memory, mostly. Plans are kept: one made while a table is small must use its index.
        settings = "-c timezone=utc -c max_parallel_workers_per_gather=0 -c jit=off -c random_page_cost=1.1"
        options["connect_args"] = {"options": settings, "connect_timeout": 10}
    app.config["SQLALCHEMY_ENGINES"] = {"default": options}
    db.init_app(app)
    # The library also closes asynchronous sessions, on a thread made for each context: 0.3 ms, and we have none.
    app.teardown_appcontext_funcs[:] = [
        close for close in app.teardown_appcontext_funcs if not inspect.iscoroutinefunction(close)
    ]
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            sa.event.listen(db.engine, "connect", _prepare_sqlite)
            sa.event.listen(db.engine, "begin", _begin_sqlite)
            app.extensions[_TURNS] = Turns(db.engine.url.database)
            if db.engine.url.database:
                app.extensions[_LOG] = Log(f"{os.path.realpath(db.engine.url.database)}-wal")
                sa.event.listen(db.sessionmaker, "after_commit", _committed_alone)
        else:
            sa.event.listen(db.engine, "rollback", _roll_back)


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # The database stays whole; that a commit lasts is what Log sees to.
    cursor.execute("PRAGMA synchronous=NORMAL")
    # Each of some twenty connections keeps so much of a large database; what isn't kept lies in the system's cache.
    cursor.execute("PRAGMA cache_size=-4096")
    # Yet a transaction keeps 16 MB that it changed: spilled in its midst, a page would be written many times.
    cursor.execute("PRAGMA cache_spill=4096")  # pages of 4 KB
    # A page that is written often reaches the database file once for many commits: 16 MB of log before it is copied.
    cursor.execute("PRAGMA wal_autocheckpoint=4000")
    # A statement of many rows keeps the pages it changes until it ends: in memory, not in a file made for it each time.
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _roll_back(connection: sa.Connection) -> None:
    """End the transaction past psycopg, which then finds nothing left to do and keeps its prepared statements.

    It forgets them at each ROLLBACK of its own, because of tables that may have been made and are gone now. Every
    request that reads ends with one: nothing would ever be prepared, and a fifth of a Send to ten was planning.
    """
    if not connection.invalidated:
        driver: Any = connection.connection.driver_connection
        driver.pgconn.exec_(b"ROLLBACK")


def _committed_alone(session: Session) -> None:
    """What commits without a unit of work (Flask-Security) waits for the disk as well."""
    if not session.info.get(_OPEN):
        _wait_for_the_disk()


def _wait_for_the_disk() -> None:
    log: Log | None = current_app.extensions.get(_LOG)
    if log is not None:
        log.sync()


def _turn() -> contextlib.AbstractContextManager[None]:
    turns: Turns | None = current_app.extensions.get(_TURNS)
    return turns.turn() if turns is not None else contextlib.nullcontext()


@contextlib.contextmanager
def unit_of_work() -> Iterator[Session]:
    """One transaction: commit at the end, nothing kept when the block raises.

    Not to be nested: an inner one would commit half of the outer one's work. Raises RuntimeError then, and where
    something was changed before it began.
    """
    session = db.session
    if session.info.get(_OPEN):
        raise RuntimeError("a unit of work is already open: only edges open one")
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("rows were changed before the unit of work began")
    session.rollback()
    session.info[_OPEN] = True
    session.info[_AFTER_COMMIT] = []
    try:
        with _turn():
            try:
                session.connection(execution_options={_WRITES: True})
                yield session
                session.flush()
                settle_lists(session.connection())
                session.commit()
            except BaseException:
                session.rollback()
                raise
        _wait_for_the_disk()
    finally:
        session.info.pop(_OPEN)
        callbacks = session.info.pop(_AFTER_COMMIT)
    for callback, arguments in callbacks:
        callback(*arguments)


def after_commit(callback: Callable[..., None], *arguments: object) -> None:
    """Call `callback` once this unit of work is committed (the same call once only); never on a rollback."""
    callbacks: list[tuple[Callable[..., None], tuple[object, ...]]] = db.session.info.setdefault(
        _AFTER_COMMIT, []
    )
    if (callback, arguments) not in callbacks:
        callbacks.append((callback, arguments))


@contextlib.contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the statements sent to the database within the block (tests assert that rows don't add queries)."""
    seen: list[str] = []

    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)
