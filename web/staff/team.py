"""The team: add somebody by address, say what they see and may do, take them out again; who looks after a client."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from flask_security.recoverable import generate_reset_password_token
from werkzeug.wrappers import Response

import config
from invites import team
from mail import outbox
from mail.links import page_link
from models import Role, Sees, TeamMember, unit_of_work
from models.errors import Invalid, Refused
from schemas.firm import MemberSchema, NewMemberSchema
from web.access_rules import permission, staff_page
from web.forms import field_errors
from web.security_edge import RESET_WITHIN
from web.sessions import end_sessions
from web.staff import once
from web.staff.common import checked, firm_view, page

bp = Blueprint("staff_team", __name__)

Answer = str | Response | tuple[str, int]


@bp.route("/settings/team/new", methods=["GET", "POST"])
@permission("team")
@staff_page
def add() -> Answer:
    """Add a team member by address; who has no login yet gets a mail to choose a password."""
    view = firm_view()
    if request.method == "GET":
        return _page(None, {"role": "staff", "sees": "all"}, {})
    typed, data, errors = checked(NewMemberSchema(), request.form)
    if not errors:
        try:
            with unit_of_work():
                claim = once.claim(view.member)
                member, needs_password = team.add(view.member, data["email"], data["name"], _place(data))
                _mail(member, view.member, needs_password)
                text = f"{member.name} is in the team and gets a mail about it."
                url = claim.leads_to(url_for("staff_settings.settings", _anchor="team"), text)
            flash(text, "success")
            return redirect(url, 303)
        except Invalid as error:
            errors = field_errors(error.fields)
        except Refused as error:
            errors = {"form": [error.sentence]}
    return _page(None, typed, errors), 422


@bp.route("/settings/team/<member_id>", methods=["GET", "POST"])
@permission("team")
@staff_page
def member(member_id: str) -> Answer:
    """Change what a team member sees and may do."""
    view = firm_view()
    row = team.one(view.member, member_id)
    if request.method == "GET":
        typed = {"role": row.role.value, "sees": row.sees.value, "permissions": row.permissions}
        return _page(row, typed, {})
    typed, data, errors = checked(MemberSchema(), request.form)
    if not errors:
        try:
            with unit_of_work():
                row = team.one(view.member, member_id)
                team.change(view.member, row, _place(data))
                name = row.name
            flash(f"What {name} sees and may do is changed.", "success")
            return redirect(url_for("staff_settings.settings", _anchor="team"), 303)
        except Refused as error:
            errors = {"form": [error.sentence]}
    return _page(team.one(view.member, member_id), typed, errors), 422


@bp.get("/settings/team/<member_id>/deactivate")
@permission("team")
@staff_page
def ask_deactivate(member_id: str) -> str:
    """Ask before somebody is taken out of the team."""
    row = team.one(firm_view().member, member_id)
    return page(
        "staff/confirm.html",
        nav="settings",
        title=f"Deactivate {row.name}?",
        text=f"{row.name} is signed out everywhere and can't work for {row.firm.name} any more. Invites and work"
        " they sent stay as they are. You can activate them again.",
        points=[],
        action=url_for("staff_team.switch", member_id=member_id, what="deactivate"),
        button="Deactivate",
        cancel_url=url_for("staff_team.member", member_id=member_id),
    )


@bp.post("/settings/team/<member_id>/<any(activate, deactivate):what>")
@permission("team")
@staff_page
def switch(member_id: str, what: str) -> Response:
    """Take a member out of the team, with their sessions, or bring them back."""
    view = firm_view()
    with unit_of_work():
        row = team.one(view.member, member_id)
        if what == "deactivate":
            team.deactivate(view.member, row)
            end_sessions(row.login_id)
        else:
            team.activate(view.member, row)
        name = row.name
    flash(f"{name} is {what}d.", "success")
    return redirect(url_for("staff_settings.settings", _anchor="team"), 303)


@bp.route("/clients/<client_id>/team", methods=["GET", "POST"])
@staff_page
def assignment(client_id: str) -> Answer:
    """Who of those that see assigned clients only looks after this client."""
    view = firm_view()
    client = view.client(client_id)  # first: a client one doesn't see is as a missing one
    view.need_permission("team")
    if request.method == "POST":
        with unit_of_work():
            row = view.client(client_id)
            team.assign(view.member, row, request.form.getlist("members"))
        flash(f"The team of {client.name} is changed.", "success")
        return redirect(url_for("staff_record.record", client_id=client_id), 303)
    people = [one for one in team.team_of(view.firm_id) if one.active]
    return page(
        "staff/client_team.html",
        client=client,
        choices=[(one.id, one.name) for one in people if one.sees is Sees.ASSIGNED],
        all_clients=[one.name for one in people if one.sees is Sees.ALL],
        chosen=sorted(team.assigned_to(client)),
    )


def _place(data: dict[str, Any]) -> team.Place:
    return team.Place(data["role"], data["sees"], tuple(data["permissions"]))


def _mail(member: TeamMember, actor: TeamMember, needs_password: bool) -> None:
    """Tell somebody that they are in the team; the way to a password where they have none yet."""
    settings, login, firm = config.current(), member.login, member.firm
    hours = int(RESET_WITHIN.total_seconds() // 3600)
    paragraphs = [f"{actor.name} added you to the team of {firm.name}."]
    if needs_password:
        paragraphs.append(
            f"Choose a password and sign in. The button works for {hours} hours and once; later, press"
            " \u201cForgot your password?\u201d on the sign-in page."
        )
        button = ("Choose a password", page_link(settings, f"/reset/{generate_reset_password_token(login)}"))
    else:
        paragraphs.append("Sign in with the password you have.")
        button = ("Sign in", page_link(settings, "/login"))
    outbox.enqueue_security(
        to_email=login.email,
        to_name=login.name,
        subject=f"You are in the team of {firm.name}",
        paragraphs=paragraphs,
        button=button,
        firm_id=firm.id,
    )


def _page(row: TeamMember | None, typed: dict[str, Any], errors: dict[str, list[str]]) -> str:
    return page(
        "staff/member_form.html",
        nav="settings",
        one=row,
        typed=typed,
        errors=errors,
        permissions=team.PERMISSIONS,
        roles={Role.STAFF.value: "Staff", Role.ADMIN.value: "Administrator: may do everything"},
        sees={Sees.ALL.value: "All clients", Sees.ASSIGNED.value: "Assigned clients only"},
    )
