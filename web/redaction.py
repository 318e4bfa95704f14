"""No link token in any log line, whoever writes it.

A mailed link is a key, and web servers log addresses. So every log record of the process, ours or a library's,
passes through `redact()` the moment it is made: a filter on one handler would miss the next handler.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, MutableMapping
from typing import Any

REDACTED = "<redacted>"
# A link also stands in the `next` of a sign-in address, where slashes may be written as %2F.
_IN_PATH = re.compile(r"(?i)((?:/|%2F)(?:portal(?:/|%2F)(?:invite|sign)|reset)(?:/|%2F))[^/\s?&\"'#<>]+")
_IN_QUERY = re.compile(r"(?i)(\btoken=)[^&\s\"'#<>]+")
_IN_HEADER = re.compile(r"(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]+")
_MARKS = ("portal", "reset", "token=", "earer ", "EARER ", "TOKEN=", "Token=")


def redact(text: str) -> str:
    """`text` with `<redacted>` in the place of link tokens, reset tokens and API tokens."""
    if not any(mark in text for mark in _MARKS):
        return text
    for pattern in (_IN_PATH, _IN_QUERY, _IN_HEADER):
        text = pattern.sub(rf"\1{REDACTED}", text)
    return text


def redact_event(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The same as a structlog processor: every text of the event."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value)
    return event


def install() -> None:
    """Make every log record of this process pass through `redact()`. Calling it twice does no more than once."""
    make = logging.getLogRecordFactory()
    if not getattr(make, "redacts", False):
        logging.setLogRecordFactory(_redacting(make))


def _redacting(make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if isinstance(record.msg, dict):  # structlog hands its event over like this
            redact_event(None, record.levelname, record.msg)
            return record
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):
            return record  # arguments that don't fit are logging's own error to report
        clean = redact(text)
        if clean != text:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[0] is not None:
            trace = logging.Formatter().formatException(record.exc_info)
            if redact(trace) != trace:
                # Formatters write the traceback anew from exc_info; as a part of the message it stays clean.
                record.msg, record.args, record.exc_info = f"{clean}\n{redact(trace)}", (), None
        return record

    factory.redacts = True  # type: ignore[attr-defined]
    return factory
