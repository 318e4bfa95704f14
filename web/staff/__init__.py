"""Staff's side: one blueprint per noun. Views parse, call the rooms below, render; they alone open units of work."""

from __future__ import annotations

from flask import Flask

from web.staff import once
from web.staff.access_until import bp as access_until
from web.staff.change_address import bp as change_address
from web.staff.clients import bp as clients
from web.staff.contacts import bp as contacts
from web.staff.esign import bp as esign
from web.staff.expired import bp as expired
from web.staff.explain import bp as explain
from web.staff.files import bp as files
from web.staff.home import bp as home
from web.staff.items import bp as items
from web.staff.mailbox import bp as mailbox
from web.staff.people import bp as people
from web.staff.portals import bp as portals
from web.staff.portals_bulk import bp as portals_bulk
from web.staff.portals_export import bp as portals_export
from web.staff.portals_import import bp as portals_import
from web.staff.portals_numbers import bp as portals_numbers
from web.staff.record import bp as record
from web.staff.sending import bp as sending
from web.staff.settings import bp as settings
from web.staff.team import bp as team
from web.staff.templates import bp as templates
from web.staff.view_portal import bp as view_portal

BLUEPRINTS = (
    home,
    clients,
    contacts,
    record,
    people,
    explain,
    view_portal,
    change_address,
    access_until,
    expired,
    files,  # its own send page stands before the general one
    esign,
    sending,
    items,
    portals,
    portals_bulk,
    portals_export,
    portals_import,
    portals_numbers,
    templates,
    settings,
    team,
    mailbox,
)


def register(app: Flask) -> None:
    """Give the application staff's pages."""
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    once.init_app(app)
