"""What the API answers: the shapes of the contract, for dumping and for OpenAPI."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import marshmallow as ma
from marshmallow import fields


def moment_text(value: datetime) -> str:
    """A moment as RFC 3339 text in UTC with `Z`."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: date) -> str:
    """A moment or a day as answers show it, for `json.dumps(default=...)`."""
    return moment_text(value) if isinstance(value, datetime) else value.isoformat()


class Moment(fields.Field[datetime]):
    """A moment as RFC 3339 text in UTC with `Z`."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else moment_text(value)


class ContactAnswer(ma.Schema):
    """A person on a client's record."""

    id = fields.String()
    name = fields.String()
    email = fields.String(attribute="email_display", allow_none=True)


class ClientAnswer(ma.Schema):
    """A client with its contacts."""

    id = fields.String()
    name = fields.String()
    external_id = fields.String(allow_none=True)
    contacts = fields.List(fields.Nested(ContactAnswer))
    created_at = Moment()


class PersonAnswer(ma.Schema):
    """One row of the Client Portal window."""

    contact_id = fields.String(allow_none=True)
    name = fields.String()
    email = fields.String(allow_none=True)
    shared_mailbox_with = fields.String(allow_none=True)
    standing = fields.String()
    standing_text = fields.String()
    can_invite = fields.Boolean()
    preselected = fields.Boolean()
    can_see = fields.String(metadata={"enum": ["portal", "item"]})


class InviteStepAnswer(ma.Schema):
    """What the Client Portal window would show for this client and workflow."""

    client_id = fields.String()
    workflow = fields.String()
    opens = fields.Boolean()
    people = fields.List(fields.Nested(PersonAnswer))


class ItemLinkAnswer(ma.Schema):
    """A work item an invite leads to."""

    type = fields.String()
    id = fields.String()
    title = fields.String()


class InviterAnswer(ma.Schema):
    """Who invited."""

    name = fields.String()
    email = fields.String()


class DeliveryAnswer(ma.Schema):
    """How the latest mail of an invite fares."""

    state = fields.String()
    attempts = fields.Integer()
    sent_at = Moment()
    next_attempt_at = Moment()
    error = fields.String(allow_none=True)


class InviteAnswer(ma.Schema):
    """An invite. Never a token or a link."""

    id = fields.String()
    client_id = fields.String()
    client_name = fields.String()
    email = fields.String()
    name = fields.String()
    state = fields.String(metadata={"enum": ["pending", "accepted", "declined", "revoked"]})
    expired = fields.Boolean()
    standing = fields.String()
    workflow = fields.String()
    items = fields.List(fields.Nested(ItemLinkAnswer))
    message = fields.String()
    metadata = fields.Dict()
    created_at = Moment()
    expires_at = Moment()
    accepted_at = Moment()
    invited_by = fields.Nested(InviterAnswer)
    access_until = fields.Date(
        allow_none=True, metadata={"description": "the last day of the access that accepting brings"}
    )
    template = fields.String(
        allow_none=True, metadata={"description": "name of the message template whose text was inserted"}
    )
    sends = fields.Integer()
    delivery = fields.Nested(DeliveryAnswer, allow_none=True)


class InviteResultAnswer(ma.Schema):
    """What came of one recipient."""

    email = fields.String()
    outcome = fields.String()
    reason = fields.String()
    invite = fields.Nested(InviteAnswer, allow_none=True)


class InviteResultsAnswer(ma.Schema):
    """What came of each recipient, in their order."""

    results = fields.List(fields.Nested(InviteResultAnswer))


class ExplainStepAnswer(ma.Schema):
    """One link of the chain."""

    check = fields.String(
        metadata={
            "enum": [
                "invited", "mail_delivered", "accepted", "access_active", "item_visible", "item_visible_to_them",
                "licence",
            ]
        }
    )  # fmt: skip
    ok = fields.Boolean()
    text = fields.String()
    fix = fields.String(
        allow_none=True,
        metadata={
            "enum": [
                "invite", "resend", "change_address", "change_date", "restore", "make_visible", "grant", "licence",
                None,
            ],
            "description": "what mends it; null where it holds, or follows from an earlier link",
        },
    )  # fmt: skip


class ExplanationAnswer(ma.Schema):
    """Whether a person sees an item, and the chain of yes and no behind it."""

    can_see = fields.Boolean()
    steps = fields.List(fields.Nested(ExplainStepAnswer))


class AccessAnswer(ma.Schema):
    """A person's access to a client's portal."""

    id = fields.String()
    client_id = fields.String()
    email = fields.String()
    name = fields.String()
    state = fields.String(metadata={"enum": ["active", "suspended", "removed"]})
    access_until = fields.Date(allow_none=True, metadata={"description": "the last day, by the firm's clock"})
    ended = fields.Boolean(metadata={"description": "active by its state, but the last day is over"})
    scope = fields.String(metadata={"enum": ["portal", "items"]})
    last_login_at = Moment()
    accepted_at = Moment()


class ItemAnswer(ma.Schema):
    """A work item; its workflow adds fields of its own."""

    id = fields.String()
    type = fields.String()
    client_id = fields.String()
    title = fields.String()
    status = fields.String()
    due_on = fields.String(allow_none=True)
    created_at = Moment()
    sent_at = Moment()
    invite_results = fields.List(fields.Nested(InviteResultAnswer))

    @ma.post_dump(pass_original=True)
    def _own_fields(self, data: dict[str, Any], original: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return data | original.get("own", {})


class ProblemAnswer(ma.Schema):
    """Problem details (RFC 9457)."""

    type = fields.String()
    title = fields.String()
    status = fields.Integer()
    code = fields.String()
    detail = fields.String()
    errors = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))


@cache
def page_of(schema: type[ma.Schema]) -> type[ma.Schema]:
    """The schema of one page of a list: `{"items": [...], "next_cursor": null}`."""
    name = schema.__name__.removesuffix("Answer") + "Page"
    made: type[ma.Schema] = ma.Schema.from_dict(
        {"items": fields.List(fields.Nested(schema)), "next_cursor": fields.String(allow_none=True)},
        name=name,
    )
    return made
