"""`backup FILE` and `restore FILE`: rows, files and keys together, on either database, while the server runs.

A backup is one tar.gz of plain things: a line of JSON per row, the stored files, the secret key. The rows are read in
one transaction that sees one moment; stored bytes never change once their row is committed, so reading them later is
no risk. It can be read without us, and restored into the other database.

A restored database is of yesterday: invites revoked since are open in it, people removed since are back. So after
`restore` mail is held and mailed links are dead until an operator says `outbox release`, and where the database that
is replaced can still be read, whoever lost access since the backup is named and stays without.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any

import click
import sqlalchemy as sa
from flask import Flask

import config
from mail import restored
from models import AccessState, Base, PortalAccess, StoredFile, db, migrating, unit_of_work, utc_now
from workflows import storage

FORMAT = 1
_AT_ONCE = 1000  # rows
# Triggers of the database derive these from the others, when those come back.
_DERIVED = {"portal_person", "portal_client", "portal_tally", "search_word"}


class BadBackup(click.ClickException):
    """The file can't be restored here; the text says why and what to do."""


def add_commands(
    cli: click.Group, app_of: Callable[[click.Context], Flask], empty_app_of: Callable[[click.Context], Flask]
) -> None:
    """Add `backup` and `restore`. `app_of` needs tables, `empty_app_of` makes them."""

    @cli.command("backup")
    @click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
    @click.pass_context
    def backup_command(context: click.Context, path: Path) -> None:
        """Rows, files and keys into one FILE, while the server runs."""
        with app_of(context).app_context():
            rows, files, missing = write(path)
        click.echo(
            f"{path}: {rows} rows, {files} files and the secret key. Keep it as safe as the database.",
            err=True,
        )
        for key in missing:
            click.echo(f"The bytes of {key} are not in the file store; its row is in the backup.", err=True)

    @cli.command("restore")
    @click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @click.option("--replace", is_flag=True, help="Replace what is in the database now.")
    @click.pass_context
    def restore_command(context: click.Context, path: Path, replace: bool) -> None:
        """Put FILE back, with the server stopped. Mail is held and links are dead until `outbox release`."""
        with empty_app_of(context).app_context():
            for line in restore(path, replace=replace):
                click.echo(line)


def write(path: Path) -> tuple[int, int, list[str]]:
    """Write the backup; how many rows and files, and the keys whose bytes are gone. Replaces `path` only when done."""
    settings = config.current()
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.touch(mode=0o600)
    rows, missing = 0, []
    try:
        with tarfile.open(unfinished, "w:gz", compresslevel=3) as archive, db.engine.connect() as reader:
            if reader.dialect.name == "postgresql":
                reader = reader.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            about = {"format": FORMAT, "revision": _revision(), "made_at": utc_now().isoformat()}
            _add(archive, "about.json", json.dumps(about).encode())
            _add(archive, "secret_key", settings.secret_key.encode())
            for table in _tables():
                with tempfile.TemporaryFile() as lines:
                    for row in (
                        reader.execution_options(yield_per=_AT_ONCE).execute(sa.select(table)).mappings()
                    ):
                        lines.write(json.dumps(dict(row), default=_plain).encode() + b"\n")
                        rows += 1
                    _add_file(archive, f"rows/{table.name}.jsonl", lines)
            keys = list(reader.scalars(sa.select(StoredFile.storage_key)))
            for key in keys:
                try:
                    with storage.opened(key) as source, tempfile.TemporaryFile() as copy:
                        while chunk := source.read(1 << 18):
                            copy.write(chunk)
                        _add_file(archive, f"files/{key}", copy)
                except FileNotFoundError:
                    missing.append(key)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return rows, len(keys) - len(missing), missing


