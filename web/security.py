"""Signing in and out, and a forgotten password: Flask-Security over our logins.

What it writes is written at our edge (`security_edge.py`). Two more things are turned here. It can remember people by
a signed cookie that outlives logout: left out. And its answers must not tell who has a login: the sentences are the
same, and so is the time they take (the same hash at sign-in; a fixed least time for a forgotten password).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask, g, redirect, request, session
from flask_login import user_logged_out
from flask_security import LoginForm, Security, user_authenticated
from flask_security.babel import FsDomain
from flask_security.signals import password_reset
from flask_security.utils import login_user, logout_user
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.wrappers import Response

import config
from models import Login, PortalAccess, PortalUser, after_commit, append_event, db, utc_now
from models.errors import Refused
from web import limits, sessions, who
from web.language import here, speak_as_browser
from web.passwords import SHORTEST, Passwords
from web.redirects import safe_next
from web.security_edge import RESET_WITHIN, EdgeDatastore, Mails, NoRole, at_commit, datastore, looked_up

FORGOT_SECONDS = 0.5  # what asking for a reset takes at least, whether there is a login or not

_KEPT = frozenset(
    {"_user_id", "_fresh", "_id", "fs_paa", "fs_cc", "_flashes"}
)  # what signing in itself writes
_LOGIN, _FORGOT, _RESET = "security.login", "security.forgot_password", "security.reset_password"

CHEAP_HASHES = {"argon2__time_cost": 1, "argon2__memory_cost": 8, "argon2__parallelism": 1}  # tests only
ARGON2 = {
    "argon2__time_cost": 2,
    "argon2__memory_cost": 19456,
    "argon2__parallelism": 1,
}  # KiB; OWASP's least

MESSAGES = {
    "GENERIC_AUTHN_FAILED": ("The address or the password is not right.", "error"),
    "PASSWORD_RESET_REQUEST": (
        "If %(email)s has a login here, a mail with a link for a new password is on its way.",
        "info",
    ),
    "PASSWORD_RESET_EXPIRED": (
        "This link is too old. Ask for a new one here.",
        "error",
    ),
    "INVALID_RESET_PASSWORD_TOKEN": (
        "This link can't be used, or not any more. Ask for a new one here.",
        "error",
    ),
    "PASSWORD_RESET_NO_LOGIN": ("Your new password is set. Please sign in with it.", "success"),
    "PASSWORD_IS_THE_SAME": ("Choose another password than the one you had.", "error"),
    "RETYPE_PASSWORD_MISMATCH": ("The two passwords differ.", "error"),
    "PASSWORD_NOT_PROVIDED": ("Enter your password.", "error"),
    "EMAIL_NOT_PROVIDED": ("Enter your e-mail address.", "error"),
    "FORGOT_PASSWORD": ("Forgot your password?", "info"),
    "UNAUTHENTICATED": ("Please sign in first.", "info"),
}


class Spoken(FsDomain):
    """What Flask-Security says, in the language of the page."""

    def gettext(self, string: str, **variables: Any) -> str:
        """Its sentence, or ours."""
        return here(string, **variables)


class SignInForm(LoginForm):
    """Address and password. Without "remember me": its cookie would work after logout."""

    remember = None


def init_app(app: Flask) -> None:
    """Set Flask-Security up: /login, /logout (POST), /reset and /reset/<token>."""
    settings: config.Settings = app.config["PORTAL"]
    app.config.update(
        SECURITY_USER_IDENTITY_ATTRIBUTES=[{"email": {"mapper": looked_up, "case_insensitive": False}}],
        SECURITY_JOIN_USER_ROLES=False,
        SECURITY_PASSWORD_HASH="argon2",  # noqa: S106
        SECURITY_PASSWORD_SINGLE_HASH=True,
        SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS=CHEAP_HASHES if settings.testing else ARGON2,
        SECURITY_PASSWORD_LENGTH_MIN=SHORTEST,
        SECURITY_RETURN_GENERIC_RESPONSES=True,
        SECURITY_HASHING_SCHEMES=["hex_sha256"],
        SECURITY_RECOVERABLE=True,
        SECURITY_TRACKABLE=True,
        SECURITY_RESET_PASSWORD_WITHIN=RESET_WITHIN,
        SECURITY_FRESHNESS=timedelta(minutes=-1),
        SECURITY_DATETIME_FACTORY=utc_now,
        SECURITY_LOGOUT_METHODS=["POST"],
        SECURITY_POST_LOGIN_VIEW="/",
        SECURITY_POST_LOGOUT_VIEW="/login",
        SECURITY_STATIC_FOLDER=None,
        SECURITY_EMAIL_PLAINTEXT=False,
        SECURITY_EMAIL_HTML=False,
        SECURITY_CLI_USERS_NAME=False,
        SECURITY_CLI_ROLES_NAME=False,
    )
    for name, message in MESSAGES.items():
        app.config[f"SECURITY_MSG_{name}"] = message
    security = Security(
        app,
        EdgeDatastore(db, Login, NoRole),
        mail_util_cls=Mails,
        password_util_cls=Passwords,
        login_form=SignInForm,
    )
    security.i18n_domain = Spoken(app)
    security.want_json(lambda request: False)
    # Sessions alone sign people in; Flask-Security's own tokens are never issued, so none is read either.
    security.login_manager.request_loader(lambda request: None)
    security.login_manager.session_protection = None  # a phone changes its network address all day
    app.view_functions[_LOGIN] = _signing_in(app.view_functions[_LOGIN])
    app.before_request_funcs.setdefault("security", []).append(_before)
    app.after_request_funcs.setdefault("security", []).append(_after)
    user_authenticated.connect(_on_sign_in, app)
    user_logged_out.connect(_on_sign_out, app)
    password_reset.connect(_on_new_password, app)


def sign_in(login: Login) -> None:
    """Sign `login` in within this request (after accepting an invite). Call it after the unit of work, never in one.

    The session gets a new id. Raises Refused for a login that was switched off.
    """
    if not login.active:
        raise Refused("This login was switched off. Please call the firm that invited you.")
    with db.session.no_autoflush:
        login_user(login, authn_via=["invite"])
        datastore().commit()


def replace_password(login: Login, hashed: str) -> None:
    """Give `login`, who is signed in, a new password (see `hash_password`) within the open unit of work.

    Every other session ends, and so does every reset link mailed before; this browser stays signed in, by a new id.
    """
    login.password = hashed
    user = login.fs_uniquifier = secrets.token_hex(32)
    sessions.end_sessions(login.id)
    after_commit(lambda: session.update(_user_id=user))


def sign_out() -> None:
    """End this browser's session; a copy of its cookie is dead from then on."""
    if who.is_signed_in():
        logout_user()


