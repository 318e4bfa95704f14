"""The file store: bytes under random keys, in a folder or a bucket (fsspec, at FILES_URL).

Bytes can't be part of a database transaction, so the order decides what a crash leaves behind. They are written
before the transaction and taken away again when it fails; a row never speaks of bytes that aren't there. What a killed
process leaves is bytes without a row, and `sweep_orphans` takes those away.

Keys are random and say nothing but the day, which lets the sweep look at one day's folder at a time. Names are kept
in the row, as people may see them; the browser's idea of the content type is never asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import IO, Any, Final, cast

import fsspec
import sqlalchemy as sa
import structlog
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

import config
from languages import worded
from models import Client, StoredFile, db, new_id, unit_of_work, utc_now
from models.errors import Invalid, Missing, TooLarge
from workflows.names import HEAD, content_type_of, safe_name, size_text

log = structlog.get_logger(__name__)

CHUNK: Final = 256 * 1024
BLOCK: Final = (
    5 * 1024 * 1024
)  # what a bucket is asked for and sent at a time: the least that S3 takes as a part
# A bucket that is gone or reads slowly must not keep a thread for minutes: ten seconds a try, three tries.
PATIENCE: Final = {"connect_timeout": 5, "read_timeout": 10, "retries": {"total_max_attempts": 3}}
ORPHAN_AFTER: Final = timedelta(days=2)  # no request takes that long
ABANDONED_AFTER: Final = timedelta(days=7)  # a document that was uploaded and never sent
SWEPT_DAYS: Final = 30  # folders older than that were swept many times


@dataclass(frozen=True)
class Upload:
    """Bytes that are in the store and have no row yet, with what was measured while they came in."""

    storage_key: str
    name: str
    size: int
    sha256: str
    content_type: str


Kept = StoredFile | Upload  # bytes that are in the store


def _empty(name: str) -> str:
    return worded("%(name)s is empty. Choose another file.", name=name)


def receive(stream: IO[bytes], name: str | None, *, field: str = "file", most: int | None = None) -> Upload:
    """Stream one upload into the store, before the unit of work opens. `most` is in bytes (MAX_UPLOAD_MB).

    Raises Invalid (on `field`) for an empty file, TooLarge above the limit; nothing is kept then.
    """
    most = config.current().max_upload_bytes if most is None else most
    head = stream.read(HEAD)
    if not head:
        raise Invalid({field: [_empty(safe_name(name)) if name else worded("Choose a file.")]})
    filesystem, root = _store()
    key = f"{utc_now():%Y/%m/%d}/{secrets.token_hex(20)}"
    digest, size, chunk = hashlib.sha256(), 0, head
    try:
        with opened(key, "wb") as target:
            while chunk:
                size += len(chunk)
                if size > most:
                    raise TooLarge(
                        worded(
                            "%(name)s is larger than %(size)s. Make it smaller or split it.",
                            name=safe_name(name),
                            size=size_text(most),
                        ),
                        {field: [worded("At most %(size)s per file.", size=size_text(most))]},
                    )
                digest.update(chunk)
                target.write(chunk)
                chunk = stream.read(CHUNK)
            if isinstance(filesystem, LocalFileSystem):
                # The row is on the disk for good once it is committed, so its bytes must be before.
                target.flush()
                os.fsync(target.fileno())
    except BaseException:
        _remove(filesystem, f"{root}/{key}")
        raise
    shown = safe_name(name)
    return Upload(key, shown, size, digest.hexdigest(), content_type_of(head, shown))


def receive_bytes(data: bytes, name: str) -> Upload:
    """`receive` for bytes that we made ourselves; no limit on their size."""
    return receive(io.BytesIO(data), name, most=max(len(data), 1))


@contextlib.contextmanager
def received(*parts: tuple[IO[bytes], str | None], field: str = "file") -> Iterator[list[Upload]]:
    """Receive uploads (stream, name) for the block, which keeps them; what it keeps no row of is taken away again.

    Raises Invalid where nothing was chosen or one is empty, TooLarge.
    """
    if not parts:
        raise Invalid({field: [worded("Choose a file.")]})
    with _taken_away_unless_kept() as uploads:
        for stream, name in parts:
            uploads.append(receive(stream, name, field=field))
        yield uploads


@contextlib.contextmanager
def copied(stored: Kept) -> Iterator[Upload]:
    """A copy of stored bytes for the block, taken away again unless it keeps a row of them. Raises Missing."""
    with _taken_away_unless_kept() as uploads:
        with open_file(stored) as source:
            uploads.append(receive(source, stored.name, most=max(stored.size, 1)))
        yield uploads[0]


@contextlib.contextmanager
def _taken_away_unless_kept() -> Iterator[list[Upload]]:
    """Where the block raises, or ends without committed rows (a rehearsal), the bytes go at once."""
    uploads: list[Upload] = []
    try:
        yield uploads
    except BaseException:
        for upload in uploads:
            discard(upload)
        raise
    keys = [upload.storage_key for upload in uploads]
    kept = set(db.session.scalars(sa.select(StoredFile.storage_key).where(StoredFile.storage_key.in_(keys))))
    for upload in uploads:
        if upload.storage_key not in kept:
            discard(upload)


def discard(upload: Upload) -> None:
    """Take the bytes of an upload away again: its transaction failed."""
    filesystem, root = _store()
    _remove(filesystem, f"{root}/{upload.storage_key}")


def keep(upload: Upload, client: Client, *, purpose: str = "file", item_id: str | None = None) -> StoredFile:
    """The row of an upload, flushed within the open unit of work. Purposes: file, document, sealed."""
    stored = StoredFile(
        id=new_id(),
        firm_id=client.firm_id,
        client_id=client.id,
        item_id=item_id,
        purpose=purpose,
        name=upload.name,
        size=upload.size,
        sha256=upload.sha256,
        content_type=upload.content_type,
        storage_key=upload.storage_key,
        created_at=utc_now(),
    )
    db.session.add(stored)
    db.session.flush()
    return stored


def open_file(stored: Kept) -> IO[bytes]:
    """The bytes for reading; close it, or use it in a `with`. Raises Missing where they are gone."""
    try:
        return opened(stored.storage_key)
    except FileNotFoundError as error:
        log.error("stored bytes are gone", storage_key=stored.storage_key)
        raise Missing("This file can't be found in the file store. Ask your administrator.") from error


def opened(key: str, mode: str = "rb") -> IO[bytes]:
    """The bytes under a key as they lie in the store, for a backup too. Raises FileNotFoundError; "wb" writes them."""
    filesystem, root = _store()
    if mode == "wb" and isinstance(filesystem, LocalFileSystem):
        # A bucket knows no folders: asked for one, it would be looked for each time, and made where it is mistyped.
        filesystem.makedirs(f"{root}/{key}".rpartition("/")[0], exist_ok=True)
    return cast("IO[bytes]", filesystem.open(f"{root}/{key}", mode, block_size=BLOCK))


def read(stored: Kept) -> bytes:
    """All bytes at once; for documents that are worked on as a whole. Raises Missing."""
    with open_file(stored) as source:
        return source.read()


def chunks(stored: Kept) -> Iterator[bytes]:
    """The bytes piece by piece, for a streamed answer. Opened at once, so that Missing comes before the answer."""
    source = open_file(stored)

    def pieces() -> Iterator[bytes]:
        with source:
            while piece := source.read(CHUNK):
                yield piece

    return pieces()


def sweep_orphans() -> int:
    """Take away bytes without a row and documents never sent; how many. An edge: opens its own units of work.

    Only folders of days before ORPHAN_AFTER are looked at, so no upload that is under way is touched.
    """
    return _forget_abandoned() + sum(_sweep_day(day) for day in _days_to_sweep())


def _days_to_sweep() -> Iterator[date]:
    first = (utc_now() - ORPHAN_AFTER).date()
    return (first - timedelta(days=back) for back in range(SWEPT_DAYS))


def _sweep_day(day: date) -> int:
    filesystem, root = _store()
    prefix = f"{day:%Y/%m/%d}/"
    try:
        found = {str(path).rpartition("/")[2] for path in filesystem.ls(f"{root}/{prefix}", detail=False)}
    except FileNotFoundError:
        return 0
    rows = db.session.scalars(
        sa.select(StoredFile.storage_key).where(StoredFile.storage_key.startswith(prefix, autoescape=True))
    )
    orphans = found - {key.removeprefix(prefix) for key in rows}
    for name in orphans:
        _remove(filesystem, f"{root}/{prefix}{name}")
    return len(orphans)


def _forget_abandoned() -> int:
    """Documents that were uploaded for signing and never sent hang on no item: row first, then bytes."""
    with unit_of_work():
        keys = list(
            db.session.scalars(
                sa.delete(StoredFile)
                .where(
                    StoredFile.purpose == "document",
                    StoredFile.item_id.is_(None),
                    StoredFile.created_at < utc_now() - ABANDONED_AFTER,
                )
                .returning(StoredFile.storage_key)
            )
        )
    filesystem, root = _store()
    for key in keys:
        _remove(filesystem, f"{root}/{key}")
    return len(keys)


def _store() -> tuple[AbstractFileSystem, str]:
    """The file system of FILES_URL and the folder in it, without a slash at the end."""
    url = config.current().files_url
    options: dict[str, Any] = {"config_kwargs": PATIENCE} if url.startswith("s3:") else {}
    # No list is kept of what lies there: other machines write, too.
    filesystem, path = cast(
        "tuple[Any, str]", fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    )
    filesystem.retries = 1  # s3fs tries again what Amazon's library has tried already
    return filesystem, path.rstrip("/")


def _remove(filesystem: AbstractFileSystem, path: str) -> None:
    """Remove one file if it is there. A store that is down must not hide why we are cleaning up."""
    try:
        filesystem.rm_file(path)
    except FileNotFoundError:
        return
    except Exception:  # each store's library has errors of its own
        log.exception("bytes left behind: the sweep takes them", path=path.rpartition("/")[2])
