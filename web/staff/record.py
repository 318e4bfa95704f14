"""The client record: its work by section, its people, what happened; and the + that opens the Client Portal window."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, request, url_for
from sqlalchemy.orm import selectinload

from invites.inviting import invite_people
from invites.lifecycle import Occasion
from invites.orders import InviteOrder, InviteResult
from invites.scope import FirmView
from invites.step import RECORD, build_step
from models import Client, Event, WorkItem
from models.errors import Missing
from web.access_rules import staff_page
from web.staff import sent
from web.staff.activity import lines_of
from web.staff.common import firm_view, keyset, page
from web.staff.rows import item_lines, people_lines
from web.staff.window import Answer, Place, handle, show, works_at_once
from workflows.registry import Workflow, installed

bp = Blueprint("staff_record", __name__)

ACTIVITY = "activity"
INVITED = "invited you to the Client Portal"


@bp.get("/clients/<client_id>")
@staff_page
def record(client_id: str) -> str:
    """The record, with the first workflow's items."""
    return _section(client_id, next(iter(installed())).collection)


@bp.get("/clients/<client_id>/<collection>")
@staff_page
def section(client_id: str, collection: str) -> str:
    """The record, with one section's items or the activity."""
    return _section(client_id, collection)


@bp.route("/clients/<client_id>/invite", methods=["GET", "POST"])
@staff_page
def invite(client_id: str) -> Answer:
    """The Client Portal window from the record: invite people without any work item."""
    view = firm_view()
    client = view.client(client_id)

    def commit(order: InviteOrder | None) -> list[InviteResult]:
        client = view.client(client_id)
        return invite_people(Occasion(client, view.member, RECORD, INVITED), order) if order else []

    place = Place(
        view=view,
        step=build_step(client, view.member, RECORD),
        action=url_for("staff_record.invite", client_id=client_id),
        heading=f"Inviting people of {client.name}",
        what=INVITED,
        begin=works_at_once(commit),
        done_url=url_for("staff_record.record", client_id=client_id),
        done_text="Nobody was invited.",
        can_skip=False,
        only=request.args.get("person"),
        back_url=url_for("staff_record.record", client_id=client_id),
    )
    return handle(place) if request.method == "POST" else show(place)


def _section(client_id: str, collection: str) -> str:
    view = firm_view()
    client = view.client(client_id)
    workflow = installed().by_collection(collection)
    if workflow is None and collection != ACTIVITY:
        raise Missing()
    context: dict[str, Any] = _activity(client) if workflow is None else _items(view, client, workflow)
    return page(
        "staff/record.html",
        client=client,
        people=people_lines(view, client),
        workflows=list(installed()),
        workflow=workflow,
        sections=_sections(client_id, collection),
        invite_results=sent.kept(view.member, request.args.get("sent", "")),
        **context,
    )


def _sections(client_id: str, current: str) -> list[dict[str, Any]]:
    """The tabs: one per workflow, then Activity."""
    named = [
        (workflow.collection, SECTION_NAMES.get(workflow.slug, workflow.plural)) for workflow in installed()
    ]
    return [
        {
            "label": label,
            "url": url_for("staff_record.section", client_id=client_id, collection=collection),
            "current": collection == current,
        }
        for collection, label in [*named, (ACTIVITY, "Activity")]
    ]


# The product's words for the record's sections; a plugged-in workflow's section is called by its plural.
SECTION_NAMES = {"client-request": "Client Requests", "file": "Files", "esign-request": "eSign"}


def _items(view: FirmView, client: Client, workflow: Workflow) -> dict[str, Any]:
    statement = (
        view.items(workflow.slug)
        .where(WorkItem.client_id == client.id)
        .options(selectinload(WorkItem.created_by))
    )
    items, more = keyset(statement, [WorkItem.id], lambda item: [item.id], descending=True)
    return {"lines": item_lines(workflow, items), "fields": workflow.api_fields_of(items), "more": more}


def _activity(client: Client) -> dict[str, Any]:
    statement = sa.select(Event).where(
        Event.client_id == client.id
    )  # the client was looked up in the firm's view
    events, more = keyset(statement, [Event.id], lambda event: [event.id], descending=True, size=50)
    return {"events": lines_of(events), "more": more}
