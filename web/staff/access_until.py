"""Access until a date: set it, change it, remove it; of a person who has joined, or of an open invite."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from invites import access_until
from models import AccessState, Client, Invite, InviteState, PortalAccess, unit_of_work
from models.errors import Invalid, InviteNotPending, WrongState
from schemas.invites import AccessUntilSchema
from web.access_rules import staff_page
from web.forms import field_errors
from web.look import when_text
from web.staff.common import checked, firm_view, page
from web.staff.way_back import came_from

bp = Blueprint("staff_access_until", __name__)

Answer = str | Response | tuple[str, int]
REMOVE = "remove"  # the button `Remove the date`


@bp.route("/access/<access_id>/until", methods=["GET", "POST"])
@staff_page
def of_access(access_id: str) -> Answer:
    """Until when a person gets in."""
    view = firm_view()
    access = view.access(access_id)
    if access.state is AccessState.REMOVED:
        raise WrongState("This access was removed. Restore it first.")

    def change(day: date | None) -> str:
        row = access_until.of_access(view.access(access_id), day, view.member)
        return row.portal_user.login.name or row.portal_user.login.email_display

    login = access.portal_user.login
    return _form(access, access.ends_at is not None, access.client, login.name or login.email_display, change)


@bp.route("/invites/<invite_id>/access-until", methods=["GET", "POST"])
@staff_page
def of_invite(invite_id: str) -> Answer:
    """Until when the access lasts that an open invite brings."""
    view = firm_view()
    invite = view.invite(invite_id)
    if invite.state is not InviteState.PENDING:
        raise InviteNotPending(f"This invite was {invite.state.value} already, so its date can't be changed.")

    def change(day: date | None) -> str:
        row = access_until.of_invite(view.invite(invite_id), day, view.member)
        return row.name or row.email_display

    dated = invite.access_ends_at is not None
    return _form(invite, dated, invite.client, invite.name or invite.email_display, change)


def _form(
    row: PortalAccess | Invite, dated: bool, client: Client, who: str, change: Callable[[date | None], str]
) -> Answer:
    client_id = client.id
    context: dict[str, Any] = {
        "client": client,
        "who": who,
        "dated": dated,
        "joined": isinstance(row, PortalAccess),
    }
    if request.method == "GET":
        ends = row.ends_at if isinstance(row, PortalAccess) else row.access_ends_at
        day = access_until.day_of(ends, firm_view().member.firm.time_zone)
        return page("staff/access_until.html", typed={access_until.FIELD: day}, errors={}, **context)
    removing = request.form.get("do") == REMOVE
    none: tuple[dict[str, Any], dict[str, Any], dict[str, list[str]]] = ({}, {}, {})
    typed, data, errors = none if removing else checked(AccessUntilSchema(), request.form)
    if not errors:
        try:
            with unit_of_work():
                name = change(data.get(access_until.FIELD))
            until = data.get(access_until.FIELD)
            text = f"until {when_text(until)}" if until else "without an end date"
            flash(f"{name} has access {text}{'' if context['joined'] else ', after accepting'}.", "success")
            return redirect(came_from(url_for("staff_record.record", client_id=client_id)), 303)
        except Invalid as error:
            errors = field_errors(error.fields)
    return page("staff/access_until.html", typed=typed, errors=errors, **context), 422
