"""Who may reach which route: one rule each, and none means nobody.

A view is marked by a decorator; routes of libraries are declared here. Before every request the rule of its endpoint
is looked up and enforced, and an endpoint without one answers 403: a forgotten mark shows at once and lets nobody in.
The marks change nothing about the function, so their order beside `@blueprint.get` doesn't matter.

What belongs to whom within a page is decided by `invites/scope.py`; here only whether this kind of person comes in.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, redirect, request, url_for
from werkzeug.wrappers import Response

from invites.team import PERMISSIONS
from models import Role
from models.errors import Missing, PermissionMissing
from web import bearer, csrf
from web.redirects import safe_next
from web.who import current_member, has_portal, is_signed_in, memberships

logger = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])
_RULE = "portal_access_rule"
_DECLARED = "portal_access_rules"


class Who(enum.StrEnum):
    """The kind of person a route is for."""

    EVERYBODY = "everybody"
    STAFF = "staff"  # a team member of some firm
    PORTAL = "portal"  # anybody signed in; what they see follows from their accesses
    TOKEN = "token"  # noqa: S105  # an API call with a Bearer token
    SIGNED = "signed"  # another machine, whose calls carry a signature: no session, so no form token either


@dataclass(frozen=True)
class AccessRule:
    """What a route asks of the person. `reason` says why everybody may reach it."""

    who: Who
    reason: str = ""
    permission: str | None = None
    admin: bool = False
    origin_checked: bool = False  # forms are guarded by link token and Origin instead of the form token
    verify: Callable[[], None] | None = (
        None  # of SIGNED: raises where the call's signature is missing or wrong
    )


STAFF = AccessRule(Who.STAFF)
ADMIN = AccessRule(Who.STAFF, admin=True)
PORTAL = AccessRule(Who.PORTAL)
BEARER = AccessRule(Who.TOKEN)


def PUBLIC(reason: str) -> AccessRule:
    """A rule that lets everybody in; `reason` says why that is right. Raises ValueError without one."""
    if not reason.strip():
        raise ValueError("a public route needs the reason why it is public")
    return AccessRule(Who.EVERYBODY, reason)


# Routes that libraries bring. An exact name wins over a pattern.
LIBRARIES = {
    "static": PUBLIC("the same files for everybody"),
    "*.static": PUBLIC("the same files for everybody"),
    "look.colour_css": PUBLIC("a stylesheet whose address says all there is in it"),
    "security.login": PUBLIC("nobody is signed in yet"),
    "security.logout": PUBLIC("ends what there is of a session"),
    "security.forgot_password": PUBLIC("who forgot the password can't sign in"),
    "security.reset_password": PUBLIC("the mailed link is the key"),
}


def staff_page(view: View) -> View:
    """For team members; others who are signed in get the 404 of a missing page."""
    return _mark(view, STAFF)


def admin_page(view: View) -> View:
    """For a firm's admins."""
    return _mark(view, ADMIN)


def permission(name: str) -> Callable[[View], View]:
    """For team members with the named permission (admins have all)."""
    return lambda view: _mark(view, replace(STAFF, permission=name))


def portal_page(view: View) -> View:
    """For anybody signed in, on the client's side."""
    return _mark(view, PORTAL)


def public_page(reason: str, *, origin_checked: bool = False) -> Callable[[View], View]:
    """For everybody, because of `reason`. `origin_checked`: a page that hangs on a mailed link (no form token)."""
    return lambda view: _mark(view, replace(PUBLIC(reason), origin_checked=origin_checked))


def api_call(view: View) -> View:
    """For calls with a Bearer token."""
    return _mark(view, BEARER)


def signed_call(verify: Callable[[], None], reason: str) -> Callable[[View], View]:
    """For machines whose calls are signed; `verify` reads the current request and raises what the caller is told.

    It runs before the view, so a view that is marked can't forget it. Such calls know no session and no cookie, so
    nobody's browser can be made to act in them. Raises ValueError without the reason why they are let in.
    """
    if not reason.strip():
        raise ValueError("a signed route needs the reason why machines may call it")
    return lambda view: _mark(view, AccessRule(Who.SIGNED, reason, verify=verify))


