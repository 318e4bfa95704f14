"""The directions of docs/decisions/0001 for the single modules of the top level, which import-linter can't see."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
ROOMS = ["models", "mail", "invites", "hooks", "workflows", "schemas", "web"]
OURS = {
    *ROOMS,
    "app",
    "backup",
    "commands",
    "demo",
    "tasks",
    "background",
    "bell",
    "logs",
    "config",
    "languages",
    "later",
    "memory",
    "one_key",
}
MAY_IMPORT = {
    "config.py": set(),
    "languages.py": set(),
    "later.py": set(),
    "memory.py": set(),
    "logs.py": {"config"},
    "bell.py": set(),
    "background.py": {"bell", "config", "later", "models"},
    "tasks.py": OURS - {"app", "commands", "demo", "web"},
    "demo.py": OURS - {"app", "commands", "tasks", "web"},
    "backup.py": {"config", "mail", "models", "workflows"},
    "one_key.py": {"config", "models"},
    "commands.py": OURS - {"app"},
}


def imported(path: Path) -> set[str]:
    """The top-level names a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_top_level_modules_import_downwards(module: str) -> None:
    wrong = imported(PROJECT / module) & OURS - MAY_IMPORT[module]
    assert not wrong, f"{module} must not import {sorted(wrong)}"


def test_every_top_level_module_has_its_place() -> None:
    assert {path.name for path in PROJECT.glob("*.py")} == {*MAY_IMPORT, "app.py"}


def test_only_the_transport_talks_smtp() -> None:
    files = list(PROJECT.glob("*.py"))
    wrong = [path.name for path in files if imported(path) & {"smtplib", "flask_mail"}]
    assert not wrong


def test_no_file_is_a_drawer_for_everything() -> None:
    files = [path for room in ROOMS for path in (PROJECT / room).rglob("*.py")] + list(PROJECT.glob("*.py"))
    long = {
        str(path.relative_to(PROJECT)): lines
        for path in files
        if (lines := path.read_text().count("\n")) > 400
    }
    assert not long, f"split by noun: {long}"


def declared(*names: str) -> set[str]:
    """The distributions named in these .in files, in normal form."""
    lines = [line for name in names for line in (PROJECT / name).read_text().splitlines()]
    return {normal(re.split(r"[\[<>=!~; ]", line)[0]) for line in lines if line and line[0] not in "#-"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("folders", "files"),
    [
        ([".", *ROOMS, "migrations"], ["requirements.in"]),
        (["tests"], ["requirements.in", "requirements-deploy.in", "requirements-test.in"]),
    ],
    ids=["product", "tests"],
)
def test_what_is_imported_is_declared(folders: list[str], files: list[str]) -> None:
    """An import that only another library's needs bring along breaks on the day that library no longer does."""
    homes, known = packages_distributions(), declared(*files)
    missing: dict[str, str] = {}
    for folder in folders:
        for path in (PROJECT / folder).glob("*.py" if folder == "." else "**/*.py"):
            for name in imported(path) - OURS - sys.stdlib_module_names - {"tests", "bench", "_typeshed"}:
                if not {normal(home) for home in homes.get(name, [name])} & known:
                    missing.setdefault(name, str(path.relative_to(PROJECT)))
    assert not missing, f"add to {files[-1]} and docs/dependencies.md: {missing}"


def test_each_dependency_has_its_reason() -> None:
    told = normal((PROJECT / "docs/dependencies.md").read_text())
    files = ("requirements.in", "requirements-deploy.in", "requirements-test.in")
    assert not {name for name in declared(*files) if name not in told}


def test_the_locks_hold_hashes_and_no_address() -> None:
    """Where packages come from is the reader's own setting."""
    locks = [PROJECT / f"requirements{which}.txt" for which in ("", "-deploy", "-test")]
    for lock in locks:
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text, f"{lock.name} names an address"
        assert "--index-url" not in text
        assert "--find-links" not in text
