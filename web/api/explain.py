"""Why a person can or can't see an item."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from invites import explain
from models.address import BadAddress, parse_address
from models.errors import Invalid, Missing
from schemas.answers import ExplanationAnswer
from schemas.api import ExplainQuery
from web.api.common import Call, blueprint, view
from workflows.registry import installed

blp = blueprint("api-explain", "Why can't they see it?")


@blp.route("/clients/<client_id>/explain")
class Explain(Call):
    """The chain of yes and no for one person and one item."""

    @blp.arguments(ExplainQuery, location="query")
    @blp.response(200, ExplanationAnswer)
    def get(self, query: dict[str, Any], client_id: str) -> dict[str, Any]:
        """Explain why this person can or can't see an item"""
        firm = view()
        client = firm.client(client_id)  # before the query is judged: a foreign client is as a missing one
        missing = {"email": "Say whose address.", "item_id": "Say which item."}
        errors = {name: [sentence] for name, sentence in missing.items() if not query[name]}
        if errors:
            raise Invalid(errors)
        try:
            email = parse_address(query["email"]).key
        except BadAddress as error:
            raise Invalid({"email": [str(error)]}) from error
        item = firm.item(query["item_id"], query["item_type"])
        workflow = installed().get(item.workflow)
        if workflow is None or item.client_id != client.id:
            raise Missing
        found = explain.explain(firm, client, email, item, workflow.singular.lower(), workflow.licence)
        return {"can_see": found.can_see, "steps": [asdict(step) for step in found.steps]}
