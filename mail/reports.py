"""Reading delivery reports: what a mail that came to our bounce mailbox says about a mail of ours.

First our own reader of RFC 3464 (delivery status) and RFC 5965 (feedback, that is complaints) on the email package,
because these say the status and the server's words; then the detectors of flufl.bounce for the many that follow no
standard; then what those miss. What people and their holiday answers write is told apart and means nothing.

Anybody can send anything here. So `parse` never raises, looks at the first 256 KB, and shortens lines, folded headers
and nesting before the email package sees them: its cost grows with the square of each. Nothing here is believed: a
report only counts once `mail/bounces.py` finds the Message-ID of a mail of ours in it.
"""

from __future__ import annotations

import email
import email.message
import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message
from enum import StrEnum
from itertools import islice
from typing import Any

import structlog
from flufl.bounce import all_failures

from mail import report_text
from mail.report_text import TooMuch, tamed, text_of

log = structlog.get_logger(__name__)

MOST_BYTES = 1024 * 1024  # a larger mail is no report
MOST_PARTS = 200
MOST_IDS = 20  # of one place


class Kind(StrEnum):
    """What a mail to the bounce mailbox says."""

    PERMANENT = "permanent"  # it will not arrive
    TEMPORARY = "temporary"  # not yet; the servers keep trying
    COMPLAINT = "complaint"  # reported as unwanted
    DELIVERED = "delivered"  # it arrived, or was read
    AUTO_REPLY = "auto_reply"  # a holiday answer and the like
    NO_REPORT = "no_report"  # a person's mail, an advertisement
    UNREADABLE = "unreadable"  # too large, or made to break readers


@dataclass(frozen=True)
class Failure:
    """What is said about one recipient. `status` is an enhanced code (5.1.1) or empty, `said` the server's words."""

    kind: Kind
    addresses: frozenset[str] = frozenset()  # lower case; empty where none is named
    status: str = ""
    said: str = ""


@dataclass(frozen=True)
class Report:
    """What a mail says. `message_ids` are lists of candidates, the most telling place first."""

    kind: Kind
    failures: tuple[Failure, ...] = ()
    message_ids: tuple[tuple[str, ...], ...] = ()

    def about(self, address: str) -> Failure:
        """What it says about `address` (lower case): the line that names it, else the gravest of all."""
        named = [failure for failure in self.failures if address in failure.addresses]
        found = named or list(self.failures)
        return min(found, key=lambda failure: _GRAVEST.index(failure.kind), default=Failure(self.kind))


_GRAVEST = [
    Kind.COMPLAINT,
    Kind.PERMANENT,
    Kind.TEMPORARY,
    Kind.DELIVERED,
    Kind.AUTO_REPLY,
    Kind.NO_REPORT,
    Kind.UNREADABLE,
]


def parse(raw: bytes) -> Report:
    """Read one mail. Never raises: what can't be read is `unreadable`, and the log says why."""
    if len(raw) > MOST_BYTES:
        return Report(Kind.UNREADABLE)
    try:
        return _parse(raw)
    except TooMuch as error:
        log.warning("a mail to the bounce mailbox is no report", reason=str(error))
    except Exception:
        log.warning("a mail to the bounce mailbox can't be read", exc_info=True)
    return Report(Kind.UNREADABLE)


def _parse(raw: bytes) -> Report:
    message = email.message_from_bytes(tamed(raw))
    parts = list(islice(message.walk(), MOST_PARTS + 1))
    if len(parts) > MOST_PARTS:
        raise TooMuch(f"more than {MOST_PARTS} parts")
    report_text.disarm(parts)
    texts = [text_of(part) for part in parts if part.get_content_maintype() == "text"]
    failures = _complaints(message, parts) or _statuses(parts) or _guessed(message, texts)
    if failures[0].kind is Kind.NO_REPORT and _is_receipt(parts):
        failures = [Failure(Kind.DELIVERED)]
    kind = min((failure.kind for failure in failures), key=_GRAVEST.index, default=Kind.NO_REPORT)
    return Report(kind, tuple(failures), _message_ids(message, parts, texts))


