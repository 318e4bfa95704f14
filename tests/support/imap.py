"""A small IMAP server on a real socket with TLS: one user, one folder, what the reader of delivery reports asks for.

It keeps what it was told (`commands`) and the flags of its mails. `mute` makes it stop answering a command, and
`drip` sends one byte of an answer now and then, so that no single read ever times out.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Stored:
    """One mail of the folder."""

    raw: bytes
    flags: set[str] = field(default_factory=set)


@dataclass
class ImapServer:
    """The running server."""

    port: int = 0
    user: str = "bounces user"
    password: str = 'p"ss\\word'
    folder: str = "Delivery Reports"
    mails: dict[int, Stored] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    mute: str = ""
    drip: str = ""
    before_store: Callable[[], None] | None = None

    def add(self, raw: bytes) -> int:
        """Put a mail in; its UID."""
        uid = 100 + len(self.mails)
        self.mails[uid] = Stored(raw)
        return uid


@contextlib.contextmanager
def running_imap(folder: Path) -> Iterator[ImapServer]:
    """The server, with a certificate of its own for localhost in `folder`/imap.trust."""
    server = ImapServer()
    context = _context(folder)
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                line, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_talk, args=(server, context, line, ended), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield server
    ended.set()
    listener.close()


def _talk(server: ImapServer, context: ssl.SSLContext, plain: socket.socket, ended: threading.Event) -> None:
    with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as line:
        line.sendall(b"* OK ready\r\n")
        with line.makefile("rb") as lines:
            for asked in lines:
                tag, _, rest = asked.decode().strip().partition(" ")
                server.commands.append(rest)
                if server.mute and server.mute in rest:
                    ended.wait(30)
                    return
                answer = _answer(server, tag, rest)
                if server.drip and server.drip in rest:
                    for letter in b"* OK " + b"." * 100_000:
                        line.sendall(bytes([letter]))
                        time.sleep(0.1)
                line.sendall(answer)


def _answer(server: ImapServer, tag: str, rest: str) -> bytes:
    done = f"{tag} OK done\r\n".encode()

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    if rest == "CAPABILITY":
        return b"* CAPABILITY IMAP4rev1\r\n" + done
    if rest.startswith("LOGIN"):
        right = rest == f"LOGIN {quoted(server.user)} {quoted(server.password)}"
        return done if right else f"{tag} NO [AUTHENTICATIONFAILED] wrong\r\n".encode()
    if rest.startswith("SELECT"):
        right = rest == f"SELECT {quoted(server.folder)}"
        return (
            b"* %d EXISTS\r\n" % len(server.mails) + done
            if right
            else f"{tag} NO no such folder\r\n".encode()
        )
    if rest.startswith("UID SEARCH"):
        unseen = " ".join(str(uid) for uid, mail in server.mails.items() if "\\Seen" not in mail.flags)
        return f"* SEARCH {unseen}\r\n".encode() + done
    if found := re.match(r"UID FETCH (\d+) \((.*)\)", rest):
        uid, raw = int(found[1]), server.mails[int(found[1])].raw
        if found[2] == "RFC822.SIZE":
            return b"* 1 FETCH (UID %d RFC822.SIZE %d)\r\n" % (uid, len(raw)) + done
        assert found[2].startswith("BODY.PEEK[]<0."), "whatever else is asked marks the mail as read"
        return b"* 1 FETCH (UID %d BODY[]<0> {%d}\r\n%s)\r\n" % (uid, len(raw), raw) + done
    if found := re.match(r"UID STORE (\d+) \+FLAGS.SILENT \((.*)\)", rest):
        if server.before_store:
            server.before_store()
        server.mails[int(found[1])].flags |= set(found[2].split())
        return done
    return b"* BYE\r\n" + done if rest == "LOGOUT" else f"{tag} BAD unknown\r\n".encode()


def _context(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    trusted = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "imap.trust").write_bytes(trusted)
    (folder / "imap.pem").write_bytes(
        trusted
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "imap.pem")
    return context
