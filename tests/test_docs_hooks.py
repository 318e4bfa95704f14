"""docs/hooks.md and docs/signals.md: the examples run, the catalogue is what the code says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hooks.page import catalogue_page

ROOT = Path(__file__).parent.parent
EXAMPLES = re.findall(
    r"```python\n(.*?)```", re.sub(r"(?m)^   ", "", (ROOT / "docs/hooks.md").read_text()), re.DOTALL
)


def test_the_catalogue_page_is_printed_from_the_code() -> None:
    # In a process of its own: other tests declare signals of plug-ins in this one.
    printed = subprocess.run(
        [sys.executable, "-m", "hooks.page"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (ROOT / "docs/signals.md").read_text() == printed.stdout
    assert catalogue_page().startswith("# Signals")


def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[0].lstrip("# "))
def test_each_example_is_a_plugin_that_loads(example: str, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(example)
    program = textwrap.dedent(
        """
        import app
        made = app.create_app({"PORTAL_DATA_DIR": "data", "PORTAL_TESTING": "true"})
        print(sorted(workflow.slug for workflow in made.extensions["workflows"]))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PORTAL_PLUGINS": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("invoice" in done.stdout) == ("class Invoice" in example)
