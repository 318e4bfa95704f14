"""Modules that are loaded when they are first needed (docs/decisions/0010).

Each library costs whoever starts the server or a command, in time and in memory, for as long as the process lives. The
few that cost most and are needed least are so named like this, the import for the type checker, the proxy for the run:

    if TYPE_CHECKING:
        import openpyxl
    else:
        openpyxl = later("openpyxl")

`openpyxl.Workbook()` then loads it, once and for all threads. Names are to be asked for where they are used, in
functions: asked for while a module is being loaded (a base class, a default), they would load the library there.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """Stands for a module until somebody asks it for something, and asks that module then."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        # Not kept: what a test puts into the module is seen here too, and a lookup costs a microsecond.
        return getattr(importlib.import_module(self.__name__), name)


def later(name: str) -> ModuleType:
    """The module of that name, loaded at the first use of anything in it. Raises ImportError then, not now."""
    return _Later(name)


def put_off(name: str) -> None:
    """The same for another library that imports `name` whether it needs it or not: call it before that import."""
    if name not in sys.modules:
        sys.modules[name] = _Later(name)


@contextlib.contextmanager
def kept_out(name: str) -> Iterator[None]:
    """For a library that takes names from `name` where it is installed, and does without it elsewhere: so it does here.

    Import it within the block; `once_more()` is for where `name` is wanted.
    """
    known = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # that is how Python says "not to be had"
    try:
        yield
    finally:
        del sys.modules[name]
        if known is not None:
            sys.modules[name] = known


def once_more(module: ModuleType) -> ModuleType:
    """A second copy of the module, beside the first: it takes what was kept out of that one."""
    spec = importlib.util.find_spec(module.__name__)
    copy = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]  # it was found before
    spec.loader.exec_module(copy)  # type: ignore[union-attr]
    return copy
