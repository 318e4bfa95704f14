"""An item's page, drawn by its workflow's template, and the answer to a plain item.

The first look of a person is noted (staff see who opened what and when). Only a person's own GET is a look: a HEAD, or
a page that a browser fetches ahead of time, is none, and staff who look through a person's eyes leave no trace there.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from invites.scope import PortalView
from models import WorkItem, unit_of_work
from models.errors import Invalid, Missing, WrongState
from web.access_rules import portal_page
from web.language import here
from web.portal.frame import frame, looking, viewer
from workflows import viewing
from workflows.registry import Workflow, installed

bp = Blueprint("portal_items", __name__, url_prefix="/portal/items")

Answer = Response | tuple[str, int]


@bp.get("/<item_id>")
@portal_page
def show(item_id: str) -> Answer:
    """The item's page."""
    person, item, _ = find(item_id)
    note_look(person, item)
    return page(item)


@bp.post("/<item_id>")
@portal_page
def respond(item_id: str) -> Answer:
    """The client's answer to an item of a plugged-in workflow, such as `Mark as complete`."""
    person, item, workflow = find(item_id)
    try:
        with unit_of_work():
            sentence = workflow.respond(item, person, request.form)
    except Invalid as error:
        return page(item, 422, errors=error.fields, typed=request.form)
    except WrongState as error:
        return back(item, error.sentence, "warning")
    return back(item, sentence)


def find(item_id: str, slug: str | None = None) -> tuple[PortalView, WorkItem, Workflow]:
    """The item as this person sees it. Raises Missing for what isn't theirs, or whose workflow was taken away."""
    person = viewer()
    item = person.item(item_id, slug)
    workflow = installed().get(item.workflow)
    if workflow is None:
        raise Missing
    return person, item, workflow


def note_look(person: PortalView, item: WorkItem) -> None:
    """Note that this person looked at the item, where that is due."""
    if (
        looking() is not None
        or request.method != "GET"
        or "prefetch" in request.headers.get("Sec-Purpose", "")
    ):
        return
    if viewing.due(person, item):
        with unit_of_work():
            viewing.record(person, item)


def page(item: WorkItem, status: int = 200, template: str | None = None, **more: Any) -> tuple[str, int]:
    """Render the item's page with its workflow's template (or another one), inside the frame of its client."""
    _, _, workflow = find(item.id)
    shown = frame(item)
    context = shown.context(
        item=item,
        workflow=workflow,
        facts=workflow.facts_of(item),
        status_label=workflow.status_label(item),
        tone=workflow.tone(item),
    )
    context |= workflow.page(item, shown.person)
    context |= {"errors": {}, "typed": {}} | more
    return render_template(template or workflow.portal_template, **context), status


def back(item: WorkItem, sentence: str, category: str = "success") -> Response:
    """To the item's page, with a sentence about what happened, in the language of that page."""
    frame(item)
    flash(here(sentence), category)
    return redirect(url_for("portal_items.show", item_id=item.id), 303)
