"""What every race begins with, as fixtures: a firm, a client, and a crowd of people.

A test file takes them by name: `people, racing, world, byron = races.people, races.racing, races.world, races.byron`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.support.together import Crowd, crowd, racing_world
from tests.support.world import World


@pytest.fixture(scope="module")
def people() -> Iterator[Crowd]:
    """Sixteen threads, kept for all tests of a file."""
    with crowd() as people:
        yield people


@pytest.fixture
def racing(app: Flask) -> tuple[World, str]:
    """The firm, with an API token, and its client."""
    return racing_world(app)


@pytest.fixture
def world(racing: tuple[World, str]) -> World:
    """The firm."""
    return racing[0]


@pytest.fixture
def byron(racing: tuple[World, str]) -> str:
    """The id of the client, whose only contact has no address."""
    return racing[1]
