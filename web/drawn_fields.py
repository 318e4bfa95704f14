"""From a marshmallow schema to what `_form.html` draws.

One schema validates JSON and HTML alike, so the form follows from its fields. A field's `metadata` may say more:
`label`, `hint`, `placeholder`, `autocomplete`, `rows`, `accept`, `choices` ({value: label}) and `widget` (one of
WIDGETS). A field that isn't to be drawn says `widget: none`. What can't be drawn raises, so that the author of a
workflow hears of it at the first look and no field is silently missing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from flask_smorest.fields import Upload
from marshmallow import Schema, fields, validate

WIDGETS = (
    "text", "textarea", "email", "url", "number", "date", "datetime", "time", "checkbox", "switch", "select", "radios",
    "checks", "lines", "file", "hidden", "none",
)  # fmt: skip
FEW = 4  # up to so many required choices are radio buttons, more are a select


class CannotDraw(TypeError):
    """A field for which no widget is known; the text says what to write into its metadata."""


@dataclass(frozen=True)
class DrawnField:
    """One field as the form macro needs it."""

    name: str
    label: str
    widget: str
    value: Any = ""
    hint: str = ""
    placeholder: str = ""
    autocomplete: str = ""
    required: bool = False
    rows: int = 4
    accept: str = ""
    multiple: bool = False
    choices: list[tuple[str, str]] = field(default_factory=list)
    attrs: dict[str, Any] = field(default_factory=dict)


def pairs(choices: Any) -> list[tuple[str, str]]:
    """Choices as (value, label): from a mapping, from pairs, from plain values, from an enum class."""
    if isinstance(choices, Mapping):
        return [(str(value), str(label)) for value, label in choices.items()]
    if isinstance(choices, type) and issubclass(choices, enum.Enum):
        return [(str(member.value), _words(member)) for member in choices]
    found = []
    for choice in choices or []:
        if isinstance(choice, str | enum.Enum) or not isinstance(choice, Iterable):
            value = choice.value if isinstance(choice, enum.Enum) else choice
            found.append((str(value), _words(choice) if isinstance(choice, enum.Enum) else str(choice)))
        else:
            value, label = choice
            found.append((str(value), str(label)))
    return found


def drawn_fields(schema: Any, values: Mapping[str, Any] | None = None) -> list[DrawnField]:
    """The fields of a schema (class, instance or {name: field}) in their order, with what to show in each.

    `values` are what came with the form, or loaded values. Raises CannotDraw.
    """
    if isinstance(schema, type) and issubclass(schema, Schema):
        schema = schema()
    named: Mapping[str, fields.Field] = schema.fields if isinstance(schema, Schema) else schema
    drawn = (
        _draw(one.data_key or name, one, values or {}) for name, one in named.items() if not one.dump_only
    )
    return [one for one in drawn if one.widget != "none"]


def _draw(name: str, one: fields.Field, values: Mapping[str, Any]) -> DrawnField:
    meta = one.metadata
    choices = _choices(one)
    widget = meta.get("widget") or _widget(name, one, choices)
    if widget not in WIDGETS:
        raise CannotDraw(f"field {name!r}: {widget!r} is no widget; use one of {', '.join(WIDGETS)}")
    given = values.get(name)
    if given is None and not values and one.load_default:
        given = one.load_default() if callable(one.load_default) else one.load_default
    if widget == "checks" and hasattr(values, "getlist"):
        given = values.getlist(name)
    return DrawnField(
        name=name,
        label=str(meta.get("label") or name.removesuffix("_on").replace("_", " ").capitalize()),
        widget=widget,
        value=_shown(given, widget, one),
        hint=str(meta.get("hint") or ""),
        placeholder=str(meta.get("placeholder") or ""),
        autocomplete=str(meta.get("autocomplete") or ""),
        required=one.required,
        rows=int(meta.get("rows") or 4),
        accept=str(meta.get("accept") or ""),
        multiple=isinstance(one, fields.List),
        choices=choices,
        attrs=_attributes(one, widget),
    )


def _widget(name: str, one: fields.Field, choices: list[tuple[str, str]]) -> str:
    if isinstance(one, fields.List):
        inner = one.inner
        if isinstance(inner, Upload):
            return "file"
        if choices:
            return "checks"
        if isinstance(inner, fields.Nested | fields.List | fields.Mapping):
            raise CannotDraw(f"field {name!r}: a list of structures needs its own template, or widget='none'")
        return "lines"
    if choices:
        return "radios" if one.required and len(choices) <= FEW else "select"
    # Subclasses before their bases: Email and Url are Strings, Date is a DateTime.
    for kind, widget in (
        (Upload, "file"), (fields.Email, "email"), (fields.Url, "url"), (fields.Boolean, "checkbox"),
        (fields.Date, "date"), (fields.Time, "time"), (fields.DateTime, "datetime"), (fields.Number, "number"),
        (fields.String, "text"),
    ):  # fmt: skip
        if isinstance(one, kind):
            return widget
    raise CannotDraw(
        f"field {name!r}: no way to draw {type(one).__name__}; say metadata={{'widget': ...}} or 'none'"
    )


def _choices(one: fields.Field) -> list[tuple[str, str]]:
    """What may be chosen: from metadata, an Enum field, or a OneOf or ContainsOnly validator."""
    if one.metadata.get("choices"):
        return pairs(one.metadata["choices"])
    source = one.inner if isinstance(one, fields.List) else one
    if isinstance(source, fields.Enum):
        return [(str(m.value if source.by_value else m.name), _words(m)) for m in source.enum]
    for validator in (*source.validators, *one.validators):
        if isinstance(validator, validate.OneOf):  # ContainsOnly is one too
            labels = list(validator.labels) or [_prettify(str(choice)) for choice in validator.choices]
            return [
                (str(choice), str(label)) for choice, label in zip(validator.choices, labels, strict=False)
            ]
    return []


def _attributes(one: fields.Field, widget: str) -> dict[str, Any]:
    """HTML attributes that help while typing; the schema decides all the same."""
    found: dict[str, Any] = {}
    for validator in one.validators:
        if isinstance(validator, validate.Length) and widget in {"text", "textarea", "email", "url"}:
            found["maxlength"] = validator.equal or validator.max
        if isinstance(validator, validate.Range) and widget in {"number", "date", "datetime"}:
            found["min"], found["max"] = _plain(validator.min), _plain(validator.max)
    if widget == "number":
        whole = isinstance(one, fields.Integer)
        found["step"] = "1" if whole else "any"
        found["inputmode"] = "numeric" if whole else "decimal"
    return {name: value for name, value in found.items() if value is not None}


def _shown(value: Any, widget: str, one: fields.Field) -> Any:
    if widget in {"checkbox", "switch"}:
        return value in fields.Boolean.truthy if isinstance(value, str | int | bool) else False
    if widget == "checks":
        return [_plain(part) for part in value or []]
    if widget == "lines":
        return value if isinstance(value, str) else "\n".join(str(part) for part in value or [])
    if isinstance(value, enum.Enum) and isinstance(one, fields.Enum) and not one.by_value:
        return value.name
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M")
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, date):
        return value.isoformat()
    return "" if value is None else str(value)


def _words(member: enum.Enum) -> str:
    return str(getattr(member, "label", None) or _prettify(member.name.lower()))


def _prettify(text: str) -> str:
    spaced = text.replace("_", " ").replace("-", " ")
    return spaced[:1].upper() + spaced[1:]
