"""Names and addresses as they go into headers and envelopes.

Measured on Flask-Mail as it comes: the sender `Smith, Jones & Co` became `Smith`, `Acme <ceo@bank.example>` became
that address, and a line break in a header made headers of its own. So an address is only ever taken from what
`email.headerregistry` accepts as one, a name is never parsed, and whatever is not plain goes as encoded words, in
which no character can end a phrase or a line.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from email.charset import SHORTEST, Charset
from email.errors import HeaderParseError
from email.header import Header
from email.headerregistry import Address
from functools import lru_cache

from config import Settings

# Words that stand in a header as they are: no quotes, commas, brackets, dots or anything else with a meaning.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*\Z")
_PLAIN_TEXT = re.compile(r"[\x20-\x7e]*\Z")
_FOLDS_AT = 66
_LONGEST_WORD = 500  # a line may have 998 characters

# RFC 5322's dot-atom on both sides, as every address we took in looks.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_SPEC = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")

_UTF8 = Charset("utf-8")
_UTF8.header_encoding = SHORTEST


class BadHeader(ValueError):
    """This can't stand in a mail's header."""


def one_line(text: str) -> str:
    """The text without line ends, control characters and marks that change the direction of reading."""
    if _PLAIN_TEXT.match(text):
        return " ".join(text.split())
    kept = (" " if unicodedata.category(letter) in {"Cc", "Zl", "Zp", "Cs"} else letter for letter in text)
    kept_text = "".join(letter for letter in kept if letter not in _DIRECTION)
    return " ".join(kept_text.split())


_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


@lru_cache(maxsize=2048)
def mailbox_header(name: str, address: str) -> str:
    """`name <address>` for From, To or Reply-To; folded, ASCII. Raises BadHeader for what is no address."""
    spec = plain_address(address)
    shown = one_line(name)
    if not shown:
        return spec
    if not _is_plain(shown, _PLAIN_TEXT):
        return _joined(_encoded(shown), spec)
    if _PLAIN_NAME.match(shown):
        return _joined(_folded(shown), spec)
    # Only one encoded word: Python's own parser reads a space between two of them in a name (fixed in 3.13.2).
    word = _encoded(shown)
    if "\r\n" not in word:
        return _joined(word, spec)
    quoted = re.sub(r'(["\\])', r"\\\1", shown)
    return _joined(f'"{quoted}"', spec)


@lru_cache(maxsize=2048)
def text_header(text: str) -> str:
    """Free text for Subject; folded, ASCII, and never read as encoded words that somebody typed."""
    shown = one_line(text)
    return _folded(shown) if _is_plain(shown, _PLAIN_TEXT) else _encoded(shown)


@lru_cache(maxsize=4096)
def plain_address(address: str) -> str:
    """The bare ASCII address, as it goes into the envelope. Raises BadHeader."""
    if _PLAIN_SPEC.fullmatch(address):  # nearly all; the parser below costs more than the rest of the mail
        return address
    try:
        spec = Address(addr_spec=address)
        address.encode("ascii")
    except (ValueError, IndexError, HeaderParseError) as error:  # headerregistry raises any of them
        raise BadHeader(f"{one_line(address)[:80]!r} is not an address that can be mailed to") from error
    if not spec.username or not spec.domain or spec.addr_spec != address or address != one_line(address):
        raise BadHeader(f"{one_line(address)[:80]!r} is not an address that can be mailed to")
    return address


def sender(settings: Settings) -> tuple[str, str]:
    """Name (often empty) and address of MAIL_DEFAULT_SENDER. Raises BadHeader where it is no address."""
    return _name_and_address(settings.mail_default_sender.strip())


@lru_cache(maxsize=8)
def _name_and_address(configured: str) -> tuple[str, str]:
    named = re.fullmatch(r'"?([^"<>]*?)"?\s*<([^<>\s]+)>', configured)
    name, address = (named.group(1).strip(), named.group(2)) if named else ("", configured)
    return name, plain_address(address)


def sender_domain(settings: Settings) -> str:
    """The domain of the configured sender: the right half of every Message-ID."""
    return sender(settings)[1].rpartition("@")[2].lower()


def _joined(name: str, spec: str) -> str:
    last = name.rpartition("\n")[2]
    return f"{name} <{spec}>" if len(last) + len(spec) < 60 else f"{name}\r\n <{spec}>"


def _is_plain(text: str, letters: re.Pattern[str]) -> bool:
    longest = max(map(len, text.split()), default=0)
    return bool(letters.match(text)) and "=?" not in text and longest <= _LONGEST_WORD


def _folded(text: str) -> str:
    if len(text) <= _FOLDS_AT:
        return text
    # The text has single spaces only, and a reader makes one of each line end and the space behind it.
    return "\r\n ".join(textwrap.wrap(text, _FOLDS_AT, break_long_words=False, break_on_hyphens=False))


def _encoded(text: str) -> str:
    # Room is left for the longest header name on the first line: no line with an encoded word exceeds 76.
    return Header(text, _UTF8, maxlinelen=75, header_name="Reply-To").encode(linesep="\r\n")
