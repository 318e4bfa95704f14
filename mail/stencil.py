"""One mail to many people is written once: a stencil, whose open places are the parts that belong to the person.

Writing a mail the plain way (`compose.write`) costs some 200 us and with the email package some 1,700, more than
handing it to the relay. People of one order get the same mail but for their name, address, link and the headers that
come from the row. So the mail is written once with stand-ins in these places, its lines are encoded once, and per
person only the lines with a stand-in in them are filled and encoded anew: quoted-printable treats each line alone.

`compose.write` stays what is right: tests/test_mail_stencil.py compares both byte for byte, over hostile names and
texts. Where a name could change more than its own place (it is empty, holds dots, or begins the message like a
greeting), there is no stencil and the plain way is taken.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass

from markupsafe import escape

from mail import mime, words
from mail.render import Rendered

# Letters only, so that no rule about punctuation treats a stand-in otherwise than a name; chance, so that nobody
# types it.
_MARK = "Zq" + "".join(secrets.choice(string.ascii_letters) for _ in range(20))
_FIRST, _REST, _ADDRESS, _LINK, _STOP = (_MARK + letter for letter in "ABCDE")
_SLOT = re.compile(f"({_MARK}[A-E])")
_ORDINARY_NAME = re.compile(r"[^\W\d_]+(?:[ '\u2019-][^\W\d_]+)*")
_ORDINARY_ADDRESS = re.compile(r"[!-~]{3,320}")
_GREETING_WITHIN = 24  # characters at the message's beginning that decide whether it greets


@dataclass(frozen=True)
class Person:
    """What of a mail belongs to one person."""

    name: str
    address: str  # as it was typed
    link: str
    stop_link: str = ""

    @property
    def is_ordinary(self) -> bool:
        """Whether the person's parts can only change their own places."""
        return bool(_ORDINARY_NAME.fullmatch(self.name) and _ORDINARY_ADDRESS.fullmatch(self.address))

    @property
    def has_rest(self) -> bool:
        """Whether the name is more than a first name."""
        return " " in self.name


def stand_in(has_rest: bool) -> Person:
    """The person a stencil is written for."""
    return Person(f"{_FIRST} {_REST}" if has_rest else _FIRST, _ADDRESS, _LINK, _STOP)


class Stencil:
    """A mail written for a stand-in."""

    def __init__(self, rendered: Rendered) -> None:
        self.subject = rendered.subject
        self._text, self._html = _Page(rendered.text), _Page(rendered.html)

    @staticmethod
    def fits(rendered: Rendered, message: str) -> bool:
        """Whether every person's mail differs in the open places alone; `message` is the personal one, filled in."""
        begun = message.lstrip()[: _GREETING_WITHIN + len(_MARK)]
        named = _SLOT.search(begun)
        return _MARK not in rendered.subject and (named is None or words.greets(begun[: named.start()]))

    def fill(self, person: Person) -> tuple[bytes, bytes]:
        """The person's text and HTML, in quoted-printable."""
        first, _, rest = person.name.partition(" ")
        plain = {
            _FIRST: first,
            _REST: rest,
            _ADDRESS: person.address,
            _LINK: person.link,
            _STOP: person.stop_link,
        }
        escaped = {slot: str(escape(value)) for slot, value in plain.items()}
        return self._text.fill(plain), self._html.fill(escaped)


class _Page:
    """A text whose lines are encoded but for those with open places."""

    def __init__(self, text: str) -> None:
        # Encoded stretches, and lines to fill, their slots as `%(slot)s`.
        self._pieces: list[bytes | str] = []
        stretch = ""
        for line in _lines(text):
            if _MARK not in line:
                stretch += line
                continue
            if stretch:
                self._pieces.append(mime.quoted(stretch))
            self._pieces.append(_SLOT.sub(r"%(\1)s", line.replace("%", "%%")))
            stretch = ""
        if stretch:
            self._pieces.append(mime.quoted(stretch))

    def fill(self, values: dict[str, str]) -> bytes:
        return b"".join(
            [piece if isinstance(piece, bytes) else mime.quoted(piece % values) for piece in self._pieces]
        )


def _lines(text: str) -> list[str]:
    """The lines with their ends; only LF, CR and CRLF end one, as in `mime.quoted`."""
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", text)
