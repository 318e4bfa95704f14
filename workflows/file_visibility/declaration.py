"""Files as a workflow: words, statuses, and what its pages and the API show.

A file is uploaded first and made visible later, so that nothing reaches the client by uploading alone. Whether it is
visible is the item's own `visible`; the status in words follows from that and from whether somebody opened it. What
was measured of the bytes stands in `details` too, so that a list of files asks for no second table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa

from hooks.signals import file_made_visible, file_visibility_changing
from invites.scope import FirmView, PortalView
from languages import worded
from models import Client, StoredFile, WorkItem, db, utc_now
from models.errors import Missing, WrongState
from schemas.files import FileSchema
from workflows.file_visibility import uploads
from workflows.names import size_text
from workflows.registry import Workflow
from workflows.viewing import opened_by


class FileVisibility(Workflow):
    """Files that staff make visible to the client."""

    slug = "file"
    collection = "files"
    singular = "File"
    plural = "Files"
    what = "shared a file with you"
    kind_label = "File"
    send_label = "Make visible"
    action_label = "Open"
    licence = uploads.LICENCE
    schema: ClassVar[type[ma.Schema]] = FileSchema
    question = file_visibility_changing
    trigger = file_made_visible
    portal_template = "portal/file.html"
    staff_template = "staff/file.html"
    form_template = "staff/file_form.html"
    needs_file = True
    statuses: ClassVar[Mapping[str, str]] = {
        "not_visible": "Not visible",
        "visible": "Visible",
        "opened": "Opened",
        "received": "From the client",
    }
    tones: ClassVar[Mapping[str, str]] = {
        "not_visible": "idle",
        "visible": "wait",
        "opened": "good",
        "received": "good",
    }

    def create(self, view: FirmView, client: Client, data: Mapping[str, Any]) -> list[WorkItem]:
        """Upload and make visible in one go; `data["uploads"]` are received already (`storage.received`)."""
        items = uploads.upload(view, client, data["uploads"])
        now = utc_now()
        for item in items:
            item.visible, item.sent_at = True, now
        db.session.flush()
        return items

    def status(self, item: WorkItem) -> str:
        """Follows from the switch, from who sent it, and from whether somebody opened it."""
        if not item.visible:
            return "not_visible"
        if uploads.is_from_client(item):
            return "received"
        return "opened" if item.status == "opened" else "visible"

    def facts_of(self, item: WorkItem) -> list[tuple[str, str]]:
        """Size and type."""
        details = item.details or {}
        return [
            ("Size", size_text(int(details.get("size", 0)))),
            ("Type", str(details.get("content_type", ""))),
        ]

    def api_fields(self, item: WorkItem) -> dict[str, Any]:
        """Name, what was measured of the bytes, and the switch."""
        details = item.details or {}
        measured = {key: details.get(key) for key in ("size", "sha256", "content_type")}
        return {"name": item.title, **measured, "visible": item.visible}

    def opened(self, item: WorkItem, person: PortalView) -> None:
        """The first look of a person; the one who sent it doesn't count."""
        if uploads.is_from_client(item):
            return
        self.move(item, ["uploaded"], "opened")
        self.note(item, "file_opened", actor=f"login:{person.login.id}", access_id=person.access_for(item).id)

    def page(self, item: WorkItem, person: PortalView) -> dict[str, Any]:
        """The file."""
        return self._shown(item)

    def staff_page(self, item: WorkItem, view: FirmView) -> dict[str, Any]:
        """The file, and who opened it when."""
        return self._shown(item) | {"opened": opened_by([item])[item.id]}

    def stored_file(self, item: WorkItem, which: str = "") -> StoredFile:
        """The bytes."""
        stored = None
        if not which:
            stored = db.session.scalars(
                sa.select(StoredFile).where(StoredFile.item_id == item.id, StoredFile.purpose == "file")
            ).one_or_none()
        if stored is None:
            raise Missing
        return stored

    def respond(self, item: WorkItem, person: PortalView, form: Mapping[str, Any]) -> str:
        """A file asks nothing of the client."""
        raise WrongState(worded("There is nothing to answer here. Open the file instead."))

    def _shown(self, item: WorkItem) -> dict[str, Any]:
        stored = self.stored_file(item)
        return {
            "file": stored,
            "size_text": size_text(stored.size),
            "from_client": uploads.is_from_client(item),
        }


FILE_VISIBILITY = FileVisibility()
