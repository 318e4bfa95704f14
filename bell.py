"""A queue in a SQLite file that wakes its workers at once, in whichever process they are.

Huey's own looks into the file every now and then: a Send waited for up to a fifth of a second. Here whoever puts a task
in also rings, by a byte in a named pipe beside the file. One thread of a worker waits at the pipe, the others for its
place, so that each task wakes one. A ring that is lost costs the time until the next look.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from typing import Any

from huey.storage import SqliteStorage

LOOKS_EVERY = 0.2  # seconds, where nobody rings


class BellStorage(SqliteStorage):
    """Storage for Huey, whose `dequeue()` waits for a while, as PostgreSQL's and Redis's do."""

    blocking = True

    def __init__(self, name: str, filename: str, **options: Any) -> None:
        super().__init__(name, filename, **options)
        self._path = f"{filename}-bell"
        self._pipe: int | None = None
        self._place = threading.Lock()

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Put a task in, and ring."""
        super().enqueue(data, priority)
        with contextlib.suppress(OSError):  # nobody listens, or the pipe is full of rings: they will look
            pipe = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(pipe, b"1")
            finally:
                os.close(pipe)

    def dequeue(self) -> bytes | None:
        """The next task, or one that comes within a moment; else None."""
        pipe = self._listen()  # before the look: so no ring falls between look and wait
        task: bytes | None = super().dequeue()
        return super().dequeue() if task is None and self._is_rung(pipe) else task

    def _listen(self) -> int:
        with self.lock:
            if self._pipe is None:
                with contextlib.suppress(FileExistsError):
                    os.mkfifo(self._path, 0o600)
                # To write as well: so it never ends.
                self._pipe = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
            return self._pipe

    def _is_rung(self, pipe: int) -> bool:
        if not self._place.acquire(timeout=LOOKS_EVERY):
            return False
        try:
            poll = select.poll()
            poll.register(pipe, select.POLLIN)
            return bool(poll.poll(LOOKS_EVERY * 1000) and os.read(pipe, 1))
        except BlockingIOError:  # another process was faster
            return False
        finally:
            self._place.release()

    def close(self) -> bool:
        """Close the file and the pipe."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        return bool(super().close())
