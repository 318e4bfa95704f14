"""Forms come from our own pages.

Two checks, as each closes what the other leaves open. Every request that changes something must come from our own
origin: browsers say where it was sent from (Origin, else Sec-Fetch-Site, else Referer). And it must carry the form
token of its session. Pages that hang on a mailed link make no session on GET, so their form token is the link's own
token, and the origin check stands alone there.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, current_app, request
from flask_wtf.csrf import CSRFProtect

from models.errors import ProblemForPeople
from web.redirects import own_origins

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})

csrf = CSRFProtect()


class ForeignOrigin(ProblemForPeople):
    """The request was sent from a page that isn't ours."""

    status = 403
    code = "foreign_origin"
    title = "Not sent from our page"


def init_app(app: Flask) -> None:
    """Set Flask-WTF up. The check itself is made with the access rules, which know what a route needs."""
    app.config.setdefault("WTF_CSRF_ENABLED", True)
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False
    # A form may stay open for as long as its session lives: what was typed must not be lost after an hour.
    app.config["WTF_CSRF_TIME_LIMIT"] = None
    # Flask-WTF would demand a Referer under https; the origin check below is stricter and needs none.
    app.config["WTF_CSRF_SSL_STRICT"] = False
    csrf.init_app(app)


def check(token: bool = True) -> None:
    """Check the current request, if it changes something. `token=False` leaves the form token out (link pages).

    Raises ForeignOrigin, or Flask-WTF's CSRFError (400) where the form token is missing or wrong.
    """
    if request.method not in UNSAFE:
        return
    if not _sent_from_our_page():
        raise ForeignOrigin(
            "This was sent from another page than ours, so nothing was done. Open the page here and send it again."
        )
    if token and current_app.config["WTF_CSRF_ENABLED"]:
        csrf.protect()


def _sent_from_our_page() -> bool:
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site")
    if origin is not None and origin != "null":
        return origin.lower() in own_origins()
    if origin == "null":
        # A page with Referrer-Policy no-referrer (our link pages) sends `null`; the browser then says itself
        # whether that page was ours.
        return site == "same-origin"
    if site is not None:
        return site in {"same-origin", "none"}
    referrer = request.headers.get("Referer")
    if referrer:
        try:
            parts = urlsplit(referrer)
        except ValueError:
            return False
        return f"{parts.scheme}://{parts.netloc}".lower() in own_origins()
    return True  # no browser: browsers name the origin of every POST
