"""Committed events become facts, one receiver at a time, each in a box of its own.

The worker reads events that were not dispatched, calls the receivers of the fact of that name and marks the event.
A crash in between delivers again (at least once; receivers fold repeats by `event_id`). A receiver that raises is
logged; one that hangs is left behind after a deadline, on a thread of its own; one that appends events or recurses
only makes new events or a RecursionError in its own box. No transaction of ours is open while receivers run.

Most events have no receiver (each invite makes two). Those are marked together, without being read.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from datetime import UTC
from typing import Any, cast

import sqlalchemy as sa
import structlog
from flask import Flask

from hooks.signals import CATALOGUE, Fact
from models import Event, db, unit_of_work, utc_now

log = structlog.get_logger(__name__)

RECEIVER_SECONDS = 10.0
UNHEARD = 2000  # events marked in one statement


def dispatch_due(app: Flask, limit: int = 200, patience: float = RECEIVER_SECONDS) -> int:
    """Deliver up to `limit` events as facts and mark them; how many were done. An edge: opens its own unit of work.

    `patience` is how many seconds one receiver may take before it is left behind.
    """
    anything = db.session.scalar(sa.select(Event.id).where(_WAITING).limit(1))  # without a writer's lock
    db.session.rollback()
    if anything is None:
        return 0
    heard = [name for name, signal in CATALOGUE.items() if isinstance(signal, Fact) and signal.receivers]
    with unit_of_work():
        unheard = _mark(_some(Event.name.not_in(heard), UNHEARD))
        events = list(db.session.scalars(_some(Event.name.in_(heard), limit, Event))) if heard else []
        plain = [(event.id, event.name, event.workflow, arguments_of(event)) for event in events]
    for event_id, name, sender, arguments in plain:
        deliver(app, name, sender, arguments, patience)
        with unit_of_work():
            _mark([event_id])
    return unheard + len(plain)


_WAITING = Event.dispatched_at.is_(None)


def _some(which: sa.ColumnElement[bool], most: int, what: Any = Event.id) -> sa.Select[Any]:
    """The first events that wait; what another worker has in hand is skipped."""
    found = sa.select(what).where(_WAITING, which).order_by(Event.id).limit(most)
    return found.with_for_update(skip_locked=True)


def _mark(event_ids: Any) -> int:
    statement = sa.update(Event).where(Event.id.in_(event_ids)).values(dispatched_at=utc_now())
    result = db.session.execute(statement.execution_options(synchronize_session=False))
    return cast("sa.CursorResult[Any]", result).rowcount


def arguments_of(event: Event) -> dict[str, Any]:
    """What a fact's receivers get of an event: ids and plain values only."""
    return {
        "event_id": event.id,
        "occurred_at": event.created_at.astimezone(UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "firm_id": event.firm_id,
        "client_id": event.client_id,
        "item_id": event.item_id,
        "invite_id": event.invite_id,
        "access_id": event.access_id,
        "actor": event.actor,
        "data": dict(event.data),
    }


def deliver(app: Flask, name: str, sender: str, arguments: dict[str, Any], patience: float) -> None:
    """Call the receivers of the fact `name`, each in its own thread, and wait at most `patience` seconds for all."""
    signal = CATALOGUE.get(name)
    if not isinstance(signal, Fact):
        return  # a word for the activity list, not a fact
    boxes = []
    for receiver in signal.receivers_for(sender):
        box = threading.Thread(
            target=_in_its_box,
            args=(app, signal, receiver, sender, copy.deepcopy(arguments)),
            name=f"fact-{name}",
            daemon=True,
        )
        box.start()
        boxes.append((box, receiver))
    deadline = time.monotonic() + patience
    for box, receiver in boxes:
        box.join(max(0.0, deadline - time.monotonic()))
        if box.is_alive():
            log.error("receiver left behind", fact=name, receiver=_name(receiver), seconds=patience)


def _in_its_box(
    app: Flask, signal: Fact, receiver: Callable[..., Any], sender: str, arguments: dict[str, Any]
) -> None:
    """One receiver, in an application context of its own, so that it may read and write by units of work."""
    try:
        with app.app_context():
            signal.deliver(receiver, sender, **arguments)
    except (Exception, SystemExit):
        log.exception(
            "receiver failed", fact=signal.name, receiver=_name(receiver), event_id=arguments["event_id"]
        )


def _name(receiver: Callable[..., Any]) -> str:
    return f"{getattr(receiver, '__module__', '?')}.{getattr(receiver, '__qualname__', repr(receiver))}"
