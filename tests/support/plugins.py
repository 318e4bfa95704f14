"""Plug-ins in tests: a signal is declared once in a process, and a test's process goes on to the next test."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from hooks.signals import CATALOGUE


@contextlib.contextmanager
def signals_as_before() -> Iterator[None]:
    """What a plug-in declared within the block is forgotten at its end, so that another test may declare it."""
    signals, modules = dict(CATALOGUE), set(sys.modules)
    try:
        yield
    finally:
        CATALOGUE.clear()
        CATALOGUE.update(signals)
        for name in set(sys.modules) - modules:
            if name.startswith("portal_plugin_"):
                del sys.modules[name]