def _signing_in(view: Callable[..., Any]) -> Callable[..., Any]:
    """Flask-Security's sign-in page with our limits, and our own word on where it leads."""

    def login() -> Any:
        wanted = safe_next(request.form.get("next") or request.args.get("next"))
        if who.is_signed_in():
            return redirect(wanted or who.home_url())
        address = looked_up(request.form.get("email", "")) or request.form.get("email", "")[:320].lower()
        source = request.remote_addr or ""
        if request.method == "POST":
            limits.hit("login_source")
            limits.hit("login", address, source)
        answer = view()
        if not who.is_signed_in():
            return answer
        limits.give_back("login_source")
        limits.give_back("login", address, source)
        return redirect(wanted or who.home_url())

    return login


def _before() -> None:
    # Flask-Security changes rows and reads on: without this the change would be sent early, in a transaction that
    # can't become a writer on SQLite once somebody else wrote.
    db.session.autoflush = False
    speak_as_browser()
    request.args = _without_foreign_next(request.args)
    if request.method != "POST":
        return
    request.form = _without_foreign_next(request.form)
    if request.endpoint == _FORGOT:
        g.portal_asked_at = time.monotonic()
        limits.hit("forgot_source")
        limits.hit("forgot", looked_up(request.form.get("email", "")) or "nobody")
    elif request.endpoint == _RESET:
        limits.hit("reset")


def _without_foreign_next(values: Any) -> Any:
    """The same values without a `next` that leaves our origin, before Flask-Security looks at it."""
    if "next" not in values or safe_next(values.get("next")) is not None:
        return values
    return ImmutableMultiDict([(key, value) for key, value in values.items(multi=True) if key != "next"])


def _after(response: Response) -> Response:
    asked_at: float | None = g.pop("portal_asked_at", None)
    if asked_at is not None:
        time.sleep(max(0.0, FORGOT_SECONDS - (time.monotonic() - asked_at)))
    return response


def _on_sign_in(app: Flask, user: Login, **extra: Any) -> None:
    # What the stranger's session held (a form token somebody may have planted) doesn't become the login's.
    for key in [key for key in session if key not in _KEPT]:
        session.pop(key)
    g.pop("csrf_token", None)
    who.forget()
    sessions.rotate()
    login_id, now = user.id, utc_now()
    at_commit(lambda: _note_last_login(login_id, now))


def _note_last_login(login_id: str, now: datetime) -> None:
    """Each firm sees when somebody was last in on its own side, and nothing of other firms."""
    places = sa.select(PortalUser.id).where(PortalUser.login_id == login_id)
    entered = db.session.execute(
        sa.update(PortalAccess)
        .where(PortalAccess.portal_user_id.in_(places), PortalAccess.is_active(now))
        .values(last_login_at=now)
        .returning(PortalAccess.id, PortalAccess.firm_id, PortalAccess.client_id)
        .execution_options(synchronize_session=False)
    ).all()
    for access_id, firm_id, client_id in entered:
        append_event(
            "signed_in",
            firm_id=firm_id,
            workflow="client-record",
            actor=f"login:{login_id}",
            client_id=client_id,
            access_id=access_id,
        )


def _on_sign_out(app: Flask, **extra: Any) -> None:
    for key in [key for key in session if key != "_flashes"]:
        session.pop(key)
    g.pop("csrf_token", None)
    who.forget()


def _on_new_password(app: Flask, user: Login, **extra: Any) -> None:
    login_id = user.id
    at_commit(lambda: sessions.end_sessions(login_id))
