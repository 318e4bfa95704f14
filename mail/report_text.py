"""The raw side of delivery reports: taming bytes before they are parsed, and what plain words tell.

The email package is careful about content, not about cost: a header of a megabyte, a hundred nested parts, or a
charset such as punycode keep it busy for minutes. `tamed` and `disarm` take that away first.
"""

from __future__ import annotations

import binascii
import codecs
import email
import quopri
import re
from collections.abc import Iterable
from email.message import Message

MOST_LOOKED_AT = 256 * 1024  # bytes: what a report says stands at its top, the original's headers soon after
MOST_LINES = 20_000
LONGEST_LINE = 1_000  # bytes; SMTP allows 998
MOST_FOLDED = 12  # lines in a row that begin with a blank
MOST_BOUNDARIES = 40
MOST_TYPES = 200  # Content-Type lines


class TooMuch(ValueError):
    """No report looks like this; the text says what there is too much of."""


def tamed(raw: bytes) -> bytes:
    """The mail's beginning, with lines, foldings and nesting of a size that costs little. Raises TooMuch."""
    head = raw[:MOST_LOOKED_AT].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lowered = head.lower()
    if lowered.count(b"boundary") > MOST_BOUNDARIES or lowered.count(b"content-type:") > MOST_TYPES:
        raise TooMuch("mails within mails within mails")
    lines, folded = [], 0
    for line in head.split(b"\n")[:MOST_LINES]:
        folded = folded + 1 if line[:1] in (b" ", b"\t") else 0
        if folded <= MOST_FOLDED:
            lines.append(line[:LONGEST_LINE])
    return b"\n".join(lines)


_CHARSETS = re.compile(
    r"(utf-8|ascii|iso8859-\d+|cp\d+|koi8-[rut]|gb\w+|big5\w*|euc_\w+|shift_jis\w*|iso2022_\w+|utf-16\S*|utf-32\S*"
    r"|mac-\w+|hz|johab|tis-620)\Z"
)


def charset_of(part: Message) -> str:
    """The part's charset where it is an ordinary one, else latin-1, which reads any bytes."""
    try:
        name = codecs.lookup(part.get_content_charset("latin-1")).name
    except (LookupError, ValueError, TypeError):
        return "latin-1"
    return name if _CHARSETS.match(name) else "latin-1"


def disarm(parts: Iterable[Message]) -> None:
    """Take charsets that aren't ordinary out of the parts, so that nobody after us decodes with them."""
    for part in parts:
        if part.get_param("charset") is not None and charset_of(part) == "latin-1":
            kind = part.get_content_type()
            boundary = part.get_boundary()
            del part["Content-Type"]
            part["Content-Type"] = f'{kind}; boundary="{boundary}"' if boundary else kind


def text_of(part: Message) -> str:
    """A text part as text, whatever it says about itself."""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    text = payload.decode(charset_of(part), "replace")
    if part.get_content_subtype() == "html":
        text = re.sub(r"<(?:br|/p|/div|/tr|/h\d|/li)\b[^<>]{0,500}>", "\n", text, flags=re.IGNORECASE)
        # Only tags go: an address in angle brackets, written as entities, stays for whoever unescapes it.
        text = re.sub(r"</?[a-z!][^<>@]{0,2000}>", " ", text, flags=re.IGNORECASE)
    return text


def blocks_of(part: Message) -> list[Message]:
    """The blocks of fields in a message/* or headers part, also where somebody encoded it against the rules."""
    payload = part.get_payload()
    coding = " ".join(str(part.get("Content-Transfer-Encoding", "")).lower().split())
    if isinstance(payload, list):
        blocks = [block for block in payload if isinstance(block, Message)]
        if coding not in {"base64", "quoted-printable"}:
            return blocks
        text = "\n".join(str(block.get_payload()) for block in blocks if not block.is_multipart())
        raw = text.encode("ascii", "replace")
        return _read_blocks(_decode(raw, coding)) or blocks
    body = part.get_payload(decode=True)
    return _read_blocks(body) if isinstance(body, bytes) else []


def _decode(raw: bytes, coding: str) -> bytes:
    if coding == "quoted-printable":
        return quopri.decodestring(raw)
    try:
        return binascii.a2b_base64(raw)
    except binascii.Error:
        return b""


def _read_blocks(raw: bytes) -> list[Message]:
    blocks = re.split(rb"\n[ \t]*\n", tamed(raw).strip(b"\n"))
    return [email.message_from_bytes(block + b"\n\n") for block in blocks[:50] if block.strip()]


# Who wrote it -------------------------------------------------------------------------------------------------------


