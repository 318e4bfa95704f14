"""Settings: the firm's facts, its licences, its logo. Its team: `team.py`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

import config
from invites import reminders, schedule
from invites.team import team_of
from languages import LANGUAGES
from models import Firm, Licence, append_event, db, unit_of_work
from models.errors import Invalid
from schemas.firm import ZONES, FirmSchema
from web import logo
from web.access_rules import permission, staff_page
from web.look import colour_problem
from web.staff.common import checked, firm_view, page
from workflows.registry import installed

bp = Blueprint("staff_settings", __name__)

Answer = str | Response | tuple[str, int]


@bp.get("/settings")
@staff_page
def settings() -> str:
    """Firm, licences and team."""
    return _overview({})


@bp.route("/settings/firm", methods=["GET", "POST"])
@permission("settings")
@staff_page
def firm() -> Answer:
    """Change the firm's facts."""
    view = firm_view()
    if request.method == "GET":
        return _firm_page(_as_typed(view.member.firm), {})
    typed, data, errors = checked(FirmSchema(), request.form)
    problem = colour_problem(str(typed.get("colour", "")))
    if problem:
        errors = {**errors, "colour": [problem]}
    taken = sa.select(Firm.id).where(Firm.name == data.get("name"), Firm.id != view.firm_id)
    if not errors and db.session.scalar(taken) is not None:
        errors = {"name": ["Another firm here has this name already."]}
    if errors:
        return _firm_page(typed, errors), 422
    data["colour"] = data["colour"].lower()
    with unit_of_work():
        row = db.session.get_one(Firm, view.firm_id)
        days = schedule.days_of(row)
        changed = [name for name, value in data.items() if getattr(row, name) != value]
        for name in changed:
            setattr(row, name, data[name])
        if schedule.days_of(row) != days:
            reminders.schedule_changed(row)
        if changed:
            append_event(
                "firm_changed",
                firm_id=row.id,
                workflow="client-record",
                actor=f"member:{view.member.id}",
                fields=changed,
            )
    flash("The firm's settings are saved.", "success")
    return redirect(url_for("staff_settings.settings"), 303)


@bp.post("/settings/logo")
@permission("settings")
@staff_page
def change_logo() -> Answer:
    """Take a new logo, or none."""
    view = firm_view()
    png = None
    if request.form.get("do") != "remove":
        part = request.files.get("logo")
        try:
            if part is None or not part.filename:
                raise Invalid({"logo": ["Choose a PNG or JPEG file."]})
            png = logo.made_anew(part.stream)
        except Invalid as error:
            return _overview(error.fields), error.status
    with unit_of_work():
        row = db.session.get_one(Firm, view.firm_id)
        logo.keep(row, png)
        append_event(
            "firm_changed",
            firm_id=row.id,
            workflow="client-record",
            actor=f"member:{view.member.id}",
            fields=["logo"],
        )
    flash("The logo is saved." if png else "The logo is removed.", "success")
    return redirect(url_for("staff_settings.settings"), 303)


def _overview(errors: dict[str, list[str]]) -> str:
    view = firm_view()
    held = view.licences()
    gated = {workflow.licence: workflow.plural for workflow in installed() if workflow.licence}
    known = dict.fromkeys([*(licence.value for licence in Licence), *gated])
    values = config.current()
    row = view.member.firm
    return page(
        "staff/settings.html",
        nav="settings",
        licences=[(key, gated.get(key, key), key in held) for key in known],
        team=team_of(view.firm_id),
        invite_days=row.invite_days or values.invite_days,
        reminder_days=schedule.days_of(row),
        needs_code=values.accept_needs_code if row.accept_needs_code is None else row.accept_needs_code,
        language=LANGUAGES.get(row.language, row.language),
        builtin_mailbox=values.builtin_mailbox,
        errors=errors,
    )


def _as_typed(row: Firm) -> dict[str, Any]:
    values = config.current()
    return {
        "name": row.name,
        "phone": row.phone,
        "reply_to": row.reply_to,
        "colour": row.colour,
        "time_zone": row.time_zone,
        "language": row.language,
        "invite_days": row.invite_days or values.invite_days,
        "reminder_days": ", ".join(str(day) for day in schedule.days_of(row)),
        "shows_titles": row.shows_titles,
        "accept_needs_code": values.accept_needs_code
        if row.accept_needs_code is None
        else row.accept_needs_code,
    }


def _firm_page(typed: dict[str, Any], errors: dict[str, list[str]]) -> str:
    return page(
        "staff/firm_form.html",
        nav="settings",
        typed=typed,
        errors=errors,
        languages=LANGUAGES,
        zones=sorted(ZONES),
    )
