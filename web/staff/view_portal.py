"""View Client Portal: the client's own pages, for staff, read-only and audited.

The pages are not drawn a second time: the portal's own views run, with the eyes of the person (`invites/eyes.py`) in
place of the login that is signed in, and the links in their answer are turned to lead here again. So staff see exactly
what the client sees, a plugged-in workflow included. Only the pages named below can be reached, by GET alone; no look
is noted, and whose portal was looked at by whom stands in the event log.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, current_app, g, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

from invites import access as accesses
from invites.eyes import PersonsEyes, WholePortal
from invites.scope import FirmView, PortalView
from models import Client, Event, PortalAccess, append_event, db, unit_of_work, utc_now
from models.errors import Missing, Refused, WrongState
from web.access_rules import staff_page
from web.portal.frame import Looking
from web.staff.common import firm_view

bp = Blueprint("staff_view_portal", __name__)

EVERYBODY = "whole"
ONE_LOOK = timedelta(minutes=30)  # pages opened within it are one look in the log
PAGES = frozenset(
    {
        "portal_home.home",
        "portal_home.todo",
        "portal_files.listing",
        "portal_files.download",
        "portal_items.show",
        "portal_esign.picture",
    }
)
READ_ONLY = "You are looking at the client's side. Nothing can be changed here."
# Addresses of the client's side in what we draw ourselves; the quotes in people's words are escaped.
_LINKS = re.compile(r'(\s(?:href|src|action|formaction)=")/portal(?=[/"?])(?!/fonts/)')


@bp.get("/clients/<client_id>/portal/<who>/")
@bp.get("/clients/<client_id>/portal/<who>/<path:rest>")
@staff_page
def look(client_id: str, who: str, rest: str = "") -> Response:
    """A page of the client's side as this person (an access), or the whole portal, shows it."""
    view = firm_view()
    client = view.client(client_id)
    eyes = _eyes(view, client, who)
    endpoint, values = _page(rest)
    _note(view, client, eyes)
    here = url_for("staff_view_portal.look", client_id=client_id, who=who).rstrip("/")
    g.portal_looking = Looking(
        eyes, _sentence(eyes, client), url_for("staff_record.record", client_id=client_id)
    )
    answer = current_app.make_response(
        current_app.ensure_sync(current_app.view_functions[endpoint])(**values)
    )
    if answer.mimetype == "text/html":
        answer.set_data(_LINKS.sub(rf"\g<1>{here}", answer.get_data(as_text=True)))
    return answer


@bp.route("/clients/<client_id>/portal/<who>/", methods=["POST"])
@bp.route("/clients/<client_id>/portal/<who>/<path:rest>", methods=["POST"])
@staff_page
def refuse(client_id: str, who: str, rest: str = "") -> Response:
    """Whatever a form of these pages wants: no."""
    view = firm_view()
    _eyes(view, view.client(client_id), who)
    raise Refused(READ_ONLY)


def _eyes(view: FirmView, client: Client, who: str) -> PersonsEyes | WholePortal:
    if who == EVERYBODY:
        return WholePortal.of(client)
    access = view.access(who)
    if access.client_id != client.id:
        raise Missing
    if not access.is_active(utc_now()):
        raise WrongState(
            f"This access is {accesses.word(access)}, so this person sees nothing at the moment."
        )
    return PersonsEyes.of(access)


def _page(rest: str) -> tuple[str, dict[str, Any]]:
    """The portal's own page behind the rest of the address. Raises Missing, or Refused for what changes something."""
    try:
        endpoint, values = current_app.url_map.bind("").match(f"/portal/{rest}", method="GET")
    except (NotFound, RequestRedirect) as error:
        raise Missing from error
    if endpoint not in PAGES:
        raise Refused(READ_ONLY)
    return str(endpoint), dict(values)


def _sentence(eyes: PortalView, client: Client) -> str:
    if isinstance(eyes, WholePortal):
        return (
            f"You see the whole Client Portal of {client.name}, without what is for chosen people only."
            " Nothing you do here changes anything."
        )
    name = eyes.login.name.split(" ")[0] or eyes.login.email_display
    return f"You see what {name} sees. Nothing you do here changes anything."


def _note(view: FirmView, client: Client, eyes: PersonsEyes | WholePortal) -> None:
    """Keep in the log who looked through whose eyes; pages opened one after another are one look."""
    if request.method != "GET":
        return
    access: PortalAccess | None = eyes.access if isinstance(eyes, PersonsEyes) else None
    access_id = access.id if access is not None else None
    name = "portal_viewed" if access_id else "whole_portal_viewed"
    actor = f"member:{view.member.id}"
    lately = sa.exists().where(
        Event.client_id == client.id,
        Event.name == name,
        Event.actor == actor,
        Event.access_id == access_id,
        Event.created_at > utc_now() - ONE_LOOK,
    )
    if db.session.scalar(sa.select(lately)):
        return
    client_id, firm_id = client.id, client.firm_id
    with unit_of_work():
        append_event(
            name,
            firm_id=firm_id,
            workflow="client-record",
            actor=actor,
            client_id=client_id,
            access_id=access_id,
        )
