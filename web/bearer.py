"""API calls: whose token is it? Only a token's SHA-256 is kept, and a call may do what its team member may do."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from flask import g, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from models import ApiToken, Login, TeamMember, db, unit_of_work, utc_now
from models.api_token import hash_of_token
from web import limits

_USED_STEP = timedelta(minutes=5)


def authenticate() -> None:
    """Find out whose token this call carries (see `who.current_member`).

    Raises Unauthorized, or TooManyRequests over the API's limit.
    """
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise _refusal("Send your API token as: Authorization: Bearer TOKEN.")
    row = db.session.connection().execute(_VALID, {"token_hash": hash_of_token(token.strip())}).one_or_none()
    if row is None:
        limits.hit("wrong_token")
        raise _refusal("This API token is unknown or was withdrawn.")
    limits.hit("api", row.id)
    now = utc_now()
    if row.used_at is None or now - row.used_at > _USED_STEP:
        with unit_of_work():
            db.session.execute(sa.update(ApiToken).where(ApiToken.id == row.id).values(used_at=now))
    g.portal_api_member_id = row.team_member_id


# Built once: composing it costs as much as running it, and every call of the API runs it.
_VALID = (
    sa.select(ApiToken.id, ApiToken.team_member_id, ApiToken.used_at)
    .join(TeamMember, TeamMember.id == ApiToken.team_member_id)
    .join(Login, Login.id == TeamMember.login_id)
    .where(
        ApiToken.token_hash == sa.bindparam("token_hash"),
        ApiToken.revoked_at.is_(None),
        TeamMember.active.is_(True),
        Login.active.is_(True),
    )
)


def _refusal(sentence: str) -> Unauthorized:
    return Unauthorized(sentence, www_authenticate=WWWAuthenticate("bearer", {"realm": "Portal Invites API"}))
