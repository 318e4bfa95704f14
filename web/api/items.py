"""Work items of every installed workflow: made from its declaration, so that a plug-in's calls are here too."""

from __future__ import annotations

from typing import Any

from flask_smorest import Blueprint

from models import WorkItem
from schemas.answers import ItemAnswer, page_of
from schemas.api import DryRunQuery, ListQuery, with_invite
from web.api import answers
from web.api.common import Call, answered, kept, need_one_good, order_of, page, view
from web.api.common import blueprint as new_blueprint
from workflows.file_visibility.declaration import FileVisibility
from workflows.registry import Registry, Workflow
from workflows.sending import send

SENT_ELSEWHERE = {FileVisibility.slug}  # files come as multipart: web/api/files.py


def blueprint(registry: Registry) -> Blueprint:
    """The calls of all installed workflows."""
    blp = new_blueprint("api-items", "Work items")
    for workflow in registry:
        _add(blp, workflow)
    return blp


def _add(blp: Blueprint, workflow: Workflow) -> None:
    """`POST` and `GET /clients/{id}/<collection>`, `GET /<collection>/{id}` for one workflow."""
    name = workflow.slug.replace("-", "_")

    class ClientItems(Call):
        @blp.arguments(ListQuery, location="query")
        @blp.response(200, page_of(ItemAnswer))
        @blp.doc(summary=f"List a client's {workflow.plural.lower()}", tags=[workflow.plural])
        def get(self, query: dict[str, Any], client_id: str) -> dict[str, Any]:
            firm = view()
            client = firm.client(client_id)
            statement = firm.items(workflow.slug).where(WorkItem.client_id == client.id)
            rows, cursor = page(statement, WorkItem.id, query)
            return {"items": answers.items(workflow, rows), "next_cursor": cursor}

    class OneItem(Call):
        @blp.response(200, ItemAnswer)
        @blp.doc(summary=f"Get one of the {workflow.plural.lower()}", tags=[workflow.plural])
        def get(self, item_id: str) -> dict[str, Any]:
            return answers.items(workflow, [view().item(item_id, workflow.slug)])[0]

    if workflow.slug not in SENT_ELSEWHERE:
        _add_sending(blp, workflow, ClientItems)
    blp.route(f"/clients/<client_id>/{workflow.collection}", endpoint=f"{name}_of_client")(ClientItems)
    blp.route(f"/{workflow.collection}/<item_id>", endpoint=f"one_{name}")(OneItem)


def _add_sending(blp: Blueprint, workflow: Workflow, of_client: type[Call]) -> None:
    body_schema = with_invite(workflow.schema)

    @blp.arguments(DryRunQuery, location="query")
    @blp.arguments(body_schema)
    @blp.response(201, ItemAnswer)
    @blp.doc(summary=workflow.send_label, tags=[workflow.plural])
    def post(self: Call, query: dict[str, Any], body: dict[str, Any], client_id: str) -> Any:
        order = order_of(body.pop("invite", None))
        firm = view()
        firm.need_licence(workflow.licence, workflow.plural)
        client = firm.client(client_id)
        with workflow.prepared(firm, client, body) as data, kept(query["dry_run"]):
            sent = send(workflow, firm, client, data, order)
            need_one_good(sent.results, "invite.recipients")
            answer = answers.sent(workflow, client, sent.items, sent.results)
        return answered(answer, 200 if query["dry_run"] else 201)

    of_client.post = post  # type: ignore[attr-defined]
    of_client.methods = {"GET", "POST"}