# What the standards say ---------------------------------------------------------------------------------------------


def _complaints(message: Message, parts: list[Message]) -> list[Failure]:
    """RFC 5965 reports, and Microsoft's, which only have a header of their own."""
    found = []
    for part in parts:
        if part.get_content_type() == "message/feedback-report":
            for fields in report_text.blocks_of(part):
                feedback = value(fields, "Feedback-Type").lower()
                if feedback in {
                    "abuse",
                    "fraud",
                    "virus",
                    "opt-out",
                    "opt-out-list",
                    "miscategorized",
                    "other",
                }:
                    named = addresses([value(fields, "Original-Rcpt-To"), value(fields, "Removal-Recipient")])
                    found.append(Failure(Kind.COMPLAINT, named))
                elif feedback:  # not-spam, auth-failure, dmarc: nothing for the person's standing
                    found.append(Failure(Kind.NO_REPORT))
    if not found and any(part["X-HmXmrOriginalRecipient"] for part in parts):
        named = addresses(value(part, "X-HmXmrOriginalRecipient") for part in parts)
        found.append(Failure(Kind.COMPLAINT, named))
    return found


def _statuses(parts: list[Message]) -> list[Failure]:
    """RFC 3464: one block of fields for the mail, one for each recipient."""
    found = []
    for part in parts:
        if part.get_content_type() in {"message/delivery-status", "message/global-delivery-status"}:
            found += [failure for fields in report_text.blocks_of(part) if (failure := _status(fields))]
    return found


_CODE = re.compile(r"\b([245]\.[0-9]{1,3}\.[0-9]{1,3})\b")
_ACTIONS = {
    "fail": Kind.PERMANENT,
    "error": Kind.PERMANENT,  # OpenSMTPD
    "delayed": Kind.TEMPORARY,
    "deliver": Kind.DELIVERED,
    "relay": Kind.DELIVERED,
    "expand": Kind.DELIVERED,
}
_BY_CLASS = {"5": Kind.PERMANENT, "4": Kind.TEMPORARY, "2": Kind.DELIVERED}


def _status(fields: Message) -> Failure | None:
    named = addresses(
        value(fields, name) for name in ("Original-Recipient", "Final-Recipient", "X-Actual-Recipient")
    )
    action, said = value(fields, "Action").lower(), value(fields, "Diagnostic-Code")
    code = _CODE.search(value(fields, "Status")) or _CODE.search(said)
    status = code[1] if code else ""
    kind = next((kind for word, kind in _ACTIONS.items() if action.startswith(word)), None)
    if kind is None:
        kind = _BY_CLASS.get(status[:1]) if named else None
    if kind is None:
        return None
    if kind is Kind.PERMANENT and value(fields, "Will-Retry-Until"):
        kind = Kind.TEMPORARY
    precise = _CODE.search(said)  # servers write 5.0.0 into Status and the real code into their words
    if precise and status.endswith(".0.0"):
        status = precise[1]
    return Failure(kind, named, status, re.sub(r"^\s*[\w-]{1,20}\s*;\s*", "", said))


def _is_receipt(parts: list[Message]) -> bool:
    return any(part.get_content_type() == "message/disposition-notification" for part in parts)


# What follows no standard -------------------------------------------------------------------------------------------


