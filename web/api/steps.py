"""The Client Portal window's content, for those who build their own."""

from __future__ import annotations

from typing import Any

from invites.step import RECORD, build_step
from models.errors import Invalid
from schemas.answers import InviteStepAnswer
from schemas.api import StepQuery
from web.api import answers
from web.api.common import Call, blueprint, view
from workflows.registry import installed
from workflows.sending import ask

blp = blueprint("api-steps", "The Client Portal window")


@blp.route("/clients/<client_id>/invite-step")
class Step(Call):
    """Who can get in, who can't, and whether a window would open at all."""

    @blp.arguments(StepQuery, location="query")
    @blp.response(200, InviteStepAnswer)
    def get(self, query: dict[str, Any], client_id: str) -> dict[str, Any]:
        """Get the Client Portal window's content"""
        firm = view()
        client = firm.client(client_id)
        if query["workflow"] == RECORD:
            return answers.step(build_step(client, firm.member, RECORD))
        workflow = installed().get(query["workflow"])
        if workflow is None:
            known = ", ".join([RECORD, *(each.slug for each in installed())])
            raise Invalid({"workflow": [f"There is no such workflow. Choose one of {known}."]})
        found = ask(workflow, firm, client, title="")
        return answers.step(found if found is not None else build_step(client, firm.member, workflow.slug))
