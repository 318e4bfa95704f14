"""SQLite's write-ahead log: what was committed lasts once the disk has it (docs/decisions/0011)."""

from __future__ import annotations

import contextlib
import os
import threading


class Log:
    """The log of one database; waits for the disk.

    SQLite itself (synchronous=FULL) would wait before it lets the next writer in: four milliseconds for each of them in
    turn on a common disk, where those who come meanwhile can share one wait. Syncing the log is all that it does, too.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.waits = True  # tests outlive no power failure
        self._counting, self._syncing = threading.Lock(), threading.Lock()
        self._commits = self._lasting = 0

    def sync(self) -> None:
        """Return once all that was committed before the call lasts. Raises OSError where the disk fails."""
        if not self.waits:
            return
        with self._counting:
            self._commits += 1
            mine = self._commits
        with self._syncing:
            if self._lasting >= mine:
                return  # whoever was here before began after our commit
            covered = self._commits
            # Where it is gone, who used it last has copied it into the database, and synced that.
            with contextlib.suppress(FileNotFoundError):
                log = os.open(self.path, os.O_RDONLY)
                try:
                    _sync_data(log)
                finally:
                    os.close(log)
            self._lasting = covered


_sync_data = getattr(os, "fdatasync", os.fsync)  # some systems know fsync alone
