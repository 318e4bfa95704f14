"""Machines of a fleet: each has a data folder, gunicorn and a worker of its own, started as the units in deploy/ say."""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import requests

from tests.support.drill import wait_until
from tests.support.live import OURS, PROJECT
from tests.support.smtp import free_port
from tests.support.world import PASSWORD

DEPLOY = PROJECT / "deploy"
HOME = "/opt/portal-invites"  # where the units expect us
HOST = "portal.example.com"


def unit(name: str) -> configparser.ConfigParser:
    """One of the units."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their capitals
    parser.read(DEPLOY / name)
    return parser


def command_of(line: str) -> list[str]:
    """A unit's command as it is on this machine."""
    return shlex.split(line.replace(f"{HOME}/.venv", sys.prefix).replace(HOME, str(PROJECT)))


@dataclass
class Machine:
    """One machine: another folder, another port, the same settings."""

    folder: Path
    settings: Mapping[str, str]
    port: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    said_before: int = 0  # characters of the log before it was started last

    def start(self, processes: int = 2) -> None:
        """Start web (so many processes) and worker; returns before they are up."""
        self.folder.mkdir(exist_ok=True)
        self._log.touch()
        self.said_before = len(self._log.read_text())
        for name in ("portal-web.service", "portal-worker@.service"):
            command = command_of(unit(name)["Service"]["ExecStart"])
            environment = {key: value for key, value in os.environ.items() if not OURS.match(key)}
            environment |= {**self.settings, "PORTAL_DATA_DIR": str(self.folder / "data")}
            environment |= {"PORTAL_PORT": str(self.port), "WEB_CONCURRENCY": str(processes)}
            with self._log.open("ab") as log:
                self.running[name] = subprocess.Popen(
                    command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip

    def wait_until_up(self) -> None:
        """Wait until a proxy would send people here, and until the worker works."""
        wait_until(lambda: self._ready() and "worker: running" in self.log(), 120, self.log)

    def _ready(self) -> bool:
        assert all(process.poll() is None for process in self.running.values()), self.log()
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=60).ok
        return False

    def kill(self) -> None:
        """The machine is gone: `kill -9` of everything that runs on it, at once."""
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.running.values():
            process.wait(10)
        self.running.clear()

    def told_to_stop(self, name: str) -> subprocess.Popen[bytes]:
        """What systemd does on `systemctl stop`: SIGTERM to the unit's own process."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def log(self) -> str:
        """What its processes said since they were started last."""
        return self._log.read_text()[self.said_before :]


@contextlib.contextmanager
def fleet(folder: Path, settings: Mapping[str, str]) -> Iterator[tuple[Machine, Machine]]:
    """Two machines, not started, gone with the block."""
    machines = (Machine(folder / "first", settings), Machine(folder / "second", settings))
    try:
        yield machines
    finally:
        for machine in machines:
            machine.kill()


@dataclass
class Visitor:
    """A browser that reaches the machines through a proxy, which speaks https outside and says for whom it asks."""

    address: str = "203.0.113.7"
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, machine: Machine, method: str, path: str, **more: Any) -> requests.Response:
        """One request to that machine; redirects are not followed."""
        headers = {
            "Host": HOST,
            "Origin": f"https://{HOST}",
            "X-Forwarded-For": self.address,
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": HOST,
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
        }
        answer = requests.request(
            method,
            f"http://127.0.0.1:{machine.port}{path}",
            headers=headers | more.pop("headers", {}),
            allow_redirects=False,
            timeout=120,
            **more,
        )
        for line in answer.raw.headers.getlist("Set-Cookie"):
            assert "Secure" in line
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        return answer

    def sign_in(self, shown_by: Machine, sent_to: Machine, password: str = PASSWORD) -> requests.Response:
        """Open the sign-in page at one machine and send it to another."""
        page = self.ask(shown_by, "GET", "/login").text
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert token, page
        form = {"csrf_token": token[1], "email": "dana@northwind.example", "password": password}
        return self.ask(sent_to, "POST", "/login", data=form)

    def call(self, machine: Machine, method: str, path: str, token: str, **more: Any) -> requests.Response:
        """A call to the API."""
        headers = {"Authorization": f"Bearer {token}"} | more.pop("headers", {})
        return self.ask(machine, method, f"/api/v1{path}", headers=headers, **more)
