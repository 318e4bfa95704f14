"""Answering a client request: answers are saved as they go, submitting is final and asks once more.

The page's script sends each change on its own and shows a quiet "Saved"; without a script the button `Save` does the
same for the whole form. What was typed is kept in every case: a wrong answer is shown with its sentence beside it,
and the right ones beside it are saved.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Blueprint, jsonify, redirect, request, url_for

import languages
from invites.scope import PortalView
from languages import worded
from models import WorkItem, unit_of_work
from models.errors import Invalid, WrongState
from web.access_rules import portal_page
from web.language import here, sentences, spoken
from web.portal.frame import frame
from web.portal.items import Answer, back, find, page
from workflows.client_request import answers
from workflows.client_request.answers import QuestionView

bp = Blueprint("portal_client_request", __name__, url_prefix="/portal/items/<item_id>")

SLUG = "client-request"


@bp.app_template_filter("answer_text")
def answer_text(question: QuestionView) -> str:
    """An answer in words of the page's language; what somebody typed or chose stays as it is."""
    if question.answered and question.type == "date":
        return languages.day(date.fromisoformat(question.raw), spoken())
    return here(question.text) if question.type == "yes_no" else question.text


@bp.post("/answers")
@portal_page
def save(item_id: str) -> Answer:
    """Save what was changed. The page's script asks for JSON, a form for the page."""
    person, item, workflow = find(item_id, SLUG)
    by_script = request.accept_mimetypes.best == "application/json"
    try:
        errors = _save(person, item)
    except WrongState as error:
        if by_script:
            frame(item)
            return jsonify(sentence=here(error.sentence)), 409  # type: ignore[return-value]
        return back(item, error.sentence, "warning")
    if by_script:
        frame(item)
        return jsonify(_saved(workflow.page(item, person), sentences(errors)))
    if errors:
        return page(item, 422, errors=errors, typed=request.form)
    return back(item, worded("Saved. You can go on whenever you like."))


@bp.post("/submit")
@portal_page
def submit(item_id: str) -> Answer:
    """Save, check, ask once more, submit."""
    person, item, workflow = find(item_id, SLUG)
    try:
        errors = _save(person, item)
        shown = workflow.page(item, person)
        errors = errors or _missing(shown)
        if errors:
            return page(item, 422, errors=errors, typed=request.form)
        if shown["questions"] and request.form.get("sure") != "yes":
            return redirect(url_for("portal_client_request.ask", item_id=item.id), 303)
        with unit_of_work():
            sentence = answers.submit(item, person)
    except Invalid as error:  # changed by somebody else in this very moment
        return page(item, 422, errors=error.fields, typed=request.form)
    except WrongState as error:
        return back(item, error.sentence, "warning")
    return back(item, sentence)


@bp.get("/submit")
@portal_page
def ask(item_id: str) -> Answer:
    """Ask once more: submitting is final."""
    person, item, workflow = find(item_id, SLUG)
    shown = workflow.page(item, person)
    if not shown["can_answer"] or _missing(shown):
        return redirect(url_for("portal_items.show", item_id=item.id), 303)
    return page(item, template="portal/client_request_submit.html")


def _save(person: PortalView, item: WorkItem) -> dict[str, list[str]]:
    """Keep what was changed; the sentences of what can't be kept."""
    values = answers.from_form(item, request.form)
    if not values:
        return {}
    with unit_of_work():
        errors = answers.save(item, person, values)
    return {field: list(sentences) for field, sentences in errors.items()}


def _missing(shown: dict[str, Any]) -> dict[str, list[str]]:
    """A sentence for each required question without an answer."""
    return {
        question.field: [worded("Please answer this question.")]
        for question in shown["questions"]
        if question.required and not question.answered
    }


def _saved(shown: dict[str, Any], errors: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "errors": errors,
        "answered": shown["answered"],
        "total": shown["total"],
        "saved": {question.field: question.raw for question in shown["questions"]},
    }
