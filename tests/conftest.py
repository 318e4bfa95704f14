"""Fixtures for every test. Who uses what:

- `app`, `client`: the product in this process, its database migrated to head and empty. Runs on SQLite and on
  PostgreSQL; mark a test `one_database` where the database doesn't matter. `@pytest.mark.settings(INVITE_DAYS=3)` sets
  settings; `make_app()` makes a second application on the same database (another worker process, another setting).
- `smtp`: a real mail server. A test that asks for it has its `app` send through it.
- `live` (both shapes), `live_server` (one process), `live_pair` (web and worker on PostgreSQL): the real product.
- `screens`, `page`, `phone`: a real chromium; pages of different people side by side.

Every test has a database of its own, copied from a migrated one: a file on SQLite, a template on PostgreSQL.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page

from models import db, migrating
from tests.support.browser import PHONE, Screens, running_browser
from tests.support.live import PROJECT, Live, one_process, web_and_worker
from tests.support.postgres import Cluster, running_cluster
from tests.support.quick import quick
from tests.support.smtp import MailServer, running_mail_server

# Examples are not timed one by one: two cores are shared by all workers, and a slow example is no wrong one.
hypothesis.settings.register_profile("portal", deadline=None, print_blob=True)
hypothesis.settings.load_profile("portal")

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run whatever touches the database on both kinds, except tests marked `one_database`."""
    if "backend" in metafunc.fixturenames:
        once = any(metafunc.definition.iter_markers("one_database"))
        metafunc.parametrize("backend", BACKENDS[:1] if once else BACKENDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what drives a browser, so that `-m 'not browser'` leaves it out."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let no test run over midnight (UTC): what was "Invited today" would be said of yesterday half-way through."""
    now = datetime.now(UTC)
    left = (datetime.combine(now + timedelta(days=1), datetime.min.time(), UTC) - now).total_seconds()
    if left < NIGHT:
        time.sleep(left)


NIGHT = 30.0  # seconds


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Let fixtures know at their end whether the test failed."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


FAILED = pytest.StashKey[bool]()


# The database -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The real PostgreSQL, shared by all workers of this run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    with running_cluster(run, os.environ.get("PYTEST_XDIST_WORKER", "main")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at head, to be copied."""
    folder = tmp_path_factory.mktemp("migrated")
    path = folder / "portal.sqlite3"
    _migrate(folder, f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:  # everything into the one file that is copied
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


@pytest.fixture(scope="session")
def migrated_template(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a PostgreSQL database at head, to be copied."""
    name = f"head_{cluster.worker}"
    _migrate(tmp_path_factory.mktemp("migrated"), cluster.create(name))
    return name


def _create_app(values: dict[str, Any]) -> Flask:
    # Looked up at its first use: a test of a lower room runs even while a room above is broken.
    return quick(importlib.import_module("app").create_app(values))


def _migrate(data_dir: Path, url: str) -> None:
    app = _create_app({"PORTAL_DATA_DIR": data_dir, "DATABASE_URL": url, "PORTAL_TESTING": "true"})
    with app.app_context():
        migrating.upgrade()
    _close(app)


def _close(app: Flask) -> None:
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The data folder of this test's product."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def database_url(backend: str, data_dir: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database at head, on each kind in turn."""
    if backend == "sqlite":
        path = data_dir / "portal.sqlite3"
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"
        return
    template = request.getfixturevalue("migrated_template")
    cluster: Cluster = request.getfixturevalue("cluster")
    name = f"test_{cluster.worker}"
    yield cluster.create(name, template)
    cluster.drop(name)


# The product in this process ----------------------------------------------------------------------------------------


@pytest.fixture
def settings(database_url: str, data_dir: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Environment names and values for this test's product."""
    values: dict[str, Any] = {
        "PORTAL_DATA_DIR": data_dir,
        "DATABASE_URL": database_url,
        "PORTAL_TESTING": "true",
        "SECRET_KEY": "the tests' own key, long enough to be one",
    }
    if "smtp" in request.fixturenames:
        values |= request.getfixturevalue("smtp").settings
    for marker in reversed(list(request.node.iter_markers("settings"))):
        values |= marker.kwargs
    return values


@pytest.fixture
def make_app(settings: dict[str, Any]) -> Iterator[Callable[..., Flask]]:
    """`make_app(**more_settings)`: an application on this test's database."""
    made: list[Flask] = []

    def make(**more: Any) -> Flask:
        made.append(_create_app(settings | more))
        return made[-1]

    yield make
    for app in made:
        _close(app)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The application. Open `with app.app_context():` around what touches rows, and not around requests.

    `models.database.statements()` counts the SQL statements within a block.
    """
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A person's browser without scripts; `app.test_client()` makes another person."""
    return app.test_client()


@pytest.fixture
def smtp() -> Iterator[MailServer]:
    """A real mail server that keeps what it is given: `.to(address)`, `.everyone()`, `.wait(n)`, `.clear()`."""
    with running_mail_server() as mails:
        yield mails


# The product as processes -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """`python app.py` with the demo firm: one process, SQLite, built-in mailbox. One for all tests of a file."""
    with one_process(tmp_path_factory.mktemp("live") / "data") as live:
        yield live


@pytest.fixture(scope="module")
def live_pair(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """`python app.py web` and `python app.py worker` on PostgreSQL. One pair for all tests of a file."""
    name = f"live_{cluster.worker}"
    with web_and_worker(tmp_path_factory.mktemp("pair") / "data", cluster.create(name)) as live:
        yield live
    cluster.drop(name)


@pytest.fixture(
    scope="module", params=["one-process", pytest.param("web-and-worker", marks=pytest.mark.postgres)]
)
def live(request: pytest.FixtureRequest) -> Live:
    """Both shapes in turn: what one process on SQLite does, two on PostgreSQL do too."""
    live: Live = request.getfixturevalue("live_server" if request.param == "one-process" else "live_pair")
    return live


# The browser --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless chromium; skipped, with the reason, where none is installed. Per file, as Playwright's sync
    interface keeps an event loop running that other tests' asyncio would stumble over."""
    with running_browser() as browser:
        yield browser


@pytest.fixture
def screens(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Screens]:
    """Opens pages for different people; fails the test where a page broke its security policy or a script raised."""
    folder = PROJECT / "test-results"
    folder.mkdir(exist_ok=True)
    screens = Screens(browser, folder)
    yield screens
    if request.node.stash.get(FAILED, True):
        screens.pictures_of_failure(re.sub(r"[^\w-]+", "-", request.node.name))
    screens.close()
    assert not screens.complaints, screens.complaints


@pytest.fixture
def page(screens: Screens) -> Page:
    """One person's page at a desk, 1440 px wide."""
    return screens.open()


@pytest.fixture
def phone(screens: Screens) -> Page:
    """One person's page on a phone, 390 px wide."""
    return screens.open(PHONE)
