"""In which language a login is written to where no firm writes: mails about its password."""

from __future__ import annotations

import sqlalchemy as sa

from languages import SOURCE
from models import Firm, Login, PortalAccess, PortalUser, TeamMember, db


def language_of(login: Login) -> str:
    """That of the firm which let a person in last; English for a team member, whose pages are English. One query."""
    is_staff = sa.exists().where(TeamMember.login_id == login.id, TeamMember.active.is_(True))
    found = db.session.scalar(
        sa.select(Firm.language)
        .join(PortalAccess, PortalAccess.firm_id == Firm.id)
        .join(PortalUser, PortalUser.id == PortalAccess.portal_user_id)
        .where(PortalUser.login_id == login.id, ~is_staff)
        .order_by(PortalAccess.accepted_at.desc(), PortalAccess.id)
        .limit(1)
    )
    return found or SOURCE
