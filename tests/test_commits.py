"""A commit on SQLite: nothing follows it before the disk has it, and nobody waits for the disk in another's place."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask

from models import Switch, after_commit, db, sqlite_log, unit_of_work, utc_now

pytestmark = pytest.mark.one_database


class Disk:
    """A disk that is asked to keep the log: what it holds for good is what was committed when it was asked."""

    def __init__(self, path: str) -> None:
        self.path, self.kept, self.asked = path, set[str](), 0

    def sync(self, log: int) -> None:
        assert os.fstat(log).st_ino == Path(f"{self.path}-wal").stat().st_ino
        self.asked += 1
        rows = sqlite3.connect(self.path)
        found = {name for (name,) in rows.execute("SELECT name FROM switch")}
        rows.close()
        os.fsync(log)
        self.kept |= found


@pytest.fixture
def disk(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    with app.app_context():
        disk = Disk(db.engine.url.database or "")
    monkeypatch.setattr(sqlite_log, "_sync_data", disk.sync)
    app.extensions["portal_log"].waits = True
    yield disk
    app.extensions["portal_log"].waits = False


def switch(name: str) -> Switch:
    return Switch(name=name, value={}, changed_at=utc_now())


def test_what_follows_a_commit_comes_after_the_disk_has_it(app: Flask, disk: Disk) -> None:
    seen: list[set[str]] = []
    with app.app_context(), unit_of_work() as session:
        session.add(switch("one"))
        after_commit(lambda: seen.append(set(disk.kept)))
    assert seen == [{"one"}]


def test_what_commits_by_itself_waits_too(app: Flask, disk: Disk) -> None:
    with app.app_context():
        db.session.add(switch("one"))
        db.session.commit()
        assert disk.kept == {"one"}


def test_what_is_not_kept_asks_nobody(app: Flask, disk: Disk) -> None:
    with app.app_context(), pytest.raises(ZeroDivisionError), unit_of_work() as session:
        session.add(switch("one"))
        session.flush()
        raise ZeroDivisionError
    assert (disk.asked, disk.kept) == (0, set())


def test_many_at_once_each_return_when_their_own_commit_lasts(app: Flask, disk: Disk) -> None:
    def work(name: str) -> bool:
        with app.app_context():
            with unit_of_work() as session:
                session.add(switch(name))
            return name in disk.kept

    names = [f"number {number}" for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, names))
    assert disk.asked <= len(names)
    assert disk.kept == set(names)


def test_a_disk_that_fails_is_said(app: Flask, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(log: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(sqlite_log, "_sync_data", broken)
    with app.app_context(), pytest.raises(OSError, match="Input/output"), unit_of_work() as session:
        session.add(switch("one"))
