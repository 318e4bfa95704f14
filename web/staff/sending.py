"""The send form of every workflow: drawn from its schema, checked by its schema, followed by the Client Portal window.

A form is posted four ways: without `do` it was filled in and goes on to the window (or is sent at once where everybody
can see the item already); with `do=people` it goes on to the window in any case; with another `do` it comes from the
window; with `rows` staff pressed a button of a list of rows (add, remove, up, down) in a browser without scripts, and
get the form again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import Blueprint, request, url_for
from werkzeug.datastructures import MultiDict

from invites.orders import InviteOrder, InviteResult
from invites.scope import FirmView
from invites.step import InviteStep
from models import Client, WorkItem, db
from models.errors import Invalid, Missing
from schemas.questions import TYPES
from web.access_rules import staff_page
from web.forms import field_errors, hidden_pairs, read_rows
from web.staff.common import checked, firm_view, page
from web.staff.window import Answer, Commit, Place, from_window, handle, send_at_once, show, wants_people
from workflows import sending
from workflows.client_request import templates
from workflows.registry import Workflow, installed

bp = Blueprint("staff_sending", __name__)


@bp.route("/clients/<client_id>/send/<slug>", methods=["GET", "POST"])
@staff_page
def send(client_id: str, slug: str) -> Answer:
    """The send form of a workflow, and its window."""
    view = firm_view()
    client, workflow = view.client(client_id), installed().get(slug)
    if workflow is None:
        raise Missing()
    view.need_licence(workflow.licence, workflow.plural)
    if request.method == "GET":
        return draw(view, client, workflow, start(view))
    form = without_idle_choices(request.form)
    typed, data, errors = checked(workflow.schema(), form)
    changed = rows_button(view, workflow, typed)
    if changed is not None:
        return draw(view, client, workflow, changed)
    return go_on(view, client, workflow, typed, data, errors)


def start(view: FirmView) -> dict[str, Any]:
    """What the form begins with: nothing, or a survey template."""
    chosen = request.args.get("template", "")
    return templates.as_data(templates.one(view, chosen)) if chosen else {}


def go_on(
    view: FirmView,
    client: Client,
    workflow: Workflow,
    typed: Mapping[str, Any],
    data: Mapping[str, Any],
    errors: Mapping[str, list[str]],
    heading_title: str = "",
    **context: Any,
) -> Answer:
    """From the checked form to the window, from the window to the end; or the form again with its errors."""
    if errors or request.form.get("do") == "edit":
        return draw(view, client, workflow, typed, errors, **context)
    title = str(data.get("title") or heading_title or workflow.singular)
    step = sending.ask(workflow, view, client, title=title, data=data)
    if step is None:  # an installation that took the shared step away: nobody is invited, the item is sent
        step = InviteStep(client, workflow.slug, title, (), opens=False)
    place = _place(view, client, workflow, typed, data, title, step)
    if from_window(request.form):
        return handle(place)
    if step.opens or wants_people(request.form):
        return show(place)
    try:
        return send_at_once(place)
    except Invalid as error:
        return draw(view, view.client(client.id), workflow, typed, field_errors(error.fields), **context)


def draw(
    view: FirmView,
    client: Client,
    workflow: Workflow,
    typed: Mapping[str, Any],
    errors: Mapping[str, list[str]] | None = None,
    **context: Any,
) -> tuple[str, int]:
    """The send form, with what was typed."""
    html = page(
        workflow.form_template,
        client=client,
        workflow=workflow,
        schema=workflow.schema(),
        typed=typed,
        errors=errors or {},
        question_types={kind.name: kind.label for kind in TYPES.values()},
        survey_templates=list(db.session.scalars(view.survey_templates()))
        if workflow.slug == "client-request"
        else [],
        **context,
    )
    return html, 422 if errors else 200


def rows_button(view: FirmView, workflow: Workflow, typed: dict[str, Any]) -> dict[str, Any] | None:
    """The form's data after a button of its rows (`rows=questions-add`, `rows=questions-2-up`, `rows=template`)."""
    pressed = request.form.get("rows", "")
    if not pressed:
        return None
    if pressed == "template":
        chosen = request.form.get("template", "")
        if not chosen:
            return typed
        from_template = templates.as_data(templates.one(view, chosen))
        return {**from_template, **{key: typed[key] for key in ("title", "due_on") if typed.get(key)}}
    name, _, rest = pressed.partition("-")
    rows = _all_rows(workflow, name)
    number, _, what = rest.partition("-")
    if rest == "add":
        rows.append({})
    elif number.isdigit() and int(number) < len(rows):
        _move(rows, int(number), what)
    return {**typed, name: rows}


def without_idle_choices(form: MultiDict[str, str]) -> MultiDict[str, str]:
    """Choices that were typed before the question got a type that takes none are left out."""
    kept = form.copy()
    for name in form:
        if name.startswith("questions-") and name.endswith("-type"):
            kind = TYPES.get(form.get(name, ""))
            if kind is not None and not kind.takes_choices:
                kept.poplist(name.removesuffix("type") + "choices")
    return kept


def _all_rows(workflow: Workflow, name: str) -> list[dict[str, Any]]:
    try:
        return read_rows(workflow.schema(), request.form, name)
    except (KeyError, TypeError) as error:
        raise Missing() from error


def _move(rows: list[dict[str, Any]], number: int, what: str) -> None:
    """Remove a row, or move it by one place."""
    row = rows.pop(number)
    if what == "up":
        rows.insert(max(0, number - 1), row)
    elif what == "down":
        rows.insert(number + 1, row)


def _place(
    view: FirmView,
    client: Client,
    workflow: Workflow,
    typed: Mapping[str, Any],
    data: Mapping[str, Any],
    title: str,
    step: InviteStep,
) -> Place:
    client_id = client.id

    @contextmanager
    def begin() -> Iterator[Commit]:
        with workflow.prepared(view, view.client(client_id), data) as ready:

            def commit(order: InviteOrder | None) -> list[InviteResult]:
                return sending.send(workflow, view, view.client(client_id), ready, order).results

            yield commit

    return Place(
        view=view,
        step=step,
        action=url_for("staff_sending.send", client_id=client_id, slug=workflow.slug),
        heading=f"Sending \u201c{title}\u201d to {client.name}",
        what=workflow.what,
        begin=begin,
        done_url=url_for("staff_record.section", client_id=client_id, collection=workflow.collection),
        done_text=f"\u201c{title}\u201d is sent to {client.name}.",
        can_edit=True,
        hidden=hidden_pairs(workflow.schema(), typed),
        back_url=url_for("staff_sending.send", client_id=client_id, slug=workflow.slug),
        items=[WorkItem(title=title, due_on=data.get("due_on"))],
    )
