"""The migrations: which one the database is at, which one is the last, and Alembic where something is to be done.

Every start asks whether the database is up to date, and nearly always it is. That is one small table and the heads of
the migrations' files, so Alembic (a quarter of a second, ten megabytes) is loaded only where it has work.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask import current_app

from later import later
from models import statistics
from models.base import Base
from models.database import unit_of_work

if TYPE_CHECKING:
    import flask_alembic
else:
    flask_alembic = later("flask_alembic")

FOLDER = Path(__file__).resolve().parents[1] / "migrations"
_VERSIONS = sa.table("alembic_version", sa.column("version_num", sa.String))
_SAID = re.compile(r"^(revision|down_revision)\b[^=\n]*=\s*(.+)$", re.MULTILINE)


def heads() -> set[str]:
    """The revisions that no other one builds upon, as the migrations' files say."""
    known: set[str] = set()
    passed: set[str] = set()
    for path in FOLDER.glob("*.py"):
        said = {name: ast.literal_eval(value) for name, value in _SAID.findall(path.read_text("utf-8"))}
        known.add(said["revision"])
        below = said["down_revision"] or ()
        passed |= {below} if isinstance(below, str) else set(below)
    return known - passed


def current(connection: sa.Connection) -> set[str]:
    """The revisions the database is at; none where it is empty."""
    if not sa.inspect(connection).has_table(_VERSIONS.name):
        return set()
    return set(connection.scalars(sa.select(_VERSIONS.c.version_num)))


def is_at_head(engine: sa.Engine) -> bool:
    """Whether the database has every migration."""
    with engine.connect() as connection:
        return current(connection) == heads()


def upgrade() -> None:
    """Bring the database to head. An edge: its own units of work."""
    alembic().upgrade()
    with unit_of_work() as session:
        statistics.fix(session.connection())


def alembic() -> flask_alembic.Alembic:
    """The application's Alembic, over our tables alone: Huey's own tables in the same database are not ours to drop.

    It is made, and loaded, when it is first asked for, which must be before the application's first request.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # a proxy, in Flask's words a Flask
    if "alembic" not in app.extensions:
        ours = set(Base.metadata.tables)
        app.config["ALEMBIC"] = {"script_location": str(FOLDER)}
        app.config["ALEMBIC_CONTEXT"] = {
            "include_name": lambda name, kind, parents: kind != "table" or name in ours,
            "render_as_batch": True,
            "compare_type": True,
        }
        flask_alembic.Alembic(run_mkdir=False, command_name="", metadatas=Base.metadata).init_app(app)
    made: flask_alembic.Alembic = app.extensions["alembic"]
    return made
