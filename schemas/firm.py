"""Forms of the firm's settings and of its team."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

import marshmallow as ma
from marshmallow import fields, validate

from languages import LANGUAGES, SOURCE
from models import Role, Sees
from schemas.base import Strict, Text
from schemas.records import OptionalEmail

ZONES = frozenset(available_timezones())
REMINDERS_MOST = 10
_ONE_OF: dict[str, str | list[Any] | dict[Any, Any]] = {"unknown": "Choose one of the list."}


class Days(fields.String):
    """Days with commas between them, such as 3, 7, 14, as a sorted list; empty for none."""

    def _deserialize(  # type: ignore[override]
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> list[int]:
        parts = [part for part in re.split(r"[,;\s]+", str(value)) if part]
        if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= 90 for part in parts):
            raise ma.ValidationError("Write days from 1 to 90 with commas between them, such as 3, 7, 14.")
        if len(parts) > REMINDERS_MOST:
            raise ma.ValidationError(f"At most {REMINDERS_MOST} reminders.")
        return sorted({int(part) for part in parts})


class FirmSchema(Strict):
    """What a firm's admins decide."""

    name = Text(most=200, required=True, metadata={"label": "Firm's name"})
    phone = Text(most=60, load_default="", metadata={"label": "Telephone"})
    reply_to = OptionalEmail(load_default="", metadata={"label": "Reply address"})
    colour = Text(most=7, required=True, metadata={"label": "Colour"})
    time_zone = Text(most=60, required=True, metadata={"label": "Time zone"})
    language = fields.String(
        load_default=SOURCE, validate=validate.OneOf(list(LANGUAGES), error="Choose one of the list.")
    )
    invite_days = fields.Integer(
        required=True,
        validate=validate.Range(1, 90, error="Choose 1 to 90 days."),
        error_messages={"required": "Choose 1 to 90 days.", "invalid": "Enter a number from 1 to 90."},
    )
    reminder_days = Days(load_default=list)
    shows_titles = fields.Boolean(load_default=False)
    accept_needs_code = fields.Boolean(load_default=False)

    @ma.validates("time_zone")
    def _known_zone(self, value: str, **kwargs: Any) -> None:
        if value not in ZONES:
            raise ma.ValidationError("Choose a time zone of the list, such as Europe/London.")


class MemberSchema(Strict):
    """A team member's place."""

    role = fields.Enum(Role, by_value=True, load_default=Role.STAFF, error_messages=_ONE_OF)
    sees = fields.Enum(Sees, by_value=True, load_default=Sees.ALL, error_messages=_ONE_OF)
    permissions = fields.List(
        fields.String(), load_default=list, metadata={"widget": "checks", "choices": {"": ""}}
    )


class NewMemberSchema(MemberSchema):
    """Somebody new in the team."""

    email = Text(most=320, required=True)
    name = Text(most=200, load_default="")
