"""Who writes to SQLite next: processes take turns before SQLite, and one that dies leaves its turn to the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask

from models import Switch, db, unit_of_work, utc_now
from tests.support.live import PROJECT

pytestmark = pytest.mark.one_database

# Nobody waits within SQLite here: whoever comes there at the wrong moment is refused at once.
WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
import sqlalchemy as sa
from flask import Flask
from models import Switch, db, unit_of_work, utc_now
from models.database import init_database

url, name, number = sys.argv[1:]
app = Flask("writer")
init_database(app, url)
with app.app_context():
    sa.event.listen(db.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=0"))
    db.session.connection()
    db.session.rollback()

def write(one):
    with app.app_context(), unit_of_work() as session:
        session.add(Switch(name=f"{name} {one}", value={}, changed_at=utc_now()))
        session.flush()
        if number == "1":
            print("writing", flush=True)
            sys.stdin.read()

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(2) as threads:
    list(threads.map(write, range(int(number))))
"""


class Writer:
    """A process that writes as often as it is told, once it is told to begin."""

    def __init__(self, app: Flask, name: str, number: int) -> None:
        with app.app_context():
            url = str(db.engine.url)
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, url, name, str(number)],
            cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def hears(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{word}\n", self.process.communicate()[1]

    def begin(self) -> None:
        self.hears("ready")
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def writers() -> Iterator[list[Writer]]:
    begun: list[Writer] = []
    yield begun
    for writer in begun:
        writer.process.kill()
        writer.process.communicate()


def names(app: Flask) -> set[str]:
    with app.app_context():
        return set(db.session.scalars(sa.select(Switch.name)))


def test_processes_never_meet_in_sqlite(app: Flask, writers: list[Writer]) -> None:
    writers += [Writer(app, name, 60) for name in ("web", "worker")]
    for writer in writers:
        writer.begin()
    for writer in writers:
        assert writer.process.wait(120) == 0, writer.process.communicate()[1]
    assert names(app) == {f"{name} {one}" for name in ("web", "worker") for one in range(60)}


def test_a_process_that_dies_in_its_turn_leaves_it_to_the_others(app: Flask, writers: list[Writer]) -> None:
    writers.append(Writer(app, "worker", 1))
    writers[0].begin()
    writers[0].hears("writing")
    writers[0].process.kill()
    with app.app_context(), unit_of_work() as session:
        session.add(Switch(name="web", value={}, changed_at=utc_now()))
    assert names(app) == {"web"}
