"""A small application with the mail room alone: settings, database and queue, no pages. For the tests of mail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

import background
import config
from mail import mailbox
from models import Invite, MailKind, db, unit_of_work, utc_now
from models.database import init_database
from tests.support.quick import quick
from tests.support.tables import create_tables
from tests.support.world import World, make_client

KEY = "the tests' own key, long enough to be one"


@contextlib.contextmanager
def post_office(folder: Path, url: str | None = None, **settings: Any) -> Iterator[Flask]:
    """The application on an empty database (SQLite in `folder`, or `url`)."""
    app = quick(plain_app(folder, **({"DATABASE_URL": url} if url else {}), **settings))
    with app.app_context():
        create_tables(db.engine)
    yield app
    background.stop(app)
    mailbox.stop(app.config["PORTAL"])
    with app.app_context():
        db.engine.dispose()


def plain_app(folder: Path, **settings: Any) -> Flask:
    """The same without tables."""
    values = {"PORTAL_DATA_DIR": folder, "PORTAL_TESTING": "true", "SECRET_KEY": KEY} | settings
    app = Flask("post")
    app.config["PORTAL"] = config.load(values)
    init_database(app, app.config["PORTAL"].database_url)
    background.init_app(app)
    return app


@contextlib.contextmanager
def both_kinds(
    backend: str, folder: Path, request: pytest.FixtureRequest, **settings: Any
) -> Iterator[Flask]:
    """The application on the database the test runs on; sends through the fixture `smtp` where it is asked for."""
    if "smtp" in request.fixturenames:
        settings = request.getfixturevalue("smtp").settings | settings
    for marker in reversed(list(request.node.iter_markers("settings"))):
        settings |= marker.kwargs
    if backend == "sqlite":
        with post_office(folder, **settings) as app:
            yield app
        return
    cluster = request.getfixturevalue("cluster")
    name = f"post_{cluster.worker}"
    with post_office(folder, cluster.create(name), **settings) as app:
        yield app
    cluster.drop(name)


def make_invite(
    world: World, email: str = "charles@engine-works.example", name: str = "Charles Babbage"
) -> str:
    """A pending invite at a client of its own. Returns its id."""
    client_id = make_client(world, "Byron Family", (name, email))
    with world.app.app_context():
        with unit_of_work() as session:
            invite = Invite(
                firm_id=world.firm_id,
                client_id=client_id,
                email=email,
                email_display=email,
                name=name,
                workflow="client-request",
                invited_by_id=world.admin_id,
                expires_at=utc_now().replace(year=utc_now().year + 1),
            )
            session.add(invite)
            session.flush()
            invite_id = invite.id
        return invite_id


def invite_mail(invite: Invite, **more: Any) -> dict[str, Any]:
    """The arguments of `outbox.enqueue()` for this invite's mail."""
    values: dict[str, Any] = {
        "kind": MailKind.INVITE,
        "to_email": invite.email,
        "to_name": invite.name,
        "firm_id": invite.firm_id,
        "invite_id": invite.id,
        "generation": invite.generation,
        "sender_id": invite.invited_by_id,
        "params": {"what": "sent you a survey"},
    }
    return values | more
