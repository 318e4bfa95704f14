"""Committed events become facts, told to their receivers by portions (hooks/box.py) and then marked.

The worker reads events that were not dispatched, tells the receivers of the fact of that name and marks the events.
A crash in between tells a portion again (at least once; receivers fold repeats by `event_id`), so portions are small
while receivers are slow. A receiver that raises or hangs harms nobody; one that appends events only makes new events.
No transaction of ours is open while receivers run.

Most events have no receiver (each invite makes two). Those are marked together, without being read.
"""

from __future__ import annotations

import time
from datetime import UTC
from typing import Any, cast

import sqlalchemy as sa
from flask import Flask

from hooks.box import Told, tell
from hooks.signals import CATALOGUE, Fact
from models import Event, db, unit_of_work, utc_now
from models.among import among

RECEIVER_SECONDS = 10.0
UNHEARD = 2000  # events marked in one statement
PORTION = 20  # events told before they are marked, at first
QUICK_PORTION = 0.5  # seconds; four times as many after such a one, else one by one


def dispatch_due(app: Flask, limit: int = 200, patience: float = RECEIVER_SECONDS) -> int:
    """Tell up to `limit` events as facts and mark them; how many were done. An edge: opens its own units of work.

    `patience` is how many seconds one receiver may take for one fact before it is left behind.
    """
    connection = db.session.connection()
    anything = connection.scalar(_ANYTHING)  # without a writer's lock
    heard = [name for name, signal in CATALOGUE.items() if isinstance(signal, Fact) and signal.receivers]
    told = connection.execute(_HEARD, {"heard": heard, "number": limit}).all() if anything and heard else []
    db.session.rollback()
    if anything is None:
        return 0
    done, number = 0, PORTION
    while told or not done:
        portion, told = told[:number], told[number:]
        begun = time.monotonic()
        tell(app, [_told(event) for event in portion], patience)
        number = number * 4 if time.monotonic() - begun < QUICK_PORTION else 1
        with unit_of_work():
            unheard = 0 if done else _mark(_MARK_UNHEARD, {"heard": heard})
            if portion:
                _mark(_MARK, {"ids": [event.id for event in portion]})
        done += unheard + len(portion)
        if not done:  # another worker has them in hand
            break
    return done


def _told(event: Any) -> Told:
    return Told(cast(Fact, CATALOGUE[event.name]), event.workflow, arguments_of(event))


def _mark(statement: sa.Update, values: dict[str, Any]) -> int:
    result = db.session.connection().execute(statement, values | {"now": utc_now()})
    return cast("sa.CursorResult[Any]", result).rowcount


def arguments_of(event: Event | sa.Row[Any]) -> dict[str, Any]:
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


# Built once: to build them costs more than to run them.
_EVENT: Any = Event.__table__
_WAITING = _EVENT.c.dispatched_at.is_(None)
_NAMES: Any = sa.bindparam("heard", expanding=True)
_ANYTHING = sa.select(sa.literal(1)).where(_WAITING).limit(1)
_HEARD = (
    sa.select(_EVENT)
    .where(_WAITING, _EVENT.c.name.in_(_NAMES))
    .order_by(_EVENT.c.id)
    .limit(sa.bindparam("number", type_=sa.Integer()))
)
_UNHEARD = (
    sa.select(_EVENT.c.id)
    .where(_WAITING, _EVENT.c.name.not_in(_NAMES))
    .order_by(_EVENT.c.id)
    .limit(UNHEARD)
    .with_for_update(skip_locked=True)  # what another worker has in hand
)
_NOW = sa.bindparam("now", type_=_EVENT.c.dispatched_at.type)
_MARK = sa.update(_EVENT).where(among(_EVENT.c.id), _WAITING).values(dispatched_at=_NOW)
_MARK_UNHEARD = sa.update(_EVENT).where(_EVENT.c.id.in_(_UNHEARD)).values(dispatched_at=_NOW)
