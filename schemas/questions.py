"""The types of a survey's questions, each declared once: what it is called, how it is asked, what answers it takes.

Staff's form, the API, the client's page and the check of an answer all read this registry, so a further type is one
entry here. `take` turns what came from a form or from JSON into the value that is stored (plain JSON), `show` turns
that value into words. An answer that is not there is None and is never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import marshmallow as ma

from schemas.base import Text

CHOICES_LEAST, CHOICES_MOST = 2, 50
EARLIEST, LATEST = date(1850, 1, 1), date(2200, 12, 31)


@dataclass(frozen=True)
class QuestionType:
    """One type of question. `take` raises ma.ValidationError with the sentence for the person."""

    name: str  # the contract's word
    label: str  # for staff
    widget: str  # text, textarea, date or radio
    take: Callable[[Any, Sequence[str]], Any]
    show: Callable[[Any], str] = str
    takes_choices: bool = False
    answerable: bool = True  # False: something between the questions, such as a heading

    def options(self, choices: Sequence[str]) -> list[tuple[str, str]]:
        """(value, label) of what can be chosen; empty where one types."""
        if self.name == "yes_no":
            return [("yes", "Yes"), ("no", "No")]
        return [(choice, choice) for choice in choices] if self.takes_choices else []

    def raw(self, value: Any) -> str:
        """A stored value as the form's input holds it."""
        if isinstance(value, bool):
            return "yes" if value else "no"
        return "" if value is None else str(value)


def _text(most: int, *, long: bool) -> Callable[[Any, Sequence[str]], Any]:
    field = Text(most=most, long=long, empty=True)

    def take(raw: Any, choices: Sequence[str]) -> str | None:
        return str(field.deserialize(raw)) or None

    return take


def _yes_no(raw: Any, choices: Sequence[str]) -> bool:
    if isinstance(raw, bool):
        return raw
    answers = {"yes": True, "no": False}
    if not isinstance(raw, str) or raw.strip().lower() not in answers:
        raise ma.ValidationError("Choose Yes or No.")
    return answers[raw.strip().lower()]


def _single_choice(raw: Any, choices: Sequence[str]) -> str:
    if not isinstance(raw, str) or raw not in choices:
        raise ma.ValidationError("Choose one of the answers.")
    return raw


def _date(raw: Any, choices: Sequence[str]) -> str:
    try:
        day = date.fromisoformat(raw.strip()) if isinstance(raw, str) else None
    except ValueError:
        day = None
    if day is None:
        raise ma.ValidationError("Enter a date such as 2026-12-15.")
    if not EARLIEST <= day <= LATEST:
        raise ma.ValidationError("Check the year of this date.")
    return day.isoformat()


def _show_date(value: Any) -> str:
    day = date.fromisoformat(str(value))
    return f"{day.day} {day:%b %Y}"


TYPES: Mapping[str, QuestionType] = {
    kind.name: kind
    for kind in (
        QuestionType("short_text", "Short text", "text", _text(500, long=False)),
        QuestionType("long_text", "Long text", "textarea", _text(10_000, long=True)),
        QuestionType("yes_no", "Yes or no", "radio", _yes_no, lambda value: "Yes" if value else "No"),
        QuestionType("single_choice", "Single choice", "radio", _single_choice, takes_choices=True),
        QuestionType("date", "Date", "date", _date, _show_date),
    )
}


def type_sentence() -> str:
    """What is said to an unknown type."""
    names = list(TYPES)
    return f"There is no such type of question. Use {', '.join(names[:-1])} or {names[-1]}."


def take_answer(question: Mapping[str, Any], raw: Any) -> Any:
    """The value to store for a raw answer to this question; None where it was left empty or emptied.

    Raises marshmallow.ValidationError with a sentence.
    """
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return None
    return TYPES[question["type"]].take(raw, question.get("choices") or [])
