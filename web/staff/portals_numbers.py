"""How invites do, by workflow and by message template: charts that are tables, drawn by the server."""

from __future__ import annotations

from flask import Blueprint

from invites import numbers
from invites.numbers import Acceptance
from web.access_rules import staff_page
from web.staff.common import firm_view, page
from workflows.registry import installed

bp = Blueprint("staff_portals_numbers", __name__)


@bp.get("/portals/numbers")
@staff_page
def acceptance() -> str:
    """Sent, accepted and the median of days, of the clients this member sees."""
    found = numbers.acceptance(firm_view())
    return page(
        "staff/portals_numbers.html",
        nav="portals",
        days=numbers.DAYS,
        found=found,
        charts=[
            ("By where they began", "Began with", [(_workflow(row), row) for row in found.workflows]),
            ("By message template", "Template", [(_template(row), row) for row in found.templates]),
        ],
    )


def _workflow(row: Acceptance) -> str:
    workflow = installed().get(row.key)
    return workflow.plural if workflow else "From the client record"


def _template(row: Acceptance) -> str:
    return row.name if row.key else "Without a template"