def _guessed(message: Message, texts: list[str]) -> list[Failure]:
    """Detectors for the rest, unless the mail says that a person or their holiday answer wrote it."""
    by_machine = report_text.is_from_machine(message)
    if not by_machine and report_text.is_auto_reply(message):
        return [Failure(Kind.AUTO_REPLY)]
    if not by_machine and report_text.is_answer(message):
        return [Failure(Kind.NO_REPORT)]
    text = report_text.before_original("\n".join(texts))
    code, said = report_text.server_words(text)
    late = report_text.tells_delay(value(message, "Subject"))
    temporary, permanent = _detected(message)
    named = addresses([value(message, "X-Failed-Recipients")])
    if named and not temporary and not permanent:
        temporary, permanent = (named, frozenset()) if late else (frozenset(), named)
    found = [Failure(Kind.PERMANENT, frozenset([one]), code, said) for one in sorted(permanent)]
    found += [Failure(Kind.TEMPORARY, frozenset([one]), code, said) for one in sorted(temporary)]
    if found:
        return found
    if by_machine or report_text.tells_failure(value(message, "Subject")):
        if late or report_text.tells_delay(text):
            return [Failure(Kind.TEMPORARY, frozenset(), code, said)]
        if code.startswith("5") or report_text.tells_failure(text):
            return [Failure(Kind.PERMANENT, frozenset(), code, said)]
        if code.startswith("4"):
            return [Failure(Kind.TEMPORARY, frozenset(), code, said)]
    return [Failure(Kind.AUTO_REPLY if report_text.is_auto_reply(message) else Kind.NO_REPORT)]


def _detected(message: Message) -> tuple[frozenset[str], frozenset[str]]:
    """flufl.bounce's answer: addresses that failed for now, and for good."""
    try:
        temporary, permanent = all_failures(message)
    except Exception:
        log.info("flufl.bounce gave up on a mail", exc_info=True)
        return frozenset(), frozenset()
    return _decoded(temporary), _decoded(permanent)


def _decoded(found: Iterable[Any]) -> frozenset[str]:
    texts = (one.decode("ascii", "replace") if isinstance(one, bytes) else str(one) for one in found)
    return addresses(texts)


# Which mail it is about ---------------------------------------------------------------------------------------------


# Printable ASCII alone: a NUL would be refused by PostgreSQL, and no mail of ours has anything else in its id.
_ID = re.compile(r"<([!-;=?A-~]{1,120}@[!-;=?A-~]{1,120})>")
_ID_LINE = re.compile(r"(?mi)^\W{0,10}message-id:[ \t]{0,5}\n?[ \t]{0,5}(<[!-;=?@A-~]{3,240}>)")


def _message_ids(message: Message, parts: list[Message], texts: list[str]) -> tuple[tuple[str, ...], ...]:
    """Candidates by place: the returned original, fields that name it, what the report answers, its plain text."""
    original: list[str] = []
    named: list[str] = []
    for part in parts:
        kind = part.get_content_type()
        if kind in {"message/rfc822", "message/global"}:
            inner = part.get_payload()
            original += [value(one, "Message-ID") for one in inner if isinstance(one, Message)]
        elif kind in {"text/rfc822-headers", "message/rfc822-headers", "message/global-headers"}:
            original += [value(one, "Message-ID") for one in report_text.blocks_of(part)]
        elif kind.startswith("message/") and kind != "message/external-body":
            named += [value(one, "Original-Message-ID") for one in report_text.blocks_of(part)]
    named += [value(message, name) for name in ("Original-Message-ID", "X-Original-Message-ID")]
    answered = [value(message, name) for name in ("In-Reply-To", "References")]
    written = [found for text in texts for found in islice(_ID_LINE.findall(html.unescape(text)), MOST_IDS)]
    places = (_ids(original), _ids(named), _ids(answered), _ids(written))
    return tuple(place for place in places if place)


def _ids(values: Iterable[str]) -> tuple[str, ...]:
    found: Iterator[str] = (f"<{one}>".lower() for text in values for one in _ID.findall(text[:8000]))
    return tuple(islice(dict.fromkeys(found), MOST_IDS))


# Fields -------------------------------------------------------------------------------------------------------------


def value(fields: Message, name: str) -> str:
    """A field on one line, whatever bytes it holds; empty where there is none."""
    found = fields.get(name)
    return "" if found is None else " ".join(str(found).split())


_ADDRESS = re.compile(r"[^\s<>;:,\"()]{1,200}@[^\s<>;:,\"()]{1,200}")


def addresses(values: Iterable[str]) -> frozenset[str]:
    """The addresses in these texts, in lower case."""
    return frozenset(found.lower().rstrip(".") for text in values for found in _ADDRESS.findall(text[:8000]))
