"""Manage Client Portals: who has a portal, who was invited, and which clients have nobody inside yet.

Rows are chosen in a form that asks for the bulk action (`portals_bulk.py`); export and import lie beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, request, url_for

from invites import bulk, portal_counts
from invites import portals as listing
from invites.portal_counts import Count
from invites.portals import SORTS, WITH, WITHOUT, PortalQuery
from invites.scope import FirmView
from invites.standing import Standing, decide, standings_of
from mail import outbox
from models import PortalPerson, utc_now
from web.access_rules import staff_page
from web.staff.common import firm_view, page

bp = Blueprint("staff_portals", __name__)


@dataclass(frozen=True)
class PortalLine:
    """One mailbox at one client, in words."""

    row: PortalPerson
    standing: Standing
    delivery: str

    @property
    def who(self) -> str:
        """The name, else the address."""
        return self.row.name or self.row.email_display or ""


@bp.get("/portals")
@staff_page
def portals() -> str:
    """The tab `With portal users`, or `Without client portals` (`tab=without`)."""
    view = firm_view()
    query = PortalQuery.read(request.args)
    after = request.args.get("after", "")
    rows, cursor = listing.page_of(view, query, after)
    counts = portal_counts.counts(view, query)
    return page(
        "staff/portals.html",
        nav="portals",
        query=query,
        values=query.values(),
        tabs=_tabs(view, query),
        chips=_chips(query, counts),
        sorts=_sorts(query),
        lines=[] if query.without else lines_of(view, rows),
        clients=[row.client for row in rows] if query.without else [],
        more=_address(query, after=cursor) if cursor else None,
        first=_address(query) if after else None,
        here=_address(query, after=after or None),
        matching=counts[query.show].text,
        actions=bulk.offered(query.without) if view.member.may("bulk") else (),
        may={name: view.member.may(name) for name in ("export", "import")},
        running=bulk.running(view),
        job_title=bulk.title,
        job_note=bulk.note,
    )


def lines_of(view: FirmView, rows: Sequence[PortalPerson]) -> list[PortalLine]:
    """Rows of the list in words, in a fixed number of queries."""
    zone, now = view.member.firm.time_zone, utc_now()
    emails = {row.email for row in rows if row.email}
    found = standings_of({row.client_id for row in rows}, emails, zone)
    paused = outbox.relay_pause()
    lines = []
    for row in rows:
        standing = found.get((row.client_id, row.email or ""))
        standing = standing or decide(row.email, None, None, None, now, zone)
        delivery = outbox.delivery_text(standing.mail, paused) if standing.mail else ""
        lines.append(PortalLine(row, standing, delivery))
    return lines


def _address(query: PortalQuery, **changes: str | None) -> str:
    values: dict[str, Any] = {**query.values(), **changes}
    return url_for("staff_portals.portals", **{key: value for key, value in values.items() if value})


def _tabs(view: FirmView, query: PortalQuery) -> list[dict[str, Any]]:
    totals = portal_counts.totals(view)
    return [
        {
            "label": label,
            "url": url_for("staff_portals.portals", tab="without" if without else None, q=query.q or None),
            "current": query.without is without,
            "count": totals[without].text,
        }
        for without, label in ((True, "Without client portals"), (False, "With portal users"))
    ]


def _chips(query: PortalQuery, counts: dict[str, Count]) -> list[dict[str, Any]]:
    return [
        {
            "label": found.label,
            "url": _address(PortalQuery(query.without, show, query.q)),
            "current": show == query.show,
            "count": counts[show].text,
        }
        for show, found in (WITHOUT if query.without else WITH).items()
    ]


def _sorts(query: PortalQuery) -> list[dict[str, Any]]:
    """The orders to choose from; none where there is one only, or where a search decides."""
    keys = query.filter.sorts
    if len(keys) < 2 or query.q:
        return []
    chosen = query.sort or keys[0]
    return [
        {"label": SORTS[key].label, "url": _address(query, sort=key), "current": key == chosen}
        for key in keys
    ]
