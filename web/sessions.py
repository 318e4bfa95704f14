"""Sessions: an anonymous one is Flask's signed cookie, a signed-in one a row.

Flask's own session is the cookie itself, so a copy made before logout works after it. Here the cookie of somebody
signed in holds a random id and `login_session` its SHA-256 with the data: logout deletes the row, and with it every
copy of the cookie. The id changes whenever somebody signs in (and when `rotate()` asks), so an id planted beforehand
is worth nothing. Anonymous visitors get no row: their cookie holds the form token and notices, and nobody's rights.

Rows are read when a request begins and written when it ends, in a unit of work of their own. The time last seen
moves in steps of five minutes, so that reading pages hardly writes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask, has_request_context, session
from flask.sessions import (
    SecureCookieSession,
    SecureCookieSessionInterface,
    SessionMixin,
    session_json_serializer,
)
from flask.wrappers import Request, Response
from werkzeug.exceptions import ServiceUnavailable

import config
from models import Login, LoginSession, db, unit_of_work, utc_now

IDLE = timedelta(hours=12)
ABSOLUTE = timedelta(days=7)
SEEN_STEP = timedelta(minutes=5)

# Never a session here: files for everybody, health, the API (which knows tokens only, so that no browser's cookie
# can act in it), and what other machines call with a signature.
WITHOUT_SESSION = ("/static/", "/look/", "/api/", "/hooks/", "/healthz", "/readyz", "/metrics")
_MARK = "s."  # begins a cookie that holds an id; no signed cookie begins so
_USER = "_user_id"  # Flask-Login's key: the session belongs to somebody

logger = logging.getLogger(__name__)


class PortalSession(SecureCookieSession):
    """The session of one request, with what is known of its row."""

    off = False  # nothing is read or kept
    unreadable = False  # the database gave no answer
    id_hash: str | None = None  # the row it was read from
    user: str | None = None  # whose it was when read
    seen_at: datetime | None = None
    started_at: datetime | None = None
    turns: bool = False  # a new id was asked for


class PortalSessionInterface(SecureCookieSessionInterface):
    """Signed cookie for strangers, a row for those signed in."""

    session_class = PortalSession

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Read the session of a request. An unknown, ended or expired id is an empty session."""
        if request.path.startswith(WITHOUT_SESSION):
            empty = PortalSession()
            empty.off = True
            return empty
        cookie = request.cookies.get(self.get_cookie_name(app), "")
        if cookie.startswith(_MARK):
            try:
                return _read(cookie)
            except sa.exc.SQLAlchemyError:
                # Flask can't answer at all without a session, so the page is refused a step later, in words.
                logger.exception("a session could not be read")
                unread = PortalSession()
                unread.off = unread.unreadable = True
                return unread
        signed = super().open_session(app, request)
        if signed is not None and _USER in signed:
            return PortalSession()  # a signed cookie never says who somebody is
        return signed

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Keep the session of a request: row, signed cookie or nothing."""
        if not isinstance(session, PortalSession) or session.off:
            return
        if _USER in session:
            response.vary.add("Cookie")
            new_cookie = _write(session)
            if new_cookie is not None:
                response.set_cookie(
                    self.get_cookie_name(app),
                    new_cookie,
                    domain=self.get_cookie_domain(app),
                    path=self.get_cookie_path(app),
                    secure=self.get_cookie_secure(app),
                    httponly=self.get_cookie_httponly(app),
                    samesite=self.get_cookie_samesite(app),
                )
            return
        if session.id_hash is not None:
            _delete(session.id_hash)
            session.modified = True  # the dead id leaves the browser as well
        super().save_session(app, session, response)


def init_app(app: Flask) -> None:
    """Give the application its sessions and cookie flags, and SECRET_KEY where it has none yet."""
    settings: config.Settings = app.config["PORTAL"]
    if not app.config["SECRET_KEY"]:
        app.config["SECRET_KEY"] = settings.derived_key("cookies").hex()
    app.config.update(
        SESSION_COOKIE_NAME="__Host-portal" if settings.https else "portal_session",
        SESSION_COOKIE_SECURE=settings.https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        SESSION_COOKIE_DOMAIN=None,
    )
    app.session_interface = PortalSessionInterface()
    app.before_request(_refuse_unreadable)


def rotate() -> None:
    """Give the session of this request a new id when the request ends; the old one is dead then."""
    if isinstance(_current(), PortalSession):
        _current().turns = True


def end_sessions(login_id: str, except_current: bool = False) -> None:
    """End a login's sessions everywhere, within the open unit of work; `except_current` spares this browser's."""
    ended = sa.delete(LoginSession).where(LoginSession.login_id == login_id)
    if except_current and has_request_context() and _current().id_hash is not None:
        ended = ended.where(LoginSession.id_hash != _current().id_hash)
    db.session.execute(ended)


def _refuse_unreadable() -> None:
    if _current().unreadable:
        raise ServiceUnavailable(retry_after=30)


def _current() -> PortalSession:
    found: PortalSession = session._get_current_object()  # type: ignore[attr-defined]
    return found


def _hash(identifier: str) -> str:
    return hashlib.sha256(identifier.encode()).hexdigest()


def _read(cookie: str) -> PortalSession:
    row = db.session.execute(
        sa.select(
            LoginSession.id_hash, LoginSession.data, LoginSession.created_at, LoginSession.seen_at
        ).where(LoginSession.id_hash == _hash(cookie), LoginSession.expires_at > utc_now())
    ).one_or_none()
    if row is None:
        return PortalSession()
    found = PortalSession(session_json_serializer.loads(json.dumps(row.data)))
    found.id_hash, found.started_at, found.seen_at = row.id_hash, row.created_at, row.seen_at
    found.user = found.get(_USER)
    found.accessed = found.modified = False
    return found


def _write(session: PortalSession) -> str | None:
    """Keep a signed-in session. Returns the cookie's new value where the id changed."""
    now = utc_now()
    is_new = session.id_hash is None or session.turns or session.user != session[_USER]
    if (
        not is_new
        and not session.modified
        and session.seen_at is not None
        and now - session.seen_at < SEEN_STEP
    ):
        return None
    data: dict[str, Any] = json.loads(session_json_serializer.dumps(dict(session)))
    # Whatever the view left uncommitted was never meant to be kept, least of all by this unit of work.
    db.session.rollback()
    if is_new:
        return _insert(session, data, now)
    expires = min(now + IDLE, (session.started_at or now) + ABSOLUTE)
    change = (
        sa.update(LoginSession)
        .where(LoginSession.id_hash == session.id_hash)
        .values(data=data, seen_at=now, expires_at=expires)
    )
    try:
        with unit_of_work():
            db.session.execute(change)  # no row any more: the session was ended meanwhile, and stays ended
    except sa.exc.OperationalError:
        if session.modified:
            raise
        logger.warning("a session's time last seen was not kept", exc_info=True)
    return None


def _insert(session: PortalSession, data: dict[str, Any], now: datetime) -> str | None:
    cookie = _MARK + secrets.token_urlsafe(32)
    with unit_of_work():
        login_id = db.session.scalar(
            sa.select(Login.id).where(Login.fs_uniquifier == session[_USER], Login.active.is_(True))
        )
        db.session.execute(
            sa.delete(LoginSession).where(
                sa.or_(LoginSession.id_hash == session.id_hash, LoginSession.expires_at < now)
            )
        )
        if login_id is None:
            return None  # the login went away between signing in and here: nobody is signed in
        db.session.add(
            LoginSession(
                id_hash=_hash(cookie),
                login_id=login_id,
                data=data,
                created_at=now,
                seen_at=now,
                expires_at=now + IDLE,
            )
        )
    return cookie


def _delete(id_hash: str) -> None:
    db.session.rollback()
    with unit_of_work():
        db.session.execute(sa.delete(LoginSession).where(LoginSession.id_hash == id_hash))
