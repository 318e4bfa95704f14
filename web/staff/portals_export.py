"""Export of what is filtered, as CSV or as an Excel workbook, streamed: memory stays flat at a million rows.

The list is read page by page, each page in a transaction of its own, and every cell is made harmless. A workbook is a
zip whose table of contents stands at its end, so it is written to a temporary file first and streamed from there.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from flask import Blueprint, request, stream_with_context
from werkzeug.wrappers import Response

from invites import portals as listing
from invites.portals import PortalQuery
from invites.scope import FirmView
from later import later
from models import InviteState, db, utc_now
from web.access_rules import permission
from web.safe_cells import harmless
from web.staff.common import firm_view
from web.staff.portals import lines_of

if TYPE_CHECKING:
    import openpyxl
else:
    openpyxl = later("openpyxl")

bp = Blueprint("staff_portals_export", __name__)

CHUNK = 1000
PIECE = 64 * 1024
WITH = (
    "Client",
    "Person",
    "Address",
    "Standing",
    "Invited on",
    "Invited by",
    "Expires",
    "Delivery",
    "Last login",
)
WITHOUT = ("Client", "External id", "Primary contact", "Address")
TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@bp.get("/portals/export.<any(csv, xlsx):kind>")
@permission("export")
def export(kind: str) -> Response:
    """All rows that match the page's filter and search."""
    view, query = firm_view(), PortalQuery.read(request.args)
    rows = table(view, query)
    body = _workbook(rows) if kind == "xlsx" else _text(rows)
    answer = Response(stream_with_context(body), mimetype=TYPES[kind])
    day = utc_now().astimezone(ZoneInfo(view.member.firm.time_zone)).date()
    name = f"{'clients-without-portals' if query.without else 'portal-users'}-{day}.{kind}"
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def table(view: FirmView, query: PortalQuery) -> Iterator[list[str]]:
    """The heading and every row that matches, each cell harmless."""
    yield [harmless(cell) for cell in (WITHOUT if query.without else WITH)]
    cursor: str | None = ""
    while cursor is not None:
        rows, cursor = listing.page_of(view, query, cursor, CHUNK)
        found = list(_without(rows) if query.without else _with(view, rows))
        for cells in found:
            yield [harmless(cell) for cell in cells]
        for row in rows:  # or the session holds every row that was ever read; the member's own rows stay
            db.session.expunge(row)
        db.session.rollback()


def _with(view: FirmView, rows: list[Any]) -> Iterator[list[str]]:
    zone = ZoneInfo(view.member.firm.time_zone)
    for line in lines_of(view, rows):
        row, invite = line.row, line.standing.invite
        waits = invite is not None and invite.state is InviteState.PENDING
        yield [
            row.client.name,
            row.name,
            row.email_display or "",
            line.standing.label,
            _day(invite.created_at if invite else None, zone),
            invite.invited_by.name if invite else "",
            _day(invite.expires_at if invite and waits else None, zone),
            line.delivery,
            _day(row.last_login_at, zone),
        ]


def _without(rows: list[Any]) -> Iterator[list[str]]:
    for row in rows:
        first = row.client.contacts[0] if row.client.contacts else None
        name, address = (first.name, first.email_display or "") if first else ("", "")
        yield [row.client.name, row.client.external_id or "", name, address]


def _day(moment: datetime | None, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d") if moment else ""


def _text(rows: Iterator[list[str]]) -> Iterator[str]:
    yield "\ufeff"  # or Excel reads UTF-8 as something else
    out = io.StringIO()
    write = csv.writer(out).writerow
    for row in rows:
        write(row)
        if out.tell() > PIECE:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def _workbook(rows: Iterator[list[str]]) -> Iterator[bytes]:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Client portals")
    for row in rows:
        sheet.append([_legal(cell) for cell in row])
    with tempfile.TemporaryFile() as file:
        book.save(file)
        file.seek(0)
        yield from _pieces(file)


def _legal(text: str) -> str:
    """Without control characters, which a workbook can't hold."""
    return "".join(char for char in text if char >= " " or char in "\t\n")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece
