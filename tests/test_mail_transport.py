"""The SMTP connection against real servers, good and bad: what becomes of the mail, and what the server was given.

One test for each of the measured facts about Flask-Mail (docs/mail.md), and one line for each answer at each step.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask_mail
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask

from mail.letter import Letter
from mail.mime import Envelope as Headers
from mail.mime import build
from mail.outcomes import Outcome, Permanent, RelayBroken, Sent, Temporary
from mail.relay import Watchdog
from mail.transport import HardenedConnection
from tests.support.post import plain_app
from tests.support.smtp import HANG_UP, MailServer, running_mail_server

TO = "charles@engine-works.example"


def letter(to: str = TO, subject: str = "Hello", text: str = "Hello\r\n.\r\n..dots\r\n") -> Letter:
    message_id = "<01mail@example.com>"
    headers = Headers(
        "Smith, Jones & Co", "portal@example.com", "Charles", to, "Dana", "dana@northwind.example", subject,
        message_id, dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
    )  # fmt: skip
    raw = build(headers, text, "<p>Hello</p>")
    return Letter(
        sender="portal@example.com", recipient=to, subject=subject, message_id=message_id, raw=raw
    )  # fmt: skip


@contextlib.contextmanager
def line(folder: Path, **settings: Any) -> Iterator[HardenedConnection]:
    """A connection, with its watchdog."""
    app = plain_app(folder, **({"MAIL_DEFAULT_SENDER": "portal@example.com"} | settings))
    connection = HardenedConnection(app, app.config["PORTAL"])
    with app.app_context(), Watchdog([connection]), connection:
        yield connection


def send_once(folder: Path, **settings: Any) -> Outcome:
    with line(folder, **settings) as connection:
        return connection.send(letter())


# The good way


def test_envelope_and_bytes_are_ours(tmp_path: Path, smtp: MailServer) -> None:
    ours = letter()
    with line(tmp_path, **smtp.settings) as connection:
        assert connection.send(ours) == Sent()
    (mail,) = smtp.mails
    assert (mail.sender, mail.recipients) == ("portal@example.com", (TO,))
    assert mail.raw == ours.raw
    assert mail.text.replace("\r\n", "\n") == "Hello\n.\n..dots\n"


def test_the_line_stays_open_and_is_reset_between_mails(tmp_path: Path, smtp: MailServer) -> None:
    smtp.at_rcpt = lambda address: "550 5.1.1 no such person" if address.startswith("gone") else None
    with line(tmp_path, **smtp.settings) as connection:
        outcomes = [connection.send(letter(to)) for to in ("a@x.example", "gone@x.example", "b@x.example")]
    assert [type(outcome) for outcome in outcomes] == [Sent, Permanent, Sent]
    assert smtp.everyone() == ["a@x.example", "b@x.example"]
    assert smtp.connections == 1


def test_a_kept_line_that_died_is_opened_anew(tmp_path: Path, smtp: MailServer) -> None:
    with line(tmp_path, **smtp.settings) as connection:
        assert connection.send(letter()) == Sent()
        assert connection.host is not None
        connection.host.sock.shutdown(socket.SHUT_RDWR)
        assert connection.send(letter("b@x.example")) == Sent()
    assert smtp.everyone() == ["b@x.example", TO]
    assert smtp.connections == 2


# Nothing after the 250 makes a mail unsent


def test_a_receiver_that_raises_is_no_failure(tmp_path: Path, smtp: MailServer) -> None:
    seen = []

    def receiver(app: Flask, message: flask_mail.Message) -> None:
        seen.append((message.subject, message.recipients, message.html))
        raise RuntimeError("a receiver of somebody else")

    with line(tmp_path, **smtp.settings) as connection, flask_mail.email_dispatched.connected_to(receiver):
        assert connection.send(letter()) == Sent()
    assert seen == [("Hello", [TO], "<p>Hello</p>")]
    assert len(smtp.mails) == 1


def test_a_quit_that_fails_is_no_failure(tmp_path: Path) -> None:
    with scripted(["250 ok"], hang_up_after_data=True) as port:
        assert send_once(tmp_path, MAIL_SERVER="127.0.0.1", MAIL_PORT=port) == Sent()


# What each answer at each step means


@contextlib.contextmanager
def scripted(
    answers: list[str], step: str = "", *, hang_up_after_data: bool = False, extensions: str = ""
) -> Iterator[int]:
    """A server that answers `answers[0]` at `step` (GREETING, EHLO, MAIL, RCPT, DATA, DOT) and well elsewhere.

    The answer HANG_UP closes the line. Yields its port.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def say(stream: Any, here: str, good: str) -> None:
        answer = answers[0] if here == step else good
        if answer == HANG_UP:
            raise ConnectionError
        stream.write(answer.encode() + b"\r\n")
        stream.flush()

    def serve(peer: socket.socket) -> None:
        with contextlib.suppress(OSError), peer, peer.makefile("rwb") as stream:
            say(stream, "GREETING", "220 here")
            while command := stream.readline().decode().strip():
                word = command.split()[0].upper()
                if word == "EHLO":
                    say(stream, "EHLO", f"250-here\r\n250 {extensions}" if extensions else "250 here")
                elif word == "DATA":
                    say(stream, "DATA", "354 go on")
                    if step == "DATA" and answers[0][:3] != "354":
                        continue
                    while stream.readline() not in {b".\r\n", b""}:
                        pass
                    say(stream, "DOT", "250 taken")
                    if hang_up_after_data:
                        raise ConnectionError
                elif word == "QUIT":
                    say(stream, "QUIT", "221 bye")
                    return
                else:
                    say(stream, word, "250 ok")

    def listen() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                peer, _ = listener.accept()
                threading.Thread(target=serve, args=(peer,), daemon=True).start()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield int(listener.getsockname()[1])
    ended.set()
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


