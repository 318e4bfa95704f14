"""Who writes to SQLite next (docs/decisions/0011)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator

WAIT = 30  # seconds, for whoever writes at this moment


class Turns:
    """One writer to SQLite at a time: a process's threads by a lock, the processes by one on a file beside it."""

    def __init__(self, database: str | None) -> None:
        self._path = f"{os.path.realpath(database)}-turn" if database else None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for it and hold it. A thread that waited in vain goes on, and is told so by SQLite.

        For another process there is no such end: one that is dead has let go, one that is stopped holds the rest up.
        """
        mine = self._lock.acquire(timeout=WAIT)
        try:
            with self._of_this_process() if mine else contextlib.nullcontext():
                yield
        finally:
            if mine:
                self._lock.release()

    @contextlib.contextmanager
    def _of_this_process(self) -> Iterator[None]:
        """The system ends it with the process, however that ends."""
        if self._path is None:
            yield
            return
        file = os.open(self._path, os.O_RDONLY | os.O_CREAT, 0o644)  # an operator's command may have made it
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)
