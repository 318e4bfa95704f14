"""What a hook costs: a call through a signal against a direct one, and a workflow with an idle receiver against none."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa
from flask import Flask

import hooks
import tasks
from app import create_app
from bench.servers import OURS, prepare
from bench.sink import running_sink
from hooks.box import Told, tell
from mail.worker import send_due
from models import Client, db

Line = tuple[str, str, str, str, str]
FACTS = 200  # as many as the worker reads at once
PEOPLE = 10
TRIGGER = hooks.sending_trigger("bench_sent", "measure")
FACT = hooks.fact("bench_happened", "Something was measured.")


def dispatch(url: str, folder: Path, turns: int = 9) -> Iterator[Line]:
    """Microseconds of a call through a trigger, and of a fact told to one receiver, beside the direct call."""
    folder.mkdir(parents=True, exist_ok=True)
    app = _product(url, folder, {"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": "1"})
    trigger, fact = TRIGGER, FACT
    for signal in (trigger, fact):
        signal.connect(_idle)
    asked: dict[str, Any] = dict.fromkeys(trigger.arguments)
    told = Told(fact, "file", dict.fromkeys(fact.arguments) | {"data": {"mail_id": "01", "attempts": 1}})
    ways: dict[str, Callable[[], object]] = {
        "direct": lambda: [_idle("file", **asked) for _ in range(FACTS)],
        "trigger": lambda: [trigger.fire("file", **asked) for _ in range(FACTS)],
        "direct fact": lambda: [_idle("file", **told.arguments) for _ in range(FACTS)],
        "fact": lambda: tell(app, [told] * FACTS, 10),
        "single fact": lambda: [tell(app, [told], 10) for _ in range(FACTS)],
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            taken[name].append((time.perf_counter() - begun) / FACTS * 1e6)
    us = {name: median(times) for name, times in taken.items()}
    for name, direct, what in (
        ("trigger", "direct", "a trigger with one receiver, us"),
        ("fact", "direct fact", f"a fact of {FACTS}, told to one receiver, us"),
        ("single fact", "direct fact", "a fact that comes alone, us"),
    ):
        yield (
            what,
            f"{us[name]:.1f}",
            f"{us[direct]:.1f} (direct call)",
            f"+ {us[name] - us[direct]:.1f} us",
            "10 us",
        )


def idle(url: str, folder: Path, rounds: int) -> Iterator[Line]:
    """A client request with ten people from Send to the marked facts, a receiver connected or not, in turns."""
    folder.mkdir(parents=True, exist_ok=True)
    with running_sink(folder / "taken", links=False) as sink:
        app = _product(url, folder, sink.settings)
        token, settings = app.config["TOKEN"], app.config["PORTAL"]
        with app.app_context():
            clients = list(db.session.scalars(sa.select(Client.id)))
        caller = app.test_client()

        def trip(number: int) -> tuple[float, float, float]:
            recipients = [
                {"email": f"p{person}@n{number}.example", "name": "Charles Byron"} for person in range(PEOPLE)
            ]
            body = {
                "title": "Survey",
                "questions": [{"key": "a", "type": "short_text", "label": "A?"}],
                "invite": {"recipients": recipients},
            }
            path = f"/api/v1/clients/{clients[number % len(clients)]}/client-requests"
            wall, used = time.perf_counter(), time.process_time()
            answer = caller.post(
                path, json=body, headers={"Authorization": f"Bearer {token}"}, base_url=settings.base_url
            )
            answered = time.perf_counter() - wall
            if answer.status_code != 201:
                raise RuntimeError(f"{answer.status_code} {answer.text[:500]}")
            with app.app_context():
                send_due(settings)
                tasks.make_facts()
            return answered, time.perf_counter() - wall, time.process_time() - used

        found: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
        listens, chance = False, random.Random(5)
        for number in range(2 * rounds + 4):
            listens = not listens if number % 2 else chance.random() < 0.5  # in pairs, by chance who is first
            if listens:
                hooks.invite_created.connect(_idle)
            taken = trip(number)
            hooks.invite_created.disconnect(_idle)
            if number >= 4:  # what is made at the first requests
                found[listens].append(taken)
    for place, what in enumerate(
        ["until its answer, ms", "until facts and mails, ms", "the same, processor ms"]
    ):
        ours, without = (median(times[place] for times in found[listens]) * 1000 for listens in (True, False))
        yield (
            f"a client request with {PEOPLE} people and an idle receiver, {what}",
            f"{ours:.1f}", f"{without:.1f} (without)", f"{ours / without:.3f} x", "1.02 x",
        )  # fmt: skip


def _idle(sender: str, **extra: Any) -> None:
    """Hears and does nothing."""


def _product(url: str, folder: Path, mail: dict[str, str]) -> Flask:
    """The product over that database, with a firm and clients; nothing runs beside it."""
    ours = mail | {
        "PORTAL_DATA_DIR": str(folder), "DATABASE_URL": url, "RATE_LIMITS": "false",
        "MAIL_DEFAULT_SENDER": "portal@example.com", "PORTAL_BASE_URL": "http://127.0.0.1:8000",
    }  # fmt: skip
    token = prepare(
        {name: value for name, value in os.environ.items() if not OURS.match(name)} | ours, folder
    )
    app = create_app(ours)
    app.config["TOKEN"] = token
    return app
