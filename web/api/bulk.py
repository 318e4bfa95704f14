"""Bulk actions and their jobs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import jsonify, url_for

from invites import bulk
from invites.bulk import Target
from invites.portals import PortalQuery
from models import Job, JobAction, JobItem, db, unit_of_work
from models.errors import Invalid
from schemas.answers import page_of
from schemas.api import DryRunQuery, ListQuery
from schemas.jobs import BulkBody, JobAnswer, JobPlan, JobRowAnswer
from web.api.common import Call, blueprint, view

blp = blueprint("api-bulk", "Actions on many rows, carried out as jobs")


@blp.route("/invites/bulk")
class Bulk(Call):
    """One action on many rows."""

    @blp.arguments(DryRunQuery, location="query")
    @blp.arguments(BulkBody)
    @blp.response(202, JobAnswer)
    @blp.alt_response(200, schema=JobPlan)
    def post(self, query: dict[str, Any], body: dict[str, Any]) -> Any:
        """Invite, resend, revoke, extend or remove many at once; needs the permission `bulk`"""
        firm, action = view(), JobAction(body["action"])
        target = _target(body)
        params = {"message": body["message"], "days": body["days"]}
        if query["dry_run"]:
            plan = bulk.preview(firm, action, target)
            lines = [{"count": number, "text": words} for number, words in plan.lines]
            found = {"total": plan.total, "mails": plan.mails, "acts": plan.acts, "lines": lines}
            return jsonify(JobPlan().dump(found))
        with unit_of_work():
            job = bulk.start(firm, action, target, params)
            answer = shown(job)
        return answer, 202


@blp.route("/jobs/<job_id>")
class OneJob(Call):
    """One job."""

    @blp.response(200, JobAnswer)
    def get(self, job_id: str) -> dict[str, Any]:
        """Get a job: how far it is"""
        return shown(view().job(job_id))


@blp.route("/jobs/<job_id>/results")
class JobResults(Call):
    """What came of each row."""

    @blp.arguments(ListQuery, location="query")
    @blp.response(200, page_of(JobRowAnswer))
    def get(self, query: dict[str, Any], job_id: str) -> dict[str, Any]:
        """List what came of each row of a job"""
        job = view().job(job_id)
        statement = sa.select(JobItem).where(JobItem.job_id == job.id).order_by(JobItem.number)
        if query["cursor"] is not None:
            statement = statement.where(JobItem.number > _number(query["cursor"]))
        rows = list(db.session.scalars(statement.limit(query["limit"] + 1)))
        more = len(rows) > query["limit"]
        rows = rows[: query["limit"]]
        items = [
            {
                "number": row.number,
                "who": row.who,
                "client_id": row.client_id,
                "invite_id": row.invite_id,
                "access_id": row.access_id,
                "outcome": row.outcome.value,
                "reason": row.reason,
            }
            for row in rows
        ]
        return {"items": items, "next_cursor": str(rows[-1].number) if more else None}


def shown(job: Job) -> dict[str, Any]:
    """A job as the API tells it."""
    return {
        "id": job.id,
        "action": job.action.value,
        "state": job.state.value,
        "total": job.total,
        "done": job.done,
        "not_done": job.refused,
        "results_url": url_for("api-bulk.JobResults", job_id=job.id, _external=False),
        "created_at": job.created_at,
        "finished_at": job.finished_at,
    }


def _target(body: dict[str, Any]) -> Target:
    if "ids" in body:
        return Target(api_ids=tuple(dict.fromkeys(body["ids"])))
    chosen = body["filter"]
    return Target(PortalQuery.read({"tab": chosen["tab"], "show": chosen["show"], "q": chosen["q"]}))


def _number(cursor: str) -> int:
    if not cursor.isdecimal() or len(cursor) > 9:
        raise Invalid({"cursor": ["This is not a cursor of ours. Leave it out to begin anew."]})
    return int(cursor)
