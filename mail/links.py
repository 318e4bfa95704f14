"""Links and codes that go out by mail, derived instead of stored.

A token is an HMAC over ids, so a retry carries the same link, a resend (generation + 1) a new one, and no table,
log, API answer or page ever holds one: the database keeps only the token's SHA-256. Links come from
PORTAL_BASE_URL alone, never from a request's Host.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

from config import Settings


def invite_token(settings: Settings, invite_id: str, generation: int) -> str:
    """The token of one generation of an invite's link: 43 URL-safe characters."""
    message = f"invite:{invite_id}:{generation}".encode()
    digest = hmac.digest(settings.derived_key("invite-link"), message, "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def token_hash(token: str) -> str:
    """What the database keeps of a token: its SHA-256 in hexadecimal digits. Takes any text a stranger may send."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def invite_link(settings: Settings, invite_id: str, generation: int, item_id: str | None = None) -> str:
    """The mailed link; `item_id` says where to land after accepting."""
    link = f"{settings.base_url}/portal/invite/{invite_token(settings, invite_id, generation)}"
    return f"{link}?item={quote(item_id, safe='')}" if item_id else link


def stop_link(settings: Settings, invite_id: str, generation: int) -> str:
    """The page behind `Stop these reminders`."""
    return f"{settings.base_url}/portal/invite/{invite_token(settings, invite_id, generation)}/reminders"


def accept_code(settings: Settings, accept_code_id: str) -> str:
    """The six digits that go with an accept that waits for them."""
    message = f"accept-code:{accept_code_id}".encode()
    digest = hmac.new(settings.derived_key("accept-code"), message, hashlib.sha256).digest()
    return f"{int.from_bytes(digest) % 1_000_000:06d}"


def portal_link(settings: Settings, item_id: str | None = None) -> str:
    """Where a person with access lands: the item, or the portal's Home. Asks to sign in first where needed."""
    return (
        f"{settings.base_url}/portal/items/{quote(item_id, safe='')}"
        if item_id
        else f"{settings.base_url}/portal/"
    )


def page_link(settings: Settings, path: str) -> str:
    """A page of ours by its path, such as `/clients/01H...`. Raises ValueError for anything that leaves the site."""
    if not path.startswith("/") or path.startswith("//") or "\\" in path:
        raise ValueError(f"not a path of ours: {path!r}")
    return settings.base_url + path
