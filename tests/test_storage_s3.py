"""The file store in a bucket: FILES_URL=s3:// alone, against a server that speaks S3."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import fsspec
import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

import backup
from models import Client, StoredFile, db, unit_of_work, utc_now
from models.errors import Missing, TooLarge
from tests.support.outside import Bucket, running_bucket
from tests.support.smtp import free_port
from tests.support.together import TOKEN, racing_world
from tests.support.world import make_client, make_world
from workflows import storage

pytestmark = pytest.mark.one_database
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def store() -> Iterator[Bucket]:
    with running_bucket() as bucket:
        yield bucket


@pytest.fixture
def bucket(store: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The store, known to this process as to one that an operator set up."""
    for name, value in store.settings.items():
        monkeypatch.setenv(name, value)
    return store


@pytest.fixture
def kept_in(bucket: Bucket, make_app: Callable[..., Flask]) -> Iterator[Callable[[str], Flask]]:
    """The application with its files in a folder of the bucket, within its context."""
    contexts = []

    def app(folder: str, name: str = bucket.name) -> Flask:
        made = make_app(FILES_URL=f"s3://{name}/{folder}")
        contexts.append(made.app_context())
        contexts[-1].push()
        return made

    yield app
    for context in reversed(contexts):
        context.pop()


class Zeros(io.RawIOBase):
    """So many bytes, of which none is kept."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        number = min(len(buffer), self.left)
        buffer[:number] = bytes(number)
        self.left -= number
        return number


def test_bytes_go_in_and_come_out_and_go(kept_in: Callable[..., Flask], bucket: Bucket) -> None:
    kept_in("first")
    stored = storage.receive(io.BytesIO(b"%PDF-1.7 a return"), "Return 2026.pdf")
    assert (stored.size, stored.content_type) == (17, "application/pdf")
    assert storage.read(stored) == b"".join(storage.chunks(stored)) == b"%PDF-1.7 a return"
    assert f"first/{stored.storage_key}" in bucket.listed()
    storage.discard(stored)
    assert f"first/{stored.storage_key}" not in bucket.listed()
    with pytest.raises(Missing):
        storage.chunks(stored)
    storage.discard(stored)  # gone already


def test_what_is_too_large_leaves_nothing(kept_in: Callable[..., Flask], bucket: Bucket) -> None:
    kept_in("large")
    with pytest.raises(TooLarge):
        storage.receive(io.BytesIO(b"x" * 300_000), "b.txt", most=299_999)
    with pytest.raises(TooLarge):
        storage.receive(io.BufferedReader(Zeros(12 * MEGABYTE)), "b.bin", most=11 * MEGABYTE)
    assert not [key for key in bucket.listed() if key.startswith("large/")]


def test_a_large_file_passes_through_little_memory(kept_in: Callable[..., Flask]) -> None:
    kept_in("memory")
    storage.discard(storage.receive(io.BytesIO(b"the libraries are loaded"), "a.txt"))
    tracemalloc.start()
    try:
        stored = storage.receive(io.BufferedReader(Zeros(45 * MEGABYTE)), "scans.bin")
        going_in = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert sum(len(piece) for piece in storage.chunks(stored)) == 45 * MEGABYTE
        coming_out = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    storage.discard(stored)
    assert max(going_in, coming_out) < 30 * MEGABYTE, (going_in / MEGABYTE, coming_out / MEGABYTE)


def test_a_mistyped_bucket_is_told_and_not_made(kept_in: Callable[..., Flask], bucket: Bucket) -> None:
    kept_in("files", name="portla")
    with pytest.raises(FileNotFoundError):
        storage.receive(io.BytesIO(b"hello"), "a.txt")
    assert not bucket.exists("portla")


def test_a_store_that_is_gone_is_told_and_leaves_no_row(
    make_app: Callable[..., Flask], bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # as in a process that begins
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    app = make_app(FILES_URL="s3://gone/files")
    _, client_id = racing_world(app)
    answer = app.test_client().post(
        f"/api/v1/clients/{client_id}/files",
        data={"file": (io.BytesIO(b"hello"), "a.txt")},
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    assert (answer.status_code, answer.get_json()["code"]) == (503, "unavailable")
    with app.app_context():
        assert db.session.scalars(sa.select(StoredFile.id)).all() == []


def test_bytes_without_a_row_are_swept(kept_in: Callable[..., Flask], bucket: Bucket) -> None:
    kept_in("swept")
    with time_machine.travel(utc_now() - timedelta(days=3), tick=False):
        key = storage.receive(io.BytesIO(b"orphan"), "orphan.txt").storage_key
    assert f"swept/{key}" in bucket.listed()
    assert storage.sweep_orphans() == 1
    assert storage.sweep_orphans() == 0
    assert not [found for found in bucket.listed() if found.startswith("swept/")]


def test_a_backup_holds_the_bucket_s_files_and_brings_them_back(
    kept_in: Callable[..., Flask], tmp_path: Path
) -> None:
    app = kept_in("backup")
    client_id = make_client(make_world(app), "Byron Family")
    stored = storage.receive(io.BytesIO(b"%PDF-1.7 secret"), "Secret.pdf")
    with unit_of_work():
        storage.keep(stored, db.session.get_one(Client, client_id))
    assert backup.write(tmp_path / "backup.tar.gz")[1:] == (1, [])
    storage.discard(stored)
    assert backup.write(tmp_path / "later.tar.gz")[1:] == (0, [stored.storage_key])
    assert any("1 files" in line for line in backup.restore(tmp_path / "backup.tar.gz", replace=True))
    assert storage.read(db.session.scalars(sa.select(StoredFile)).one()) == b"%PDF-1.7 secret"
