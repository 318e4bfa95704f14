"""The tables without the migrations, which take a second: for small applications that need the tables alone."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from models import Base, statistics

_MIGRATIONS = Path(__file__).parents[2] / "migrations"


def create_tables(engine: sa.Engine) -> None:
    """All tables, with what derives the lists; nothing where they are there already."""
    if sa.inspect(engine).has_table("firm"):
        return
    Base.metadata.create_all(engine)
    sql = (_MIGRATIONS / f"portal_list.{engine.dialect.name}.sql").read_text(encoding="utf-8")
    with engine.begin() as connection:
        for statement in sql.split("\n--;\n"):
            connection.execute(sa.text(statement))
        statistics.fix(connection)
