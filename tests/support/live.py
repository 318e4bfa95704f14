"""The real product as processes, as an operator runs it: `python app.py`, or `web` and `worker` apart."""

from __future__ import annotations

import contextlib
import email
import email.policy
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

import requests

from tests.support.smtp import free_port

PROJECT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"https?://[^\s<>\"']+/portal/(?:invite|sign)/[^\s<>\"']+")
# Settings of the person who runs the tests must not reach the product under test.
OURS = re.compile(
    r"^(PORTAL_|MAIL_|BOUNCE_|DATABASE_URL|SECRET_KEY|QUEUE_URL|FILES_URL|LEASE_|RETRY_|INVITE_|REMINDER_"
    r"|ACCEPT_|ITEM_MAIL_|MAX_UPLOAD|TRUSTED_|LOG_FORMAT|RATE_LIMITS|AWS_|WEB_CONCURRENCY$|GUNICORN_)"
)


@dataclass
class Live:
    """A running product: its address, its data folder, its processes and their logs."""

    url: str
    data_dir: Path
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `python app.py *arguments` under `name`; what it prints goes to NAME.log in the data folder."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "app.py", *arguments],
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes[name] = process
        return process

    def log(self, name: str) -> Path:
        """Where the process of that name writes."""
        return self.data_dir / f"{name}.log"

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End one process with its children; SIGKILL where it does not follow within ten seconds."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def wait_until_up(self, name: str, seconds: float = 120) -> None:
        """Wait for /healthz; raises RuntimeError with the end of the log where the process dies or stays mute."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.processes[name].poll() is not None:
                break
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{self.url}/healthz", timeout=2).ok:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"{name} did not come up:\n{self.log(name).read_text()[-4000:]}")

    def command(self, *arguments: str) -> str:
        """Run `python app.py *arguments` beside the server; returns what it printed, raises on a non-zero exit."""
        done = subprocess.run(
            [sys.executable, "app.py", *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"app.py {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def mails(self, address: str | None = None) -> list[EmailMessage]:
        """What lies in the built-in mailbox, oldest first, to everybody or to one address."""
        paths = sorted(
            (self.data_dir / "mailbox").rglob("*.eml"), key=lambda path: (path.stat().st_mtime_ns, path.name)
        )
        mails = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]
        return [mail for mail in mails if address is None or address in str(mail["To"])]

    def wait_for_mail(self, address: str, count: int = 1, seconds: float = 60) -> EmailMessage:
        """The `count`th mail to this address, once it is there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            mails = self.mails(address)
            if len(mails) >= count:
                return mails[count - 1]
            time.sleep(0.1)
        raise TimeoutError(
            f"no mail number {count} to {address} after {seconds} s: {[str(m['To']) for m in self.mails()]}"
        )


def link_in(mail: EmailMessage) -> str:
    """The invite or signing link in a mail's plain text."""
    body = mail.get_body(("plain",))
    found = LINK.search("" if body is None else body.get_content())
    assert found, f"no link in the mail {mail['Subject']!r}"
    return found.group()


@contextlib.contextmanager
def one_process(data_dir: Path, *flags: str, settings: Mapping[str, str] | None = None) -> Iterator[Live]:
    """`python app.py`: web, worker and built-in mailbox in one process, with the demo firm unless --no-demo."""
    port = free_port()
    live = Live(f"http://localhost:{port}", data_dir, _environment(data_dir, settings))
    with _ended(live):
        live.start("server", "--port", str(port), "--data", str(data_dir), *flags)
        live.wait_until_up("server")
        yield live


@contextlib.contextmanager
def web_and_worker(
    data_dir: Path, database_url: str, settings: Mapping[str, str] | None = None
) -> Iterator[Live]:
    """`web` and `worker` as two processes on one PostgreSQL; a first start has migrated it and made the demo firm."""
    port = free_port()
    base = {"DATABASE_URL": database_url, "PORTAL_BASE_URL": f"http://localhost:{port}", **(settings or {})}
    live = Live(f"http://localhost:{port}", data_dir, _environment(data_dir, base))
    with _ended(live):
        live.start("first", "--port", str(port))
        live.wait_until_up("first")
        live.stop("first")
        live.start("worker", "worker")
        live.start("web", "web", "--port", str(port))
        live.wait_until_up("web")
        yield live


def run(
    data_dir: Path, *arguments: str, settings: Mapping[str, str] | None = None, seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run `python app.py *arguments` on this data folder until it ends, whatever comes of it."""
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=PROJECT,
        env=_environment(data_dir, settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _environment(data_dir: Path, settings: Mapping[str, str] | None) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    return environment | {
        "PORTAL_DATA_DIR": str(data_dir),
        "PYTHONUNBUFFERED": "1",
        "RATE_LIMITS": "false",  # a test signs in more often in a minute than a person does in a week
        **(settings or {}),
    }


@contextlib.contextmanager
def _ended(live: Live) -> Iterator[None]:
    try:
        yield
    finally:
        for name in list(live.processes):
            live.stop(name)
