"""`column IN (these ids)` as one parameter, however many ids there are.

A parameter for each id makes another statement for each number of them: the database reads it anew, and the driver
keeps the last hundred, tens of megabytes in a worker.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


def among(column: Any, name: str = "ids") -> sa.ColumnElement[bool]:
    """Whether the column is one of those that the parameter `name` lists."""
    return _Among(column, sa.bindparam(name, type_=_Ids()))


class _Ids(sa.types.TypeDecorator[Iterable[str]]):
    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(ARRAY(sa.String()))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: Iterable[str] | None, dialect: sa.Dialect) -> Any:
        ids = list(value or [])
        return ids if dialect.name == "postgresql" else json.dumps(ids)


class _Among(FunctionElement[bool]):
    """The column, and the ids as one value."""

    type = sa.Boolean()
    inherit_cache = True
    name = "among"

    def self_group(self, against: Any = None) -> _Among:
        """As it is: `... = 1`, as SQLite is asked of other truths, would take no index."""
        return self


@compiles(_Among, "sqlite")
def _among_in_sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, ids = (compiler.process(part, **options) for part in element.clauses)
    # Text, as the columns are: else SQLite takes no index.
    return f"({column} IN (SELECT CAST(value AS TEXT) FROM json_each({ids})))"  # noqa: S608  # ids are a parameter


@compiles(_Among, "postgresql")
def _among_in_postgresql(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, ids = (compiler.process(part, **options) for part in element.clauses)
    # Not `IN (SELECT unnest(...))`, which a plan made for few rows would unpack again for each of many.
    return f"({column} = ANY ({ids}))"
