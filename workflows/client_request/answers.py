"""Answers: saved as the client goes, final when they are submitted, open again when staff say so.

Every write begins with one guarded UPDATE of the item, which also holds its row: two people of one client, or two
tabs, come one after the other, and nobody writes into a request that was submitted or cancelled a moment ago. The
latest answer to a question wins; an emptied one is taken away. A form says beside each field what stood there when it
was drawn, so a tab left open yesterday doesn't put yesterday's answers over today's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import marshmallow as ma
import sqlalchemy as sa

from invites.scope import FirmView, PortalView
from languages import worded
from models import Answer, Login, WorkItem, db, utc_now
from models.errors import Invalid, WrongState
from schemas.questions import TYPES, take_answer
from workflows.moves import move, note

ANSWERABLE: Final = ("sent", "viewed", "in_progress")


@dataclass(frozen=True)
class QuestionView:
    """A question as a page shows it, with its answer."""

    key: str
    label: str
    type: str
    widget: str  # text, textarea, date or radio
    required: bool
    choices: tuple[str, ...]
    value: Any = None
    saved_by: str = ""
    saved_at: datetime | None = None

    @property
    def field(self) -> str:
        """Name and id of the input."""
        return field_name(self.key)

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return self.value is not None

    @property
    def raw(self) -> str:
        """The answer as the input holds it; also the value of the hidden `was-` input."""
        return TYPES[self.type].raw(self.value)

    @property
    def text(self) -> str:
        """The answer in words; empty without one."""
        return TYPES[self.type].show(self.value) if self.answered else ""

    @property
    def options(self) -> list[tuple[str, str, bool]]:
        """(value, label, chosen) of a radio group."""
        return [(value, label, value == self.raw) for value, label in TYPES[self.type].options(self.choices)]


def field_name(key: str) -> str:
    """The input of a question; errors name it too."""
    return f"q-{key}"


def questions_of(item: WorkItem) -> Sequence[Mapping[str, Any]]:
    """The questions as they were sent."""
    questions: Sequence[Mapping[str, Any]] = (item.details or {}).get("questions") or []
    return questions


def answerable(item: WorkItem) -> list[Mapping[str, Any]]:
    """The questions that take an answer."""
    return [question for question in questions_of(item) if TYPES[question["type"]].answerable]


def can_answer(item: WorkItem) -> bool:
    """Whether the client may still change something."""
    return item.status in ANSWERABLE


def from_form(item: WorkItem, form: Mapping[str, Any]) -> dict[str, Any]:
    """What the person changed, out of a posted form: `q-KEY` against the hidden `was-KEY`, where that is there."""
    changed = {}
    for question in answerable(item):
        key = question["key"]
        given = form.get(field_name(key))
        if given is None:
            continue
        before = form.get(f"was-{key}")
        if before is None or _plain(given) != _plain(before):
            changed[key] = given
    return changed


def save(item: WorkItem, person: PortalView, values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Keep answers by key, within the open unit of work; sentences by field for those that can't be kept.

    Good ones are kept all the same; an empty one takes the answer away. Raises WrongState once the request was
    submitted or cancelled, Invalid for a key that is no question of it.
    """
    questions = {question["key"]: question for question in answerable(item)}
    unknown = [key for key in values if key not in questions]
    if unknown:
        raise Invalid({field_name(key): [worded("There is no such question.")] for key in unknown})
    taken: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for key, raw in values.items():
        try:
            taken[key] = take_answer(questions[key], raw)
        except ma.ValidationError as error:
            errors[field_name(key)] = list(error.messages)
    if taken or not can_answer(item):
        _begin(item)
        _write(item, person.login, taken)
    return errors


def submit(item: WorkItem, person: PortalView) -> str:
    """Submit for good, within the open unit of work; the sentence for the client.

    Raises Invalid with a sentence per required question without an answer, WrongState where it was submitted or
    cancelled already (another tab, another person of the client).
    """
    _begin(item)
    given = values_of([item])[item.id]
    missing: dict[str, list[str]] = {
        field_name(question["key"]): [worded("Please answer this question.")]
        for question in answerable(item)
        if question.get("required") and question["key"] not in given
    }
    if missing:
        raise Invalid(missing, worded("Some answers are still missing. What you typed is saved."))
    move(item, ANSWERABLE, "submitted", open=False, done_at=utc_now())
    note(
        item,
        "client_request_submitted",
        actor=f"login:{person.login.id}",
        access_id=person.access_for(item).id,
    )
    if answerable(item):
        return worded("Thank you. %(title)s is submitted.", title=item.title)
    return worded("Thank you. %(title)s is marked as complete.", title=item.title)


