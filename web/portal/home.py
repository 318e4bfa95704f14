"""Home and To-do: what waits for this person, over all their clients."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from models import WorkItem
from web.access_rules import portal_page
from web.portal.frame import frame
from web.portal.lines import before, lines, load, soonest_first, unopened

bp = Blueprint("portal_home", __name__, url_prefix="/portal")

TOP = 5  # lines of a list on Home
PAGE = 50  # lines of a list of its own
TO_DO_MOST = 200  # nobody reads more; what is due first is on it


@bp.get("/")
@portal_page
def home() -> str:
    """What is to do, the first of it, and the files not opened yet."""
    shown = frame()
    context = shown.context()
    to_do = load(soonest_first(shown.to_do()), TOP)
    files = shown.items().where(WorkItem.workflow == "file")
    fresh = load(before(unopened(files, shown.access_ids), None), TOP + 1)
    return render_template(
        "portal/home.html",
        to_do=lines(to_do, shown),
        new_files=lines(fresh[:TOP], shown),
        more_files=len(fresh) > TOP,
        endings=shown.endings(),
        **context,
    )


@bp.get("/todo")
@portal_page
def todo() -> str:
    """Everything that waits for this person; what is due first comes first. Below it what is done, newest first."""
    shown = frame()
    context = shown.context()
    to_do = load(soonest_first(shown.to_do()), TO_DO_MOST)
    waiting = {item.id for item in to_do}
    rest = shown.items().where(WorkItem.workflow != "file", WorkItem.id.not_in(waiting))
    done = load(before(rest, request.args.get("after")), PAGE + 1)
    return render_template(
        "portal/todo.html",
        to_do=[] if request.args.get("after") else lines(to_do, shown),
        done=lines(done[:PAGE], shown),
        next_after=done[PAGE - 1].id if len(done) > PAGE else None,
        further=bool(request.args.get("after")),
        **context,
    )
