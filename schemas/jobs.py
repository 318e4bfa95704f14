"""Bulk actions: the form of the preview, the API's body, query and answers."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from models import JobAction
from schemas.answers import Moment
from schemas.base import Strict, Text
from schemas.invites import MESSAGE_MOST

IDS_MOST = 5000
ACTIONS = [action.value for action in JobAction if action is not JobAction.IMPORT]
SHOWS = [
    "", "invited", "logged-in", "expiring", "expired", "bounced", "declined", "removed", "ended", "no-email",
]  # fmt: skip


class BulkFormSchema(Strict):
    """What is chosen beside the preview."""

    message = Text(most=MESSAGE_MOST, long=True, load_default="")
    days = fields.Integer(
        allow_none=True,
        load_default=None,
        validate=validate.Range(1, 90, error="Choose 1 to 90 days."),
        error_messages={"invalid": "Enter a number of days, 1 to 90."},
    )


class PortalFilter(Strict):
    """Which rows of Manage Client Portals."""

    tab = fields.String(
        load_default="with",
        validate=validate.OneOf(["with", "without"], error="Choose with or without."),
        metadata={"description": "people with portal access or an invite, or clients without"},
    )
    show = fields.String(
        load_default="",
        validate=validate.OneOf(SHOWS, error=f"Choose one of {', '.join(SHOWS[1:])}, or nothing for all."),
    )
    q = Text(most=200, load_default="", metadata={"description": "beginnings of words of a name or address"})

    @ma.validates_schema
    def _fits(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data.get("tab") == "without" and data.get("show") not in {"", "no-email"}:
            raise ma.ValidationError("Clients without portals are filtered by no-email alone.", "show")


class BulkBody(Strict):
    """One action on many rows: by a filter, or by ids."""

    action = fields.String(
        required=True, validate=validate.OneOf(ACTIONS, error=f"Choose one of {', '.join(ACTIONS)}.")
    )
    filter = fields.Nested(PortalFilter)
    ids = fields.List(
        fields.String(),
        validate=validate.Length(1, IDS_MOST, error="Give 1 to 5,000 ids, or a filter."),
        metadata={
            "description": "ids of invites; of clients for `invite` (their primary contacts), of accesses for `remove`"
        },
    )
    message = Text(most=MESSAGE_MOST, long=True, load_default="")
    days = fields.Integer(
        strict=True,
        allow_none=True,
        load_default=None,
        validate=validate.Range(1, 90, error="Choose 1 to 90 days."),
    )

    @ma.validates_schema
    def _one_of_both(self, data: dict[str, Any], **kwargs: Any) -> None:
        if ("filter" in data) == ("ids" in data):
            raise ma.ValidationError("Give either a filter or ids.", "filter")


class JobAnswer(ma.Schema):
    """A job and how far it is."""

    id = fields.String()
    action = fields.String()
    state = fields.String(metadata={"description": "queued, running or done"})
    total = fields.Integer()
    done = fields.Integer(metadata={"description": "rows dealt with, whatever came of them"})
    not_done = fields.Integer(metadata={"description": "of these: rows that could not be done"})
    results_url = fields.String(metadata={"description": "a JSON list of what came of each row"})
    created_at = Moment()
    finished_at = Moment(allow_none=True)


class JobPlan(ma.Schema):
    """What an action would do (`dry_run`)."""

    total = fields.Integer()
    mails = fields.Integer()
    acts = fields.Integer(metadata={"description": "rows to which something would happen"})
    lines = fields.List(fields.Dict(keys=fields.String()))


class JobRowAnswer(ma.Schema):
    """What came of one row."""

    number = fields.Integer()
    who = fields.String()
    client_id = fields.String(allow_none=True)
    invite_id = fields.String(allow_none=True)
    access_id = fields.String(allow_none=True)
    outcome = fields.String()
    reason = fields.String()
