"""Who is asking: the login, and the place at a firm they work in right now.

A login may be a team member of several firms. Which one is chosen lies in the session (`firm_id`); without a choice
it is the first they joined. In an API call it is the token's own member.
"""

from __future__ import annotations

import sqlalchemy as sa
from flask import g, session
from flask_login import current_user
from werkzeug.exceptions import Unauthorized

from models import Login, PortalUser, TeamMember, db
from models.errors import Missing

_FIRM = "firm_id"
_BY_ID = sa.select(TeamMember).where(
    TeamMember.id == sa.bindparam("id")
)  # built once: each call of the API asks it


def is_signed_in() -> bool:
    """Whether this request belongs to somebody signed in with a session."""
    return bool(current_user and current_user.is_authenticated)


def current_login() -> Login:
    """The login signed in. Raises Unauthorized where nobody is."""
    if not is_signed_in():
        raise Unauthorized("Please sign in first.")
    login: Login = current_user._get_current_object()
    return login


def memberships() -> list[TeamMember]:
    """The active places of the login at firms, in the order they were joined; empty for strangers."""
    if not is_signed_in():
        return []
    found: list[TeamMember] | None = g.get("portal_memberships")
    if found is None:
        found = list(
            db.session.scalars(
                sa.select(TeamMember)
                .where(TeamMember.login_id == current_login().id, TeamMember.active.is_(True))
                .order_by(TeamMember.created_at, TeamMember.id)
            )
        )
        g.portal_memberships = found
    return found


def has_portal() -> bool:
    """Whether the login is, or once was, a portal user anywhere."""
    found = db.session.scalar(sa.select(PortalUser.id).where(PortalUser.login_id == current_login().id))
    return found is not None


def current_member() -> TeamMember:
    """The member in whose place this request acts. Raises Missing where the login has no place at a firm."""
    by_token: str | None = g.get("portal_api_member_id")
    if by_token is not None:
        if "portal_api_member" not in g:
            g.portal_api_member = db.session.scalars(_BY_ID, {"id": by_token}).one()
        member: TeamMember = g.portal_api_member
        return member
    places = memberships()
    if not places:
        raise Missing()
    return next((place for place in places if place.firm_id == session.get(_FIRM)), places[0])


def choose_firm(firm_id: str) -> TeamMember:
    """Work in another of the login's firms from now on. Raises Missing for a firm that isn't theirs."""
    for place in memberships():
        if place.firm_id == firm_id:
            session[_FIRM] = firm_id
            return place
    raise Missing()


def forget() -> None:
    """Forget who was asking, after somebody signed in or out within this request."""
    g.pop("portal_memberships", None)


def home_url() -> str:
    """Where this person's work begins: staff at `/`, portal users at `/portal/`, strangers at `/login`."""
    if not is_signed_in():
        return "/login"
    return "/" if memberships() else "/portal/"
