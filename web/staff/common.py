"""What every staff page needs: the member's view on the firm's rows, the layout's context, cursors of long lists."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import g, render_template, request, url_for

from invites.scope import FirmView
from models import db
from models.base import UTCDateTime
from models.errors import Invalid, Missing
from schemas.base import load
from web.forms import Form, field_errors, read_form
from web.staff.mail_note import mail_note
from web.who import current_member, has_portal

Row = TypeVar("Row")
PAGE = 30  # rows of a list


def firm_view() -> FirmView:
    """The rows that the member who asks may see."""
    return FirmView(current_member())


def page(template: str, /, *, nav: str = "clients", **context: Any) -> str:
    """A staff page with what its layout shows."""
    member = current_member()
    g.time_zone = member.firm.time_zone
    return render_template(
        template,
        nav=nav,
        member=member,
        firm=member.firm,
        also_client=has_portal(),
        mail_note=partial(mail_note, member),
        **context,
    )


def checked(schema: Any, form: Form) -> tuple[dict[str, Any], dict[str, Any], dict[str, list[str]]]:
    """(what was typed, what it means, errors by input); with errors the second is empty."""
    typed = read_form(schema, form)
    try:
        return typed, load(schema, typed), {}
    except Invalid as error:
        return typed, {}, field_errors(error.fields)


def keyset(
    statement: sa.Select[Row],
    columns: Sequence[Any],
    values: Callable[[Row], Sequence[str]],
    *,
    descending: bool = False,
    size: int = PAGE,
) -> tuple[list[Row], str | None]:
    """One page of rows after the request's cursor, and the address of the next page.

    `columns` are texts or moments that order the list and end in a unique one; `values(row)` gives a row's cursor.
    """
    after = _cursor(len(columns))
    if after is not None:
        there = [_literal(part, column) for part, column in zip(after, columns, strict=True)]
        here, edge = sa.tuple_(*columns), sa.tuple_(*there)
        statement = statement.where(here < edge if descending else here > edge)
    order = [column.desc() if descending else column for column in columns]
    rows = list(db.session.scalars(statement.order_by(*order).limit(size + 1)).unique())
    if len(rows) <= size:
        return rows, None
    rows = rows[:size]
    more = {**(request.view_args or {}), **request.args.to_dict(), "after": _pack(values(rows[-1]))}
    more.pop("sent", None)
    return rows, url_for(str(request.endpoint), **more)


def _literal(part: str, column: Any) -> Any:
    """A cursor's value as its column compares it. Raises Missing for one that isn't ours."""
    if not isinstance(column.type, UTCDateTime):
        return sa.literal(part)
    try:
        return sa.literal(datetime.fromisoformat(part), column.type)
    except ValueError as error:
        raise Missing() from error


def _pack(values: Sequence[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(list(values)).encode()).decode().rstrip("=")


def _cursor(length: int) -> list[str] | None:
    """The request's cursor. Raises Missing for one that isn't ours."""
    packed = request.args.get("after", "")
    if not packed:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    except (binascii.Error, ValueError) as error:
        raise Missing() from error
    if (
        not isinstance(values, list)
        or len(values) != length
        or not all(isinstance(part, str) for part in values)
    ):
        raise Missing()
    return values
