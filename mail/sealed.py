"""What must wait in the outbox but be readable by nobody who reads the table: a password reset's link.

Invite links are derived from ids when the mail is written, but the links of password resets are made by
Flask-Security and can't be. So they lie in the row encrypted under a key of their own, and go when the mail is sent.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from config import Settings


class BrokenSeal(ValueError):
    """Sealed with another key, or damaged: the key was changed since."""


def seal(settings: Settings, value: dict[str, Any]) -> str:
    """Plain JSON values as text that only this installation can read."""
    return _fernet(settings).encrypt(json.dumps(value).encode()).decode()


def unseal(settings: Settings, sealed: str) -> dict[str, Any]:
    """The values of `seal()`. Raises BrokenSeal."""
    try:
        value: dict[str, Any] = json.loads(_fernet(settings).decrypt(sealed.encode()))
    except InvalidToken as error:
        raise BrokenSeal("It was written before the secret key was changed. Ask for it again.") from error
    return value


def _fernet(settings: Settings) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(settings.derived_key("sealed-mail")))
