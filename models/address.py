"""E-mail addresses: one parser at every door.

An address has two forms: what people see (`display`) and what is looked up and sent to (`key`: ASCII, lower case,
the domain by IDNA 2008). Look-alikes (full-width letters, a dotless i) are refused at the door instead of being
folded into somebody else's mailbox.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

COMMON_DOMAINS = (
    "gmail.com",
    "googlemail.com",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "yahoo.com",
    "icloud.com",
    "aol.com",
    "proton.me",
    "protonmail.com",
    "gmx.de",
    "gmx.net",
    "web.de",
    "yahoo.co.uk",
    "hotmail.co.uk",
    "comcast.net",
    "me.com",
)


class BadAddress(ValueError):
    """Not an address we can send to; the text is the sentence for the field."""


@dataclass(frozen=True)
class Address:
    """A usable address."""

    key: str
    display: str


def parse_address(text: object) -> Address:
    """Read one address. Raises BadAddress with a sentence for people."""
    if not isinstance(text, str):
        raise BadAddress("Enter one e-mail address as text.")
    typed = text.strip()
    if not typed:
        raise BadAddress("Enter an e-mail address.")
    if len(typed) > 320:
        raise BadAddress("This address is too long.")
    local, _, domain = typed.rpartition("@")
    if _ORDINARY.fullmatch(local) and len(typed) <= _LONGEST:
        known = _domain(domain)
        if known is not None:
            return Address(f"{local}@{known.key}", f"{local}@{known.display}")
    return _validated(typed)


# The part before the @ of nearly all addresses: nothing in it has two readings, so that the domain decides alone.
_ORDINARY = re.compile(r"[a-z0-9_+-]+(\.[a-z0-9_+-]+)*")
_LONGEST = 64  # so much is within every limit of the standard


@lru_cache(maxsize=4096)
def _domain(text: str) -> Address | None:
    """The two forms of a domain, asked of the validator once for all its people; None where it is refused."""
    try:
        address = _validated(f"a@{text}")
    except BadAddress:
        return None
    return Address(address.key.partition("@")[2], address.display.partition("@")[2])


def _validated(typed: str) -> Address:
    try:
        valid = validate_email(typed, strict=True, allow_smtputf8=False, check_deliverability=False)
    except EmailNotValidError as error:
        raise BadAddress(
            f"{typed[:80]!r} is not an e-mail address we can send to: {_reason(error)}"
        ) from error
    if valid.ascii_email is None:
        raise BadAddress(
            f"{typed[:80]!r} can't be reached by ordinary mail: use letters a to z before the @."
        )
    if valid.normalized != typed and valid.normalized.casefold() != typed.casefold():
        raise BadAddress(f"{typed[:80]!r} holds a look-alike letter. Did you mean {valid.normalized}?")
    return Address(key=valid.ascii_email.lower(), display=valid.normalized)


def _reason(error: EmailNotValidError) -> str:
    reason = str(error)
    return reason[:1].lower() + reason[1:]


def likely_typo(address: Address) -> str | None:
    """The address probably meant (gmial.com -> gmail.com), or None. A hint, never a refusal."""
    local, _, domain = address.key.partition("@")
    if domain in COMMON_DOMAINS:
        return None
    close = difflib.get_close_matches(domain, COMMON_DOMAINS, n=1, cutoff=0.86)
    return f"{local}@{close[0]}" if close else None
