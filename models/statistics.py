"""What SQLite's planner knows of the tables: without it, it takes the index of a whole firm for the rows of one client.

PostgreSQL keeps such figures by itself. SQLite is to be told to look (sqlite.org/lang_analyze.html); a limit makes that
look take a tenth of a second in a database of five gigabytes. A connection reads the figures when it is opened, hence
`pool_recycle` in `database.py`.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

ROWS = 1000  # looked at, of each index; SQLite's manual says 100 to 1000


def refresh_statistics(session: Session) -> None:
    """Let the planner look at the tables anew. Inside a unit of work."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA analysis_limit={ROWS}")
        connection.exec_driver_sql("ANALYZE")
