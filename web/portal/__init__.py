"""The client's side: the page behind a mailed link, Home, To-do, Files, and the items themselves.

Views parse, call the domain and render. All rows come through `PortalView`, so a foreign item, or one that was not
granted, is as a missing one.
"""

from __future__ import annotations

from flask import Flask

from web.portal import (
    client_request,
    esign,
    files,
    find_invite,
    home,
    invite,
    invite_answers,
    items,
    reminders,
    settings,
)


def register(app: Flask) -> None:
    """Give the application the client's side."""
    for module in (
        invite,
        invite_answers,
        reminders,
        home,
        items,
        client_request,
        files,
        esign,
        settings,
        find_invite,
    ):
        app.register_blueprint(module.bp)
    app.register_blueprint(esign.fonts)
