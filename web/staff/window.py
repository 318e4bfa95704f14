"""The Client Portal window's one code path, whatever it was opened from.

A place that opens it (the + of the record, a send form, a visibility switch) says what is being sent, which hidden
fields travel along, and what Send does; everything else happens here. The window is a page of its own; for a script
(`X-Fragment: window`) it is the fragment that goes into a dialog. Send answers a script with an address instead of a
redirect, so that it can close the dialog first.

Send opens the one unit of work: work item, invites and mails become real together, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from types import SimpleNamespace

from flask import flash, request
from werkzeug.wrappers import Response as AnyResponse

import config
from invites import remembered
from invites.lifecycle import expiry
from invites.orders import InviteOrder, InviteResult
from invites.scope import FirmView
from invites.step import InviteStep, summary
from mail.preview import preview
from models import WorkItem, unit_of_work, utc_now
from models.errors import Invalid, ProblemForPeople
from web.forms import field_errors
from web.staff import once, sent
from web.staff.common import page
from web.staff.sent import leave, wants_fragment
from web.staff.window_form import WindowState, posted, templates_for, untouched

PEOPLE = "people"  # the form's button `Choose people`

Answer = str | AnyResponse | tuple[str, int]
# Runs inside the unit of work: makes everything real and says what came of each person.
Commit = Callable[[InviteOrder | None], list[InviteResult]]
# Entered before the unit of work opens (slow checks, bytes); gives the commit, and tidies up when it fails.
Begin = Callable[[], AbstractContextManager[Commit]]


@dataclass(frozen=True)
class Place:
    """Where the window was opened from."""

    view: FirmView
    step: InviteStep
    action: str  # where the window's form is posted
    heading: str  # "Sending "Organizer 2026" to Byron Family"
    what: str  # as the mail says it after the sender's name
    begin: Begin  # what Send does
    done_url: str  # where Send leads
    done_text: str  # what happened, for people who were not invited
    can_skip: bool = True  # there is a work item that can go out without invites
    can_edit: bool = False  # `do=edit` leads back to the form before it, with everything typed
    only: str | None = None  # tick this one person beforehand
    hidden: Sequence[tuple[str, str]] = ()  # the work item's checked fields
    back_url: str = ""
    items: Sequence[WorkItem] = ()  # what the mail speaks of; may be rows that aren't kept yet


def works_at_once(commit: Commit) -> Begin:
    """A `begin` for what needs no preparation."""
    return lambda: nullcontext(commit)


def from_window(form: Mapping[str, str]) -> bool:
    """Whether a post comes from the window (any of its buttons) and not from the form before it."""
    wish = form.get("do", PEOPLE)
    return wish != PEOPLE or "insert_template" in form or any(name.startswith("people-") for name in form)


def wants_people(form: Mapping[str, str]) -> bool:
    """Whether the form before the window asks for it even where everybody can see the item already."""
    return form.get("do") == PEOPLE


def show(place: Place) -> Answer:
    """The window as it opens."""
    return _drawn(place, untouched(place.step, place.only))


def handle(place: Place) -> Answer:
    """The window after one of its buttons: show it again, or send and go on."""
    wish = request.form.get("do", "")
    if wish in {"send", "skip"}:
        once.stop_if_done(place.view.member)
    state = posted(place.step, place.view, request.form)
    if wish == "skip" and place.can_skip:
        return _finish(place, state, None)
    if wish == "send":
        try:
            order = state.order()
        except Invalid as error:
            state.errors = field_errors(error.fields)
            return _drawn(place, state, error.status)
        return _finish(place, state, order)
    # A script that adds a person or asks for the preview shows the sentences itself; nothing failed for it.
    return _drawn(place, state, 422 if state.errors and not wants_fragment() else 200)


def send_at_once(place: Place) -> AnyResponse:
    """No window needed: everybody who must see the item can already."""
    once.stop_if_done(place.view.member)
    with place.begin() as commit, unit_of_work():
        claim = once.claim(place.view.member)
        results = sent.plain(commit(None))
        url = claim.leads_to(place.done_url, place.done_text, results)
    return _done(url, results, place.done_text)


def _finish(place: Place, state: WindowState, order: InviteOrder | None) -> Answer:
    try:
        with place.begin() as commit, unit_of_work():
            claim = once.claim(place.view.member)
            results = sent.plain(commit(order))
            url = claim.leads_to(place.done_url, place.done_text, results)
            if place.step.has_item:
                remembered.dont_ask_for(place.step.client, state.dont_ask)
    except Invalid as error:
        # Fields of the work item are not in the window, so their sentences stand above it.
        state.errors = {"form": [sentence for sentences in error.fields.values() for sentence in sentences]}
        return _drawn(place, state, error.status)
    except ProblemForPeople as error:
        if error.status != 409:
            raise
        # An extension, or the world, refused the whole action: nothing was kept, so the window stays as it is.
        state.errors = {"form": [error.sentence]}
        return _drawn(place, state, error.status)
    return _done(url, results, place.done_text)


def _done(url: str, results: list[dict[str, str]], text: str) -> AnyResponse:
    """To where it led: the pop-up there names the people, a sentence says it where nobody was invited."""
    if not results:
        flash(text, "success")
    return leave(url)


def _drawn(place: Place, state: WindowState, status: int = 200) -> tuple[str, int]:
    template = "staff/_window.html" if wants_fragment() else "staff/window_page.html"
    return page(template, step=_context(place, state)), status


def _context(place: Place, state: WindowState) -> SimpleNamespace:
    """What the window's template shows (docs/look.md lists it)."""
    preview = _preview(place, state)  # before the errors are read: it may find one
    return SimpleNamespace(
        client=place.step.client,
        heading=place.heading,
        action=place.action,
        hidden=list(place.hidden),
        back_url=place.back_url,
        people=state.people,
        item_choice=place.step.has_item,
        errors=state.errors,
        new_email=state.new_email,
        message=state.message,
        message_on=state.message_on,
        template_id=state.template.id if state.template else "",
        access_until=state.access_until,
        templates=templates_for(place.view, place.step.workflow),
        preview=preview,
        summary=summary(place.step, state.people),
        can_skip=place.can_skip,
        can_edit=place.can_edit,
    )


def _preview(place: Place, state: WindowState) -> SimpleNamespace | None:
    """The real mail for the first ticked person; a message that can't be filled in gets its sentence."""
    first = next((person for person in state.ticked if person.can_invite), None)
    if first is None:
        return None
    firm = place.view.member.firm
    days = firm.invite_days or config.current().invite_days
    try:
        ends_at = state.access_ends_at()
    except Invalid:  # said when it is sent; while it is typed the preview goes on without
        ends_at = None
    mail = preview(
        firm,
        place.view.member,
        what=place.what,
        name=first.name,
        address=first.email,
        client_name=place.step.client.name,
        message=state.message if state.message_on else "",
        expires_at=expiry(utc_now(), days, place.items, firm.time_zone, ends_at),
        item=place.items[0] if place.items else None,
    )
    if mail.problem:
        state.errors.setdefault("message", [mail.problem])
    return SimpleNamespace(**asdict(mail), for_name=first.name.split(" ")[0] or first.email)
