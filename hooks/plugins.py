"""Receivers and workflows from outside: installed packages (entry points) and a folder of modules.

`portal_invites.hooks` entry points and the modules of the folder PORTAL_PLUGINS are imported at start; importing is
enough to connect receivers. Workflows are found as subclasses in those modules or by `portal_invites.workflows` entry
points. A plug-in that can't be imported stops the start with its name: half a product is worse than none.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

Kind = TypeVar("Kind")

HOOKS = "portal_invites.hooks"
WORKFLOWS = "portal_invites.workflows"


class BrokenPlugin(Exception):
    """A plug-in that can't be loaded; the text is one line for the operator."""


def load(folder: Path | None) -> list[Any]:
    """Import every plug-in; the modules and objects found, in order of name."""
    found: list[Any] = []
    for group in (HOOKS, WORKFLOWS):
        for point in sorted(entry_points(group=group), key=lambda point: point.name):
            try:
                found.append(point.load())
            except (Exception, SystemExit) as error:
                raise BrokenPlugin(
                    f"the plug-in {point.name!r} ({point.value}) can't be loaded: {_in_a_line(error)}"
                ) from error
    for path in sorted(folder.glob("*.py")) if folder else []:
        if not path.name.startswith("_"):
            found.append(_module(path))
    return found


def subclasses(found: list[Any], base: type[Kind]) -> Iterator[type[Kind]]:
    """The subclasses of `base` that were declared in (or are) what `load` found."""
    for thing in found:
        if isinstance(thing, type) and issubclass(thing, base):
            yield thing
        elif isinstance(thing, ModuleType):
            for value in vars(thing).values():
                if isinstance(value, type) and issubclass(value, base) and value.__module__ == thing.__name__:
                    yield value


def home_of(kind: type) -> str:
    """Where a plugged-in class was written, for the operator."""
    return str(getattr(sys.modules.get(kind.__module__), "__file__", None) or kind.__module__)


def _module(path: Path) -> ModuleType:
    """Import one file of the folder; a second application in this process gets the module that is there."""
    name = f"portal_plugin_{path.stem}"
    there = sys.modules.get(name)
    if there is not None and getattr(there, "__file__", None) == str(path):
        return there
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BrokenPlugin(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BrokenPlugin(f"the plug-in {path} can't be loaded: {_in_a_line(error)}") from error
    return module


def _in_a_line(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
