"""Files: the list, sending one to the firm, and every download of the client's side.

A download is always an attachment in a sandbox: whatever the bytes are, no browser runs them as a page of ours.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from languages import worded
from models import PortalAccess, StoredFile, WorkItem, db, unit_of_work
from models.errors import Invalid, Missing, TooLarge
from web.access_rules import portal_page
from web.headers import SANDBOX_POLICY
from web.language import here
from web.portal.frame import Frame, frame
from web.portal.items import find, note_look
from web.portal.lines import before, lines, load
from workflows import storage
from workflows.file_visibility import uploads
from workflows.names import size_text
from workflows.registry import installed

bp = Blueprint("portal_files", __name__, url_prefix="/portal")

PAGE = 50
SIGNED_MOST = 50


@bp.get("/files")
@portal_page
def listing() -> str:
    """What was made visible, the newest first, and signed documents."""
    return _page(frame())


@bp.post("/files")
@portal_page
def send() -> Response | tuple[str, int]:
    """Send files to the firm."""
    shown = frame()
    try:
        access = _access(shown, request.form.get("to", ""))
        parts = [(part.stream, part.filename) for part in request.files.getlist("file") if part.filename]
        with storage.received(*parts) as received, unit_of_work():
            items = uploads.upload_by_client(shown.person, access, received)
            names = [item.title for item in items]
    except (Invalid, TooLarge) as error:
        return _page(shown, errors=error.fields or {"file": [error.sentence]}), error.status
    if len(names) == 1:
        flash(here("%(name)s was sent.", name=names[0]), "success")
    else:
        flash(here("%(count)s files were sent.", count=len(names)), "success")
    return redirect(url_for("portal_files.listing", client=request.args.get("client")), 303)


@bp.get("/items/<item_id>/download", defaults={"which": ""})
@bp.get("/items/<item_id>/download/<any(document, sealed):which>")
@portal_page
def download(item_id: str, which: str) -> Response:
    """The bytes behind an item, as an attachment."""
    person, item, workflow = find(item_id)
    stored = workflow.stored_file(item, which)
    pieces = storage.chunks(stored)
    note_look(person, item)
    return attachment(stored, pieces)


def attachment(stored: StoredFile, pieces: Any) -> Response:
    """An answer that browsers save, and never show."""
    response = Response(pieces, mimetype=stored.content_type)
    response.headers.set("Content-Disposition", "attachment", filename=stored.name)
    response.headers["Content-Length"] = str(stored.size)
    response.headers["Content-Security-Policy"] = SANDBOX_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _access(shown: Frame, access_id: str) -> PortalAccess:
    """The place that files go to: the one chosen in the form, or the only one there is. Raises Invalid, Missing."""
    if not access_id and len(shown.places) != 1:
        raise Invalid({"to": [worded("Choose where to send it.")]})
    wanted = access_id or shown.places[0].access_id
    found = (
        db.session.scalars(shown.person.accesses().where(PortalAccess.id == wanted)).unique().one_or_none()
    )
    if found is None:
        raise Missing
    return found


def _page(shown: Frame, errors: dict[str, list[str]] | None = None) -> str:
    context = shown.context()
    cursor = request.args.get("after")
    files = load(before(shown.items().where(WorkItem.workflow == "file"), cursor), PAGE + 1)
    items = files[:PAGE]
    workflow = installed().get("file")
    known = workflow.api_fields_of(items) if workflow is not None else {}
    signed: list[WorkItem] = []
    if not cursor:
        done = shown.items().where(WorkItem.workflow == "esign-request", WorkItem.status == "completed")
        signed = load(before(done, None), SIGNED_MOST)
    return render_template(
        "portal/files.html",
        files=lines(items, shown),
        sizes={key: size_text(int(value["size"])) for key, value in known.items() if "size" in value},
        signed=lines(signed, shown),
        next_after=items[-1].id if len(files) > PAGE else None,
        further=bool(cursor),
        places=[(place.access_id, _place_name(place, shown)) for place in shown.places],
        chosen_access=shown.chosen.access_id if shown.chosen else "",
        errors=errors or {},
        **context,
    )


def _place_name(place: Any, shown: Frame) -> str:
    several_firms = len({one.firm.id for one in shown.places}) > 1
    return f"{place.client.name}, {place.firm.name}" if several_firms else str(place.client.name)
