"""The order of the Client Portal window, as the API takes it and as the window's form is turned into."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from schemas.base import Strict, Text

MESSAGE_MOST = 2000
RECIPIENTS_MOST = 1000


class RecipientSchema(Strict):
    """One recipient: a contact's id or an address. A bad address is an outcome of its own, not a refusal of all."""

    contact_id = fields.String(metadata={"description": "id of a contact on the client's record"})
    email = fields.String(metadata={"description": "an address; the person becomes a contact"})
    name = Text(most=200, load_default="")
    can_see = fields.String(
        validate=validate.OneOf(["portal", "item"], error="Choose portal or item."),
        metadata={
            "description": "whole portal (default for contacts) or only this item (default for added people)"
        },
    )

    @ma.validates_schema
    def _one_of_both(self, data: dict[str, Any], **kwargs: Any) -> None:
        if not data.get("contact_id") and "email" not in data:
            raise ma.ValidationError("Give an email or a contact_id.", "email")


class ChangeAddressSchema(Strict):
    """Where an invite should go instead."""

    email = Text(
        most=320,
        required=True,
        metadata={"label": "New address", "description": "the address the person is invited by instead"},
    )


class AccessUntilSchema(Strict):
    """A day after which access ends."""

    access_until = fields.Date(
        required=True,
        error_messages={
            "required": "Choose a day.", "null": "Choose a day.", "invalid": "Enter a date such as 2026-12-31.",
        },
        metadata={"label": "Access until"},
    )  # fmt: skip


class AccessUntilBody(Strict):
    """A day after which access ends; null for none."""

    access_until = fields.Date(
        required=True,
        allow_none=True,
        error_messages={"required": "Give a date or null.", "invalid": "Enter a date such as 2026-12-31."},
        metadata={"description": "the last day of the access, by the firm's clock; null to let it last"},
    )


class InviteOrderSchema(Strict):
    """Whom to invite, with what words."""

    recipients = fields.List(
        fields.Nested(RecipientSchema),
        required=True,
        validate=validate.Length(1, RECIPIENTS_MOST, error="Tick at least one person (at most 1,000)."),
        error_messages={"required": "Tick at least one person.", "invalid": "Send a list of recipients."},
    )
    message = Text(most=MESSAGE_MOST, long=True, load_default="")
    expires_in_days = fields.Integer(
        strict=True,
        allow_none=True,
        load_default=None,
        validate=validate.Range(1, 90, error="Choose 1 to 90 days."),
    )
    access_until = fields.Date(
        allow_none=True,
        load_default=None,
        error_messages={"invalid": "Enter a date such as 2026-12-31."},
        metadata={"description": "the last day of the access that accepting brings, by the firm's clock"},
    )
    metadata = fields.Dict(keys=fields.String(), load_default=dict)
