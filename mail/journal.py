"""What the relay took and the database does not know yet, on this machine's disk.

Between the relay's 250 and the settled row lies a moment; a worker killed in it would send the mail again when its
lease ends. So the 250 is first written to a file beside the database, a line per mail, which costs two microseconds.
Whoever works next on this machine finds the file unlocked, its writer being dead, and settles what stands in it.

The file outlives the process, not the machine: it is not synced, since that would cost more than the mail. After a
loss of power the lease and the Message-ID do what they always did.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable
from pathlib import Path

import structlog

from config import Settings
from models import new_id

log = structlog.get_logger(__name__)


class Journal:
    """One worker's file, locked while the worker lives. `close()` it, or leave it to the next worker."""

    def __init__(self, settings: Settings) -> None:
        folder = _folder(settings)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{new_id()}.log"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._open: set[str] = set()
        self._lock = threading.Lock()

    def note(self, mail_id: str, lease: str) -> None:
        """The relay said 250 to this mail. Never raises: the mail is sent, whatever the disk says."""
        with self._lock:
            self._open.add(mail_id)
            try:
                os.write(self._file, f"{mail_id} {lease}\n".encode())
            except OSError:
                log.warning("the journal can't be written", exc_info=True)

    def settled(self, mail_ids: Iterable[str]) -> None:
        """These are in the database now."""
        with self._lock:
            self._open.difference_update(mail_ids)
            if not self._open:
                os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Give the file up: nothing is left in it, or the next worker reads it."""
        with self._lock:
            if not self._open:
                self._path.unlink(missing_ok=True)
            os.close(self._file)


class Left:
    """The files that dead workers left. A context manager; deletes them where the block ends well."""

    def __init__(self, settings: Settings) -> None:
        self._folder = _folder(settings)
        self._files: list[tuple[Path, int]] = []
        self.accepted: set[tuple[str, str]] = set()  # (mail id, lease)

    def __enter__(self) -> Left:
        for path in self._folder.glob("*.log"):
            file = _locked(path)
            if file is not None:
                self._files.append((path, file))
                lines = path.read_text("ascii", "replace").split("\n")[:-1]  # what has no end was cut off
                self.accepted |= {(pair[0], pair[1]) for line in lines if len(pair := line.split(" ")) == 2}
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        for path, file in self._files:
            if kind is None:
                path.unlink(missing_ok=True)
            os.close(file)


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "accepted"


def _locked(path: Path) -> int | None:
    """The file, locked; None while its writer lives, or where somebody else was faster."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
