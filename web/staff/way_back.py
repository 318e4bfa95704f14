"""Back to where one came from: the record, Manage Client Portals as it was filtered, or the home page.

Whoever offers an action elsewhere puts the way back into its address (`back`); what the action leads through carries it
on. Only paths of our own count.
"""

from __future__ import annotations

from urllib.parse import quote

from flask import request

from web.redirects import safe_next


def came_from(otherwise: str) -> str:
    """Where to go after this request."""
    return safe_next(request.values.get("back")) or otherwise


def carried(url: str) -> str:
    """`url` with this request's way back, if it has one."""
    back = safe_next(request.values.get("back"))
    return leading_back(url, back) if back else url


def leading_back(url: str, back: str) -> str:
    """`url` with a way back."""
    return f"{url}{'&' if '?' in url else '?'}back={quote(back, safe='')}"
