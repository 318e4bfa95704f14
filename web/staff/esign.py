"""The eSign request's form: a PDF that is uploaded or chosen among the client's files, and who signs it.

An uploaded PDF is kept as a document without a request at the first post, and its id travels on in the form, so that
nobody uploads it twice because another field needs another look. Documents that are never sent are swept.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from invites.scope import FirmView
from models import Client, StoredFile, WorkItem, db, unit_of_work
from models.errors import Invalid, Missing, TooLarge
from web.access_rules import staff_page
from web.staff.common import checked, firm_view
from web.staff.sending import draw, go_on, rows_button
from web.staff.window import Answer, from_window
from workflows import storage
from workflows.esign_request import documents
from workflows.esign_request.declaration import ESIGN_REQUEST

bp = Blueprint("staff_esign", __name__)

FILES_SHOWN = 100


@bp.route("/clients/<client_id>/send/esign-request", methods=["GET", "POST"])
@staff_page
def send(client_id: str) -> Answer:
    """The send form of an eSign request, and its window."""
    view = firm_view()
    client = view.client(client_id)
    view.need_licence(ESIGN_REQUEST.licence, ESIGN_REQUEST.plural)
    if request.method == "GET":
        primary = next((contact for contact in client.contacts if contact.email), None)
        first = {"name": primary.name, "email": primary.email_display} if primary else {}
        typed: dict[str, Any] = {"signers": [first], "file_id": request.args.get("file", "")}
        return draw(view, client, ESIGN_REQUEST, typed, **_choices(view, client, typed))
    form = request.form.copy()
    file_errors: dict[str, list[str]] = {}
    # The second field has a name of its own: a script carries chosen files over to the field of the same name, and the
    # PDF that is uploaded already would be uploaded once more.
    part = request.files.get("another") or request.files.get("file")
    if part is not None and part.filename and not from_window(form):
        try:
            with storage.received((part.stream, part.filename)) as received:
                documents.check(received[0])
                with unit_of_work():
                    form["file_id"] = documents.add(view, view.client(client_id), received[0]).id
        except (Invalid, TooLarge) as error:
            file_errors = {"file": error.fields.get("file") or [error.sentence]}
            form["file_id"] = ""
    client = view.client(client_id)
    typed, data, errors = checked(ESIGN_REQUEST.schema(), form)
    if file_errors:
        errors.pop("file_id", None)
    errors = file_errors | errors
    context = _choices(view, client, typed)
    if "file_id" in errors and not context["pdfs"]:
        errors["file"] = errors.pop("file_id")  # the only field there is for it
    changed = rows_button(view, ESIGN_REQUEST, typed)
    if changed is not None:
        return draw(view, client, ESIGN_REQUEST, changed, file_errors, **context)
    title = context["document"].name if context["document"] is not None else ""
    return go_on(view, client, ESIGN_REQUEST, typed, data, errors, heading_title=title, **context)


def _choices(view: FirmView, client: Client, typed: dict[str, Any]) -> dict[str, Any]:
    """What the form offers: the client's PDFs, the people on the record, and the document uploaded already."""
    newest = (
        view.items("file")
        .where(WorkItem.client_id == client.id)
        .order_by(WorkItem.id.desc())
        .limit(FILES_SHOWN)
    )
    pdfs = [
        (item.id, item.title)
        for item in db.session.scalars(newest)
        if (item.details or {}).get("content_type") == "application/pdf"
    ]
    chosen = str(typed.get("file_id") or "")
    document = None
    if chosen and chosen not in {item_id for item_id, _ in pdfs}:
        document = db.session.scalars(
            view.files().where(StoredFile.id == chosen, StoredFile.client_id == client.id)
        ).one_or_none()
        if (
            document is None
            and not db.session.scalars(
                view.items("file").where(WorkItem.id == chosen, WorkItem.client_id == client.id)
            ).one_or_none()
        ):
            raise Missing()
    people = [(contact.name, contact.email_display) for contact in client.contacts if contact.email_display]
    return {"pdfs": pdfs, "document": document, "people": people}
