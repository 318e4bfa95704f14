"""What a start doesn't load (docs/decisions/0010), and that what is loaded later is loaded right."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from later import later, put_off
from tests.support.live import OURS, PROJECT

HEAVY = [
    "aiohttp", "alembic", "botocore", "fontTools", "mako", "openpyxl", "PIL", "pyhanko", "pypdf", "pypdfium2",
    "psycopg.connection", "redis", "reportlab", "s3fs", "xlsxwriter", "zxcvbn",
]  # fmt: skip
STARTS = """
import sys
import app
import commands

made = app.create_app()
with made.app_context():
    commands.upgrade()
assert made.test_client().get("/login").status_code == 200
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""


@pytest.mark.one_database
def test_a_server_starts_and_serves_without_the_heavy_libraries(migrated_file: Path, tmp_path: Path) -> None:
    shutil.copyfile(migrated_file, tmp_path / "portal.sqlite3")
    environment = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    done = subprocess.run(
        [sys.executable, "-c", STARTS, *HEAVY],
        cwd=PROJECT,
        env=environment | {"PORTAL_DATA_DIR": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == []


def later_names() -> dict[str, tuple[set[str], set[str]]]:
    """File -> what it loads later, and what it imports for the type checker."""
    found = {}
    for path in PROJECT.glob("**/*.py"):
        if path.name == "later.py" or {".venv", "tests", "instance"} & set(path.relative_to(PROJECT).parts):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            argument.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "later"
            for argument in node.args
            if isinstance(argument, ast.Constant)
        }
        if names:
            found[str(path.relative_to(PROJECT))] = (names, typed(tree))
    return found


def typed(tree: ast.Module) -> set[str]:
    """The modules imported under TYPE_CHECKING."""
    names = set()
    for block in [node for node in tree.body if isinstance(node, ast.If)]:
        for node in block.body:
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_what_is_loaded_later_is_what_the_type_checker_sees() -> None:
    found = later_names()
    assert found
    wrong = {path: names - seen for path, (names, seen) in found.items() if names - seen}
    assert not wrong


class Slow:
    """A module that lets others come between while it is loaded, and tells how often it was."""

    name = "loaded_later_by_a_test"

    def __init__(self, folder: Path) -> None:
        self.loads = folder / "loads"
        (folder / f"{self.name}.py").write_text(
            "import time\n"
            f"with open({str(self.loads)!r}, 'a') as file:\n    file.write('once ')\n"
            "time.sleep(0.05)\nANSWER = 42\n"
        )

    def count(self) -> int:
        """How often it was loaded."""
        return self.loads.read_text().count("once") if self.loads.exists() else 0


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Slow(tmp_path)
    sys.modules.pop(Slow.name, None)


def test_it_is_loaded_once_at_the_first_use_by_however_many_threads(slow: Slow) -> None:
    module = later(slow.name)
    assert slow.count() == 0
    assert answers_of_threads(module) == [42] * 8
    assert slow.count() == 1


def test_a_name_that_is_missing_is_the_usual_error(slow: Slow) -> None:
    with pytest.raises(AttributeError):
        _ = later(slow.name).NOBODY
    with pytest.raises(ModuleNotFoundError):
        _ = later("no_such_module_of_ours").ANSWER


def test_a_driver_that_was_put_off_is_there_when_it_is_asked_for(slow: Slow) -> None:
    put_off(slow.name)
    module = sys.modules[slow.name]
    assert slow.count() == 0
    assert answers_of_threads(module) == [42] * 8
    assert slow.count() == 1
    assert sys.modules[slow.name] is not module


def answers_of_threads(module) -> list[int]:
    """What eight threads see at once."""
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(module.ANSWER)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
