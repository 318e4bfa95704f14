"""What staff did in the Client Portal window: the posted form laid over the step as the database has it now.

The step is built anew at every post, so a standing that changed meanwhile shows; what staff ticked, chose and typed
is put back on top of it. A typed address is never lost: whatever stands in the text box is committed by every button,
several at once if need be, and what can't be an address stays in the box with its sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from werkzeug.datastructures import MultiDict

from invites.access_until import end_of
from invites.orders import InviteOrder, Recipient
from invites.scope import FirmView
from invites.step import InviteStep, Person, add_people, as_seen
from mail import placeholders
from models import MessageTemplate, Scope, db
from models.address import BadAddress, likely_typo, parse_address
from models.errors import Invalid
from schemas.base import load
from schemas.invites import RECIPIENTS_MOST, InviteOrderSchema

CAN_SEE = {"portal": Scope.PORTAL, "item": Scope.ITEMS}
NOBODY = "Tick at least one person."
# "Books, Anna" <anna@...> (as address books copy it), Anna Books <anna@...>, anna@...
_PART = re.compile(r'(?:"(?P<quoted>[^"\n]*)"\s*|(?P<name>[^"<>,;\n]*))<(?P<address>[^<>]*)>|[^,;\s]+')
_ROW = re.compile(r"people-(\d{1,4})-key")


@dataclass(frozen=True)
class TypedRow:
    """One row as the form sent it."""

    key: str
    contact_id: str
    email: str
    name: str
    ticked: bool
    can_see: Scope | None
    added: bool
    dont_ask: bool


@dataclass
class WindowState:
    """The window's content after staff touched it."""

    step: InviteStep
    people: list[Person]
    new_email: str = ""
    message_on: bool = False
    message: str = ""
    template: MessageTemplate | None = None  # the one whose text was inserted last
    access_until: str = ""  # as typed
    zone: str = "UTC"  # the firm's, in which a day ends
    errors: dict[str, list[str]] = field(default_factory=dict)

    @property
    def ticked(self) -> list[Person]:
        """Who would be invited by Send."""
        return [person for person in self.people if person.ticked and not person.has_access]

    @property
    def dont_ask(self) -> list[str]:
        """The contacts on whose account the window isn't to open again; who is ticked is asked for."""
        return [
            person.contact_id
            for person in self.people
            if person.contact_id and person.dont_ask and not person.ticked
        ]

    def order(self) -> InviteOrder:
        """The order that Send carries out. Raises Invalid with the sentences beside the rows."""
        errors = dict(self.errors)
        for number, person in enumerate(self.people):
            if person.ticked and (person.error or not person.can_invite) and not person.has_access:
                sentence = person.error or f"{person.label} has no e-mail address. Add one beside the name."
                errors[f"people-{number}-email"] = [sentence]
        if not self.ticked and not errors:
            errors["people"] = [NOBODY]
        message = ""
        try:
            if self.message_on:
                message = load(InviteOrderSchema(only=("message",)), {"message": self.message})["message"]
                placeholders.check(message)
        except Invalid as error:
            errors |= error.fields
        ends_at = None
        try:
            ends_at = self.access_ends_at()
        except Invalid as error:
            errors |= error.fields
        if errors:
            raise Invalid(errors, "Nothing was sent yet.")
        template = self.template if message else None
        return InviteOrder(
            recipients=tuple(
                Recipient(person.contact_id, person.email, person.name, person.can_see)
                for person in self.ticked
            ),
            message=message,
            access_ends_at=ends_at,
            template=(template.id, template.name) if template else None,
        )

    def access_ends_at(self) -> datetime | None:
        """When the access ends that is typed under `Access until`. Raises Invalid (`access_until`)."""
        given = {"access_until": self.access_until} if self.access_until.strip() else {}
        return end_of(load(InviteOrderSchema(only=("access_until",)), given)["access_until"], self.zone)


def untouched(step: InviteStep, only: str | None = None) -> WindowState:
    """The window as it opens. `only` ticks this one person (a contact's id or an address) and nobody else."""
    people = list(step.people)
    if only is not None:
        people = [
            replace(person, ticked=person.can_invite and only in {person.key, person.email})
            for person in people
        ]
    return WindowState(step, people)


def posted(step: InviteStep, view: FirmView, form: MultiDict[str, str]) -> WindowState:
    """The window as staff left it; what stood in the text box is committed to rows."""
    typed = _rows(form)
    by_key = {row.key.casefold(): row for row in typed if row.key}
    people = [_laid_over(person, by_key.get(person.key.casefold()), step, view) for person in step.people]
    there = {person.key.casefold() for person in step.people}
    added = [row for row in typed if row.email and not row.contact_id and row.key.casefold() not in there]
    pairs = [(row.email, row.name) for row in added]
    people = _folded(
        people,
        [
            (replace(person, can_see=row.can_see or person.can_see), row.ticked)
            for row, person in zip(added, _add(step, view, pairs), strict=True)
        ],
    )
    state = WindowState(
        step,
        people,
        message=form.get("message", ""),
        message_on="message_on" in form,
        access_until=form.get("access_until", ""),
        zone=view.member.firm.time_zone,
    )
    _commit_typed(state, view, form.get("new_email", ""))
    _take_template(state, view, form.get("insert_template", ""), form.get("template_id", ""))
    return state


