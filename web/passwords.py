"""Passwords: which are good enough, and how they are kept.

Length first, then how easily one is guessed (zxcvbn: common passwords, names, dates, keyboard rows, repeats, and what
we know of the person). No rules about digits and signs: they make passwords worse. Kept as Argon2id with the least
cost OWASP asks for; without a pepper from SECRET_KEY, so that a new SECRET_KEY locks nobody out.
"""

from __future__ import annotations

import threading
import unicodedata
from typing import TYPE_CHECKING, Any

import flask_security
from flask_security.password_util import PasswordUtil

from later import later

if TYPE_CHECKING:
    import zxcvbn
else:
    zxcvbn = later("zxcvbn")

SHORTEST = 12
LONGEST = 128
_LEAST_SCORE = 3  # of 0 to 4: "safely unguessable" in zxcvbn's words
_LOOKED_AT = 72  # zxcvbn refuses longer texts; nobody guesses the first 72 characters either
_lock = threading.Lock()  # zxcvbn keeps what it is told about the person in one place for all threads


def password_problems(password: str, *about: str) -> list[str]:
    """What is wrong with a new password, as sentences for its field; empty when it is fine.

    `about` is what others know of the person (name, address): passwords built from it are refused.
    """
    password = normalise(password)
    if len(password) < SHORTEST:
        return [f"Use at least {SHORTEST} characters. Three or four words you can remember do well."]
    if len(password) > LONGEST:
        return [f"Use at most {LONGEST} characters."]
    known = [
        part for text in about if text for part in {text, *text.replace("@", " ").replace(".", " ").split()}
    ]
    with _lock:
        score = zxcvbn.zxcvbn(password[:_LOOKED_AT], user_inputs=known)["score"]
    if score < _LEAST_SCORE:
        return [
            "This password is easy to guess. Use three or four words that have nothing to do with each other."
        ]
    return []


def hash_password(password: str) -> str:
    """The hash that is kept. Takes tens of milliseconds: call it before a unit of work, never in one."""
    hashed: str = flask_security.hash_password(normalise(password))
    return hashed


def normalise(password: str) -> str:
    """One form for the same signs however a keyboard makes them (NFKD, as Flask-Security reads it at sign-in)."""
    return unicodedata.normalize("NFKD", password)


class Passwords(PasswordUtil):
    """The same check in Flask-Security's own forms."""

    def validate(self, password: str, is_register: bool, **kwargs: Any) -> tuple[list[str] | None, str]:
        """The problems of a new password (None without any), and its normalised form."""
        user = kwargs.get("user")
        about = [user.name, user.email_display] if user is not None else []
        return password_problems(password, *about) or None, normalise(password)