def declare(app: Flask, endpoint: str, rule: AccessRule) -> None:
    """Give an endpoint (or a pattern such as `api-docs.*`) its rule, where its view can't be marked.

    Raises ValueError where another rule was declared for the same name.
    """
    declared: dict[str, AccessRule] = app.extensions.setdefault(_DECLARED, dict(LIBRARIES))
    if declared.setdefault(endpoint, rule) != rule:
        raise ValueError(f"{endpoint} has another access rule already")


def rule_of(app: Flask, endpoint: str) -> AccessRule | None:
    """The access rule of an endpoint, or None: then nobody gets in. Raises ValueError where two rules meet."""
    view = app.view_functions.get(endpoint)
    marked: AccessRule | None = getattr(view, _RULE, None) or getattr(
        getattr(view, "view_class", None), _RULE, None
    )
    declared: dict[str, AccessRule] = app.extensions.get(_DECLARED, LIBRARIES)
    exact = declared.get(endpoint)
    if exact is None and marked is None:
        return next((rule for pattern, rule in declared.items() if fnmatchcase(endpoint, pattern)), None)
    if exact is not None and marked is not None and exact != marked:
        raise ValueError(f"{endpoint} has two access rules")
    return marked or exact


def init_app(app: Flask) -> None:
    """Enforce the rules before every request."""
    app.extensions.setdefault(_DECLARED, dict(LIBRARIES))
    app.before_request(_enforce)


def _mark(view: View, rule: AccessRule) -> View:
    before: AccessRule | None = getattr(view, _RULE, None)
    if before is not None and before != rule:
        if (
            before.who is not Who.STAFF
            or rule.who is not Who.STAFF
            or (before.permission and rule.permission)
        ):
            raise TypeError(f"{view!r} has an access rule already: {before.who}")
        rule = replace(
            rule, permission=rule.permission or before.permission, admin=rule.admin or before.admin
        )
    setattr(view, _RULE, rule)
    return view


def _enforce() -> Response | None:
    if request.endpoint is None:
        return None  # no such address, or not by this method: Flask says so
    rule = rule_of(current_app, request.endpoint)
    if rule is None:
        logger.error("endpoint %s has no access rule, so it is closed", request.endpoint)
        abort(403)
    if rule.who is Who.TOKEN:
        bearer.authenticate()
        return None
    if rule.who is Who.SIGNED:
        if rule.verify is None:
            abort(403)
        rule.verify()
        return None
    if rule.who is not Who.EVERYBODY:
        if not is_signed_in():
            return _to_sign_in()
        if rule.who is Who.STAFF and not memberships():
            if request.path == "/":
                return redirect("/portal/")  # who types the bare address means their own home
            raise Missing()
        if rule.who is Who.PORTAL and request.path == "/portal/" and memberships() and not has_portal():
            return redirect("/")  # staff who are nobody's client have an empty portal
        _check_place(rule)
    csrf.check(token=not rule.origin_checked)
    return None


def _check_place(rule: AccessRule) -> None:
    if rule.admin and current_member().role is not Role.ADMIN:
        raise PermissionMissing("Only an admin of your firm can open this. Please ask one.")
    if rule.permission is not None and not current_member().may(rule.permission):
        raise PermissionMissing(
            f"This needs the permission “{PERMISSIONS.get(rule.permission, rule.permission)}”."
            " An admin of your firm can give it to you."
        )


def _to_sign_in() -> Response:
    """To the sign-in page, and from there back to where the person wanted to go."""
    wanted: str | None = None
    if request.method in {"GET", "HEAD"}:
        wanted = safe_next(request.full_path.removesuffix("?"))
    elif request.referrer:
        referrer = urlsplit(request.referrer)
        wanted = safe_next(referrer.path) if referrer.netloc == request.host else None
    return redirect(url_for("security.login", next=wanted if wanted != "/" else None))
