"""A real SMTP server on a free port that keeps what it was given and answers as a test scripts it.

    smtp.at_rcpt = lambda address: "550 5.1.1 no such person" if address.startswith("gone@") else None
    smtp.at_data = lambda mail: "451 4.3.0 try again later"
    smtp.at_data = lambda mail: HANG_UP        # the line breaks after the final dot, the mail was taken

A function that returns None leaves the good answer. It runs in a thread of its own, so it may block (a mute server:
`lambda address: time.sleep(5)`).
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

HANG_UP = "hang up"


@dataclass(frozen=True)
class Mail:
    """One mail as it came over the wire."""

    sender: str  # MAIL FROM
    recipients: tuple[str, ...]  # RCPT TO
    raw: bytes
    peer: str

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def text(self) -> str:
        """Its plain text."""
        part = self.message.get_body(("plain",))
        return "" if part is None else part.get_content()

    @property
    def html(self) -> str:
        """Its HTML."""
        part = self.message.get_body(("html",))
        return "" if part is None else part.get_content()


@dataclass
class MailServer:
    """The running server. `mails` holds every mail it said 250 to (or hung up after), in order of arrival."""

    host: str = "127.0.0.1"
    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    refused: list[Mail] = field(default_factory=list)  # those that at_data answered with 4xx or 5xx
    connections: int = 0
    at_rcpt: Callable[[str], str | None] | None = None
    at_data: Callable[[Mail], str | None] | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def settings(self) -> dict[str, str]:
        """The product's settings that send through this server."""
        return {
            "MAIL_SERVER": self.host,
            "MAIL_PORT": str(self.port),
            "MAIL_DEFAULT_SENDER": "portal@example.com",
        }

    def to(self, address: str) -> list[Mail]:
        """The mails given to this address, in order of arrival."""
        with self._changed:
            return [mail for mail in self.mails if address in mail.recipients]

    def everyone(self) -> list[str]:
        """Each recipient of each mail, sorted: who got how many."""
        with self._changed:
            return sorted(address for mail in self.mails for address in mail.recipients)

    def clear(self) -> None:
        """Forget mails and scripted answers."""
        with self._changed:
            self.mails.clear()
            self.refused.clear()
            self.at_rcpt = self.at_data = None

    def wait(self, count: int = 1, seconds: float = 60) -> list[Mail]:
        """The first `count` mails, once they are here; raises TimeoutError that tells what came instead."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.mails) >= count, seconds):
                raise TimeoutError(f"{len(self.mails)} of {count} mails after {seconds} s: {self.everyone()}")
            return self.mails[:count]

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Count connections."""
        session.host_name = hostname
        self.connections += 1
        return responses

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer RCPT TO as scripted."""
        answer = await asyncio.to_thread(self.at_rcpt, address) if self.at_rcpt else None
        if answer and not answer.startswith("2"):
            return answer
        envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the mail and answer the final dot as scripted."""
        raw = envelope.original_content or b""
        mail = Mail(envelope.mail_from or "", tuple(envelope.rcpt_tos), raw, str(session.peer))
        answer = await asyncio.to_thread(self.at_data, mail) if self.at_data else None
        taken = answer is None or answer == HANG_UP or answer.startswith("2")
        with self._changed:
            (self.mails if taken else self.refused).append(mail)
            self._changed.notify_all()
        if answer == HANG_UP:
            cast(asyncio.WriteTransport, server.transport).abort()
            return "250 OK"
        return answer or "250 OK"


@contextlib.contextmanager
def running_mail_server(**options: Any) -> Iterator[MailServer]:
    """A server for one test; `options` go to aiosmtpd's Controller (ssl_context, require_starttls, ...)."""
    for _ in range(5):  # aiosmtpd takes no port 0, and a free port may be taken by another before it listens
        mails = MailServer(port=free_port())
        controller = Controller(
            mails, hostname=mails.host, port=mails.port, enable_SMTPUTF8=False, ready_timeout=30, **options
        )
        try:
            controller.start()
        except OSError:
            time.sleep(0.1)
            continue
        try:
            yield mails
        finally:
            controller.stop()
        return
    raise RuntimeError("no free port for the mail server after five tries")


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
