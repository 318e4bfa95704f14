"""Staff's side: one blueprint per noun. Views parse, call the rooms below, render; they alone open units of work."""

from __future__ import annotations

from flask import Flask

from web.staff import (
    clients,
    contacts,
    esign,
    files,
    home,
    items,
    mailbox,
    people,
    portals,
    record,
    sending,
    settings,
    templates,
)

BLUEPRINTS = (
    home.bp,
    clients.bp,
    contacts.bp,
    record.bp,
    people.bp,
    files.bp,  # its own send page stands before the general one
    esign.bp,
    sending.bp,
    items.bp,
    portals.bp,
    templates.bp,
    settings.bp,
    mailbox.bp,
)


def register(app: Flask) -> None:
    """Give the application staff's pages."""
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
