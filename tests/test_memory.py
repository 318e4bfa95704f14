"""What a process gives back: asked of glibc in processes of their own, where there is one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.live import PROJECT

# One large block is freed (the size of a password check's), then another is taken, and looked for in the heap.
LOOKS = """
import ctypes, memory
memory.keep_little()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.free(libc.malloc(19 * 1024 * 1024))
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in
                ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]
libc.mallinfo.restype = Info
before = libc.mallinfo().hblks
libc.malloc(8 * 1024 * 1024)
print(libc.mallinfo().hblks - before)
"""


def blocks_of_their_own(**settings: str) -> int:
    """How many large blocks the system keeps apart from the heap, after one was freed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", LOOKS],
        cwd=PROJECT,
        env=environment | settings,
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_large_block_is_given_back_whatever_was_freed_before() -> None:
    assert blocks_of_their_own() == 1
    assert blocks_of_their_own(MALLOC_ARENA_MAX="4") == 0  # the operator has told it: glibc's own rule holds


COUNTS = """
import gc, sys
from app import create_app
create_app({"PORTAL_DATA_DIR": sys.argv[1]})
print(len(gc.get_objects()), gc.get_freeze_count())
"""


def test_the_collector_looks_past_what_the_application_is_made_of(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNTS, str(tmp_path)],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    looked_at, spared = map(int, done.stdout.split())
    assert looked_at < spared / 10
