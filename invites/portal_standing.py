"""A standing as a condition on the derived rows (models/portal_list.py): what a filter of the API asks of the database.

`decide()` of `standing.py` says the same of one row; tests/test_portals_rows.py holds both together.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from invites.portals import access_ended
from invites.standing import StandingKey
from models import Invite, PortalPerson, Stage

_STAGES = {
    StandingKey.ACTIVE: (Stage.JOINED, Stage.LOGGED_IN),
    StandingKey.EXPIRED: (Stage.INVITED,),
    StandingKey.REMOVED: (Stage.REMOVED, Stage.JOINED, Stage.LOGGED_IN),
}


def person_stands(key: StandingKey, now: datetime) -> sa.ColumnElement[bool]:
    """Whether a row of the list has this standing at `now`."""
    stages = PortalPerson.stage.in_(_STAGES[key] if key in _STAGES else (Stage(key.value),))
    match key:
        case StandingKey.INVITED:
            return sa.and_(stages, PortalPerson.expires_at > now)
        case StandingKey.EXPIRED:
            return sa.and_(stages, PortalPerson.expires_at <= now)
        case StandingKey.ACTIVE:
            return sa.and_(stages, sa.or_(PortalPerson.access_ends_at.is_(None), ~access_ended(now)))
        case StandingKey.REMOVED:
            return sa.and_(stages, sa.or_(PortalPerson.stage == Stage.REMOVED, access_ended(now)))
    return stages


def invitee_stands(key: StandingKey, now: datetime) -> sa.ColumnElement[bool]:
    """Whether the address of an invite has this standing at its client."""
    return sa.exists().where(
        PortalPerson.client_id == Invite.client_id,
        PortalPerson.mailbox == Invite.email,
        person_stands(key, now),
    )
