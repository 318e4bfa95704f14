"""User settings: name, time zone, password, and ending sessions in other browsers."""

from __future__ import annotations

import flask_security
from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

import config
from invites.spoken import language_of
from languages import say, worded
from mail import outbox
from mail.links import page_link
from models import Login, unit_of_work
from models.errors import Invalid
from web.access_rules import portal_page
from web.limits import give_back, hit
from web.passwords import hash_password, normalise, password_problems
from web.portal.forms import ZONES, ProfileForm, read
from web.portal.frame import frame
from web.security import replace_password
from web.sessions import end_sessions
from web.who import current_login

bp = Blueprint("portal_settings", __name__, url_prefix="/portal/settings")

_AREAS = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
CHOICES = [
    (zone, zone.replace("_", " ")) for zone in sorted(ZONES) if zone.startswith(_AREAS) or zone == "UTC"
]


@bp.get("")
@portal_page
def show() -> str:
    """The settings of this login."""
    return _page()


@bp.post("")
@portal_page
def save() -> Response | tuple[str, int]:
    """Keep name and time zone."""
    login = current_login()
    try:
        values = read(ProfileForm(), request.form)
    except Invalid as error:
        return _page(errors=error.fields, typed=request.form.to_dict()), 422
    with unit_of_work():
        login.name = values["name"]
        login.time_zone = values["time_zone"] or None
    flash(worded("Saved."), "success")
    return redirect(url_for("portal_settings.show"), 303)


@bp.post("/password")
@portal_page
def change_password() -> Response | tuple[str, int]:
    """Set a new password. Other browsers are signed out, and a notice goes to the address."""
    login = current_login()
    try:
        new = _new_password(login)
    except Invalid as error:
        return _page(errors=error.fields), 422
    hashed, language = hash_password(new), language_of(login)
    with unit_of_work():
        replace_password(login, hashed)
        outbox.enqueue_security(
            to_email=login.email,
            to_name=login.name,
            subject=say(language, "Your password was changed"),
            paragraphs=[
                say(
                    language,
                    "Your password was changed in User settings, and other browsers were signed out.",
                ),
                say(language, "If it wasn't you, choose a new one at once, and tell the firm you work with."),
            ],
            button=(say(language, "Choose a new password"), page_link(config.current(), "/reset")),
            language=language,
        )
    flash(worded("Your new password is set. Other browsers were signed out."), "success")
    return redirect(url_for("portal_settings.show"), 303)


@bp.post("/sessions")
@portal_page
def sign_out_elsewhere() -> Response:
    """End the sessions of this login in all other browsers."""
    with unit_of_work():
        end_sessions(current_login().id, except_current=True)
    flash(worded("You are signed in here only. All other browsers were signed out."), "success")
    return redirect(url_for("portal_settings.show"), 303)


def _new_password(login: Login) -> str:
    """The new password of the form. Raises Invalid; wrong tries at the current one are counted as at sign-in."""
    current, new = request.form.get("current_password", ""), request.form.get("new_password", "")
    hit("login", login.email, request.remote_addr or "")
    if not login.password or not flask_security.verify_password(normalise(current), login.password):
        raise Invalid({"current_password": [worded("This is not your current password.")]})
    give_back("login", login.email, request.remote_addr or "")
    problems = password_problems(new, login.name, login.email_display)
    if not problems and new == current:
        problems = [worded("Choose another password than the one you have.")]
    if problems:
        raise Invalid({"new_password": problems})
    return new


def _page(errors: dict[str, list[str]] | None = None, typed: dict[str, str] | None = None) -> str:
    shown = frame()
    login = shown.login
    return render_template(
        "portal/settings.html",
        address=login.email_display,
        values=typed or {"name": login.name, "time_zone": login.time_zone or ""},
        zones=CHOICES,
        errors=errors or {},
        **shown.context(),
    )
