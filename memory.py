"""What a process keeps of memory that it no longer needs: as little as glibc can be told to.

By default glibc gives each thread a pool of its own (up to eight times the processors), and raises the size from which
a block is given back at once to that of the largest it ever gave back: the 19 MB of one password check raise it.
After a few requests to a thousand people each, 24 threads then hold 45 MB that nobody uses. Two pools, and the size it
begins with, cost no measurable time here: Python's lock lets one thread run at a time (docs/performance.md).
"""

from __future__ import annotations

import ctypes
import gc
import os

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # names of malloc.h, the same wherever glibc runs
ARENAS = 2
AT_ONCE = 128 * 1024  # bytes; a block of this size goes back to the system when it is freed


def keep_little() -> None:
    """Tell glibc, once the process begins. Does nothing with another C library, or where the operator has told it."""
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl and macOS have no mallopt, Windows no such library
        return
    mallopt(_M_ARENA_MAX, ARENAS)
    mallopt(_M_MMAP_THRESHOLD, AT_ONCE)


def look_past_what_stays() -> None:
    """Spare the garbage collector what is there once the process's first application is built.

    A round over everything took a tenth of a second, in the midst of a Send, and came once in three thousand invites.
    """
    if not gc.get_freeze_count():
        gc.freeze()
