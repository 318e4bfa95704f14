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

import importlib
import sys
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
