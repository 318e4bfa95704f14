"""A form is carried out once: sent again (a double click, a connection that broke), it leads to the first one's result.

A form that makes something carries a key drawn with it. The first post that succeeds leaves a row with that key,
what was posted (hashed) and where it led, in its own transaction; one that comes at the same moment waits for that
transaction and then meets the row. Whoever goes back, changes the form and sends it again posts something else, and
that is carried out. The rows lie beside those of the API's Idempotency-Key and are swept with them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from flask import Flask, flash, request
from sqlalchemy.exc import IntegrityError
from werkzeug.wrappers import Response

from models import IdempotentCall, TeamMember, db, new_id
from web.staff import sent

FIELD = "form_key"
_LONGEST = 64
_UNCOUNTED = frozenset({FIELD, "csrf_token"})


class DoneBefore(Exception):
    """This very form was carried out already; the page it led to answers again."""

    def __init__(self, member_id: str, key: str) -> None:
        super().__init__(key)
        self.member_id = member_id
        self.key = key


class Claim:
    """The right to carry out this form now."""

    def __init__(self, row: IdempotentCall | None) -> None:
        self._row = row

    def leads_to(self, url: str, text: str, results: list[dict[str, str]] | None = None) -> str:
        """Keep where the form leads; the address. `results` go into the pop-up there, `text` is said without any."""
        if results:
            url = sent.keep(url, results) if self._row is None else sent.shown_at(url, self._row.id)
        if self._row is not None:
            self._row.answer = {"url": url, "text": "" if results else text, "results": results or []}
        return url


def init_app(app: Flask) -> None:
    """Give templates `form_key()`, and lead a form that was carried out before to its result."""
    app.jinja_env.globals["form_key"] = form_key
    app.register_error_handler(DoneBefore, _lead_there)


def form_key() -> str:
    """The key of the form that is drawn: a form that comes back, and the window after it, keep theirs."""
    posted = request.form.get(FIELD, "") if request.method == "POST" else ""
    return posted if 0 < len(posted) <= _LONGEST else new_id()


def stop_if_done(member: TeamMember) -> None:
    """Raise DoneBefore where this form was carried out already; for work that is slow before its transaction."""
    key = _key(())
    if key and db.session.scalar(_known(member.id, key)) is not None:
        raise DoneBefore(member.id, key)


def claim(member: TeamMember, *contents: str) -> Claim:
    """Claim this form, first of all inside the unit of work; `contents` tell uploads apart. Raises DoneBefore."""
    key = _key(contents)
    if not key:
        return Claim(None)
    member_id = member.id
    row = IdempotentCall(
        id=new_id(), team_member_id=member_id, key=key, request_hash="", status=303, answer={}
    )
    db.session.add(row)
    try:
        db.session.flush()
    except IntegrityError as error:
        raise DoneBefore(member_id, key) from error
    return Claim(row)


def _key(contents: Sequence[str]) -> str:
    """The form's key with what was posted; empty where the form carries none."""
    drawn = request.form.get(FIELD, "")
    if not 0 < len(drawn) <= _LONGEST:
        return ""
    fields = sorted((name, text) for name, text in request.form.items(multi=True) if name not in _UNCOUNTED)
    posted = json.dumps([request.full_path, fields, list(contents)])
    return f"form:{drawn}:{hashlib.sha256(posted.encode()).hexdigest()}"


def _known(member_id: str, key: str) -> sa.Select[Any]:
    return sa.select(IdempotentCall.answer).where(
        IdempotentCall.team_member_id == member_id, IdempotentCall.key == key
    )


def _lead_there(done: DoneBefore) -> Response:
    answer = db.session.scalar(_known(done.member_id, done.key))
    if answer["text"]:
        flash(answer["text"], "success")
    return sent.leave(answer["url"])
