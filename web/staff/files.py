"""Files: upload (invisible until staff say so), the switch, and the Client Portal window for one file or a batch.

Uploading keeps the files; making them visible is a step of its own. "Make visible at once" leads on to the window by a
redirect, so that reloading the window uploads nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, flash, request, url_for
from werkzeug.wrappers import Response

from invites.orders import InviteOrder, InviteResult
from invites.scope import FirmView
from invites.step import InviteStep
from models import WorkItem, db, unit_of_work
from models.errors import Invalid, Missing, TooLarge
from web.access_rules import staff_page
from web.staff import once
from web.staff.common import firm_view, page
from web.staff.window import (
    Answer,
    Place,
    from_window,
    handle,
    leave,
    send_at_once,
    show,
    wants_people,
    works_at_once,
)
from workflows import sending, storage
from workflows.file_visibility import uploads, visibility
from workflows.file_visibility.declaration import FILE_VISIBILITY

bp = Blueprint("staff_files", __name__)

UPLOADS_MOST = 50


@bp.route("/clients/<client_id>/send/file", methods=["GET", "POST"])
@staff_page
def upload(client_id: str) -> Answer:
    """Upload files, and make them visible at once if wanted."""
    view = firm_view()
    client = view.client(client_id)
    view.need_licence(FILE_VISIBILITY.licence, FILE_VISIBILITY.plural)
    if request.method == "GET":
        return page("staff/file_form.html", client=client, errors={}, visible=False)
    choose = wants_people(request.form)
    visible = choose or "visible" in request.form
    parts = [(part.stream, part.filename) for part in request.files.getlist("file") if part.filename]
    try:
        if len(parts) > UPLOADS_MOST:
            raise Invalid({"file": [f"At most {UPLOADS_MOST} files at once."]})
        with storage.received(*parts) as received, unit_of_work():
            claim = once.claim(view.member, *(one.sha256 for one in received))
            items = uploads.upload(view, view.client(client_id), received)
            ids = [item.id for item in items]
            text = f"{_named(items)} uploaded. Not visible to the client until you make it so."
            claim.leads_to(_window_url(client_id, ids) if visible else _files_url(client_id), text)
    except (Invalid, TooLarge) as error:
        sentences = error.fields.get("file") or [error.sentence]
        html = page(
            "staff/file_form.html", client=view.client(client_id), errors={"file": sentences}, visible=visible
        )
        return html, error.status
    if not visible:
        flash(text, "success")
        return leave(_files_url(client_id))
    place = _place(view, client_id, ids)
    if not place.step.opens and not choose:
        return send_at_once(place)
    return leave_to_window(client_id, ids)


@bp.route("/clients/<client_id>/files/visibility", methods=["GET", "POST"])
@staff_page
def switch(client_id: str) -> Answer:
    """The switch and its window; `item` names one file or a batch, `visible` what the switch is turned to."""
    view = firm_view()
    ids = request.values.getlist("item")[:UPLOADS_MOST]
    if request.method == "POST" and request.form.get("visible") == "false":
        return _hide(view, client_id, ids)
    place = _place(view, client_id, ids)
    if request.method == "GET":
        return show(place)
    if from_window(request.form):
        return handle(place)
    return show(place) if place.step.opens else send_at_once(place)


def leave_to_window(client_id: str, ids: Sequence[str]) -> Response:
    """On to the window, by a redirect that a script's request follows by itself."""
    return Response(status=303, headers={"Location": _window_url(client_id, ids)})


def _hide(view: FirmView, client_id: str, ids: Sequence[str]) -> Response:
    with unit_of_work():
        items = _items(view, client_id, ids)
        visibility.make_invisible(view, items)
        text = f"{_named(items)} can't be seen by the client any more."
    flash(text, "success")
    return leave(_files_url(client_id))


def _place(view: FirmView, client_id: str, ids: Sequence[str]) -> Place:
    client, items = view.client(client_id), _items(view, client_id, ids)
    title = _named(items)
    step = sending.ask(FILE_VISIBILITY, view, client, title=title, items=items)
    if step is None:
        step = InviteStep(client, FILE_VISIBILITY.slug, title, (), opens=False)

    def commit(order: InviteOrder | None) -> list[InviteResult]:
        return visibility.make_visible(view, view.client(client_id), _items(view, client_id, ids), order)

    return Place(
        view=view,
        step=step,
        action=url_for("staff_files.switch", client_id=client_id),
        heading=f"Making {title} visible to {client.name}",
        what=FILE_VISIBILITY.what,
        begin=works_at_once(commit),
        done_url=_files_url(client_id),
        done_text=f"{title} can be seen by {client.name} now.",
        hidden=[("item", item.id) for item in items],
        back_url=_files_url(client_id),
        items=items,
    )


def _items(view: FirmView, client_id: str, ids: Sequence[str]) -> list[WorkItem]:
    """These files of this client, in one query. Raises Missing where one isn't there."""
    statement = view.items(FILE_VISIBILITY.slug).where(WorkItem.client_id == client_id, WorkItem.id.in_(ids))
    found = list(db.session.scalars(statement.order_by(WorkItem.id)))
    if not ids or len(found) != len(set(ids)):
        raise Missing()
    return found


def _named(items: Sequence[WorkItem]) -> str:
    return f"\u201c{items[0].title}\u201d" if len(items) == 1 else f"{len(items)} files"


def _window_url(client_id: str, ids: Sequence[str]) -> str:
    return url_for("staff_files.switch", client_id=client_id, item=list(ids))


def _files_url(client_id: str) -> str:
    return url_for("staff_record.section", client_id=client_id, collection=FILE_VISIBILITY.collection)
