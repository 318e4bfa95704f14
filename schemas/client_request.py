"""A client request: its title, its due date and its questions, for form and API alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from schemas.base import DueDate, Strict, Text
from schemas.questions import CHOICES_LEAST, CHOICES_MOST, TYPES, type_sentence

QUESTIONS_MOST = 200
KEY_LONGEST = 60


class QuestionSchema(Strict):
    """One question. The key names its answer; without one it is made from the label."""

    key = fields.String(
        validate=validate.Regexp(
            r"\A[a-z][a-z0-9_]{0,59}\Z",
            error="A key is up to 60 small letters, digits and underscores, and begins with a letter.",
        ),
        metadata={"widget": "hidden", "description": "names the answer; made from the label when left out"},
        error_messages={"invalid": "Enter the key as text."},
    )
    type = fields.String(
        required=True,
        metadata={"choices": {kind.name: kind.label for kind in TYPES.values()}, "widget": "select"},
        error_messages={"required": "Choose a type.", "null": "Choose a type.", "invalid": "Choose a type."},
    )
    label = Text(most=500, required=True, metadata={"label": "Question"})
    required = fields.Boolean(
        load_default=False,
        metadata={"label": "Must be answered"},
        error_messages={"invalid": "Say true or false."},
    )
    choices = fields.List(
        Text(most=200, required=True, empty=False),
        metadata={"label": "Choices", "widget": "lines"},
        error_messages={"invalid": "Send a list of texts."},
    )

    @ma.validates("type")
    def _known_type(self, value: str, **kwargs: Any) -> None:
        if value not in TYPES:
            raise ma.ValidationError(type_sentence())

    @ma.validates_schema
    def _fitting_choices(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        kind = TYPES[data["type"]]
        choices = data.get("choices") or []
        if not kind.takes_choices:
            if choices:
                raise ma.ValidationError(f"A question of the type {kind.name} takes no choices.", "choices")
            return
        if not CHOICES_LEAST <= len(choices) <= CHOICES_MOST:
            raise ma.ValidationError(
                f"Give {CHOICES_LEAST} to {CHOICES_MOST} choices; there {_is_or_are(len(choices))}.",
                "choices",
            )
        if len({_folded(choice) for choice in choices}) < len(choices):
            raise ma.ValidationError("Each choice may stand there once only.", "choices")

    @ma.post_load
    def _no_empty_choices(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        if not data.get("choices"):
            data.pop("choices", None)
        return data


class ClientRequestSchema(Strict):
    """A client request. No questions at all is fine: then the client presses `Mark as complete`."""

    title = Text(most=300, required=True, metadata={"label": "Title"})
    introduction = Text(most=5000, long=True, load_default="", metadata={"label": "Introduction"})
    due_on = DueDate(allow_none=True, load_default=None, metadata={"label": "Due date"})
    questions = fields.List(
        fields.Nested(QuestionSchema),
        load_default=list,
        validate=validate.Length(max=QUESTIONS_MOST, error=f"At most {QUESTIONS_MOST} questions."),
        metadata={"widget": "none"},
        error_messages={
            "invalid": "Send a list of questions.",
            "null": "Send a list of questions, or leave it out.",
        },
    )

    @ma.validates_schema(skip_on_field_errors=False)
    def _keys_once(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        seen: set[str] = set()
        errors: dict[int, dict[str, list[str]]] = {}
        for place, question in enumerate(data.get("questions") or []):
            key = question.get("key") if isinstance(question, Mapping) else None
            if key in seen:
                errors[place] = {"key": [f"Another question has the key {key} already."]}
            elif key:
                seen.add(key)
        if errors:
            raise ma.ValidationError({"questions": errors})

    @ma.post_load
    def _name_questions(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Give every question a key; those that were given stay as they are."""
        taken = {question["key"] for question in data["questions"] if question.get("key")}
        for place, question in enumerate(data["questions"], start=1):
            if not question.get("key"):
                question["key"] = _free(_key_from(question["label"]) or f"question_{place}", taken)
                taken.add(question["key"])
        return data


def _is_or_are(count: int) -> str:
    return "is 1" if count == 1 else "are none" if not count else f"are {count}"


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _key_from(label: str) -> str:
    """A key out of a label in Latin letters; empty where the label has none."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    key = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    key = re.sub(r"\A[0-9_]+", "", key)
    return key[: KEY_LONGEST - 20].rstrip("_")


def _free(key: str, taken: set[str]) -> str:
    if key not in taken:
        return key
    number = 2
    while f"{key}_{number}" in taken:
        number += 1
    return f"{key}_{number}"