ANSWERS: list[tuple[str, str, type[Outcome]]] = [
    ("GREETING", "421 4.3.2 too busy", Temporary),
    ("GREETING", "554 5.7.1 go away", RelayBroken),
    ("GREETING", HANG_UP, Temporary),
    ("GREETING", "hello there", Temporary),
    ("MAIL", "421 4.3.2 closing", Temporary),
    ("MAIL", "451 4.7.1 greylisted", Temporary),
    ("MAIL", "530 5.7.0 authentication required", RelayBroken),
    ("MAIL", "550 5.7.1 sender refused", RelayBroken),
    ("MAIL", "552 5.2.3 too much", RelayBroken),
    ("MAIL", HANG_UP, Temporary),
    ("RCPT", "421 4.3.2 closing", Temporary),
    ("RCPT", "450 4.2.1 mailbox busy", Temporary),
    ("RCPT", "451 4.7.1 greylisted", Temporary),
    ("RCPT", "452 4.5.3 too many", Temporary),
    ("RCPT", "530 5.7.0 authentication required", RelayBroken),
    ("RCPT", "550 5.1.1 no such person", Permanent),
    ("RCPT", "551 5.1.6 moved", Permanent),
    ("RCPT", "552 5.2.2 mailbox full", Temporary),
    ("RCPT", "550 5.2.2 over quota", Temporary),
    ("RCPT", "553 5.1.3 bad address", Permanent),
    ("RCPT", "251 will forward", Sent),
    ("RCPT", "252 will try", Sent),
    ("RCPT", HANG_UP, Temporary),
    ("DATA", "421 4.3.2 closing", Temporary),
    ("DATA", "451 4.3.0 not now", Temporary),
    ("DATA", "554 5.5.1 no valid recipients", Permanent),
    ("DATA", "250 what", Temporary),
    ("DATA", HANG_UP, Temporary),
    ("DOT", "421 4.3.2 closing", Temporary),
    ("DOT", "451 4.3.0 not now", Temporary),
    ("DOT", "452 4.3.1 disk full", Temporary),
    ("DOT", "550 5.7.1 looks like spam", Permanent),
    ("DOT", "552 5.3.4 message too big", Temporary),
    ("DOT", "554 5.6.0 refused", Permanent),
    ("DOT", "what", Temporary),
    ("DOT", HANG_UP, Temporary),
]


