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
    listed: sa.ColumnElement[bool] = column.op("IN", is_comparison=True)(
        _Each(sa.bindparam(name, type_=_Ids()))
    )
    return listed


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


class _Each(FunctionElement[str]):
    """The ids as rows. Text, as the columns are: else SQLite takes no index."""

    type = sa.Text()
    inherit_cache = True
    name = "each"


@compiles(_Each, "sqlite")
def _each_in_sqlite(element: _Each, compiler: SQLCompiler, **options: Any) -> str:
    ids = compiler.process(element.clauses, **options)
    return f"(SELECT CAST(value AS TEXT) FROM json_each({ids}))"  # noqa: S608  # ids are a parameter


@compiles(_Each, "postgresql")
def _each_in_postgresql(element: _Each, compiler: SQLCompiler, **options: Any) -> str:
    return f"(SELECT unnest({compiler.process(element.clauses, **options)}))"
