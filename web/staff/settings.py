"""Settings: the firm's facts, its licences, its team. To be read here; changed by the operator's commands for now."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Blueprint

import config
from models import Licence, TeamMember, db
from web.access_rules import staff_page
from web.staff.common import firm_view, page
from workflows.registry import installed

bp = Blueprint("staff_settings", __name__)


@bp.get("/settings")
@staff_page
def settings() -> str:
    """Firm, licences and team."""
    view = firm_view()
    held = view.licences()
    gated = {workflow.licence: workflow.plural for workflow in installed() if workflow.licence}
    known = dict.fromkeys([*(licence.value for licence in Licence), *gated])
    team = db.session.scalars(
        sa.select(TeamMember)
        .where(TeamMember.firm_id == view.firm_id)
        .order_by(TeamMember.active.desc(), TeamMember.created_at, TeamMember.id)
    )
    values = config.current()
    firm = view.member.firm
    return page(
        "staff/settings.html",
        nav="settings",
        licences=[(key, gated.get(key, key), key in held) for key in known],
        team=list(team),
        invite_days=firm.invite_days or values.invite_days,
        needs_code=values.accept_needs_code if firm.accept_needs_code is None else firm.accept_needs_code,
        builtin_mailbox=values.builtin_mailbox,
    )