@pytest.mark.parametrize("extensions", ["", "PIPELINING"], ids=["one-by-one", "in-a-row"])
@pytest.mark.parametrize(("step", "answer", "wanted"), ANSWERS, ids=[f"{s}-{a[:9]}" for s, a, _ in ANSWERS])
def test_what_an_answer_means(
    tmp_path: Path, step: str, answer: str, wanted: type[Outcome], extensions: str
) -> None:
    with scripted([answer], step, extensions=extensions) as port:
        outcome = send_once(tmp_path, MAIL_SERVER="127.0.0.1", MAIL_PORT=port)
    assert type(outcome) is wanted
    if isinstance(outcome, Temporary):
        assert outcome.in_doubt == (step == "DOT" and answer in {"what", HANG_UP})
        assert (outcome.give_up_after is not None) == (answer[:3] == "552" or "5.2.2" in answer)
    if answer != HANG_UP and isinstance(outcome, Permanent | RelayBroken):
        assert answer in outcome.reason


def test_a_line_that_breaks_within_the_text_leaves_no_doubt(tmp_path: Path) -> None:
    """The dot comes last: while some of the mail never left, the relay can't have taken it."""

    def talk(peer: socket.socket) -> None:
        with peer.makefile("rwb") as stream:
            for answer in (b"220 here", b"250 here", b"250 ok", b"250 ok", b"354 go on"):
                stream.write(answer + b"\r\n")
                stream.flush()
                stream.readline()

    with raw_server(talk) as port, line(tmp_path, MAIL_SERVER="127.0.0.1", MAIL_PORT=port) as connection:
        long = Letter(
            sender="portal@example.com", recipient=TO, subject="", message_id="", raw=b"x\r\n" * 9_000_000
        )  # fmt: skip
        outcome = connection.send(long)
    assert isinstance(outcome, Temporary)
    assert not outcome.in_doubt


def test_the_first_refusal_counts_where_the_line_closes_behind_it(tmp_path: Path) -> None:
    """Commands in a row: what the relay says to the later ones, or that it hangs up, only follows from the first."""

    def talk(peer: socket.socket) -> None:
        with peer.makefile("rwb") as stream:
            stream.write(b"220 here\r\n")
            stream.flush()
            stream.readline()
            stream.write(b"250-here\r\n250 PIPELINING\r\n")
            stream.flush()
            assert [stream.readline()[:4] for _ in range(3)] == [b"MAIL", b"RCPT", b"DATA"]
            stream.write(b"250 ok\r\n550 5.1.1 no such person\r\n")

    with raw_server(talk) as port:
        outcome = send_once(tmp_path, MAIL_SERVER="127.0.0.1", MAIL_PORT=port)
    assert outcome == Permanent("The mail server refused the recipient: 550 5.1.1 no such person")


def test_a_sender_that_breaks_the_line_of_commands_is_never_said(tmp_path: Path, smtp: MailServer) -> None:
    with line(tmp_path, **smtp.settings) as connection, pytest.raises(ValueError, match="no SMTP command"):
        connection.send(letter(), envelope_from="portal@example.com>\r\nRCPT TO:<eve@x.example")
    assert smtp.mails == []


def test_nobody_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    refused = send_once(tmp_path, MAIL_SERVER="127.0.0.1", MAIL_PORT=port)
    assert refused == Temporary("it refuses connections", connection=True)
    unknown = send_once(tmp_path, MAIL_SERVER="no-such-host.invalid", MAIL_PORT=25)
    assert isinstance(unknown, Temporary)
    assert unknown.connection


# Deadlines


