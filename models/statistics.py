"""How large the tables get, as SQLite's planner is told: the plans of a grown firm in every firm, from the first day.

Told nothing, it takes the index of a whole firm for the rows of one client. What ANALYZE finds is no better, since it
holds for a moment: of an empty table it keeps nothing and takes it for a large one, and with that came a plan in which
each Send read all people of all lists. So the figures are fixed, as SQLite's manual proposes for plans that are to stay
(sqlite.org/lang_analyze.html, "Fixed Results Of ANALYZE"). They are written whenever the tables were migrated; a
connection reads them when it is opened. PostgreSQL keeps its own.
"""

from __future__ import annotations

import sqlalchemy as sa

ROWS = 1_000_000
AT_ONCE = {"portal_due": 10}  # rows of what is empty between transactions
# How many values a column has. Any other one tells rows apart as well as their key does. Of words there are two kinds,
# and a search asks for a range of them: it is to begin with the words wherever these are joined.
DISTINCT = {
    "firm_id": 200, "invited_by_id": 400, "member_id": 400, "team_member_id": 400, "created_by_id": 400, "day": 1000,
    "due_on": 1000, "name": 20, "workflow": 5, "kind": 100, "state": 4, "status": 4, "stage": 8, "open": 2, "slot": 4,
}  # fmt: skip
PARTIAL = 10  # an index of some rows holds the tenth part


def fix(connection: sa.Connection) -> None:
    """Write the figures of all indexes. Inside a unit of work; nothing on PostgreSQL."""
    if connection.dialect.name != "sqlite":
        return
    connection.exec_driver_sql("ANALYZE sqlite_schema")  # makes the table of the figures, reads no other
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    indexes = connection.exec_driver_sql(
        "SELECT t.name, i.name, i.origin, i.partial, i.\"unique\", t.sql LIKE '%WITHOUT ROWID%'"
        " FROM sqlite_master t, pragma_index_list(t.name) i WHERE t.type = 'table'"
    ).all()
    for table, index, origin, is_partial, is_unique, keyed in indexes:
        columns = connection.exec_driver_sql(
            "SELECT name FROM pragma_index_info(?) ORDER BY seqno", (index,)
        ).scalars()
        figures = [AT_ONCE.get(table, ROWS) // (PARTIAL if is_partial else 1)]
        for column in columns:
            figures.append(max(figures[-1] // DISTINCT.get(column, ROWS), 1))
        if is_unique:
            figures[-1] = 1
        # A table that is its own index (WITHOUT ROWID) goes by the table's name.
        name = table if keyed and origin == "pk" else index
        connection.exec_driver_sql(
            "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)",
            (table, name, " ".join(map(str, figures))),
        )
