"""The eSign request as a workflow: its words, its statuses, what its pages and the API show of it.

Only its signers see it (`invites.scope` knows them), so its audience is chosen people. `expired` is never written:
it follows from the due day and the clock, and more time makes it open again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import marshmallow as ma

from hooks.signals import esign_request_sending, esign_request_sent
from invites.scope import FirmView, PortalView
from languages import worded
from models import Audience, Client, SignerState, StoredFile, WorkItem, db
from models.errors import Missing
from schemas.esign import EsignRequestSchema
from workflows.esign_request import documents, signing
from workflows.esign_request.completion import is_being_sealed
from workflows.esign_request.signers import (
    SIGNABLE,
    add_signers,
    is_expired,
    is_ordered,
    sign_state,
    signers_of,
    views,
)
from workflows.names import stem_of
from workflows.registry import Workflow
from workflows.viewing import opened_by


class EsignRequest(Workflow):
    """A PDF that one or more people sign by typing their name."""

    slug = "esign-request"
    collection = "esign-requests"
    singular = "eSign request"
    plural = documents.PLURAL
    what = signing.WHAT
    kind_label = "To sign"
    send_label = "Send eSign request"
    action_label = "Sign"
    licence = documents.LICENCE
    schema: ClassVar[type[ma.Schema]] = EsignRequestSchema
    question = esign_request_sending
    trigger = esign_request_sent
    portal_template = "portal/esign_request.html"
    staff_template = "staff/esign_request.html"
    form_template = "staff/esign_request_form.html"
    needs_file = True
    statuses: ClassVar[Mapping[str, str]] = {
        "draft": "Draft",
        "sent": "Sent",
        "viewed": "Viewed",
        "partially_signed": "Partially signed",
        "completed": "Completed",
        "declined": "Declined",
        "voided": "Voided",
        "expired": "Expired",
    }
    tones: ClassVar[Mapping[str, str]] = {
        "sent": "wait",
        "viewed": "wait",
        "partially_signed": "wait",
        "completed": "good",
        "declined": "bad",
        "voided": "idle",
        "expired": "bad",
    }

    @contextmanager
    def prepared(
        self, view: FirmView, client: Client, data: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        """Check the document, and copy it where it is one of the client's files."""
        view.need_licence(self.licence, self.plural)
        with documents.chosen(view, client, data["file_id"], data.get("fields") or ()) as document:
            yield {**data, "document": document}

    def create(self, view: FirmView, client: Client, data: Mapping[str, Any]) -> list[WorkItem]:
        """The request, its document and its signers; `data` comes out of `prepared`."""
        document: documents.Document = data["document"]
        details = {
            "message": data.get("message", ""),
            "ordered": bool(data.get("ordered")),
            "fields": list(data.get("fields") or []),
            "pages": document.facts.pages,
            "sha256": document.facts.sha256,
            "paper": document.paper,
        }
        item = self.new_item(
            view,
            client,
            {**data, "title": data.get("title") or stem_of(document.name)},
            status="sent",
            visible=True,
            open=True,
            audience=Audience.PEOPLE,
            details=details,
        )
        documents.attach(document, client, item)
        signers = add_signers(item, client, data["signers"])
        item.details = details | {"signer_ids": [signer.id for signer in signers]}
        db.session.flush()
        return [item]

    def must_see(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The signers."""
        return [(signer["name"], signer["email"]) for signer in data.get("signers") or []]

    def notify(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        """In order: those who sign first; the others hear of it when it is their turn."""
        if not data.get("ordered"):
            return self.must_see(data)
        people = data.get("signers") or []
        places = [signer.get("order") or place for place, signer in enumerate(people, start=1)]
        return [
            (signer["name"], signer["email"])
            for signer, place in zip(people, places, strict=True)
            if place == min(places)
        ]

    def status(self, item: WorkItem) -> str:
        """`expired` once the due day is over while somebody still has to sign."""
        return "expired" if is_expired(item) else item.status

    def status_label(self, item: WorkItem) -> str:
        """The status in words."""
        return worded("Signed, being sealed") if is_being_sealed(item) else super().status_label(item)

    def facts_of(self, item: WorkItem) -> list[tuple[str, str]]:
        """Pages and the document's hash."""
        details = item.details or {}
        return [("Pages", str(details.get("pages", ""))), ("SHA-256", str(details.get("sha256", "")))]

    def progress(self, item: WorkItem) -> str:
        """ "1 of 3 signed"."""
        return self.progress_of([item])[item.id]

    def progress_of(self, items: Collection[WorkItem]) -> dict[str, str]:
        """The same for many, with one query."""
        words: dict[str, str] = {}
        for item_id, rows in signers_of(items).items():
            signed = sum(row.state is SignerState.SIGNED for row in rows)
            words[item_id] = worded("%(done)s of %(total)s signed", done=signed, total=len(rows))
        return words

    def api_fields(self, item: WorkItem) -> dict[str, Any]:
        """The document, its signers and how far they are."""
        return self.api_fields_of([item])[item.id]

    def api_fields_of(self, items: Collection[WorkItem]) -> dict[str, dict[str, Any]]:
        """The same for many, with one query."""
        signers = signers_of(items)
        found = {}
        for item in items:
            details = item.details or {}
            found[item.id] = {
                "message": details.get("message", ""),
                "ordered": is_ordered(item),
                "fields": details.get("fields", []),
                "pages": details.get("pages"),
                "sha256": details.get("sha256"),
                "sealed_sha256": details.get("sealed_sha256"),
                "signers": [
                    {
                        "id": row.id,
                        "name": row.name,
                        "email": row.email_display,
                        "order": row.position,
                        "state": row.state.value,
                        "signed_at": row.signed_at,
                    }
                    for row in signers[item.id]
                ],
            }
        return found

    def opened(self, item: WorkItem, person: PortalView) -> None:
        """The first look of a person."""
        signing.look(item, person)

    def page(self, item: WorkItem, person: PortalView) -> dict[str, Any]:
        """The document, my signature boxes, and who else signs."""
        state = sign_state(item, person.login)
        return self._shown(item) | {
            "state": state,
            "can_sign": state.may_sign,
            "consent": signing.CONSENT,
            "expired": state.expired,
        }

    def staff_page(self, item: WorkItem, view: FirmView) -> dict[str, Any]:
        """The document, the signers, and what staff may do."""
        live = item.open and item.status in SIGNABLE
        return self._shown(item) | {
            "signers": views(item),
            "can_void": live,
            "can_extend": live,
            "expired": is_expired(item),
            "sha256": (item.details or {}).get("sha256", ""),
            "void_reason": (item.details or {}).get("void_reason", ""),
            "opened": opened_by([item])[item.id],
        }

    def stored_file(self, item: WorkItem, which: str = "") -> StoredFile:
        """`document` as it was uploaded, `sealed`, or without a word the best there is."""
        sealed = documents.sealed_of(item) if which in {"", "sealed"} else None
        if sealed is not None:
            return sealed
        if which in {"", "document"}:
            return documents.document_of(item)
        raise Missing

    def respond(self, item: WorkItem, person: PortalView, form: Mapping[str, Any]) -> str:
        """`action` is sign or decline, `signer` an id. Call `completion.seal_pending` after the commit."""
        trace = signing.Trace.of_request()
        signer = str(form.get("signer", ""))
        if form.get("action") == "decline":
            signing.decline(item, person, signer, str(form.get("reason", "")), trace)
            return worded("You declined to sign. Your contact is told.")
        signing.sign(
            item, person, signer, str(form.get("typed_name", "")), form.get("consent") == "yes", trace
        )
        return worded("Thank you. Your signature is recorded.")

    def _shown(self, item: WorkItem) -> dict[str, Any]:
        details = item.details or {}
        return {
            "document": documents.document_of(item),
            "sealed": documents.sealed_of(item),
            "being_sealed": is_being_sealed(item),
            "pages": documents.page_count(item),
            "message": details.get("message", ""),
            "ordered": is_ordered(item),
        }


ESIGN_REQUEST = EsignRequest()
