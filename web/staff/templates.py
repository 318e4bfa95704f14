"""Templates: texts for the personal message, and surveys to start a client request from."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

import config
from invites.scope import FirmView
from mail import placeholders
from mail.preview import Preview, preview
from models import MessageTemplate, SurveyTemplate, db, new_id, unit_of_work, utc_now
from models.errors import Invalid, Missing
from schemas.client_request import ClientRequestSchema
from schemas.questions import TYPES
from schemas.records import MessageTemplateSchema
from web.access_rules import staff_page
from web.forms import field_errors
from web.staff import once
from web.staff.common import checked, firm_view, page
from web.staff.record import INVITED
from web.staff.sending import rows_button, without_idle_choices
from workflows.client_request import templates as surveys
from workflows.registry import installed

bp = Blueprint("staff_templates", __name__)

PERMISSION = "templates"  # for what the whole firm uses; what is only for oneself anybody may write
_SURVEY = ("title", "introduction", "questions")


@bp.get("/templates")
@staff_page
def templates() -> str:
    """Both kinds of templates."""
    view = firm_view()
    names = {workflow.slug: workflow.plural for workflow in installed()}
    return page(
        "staff/templates.html",
        nav="templates",
        messages=list(db.session.scalars(view.message_templates())),
        surveys=list(db.session.scalars(view.survey_templates())),
        workflow_names=names,
        may_share=view.member.may(PERMISSION),
    )


@bp.route("/templates/messages/new", methods=["GET", "POST"])
@staff_page
def add_message() -> str | Response | tuple[str, int]:
    """Write a message template."""
    view = firm_view()
    if request.method == "GET":
        return _message_page(view, {}, {}, None)
    typed, data, errors = _checked_message(view)
    if errors or _is_preview():
        return _message_page(view, typed, _shown(errors), None), 200 if _is_preview() else 422
    text = f"{data['name']} is kept."
    with unit_of_work() as session:
        once.claim(view.member).leads_to(url_for("staff_templates.templates"), text)
        session.add(
            MessageTemplate(id=new_id(), firm_id=view.firm_id, created_at=utc_now(), **_columns(view, data))
        )
    flash(text, "success")
    return redirect(url_for("staff_templates.templates"), 303)


@bp.route("/templates/messages/<template_id>", methods=["GET", "POST"])
@staff_page
def edit_message(template_id: str) -> str | Response | tuple[str, int]:
    """Change a message template."""
    view = firm_view()
    row = _own_message(view, template_id)
    if request.method == "GET":
        typed = {
            "name": row.name, "body": row.body, "workflow": row.workflow or "", "mine": row.owner_id is not None,
        }  # fmt: skip
        return _message_page(view, typed, {}, row)
    typed, data, errors = _checked_message(view)
    if errors or _is_preview():
        return _message_page(view, typed, _shown(errors), row), 200 if _is_preview() else 422
    with unit_of_work():
        row = _message(view, template_id)
        for name, value in _columns(view, data).items():
            setattr(row, name, value)
    flash(f"{data['name']} is changed.", "success")
    return redirect(url_for("staff_templates.templates"), 303)


@bp.get("/templates/messages/<template_id>/delete")
@staff_page
def ask_delete_message(template_id: str) -> str:
    """Ask before a message template goes."""
    view = firm_view()
    row = _own_message(view, template_id)
    return page(
        "staff/confirm.html",
        nav="templates",
        title=f"Delete the template {row.name}?",
        text="The Client Portal window offers it no longer. Mails and invites that hold its text stay as they are, and"
        " the numbers by template go on naming it.",
        points=[],
        action=url_for("staff_templates.delete_message", template_id=template_id),
        button="Delete",
        cancel_url=url_for("staff_templates.edit_message", template_id=template_id),
    )


@bp.post("/templates/messages/<template_id>/delete")
@staff_page
def delete_message(template_id: str) -> Response:
    """Delete a message template."""
    view = firm_view()
    with unit_of_work() as session:
        row = _own_message(view, template_id)
        name = row.name
        session.delete(row)
    flash(f"{name} is deleted.", "success")
    return redirect(url_for("staff_templates.templates"), 303)


@bp.route("/templates/surveys/new", methods=["GET", "POST"])
@staff_page
def add_survey() -> str | Response | tuple[str, int]:
    """Write a survey template."""
    view = firm_view()
    view.need_permission(PERMISSION)
    if request.method == "GET":
        return _survey_page({}, {}, None)
    return _save_survey(view, None)


@bp.route("/templates/surveys/<template_id>", methods=["GET", "POST"])
@staff_page
def edit_survey(template_id: str) -> str | Response | tuple[str, int]:
    """Change a survey template. Client requests that were sent keep the questions they were sent with."""
    view = firm_view()
    row = surveys.one(view, template_id)
    view.need_permission(PERMISSION)
    if request.method == "GET":
        return _survey_page(surveys.as_data(row), {}, row)
    return _save_survey(view, row)


def _save_survey(view: FirmView, row: SurveyTemplate | None) -> str | Response | tuple[str, int]:
    workflow = installed().get("client-request")
    if workflow is None:
        raise Missing()
    schema = ClientRequestSchema(only=_SURVEY)
    typed, data, errors = checked(schema, without_idle_choices(request.form))
    changed = rows_button(view, workflow, typed)
    if changed is not None:
        return _survey_page(changed, {}, row)
    if errors:
        return _survey_page(typed, errors, row), 422
    text = f"{data['title']} is kept."
    with unit_of_work():
        if row is None:
            once.claim(view.member).leads_to(url_for("staff_templates.templates"), text)
            surveys.keep(view, typed)
        else:
            row = surveys.one(view, row.id)
            for name in _SURVEY:
                setattr(row, name, data[name])
    flash(text, "success")
    return redirect(url_for("staff_templates.templates"), 303)


def _message(view: FirmView, template_id: str) -> MessageTemplate:
    row = db.session.scalars(view.message_templates().where(MessageTemplate.id == template_id)).one_or_none()
    if row is None:
        raise Missing()
    return row


def _own_message(view: FirmView, template_id: str) -> MessageTemplate:
    """One that the member may change. Raises Missing, or PermissionMissing for the firm's."""
    row = _message(view, template_id)
    if row.owner_id is None:
        view.need_permission(PERMISSION)
    return row


