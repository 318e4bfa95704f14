"""How invites do, by workflow: a chart that is a table, drawn by the server."""

from __future__ import annotations

from flask import Blueprint

from invites import numbers
from web.access_rules import staff_page
from web.staff.common import firm_view, page
from workflows.registry import installed

bp = Blueprint("staff_portals_numbers", __name__)


@bp.get("/portals/numbers")
@staff_page
def acceptance() -> str:
    """Sent, accepted and the median of days, of the clients this member sees."""
    rows = numbers.acceptance(firm_view())
    return page(
        "staff/portals_numbers.html",
        nav="portals",
        days=numbers.DAYS,
        most=max((row.sent for row in rows), default=0),
        rows=[(_name(row.workflow), row) for row in rows],
    )


def _name(slug: str) -> str:
    workflow = installed().get(slug)
    return workflow.plural if workflow else "From the client record"
