"""Drafts: a client request that is kept and not sent. The client sees nothing of it, and nothing is fired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invites.orders import InviteOrder
from invites.scope import FirmView
from models import Client, WorkItem, utc_now
from models.errors import WrongState
from workflows.client_request.declaration import CLIENT_REQUEST
from workflows.sending import Sent, fire


def keep(view: FirmView, client: Client, data: Mapping[str, Any]) -> WorkItem:
    """Keep a draft within the open unit of work. Raises LicenceMissing."""
    view.need_licence(CLIENT_REQUEST.licence, CLIENT_REQUEST.plural)
    return CLIENT_REQUEST.new_item(view, client, data, status="draft")


def change(view: FirmView, item: WorkItem, data: Mapping[str, Any]) -> None:
    """Put other contents into a draft, within the open unit of work. Raises WrongState once it was sent."""
    _hold(item, "draft")
    _fill(item, data)


def send_draft(view: FirmView, item: WorkItem, data: Mapping[str, Any], order: InviteOrder | None) -> Sent:
    """Send a draft with these contents, within the open unit of work. Raises LicenceMissing, WrongState."""
    view.need_licence(CLIENT_REQUEST.licence, CLIENT_REQUEST.plural)
    _hold(item, "sent")
    _fill(item, data)
    item.visible, item.open, item.sent_at = True, True, utc_now()
    results = fire(CLIENT_REQUEST, view, item.client, [item], order, CLIENT_REQUEST.notify(data))
    return Sent([item], results)


def _hold(item: WorkItem, status: str) -> None:
    if not CLIENT_REQUEST.move(item, ["draft"], status):
        raise WrongState("This client request was sent already. Open it to see how it stands.")


def _fill(item: WorkItem, data: Mapping[str, Any]) -> None:
    item.title, item.due_on = data["title"], data.get("due_on")
    item.details = {"introduction": data.get("introduction", ""), "questions": data.get("questions", [])}
