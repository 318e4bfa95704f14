"""The only module that talks SMTP: Flask-Mail's configuration, messages and signal over a connection of our own.

What Flask-Mail 0.10 does by itself, and why this connection differs (each line has its test in
tests/test_mail_transport.py):

- it has no timeout, so a mute server blocks for ever: here each step and the whole exchange have a deadline, kept by
  a watchdog that cuts the line (a server that sends one byte a second keeps every socket timeout from firing);
- STARTTLS and TLS without a look at the certificate: here with `ssl.create_default_context()`;
- it raises after the server took the mail when QUIT fails or a receiver of `email_dispatched` raises, and a retry
  then sends twice: here nothing after the 250 makes a mail unsent;
- a refused second recipient is reported as success: here one recipient a mail, an envelope of our own;
- headers and names: see mail/addresses.py and mail/mime.py, which make the bytes.

What an answer means is decided in one place, mail/answers.py. An answer to the sign-in or to MAIL FROM speaks of us and
not of one mail, so there nothing fails and all wait.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import flask_mail
import structlog
from flask import Flask

from config import Settings
from mail import mailbox
from mail.addresses import one_line
from mail.answers import readable, verdict
from mail.letter import Letter
from mail.outcomes import Outcome, RelayBroken, Sent, Temporary
from models.failpoints import reach, stops_at

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 15.0  # of the deadline, for each address of the relay

email_dispatched = flask_mail.email_dispatched


@dataclass
class _Refused(Exception):
    """An exchange that ended before the 250, and what that means."""

    outcome: Outcome
    close: bool = False


class _Client(smtplib.SMTP):
    """smtplib's client with a certificate check and a line that can be cut from outside."""

    def __init__(self, context: ssl.SSLContext | None, timeout: float) -> None:
        self.tls_from_start = context
        self.line: socket.socket | None = None
        self.unsent = 0
        # The name in EHLO: smtplib would ask the resolver for ours.
        super().__init__(timeout=timeout, local_hostname=socket.gethostname() or "localhost")

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = socket.create_connection((host, port), min(timeout, CONNECT_SECONDS), self.source_address)
        # A second handle on the same connection: shutting it down ends whatever the first one is waiting for, also
        # in the midst of a TLS handshake, when no other object has a usable handle.
        self.line = sock.dup()
        sock.settimeout(timeout)
        # Nagle's algorithm would hold the end of a mail back, 40 ms where the relay delays its acknowledgements.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls_from_start.wrap_socket(sock, server_hostname=host) if self.tls_from_start else sock

    def write(self, data: bytes) -> None:
        """Put this on the line. Raises OSError or SMTPServerDisconnected; `unsent` says how much never left."""
        self.unsent = len(data)
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("the line is closed")
        while self.unsent:
            self.unsent -= self.sock.send(memoryview(data)[-self.unsent :])

    def cut(self) -> None:
        """End the connection from another thread."""
        if self.line is not None:
            with contextlib.suppress(OSError):  # it is closed already, which is what was wanted
                self.line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close both handles."""
        super().close()
        if self.line is not None:
            self.line.close()
            self.line = None


class HardenedConnection(flask_mail.Connection):
    """One line to the relay, kept open over many mails. Use as a context manager; it connects when first needed."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        super().__init__(mail_state(app, settings))
        self.app = app
        self.settings = settings
        self.deadline: float | None = None  # monotonic; while an exchange runs
        self.overdue = False
        self.half_said = False  # a mail was begun that the relay did not take
        self.said: Callable[[str], None] | None = None  # told each step, for `mail test`

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.host is not None:
            with contextlib.suppress(
                smtplib.SMTPException, OSError
            ):  # the mails are sent, this is a courtesy
                if self.host.sock is not None:
                    self.host.sock.settimeout(2.0)
                self.host.quit()
        self.drop()

    def drop(self) -> None:
        """Close the line without a word."""
        if self.host is not None:
            self.host.close()
            self.host = None
        self.half_said = False
        self.num_emails = 0

    # `send()` of Flask-Mail raises or returns; here it returns what became of the mail.
    def send(  # type: ignore[override]
        self, message: Letter, envelope_from: str | None = None, accepted: Callable[[], None] | None = None
    ) -> Outcome:
        """Send one mail over the kept line; what became of it. Never raises for what the relay or the line does.

        `accepted` is called at once where the relay took it.
        """
        self.overdue = False
        self.deadline = time.monotonic() + self.settings.mail_deadline_seconds
        try:
            outcome = self._exchange(message, envelope_from or str(message.sender))
        except _Refused as refused:
            outcome = refused.outcome
            if refused.close:
                self.drop()
        finally:
            self.deadline = None
        if isinstance(outcome, Sent):
            self.num_emails += 1
            self._tell(message, accepted)
        return outcome

    def cut_if_overdue(self, now: float) -> None:
        """Called by the watchdog: end an exchange that is past its deadline."""
        deadline, host = self.deadline, self.host
        if deadline is not None and now >= deadline and isinstance(host, _Client):
            self.overdue = True
            host.cut()

    def configure_host(self) -> _Client:
        """Connect, encrypt and sign in. Raises _Refused."""
        server, port = self.mail.server, int(self.mail.port or 25)
        context = ssl.create_default_context() if self.mail.use_ssl or self.mail.use_tls else None
        client = _Client(context if self.mail.use_ssl else None, self._left())
        self.host = client
        try:
            self._say(f"connecting to {server}:{port}")
            # starttls() checks the certificate against this name, which smtplib itself sets in __init__ only.
            client._host = server  # type: ignore[attr-defined]
            self._expect("greeting", client.connect(server, port), 220)
            self._say("EHLO")
            client.ehlo_or_helo_if_needed()
            if self.mail.use_tls:
                self._say("STARTTLS, certificate checked")
                client.starttls(context=context)
                client.ehlo_or_helo_if_needed()
            if self.mail.username and self.mail.password:
                self._say(f"signing in as {self.mail.username}")
                client.login(self.mail.username, self.mail.password)
        except ssl.SSLCertVerificationError as error:
            raise _Refused(
                RelayBroken(f"its certificate is not valid: {error.verify_message}"), close=True
            ) from error
        except smtplib.SMTPNotSupportedError as error:
            raise _Refused(RelayBroken(f"it lacks what the settings ask for: {error}"), close=True) from error
        except smtplib.SMTPAuthenticationError as error:
            raise _Refused(verdict("sign-in", error.smtp_code, error.smtp_error), close=True) from error
        except smtplib.SMTPResponseException as error:
            raise _Refused(verdict("greeting", error.smtp_code, error.smtp_error), close=True) from error
        except ssl.SSLError as error:
            # Nobody speaks TLS there, or the line was cut in the handshake.
            lasting = not self.overdue
            reason = f"no encrypted connection: {error.reason or error}"
            outcome = RelayBroken(reason) if lasting else Temporary(self._why(error), connection=True)
            raise _Refused(outcome, close=True) from error
        except (smtplib.SMTPException, OSError) as error:
            raise _Refused(Temporary(self._why(error), connection=True), close=True) from error
        return client

    def _exchange(self, message: Letter, envelope_from: str) -> Outcome:
        """One mail: MAIL, RCPT, DATA. A kept line that turns out to be dead is opened anew once."""
        kept = self.host is not None
        try:
            return self._mail(message, envelope_from)
        except _Refused as refused:
            stale = isinstance(refused.outcome, Temporary) and refused.outcome.connection
            if not (kept and stale and not self.overdue and not refused.outcome.in_doubt):  # type: ignore[union-attr]
                raise
            self.drop()
        return self._mail(message, envelope_from)

    def _mail(self, message: Letter, envelope_from: str) -> Outcome:
        host: _Client = self.host or self.configure_host()  # type: ignore[assignment]  # configure_host() made it
        reach("delivery.after_connect")
        try:
            self._announce(host, envelope_from, str(message.recipients[0]))
            text = _dotted(message.as_bytes())
            # Where no drill stops between them, text and dot are one packet.
            if stops_at("delivery.after_data_sent"):
                host.write(text)
                reach("delivery.after_data_sent")
                text = b""
        except (smtplib.SMTPException, OSError) as error:
            raise _Refused(Temporary(self._why(error), connection=True), close=True) from error
        try:
            host.write(text + b".\r\n")
            code, said = host.getreply()
        except (smtplib.SMTPException, OSError) as error:
            if host.unsent:  # the dot comes last, so the relay can't have taken the mail
                raise _Refused(Temporary(self._why(error), connection=True), close=True) from error
            # It may have been taken. Sent again it carries the same Message-ID, so that receivers can fold it.
            reason = f"{self._why(error)} after the mail was handed over"
            raise _Refused(Temporary(reason, in_doubt=True, connection=True), close=True) from error
        if code != 250 and not 400 <= code < 600:
            reason = f"no clear answer after the mail was handed over: {readable(said)}"
            raise _Refused(Temporary(reason, in_doubt=True, connection=True), close=True)
        self._expect("content", (code, said), 250)
        self.half_said = False
        return Sent()

    def _announce(self, host: _Client, sender: str, recipient: str) -> None:
        """Everything up to the relay's 354. A relay that takes commands in a row (RFC 2920) gets them in one packet.

        Raises _Refused for the first answer that isn't the wanted one; the later ones only follow from it.
        """
        steps = [
            ("sender", f"MAIL FROM:<{sender}>", (250,)),
            ("recipient", f"RCPT TO:<{recipient}>", (250, 251, 252)),
            ("data", "DATA", (354,)),
        ]
        if self.half_said:  # a mail that was taken leaves nothing behind, one that was refused may
            steps.insert(0, ("greeting", "RSET", (250,)))
        self.half_said = True
        if not host.has_extn("pipelining"):
            for step, command, wanted in steps:
                self._put(host, command)
                self._expect(step, host.getreply(), *wanted)
            return
        self._put(host, *(command for _, command, _ in steps))
        refused: _Refused | None = None
        for step, _, wanted in steps:
            try:
                answer = host.getreply()
                self._expect(step, answer, *wanted)
            except _Refused as error:
                refused = refused or error
                if error.close:
                    break
            except (smtplib.SMTPException, OSError):
                if refused is None:
                    raise
                refused.close = True
                break
        if refused is None:
            return
        if not refused.close and answer[0] == 354:
            refused.close = True  # it waits for a text all the same; without one nothing can be taken
        raise refused

    def _put(self, host: _Client, *commands: str) -> None:
        for command in commands:
            if not command.isprintable():
                raise ValueError(f"this is no SMTP command: {command!r}")
            self._say(command)
        host.write("".join(f"{command}\r\n" for command in commands).encode("ascii"))

    def _expect(self, step: str, answer: tuple[int, bytes], *wanted: int) -> None:
        code, text = answer
        if self.said is not None:
            self.said(f"{code} {readable(text)}")
        if code in wanted:
            return
        if self.overdue:  # what is left of an answer that was cut off is no answer
            raise _Refused(Temporary(self._why(TimeoutError()), connection=True), close=True)
        outcome = verdict(step, code, text)
        # After a plain refusal the line is still good. 421 means the relay hangs up, anything else is out of step.
        raise _Refused(outcome, close=code == 421 or not 400 <= code < 600 or step == "greeting")

    def _left(self) -> float:
        return max((self.deadline or 0) - time.monotonic(), 0.1)

    def _why(self, error: Exception) -> str:
        if self.overdue:
            return f"it took longer than {self.settings.mail_deadline_seconds:g} seconds"
        if "timed out" in str(error):
            return "no answer in time"
        match error:
            case TimeoutError():
                return "no answer in time"
            case ConnectionRefusedError():
                return "it refuses connections"
            case socket.gaierror():
                return "its name is not known"
            case smtplib.SMTPServerDisconnected() | ConnectionError():
                return "it closed the connection"
            case OSError(strerror=str() as strerror):
                return one_line(strerror)
        return one_line(str(error))[:200] or type(error).__name__

    def _tell(self, message: Letter, accepted: Callable[[], None] | None) -> None:
        try:
            reach("delivery.after_accept")
            if accepted is not None:
                accepted()
            email_dispatched.send(self.app, message=message)
        except Exception:  # the mail is sent, and a receiver's error must not send it twice
            log.exception("what came after the 250 raised", message_id=message.msgId)

    def _say(self, line: str) -> None:
        if self.said is not None:
            self.said(line)


def _dotted(raw: bytes) -> bytes:
    ended = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
    dotted = ended.replace(b"\n.", b"\n..")
    return b"." + dotted if dotted.startswith(b".") else dotted


def mail_state(app: Flask, settings: Settings) -> Any:
    """Flask-Mail's own state object from our settings; the built-in mailbox's address where no relay is set."""
    server, port = settings.mail_server, settings.mail_port
    if server is None:
        server, port = mailbox.running(settings)
    wanted = {
        "MAIL_SERVER": server,
        "MAIL_PORT": port,
        "MAIL_USERNAME": settings.mail_username,
        "MAIL_PASSWORD": settings.mail_password,
        "MAIL_USE_TLS": settings.mail_use_tls and settings.mail_server is not None,
        "MAIL_USE_SSL": settings.mail_use_ssl and settings.mail_server is not None,
        "MAIL_DEFAULT_SENDER": settings.mail_default_sender,
        "MAIL_SUPPRESS_SEND": False,
    }
    return flask_mail.Mail().init_mail(wanted)
