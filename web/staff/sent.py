"""What the pop-up `Invite sent` shows after Send: ids and sentences, kept for a short while.

They lie in the row of the form that was sent (web/staff/once.py), in the session where a form has none. The address of
the record carries a key, so that a reload shows the same pop-up and another window doesn't take it away.
Where the mail is, is asked of the outbox when the pop-up is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response, jsonify, redirect, request, session
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from invites.orders import InviteResult
from mail import outbox
from models import IdempotentCall, MailState, Outbox, TeamMember, db, new_id

_KEY = "invite_results"
_KEPT = 3
WAITING = "waiting"
ON_ITS_WAY = "on_its_way"


def wants_fragment() -> bool:
    """Whether a script asks for the window to put it into a dialog."""
    return request.headers.get("X-Fragment") == "window"


def leave(url: str) -> AnyResponse:
    """Send the person on: a redirect, or the address for the script that asked."""
    if not wants_fragment():
        return redirect(url, 303)
    answer: Response = jsonify(location=url)
    answer.headers["X-Location"] = url
    return answer


def plain(results: Sequence[InviteResult]) -> list[dict[str, str]]:
    """The results as plain values, for the session."""
    return [
        {
            "name": result.name,
            "email": result.email,
            "outcome": result.outcome.value,
            "reason": result.reason,
            "invite": result.invite_id or "",
        }
        for result in results
    ]


def keep(url: str, results: list[dict[str, str]]) -> str:
    """Keep results for the pop-up where no row holds them; the address that shows it."""
    key = new_id()
    session[_KEY] = [*session.get(_KEY, [])[1 - _KEPT :], [key, results]]
    return shown_at(url, key)


def shown_at(url: str, key: str) -> str:
    """The address that shows the results kept under this key."""
    return f"{url}{'&' if '?' in url else '?'}sent={key}"


def kept(member: TeamMember, key: str) -> dict[str, Any] | None:
    """What was kept under this key: `results` and `mail_state`; None where it is gone."""
    if not key:
        return None
    results = next((results for known, results in session.get(_KEY, []) if known == key), None)
    if results is None:
        mine = (IdempotentCall.id == key, IdempotentCall.team_member_id == member.id)
        answer = db.session.scalar(
            select(IdempotentCall.answer).where(*mine, IdempotentCall.key.startswith("form:"))
        )
        results = answer and answer["results"]
    if not results:
        return None
    return {
        "results": results,
        "mail_state": _mail_state([result["invite"] for result in results if result["invite"]]),
    }


def _mail_state(invite_ids: list[str]) -> str | None:
    """`Mail on its way`, `Waiting for the mail server`, or that the operator holds the mail."""
    if outbox.is_held():
        return "Mail is held until the operator releases it"
    if outbox.relay_pause() is not None:
        return WAITING
    tried_in_vain = select(Outbox.id).where(
        Outbox.invite_id.in_(invite_ids), Outbox.state == MailState.QUEUED, Outbox.attempts > 0
    )
    return WAITING if db.session.scalar(tried_in_vain.limit(1)) else ON_ITS_WAY
