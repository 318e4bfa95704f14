"""Bulk actions: ask with a preview, start the job, follow it, read and download what came of each row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, flash, redirect, request, stream_with_context, url_for
from werkzeug.wrappers import Response

import config
from invites import bulk
from invites.bulk import ACTIONS, Preview, Target
from invites.bulk_run import INVITED
from invites.portals import PortalQuery
from invites.scope import FirmView
from invites.step import RECORD
from mail import outbox
from mail.preview import Preview as MailPreview
from mail.preview import preview as mail_preview
from models import (
    JobAction,
    JobItem,
    JobState,
    MailKind,
    MessageTemplate,
    RowOutcome,
    db,
    unit_of_work,
    utc_now,
)
from models.errors import Invalid, Missing
from schemas.base import load
from schemas.jobs import BulkFormSchema
from web.access_rules import permission, staff_page
from web.safe_cells import harmless
from web.staff import once
from web.staff.common import firm_view, page
from web.staff.window_form import templates_for

bp = Blueprint("staff_portals_bulk", __name__)

ROWS = 100  # results on a page
CHUNK = 1000
WITH_MESSAGE = (JobAction.INVITE, JobAction.RESEND)
WITH_DAYS = (JobAction.INVITE, JobAction.RESEND, JobAction.EXTEND)
TITLES = {
    JobAction.INVITE: "Invite the primary contacts?",
    JobAction.RESEND: "Resend these invites?",
    JobAction.EXTEND: "Extend these invites?",
    JobAction.REVOKE: "Revoke these invites?",
    JobAction.REMOVE: "Remove access of these people?",
}
OUTCOMES = {
    RowOutcome.WAITING: ("Waiting", "wait"),
    RowOutcome.DONE: ("Done", "good"),
    RowOutcome.SKIPPED: ("Nothing to do", "idle"),
    RowOutcome.REFUSED: ("Not done", "bad"),
    RowOutcome.FAILED: ("Failed", "bad"),
}


@bp.get("/portals/bulk")
@permission(bulk.PERMISSION)
def ask() -> str | Response:
    """What the chosen action would do to the chosen rows, before anything is done."""
    view, action = firm_view(), _action(request.args.get("action", ""))
    target = _target(request.args)
    if target is None:
        flash("Select somebody first, or choose all that match.", "warning")
        return redirect(url_for("staff_portals.portals", **PortalQuery.read(request.args).values()))
    return _page(view, action, target, {}, {})


@bp.post("/portals/bulk")
@permission(bulk.PERMISSION)
def act() -> str | Response | tuple[str, int]:
    """`do=test`: a mail to oneself. `do=start`: write the job and go to its page."""
    view, action = firm_view(), _action(request.form.get("action", ""))
    target = _target(request.form)
    if target is None:
        raise Invalid({"pick": ["Select somebody first."]}, "Nobody is selected.")
    message = request.form.get("message", "")
    typed = {"message": message, "days": request.form.get("days", "") or None}
    found = {one.id: one for one in templates_for(view, RECORD)} if action in WITH_MESSAGE else {}
    used = found.get(request.form.get("template_id", ""))
    if request.form.get("do") == "insert":
        used = found.get(request.form.get("template", "")) or used
        body = used.body if used is not None and request.form.get("template") else ""
        typed["message"] = "\n\n".join(text for text in (message.strip(), body) if text)
        return _page(view, action, target, typed, {}, used)
    try:
        params = load(BulkFormSchema(), typed)
        problem = _mail(view, params).problem if action in WITH_MESSAGE else ""
        if problem:
            raise Invalid({"message": [problem]})
    except Invalid as error:
        return _page(view, action, target, typed, error.fields, used), 422
    if request.form.get("do") == "test":
        with unit_of_work():
            _send_test(view, params)
        flash(f"A test is on its way to {view.member.login.email_display}.", "success")
        return _page(view, action, target, typed, {}, used)
    if used is not None and params["message"]:
        params["template"] = [used.id, used.name]
    with unit_of_work():
        claim = once.claim(view.member)
        job = bulk.start(view, action, target, params)
        url = claim.leads_to(url_for("staff_portals_bulk.job", job_id=job.id), "")
    return redirect(url, 303)


def _page(
    view: FirmView,
    action: JobAction,
    target: Target,
    typed: dict[str, Any],
    errors: Any,
    used: MessageTemplate | None = None,
) -> str:
    found: Preview = bulk.preview(view, action, target)
    picks = [("pick", one) for one in target.ids] or [("all", "1")]
    days = typed.get("days") or view.member.firm.invite_days or config.current().invite_days
    return page(
        "staff/portals_bulk.html",
        nav="portals",
        action=ACTIONS[action],
        title=TITLES[action],
        preview=found,
        hidden=[("action", action.value), *target.query.values().items(), *picks],
        typed={"message": typed.get("message", ""), "days": days},
        errors=errors,
        with_message=action in WITH_MESSAGE,
        templates=[(one.id, one.name) for one in templates_for(view, RECORD)],
        template_id=used.id if used else "",
        with_days=action in WITH_DAYS,
        ends=action in {JobAction.REVOKE, JobAction.REMOVE},
        back=url_for("staff_portals.portals", **target.query.values()),
    )


def _action(typed: str) -> JobAction:
    if typed not in TITLES:
        raise Missing()
    return JobAction(typed)


def _target(values: Any) -> Target | None:
    """The chosen rows; None where nothing was chosen."""
    query = PortalQuery.read(values)
    picks = tuple(dict.fromkeys(values.getlist("pick")))[:1000]
    if values.get("all") == "1":
        return Target(query)
    return Target(query, picks) if picks else None


def _mail(view: FirmView, params: dict[str, Any]) -> MailPreview:
    member = view.member
    days = params["days"] or member.firm.invite_days or config.current().invite_days
    return mail_preview(
        member.firm,
        member,
        what=INVITED,
        name=member.name,
        address=member.login.email_display,
        client_name="(the client's name)",
        message=params["message"],
        expires_at=utc_now() + timedelta(days=days),
    )


def _send_test(view: FirmView, params: dict[str, Any]) -> None:
    """The mail's words to oneself. It carries no link: there is no invite behind it."""
    mail, login = _mail(view, params), view.member.login
    outbox.enqueue(
        MailKind.STAFF_NOTICE,
        to_email=login.email,
        to_name=login.name,
        firm_id=view.firm_id,
        params={
            "subject": f"Test: {mail.subject}",
            "paragraphs": [
                "This is a test of the mail you are about to send.",
                *mail.paragraphs,
                mail.footer,
            ],
        },
    )


