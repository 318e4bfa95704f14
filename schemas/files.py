"""Files: an upload, and whether the client sees a file."""

from __future__ import annotations

from flask_smorest.fields import Upload
from marshmallow import fields, validate

from schemas.base import Strict

BATCH_MOST = 50


class FileSchema(Strict):
    """What staff give to share files. Each becomes an item of its own; one Client Portal window serves all."""

    files = fields.List(
        Upload(),
        required=True,
        validate=validate.Length(1, BATCH_MOST, error=f"Choose 1 to {BATCH_MOST} files."),
        metadata={"label": "Files"},
        error_messages={"required": "Choose a file."},
    )
    visible = fields.Boolean(
        load_default=False,
        metadata={"label": "Visible to the client", "widget": "switch"},
        error_messages={"invalid": "Say true or false."},
    )


class VisibilitySchema(Strict):
    """Whether the client sees a file."""

    visible = fields.Boolean(
        required=True,
        metadata={"label": "Visible to the client", "widget": "switch"},
        error_messages={"required": "Say true or false.", "invalid": "Say true or false."},
    )
