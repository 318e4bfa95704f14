"""Leaving out what costs every test time and shows nothing: templates compiled anew, and waiting for the disk.

Each test has an application of its own, and all have the same templates. The rows of a test outlive neither it nor the
machine, so a commit need not wait until the disk has them; PostgreSQL is told the same (`postgres.py`).
"""

from __future__ import annotations

import sqlite3

import sqlalchemy as sa
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from models import db


class _Compiled(BytecodeCache):
    """Jinja's own way of keeping compiled templates, in memory. A changed source is compiled anew."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """What was compiled before under this name."""
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it."""
        self._kept[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


def quick(app: Flask) -> Flask:
    """The same application, quicker."""
    app.jinja_env.bytecode_cache = _COMPILED
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            sa.event.listen(db.engine, "connect", _no_waiting_for_the_disk)
            app.extensions["portal_log"].waits = False
            db.engine.dispose()  # connections that are open already are made anew
    return app


def _no_waiting_for_the_disk(connection: sqlite3.Connection, record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF").close()
