"""An eSign request: a document, who signs it, and where on its pages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from models.address import parse_address
from schemas.base import DueDate, Email, Strict, Text

SIGNERS_MOST = 20
FIELDS_MOST = 500
FIELD_TYPES = ("signature", "initials", "date", "text", "checkbox")
NUMBER: dict[str, Any] = {
    "required": "Give a fraction of the page, from 0 to 1.",
    "invalid": "Give a fraction of the page, from 0 to 1.",
    "special": "Give a fraction of the page, from 0 to 1.",
}
WHOLE: dict[str, Any] = {"required": "Give a whole number.", "invalid": "Give a whole number."}
ROUNDING = 0.001  # a field drawn to the very edge of the picture may be off by that much


class SignerSchema(Strict):
    """Somebody who is to sign. Two signers may share one address; each signs with their own name."""

    name = Text(most=200, required=True, metadata={"label": "Name", "autocomplete": "off"})
    email = Email(
        required=True, metadata={"label": "E-mail address", "widget": "email", "autocomplete": "off"}
    )
    order = fields.Integer(
        strict=False,
        validate=validate.Range(1, SIGNERS_MOST, error=f"Choose a place from 1 to {SIGNERS_MOST}."),
        metadata={"label": "Place in the order", "description": "same place: these sign in parallel"},
        error_messages={"invalid": "Enter a whole number."},
    )


class FieldSchema(Strict):
    """A place on a page for one signer. Numbers are fractions of the page as shown, from its top left corner."""

    signer = fields.Integer(
        required=True,
        strict=True,
        metadata={"description": "index into signers, from 0"},
        error_messages=WHOLE,
    )
    type = fields.String(
        required=True,
        validate=validate.OneOf(
            FIELD_TYPES, error=f"There is no such type of field. Use {', '.join(FIELD_TYPES)}."
        ),
    )
    page = fields.Integer(
        required=True,
        strict=True,
        validate=validate.Range(min=1, error="Pages count from 1."),
        metadata={"description": "from 1"},
        error_messages=WHOLE,
    )
    x = fields.Float(required=True, error_messages=NUMBER)
    y = fields.Float(required=True, error_messages=NUMBER)
    width = fields.Float(required=True, error_messages=NUMBER)
    height = fields.Float(required=True, error_messages=NUMBER)

    @ma.validates_schema
    def _on_the_page(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        for start, extent in (("x", "width"), ("y", "height")):
            first, length = data[start], data[extent]
            if not (math.isfinite(first) and math.isfinite(length)) or not 0 <= first <= 1:
                raise ma.ValidationError("Give a fraction of the page, from 0 to 1.", start)
            if not 0 < length <= 1 or first + length > 1 + ROUNDING:
                raise ma.ValidationError("The field must lie within its page.", extent)


class EsignRequestSchema(Strict):
    """An eSign request."""

    file_id = fields.String(
        required=True,
        metadata={
            "widget": "hidden",
            "description": "id of a PDF among the client's files, or of an uploaded document",
        },
        error_messages={
            "required": "Choose a PDF.",
            "null": "Choose a PDF.",
            "invalid": "Enter the id as text.",
        },
    )
    title = Text(
        most=300,
        load_default="",
        metadata={"label": "Title", "hint": "The file's name if you leave this empty."},
    )
    message = Text(most=2000, long=True, load_default="", metadata={"label": "Message to the signers"})
    due_on = DueDate(
        allow_none=True,
        load_default=None,
        metadata={"label": "Due date", "hint": "Signing ends with this day."},
    )
    ordered = fields.Boolean(
        load_default=False,
        metadata={"label": "One after the other", "hint": "Each signs when those before have signed."},
        error_messages={"invalid": "Say true or false."},
    )
    signers = fields.List(
        fields.Nested(SignerSchema),
        required=True,
        validate=validate.Length(1, SIGNERS_MOST, error=f"Name 1 to {SIGNERS_MOST} signers."),
        metadata={"widget": "none"},
        error_messages={
            "required": "Name at least one signer.",
            "null": "Name at least one signer.",
            "invalid": "Send a list of signers.",
        },
    )
    fields_ = fields.List(
        fields.Nested(FieldSchema),
        data_key="fields",
        attribute="fields",
        load_default=list,
        validate=validate.Length(max=FIELDS_MOST, error=f"At most {FIELDS_MOST} fields."),
        metadata={"widget": "none"},
        error_messages={"invalid": "Send a list of fields."},
    )

    @ma.validates_schema
    def _each_once(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """One name at one address signs once; fields belong to signers that are there."""
        seen: set[tuple[str, str]] = set()
        errors: dict[str, dict[int, dict[str, list[str]]]] = {}
        for place, signer in enumerate(data["signers"]):
            who = (signer["name"].casefold(), parse_address(signer["email"]).key)
            if who in seen:
                sentence = f"{signer['name']} with this address is a signer already."
                errors.setdefault("signers", {})[place] = {"email": [sentence]}
            seen.add(who)
        for place, field in enumerate(data.get("fields") or []):
            if not 0 <= field["signer"] < len(data["signers"]):
                sentence = "There is no such signer: give an index into signers, from 0."
                errors.setdefault("fields", {})[place] = {"signer": [sentence]}
        if errors:
            raise ma.ValidationError(errors)


class DocumentSchema(Strict):
    """The upload that comes before the request itself."""

    # Drawn as a file field; the bytes are checked by the PDF's own inspection.
    file = fields.Raw(required=True, metadata={"label": "PDF", "accept": "application/pdf", "widget": "file"})
