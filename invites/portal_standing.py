"""A standing as a condition on the derived rows (models/portal_list.py): what a filter of the API asks of the database.

`decide()` of `standing.py` says the same of one row; tests/test_portals_rows.py holds both together.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from invites.portals import access_ended
from invites.searching import IS_INVITED, are_few, asked_of_each
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


def invitee_stands(firm_id: str, key: StandingKey, now: datetime) -> sa.ColumnElement[bool]:
    """Whether the address of an invite of this firm has this standing at its client.

    Where few people have it, from these to their invites; else from each invite to its person: a common standing has
    filled a page soon, and for a rare one all invites would be read.
    """
    theirs = sa.and_(PortalPerson.firm_id == firm_id, person_stands(key, now))
    if not are_few(sa.select(PortalPerson.id).where(theirs)):
        return asked_of_each(sa.select(PortalPerson.id).where(IS_INVITED, theirs))
    return Invite.id.in_(
        sa.select(Invite.id).select_from(PortalPerson).join(Invite, IS_INVITED).where(theirs)
    )
