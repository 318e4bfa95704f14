"""docs/what-is-shown.md names a test for each promise; every one of them exists."""

from __future__ import annotations

import ast
import re

from tests.support.live import PROJECT

PAGE = PROJECT / "docs" / "what-is-shown.md"


def test_every_promise_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| (?!promise|---)(.+?) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.M)
    assert len(rows) > 60
    missing, known = [], {}
    for promise, named in rows:
        tests = named.split(", ")
        assert all(re.fullmatch(r"test_\w+::test_\w+", one) for one in tests), promise
        for one in tests:
            file, _, name = one.partition("::")
            path = PROJECT / "tests" / f"{file}.py"
            if file not in known and path.exists():
                tree = ast.parse(path.read_text(encoding="utf-8"))
                known[file] = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            if name not in known.get(file, set()):
                missing.append(one)
    assert missing == []
