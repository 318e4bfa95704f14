"""Where a `next` may lead: to a path of our own, and nowhere else.

Browsers drop control characters, read a backslash as a slash and take `//host` for another site, so everything of
that kind is refused instead of repaired.
"""

from __future__ import annotations

import unicodedata
from urllib.parse import SplitResult, urlsplit

from flask import request

import config

_LONGEST = 2000


def safe_next(text: object) -> str | None:
    """The path (with query) on our own origin that `text` names, or None where it leads elsewhere."""
    if not isinstance(text, str) or not text or len(text) > _LONGEST:
        return None
    if (
        text.startswith("//")
        or "\\" in text
        or text != text.strip()
        or any(unicodedata.category(sign)[0] == "C" for sign in text)
    ):
        return None
    try:
        parts = urlsplit(text)
        if (parts.scheme or parts.netloc) and not _is_ours(parts):
            return None
    except ValueError:
        return None
    if not parts.path.startswith("/") or parts.path.startswith("//"):
        return None
    return parts.path + (f"?{parts.query}" if parts.query else "")


def own_origins() -> set[str]:
    """The origins people reach us under: PORTAL_BASE_URL's, and the host of this request (already checked)."""
    origins = {config.current().base_url.lower()}
    if not config.current().base_url_is_set:
        # Without a base address a proxy in front may speak https to the browser and http to us.
        origins |= {f"http://{request.host}".lower(), f"https://{request.host}".lower()}
    else:
        origins.add(request.host_url.rstrip("/").lower())
    return origins


def _is_ours(parts: SplitResult) -> bool:
    if parts.username or parts.password:
        return False
    return f"{parts.scheme}://{parts.netloc}".lower() in own_origins()