def _is_preview() -> bool:
    return request.form.get("do") == "preview"


def _shown(errors: dict[str, list[str]]) -> dict[str, list[str]]:
    """While it is still written only what is wrong with the message itself is said."""
    if not _is_preview():
        return errors
    return {"body": errors["body"]} if "body" in errors and request.form.get("body", "").strip() else {}


def _checked_message(view: FirmView) -> tuple[dict[str, Any], dict[str, Any], dict[str, list[str]]]:
    typed, data, errors = checked(MessageTemplateSchema(), request.form)
    try:
        placeholders.check(str(typed.get("body") or "").replace("\r\n", "\n"), "body")
    except Invalid as error:
        errors = {**errors, **field_errors(error.fields)}
    if data:
        if (
            data["workflow"]
            and installed().get(data["workflow"]) is None
            and data["workflow"] != "client-record"
        ):
            errors = {**errors, "workflow": ["Choose one of the list."]}
        if not data["mine"] and not view.member.may(PERMISSION):
            sentence = "You may not change the firm's templates. Tick this to keep it for yourself."
            errors = {**errors, "mine": [sentence]}
    return typed, data, errors


def _columns(view: FirmView, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": data["name"],
        "body": data["body"],
        "workflow": data["workflow"] or None,
        "owner_id": view.member.id if data["mine"] else None,
    }


def _message_page(
    view: FirmView, typed: dict[str, Any], errors: dict[str, list[str]], row: MessageTemplate | None
) -> str:
    choices = [
        ("client-record", "Inviting from the record"),
        *((one.slug, one.plural) for one in installed()),
    ]
    return page(
        "staff/message_template.html",
        nav="templates",
        schema=MessageTemplateSchema(),
        typed=typed,
        errors=errors,
        template=row,
        workflow_choices=choices,
        placeholders=placeholders.PLACEHOLDERS,
        preview=_preview(view, typed),
        may_share=view.member.may(PERMISSION),
    )


def _preview(view: FirmView, typed: dict[str, Any]) -> Preview:
    """The real mail with this message, to a person who doesn't exist."""
    firm, now = view.member.firm, utc_now()
    workflow = installed().get(str(typed.get("workflow") or ""))
    due_on = now.date() + timedelta(days=21)
    return preview(
        firm,
        view.member,
        what=workflow.what if workflow else INVITED,
        name="Ada Byron",
        address="ada@byron.example",
        client_name="Byron Family",
        message=str(typed.get("body") or ""),
        expires_at=now + timedelta(days=firm.invite_days or config.current().invite_days),
        item_title="Tax organizer" if workflow else "",
        item_due_on=due_on if workflow else None,
    )


def _survey_page(typed: dict[str, Any], errors: dict[str, list[str]], row: SurveyTemplate | None) -> str:
    return page(
        "staff/survey_template.html",
        nav="templates",
        typed=typed,
        errors=errors,
        template=row,
        question_types={kind.name: kind.label for kind in TYPES.values()},
    )
