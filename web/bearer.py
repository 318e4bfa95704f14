"""API calls: whose token is it? Only a token's SHA-256 is kept, and a call may do what its team member may do."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import sqlalchemy as sa
from flask import g, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from models import ApiToken, TeamMember, db, unit_of_work, utc_now
from web import limits

_USED_STEP = timedelta(minutes=5)


def authenticate() -> TeamMember:
    """The team member whose token this call carries. Raises Unauthorized, or TooManyRequests over the API's limit."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise _refusal("Send your API token as: Authorization: Bearer TOKEN.")
    row = db.session.scalars(
        sa.select(ApiToken).where(ApiToken.token_hash == hashlib.sha256(token.strip().encode()).hexdigest())
    ).one_or_none()
    if (
        row is None
        or row.revoked_at is not None
        or not row.team_member.active
        or not row.team_member.login.active
    ):
        limits.hit("wrong_token")
        raise _refusal("This API token is unknown or was withdrawn.")
    limits.hit("api", row.id)
    now = utc_now()
    if row.used_at is None or now - row.used_at > _USED_STEP:
        with unit_of_work():
            db.session.execute(sa.update(ApiToken).where(ApiToken.id == row.id).values(used_at=now))
    g.portal_api_member = row.team_member
    return row.team_member


def _refusal(sentence: str) -> Unauthorized:
    return Unauthorized(sentence, www_authenticate=WWWAuthenticate("bearer", {"realm": "Portal Invites API"}))
