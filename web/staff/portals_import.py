"""Import of clients and contacts from a CSV or Excel file: read, looked at line by line, then carried out as a job.

The lines wait in a draft of the job between the preview and its confirmation, so that what was looked at is what is
imported, whatever happens to the file.
"""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from invites import importing, job_import
from models import JobState, unit_of_work
from models.errors import Invalid, WrongState
from web.access_rules import permission
from web.staff.common import firm_view, page
from web.tables import read_table

bp = Blueprint("staff_portals_import", __name__)

SHOWN = 200  # lines of the preview; all that is wrong is counted


@bp.get("/portals/import")
@permission("import")
def upload() -> str:
    """Choose a file."""
    return _form({})


@bp.post("/portals/import")
@permission("import")
def read() -> str | Response | tuple[str, int]:
    """Read the file, keep its lines as a draft, and show what would happen to each."""
    view = firm_view()
    try:
        lines = read_table(_chosen(request.files.get("file")), importing.NEEDED)
    except Invalid as error:
        return _form(error.fields), 422
    with unit_of_work():
        job_id = job_import.draft(view, lines, request.files["file"].filename or "").id
    return redirect(url_for("staff_portals_import.look", job_id=job_id), 303)


@bp.get("/portals/import/<job_id>")
@permission("import")
def look(job_id: str) -> str | Response:
    """What would happen to each line; nothing is done yet."""
    view = firm_view()
    job = view.job(job_id)
    if job.state is not JobState.DRAFT:
        return redirect(url_for("staff_portals_bulk.job", job_id=job_id))
    lines = job_import.plan(view, job)
    counts = {word: sum(line.outcome == word for _, _, line in lines) for word in importing.OUTCOMES}
    unusual = [found for found in lines if found[2].outcome != importing.ADDED]
    return page(
        "staff/portals_import.html",
        nav="portals",
        job=job,
        counts=counts,
        lines=(unusual or lines)[:SHOWN],
        unusual=bool(unusual),
        more=max(0, len(unusual or lines) - SHOWN),
        errors={},
    )


@bp.post("/portals/import/<job_id>")
@permission("import")
def confirm(job_id: str) -> Response:
    """Import what was looked at."""
    view = firm_view()
    with unit_of_work():
        job = view.job(job_id)
        if job.state is not JobState.DRAFT:
            raise WrongState("This import was started already.")
        job_import.confirm(job)
    return redirect(url_for("staff_portals_bulk.job", job_id=job_id), 303)


def _form(errors: dict[str, list[str]]) -> str:
    return page("staff/portals_import.html", nav="portals", job=None, errors=errors)


def _chosen(file: FileStorage | None) -> FileStorage:
    if file is None or not file.filename:
        raise Invalid({"file": ["Choose a CSV or Excel file."]})
    return file
