"""Staff's home: Waiting on clients, each line with the one action that moves it on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from flask import Blueprint, flash, redirect, url_for
from werkzeug.wrappers import Response

from invites import nudge
from models import Client, Invite, db, unit_of_work, utc_now
from web.access_rules import staff_page
from web.staff.common import firm_view, page
from web.staff.waiting import Waiting, waiting_on_clients
from web.staff.way_back import came_from, leading_back
from workflows.registry import installed

bp = Blueprint("staff_home", __name__)

# kind -> (words, tone, what to do, how: post, link or window)
_KINDS = {
    "bounced": ("Mail bounced", "bad", "Change address", "link"),
    "not_sent": ("Mail not sent", "bad", "Resend invite", "post"),
    "overdue": ("Overdue", "bad", "Remind", "post"),
    "expired": ("Invite expired", "wait", "Resend invite", "post"),
    "declined": ("Declined", "idle", "Invite again", "window"),
    "unopened": ("Not opened yet", "wait", "Remind", "post"),
}


@dataclass(frozen=True)
class HomeLine:
    """One line as the page shows it."""

    title: str
    client: Client
    words: str
    tone: str
    at: datetime | date
    since: str  # what the day means: "due", "sent", ...
    action: str
    how: str
    url: str
    reminded: datetime | None = None  # within a day


@bp.get("/")
@staff_page
def home() -> str | Response:
    """What is waiting, over all clients of the member."""
    view = firm_view()
    found = waiting_on_clients(view)
    items = [one.item for one in found if one.item is not None]
    reachable, lately = nudge.reachable(items), nudge.reminded_lately(items)
    lines = [_line(one, reachable, lately) for one in found]
    has_clients = bool(lines) or db.session.scalar(sa.select(view.clients().exists()))
    return page("staff/home.html", nav="home", lines=lines, has_clients=has_clients)


_SINCE = {
    "bounced": "sent", "not_sent": "sent", "overdue": "due", "expired": "ended", "declined": "declined",
    "unopened": "sent",
}  # fmt: skip


def _line(one: Waiting, reachable: Collection[str], lately: Mapping[str, datetime]) -> HomeLine:
    words, tone, action, how = _KINDS[one.kind]
    reminded = None
    if one.item is not None:
        workflow = installed().get(one.item.workflow)
        title, reminded = one.item.title, lately.get(one.item.id)
        url = url_for("staff_home.remind", item_id=one.item.id)
        if one.item.id not in reachable:
            action, how = "Invite people", "window"
            url = url_for("staff_record.invite", client_id=one.client.id)
        elif reminded is not None:
            action, how, url = "Open", "link", url_for("staff_items.item", item_id=one.item.id)
        if workflow is not None:
            title = f"{title} ({workflow.kind_label.lower()})"
    elif one.invite is not None:
        title = one.invite.name or one.invite.email_display
        if one.kind in {"expired", "not_sent"} and one.invite.access_is_over(utc_now()):
            action, how = "Change the date", "link"
        url = leading_back(_invite_url(one.kind, one.invite), url_for("staff_home.home"))
    else:  # each line is about the one or the other
        raise ValueError(f"{one.kind} is about nothing")
    return HomeLine(title, one.client, words, tone, one.at, _SINCE[one.kind], action, how, url, reminded)


def _invite_url(kind: str, invite: Invite) -> str:
    if kind == "bounced":
        return url_for("staff_change_address.of_invite", invite_id=invite.id)
    if kind == "declined":
        person = invite.contact_id or invite.email_display
        return url_for("staff_record.invite", client_id=invite.client_id, person=person)
    if invite.access_is_over(utc_now()):
        return url_for("staff_access_until.of_invite", invite_id=invite.id)
    return url_for("staff_people.resend", invite_id=invite.id)


@bp.post("/items/<item_id>/remind")
@staff_page
def remind(item_id: str) -> Response:
    """Remind those this item waits for, each once a day at most."""
    view = firm_view()
    with unit_of_work():
        found = nudge.remind(view, view.item(item_id))
    flash(found.sentence, "success" if found.now else "warning")
    return redirect(came_from(url_for("staff_home.home")), 303)
