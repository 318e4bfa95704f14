"""Bodies and queries that only the API takes."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from schemas.base import Email, Strict, Text
from schemas.invites import InviteOrderSchema


class Query(ma.Schema):
    """Base of what stands behind the `?`."""

    class Meta:
        """A mistyped filter must not answer with everything."""

        unknown = ma.RAISE

    error_messages = {"unknown": "There is no such parameter."}


class ListQuery(Query):
    """Paging of every list."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, 100, error="Choose 1 to 100."))
    cursor = fields.String(load_default=None)


class ClientsQuery(ListQuery):
    """Clients by the beginnings of words of their name, or of a person's name or address, or by external id."""

    q = fields.String(load_default=None)
    external_id = fields.String(load_default=None)


STANDINGS = [
    "no_email", "suspended", "active", "bounced", "mail_failed", "expired", "invited", "declined", "removed", "revoked",
    "no_invite",
]  # fmt: skip


class InvitesQuery(ListQuery):
    """Invites by client, address, state, standing, or the beginnings of words of name, address or client."""

    client_id = fields.String(load_default=None)
    email = fields.String(load_default=None)
    state = fields.String(
        load_default=None,
        validate=validate.OneOf(
            ["pending", "accepted", "declined", "revoked"],
            error="Choose pending, accepted, declined or revoked.",
        ),
    )
    standing = fields.String(
        load_default=None,
        validate=validate.OneOf(STANDINGS, error=f"Choose one of {', '.join(STANDINGS)}."),
    )
    q = fields.String(load_default=None)


class StepQuery(Query):
    """For which workflow the Client Portal window is asked."""

    workflow = fields.String(load_default="client-record", metadata={"description": "a workflow's slug"})


class ExplainQuery(Query):
    """Which person and which item."""

    email = fields.String(load_default=None, metadata={"description": "the person's address; required"})
    item_type = fields.String(
        load_default=None, metadata={"description": "the workflow's slug; optional beside item_id"}
    )
    item_id = fields.String(load_default=None, metadata={"description": "the item's id; required"})


class DryRunQuery(Query):
    """`dry_run=true`: the plan, 200, nothing kept, nothing mailed."""

    dry_run = fields.Boolean(load_default=False)


class ContactBody(Strict):
    """A person for a client's record."""

    name = Text(most=200, load_default="")
    email = Email(allow_none=True, load_default=None)

    @ma.validates_schema
    def _somebody(self, data: dict[str, Any], **kwargs: Any) -> None:
        if not data.get("name") and not data.get("email"):
            raise ma.ValidationError("Give a name or an address.", "name")


class ContactPatch(Strict):
    """What to change about a contact."""

    name = Text(most=200)
    email = Email(allow_none=True)


class ClientBody(Strict):
    """A new client."""

    name = Text(most=200, required=True)
    external_id = Text(most=120, allow_none=True, load_default=None)
    contacts = fields.List(
        fields.Nested(ContactBody),
        load_default=list,
        validate=validate.Length(max=200, error="At most 200 contacts at once."),
    )


class ClientPatch(Strict):
    """What to change about a client."""

    name = Text(most=200, empty=False)
    external_id = Text(most=120, allow_none=True)


class VisibilityBody(Strict):
    """Whether the client sees a file, and whom to invite with it."""

    visible = fields.Boolean(required=True, truthy={True}, falsy={False})
    invite = fields.Nested(InviteOrderSchema, allow_none=True, load_default=None)


class FileForm(ma.Schema):
    """The text fields of the multipart upload."""

    class Meta:
        """Mistyped fields are named, not dropped."""

        unknown = ma.RAISE

    error_messages = {"unknown": "There is no such field."}

    visible = fields.Boolean(load_default=False)
    invite = fields.String(load_default="", metadata={"description": "an invite order as JSON text"})


def with_invite(schema: type[ma.Schema]) -> type[ma.Schema]:
    """A workflow's schema plus `invite`: the body of its POST."""
    name = schema.__name__.removesuffix("Schema") + "Body"
    invite = fields.Nested(InviteOrderSchema, allow_none=True, load_default=None)
    return type(name, (schema,), {"invite": invite, "__doc__": schema.__doc__})
