"""What the tests of workflows share: a firm with a client and people, and short ways to do what pages do."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import Flask

import config
from hooks.signals import Trigger
from invites.orders import InviteOrder, Recipient
from invites.scope import FirmView, PortalView
from models import Client, Event, Login, Scope, WorkItem, db, unit_of_work
from schemas.base import load
from tests.support.world import World, give_access, make_client, make_world
from workflows import storage
from workflows.registry import Workflow, installed
from workflows.sending import Sent, send


@dataclass
class Desk:
    """One firm, one client with Ada (whole portal), inside an application context."""

    app: Flask
    world: World
    client_id: str

    @property
    def view(self) -> FirmView:
        """The admin's view."""
        return FirmView(self.world.member)

    @property
    def client(self) -> Client:
        """The client's row."""
        return self.view.client(self.client_id)

    def person(self, email: str = "ada@byron.example") -> PortalView:
        """A person of the client's side."""
        return PortalView(db.session.scalars(sa.select(Login).where(Login.email == email)).one())

    def joins(self, email: str, name: str, scope: Scope = Scope.PORTAL) -> PortalView:
        """Somebody who has access to the client."""
        give_access(self.world, self.client_id, email, name, scope=scope)
        db.session.rollback()
        return self.person(email)

    def other_firm(self) -> FirmView:
        """The admin's view of another firm; dana@other.example."""
        other = make_world(self.app, "Other Firm", "other.example")
        db.session.rollback()
        return FirmView(other.member)

    def workflow(self, slug: str) -> Workflow:
        """An installed workflow."""
        found = installed().get(slug)
        assert found is not None
        return found

    def send(self, slug: str, data: Mapping[str, Any], order: InviteOrder | None = None) -> Sent:
        """What the pages and the API do: validate, prepare, one transaction."""
        workflow = self.workflow(slug)
        loaded = load(workflow.schema(), data)
        with workflow.prepared(self.view, self.client, loaded) as ready, unit_of_work():
            return send(workflow, self.view, self.client, ready, order)

    def item(self, item_id: str) -> WorkItem:
        """An item as the database has it now."""
        db.session.rollback()
        return db.session.get_one(WorkItem, item_id, populate_existing=True)

    def events(self) -> list[str]:
        """The names of all events, oldest first."""
        return list(db.session.scalars(sa.select(Event.name).order_by(Event.id)))


def make_desk(app: Flask) -> Desk:
    """A desk whose client has Ada with access, Will and Nobody without."""
    world = make_world(app)
    client_id = make_client(
        world,
        "Byron Family",
        ("Ada Byron", "ada@byron.example"),
        ("Will King", "will@byron.example"),
        ("No Address", None),
    )
    give_access(world, client_id, "ada@byron.example")
    return Desk(app, world, client_id)


def order_for(*emails: str) -> InviteOrder:
    """An order of the Client Portal window."""
    return InviteOrder(tuple(Recipient(email=email) for email in emails))


def stored_bytes(app: Flask) -> list[str]:
    """The keys in the file store."""
    with app.app_context():
        filesystem, root = storage._store()
        assert config.current().files_url
        return sorted(path.removeprefix(root) for path in filesystem.find(root))


def upload_of(data: bytes, name: str) -> tuple[io.BytesIO, str]:
    """An upload as a form brings it."""
    return io.BytesIO(data), name


@contextmanager
def receiver(trigger: Trigger, function: Callable[..., Any]) -> Iterator[None]:
    """A receiver connected for the block."""
    trigger.connect(function)
    try:
        yield
    finally:
        trigger.disconnect(function)


def together(app: Flask, *jobs: Callable[[], Any]) -> list[Any]:
    """Run jobs at the same moment, each in an application context of its own; what each returned or raised."""
    gate = threading.Barrier(len(jobs))
    results: list[Any] = [None] * len(jobs)

    def run(place: int, job: Callable[[], Any]) -> None:
        with app.app_context():
            gate.wait()
            try:
                results[place] = job()
            except Exception as error:  # noqa: BLE001  # what was raised is the result
                results[place] = error

    threads = [threading.Thread(target=run, args=(place, job), daemon=True) for place, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results
