"""A box: the thread on which one receiver hears its facts, one after another, so that it can harm nobody else.

A receiver that raises is logged. One that hangs is left behind after a deadline, with the call it hangs in, and what it
has not heard yet it hears in a new box. Receivers don't wait for each other. Threads are kept for the next boxes: to
begin one costs ten times what most calls do.
"""

from __future__ import annotations

import contextvars
import copy
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, NamedTuple

import structlog
from flask import Flask

from hooks.signals import Fact

log = structlog.get_logger(__name__)

Receiver = Callable[..., Any]


class Told(NamedTuple):
    """A fact to be told; `arguments` are ids and plain values only."""

    fact: Fact
    sender: str
    arguments: dict[str, Any]


def tell(app: Flask, facts: Sequence[Told], patience: float) -> None:
    """Tell each fact to its receivers, and wait until all have heard; at most `patience` seconds for one call."""
    hearers: dict[int, tuple[Receiver, deque[Told]]] = {}
    for told in facts:
        for receiver in told.fact.receivers_for(told.sender):
            hearers.setdefault(id(receiver), (receiver, deque()))[1].append(told)
    boxes = [_Box(app, receiver, waiting) for receiver, waiting in hearers.values()]
    while boxes:
        boxes = [rest for box in boxes if (rest := box.wait(patience)) is not None]


def _on_a_thread(run: Callable[[], None]) -> threading.Event:
    """Run it, which must not raise, on a kept thread that has nothing to do, or on a new one; set when it has ended."""
    ended = threading.Event()
    try:
        inbox = _IDLE.pop()
    except IndexError:
        inbox = SimpleQueue()
        threading.Thread(target=_keep, args=(inbox,), name="facts", daemon=True).start()
    inbox.put((run, ended))
    return ended


def _keep(inbox: _Inbox) -> None:
    while True:
        run, ended = inbox.get()
        contextvars.Context().run(run)  # what a receiver leaves in its context is not the next one's
        _IDLE.append(inbox)
        ended.set()


_Inbox = SimpleQueue[tuple[Callable[[], None], threading.Event]]
_IDLE: deque[_Inbox] = deque()
os.register_at_fork(after_in_child=_IDLE.clear)  # threads stay behind


class _Box:
    """One receiver's facts, heard on a thread from now on."""

    def __init__(self, app: Flask, receiver: Receiver, waiting: deque[Told]) -> None:
        self._app, self._receiver, self._waiting = app, receiver, waiting
        self._lock = threading.Lock()
        self._begun = time.monotonic()  # when the call that runs began
        self._left = False
        self._ended = _on_a_thread(self._run)

    def wait(self, patience: float) -> _Box | None:
        """Until all is heard; where one call takes too long, a new box for what comes behind it."""
        while True:
            if self._ended.wait(max(self._begun + patience - time.monotonic(), 0)):
                return None
            with self._lock:  # it must not begin another call while it is left
                if time.monotonic() < self._begun + patience:
                    continue
                self._left = True
            log.error("receiver left behind", receiver=_name(self._receiver), seconds=patience)
            return _Box(self._app, self._receiver, self._waiting) if self._waiting else None

    def _run(self) -> None:
        while (told := self._next()) is not None:
            self._call(told)

    def _next(self) -> Told | None:
        with self._lock:
            if self._left or not self._waiting:
                return None
            self._begun = time.monotonic()
            return self._waiting.popleft()

    def _call(self, told: Told) -> None:
        """In an application context of its own, so that the receiver may read and write by units of work."""
        # The receiver's own copy of the data; the rest can't be changed.
        arguments = told.arguments | {"data": copy.deepcopy(told.arguments["data"])}
        try:
            with self._app.app_context():
                told.fact.deliver(self._receiver, told.sender, **arguments)
        except BaseException:  # SystemExit too: the thread is ours
            log.exception(
                "receiver failed",
                fact=told.fact.name,
                receiver=_name(self._receiver),
                event_id=arguments["event_id"],
            )


def _name(receiver: Receiver) -> str:
    return f"{getattr(receiver, '__module__', '?')}.{getattr(receiver, '__qualname__', repr(receiver))}"
