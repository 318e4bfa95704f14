"""Export of what is filtered, as CSV or as an Excel workbook, streamed: memory stays flat at a million rows.

The list is read page by page, each page in a transaction of its own, and every cell is made harmless. A workbook is a
zip whose table of contents stands at its end, so it is written to a temporary file first and streamed from there.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from flask import Blueprint, request, stream_with_context
from werkzeug.wrappers import Response

from invites import portal_export
from invites.portals import PortalQuery
from invites.scope import FirmView
from later import later
from models import TeamMember, db, utc_now
from web.access_rules import permission
from web.safe_cells import harmless
from web.staff.common import firm_view

if TYPE_CHECKING:
    import openpyxl
else:
    openpyxl = later("openpyxl")

bp = Blueprint("staff_portals_export", __name__)

CHUNK = 1000
PIECE = 64 * 1024
MOST_ROWS = 1_000_000  # of a sheet; Excel's own limit is 1,048,576
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f]")  # a workbook can't hold them
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
    rows = table(view.member.id, query)
    body = _workbook(rows) if kind == "xlsx" else _text(rows)
    answer = Response(stream_with_context(body), mimetype=TYPES[kind])
    day = utc_now().astimezone(ZoneInfo(view.member.firm.time_zone)).date()
    name = f"{'clients-without-portals' if query.without else 'portal-users'}-{day}.{kind}"
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def table(member_id: str, query: PortalQuery) -> Iterator[list[str]]:
    """The heading and every row that matches, each cell harmless.

    It runs when the view is over: what the view read is gone with its database session by then (and anew expired where
    the request kept the session's time last seen), so the member is read again.
    """
    view = FirmView(db.session.get_one(TeamMember, member_id))
    yield [harmless(cell) for cell in (WITHOUT if query.without else WITH)]
    for cells in _without(view, query) if query.without else _with(view, query):
        yield [harmless(cell) for cell in cells]


def _with(view: FirmView, query: PortalQuery) -> Iterator[tuple[str, ...]]:
    zone = ZoneInfo(view.member.firm.time_zone)
    for piece in portal_export.people(view, query, CHUNK):
        for line in piece:
            yield (
                line.client,
                line.name,
                line.email,
                line.standing,
                _day(line.invited_at, zone),
                line.invited_by,
                _day(line.expires_at, zone),
                line.delivery,
                _day(line.last_login_at, zone),
            )


def _without(view: FirmView, query: PortalQuery) -> Iterator[tuple[str, ...]]:
    for piece in portal_export.clients(view, query, CHUNK):
        for line in piece:
            yield line.client, line.external_id, line.contact, line.email


def _day(moment: datetime | None, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).date().isoformat() if moment else ""


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
    # Write-only: one row at a time is kept, and each sheet waits in a file of its own.
    book = openpyxl.Workbook(write_only=True)
    heading = next(rows)
    sheet = _sheet(book, heading)
    for number, row in enumerate(rows):
        if number and number % MOST_ROWS == 0:
            sheet = _sheet(book, heading)
        sheet.append([_CONTROLS.sub("", cell) for cell in row])
    with tempfile.TemporaryFile() as file:
        book.save(file)
        file.seek(0)
        yield from _pieces(file)


def _sheet(book: openpyxl.Workbook, heading: list[str]) -> Any:
    sheet = book.create_sheet(
        f"Client portals {len(book.worksheets) + 1}" if book.worksheets else "Client portals"
    )
    sheet.append(heading)
    return sheet


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece
