"""Who gets into a client's portal: list, remove, suspend, restore, send the way to sign-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from invites import access as doors
from invites import access_until, change_address
from models import PortalAccess, TeamMember, unit_of_work
from schemas.answers import AccessAnswer, InviteAnswer, page_of
from schemas.api import ListQuery
from schemas.invites import AccessUntilBody, ChangeAddressSchema
from web.api import answers
from web.api.common import Call, blueprint, page, view

blp = blueprint("api-access", "Access to a client's portal")


@blp.route("/clients/<client_id>/access")
class ClientAccess(Call):
    """Who has, or had, access to one client."""

    @blp.arguments(ListQuery, location="query")
    @blp.response(200, page_of(AccessAnswer))
    def get(self, query: dict[str, Any], client_id: str) -> dict[str, Any]:
        """List who has access"""
        firm = view()
        client = firm.client(client_id)
        statement = firm.accesses().where(PortalAccess.client_id == client.id)
        rows, cursor = page(statement, PortalAccess.id, query)
        return {"items": answers.accesses(rows), "next_cursor": cursor}


def _move(access_id: str, move: Callable[[PortalAccess, TeamMember], PortalAccess]) -> dict[str, Any]:
    with unit_of_work():
        firm = view()
        access = move(firm.access(access_id), firm.member)
    return answers.accesses([access])[0]


@blp.route("/access/<access_id>/remove")
class Remove(Call):
    """The end of an access."""

    @blp.response(200, AccessAnswer)
    def post(self, access_id: str) -> dict[str, Any]:
        """Remove access; other clients of the person stay untouched"""
        return _move(access_id, doors.remove)


@blp.route("/access/<access_id>/suspend")
class Suspend(Call):
    """A pause of an access."""

    @blp.response(200, AccessAnswer)
    def post(self, access_id: str) -> dict[str, Any]:
        """Suspend access"""
        return _move(access_id, doors.suspend)


@blp.route("/access/<access_id>/restore")
class Restore(Call):
    """The return of an access."""

    @blp.response(200, AccessAnswer)
    def post(self, access_id: str) -> dict[str, Any]:
        """Restore a suspended or removed access"""
        return _move(access_id, doors.restore)


@blp.route("/access/<access_id>")
class OneAccess(Call):
    """One person's access."""

    @blp.response(200, AccessAnswer)
    def get(self, access_id: str) -> dict[str, Any]:
        """Get an access"""
        return answers.accesses([view().access(access_id)])[0]

    @blp.arguments(AccessUntilBody)
    @blp.response(200, AccessAnswer)
    def patch(self, body: dict[str, Any], access_id: str) -> dict[str, Any]:
        """Set until when the person gets in, or let it last"""
        return _move(
            access_id, lambda access, member: access_until.of_access(access, body["access_until"], member)
        )


@blp.route("/access/<access_id>/send-sign-in")
class SendSignIn(Call):
    """The way back in for somebody who has joined."""

    @blp.response(202, AccessAnswer)
    def post(self, access_id: str) -> dict[str, Any]:
        """Mail an active person the way to sign-in and the next open item"""
        with unit_of_work():
            firm = view()
            access = firm.access(access_id)
            doors.send_sign_in(access, firm.member)
        return answers.accesses([access])[0]


@blp.route("/access/<access_id>/change-address")
class ChangeAddress(Call):
    """Another address for somebody who has joined."""

    @blp.arguments(ChangeAddressSchema)
    @blp.response(201, InviteAnswer)
    def post(self, body: dict[str, Any], access_id: str) -> dict[str, Any]:
        """Remove this access and invite the new address with the same items; the login is never edited"""
        with unit_of_work():
            firm = view()
            access = firm.access(access_id)
            result = change_address.of_access(access, firm.member, body["email"])
            invite = change_address.invite_of(result, access.client_id)
        return answers.invites([invite.id])[0]
