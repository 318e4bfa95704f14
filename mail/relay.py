"""Several lines to the relay at once, kept open over a batch and from batch to batch.

Outcomes come out as they happen, in groups, while the lines go on: so they can be settled at once (a worker that is
killed leaves few mails in doubt) and without a transaction per mail.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import structlog
from flask import Flask

from config import Settings
from mail.claim import Claimed
from mail.journal import Journal
from mail.letter import Letter
from mail.outcomes import Outcome, RelayBroken, Temporary, Untouched
from mail.settle import Result
from mail.transport import HardenedConnection

log = structlog.get_logger(__name__)

SETTLES_EVERY = 0.25  # seconds; the journal knows meanwhile what was taken
FAILURES_THAT_PAUSE = 5  # connections in a row that came to nothing


@dataclass(frozen=True)
class Ready:
    """A claimed mail with its bytes."""

    mail: Claimed
    letter: Letter


class Relay:
    """The relay as the worker uses it, for as long as there is something to send. A context manager."""

    def __init__(self, app: Flask, settings: Settings, stopping: Callable[[], bool] = lambda: False) -> None:
        self._app = app
        self._stopping = stopping
        self._connections = [HardenedConnection(app, settings) for _ in range(settings.mail_connections)]
        self._watchdog = Watchdog(self._connections)
        self._failures = 0
        self._lock = threading.Lock()
        self._journal = Journal(settings)
        self.broken: str | None = None  # why nothing can be sent at this moment

    def __enter__(self) -> Self:
        self._watchdog.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        for connection in self._connections:
            connection.__exit__(None, None, None)
        self._watchdog.__exit__()
        self._journal.close()

    def settled(self, results: Sequence[Result]) -> None:
        """These outcomes are in the database."""
        self._journal.settled([result.mail.id for result in results])

    def deliver(self, batch: Sequence[Ready], begin_until: float) -> Generator[list[Result], None, None]:
        """Send the batch over all lines; every mail's outcome, in groups, as they happen.

        The first group is empty and comes as soon as the lines have begun: time for the caller to do something else.
        A mail that is not begun before `begin_until` (monotonic seconds), or after the relay turned out to be
        broken or the worker is to stop, comes back `Untouched`. Close the generator where you leave it early.
        """
        waiting, done = deque(batch), deque[Result]()
        lines = self._connections[: max(1, min(len(self._connections), len(batch)))]
        threads = [
            threading.Thread(
                target=self._run, args=(line, waiting, done, begin_until), name="smtp", daemon=True
            )
            for line in lines
        ]
        for thread in threads:
            thread.start()
        try:
            yield []
            while any(thread.is_alive() for thread in threads) or done:
                _wait(threads, SETTLES_EVERY)
                if group := [done.popleft() for _ in range(len(done))]:
                    yield group
        finally:
            # Left before the end (the database is gone): what is not begun stays untouched, and nobody sends behind
            # the back of whoever asks next.
            waiting.clear()
            for thread in threads:
                thread.join()

    def _run(
        self, line: HardenedConnection, waiting: deque[Ready], done: deque[Result], begin_until: float
    ) -> None:
        with self._app.app_context():  # a thread has none of its own
            while True:
                try:
                    ready = waiting.popleft()
                except IndexError:
                    return
                done.append(Result(ready.mail, self._send(line, ready, begin_until)))

    def _send(self, line: HardenedConnection, ready: Ready, begin_until: float) -> Outcome:
        try:
            if self.broken is not None or self._stopping() or time.monotonic() >= begin_until:
                return Untouched()
            outcome = line.send(
                ready.letter, accepted=partial(self._journal.note, ready.mail.id, ready.mail.lease)
            )
        except Exception as error:  # a bug of ours must not take the other mails' line with it
            log.exception("sending a mail raised", mail_id=ready.mail.id)
            line.drop()
            return Temporary(f"an error of ours: {type(error).__name__}")
        self._note(outcome)
        return outcome

    def _note(self, outcome: Outcome) -> None:
        """Count what speaks against the relay; anything else it says proves that it is there."""
        with self._lock:
            if isinstance(outcome, RelayBroken):
                self.broken = outcome.reason
            elif isinstance(outcome, Temporary) and outcome.connection:
                self._failures += 1
                if self._failures >= FAILURES_THAT_PAUSE:
                    self.broken = outcome.reason
            else:
                self._failures = 0


def _wait(threads: Sequence[threading.Thread], seconds: float) -> None:
    """Until all have ended, so long at most. To be woken for each mail would cost as much as the mail."""
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0))


class Watchdog:
    """Cuts the lines of overdue exchanges. One thread for all connections of a relay."""

    LOOKS_EVERY = 0.25  # seconds

    def __init__(self, connections: list[HardenedConnection]) -> None:
        self._connections = connections
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="smtp-watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(self.LOOKS_EVERY):
            now = time.monotonic()
            for connection in self._connections:
                connection.cut_if_overdue(now)
