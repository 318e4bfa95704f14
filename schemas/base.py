"""The base of all schemas: unknown fields refused, texts trimmed and bounded, sentences for people."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from languages import worded
from models.address import BadAddress, parse_address
from models.base import utc_now
from models.errors import Invalid


class Strict(ma.Schema):
    """One schema serves JSON API and HTML form; what it doesn't know is refused by name."""

    class Meta:
        """Fields keep the order of their declaration."""

        unknown = ma.RAISE
        ordered = True

    error_messages = {"unknown": "There is no such field.", "type": "Send an object with named fields."}


class Text(fields.String):
    """A trimmed text without control characters (line breaks only where `long`)."""

    default_error_messages = {
        "required": "Please fill this in.",
        "null": "Please fill this in.",
        "invalid": "Enter text.",
        "control": "This text holds characters that can't be shown. Type it again.",
        "empty": "Please fill this in.",
    }

    def __init__(
        self, *, most: int = 200, long: bool = False, empty: bool | None = None, **kwargs: Any
    ) -> None:
        if long:
            kwargs["metadata"] = {"widget": "textarea", **kwargs.get("metadata", {})}
        kwargs["metadata"] = {"maxlength": most, **kwargs.get("metadata", {})}
        super().__init__(**kwargs)
        self.most, self.long = most, long
        self.may_be_empty = not self.required if empty is None else empty

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        text = str(super()._deserialize(value, attr, data, **kwargs)).replace("\r\n", "\n").strip()
        allowed = "\n\t" if self.long else ""
        if not text.isprintable() and any(
            unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} and char not in allowed for char in text
        ):
            raise self.make_error("control")
        if not text and not self.may_be_empty:
            raise self.make_error("empty")
        if len(text) > self.most:
            raise ma.ValidationError(
                worded("At most %(most)s characters; this is %(length)s.", most=self.most, length=len(text))
            )
        return text


class Email(fields.String):
    """One usable address, kept as typed (display form)."""

    default_error_messages = {
        "required": "Enter an e-mail address.",
        "null": "Enter an e-mail address.",
        "invalid": "Enter one e-mail address as text.",
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        try:
            return parse_address(super()._deserialize(value, attr, data, **kwargs)).display
        except BadAddress as error:
            raise ma.ValidationError(str(error)) from error


class DueDate(fields.Date):
    """A calendar day, not before today (in UTC, so that nobody is refused for being ahead of us)."""

    default_error_messages = {
        "invalid": "Enter a date such as 2026-12-15.",
        "past": "This day is over. Choose today or a later day.",
        "far": "Choose a day within the next ten years.",
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> date:
        day: date = super()._deserialize(value, attr, data, **kwargs)
        today = utc_now().date()
        if (today - day).days > 1:
            raise self.make_error("past")
        if (day - today).days > 3653:
            raise self.make_error("far")
        return day


def required_list(inner: fields.Field[Any], *, least: int, most: int, sentence: str) -> fields.List:
    """A list with bounds and one sentence for both."""
    return fields.List(inner, required=True, validate=validate.Length(min=least, max=most, error=sentence))


def load(schema: ma.Schema, data: Mapping[str, Any]) -> dict[str, Any]:
    """Validate; raises models.errors.Invalid with a sentence list per field (`people.0.email` for nested ones)."""
    try:
        loaded: dict[str, Any] = schema.load(data)
    except ma.ValidationError as error:
        raise Invalid(flatten(error.messages)) from error
    return loaded


def flatten(messages: Any, path: str = "") -> dict[str, list[str]]:
    """marshmallow's nested messages as {dotted field: [sentence]}."""
    if isinstance(messages, Mapping):
        flat: dict[str, list[str]] = {}
        for key, value in messages.items():
            name = path if key == ma.exceptions.SCHEMA else f"{path}.{key}" if path else str(key)
            for field, sentences in flatten(value, name).items():
                flat.setdefault(field, []).extend(sentences)
        return flat
    sentences = messages if isinstance(messages, list) else [messages]
    return {path: [one if isinstance(one, str) else str(one) for one in sentences]}
