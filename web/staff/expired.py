"""The invites of mine that ran out, each with `Resend invite`: where the daily mail about them leads."""

from __future__ import annotations

from flask import Blueprint
from sqlalchemy.orm import joinedload

from invites.scope import FirmView
from models import Invite, db, utc_now
from web.access_rules import staff_page
from web.staff.common import firm_view, page

bp = Blueprint("staff_expired", __name__)

MOST = 100


@bp.get("/invites/expired")
@staff_page
def expired() -> str:
    """What I invited and nobody accepted in time, the latest end first."""
    rows = _rows(firm_view())
    return page("staff/expired.html", invites=rows[:MOST], more=len(rows) > MOST)


def _rows(view: FirmView) -> list[Invite]:
    return list(
        db.session.scalars(
            view.invites()
            .where(Invite.invited_by_id == view.member.id, Invite.is_expired(utc_now()))
            .options(joinedload(Invite.client))
            .order_by(Invite.expires_at.desc(), Invite.id)
            .limit(MOST + 1)
        ).unique()
    )
