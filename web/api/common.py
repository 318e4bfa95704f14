"""What every call shares: the token's view, dry runs, pages by cursor, JSON bodies."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import Response, abort, request
from flask.views import MethodView
from flask_smorest import Blueprint
from webargs.flaskparser import FlaskParser

from invites.access_until import end_of
from invites.orders import InviteOrder, InviteResult, Recipient
from invites.scope import FirmView
from models import Scope, db, unit_of_work
from models.errors import Invalid
from schemas.answers import plain
from web.access_rules import api_call
from web.api.idempotency import before_call
from web.who import current_member

Row = TypeVar("Row")

SCOPES = {"portal": Scope.PORTAL, "item": Scope.ITEMS}


class Call(MethodView):
    """Base of all API views: a Bearer token decides whose rows these are."""

    decorators = [api_call]


def view() -> FirmView:
    """The rows that the token's team member may see."""
    return FirmView(current_member())


class StrictParser(FlaskParser):
    """webargs drops what it doesn't know in queries and forms; our schemas decide, and they name it."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = dict.fromkeys(
        FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION
    )


class StrictBlueprint(Blueprint):
    """flask-smorest's blueprint with the strict parser, and one instance of each schema instead of one per call."""

    ARGUMENTS_PARSER = StrictParser()

    def arguments(self, schema: Any, **options: Any) -> Any:
        """The decorator of the library; a schema's class stands for an instance of it."""
        return super().arguments(schema() if isinstance(schema, type) else schema, **options)


def blueprint(name: str, description: str) -> Blueprint:
    """A blueprint whose bodies must be JSON (415 otherwise), except uploads."""
    blp = StrictBlueprint(name, __name__, description=description)
    blp.before_request(_json_only)
    blp.before_request(before_call)
    return blp


def _json_only() -> None:
    if request.method in {"POST", "PUT", "PATCH"} and (request.content_length or 0) > 0:
        upload = request.mimetype == "multipart/form-data" and request.path.endswith("/files")
        if not request.is_json and not upload:
            abort(415)


class _DryRun(Exception):
    """Ends the unit of work of a dry run without keeping anything."""


@contextmanager
def kept(dry_run: bool = False) -> Iterator[None]:
    """A unit of work, or its rehearsal: everything happens, nothing is kept and nothing is mailed.

    The answer must be dumped within the block, because the rows of a rehearsal are gone after it.
    """
    try:
        with unit_of_work():
            yield
            db.session.flush()
            if dry_run:
                raise _DryRun
    except _DryRun:
        pass


def answered(answer: Mapping[str, Any], status: int) -> Response:
    """An answer that has its schema's form already: dumping a thousand results by the schema takes longer than Send."""
    return Response(json.dumps(answer, default=plain), status, mimetype="application/json")


def order_of(data: Mapping[str, Any] | None) -> InviteOrder | None:
    """The body's `invite` object as an order; None stays None (send without inviting)."""
    if data is None:
        return None
    return InviteOrder(
        recipients=tuple(
            Recipient(
                contact_id=person.get("contact_id"),
                email=person.get("email"),
                name=person.get("name", ""),
                can_see=SCOPES.get(person.get("can_see", "")),
            )
            for person in data["recipients"]
        ),
        message=data["message"],
        expires_in_days=data["expires_in_days"],
        extra=data["metadata"],
        access_ends_at=_end_of(data["access_until"]),
    )


def _end_of(day: date | None) -> datetime | None:
    return end_of(day, current_member().firm.time_zone) if day is not None else None


def need_one_good(results: Sequence[InviteResult], prefix: str = "recipients") -> None:
    """Raises Invalid where not one recipient can get in: then the whole call is refused."""
    if results and not any(result.ok for result in results):
        raise Invalid({f"{prefix}.{place}.email": [result.reason] for place, result in enumerate(results)})


def page(statement: sa.Select[Row], column: Any, query: Mapping[str, Any]) -> tuple[list[Row], str | None]:
    """One page, newest first, by keyset on the id: stable while rows are added. Returns rows and the next cursor."""
    if query["cursor"] is not None:
        statement = statement.where(column < _decode(query["cursor"]))
    rows = list(db.session.scalars(statement.order_by(column.desc()).limit(query["limit"] + 1)).unique())
    more = len(rows) > query["limit"]
    rows = rows[: query["limit"]]
    return rows, _encode(rows[-1].id) if more else None  # type: ignore[attr-defined]


def _encode(row_id: str) -> str:
    return base64.urlsafe_b64encode(row_id.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise Invalid({"cursor": ["This is not a cursor of ours. Leave it out to begin anew."]}) from error
