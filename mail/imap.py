"""The mailbox of delivery reports by IMAP, with what the standard library leaves out.

TLS from the first byte with the certificate verified, a timeout for each answer and a deadline for the whole visit
(a server that sends a byte now and then would else hold a worker for ever), names and passwords quoted, and mails
fetched with PEEK, so that nothing is marked as read before it was acted on.
"""

from __future__ import annotations

import contextlib
import imaplib
import re
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, Self, TypeVar

from config import ImapFolder
from mail.addresses import one_line

ANSWER_SECONDS = 30.0
VISIT_SECONDS = 300.0

Answer = TypeVar("Answer")


class ImapProblem(Exception):
    """The mailbox can't be read now; the text says why and holds no password."""


class Mailbox:
    """One visit to the folder. A context manager; everything raises ImapProblem."""

    def __init__(
        self, place: ImapFolder, *, answer: float = ANSWER_SECONDS, visit: float = VISIT_SECONDS
    ) -> None:
        self._place = place
        self._answer = answer
        self._visit = visit
        self._line: imaplib.IMAP4_SSL | None = None
        self._timer: threading.Timer | None = None
        self._overdue = False

    @property
    def host(self) -> str:
        """The server, for the log."""
        return self._place.host

    def __enter__(self) -> Self:
        place = self._place
        self._line = self._try(
            lambda: imaplib.IMAP4_SSL(
                place.host, place.port, ssl_context=ssl.create_default_context(), timeout=self._answer
            )
        )
        self._timer = threading.Timer(self._visit, self._cut)
        self._timer.daemon = True
        self._timer.start()
        try:
            # imaplib quotes the password alone.
            self._ask(lambda line: line.login(_quoted(place.user), place.password))
            self._ask(lambda line: line.select(_quoted(place.folder)))
        except ImapProblem:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._line is not None:
            with contextlib.suppress(
                imaplib.IMAP4.error, OSError
            ):  # the work is done, or its error is on its way
                self._line.logout()
            with contextlib.suppress(imaplib.IMAP4.error, OSError):
                self._line.shutdown()
        self._line = self._timer = None

    def unread(self) -> list[str]:
        """The UIDs of the mails that nobody has handled, the oldest first."""
        found = self._ask(lambda line: line.uid("SEARCH", "UNSEEN", "UNDELETED"))
        numbers = b" ".join(part for part in found if isinstance(part, bytes)).split()
        return sorted({number.decode("ascii", "replace") for number in numbers if number.isdigit()}, key=int)

    def fetch(self, uid: str, most: int) -> bytes | None:
        """One mail, unchanged on the server; None where it is larger than `most` bytes, or gone."""
        answer = self._ask(lambda line: line.uid("FETCH", uid, "(RFC822.SIZE)"))
        size = re.search(
            rb"RFC822\.SIZE (\d{1,12})", b" ".join(part for part in answer if isinstance(part, bytes))
        )
        if size is None or int(size[1]) > most:
            return None
        answer = self._ask(lambda line: line.uid("FETCH", uid, f"(BODY.PEEK[]<0.{most + 1}>)"))
        raw = next((part[1] for part in answer if isinstance(part, tuple)), None)
        return raw if isinstance(raw, bytes) and len(raw) <= most else None

    def mark(self, uid: str, *, flagged: bool) -> None:
        """Mark a mail as read, and with a flag where the operator may want to look at it."""
        flags = r"(\Seen \Flagged)" if flagged else r"(\Seen)"
        self._ask(lambda line: line.uid("STORE", uid, "+FLAGS.SILENT", flags))

    def _ask(self, question: Callable[[imaplib.IMAP4_SSL], tuple[str, list[Any]]]) -> list[Any]:
        line = self._line
        if line is None:
            raise ImapProblem("the visit is over")
        status, answer = self._try(lambda: question(line))
        if status != "OK":
            raise ImapProblem(_said(answer[0] if answer else status))
        return answer

    def _try(self, work: Callable[[], Answer]) -> Answer:
        try:
            return work()
        except ssl.SSLCertVerificationError as error:
            raise ImapProblem(f"its certificate is not valid: {error.verify_message}") from error
        except (imaplib.IMAP4.error, OSError, EOFError, ValueError) as error:
            if self._overdue:
                raise ImapProblem(f"it took longer than {self._visit:g} seconds") from error
            if isinstance(error, TimeoutError) or "timed out" in str(error):
                raise ImapProblem(f"no answer within {self._answer:g} seconds") from error
            raise ImapProblem(_said(error)) from error

    def _cut(self) -> None:
        self._overdue = True
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.sock.shutdown(socket.SHUT_RDWR)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _said(answer: object) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    return one_line(text)[:200] or "no reason given"
