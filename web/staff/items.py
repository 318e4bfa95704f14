"""One work item: how it stands, who opened it, what came back, and what staff may do with it."""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint, Response, flash, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from models import WorkItem, unit_of_work
from models.errors import Missing
from web.access_rules import staff_page
from web.headers import SANDBOX_POLICY
from web.staff.common import firm_view, page
from workflows import storage
from workflows.client_request import answers
from workflows.esign_request import signing
from workflows.registry import Workflow, installed

bp = Blueprint("staff_items", __name__)

REASON_MOST = 500


@bp.get("/items/<item_id>")
@staff_page
def item(item_id: str) -> str:
    """The item's page."""
    return _page(item_id)


@bp.get("/items/<item_id>/print")
@staff_page
def print_view(item_id: str) -> str:
    """The item as it goes to paper."""
    return _page(item_id, "staff/print.html")


@bp.get("/items/<item_id>/download")
@bp.get("/items/<item_id>/download/<which>")
@staff_page
def download(item_id: str, which: str = "") -> Response:
    """The bytes behind an item, always as a download."""
    view = firm_view()
    row = view.item(item_id)
    stored = _workflow(row).stored_file(row, which)
    answer = Response(storage.chunks(stored), mimetype=stored.content_type)
    ascii_name = stored.name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "'")
    answer.headers["Content-Disposition"] = (
        f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(stored.name)}"
    )
    answer.headers["Content-Length"] = str(stored.size)
    answer.headers["Content-Security-Policy"] = SANDBOX_POLICY
    return answer


@bp.post("/items/<item_id>/reopen")
@staff_page
def reopen(item_id: str) -> AnyResponse:
    """Give a submitted client request back to the client."""
    view = firm_view()
    with unit_of_work():
        row = view.item(item_id, "client-request")
        answers.reopen(view, row)
    flash("The client can change the answers again.", "success")
    return redirect(url_for("staff_items.item", item_id=item_id), 303)


@bp.get("/items/<item_id>/cancel")
@staff_page
def ask_cancel(item_id: str) -> str:
    """Ask before a client request is cancelled."""
    row = firm_view().item(item_id, "client-request")
    return page(
        "staff/confirm.html",
        title=f"Cancel \u201c{row.title}\u201d?",
        text="The client can't answer it any more. Answers that are saved already stay readable for you.",
        points=[],
        action=url_for("staff_items.cancel", item_id=item_id),
        button="Cancel the request",
        cancel_url=url_for("staff_items.item", item_id=item_id),
    )


@bp.post("/items/<item_id>/cancel")
@staff_page
def cancel(item_id: str) -> AnyResponse:
    """Cancel a client request."""
    view = firm_view()
    with unit_of_work():
        answers.cancel(view, view.item(item_id, "client-request"))
    flash("The client request is cancelled.", "success")
    return redirect(url_for("staff_items.item", item_id=item_id), 303)


@bp.get("/items/<item_id>/void")
@staff_page
def ask_void(item_id: str) -> str:
    """Ask before an eSign request is voided."""
    row = firm_view().item(item_id, "esign-request")
    return page(
        "staff/confirm.html",
        title=f"Void \u201c{row.title}\u201d?",
        text="Nobody can sign it any more, and it can't be brought back. Signatures given so far stay on record.",
        points=[],
        action=url_for("staff_items.void", item_id=item_id),
        button="Void",
        cancel_url=url_for("staff_items.item", item_id=item_id),
        reason=True,
    )


@bp.post("/items/<item_id>/void")
@staff_page
def void(item_id: str) -> AnyResponse:
    """Void an eSign request."""
    view = firm_view()
    with unit_of_work():
        signing.void(
            view, view.item(item_id, "esign-request"), request.form.get("reason", "").strip()[:REASON_MOST]
        )
    flash("The eSign request is voided.", "success")
    return redirect(url_for("staff_items.item", item_id=item_id), 303)


def _page(item_id: str, template: str | None = None) -> str:
    view = firm_view()
    row = view.item(item_id)
    workflow = _workflow(row)
    return page(
        template or workflow.staff_template,
        item=row,
        client=row.client,
        workflow=workflow,
        status=workflow.status_label(row),
        tone=workflow.tone(row),
        facts=workflow.facts_of(row),
        **workflow.staff_page(row, view),
    )


def _workflow(row: WorkItem) -> Workflow:
    """The item's workflow. Raises Missing where its plug-in was taken away."""
    workflow = installed().get(row.workflow)
    if workflow is None:
        raise Missing("The workflow of this item is not installed any more.")
    return workflow
