"""Many rows of a table at once, past the session's objects: what a Send to a thousand writes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.sqlite import pysqlite

from models.database import db

_Form = Callable[[Any], Any]


def insert_rows(model: Any, rows: Sequence[Mapping[str, Any]], *, leave_out_taken: bool = False) -> int:
    """Insert many rows of `model` at once, past the session's objects; how many came in.

    All rows name the same columns; defaults don't count. With `leave_out_taken` a row doesn't come in where another has
    its place in a unique index, otherwise it raises IntegrityError. What the rows point at must have been sent to the
    database already: flush first where it may not be.
    """
    if not rows:
        return 0
    connection, counted = db.session.connection(), {"preserve_rowcount": True}
    if connection.dialect.name == "postgresql":
        statement = _insert_json(model, tuple(rows[0]), leave_out_taken)
        values = {"rows": json.dumps(rows, default=datetime.isoformat)}
        return connection.execute(statement, values, execution_options=counted).rowcount
    text, forms = _insert_each(model, tuple(rows[0]), leave_out_taken)
    each = list(zip(*(_formed(name, form, rows) for name, form in forms.items()), strict=True))
    return connection.exec_driver_sql(text, each, execution_options=counted).rowcount


# Built once: composing a statement costs as much as running it.


@functools.cache
def _insert_json(model: Any, names: tuple[str, ...], leave_out_taken: bool) -> sa.Insert:
    """For PostgreSQL: all rows are one parameter, which the database reads by the types of its own columns.

    A third of the time that a statement for each row takes, though the driver sends all of these at once.
    """
    table = model.__table__
    rows = sa.func.json_populate_recordset(
        sa.literal_column(f"NULL::{table.name}"), sa.cast(sa.bindparam("rows", type_=sa.Text()), sa.JSON)
    ).table_valued(*names)
    statement = postgresql.insert(table).from_select(names, sa.select(*rows.c), include_defaults=False)
    return statement.on_conflict_do_nothing() if leave_out_taken else statement


@functools.cache
def _insert_each(
    model: Any, names: tuple[str, ...], leave_out_taken: bool
) -> tuple[str, dict[str, _Form | None]]:
    """For SQLite: the statement, and what puts each column's values into the form that is stored."""
    table, dialect = model.__table__, pysqlite.dialect()
    statement = sqlite.insert(sa.table(table.name, *(sa.column(name) for name in names)))
    if leave_out_taken:
        statement = statement.on_conflict_do_nothing()
    forms = {name: table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names}
    return str(statement.compile(dialect=dialect)), forms


def _formed(name: str, form: _Form | None, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """A column of the rows as the driver takes it. What they share (a moment, a state) gets its form once."""
    values = [row[name] for row in rows]
    if form is None:
        return values
    formed = {key: form(value) for key, value in {id(value): value for value in values}.items()}
    return [formed[id(value)] for value in values]
