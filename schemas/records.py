"""Forms of the client record and of message templates."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from schemas.base import Email, Strict, Text

CONTACTS_MOST = 50


class OptionalEmail(Email):
    """An address, or nothing."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, str) and not value.strip():
            return ""
        return super()._deserialize(value, attr, data, **kwargs)


class PersonSchema(Strict):
    """One line of the contacts of a new client."""

    name = Text(most=200, load_default="", metadata={"label": "Name", "autocomplete": "off"})
    email = OptionalEmail(load_default="", metadata={"label": "E-mail", "widget": "email"})


class ClientFormSchema(Strict):
    """A client: what it is called, and (when it is added) who its people are."""

    kind = fields.String(
        load_default="person",
        validate=validate.OneOf(["person", "business"], error="Choose a person or a business."),
        metadata={
            "label": "This client is",
            "widget": "radios",
            "choices": {"person": "A person", "business": "A business"},
        },
    )
    name = Text(most=200, required=True, metadata={"label": "Client's name", "autocomplete": "off"})
    external_id = Text(
        most=120,
        load_default="",
        metadata={"label": "External id", "hint": "Its number in your other systems."},
    )
    contacts = fields.List(
        fields.Nested(PersonSchema),
        load_default=list,
        validate=validate.Length(max=CONTACTS_MOST, error=f"At most {CONTACTS_MOST} contacts at once."),
        metadata={"widget": "none"},
    )


class ContactFormSchema(Strict):
    """A contact on the record."""

    name = Text(most=200, load_default="", metadata={"label": "Name", "autocomplete": "off"})
    email = OptionalEmail(
        load_default="",
        metadata={"label": "E-mail", "widget": "email", "hint": "Invites and mails go to this address."},
    )
    primary = fields.Boolean(load_default=False, metadata={"label": "Primary contact"})

    @ma.validates_schema
    def _somebody(self, data: dict[str, Any], **kwargs: Any) -> None:
        if not data.get("name") and not data.get("email"):
            raise ma.ValidationError("Enter a name or an address.", "name")


class MessageTemplateSchema(Strict):
    """A text to insert into the personal message of the Client Portal window."""

    name = Text(most=120, required=True, metadata={"label": "Name", "hint": "Only your team sees it."})
    body = Text(most=2000, long=True, required=True, metadata={"label": "Message", "rows": 8})
    workflow = fields.String(load_default="", metadata={"label": "Offered for", "widget": "none"})
    mine = fields.Boolean(load_default=False, metadata={"label": "Only for me"})