def reopen(view: FirmView, item: WorkItem) -> None:
    """Staff let the client answer again, within the open unit of work. Raises WrongState unless it is submitted."""
    if not move(item, ("submitted",), "in_progress", open=True, done_at=None):
        raise WrongState("Only a submitted client request can be reopened.")
    note(item, "client_request_reopened", actor=f"member:{view.member.id}")


def cancel(view: FirmView, item: WorkItem) -> None:
    """Staff take a request back, within the open unit of work; answers so far are kept. Raises WrongState."""
    if not move(item, ("draft", *ANSWERABLE), "cancelled", open=False, done_at=utc_now()):
        raise WrongState(f"This client request is {item.status} already, so it can't be cancelled.")
    note(item, "client_request_cancelled", actor=f"member:{view.member.id}")


def count_of(items: Collection[WorkItem]) -> dict[str, int]:
    """How many answers each item has, by its id; one query for any number."""
    rows = db.session.execute(
        sa.select(Answer.item_id, sa.func.count())
        .where(Answer.item_id.in_([item.id for item in items]))
        .group_by(Answer.item_id)
    )
    counts = {item.id: 0 for item in items}
    for item_id, count in rows:
        counts[item_id] = count
    return counts


def values_of(items: Collection[WorkItem]) -> dict[str, dict[str, Any]]:
    """The stored answers of each item by key, by the item's id; one query for any number."""
    found: dict[str, dict[str, Any]] = {item.id: {} for item in items}
    rows = db.session.execute(
        sa.select(Answer.item_id, Answer.key, Answer.value).where(Answer.item_id.in_(found))
    )
    for item_id, key, value in rows:
        found[item_id][key] = value
    return found


def views_of(item: WorkItem) -> list[QuestionView]:
    """The questions with their answers, and who gave each when; one query."""
    rows = db.session.execute(
        sa.select(Answer.key, Answer.value, Answer.saved_at, Login.name, Login.email_display)
        .join(Login, Login.id == Answer.login_id)
        .where(Answer.item_id == item.id)
    )
    given = {key: (value, saved_at, name or email) for key, value, saved_at, name, email in rows}
    shown = []
    for question in questions_of(item):
        value, saved_at, saved_by = given.get(question["key"], (None, None, ""))
        kind = TYPES[question["type"]]
        shown.append(
            QuestionView(
                key=question["key"],
                label=question["label"],
                type=kind.name,
                widget=kind.widget,
                required=bool(question.get("required")),
                choices=tuple(question.get("choices") or ()),
                value=value,
                saved_by=saved_by,
                saved_at=saved_at,
            )
        )
    return shown


def _begin(item: WorkItem) -> None:
    """Hold the item for this transaction and mark it as in progress. Raises WrongState where it takes no answers."""
    if move(item, ANSWERABLE, "in_progress"):
        return
    if item.status == "submitted":
        raise WrongState(
            worded("This was submitted already. Ask your contact to reopen it if something must be changed.")
        )
    raise WrongState(worded("This was taken back, so there is nothing to answer any more."))


def _write(item: WorkItem, login: Login, taken: Mapping[str, Any]) -> None:
    """Put, change or take away rows; the item's row is held, so nobody else writes answers to it meanwhile."""
    rows = {
        row.key: row
        for row in db.session.scalars(
            sa.select(Answer)
            .where(Answer.item_id == item.id, Answer.key.in_(taken))
            .execution_options(populate_existing=True)
        )
    }
    now = utc_now()
    for key, value in taken.items():
        row = rows.get(key)
        if value is None:
            if row is not None:
                db.session.delete(row)
        elif row is None:
            db.session.add(Answer(item_id=item.id, key=key, value=value, login_id=login.id, saved_at=now))
        elif row.value != value:
            row.value, row.login_id, row.saved_at = value, login.id, now
    db.session.flush()


def _plain(text: Any) -> str:
    """Browsers send line breaks as CR LF, whatever stood in the page."""
    return str(text).replace("\r\n", "\n").strip()
