"""Files: upload by multipart, visible at once or later."""

from __future__ import annotations

import json
from typing import Any

from flask import request

from models.errors import Invalid
from schemas.answers import ItemAnswer
from schemas.api import DryRunQuery, FileForm, VisibilityBody
from schemas.base import load
from schemas.invites import InviteOrderSchema
from web.api import answers
from web.api.common import Call, answered, blueprint, kept, need_one_good, order_of, view
from workflows import storage
from workflows.file_visibility import uploads, visibility
from workflows.file_visibility.declaration import FileVisibility
from workflows.registry import installed

blp = blueprint("api-files", "Files")


@blp.route("/clients/<client_id>/files")
class Upload(Call):
    """A new file of a client."""

    @blp.arguments(DryRunQuery, location="query")
    @blp.arguments(FileForm, location="form")
    @blp.response(201, ItemAnswer)
    @blp.doc(
        summary="Upload a file, invisible or visible with invites",
        tags=["Files"],
        requestBody={
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {"type": "string", "format": "binary"},
                            "visible": {"type": "boolean"},
                            "invite": {"type": "string", "description": "an invite order as JSON text"},
                        },
                    }
                }
            }
        },
    )
    def post(self, query: dict[str, Any], form: dict[str, Any], client_id: str) -> Any:
        """Store the bytes first; rows, invites and mails then become real together."""
        sent = request.files.getlist("file")
        if len(sent) != 1:
            raise Invalid({"file": ["Send exactly one file, in the multipart field `file`."]})
        order = order_of(_order(form["invite"]))
        if order is not None and not form["visible"]:
            raise Invalid({"invite": ["Make the file visible to invite people to it."]})
        firm = view()
        workflow = _workflow()
        firm.need_licence(workflow.licence, workflow.plural)
        client = firm.client(client_id)
        with storage.received((sent[0].stream, sent[0].filename or "")) as received, kept(query["dry_run"]):
            items = uploads.upload(firm, client, received)
            outcomes = visibility.make_visible(firm, client, items, order) if form["visible"] else []
            need_one_good(outcomes, "invite.recipients")
            answer = answers.sent(workflow, client, items, outcomes)
        return answered(answer, 200 if query["dry_run"] else 201)


@blp.route("/files/<item_id>/visibility")
class Visibility(Call):
    """Whether the client sees a file."""

    @blp.arguments(DryRunQuery, location="query")
    @blp.arguments(VisibilityBody)
    @blp.response(200, ItemAnswer)
    @blp.doc(tags=["Files"])
    def put(self, query: dict[str, Any], body: dict[str, Any], item_id: str) -> Any:
        """Make a file visible (with invites) or invisible"""
        order = order_of(body["invite"])
        if order is not None and not body["visible"]:
            raise Invalid({"invite": ["Make the file visible to invite people to it."]})
        workflow = _workflow()
        with kept(query["dry_run"]):
            firm = view()
            item = firm.item(item_id, workflow.slug)
            client = firm.client(item.client_id)
            if body["visible"]:
                outcomes = visibility.make_visible(firm, client, [item], order)
                need_one_good(outcomes, "invite.recipients")
            else:
                visibility.make_invisible(firm, [item])
                outcomes = []
            answer = answers.sent(workflow, client, [item], outcomes)
        return answered(answer, 200)


def _workflow() -> FileVisibility:
    workflow = installed().get(FileVisibility.slug)
    assert isinstance(workflow, FileVisibility)  # noqa: S101  # it is built in
    return workflow


def _order(text: str) -> dict[str, Any] | None:
    """The form's `invite`: JSON text of an invite order, or nothing."""
    if not text.strip():
        return None
    try:
        data = json.loads(text)
    except ValueError as error:
        raise Invalid({"invite": ["This is not JSON."]}) from error
    if not isinstance(data, dict):
        raise Invalid({"invite": ["Send an object with recipients."]})
    try:
        return load(InviteOrderSchema(), data)
    except Invalid as error:
        raise Invalid({f"invite.{field}": sentences for field, sentences in error.fields.items()}) from error
