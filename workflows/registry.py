"""What a workflow declares, and the registry that holds the installed ones.

A workflow is one subclass of `Workflow` in one file. From the declaration alone follow the staff form (drawn from the
marshmallow schema), the Client Portal window (through the two signals), API and OpenAPI entries, the mails, the
portal page and the generated tests. What a plain item needs, the base class does: a title, an optional due date and
the schema's further fields in `details`; the client reads it and marks it as done.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import marshmallow as ma
from flask import current_app

from hooks.signals import Question, Trigger
from invites.scope import FirmView, PortalView
from languages import worded
from models import Audience, Client, StoredFile, WorkItem, db, new_id, utc_now
from models.errors import Missing, WrongState
from workflows.moves import move, note


class BadWorkflow(Exception):
    """A declaration that can't be installed; the text says what is missing or wrong."""


class DuplicateWorkflow(BadWorkflow):
    """A slug or collection that another workflow has already."""


class Workflow:
    """Base of all workflows. Class attributes are the declaration; methods may be overridden."""

    slug: ClassVar[str]  # "invoice": sender of its signals, key in tables
    collection: ClassVar[str]  # "invoices": in URLs of pages and API
    singular: ClassVar[str]  # "Invoice"
    plural: ClassVar[str]  # "Invoices"
    what: ClassVar[str]  # after the sender's name in mails: "sent you an invoice"
    kind_label: ClassVar[str]  # one word in To-do: "Invoice"
    send_label: ClassVar[str]  # staff's button: "Send invoice"
    action_label: ClassVar[str] = "Open"  # the client's button
    done_label: ClassVar[str] = "Mark as complete"  # the base class's answer of the client
    licence: ClassVar[str] = ""  # key that gates it; empty: always allowed
    schema: ClassVar[type[ma.Schema]]  # one schema for form and API; needs `title`, may have `due_on`
    question: ClassVar[Question]
    trigger: ClassVar[Trigger]
    portal_template: ClassVar[str] = "portal/item.html"
    staff_template: ClassVar[str] = "staff/item.html"
    form_template: ClassVar[str] = "staff/work_form.html"
    needs_file: ClassVar[bool] = False  # its form and API take an upload
    statuses: ClassVar[Mapping[str, str]] = {"sent": "Sent", "viewed": "Viewed", "completed": "Completed"}
    tones: ClassVar[Mapping[str, str]] = {"sent": "idle", "viewed": "wait", "completed": "good"}

    @contextmanager
    def prepared(
        self, view: FirmView, client: Client, data: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        """What is slow or touches the file store, before the unit of work opens; yields the data to send.

        What it put into the file store is taken away again when the block raises. Raises Invalid.
        """
        yield data

    def create(self, view: FirmView, client: Client, data: Mapping[str, Any]) -> list[WorkItem]:
        """Add the item's rows inside the open unit of work (before the trigger fires). `data` was validated."""
        return [self.new_item(view, client, data, status="sent", visible=True, open=True)]

    def new_item(self, view: FirmView, client: Client, data: Mapping[str, Any], **values: Any) -> WorkItem:
        """One flushed work item row: title and due date as columns, the schema's other fields in `details`."""
        now = utc_now()
        details = {
            key: value for key, value in data.items() if key not in {"title", "due_on", "invite", "file"}
        }
        item = WorkItem(
            id=new_id(),
            firm_id=client.firm_id,
            client_id=client.id,
            workflow=self.slug,
            title=data["title"],
            due_on=data.get("due_on"),
            details=self.schema().dump(details) if "details" not in values else values.pop("details"),
            created_by_id=view.member.id,
            created_at=now,
            sent_at=now if values.get("visible") else None,
            audience=values.pop("audience", Audience.PORTAL),
            **values,
        )
        db.session.add(item)
        db.session.flush()
        return item

    def must_see(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        """(name, address) of chosen people who must see it, such as signers; empty: the client's usual ones."""
        return []

    def notify(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        """(name, address) of those who get a mail at once, if they have access already; mostly `must_see`."""
        return self.must_see(data)

    def status(self, item: WorkItem) -> str:
        """The status as of now: a workflow may derive it from the clock. Show this one, not the column."""
        return item.status

    def facts_of(self, item: WorkItem) -> list[tuple[str, str]]:
        """(label, value) lines that staff and client read on the item's page; the schema's own fields by default."""
        lines = []
        for name, field in self.schema().fields.items():
            value = (item.details or {}).get(name)
            if name in {"title", "due_on", "invite"} or value in (None, "", []):
                continue
            lines.append(
                (str(field.metadata.get("label") or name.replace("_", " ").capitalize()), _text(value))
            )
        return lines

    def status_label(self, item: WorkItem) -> str:
        """The status in words."""
        return self.statuses.get(self.status(item), self.status(item))

    def tone(self, item: WorkItem) -> str:
        """The status's dot: good, wait, bad or idle."""
        return self.tones.get(self.status(item), "idle")

    def action(self, item: WorkItem) -> str:
        """The client's button for this item in lists: `action_label`, unless its state says more ("Continue")."""
        return self.action_label

    def progress(self, item: WorkItem) -> str:
        """A few words for lists, such as "3 of 24 answered"; empty where there is nothing to say."""
        return ""

    def progress_of(self, items: Collection[WorkItem]) -> dict[str, str]:
        """`progress` of many items by id, for lists: a workflow that asks the database does so once for all."""
        return {item.id: self.progress(item) for item in items}

    def api_fields(self, item: WorkItem) -> dict[str, Any]:
        """The workflow's own fields in API answers."""
        return dict(item.details or {})

    def api_fields_of(self, items: Collection[WorkItem]) -> dict[str, dict[str, Any]]:
        """`api_fields` of many items by id, for lists: a workflow that asks the database does so once for all."""
        return {item.id: self.api_fields(item) for item in items}

    def opened(self, item: WorkItem, person: PortalView) -> None:
        """A portal user looks at the item (called inside a unit of work, at the first look of this person)."""
        self.move(item, ["sent"], "viewed")

    def page(self, item: WorkItem, person: PortalView) -> dict[str, Any]:
        """Further context for the portal page."""
        return {}

    def staff_page(self, item: WorkItem, view: FirmView) -> dict[str, Any]:
        """Further context for the staff's page of the item."""
        return {}

    def stored_file(self, item: WorkItem, which: str = "") -> StoredFile:
        """The bytes behind the item; `which` tells apart where it has several. Raises Missing where it has none."""
        raise Missing

    def respond(self, item: WorkItem, person: PortalView, form: Mapping[str, Any]) -> str:
        """The client's answer (inside a unit of work); the sentence shown afterwards. Raises WrongState, Invalid."""
        if not self.move(item, ["sent", "viewed"], "completed", open=False, done_at=utc_now()):
            raise WrongState(worded("This is complete already."))
        self.note(item, f"{self.slug.replace('-', '_')}_completed", actor=f"login:{person.login.id}")
        return worded("%(title)s is marked as complete.", title=item.title)

    def move(self, item: WorkItem, origins: Collection[str], status: str, **values: Any) -> bool:
        """Change the status by one guarded UPDATE; whether it was ours (see `workflows.moves`)."""
        return move(item, origins, status, **values)

    def note(
        self, item: WorkItem, name: str, *, actor: str = "system", access_id: str | None = None, **data: Any
    ) -> None:
        """Append an event about `item`: a fact where one of that name is declared, activity in any case."""
        note(item, name, actor=actor, access_id=access_id, **data)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(part) for part in value)
    return str(value)


_DECLARED = (
    "slug", "collection", "singular", "plural", "what", "kind_label", "send_label", "schema", "question", "trigger",
)  # fmt: skip
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
# Words that stand where a collection stands in an address of the pages or the API.
_OUR_OWN = {
    "access", "activity", "clients", "contacts", "edit", "explain", "home", "invite", "invite-step", "invite-steps",
    "invites", "jobs", "new", "people", "portal", "send", "webhook-deliveries", "webhook-endpoints",
}  # fmt: skip


def _check(workflow: Workflow) -> None:
    missing = [name for name in _DECLARED if not getattr(workflow, name, None)]
    if missing:
        raise BadWorkflow(f"it does not say its {', '.join(missing)}")
    for name in (workflow.slug, workflow.collection):
        if not _NAME.match(name):
            raise BadWorkflow(f"{name!r} can't stand in an address: use small letters, digits and hyphens")
    if workflow.collection in _OUR_OWN:
        raise BadWorkflow(
            f"the collection {workflow.collection!r} is an address of the product: choose another"
        )
    if type(workflow).create is Workflow.create and "title" not in workflow.schema().fields:
        raise BadWorkflow("its schema has no field `title`")


class Registry:
    """The installed workflows, by slug and by collection. Refuses either twice."""

    def __init__(self) -> None:
        self._by_slug: dict[str, Workflow] = {}
        self._by_collection: dict[str, Workflow] = {}

    def add(self, workflow: Workflow) -> None:
        """Install one. Raises BadWorkflow, and DuplicateWorkflow for a slug or collection that is taken."""
        _check(workflow)
        if workflow.slug in self._by_slug or workflow.collection in self._by_collection:
            raise DuplicateWorkflow(
                f"a workflow with the slug {workflow.slug!r} or the collection {workflow.collection!r} is installed"
            )
        self._by_slug[workflow.slug] = workflow
        self._by_collection[workflow.collection] = workflow

    def __iter__(self) -> Iterator[Workflow]:
        return iter(self._by_slug.values())

    def get(self, slug: str) -> Workflow | None:
        """The workflow of this slug, if it is installed."""
        return self._by_slug.get(slug)

    def of(self, item: WorkItem) -> Workflow:
        """The workflow of an item. Raises KeyError where its plug-in was taken away."""
        return self._by_slug[item.workflow]

    def by_collection(self, collection: str) -> Workflow | None:
        """The workflow behind a URL's collection, if it is installed."""
        return self._by_collection.get(collection)


def installed() -> Registry:
    """The running application's workflows."""
    registry: Registry = current_app.extensions["workflows"]
    return registry
