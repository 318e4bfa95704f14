"""From a posted HTML form to what a marshmallow schema loads, and back.

One schema validates JSON and HTML alike, so this module only translates: names with dashes into nested data
(`questions-0-label`), lists typed one to a line, check boxes that are absent when they are off, empty fields that mean
"nothing". It decides nothing about what is allowed; the schema does. A form that comes back is drawn from the same
data, so what was typed is kept and each sentence stands beside its field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import marshmallow as ma
from flask_smorest.fields import Upload
from marshmallow import fields
from werkzeug.datastructures import MultiDict

from schemas.base import load
from web.drawn_fields import CannotDraw, drawn_fields

ROWS_MOST = 500  # a form with more rows than this is no form of ours; further rows are left out
Form = MultiDict[str, Any]


def read_form(schema: ma.Schema, form: Form, files: Form | None = None) -> dict[str, Any]:
    """What was posted, as data for `schema.load` (nothing validated, nothing trimmed)."""
    return _read(schema.fields, form, files or MultiDict(), "")


def read_rows(schema: ma.Schema, form: Form, name: str) -> list[dict[str, Any]]:
    """The rows of a list of structures, empty ones too: for the buttons that add, move and remove rows."""
    one = schema.fields[name]
    if not isinstance(one, fields.List) or not isinstance(one.inner, fields.Nested):
        raise TypeError(f"{name} is not a list of structures")
    return _rows(one.inner, name, form, MultiDict())


def load_form(schema: ma.Schema, form: Form, files: Form | None = None) -> dict[str, Any]:
    """Read and validate. Raises models.errors.Invalid with a sentence list per field."""
    return load(schema, read_form(schema, form, files))


def hidden_pairs(schema: ma.Schema, data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`data` (as `read_form` gives it) as (name, value) pairs of hidden inputs that read back to the same data."""
    return list(_pairs(schema.fields, data, ""))


def field_errors(errors: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The schema's errors by the names of the form's inputs: `questions.0.label` is `questions-0-label`."""
    return {name.replace(".", "-"): sentences for name, sentences in errors.items()}


def _read(named: Mapping[str, fields.Field[Any]], form: Form, files: Form, prefix: str) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, one in named.items():
        if one.dump_only:
            continue
        name = prefix + (one.data_key or key)
        found = _value(one, name, form, files)
        if found is not None:
            data[one.data_key or key] = found
    return data


def _value(one: fields.Field[Any], name: str, form: Form, files: Form) -> Any:
    """What one field's inputs say; None where they say nothing."""
    if isinstance(one, fields.List):
        return _list(one, name, form, files)
    if isinstance(one, fields.Nested):
        inner = _read(one.schema.fields, form, files, f"{name}-")
        return inner if any(_typed(value) for value in inner.values()) else None
    if isinstance(one, Upload):
        upload = files.get(name)
        return upload if upload is not None and upload.filename else None
    if isinstance(one, fields.Boolean):
        # Browsers leave an empty box out. A box that was drawn and is absent is off.
        return form.get(name, "false")
    value = form.get(name)
    if value is None or (value == "" and not _keeps_empty(one)):
        return None
    return value


def _list(one: fields.List, name: str, form: Form, files: Form) -> list[Any] | None:
    inner = one.inner
    if isinstance(inner, fields.Nested):
        rows = _rows(inner, name, form, files)
        named = inner.schema.fields
        return [row for row in rows if any(_by_hand(named[key], row[key]) for key in row)] if rows else None
    if isinstance(inner, Upload):
        return [upload for upload in files.getlist(name) if upload.filename]
    given = form.getlist(name)
    if one.metadata.get("widget") != "checks" and len(given) == 1 and not _choices(one):
        given = given[0].replace("\r\n", "\n").split("\n")
    kept = [text.strip() for text in given if text.strip()]
    if not kept and name not in form:
        return None if one.required or not _choices(one) else []
    return kept


def _rows(inner: fields.Nested, name: str, form: Form, files: Form) -> list[dict[str, Any]]:
    """The rows `name-0-...`, `name-1-...` in the order of their numbers."""
    pattern = re.compile(rf"{re.escape(name)}-(\d{{1,4}})-")
    numbers = sorted({int(match[1]) for key in form if (match := pattern.match(key))})[:ROWS_MOST]
    return [_read(inner.schema.fields, form, files, f"{name}-{number}-") for number in numbers]


def _by_hand(one: fields.Field[Any], value: Any) -> bool:
    """Whether a person wrote this: a chosen type, a ticked box or a hidden key alone don't make a row."""
    if isinstance(one, fields.Boolean) or _choices(one) or one.metadata.get("widget") in {"hidden", "none"}:
        return False
    return _typed(value)


def _typed(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip()) and value != "false"
    if isinstance(value, Mapping):
        return any(_typed(part) for part in value.values())
    if isinstance(value, list):
        return any(_typed(part) for part in value)
    return value is not None


def _keeps_empty(one: fields.Field[Any]) -> bool:
    """An empty text is an answer (the schema says "Please fill this in"); an empty number or date is none."""
    return isinstance(one, fields.String) and one.required


def _choices(one: fields.Field[Any]) -> bool:
    try:
        drawn = drawn_fields({"it": one})
    except CannotDraw:
        return False
    return bool(drawn and drawn[0].choices)


def _pairs(
    named: Mapping[str, fields.Field[Any]], data: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, str]]:
    for key, one in named.items():
        value = data.get(one.data_key or key)
        name = prefix + (one.data_key or key)
        if value is None or isinstance(one, Upload):
            continue
        if isinstance(one, fields.Nested) and isinstance(value, Mapping):
            yield from _pairs(one.schema.fields, value, f"{name}-")
        elif isinstance(one, fields.List) and isinstance(one.inner, fields.Nested):
            for number, row in enumerate(value):
                yield from _pairs(one.inner.schema.fields, row, f"{name}-{number}-")
        elif isinstance(one, fields.List):
            lines = [str(part) for part in value if not _is_upload(part)]
            if _choices(one):
                yield from ((name, line) for line in lines)
            elif lines or not value:
                yield name, "\n".join(lines)
        else:
            yield name, str(value)


def _is_upload(value: Any) -> bool:
    return hasattr(value, "stream")
