"""Sending, for every workflow alike: licence, client, rows, trigger; all inside the caller's unit of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from invites.orders import InviteOrder, InviteResult
from invites.scope import FirmView
from invites.step import InviteStep
from models import Client, WorkItem
from workflows.registry import Workflow


@dataclass(frozen=True)
class Sent:
    """What became real together."""

    items: list[WorkItem]
    results: list[InviteResult]


def ask(
    workflow: Workflow,
    view: FirmView,
    client: Client,
    *,
    title: str,
    items: Sequence[WorkItem] = (),
    data: Mapping[str, Any] | None = None,
) -> InviteStep | None:
    """Ask the workflow's question signal: the Client Portal step, or None where nobody answers it.

    Raises LicenceMissing.
    """
    view.need_licence(workflow.licence, workflow.plural)
    answers = workflow.question.ask(
        workflow.slug,
        client=client,
        member=view.member,
        title=title,
        items=list(items),
        must_see=workflow.must_see(data or {}),
    )
    return next((answer for answer in answers if isinstance(answer, InviteStep)), None)


def send(
    workflow: Workflow, view: FirmView, client: Client, data: Mapping[str, Any], invite: InviteOrder | None
) -> Sent:
    """Make a work item real, with its invites and mails. Raises LicenceMissing, and whatever refuses it."""
    view.need_licence(workflow.licence, workflow.plural)
    items = workflow.create(view, client, data)
    return Sent(items, fire(workflow, view, client, items, invite, workflow.notify(data)))


def fire(
    workflow: Workflow,
    view: FirmView,
    client: Client,
    items: list[WorkItem],
    invite: InviteOrder | None,
    notify: Sequence[tuple[str, str]] = (),
) -> list[InviteResult]:
    """Fire the workflow's trigger for rows that are flushed, and note the sending; the invites' results."""
    for item in items:
        workflow.note(item, workflow.trigger.name, actor=f"member:{view.member.id}", title=item.title)
    answers = workflow.trigger.fire(
        workflow.slug, items=items, client=client, member=view.member, invite=invite, notify=list(notify)
    )
    return [result for answer in answers if isinstance(answer, list) for result in answer]
