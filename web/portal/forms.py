"""What people type on the client's side, checked by the same fields that serve the API."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import available_timezones

import marshmallow as ma
from marshmallow import fields, validate

from models.errors import Invalid
from schemas.base import Email, Text, flatten

ZONES = frozenset(available_timezones())


_NAME = {"required": "Enter your full name.", "empty": "Enter your full name."}
_CODE = {"required": "Enter the six digits from the mail.", "empty": "Enter the six digits from the mail."}


class FormSchema(ma.Schema):
    """A browser's form: hidden fields of the page are no mistake of the person's."""

    class Meta:
        """What isn't declared is left out."""

        unknown = ma.EXCLUDE


class NameForm(FormSchema):
    """The name of a new login. The password is checked by the rules for passwords, and never trimmed."""

    name = Text(required=True, most=200, error_messages=_NAME)


class CodeForm(FormSchema):
    """The six digits from the mail; spaces between them are fine."""

    code = Text(required=True, most=40, error_messages=_CODE)


class AddressForm(FormSchema):
    """One address."""

    email = Email(required=True)


class ProfileForm(FormSchema):
    """Name and time zone of a login."""

    name = Text(required=True, most=200, error_messages=_NAME)
    time_zone = fields.String(
        load_default="",
        validate=validate.OneOf(["", *sorted(ZONES)], error="Choose one of the time zones from the list."),
    )


def read(schema: FormSchema, form: Mapping[str, str]) -> dict[str, str]:
    """The checked values. Raises Invalid with sentences per field."""
    try:
        values: dict[str, str] = schema.load(dict(form))
    except ma.ValidationError as error:
        raise Invalid(flatten(error.messages)) from error
    return values
