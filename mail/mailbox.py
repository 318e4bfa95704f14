"""The built-in mailbox: a real SMTP server on this machine's loopback, while no relay is set.

So a first start needs no mail server, and still every mail takes the whole way: composed, handed over by SMTP,
parsed. Each process that sends starts a server of its own on a port the system chose; there is no port to agree on
and none that can be stale. All of them keep mails as `.eml` files in one folder, which the page reads. It is the one
place where a link may stand, so the folder is closed to other users of the machine.
"""

from __future__ import annotations

import base64
import contextlib
import email
import email.policy
import heapq
import os
import re
import socket
import threading
from asyncio import AbstractServer
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from config import Settings
from models import new_id
from models.errors import Missing

HOST = "127.0.0.1"
KEEPS = 10_000  # the newest so many mails
_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}\Z")
_LINK = re.compile(r"https?://[^\s<>\"']+")


@dataclass(frozen=True)
class Kept:
    """A mail of the mailbox, as its page shows it."""

    id: str
    sender: str  # From, as written
    reply_to: str
    to: str
    subject: str
    date: datetime | None
    text: str = ""
    html: str = ""
    links: list[str] = field(default_factory=list)


def list_mails(settings: Settings, limit: int = 100) -> list[Kept]:
    """The newest mails, newest first; headers only."""
    newest = heapq.nlargest(limit, _names(settings.mailbox_dir))
    mails = []
    for name in newest:
        with contextlib.suppress(FileNotFoundError):  # tidied away at this very moment
            mails.append(_headers(name, _parse((settings.mailbox_dir / f"{name}.eml").read_bytes())))
    return mails


def read_mail(settings: Settings, mail_id: str) -> Kept:
    """One mail with its text, its HTML and the links in it. Raises models.errors.Missing."""
    message = _parse(read_raw(settings, mail_id))
    text, html = _part(message, "plain"), _part(message, "html")
    head = _headers(mail_id, message)
    return Kept(
        id=head.id,
        sender=head.sender,
        reply_to=head.reply_to,
        to=head.to,
        subject=head.subject,
        date=head.date,
        text=text,
        html=_with_pictures(message, html),
        links=list(dict.fromkeys(_LINK.findall(text))),
    )


def read_raw(settings: Settings, mail_id: str) -> bytes:
    """The mail's bytes as they came. Raises models.errors.Missing."""
    if not _ID.match(mail_id):
        raise Missing
    try:
        return (settings.mailbox_dir / f"{mail_id}.eml").read_bytes()
    except FileNotFoundError as error:
        raise Missing from error


def running(settings: Settings) -> tuple[str, int]:
    """Host and port of this process's server for this data folder, started when it is first asked for."""
    with _LOCK:
        key = (os.getpid(), settings.mailbox_dir)
        server = _SERVERS.get(key)
        if server is None:
            settings.mailbox_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            _tidy(settings.mailbox_dir)
            server = _Server(_Keeper(settings.mailbox_dir))
            server.start()
            _SERVERS[key] = server
        return HOST, server.chosen_port


def stop(settings: Settings) -> None:
    """End this process's server for this data folder, if one runs."""
    with _LOCK:
        server = _SERVERS.pop((os.getpid(), settings.mailbox_dir), None)
    if server is not None:
        server.stop()


_LOCK = threading.Lock()
_SERVERS: dict[tuple[int, Path], _Server] = {}


class _Server(Controller):
    """aiosmtpd's controller on a socket that is bound already: it takes no port 0, and a port found free may be
    taken by somebody else before it listens."""

    def __init__(self, handler: _Keeper) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.bind((HOST, 0))
        self.chosen_port = int(self.socket.getsockname()[1])
        super().__init__(
            handler,
            hostname=HOST,
            port=self.chosen_port,
            enable_SMTPUTF8=False,
            ready_timeout=20,
            ident="mailbox",
        )

    def _create_server(self) -> Coroutine[Any, Any, AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self.socket)


class _Keeper:
    """Keeps what it is given, each mail as one file that is there completely or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Write the mail, with the envelope in the headers a mailbox adds."""
        mail_id = new_id()
        head = f"Return-Path: <{envelope.mail_from}>\r\n" + "".join(
            f"Delivered-To: {address}\r\n" for address in envelope.rcpt_tos
        )
        unfinished = self.folder / f".{mail_id}"
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(head.encode("ascii", "replace") + (envelope.original_content or b""))
            unfinished.rename(self.folder / f"{mail_id}.eml")
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            return f"452 4.3.1 The mailbox's folder can't be written: {error.strerror}"
        return "250 2.0.0 kept"


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [name for entry in entries if _ID.match(name := entry.name.removesuffix(".eml"))]
    except FileNotFoundError:
        return []


def _tidy(folder: Path) -> None:
    for name in sorted(_names(folder), reverse=True)[KEEPS:]:
        (folder / f"{name}.eml").unlink(missing_ok=True)


def _parse(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)


def _headers(mail_id: str, message: EmailMessage) -> Kept:
    date = message["Date"]
    return Kept(
        id=mail_id,
        sender=str(message["From"] or ""),
        reply_to=str(message["Reply-To"] or ""),
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or ""),
        date=date.datetime if date is not None else None,
    )


def _with_pictures(message: EmailMessage, html: str) -> str:
    """The HTML with its attached pictures written into it, as a mail program would show it."""
    for part in message.walk():
        content_id = str(part["Content-ID"] or "").strip("<>")
        if content_id and part.get_content_type() == "image/png":
            data = base64.b64encode(bytes(part.get_content())).decode()
            html = html.replace(f"cid:{content_id}", f"data:image/png;base64,{data}")
    return html


def _part(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    return "" if part is None else str(part.get_content())
