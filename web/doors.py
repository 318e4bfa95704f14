"""The order in which the doors are hung.

Host check and headers stand around everything, sessions before who signs in, limits beside it; the access rules come
after all pages, and the errors last, so that no library's handler answers in their place.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from web import access_rules, csrf, errors, headers, limits, redaction, security, sessions


def init_app(app: Flask, add_pages: Callable[[Flask], None]) -> None:
    """Hang the doors around the pages that `add_pages` registers. Needs `app.config["PORTAL"]` and the database."""
    redaction.install()
    headers.init_app(app)
    sessions.init_app(app)
    csrf.init_app(app)
    security.init_app(app)
    limits.init_app(app)
    add_pages(app)
    access_rules.init_app(app)
    errors.init_app(app)