@contextlib.contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does with a connection what `talk` says."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            peer, _ = listener.accept()
            with peer:
                talk(peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield int(listener.getsockname()[1])
    listener.close()


def mute(peer: socket.socket) -> None:
    peer.recv(1)
    time.sleep(20)


def drip(peer: socket.socket) -> None:
    """A byte every tenth of a second keeps every socket timeout from firing."""
    while True:
        peer.sendall(b"2")
        time.sleep(0.1)


@pytest.mark.parametrize("talk", [mute, drip])
@pytest.mark.parametrize("tls", [False, True])
def test_a_mute_or_dripping_server_ends_at_the_deadline(tmp_path: Path, talk: Any, tls: bool) -> None:
    with raw_server(talk) as port:
        begun = time.monotonic()
        outcome = send_once(
            tmp_path, MAIL_SERVER="127.0.0.1", MAIL_PORT=port, MAIL_USE_SSL=tls, MAIL_DEADLINE_SECONDS=1
        )
        took = time.monotonic() - begun
    assert isinstance(outcome, Temporary | RelayBroken)  # dripping digits are no TLS, which is seen at once
    assert took < 15  # the server would hold the line for longer
    if not tls:
        assert isinstance(outcome, Temporary)
        assert outcome.reason in {"it took longer than 1 seconds", "no answer in time"}


def test_a_server_that_falls_mute_after_the_dot_leaves_the_mail_in_doubt(
    tmp_path: Path, smtp: MailServer
) -> None:
    smtp.at_data = lambda mail: time.sleep(3)
    outcome = send_once(tmp_path, MAIL_DEADLINE_SECONDS=1, **smtp.settings)
    assert isinstance(outcome, Temporary)
    assert outcome.in_doubt


# Encryption and sign-in


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[ssl.SSLContext, Path]]:
    """`certificates(name, ends)`: a server's context with a certificate of its own, and the file to trust it by."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(
        name: str = "localhost", ends: dt.timedelta = dt.timedelta(days=1)
    ) -> tuple[ssl.SSLContext, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=10)).not_valid_after(now + ends)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        path = folder / f"{name}-{ends.days}.pem"
        trusted = certificate.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(trusted + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        trust = path.with_suffix(".trust")
        trust.write_bytes(trusted)
        return context, trust

    return make


@pytest.mark.parametrize(
    ("name", "days", "trusted", "wanted"),
    [
        ("localhost", 1, True, Sent),
        ("localhost", 1, False, RelayBroken),
        ("localhost", -1, True, RelayBroken),
        ("other.example", 1, True, RelayBroken),
    ],
    ids=["good", "untrusted", "expired", "wrong-host"],
)
@pytest.mark.parametrize("way", ["starttls", "from-the-start"])
def test_the_certificate_is_checked(
    tmp_path: Path, certificates: Any, monkeypatch: pytest.MonkeyPatch, name: str, days: int, trusted: bool,
    wanted: type[Outcome], way: str,
) -> None:  # fmt: skip
    context, trust = certificates(name, dt.timedelta(days=days))
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(trust))
    # aiosmtpd probes its own port without TLS when it starts, so TLS from the start is put before it.
    options: dict[str, Any] = {"tls_context": context, "require_starttls": True} if way == "starttls" else {}
    with running_mail_server(**options) as server, contextlib.ExitStack() as stack:
        port = server.port if way == "starttls" else stack.enter_context(tls_before(server, context))
        flag = "MAIL_USE_TLS" if way == "starttls" else "MAIL_USE_SSL"
        settings = server.settings | {"MAIL_SERVER": "localhost", "MAIL_PORT": str(port), flag: "true"}
        outcome = send_once(tmp_path, **settings)
        assert type(outcome) is wanted
        assert len(server.mails) == (1 if wanted is Sent else 0)
    if isinstance(outcome, RelayBroken):
        assert "certificate" in outcome.reason


@contextlib.contextmanager
def tls_before(server: MailServer, context: ssl.SSLContext) -> Iterator[int]:
    """A port that speaks TLS and passes what is inside on to the server."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            peer, _ = listener.accept()
            with context.wrap_socket(peer, server_side=True) as plain:
                inner = socket.create_connection((server.host, server.port))
                threading.Thread(target=pump, args=(inner, plain), daemon=True).start()
                pump(plain, inner)

    threading.Thread(target=serve, daemon=True).start()
    yield int(listener.getsockname()[1])
    listener.close()


def test_without_starttls_where_it_is_asked_for_nothing_is_sent(tmp_path: Path, smtp: MailServer) -> None:
    outcome = send_once(tmp_path, MAIL_USE_TLS="true", **smtp.settings)
    assert isinstance(outcome, RelayBroken)
    assert "STARTTLS" in outcome.reason
    assert smtp.mails == []


@pytest.mark.parametrize(("password", "wanted"), [("right", Sent), ("wrong", RelayBroken)])
def test_a_refused_sign_in_is_the_relay_s_fault(tmp_path: Path, password: str, wanted: type[Outcome]) -> None:
    def authenticator(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=False)

    options = {"authenticator": authenticator, "auth_require_tls": False, "auth_required": True}
    with running_mail_server(**options) as server:
        settings = server.settings | {
            "MAIL_USERNAME": "portal",
            "MAIL_PASSWORD": password,
            "MAIL_DEADLINE_SECONDS": "5",
        }
        outcome = send_once(tmp_path, **settings)
    assert type(outcome) is wanted
    assert password not in str(outcome) or password == "right"