_MACHINE = re.compile(
    r"\b(mailer-?daemon|mail-?daemon|postmaster|mdaemon|mail delivery (sub)?system|bounce\w*|ndr|no-?reply-?bounce"
    r"|mail administrator)\b|^\s*<>\s*$",
    re.IGNORECASE,
)
_HOLIDAY = re.compile(
    r"^\W*(out of (the )?office|automatic reply|auto(matic)?[ -]?(reply|response|answer)|autoreply"
    r"|on (vacation|holiday)|vacation|away from|abwesen|automatische antwort|r[ée]ponse automatique|respuesta autom)",
    re.IGNORECASE,
)


def is_from_machine(message: Message) -> bool:
    """Whether it comes from a mail system: a null sender, a daemon's name, or the field for failed recipients."""
    if message["X-Failed-Recipients"] is not None:
        return True
    if " ".join(str(message.get("Return-Path", "")).split()) == "<>":
        return not is_holiday_subject(message) and not message["X-Autoreply"] and not message["X-Autorespond"]
    return bool(_MACHINE.search(str(message.get("From", ""))[:1000]))


def is_holiday_subject(message: Message) -> bool:
    """Whether the subject is that of a holiday answer."""
    return bool(_HOLIDAY.match(str(message.get("Subject", ""))[:300]))


def is_auto_reply(message: Message) -> bool:
    """Whether a machine answered for a person."""
    if str(message.get("Auto-Submitted", "")).strip().lower().startswith("auto-replied"):
        return True
    if any(message[name] is not None for name in ("X-Autoreply", "X-Autorespond", "X-Auto-Response-From")):
        return True
    precedence = str(message.get("Precedence", "")).strip().lower()
    return precedence in {"auto_reply", "auto-reply"} or is_holiday_subject(message)


def is_answer(message: Message) -> bool:
    """Whether a person answers a mail: they quote, and what they quote may look like a report."""
    subject = str(message.get("Subject", "")).strip().lower()
    return message["In-Reply-To"] is not None and subject.startswith(("re:", "aw:", "sv:", "fwd:", "fw:"))


# What the words tell ------------------------------------------------------------------------------------------------


_FAILURE = re.compile(
    r"undeliver|not (be |been )?deliver|returned mail|returned to sender|returning message|delivery (has )?fail"
    r"|fail\w* .{0,20}deliver|delivery (status )?notification|mail (system )?error|failure notice|mail failure"
    r"|permanent (fatal )?error|could not send|unable to deliver|couldn't be delivered|wasn't delivered"
    r"|message blocked|invalid (final )?delivery userid",
    re.IGNORECASE,
)
_DELAY = re.compile(
    r"\bdelayed\b|delivery delay|still trying|will (be )?retr(y|ied)|will keep trying|will continue (to try|trying)"
    r"|not yet been delivered|no need to resend|do not need to resend|don't need to resend",
    re.IGNORECASE,
)
_ORIGINAL = re.compile(
    r"(?im)^.{0,20}(below this line is a copy|original message (follows|headers)"
    r"|this is a copy of the (message|headers)|returned message follows|your original message"
    r"|message (header )?follows).{0,80}$"
)
_SERVER = re.compile(
    r"(?<![0-9.-])([45][0-9][0-9])(?:[ -]#?([245]\.[0-9]{1,3}\.[0-9]{1,3}))?[ :-](?=[ ]?[^0-9\n]{2})"
    r"|(?:^|[\s(#])([45]\.[0-9]{1,3}\.[0-9]{1,3})\b"
)


def tells_failure(text: str) -> bool:
    """Whether these words say that a mail did not arrive."""
    return bool(_FAILURE.search(text[:20_000]))


def tells_delay(text: str) -> bool:
    """Whether these words say that it may still arrive."""
    return bool(_DELAY.search(text[:20_000]))


def before_original(text: str) -> str:
    """The report's own words: what stands before the returned mail."""
    found = _ORIGINAL.search(text[:50_000])
    return text[: found.start()] if found else text[:50_000]


def server_words(text: str) -> tuple[str, str]:
    """(enhanced status or empty, the line in which the server said why), where such a line is there."""
    for found in _SERVER.finditer(text[:20_000]):
        start = text.rfind("\n", 0, found.start() + 1) + 1
        lines = text[start : start + 600].split("\n")[:3]
        if lines[0].lstrip(" >").lower().startswith(("received:", "by ")):
            continue  # versions of mail servers look like codes
        said = " ".join(line.strip() for line in lines if line.strip())
        code = found[2] or found[3] or {"5": "5.0.0", "4": "4.0.0"}[(found[1] or "5")[0]]
        return code, said
    return "", ""
