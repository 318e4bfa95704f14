"""Idempotency-Key: a POST sent again gets the answer of the first one.

A row is inserted before the call (so that a second one at the same time meets it) and gets the answer after it. The
answers are kept for two days (`tasks.tidy`). A call that failed on our side is forgotten, so that it may be tried
again; one that was cut off by a crash stays "still running", because doing it twice would be worse.
"""

from __future__ import annotations

import hashlib
import json

import sqlalchemy as sa
from flask import Flask, Response, g, request
from sqlalchemy.exc import IntegrityError

from models import IdempotentCall, db, new_id, unit_of_work
from models.errors import ProblemForPeople
from web.who import current_member

LONGEST = 255


class WrongKey(ProblemForPeople):
    """The header can't be taken as it is."""

    status = 422
    code = "invalid"
    title = "Please check the Idempotency-Key"


class StillRunning(ProblemForPeople):
    """The first call with this key has no answer yet."""

    status = 409
    code = "still_running"
    title = "Still running"


def init_idempotency(app: Flask) -> None:
    """Watch all POST calls of the API. Runs after the access rules, which know whose token it is."""
    app.after_request(_keep)


def before_call() -> Response | None:
    """The kept answer of an earlier call with the same key, or None to go on. Raises WrongKey, StillRunning."""
    key = request.headers.get("Idempotency-Key")
    if request.method != "POST" or key is None:
        return None
    if not key or len(key) > LONGEST:
        raise WrongKey(f"Use 1 to {LONGEST} characters.")
    member_id = current_member().id
    fingerprint = _fingerprint()
    call = IdempotentCall(id=new_id(), team_member_id=member_id, key=key, request_hash=fingerprint)
    try:
        with unit_of_work() as session:
            session.add(call)
        g.idempotent_call = call.id
    except IntegrityError:
        return _again(member_id, key, fingerprint)
    return None


def _fingerprint() -> str:
    """What makes a call the same: method, address and body (a multipart boundary differs each time, so no headers)."""
    digest = hashlib.sha256(f"{request.method} {request.full_path}\n".encode())
    if request.mimetype == "multipart/form-data":
        digest.update(json.dumps(sorted(request.form.items(multi=True))).encode())
        for name, file in sorted(request.files.items(multi=True), key=lambda pair: pair[0]):
            digest.update(f"{name} {file.filename}\n".encode())
            digest.update(hashlib.file_digest(file.stream, "sha256").digest())  # type: ignore[arg-type]
            file.stream.seek(0)
    else:
        digest.update(request.get_data(cache=True))
    return digest.hexdigest()


def _again(member_id: str, key: str, fingerprint: str) -> Response:
    first = db.session.scalars(
        sa.select(IdempotentCall).where(IdempotentCall.team_member_id == member_id, IdempotentCall.key == key)
    ).one()
    if first.request_hash != fingerprint:
        raise WrongKey("This key was used for another call. Take a new key for a new call.")
    if first.status is None:
        raise StillRunning("The first call with this key has no answer yet. Ask again in a moment.")
    answer = Response(first.answer["body"], first.status, mimetype=first.answer["mimetype"])
    answer.headers["Idempotent-Replayed"] = "true"
    return answer


def _keep(response: Response) -> Response:
    """Keep the answer of a call that carried a key."""
    call_id = g.pop("idempotent_call", None)
    if call_id is None:
        return response
    db.session.rollback()
    with unit_of_work() as session:
        if response.status_code >= 500 or response.status_code in {409, 429}:
            session.execute(sa.delete(IdempotentCall).where(IdempotentCall.id == call_id))
        else:
            answer = {"body": response.get_data(as_text=True), "mimetype": response.mimetype}
            session.execute(
                sa.update(IdempotentCall)
                .where(IdempotentCall.id == call_id)
                .values(status=response.status_code, answer=answer)
            )
    return response
