"""The client request as a workflow: its words, its statuses, what its pages and the API show of it.

The questions lie in the item's `details` as they were sent, so that a template changed later changes no survey. The
answers are rows of their own (`answers.py`), since they come one by one and from several people.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import marshmallow as ma

from hooks.signals import client_request_sending, client_request_sent
from invites.scope import FirmView, PortalView
from languages import worded
from models import WorkItem
from models.errors import Invalid
from schemas.client_request import ClientRequestSchema
from workflows.client_request import answers
from workflows.registry import Workflow
from workflows.viewing import opened_by


class ClientRequest(Workflow):
    """A survey, or without questions a task that the client marks as complete."""

    slug = "client-request"
    collection = "client-requests"
    singular = "Client request"
    plural = "Client requests"
    what = "sent you a survey"
    kind_label = "Survey"
    send_label = "Send client request"
    action_label = "Answer"
    done_label = "Mark as complete"
    licence = "client-requests"
    schema: ClassVar[type[ma.Schema]] = ClientRequestSchema
    question = client_request_sending
    trigger = client_request_sent
    portal_template = "portal/client_request.html"
    staff_template = "staff/client_request.html"
    form_template = "staff/client_request_form.html"
    statuses: ClassVar[Mapping[str, str]] = {
        "draft": "Draft",
        "sent": "Sent",
        "viewed": "Viewed",
        "in_progress": "In progress",
        "submitted": "Submitted",
        "cancelled": "Cancelled",
    }
    tones: ClassVar[Mapping[str, str]] = {
        "draft": "idle",
        "sent": "wait",
        "viewed": "wait",
        "in_progress": "wait",
        "submitted": "good",
        "cancelled": "idle",
    }

    def facts_of(self, item: WorkItem) -> list[tuple[str, str]]:
        """The introduction is shown as text and the questions as a form, so there are no further lines."""
        return []

    def action(self, item: WorkItem) -> str:
        """Answer, Continue once there is an answer, Open where there is nothing to answer."""
        if not answers.answerable(item):
            return "Open"
        return "Continue" if item.status == "in_progress" else self.action_label

    def progress(self, item: WorkItem) -> str:
        """ "3 of 24 answered"; empty without questions."""
        return self.progress_of([item])[item.id]

    def progress_of(self, items: Collection[WorkItem]) -> dict[str, str]:
        """The same for many, with one query."""
        answered = answers.count_of(items)
        words = {}
        for item in items:
            total = len(answers.answerable(item))
            words[item.id] = _answered(min(answered[item.id], total), total) if total else ""
        return words

    def api_fields(self, item: WorkItem) -> dict[str, Any]:
        """Introduction, questions and the answers that are there."""
        return self.api_fields_of([item])[item.id]

    def api_fields_of(self, items: Collection[WorkItem]) -> dict[str, dict[str, Any]]:
        """The same for many, with one query."""
        given = answers.values_of(items)
        return {
            item.id: {
                "introduction": (item.details or {}).get("introduction", ""),
                "questions": list(answers.questions_of(item)),
                "answers": given[item.id],
            }
            for item in items
        }

    def opened(self, item: WorkItem, person: PortalView) -> None:
        """The first look of a person."""
        self.move(item, ["sent"], "viewed")
        self.note(
            item,
            "client_request_viewed",
            actor=f"login:{person.login.id}",
            access_id=person.access_for(item).id,
        )

    def page(self, item: WorkItem, person: PortalView) -> dict[str, Any]:
        """The questions with what was answered so far."""
        return self._shown(item) | {
            "can_answer": answers.can_answer(item),
            "done_label": "Submit" if answers.answerable(item) else self.done_label,
        }

    def staff_page(self, item: WorkItem, view: FirmView) -> dict[str, Any]:
        """The questions, the answers, and what staff may do."""
        return self._shown(item) | {
            "can_reopen": item.status == "submitted",
            "can_cancel": item.status in {"draft", *answers.ANSWERABLE},
            "opened": opened_by([item])[item.id],
        }

    def respond(self, item: WorkItem, person: PortalView, form: Mapping[str, Any]) -> str:
        """`action=save` keeps the answers, anything else submits them too. Raises Invalid, WrongState.

        All in the caller's one transaction: what is wrong keeps nothing. The portal's own page saves first and
        submits in a second unit of work, so that a missing answer costs nothing that was typed.
        """
        errors = answers.save(item, person, answers.from_form(item, form))
        if errors:
            raise Invalid(errors)
        if form.get("action") == "save":
            return worded("Your answers are saved.")
        return answers.submit(item, person)

    def _shown(self, item: WorkItem) -> dict[str, Any]:
        shown = answers.views_of(item)
        return {
            "introduction": (item.details or {}).get("introduction", ""),
            "questions": shown,
            "answered": sum(question.answered for question in shown),
            "total": len(answers.answerable(item)),
        }


def _answered(done: int, total: int) -> str:
    return worded("%(done)s of %(total)s answered", done=done, total=total)


CLIENT_REQUEST = ClientRequest()