def split_addresses(text: str) -> list[tuple[str, str]]:
    """(name, address) pairs in what was typed or pasted: commas, semicolons, spaces and lines part addresses."""
    return [
        ("", match[0])
        if match["address"] is None
        else ((match["quoted"] or match["name"] or "").strip(), match["address"].strip())
        for match in _PART.finditer(text)
    ]


def _rows(form: MultiDict[str, str]) -> list[TypedRow]:
    numbers = sorted({int(match[1]) for name in form if (match := _ROW.fullmatch(name))})[:RECIPIENTS_MOST]
    return [
        TypedRow(
            key=form.get(f"people-{number}-key", "").strip(),
            contact_id=form.get(f"people-{number}-contact_id", "").strip(),
            email=_address(form.getlist(f"people-{number}-email")),
            name=form.get(f"people-{number}-name", "").strip()[:200],
            ticked=f"people-{number}-tick" in form,
            can_see=CAN_SEE.get(form.get(f"people-{number}-can_see", "")),
            added=f"people-{number}-added" in form,
            dont_ask=f"people-{number}-dont_ask" in form,
        )
        for number in numbers
    ]


def _address(values: Sequence[str]) -> str:
    """The row's address. "Did you mean ...?" is a button of the same name: then the better of two is meant."""
    texts = [value.strip() for value in values]
    if len(texts) < 2:
        return texts[0] if texts else ""
    return next((text for text in texts if text and not _is_typo(text)), texts[0])


def _is_typo(text: str) -> bool:
    try:
        return likely_typo(parse_address(text)) is not None
    except BadAddress:
        return True


def _add(step: InviteStep, view: FirmView, pairs: Sequence[tuple[str, str]]) -> list[Person]:
    """Rows for typed (address, name) pairs, as this step sees them."""
    people = add_people(step.client, view.member, pairs)
    return [as_seen(person, step.workflow, step.must_see) for person in people]


def _laid_over(person: Person, row: TypedRow | None, step: InviteStep, view: FirmView) -> Person:
    """A row of the step with what staff did to it. A row the form doesn't hold is new on the record: as it opens."""
    if row is None:
        return person
    can_see = row.can_see or person.can_see
    # Rows that can't be pressed have no such box; what is kept for them stays.
    person = replace(
        person, dont_ask=row.dont_ask if person.can_invite or person.needs_address else person.dont_ask
    )
    if person.needs_address and row.email:
        typed = _add(step, view, [(row.email, person.name)])[0]
        if typed.error:
            return replace(person, email=row.email, error=typed.error, ticked=row.ticked, can_see=can_see)
        person = replace(person, email=typed.email, standing=typed.standing, typo=typed.typo)
    elif person.added and person.contact_id is None and row.email and row.email != person.email:
        corrected = _add(step, view, [(row.email, person.name)])[0]
        person = replace(corrected, name=person.name)
    return replace(person, ticked=row.ticked and (person.can_invite or person.needs_address), can_see=can_see)


def _commit_typed(state: WindowState, view: FirmView, text: str) -> None:
    """Turn what stands in the text box into ticked rows; what is no address stays there with its sentence."""
    kept: list[str] = []
    sentences: list[str] = []
    good: list[tuple[Person, bool]] = []
    pairs = [(address, name) for name, address in split_addresses(text)[:RECIPIENTS_MOST]]
    for person in _add(state.step, view, pairs):
        if person.error:
            kept.append(person.email)
            sentences.append(person.error)
            continue
        good.append((person, True))
    state.people = _folded(state.people, good)
    state.new_email = ", ".join(kept)
    if kept:
        state.errors["new_email"] = _sentences(kept, sentences)


def _sentences(kept: list[str], sentences: list[str]) -> list[str]:
    """Why these can't be used: the reason for one; words without an @ (a pasted name) in one sentence together."""
    words = [text for text in kept if "@" not in text]
    if len(words) < 2:
        return sentences
    others = [sentence for text, sentence in zip(kept, sentences, strict=True) if "@" in text]
    return [f"These are no e-mail addresses: {', '.join(words)}.", *others]


def _folded(people: Sequence[Person], added: Iterable[tuple[Person, bool]]) -> list[Person]:
    """Add people (and whether each is ticked), or tick the rows that have their addresses already."""
    folded = list(people)
    places: dict[str | None, int] = {}
    for place, person in enumerate(folded):
        if person.email and not person.error:
            places.setdefault(_key(person.email), place)
    for person, ticked in added:
        key = None if person.error else _key(person.email)
        there = places.get(key) if key else None
        if there is None:
            places.setdefault(key, len(folded))
            folded.append(replace(person, ticked=ticked and (person.can_invite or bool(person.error))))
        elif ticked and folded[there].can_invite:
            folded[there] = replace(folded[there], ticked=True)
    return folded


def _key(text: str) -> str | None:
    try:
        return parse_address(text).key
    except BadAddress:
        return None


def _take_template(state: WindowState, view: FirmView, wanted: str, before: str) -> None:
    """Put a message template's text into the message, or remember the one that a script put there (`before`)."""
    if not wanted and not before:
        return
    found = {one.id: one for one in templates_for(view, state.step.workflow)}
    chosen = found.get(wanted)
    state.template = chosen or found.get(before)
    if chosen is not None:
        state.message = (
            f"{state.message.rstrip()}\n\n{chosen.body}".strip() if state.message.strip() else chosen.body
        )
        state.message_on = True


def templates_for(view: FirmView, workflow: str) -> list[MessageTemplate]:
    """The message templates that the window offers, by name."""
    return list(db.session.scalars(view.message_templates(workflow)))