def restore(path: Path, *, replace: bool = False) -> Iterator[str]:
    """Put the backup back; the report, line by line. Raises BadBackup before anything is touched.

    An edge: rows change in one unit of work, so a restore that fails has changed no row.
    """
    settings = config.current()
    with tarfile.open(path, "r:gz") as archive:
        about = json.loads(_read(archive, "about.json"))
        if about["format"] != FORMAT or about["revision"] != _revision():
            raise BadBackup(
                f"it was made by another version (tables {about['revision']}, here"
                f" {_revision()}): restore it there, then `db upgrade`"
            )
        key = _read(archive, "secret_key").decode()
        if key != settings.secret_key:
            _keep_key(settings, key)
        tables = _tables()
        if not replace and any(
            db.session.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
            for table in tables
        ):
            raise BadBackup(
                "the database holds rows already: stop the server, and say --replace to replace them"
            )
        without = _without_access()
        db.session.rollback()
        with unit_of_work() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(sa.delete(table))
            for table in tables:
                for some in _batches(archive, table):
                    session.execute(sa.insert(table), some)
            waiting = restored.hold(f"restored from {path.name}, made {about['made_at']}")
            back = list(
                session.scalars(sa.select(PortalAccess).where(PortalAccess.is_active(utc_now()))).unique()
            )
            lines = [
                f"{access.email}: access was {without[access.id][0].value} after the backup, and stays so."
                if without[access.id][0] is not AccessState.ACTIVE
                else f"{access.email}: access ended by its date after the backup, and stays so."
                for access in back
                if access.id in without
            ]
            for access in back:
                if access.id in without:
                    access.state, access.ends_at = without[access.id]
        files = _restore_files(archive)
    yield f"Restored {path.name}, made {about['made_at']}: {files} files."
    yield f"Mail is held ({waiting} waiting) and mailed links are dead until `outbox release`."
    yield from lines
    if not without:
        yield (
            "Nobody is known to have lost access since: check these, who have access now:"
            if back
            else "Nobody has access."
        )
        yield from (f"  {access.email}" for access in back)


def _tables() -> list[sa.Table]:
    return [table for table in Base.metadata.sorted_tables if table.name not in _DERIVED]


def _without_access() -> dict[str, tuple[AccessState, datetime | None]]:
    """Access id -> state and end of those without it in the database that is replaced."""
    rows = db.session.execute(
        sa.select(PortalAccess.id, PortalAccess.state, PortalAccess.ends_at).where(
            sa.not_(PortalAccess.is_active(utc_now()))
        )
    )
    return {row.id: (row.state, row.ends_at) for row in rows}


def _batches(archive: tarfile.TarFile, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    source = archive.extractfile(f"rows/{table.name}.jsonl")
    assert source is not None  # noqa: S101  # a member that is no file: nobody wrote that
    some: list[dict[str, Any]] = []
    for line in source:
        some.append({name: _value(value) for name, value in json.loads(line).items()})
        if len(some) == _AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _restore_files(archive: tarfile.TarFile) -> int:
    number = 0
    for member in archive:
        if member.isfile() and member.name.startswith("files/"):
            key = member.name.removeprefix("files/")
            if ".." in key.split("/") or key.startswith("/"):
                raise BadBackup(f"it holds a file with the name {key!r}, which none of ours has")
            source = archive.extractfile(member)
            with storage.opened(key, "wb") as target:
                while source is not None and (chunk := source.read(1 << 18)):
                    target.write(chunk)
            number += 1
    return number


def _keep_key(settings: config.Settings, key: str) -> None:
    """Links and sealed texts need the key they were made with. Raises BadBackup where a setting names another."""
    path = settings.data_dir / "secret_key"
    if not path.exists() or path.read_text().strip() != settings.secret_key:
        raise BadBackup(
            "SECRET_KEY is another than the backup's: set it to the text of `secret_key` in the file first"
        )
    path.write_text(key)


def _plain(value: object) -> object:
    match value:
        case datetime():
            return {"$moment": value.isoformat()}
        case date():
            return {"$day": value.isoformat()}
        case bytes():
            return {"$bytes": base64.b64encode(value).decode()}
    return str(value)


def _value(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        kind, text = next(iter(value.items()))
        match kind:
            case "$moment":
                return datetime.fromisoformat(text)
            case "$day":
                return date.fromisoformat(text)
            case "$bytes":
                return base64.b64decode(text)
    return value


def _revision() -> str:
    with db.engine.connect() as connection:
        return ",".join(sorted(migrating.current(connection)))


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    try:
        source = archive.extractfile(name)
    except KeyError as error:
        raise BadBackup(f"it is no backup of ours: {name} is missing") from error
    return source.read() if source is not None else b""


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    _add_file(archive, name, io.BytesIO(data))


def _add_file(archive: tarfile.TarFile, name: str, source: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size = source.seek(0, io.SEEK_END)
    member.mode = 0o600
    source.seek(0)
    archive.addfile(member, source)
