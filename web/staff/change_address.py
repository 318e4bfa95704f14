"""Change address, of an open invite or of a person who has joined: asks for the new one and says what follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from invites import access as accesses
from invites import change_address as addresses
from invites.lifecycle import items_of
from invites.orders import InviteResult
from models import Client, Invite, InviteState, PortalAccess, unit_of_work, utc_now
from models.errors import Invalid, InviteNotPending, WrongState
from schemas.invites import ChangeAddressSchema
from web.access_rules import staff_page
from web.forms import field_errors
from web.staff import once
from web.staff.common import checked, firm_view, page
from web.staff.way_back import came_from

bp = Blueprint("staff_change_address", __name__)

Answer = str | Response | tuple[str, int]


@bp.route("/invites/<invite_id>/change-address", methods=["GET", "POST"])
@staff_page
def of_invite(invite_id: str) -> Answer:
    """Another address for an open invite."""
    view = firm_view()
    once.stop_if_done(view.member)
    invite = view.invite(invite_id)
    if invite.state is not InviteState.PENDING:
        raise InviteNotPending(
            f"This invite was {invite.state.value} already, so there is no address to change."
        )

    def shown() -> dict[str, Any]:
        row = view.invite(invite_id)
        points = [f"Goes along: {item.title}" for item in items_of(row)]
        return _context(row.client, row, points)

    def change(typed: str) -> tuple[InviteResult, str]:
        row = view.invite(invite_id)
        return addresses.of_invite(row, view.member, typed), row.client_id

    return _form(shown, change)


@bp.route("/access/<access_id>/change-address", methods=["GET", "POST"])
@staff_page
def of_access(access_id: str) -> Answer:
    """Another address for somebody who has joined: access ends, the new address is invited."""
    view = firm_view()
    once.stop_if_done(view.member)
    access = view.access(access_id)
    if not access.is_active(utc_now()):
        raise WrongState(f"This access is {accesses.word(access)}, so there is no address to change.")

    def shown() -> dict[str, Any]:
        row = view.access(access_id)
        return _context(row.client, row, [f"Goes along: {work}" for work in accesses.open_work(row)])

    def change(typed: str) -> tuple[InviteResult, str]:
        row = view.access(access_id)
        return addresses.of_access(row, view.member, typed), row.client_id

    return _form(shown, change)


def _context(client: Client, row: Invite | PortalAccess, points: list[str]) -> dict[str, Any]:
    if isinstance(row, Invite):
        who, email = row.name or row.email_display, row.email_display
        text = (
            f"The link in the mails to {email} stops working, and the new address gets an invite of its own with the"
            " same items. Signatures that still wait move along."
        )
    else:
        login = row.portal_user.login
        who, email = login.name or login.email_display, row.email
        text = (
            f"{who} has joined as {email}. That access to {client.name} ends now, and the new address is invited with"
            " the same items. The login itself and other clients are not touched."
        )
    return {
        "client": client,
        "who": who,
        "email": email,
        "text": text,
        "points": points,
        "back": came_from(url_for("staff_record.record", client_id=client.id)),
    }


def _form(shown: Callable[[], dict[str, Any]], change: Callable[[str], tuple[InviteResult, str]]) -> Answer:
    schema = ChangeAddressSchema()
    if request.method == "GET":
        return page("staff/change_address.html", typed={}, errors={}, **shown())
    typed, data, errors = checked(schema, request.form)
    if not errors:
        try:
            with unit_of_work():
                claim = once.claim(firm_view().member)
                result, client_id = change(data["email"])
                text = f"{result.who}: {result.email}. {result.reason}"
                url = claim.leads_to(came_from(url_for("staff_record.record", client_id=client_id)), text)
            flash(text, "success")
            return redirect(url, 303)
        except Invalid as error:
            errors = field_errors(error.fields)
    return page("staff/change_address.html", typed=typed, errors=errors, **shown()), 422
