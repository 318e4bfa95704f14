"""Staff's home: Waiting on clients, each line with the one action that moves it on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from flask import Blueprint, url_for
from werkzeug.wrappers import Response

from models import Client, Invite, db
from web.access_rules import staff_page
from web.staff.common import firm_view, page
from web.staff.waiting import Waiting, waiting_on_clients
from workflows.registry import installed

bp = Blueprint("staff_home", __name__)

# kind -> (words, tone, what to do, how: post, link or window)
_KINDS = {
    "bounced": ("Mail bounced", "bad", "Change address", "link"),
    "not_sent": ("Mail not sent", "bad", "Resend invite", "post"),
    "overdue": ("Overdue", "bad", "Open", "link"),
    "expired": ("Invite expired", "wait", "Resend invite", "post"),
    "declined": ("Declined", "idle", "Invite again", "window"),
    "unopened": ("Not opened yet", "wait", "Open", "link"),
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


@bp.get("/")
@staff_page
def home() -> str | Response:
    """What is waiting, over all clients of the member."""
    view = firm_view()
    lines = [_line(one) for one in waiting_on_clients(view)]
    has_clients = bool(lines) or db.session.scalar(sa.select(view.clients().exists()))
    return page("staff/home.html", nav="home", lines=lines, has_clients=has_clients)


_SINCE = {
    "bounced": "sent", "not_sent": "sent", "overdue": "due", "expired": "ended", "declined": "declined",
    "unopened": "sent",
}  # fmt: skip


def _line(one: Waiting) -> HomeLine:
    words, tone, action, how = _KINDS[one.kind]
    if one.item is not None:
        workflow = installed().get(one.item.workflow)
        title, url = one.item.title, url_for("staff_items.item", item_id=one.item.id)
        if workflow is not None:
            title = f"{title} ({workflow.kind_label.lower()})"
    elif one.invite is not None:
        title = one.invite.name or one.invite.email_display
        url = _invite_url(one.kind, one.invite)
    else:  # each line is about the one or the other
        raise ValueError(f"{one.kind} is about nothing")
    return HomeLine(title, one.client, words, tone, one.at, _SINCE[one.kind], action, how, url)


def _invite_url(kind: str, invite: Invite) -> str:
    if kind == "bounced":
        return url_for("staff_change_address.of_invite", invite_id=invite.id)
    if kind == "declined":
        person = invite.contact_id or invite.email_display
        return url_for("staff_record.invite", client_id=invite.client_id, person=person)
    return url_for("staff_people.resend", invite_id=invite.id)
