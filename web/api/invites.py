"""Invites: create, list, look, resend, revoke."""

from __future__ import annotations

from typing import Any

from invites import access_until, change_address, lifecycle
from invites.inviting import invite_people
from invites.lifecycle import Occasion
from invites.portal_standing import invitee_stands
from invites.searching import invites_found
from invites.standing import StandingKey
from invites.step import RECORD
from models import Invite, InviteState, unit_of_work, utc_now
from models.address import BadAddress, parse_address
from schemas.answers import InviteAnswer, InviteResultsAnswer, page_of
from schemas.api import DryRunQuery, InvitesQuery
from schemas.invites import AccessUntilBody, ChangeAddressSchema, InviteOrderSchema
from web.api import answers
from web.api.common import Call, answered, blueprint, kept, need_one_good, order_of, page, view

blp = blueprint("api-invites", "Invites to a client's portal")

FROM_RECORD = "invited you to the Client Portal"
AGAIN = "sent you a new link"


@blp.route("/clients/<client_id>/invites")
class ClientInvites(Call):
    """Inviting to one client."""

    @blp.arguments(DryRunQuery, location="query")
    @blp.arguments(InviteOrderSchema)
    @blp.response(201, InviteResultsAnswer)
    def post(self, query: dict[str, Any], body: dict[str, Any], client_id: str) -> Any:
        """Invite people to a client's portal"""
        order = order_of(body)
        assert order is not None  # noqa: S101  # the schema requires recipients
        with kept(query["dry_run"]):
            firm = view()
            client = firm.client(client_id)
            outcomes = invite_people(Occasion(client, firm.member, RECORD, FROM_RECORD), order)
            need_one_good(outcomes)
            answer = {"results": answers.results(outcomes, client)}
        return answered(answer, 200 if query["dry_run"] else 201)


@blp.route("/invites")
class Invites(Call):
    """All invites the token's member may see."""

    @blp.arguments(InvitesQuery, location="query")
    @blp.response(200, page_of(InviteAnswer))
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List invites"""
        firm = view()
        statement = firm.invites()
        if query["client_id"] is not None:
            statement = statement.where(Invite.client_id == query["client_id"])
        if query["email"] is not None:
            statement = statement.where(Invite.email == _key(query["email"]))
        if query["state"] is not None:
            statement = statement.where(Invite.state == InviteState(query["state"]))
        if query["standing"] is not None:
            statement = statement.where(
                invitee_stands(firm.firm_id, StandingKey(query["standing"]), utc_now())
            )
        if query["q"]:
            statement = statement.where(invites_found(firm.firm_id, query["q"]))
        rows, cursor = page(statement, Invite.id, query)
        return {"items": answers.invites([invite.id for invite in rows]), "next_cursor": cursor}


@blp.route("/invites/<invite_id>")
class OneInvite(Call):
    """One invite."""

    @blp.response(200, InviteAnswer)
    def get(self, invite_id: str) -> dict[str, Any]:
        """Get an invite"""
        return answers.invites([view().invite(invite_id).id])[0]

    @blp.arguments(AccessUntilBody)
    @blp.response(200, InviteAnswer)
    def patch(self, body: dict[str, Any], invite_id: str) -> dict[str, Any]:
        """Set until when the access lasts that a pending invite brings, or let it last"""
        with unit_of_work():
            firm = view()
            invite = access_until.of_invite(firm.invite(invite_id), body["access_until"], firm.member)
        return answers.invites([invite.id])[0]


@blp.route("/invites/<invite_id>/resend")
class Resend(Call):
    """A fresh link."""

    @blp.response(202, InviteAnswer)
    def post(self, invite_id: str) -> dict[str, Any]:
        """Resend: fresh link, expiry restarted; works on expired ones"""
        with unit_of_work():
            firm = view()
            invite = lifecycle.resend(firm.invite(invite_id), firm.member, AGAIN)
        return answers.invites([invite.id])[0]


@blp.route("/invites/<invite_id>/revoke")
class Revoke(Call):
    """The end of a pending invite."""

    @blp.response(200, InviteAnswer)
    def post(self, invite_id: str) -> dict[str, Any]:
        """Revoke a pending invite"""
        with unit_of_work():
            firm = view()
            invite = lifecycle.revoke(firm.invite(invite_id), firm.member)
        return answers.invites([invite.id])[0]


@blp.route("/invites/<invite_id>/change-address")
class ChangeAddress(Call):
    """Another address for a pending invite."""

    @blp.arguments(ChangeAddressSchema)
    @blp.response(201, InviteAnswer)
    def post(self, body: dict[str, Any], invite_id: str) -> dict[str, Any]:
        """Change the address: the old invite is revoked, its items go to the new one"""
        with unit_of_work():
            firm = view()
            old = firm.invite(invite_id)
            result = change_address.of_invite(old, firm.member, body["email"])
            invite = change_address.invite_of(result, old.client_id)
        return answers.invites([invite.id])[0]


def _key(typed: str) -> str:
    """A filter's address in its looked-up form; what is no address matches nothing."""
    try:
        return parse_address(typed).key
    except BadAddress:
        return typed