# The job ------------------------------------------------------------------------------------------------------------


@bp.get("/portals/jobs/<job_id>")
@staff_page
def job(job_id: str) -> str:
    """How far a job is and what came of its rows. Loads itself again while it runs; without a script by reloading."""
    found = firm_view().job(job_id)
    only = request.args.get("only") == "not-done"
    try:
        after = int(request.args.get("after", "0"))
    except ValueError as error:
        raise Missing() from error
    statement = (
        sa.select(JobItem)
        .where(JobItem.job_id == found.id, JobItem.number > after)
        .order_by(JobItem.number)
        .limit(ROWS + 1)
    )
    if only:
        statement = statement.where(JobItem.outcome.in_([RowOutcome.REFUSED, RowOutcome.FAILED]))
    rows = list(db.session.scalars(statement))
    values: dict[str, Any] = {"job_id": job_id, "only": "not-done" if only else None}
    here = url_for("staff_portals_bulk.job", **values)
    return page(
        "staff/portals_job.html",
        nav="portals",
        job=found,
        title=bulk.title(found),
        note=bulk.note(found),
        is_done=found.state is JobState.DONE,
        rows=[(row, *OUTCOMES[row.outcome]) for row in rows[:ROWS]],
        more=url_for("staff_portals_bulk.job", **values, after=rows[ROWS - 1].number)
        if len(rows) > ROWS
        else None,
        here=here,
        chips=_chips(job_id, only),
    )


def _chips(job_id: str, only: bool) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "url": url_for("staff_portals_bulk.job", job_id=job_id, only=key),
            "current": only is chosen,
        }
        for label, key, chosen in (("All rows", None, False), ("Not done", "not-done", True))
    ]


@bp.get("/portals/jobs/<job_id>/results.csv")
@staff_page
def results(job_id: str) -> Response:
    """Every row's result as a table, streamed."""
    found = firm_view().job(job_id)

    def lines() -> Iterator[str]:
        yield "\ufeff" + _line("Row", "Who", "Result", "Why")
        after = 0
        while True:
            rows = list(
                db.session.scalars(
                    sa.select(JobItem)
                    .where(JobItem.job_id == job_id, JobItem.number > after)
                    .order_by(JobItem.number)
                    .limit(CHUNK)
                )
            )
            if not rows:
                return
            after = rows[-1].number
            yield "".join(
                _line(str(row.number), row.who, OUTCOMES[row.outcome][0], row.reason) for row in rows
            )
            db.session.expunge_all()

    name = f"{found.action.value}-results.csv"
    answer = Response(stream_with_context(lines()), mimetype="text/csv")
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    return answer


def _line(*cells: str) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([harmless(cell) for cell in cells])
    return out.getvalue()
