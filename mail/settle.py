"""What an attempt came to is written down, in batches, fenced by the lease.

A worker whose lease ran out meanwhile (a stopped machine, a very slow relay) changes nothing here: the row belongs
to another claim by then. Retries follow RETRY_DELAYS_SECONDS with 20 % of chance in them, so that ten thousand mails
refused at once don't come back at once, until 72 hours are over or the claim finds the invite expired.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

import config
from mail.claim import RETURNED, Claimed
from mail.outbox import PROBE_EVERY
from mail.outcomes import Dropped, Outcome, Permanent, RelayBroken, Sent, Temporary
from models import Invite, MailKind, MailState, Outbox, append_events, db
from models.among import among

GIVE_UP_AFTER = timedelta(hours=72)
JITTER = 0.2


@dataclass(frozen=True)
class Result:
    """One claimed mail and what its attempt came to."""

    mail: Claimed
    outcome: Outcome


def settle(results: Sequence[Result], now: datetime) -> int:
    """Write the outcomes down, within the open unit of work; how many of them were sent and still ours.

    The first successful send of an invite mail appends the event `invite_mailed`.
    """
    connection = db.session.connection()
    sent = [result.mail for result in results if isinstance(result.outcome, Sent)]
    others = [_change(result, now) for result in results if not isinstance(result.outcome, Sent)]
    if others:
        connection.execute(_CHANGE, others)  # one statement, many rows
    if not sent:
        return 0
    values = {"ids": [mail.id for mail in sent], "leases": list({mail.lease for mail in sent}), "now": now}
    ours = set(connection.scalars(_SENT, values))
    settled = [mail for mail in sent if mail.id in ours]
    _wipe_sealed(connection, settled)
    _note_invites(connection, settled)
    return len(settled)


def settle_accepted(accepted: Collection[tuple[str, str]], now: datetime) -> int:
    """Settle what a worker that died had got a 250 for: (mail id, lease); how many were still open."""
    rows: Iterable[Any] = db.session.execute(
        sa.select(*(_MAIL.c[name] for name in ["lease", *RETURNED])).where(
            _MAIL.c.id.in_([mail_id for mail_id, _ in accepted]), _SENDING
        )
    )
    ours = [row for row in rows if (row.id, row.lease) in accepted]
    return settle([Result(Claimed(row.lease, now, *row[1:]), Sent()) for row in ours], now)


def _change(result: Result, now: datetime) -> dict[str, Any]:
    mail, outcome = result.mail, result.outcome
    state, due_at, attempts, error = MailState.QUEUED, now, mail.attempts, ""
    match outcome:
        case Permanent(reason):
            state, error = MailState.FAILED, reason
        case Dropped(reason):
            state, error = MailState.CANCELLED, reason
        case RelayBroken(reason):
            # No mail's fault: the attempt doesn't count, and nothing is tried before the next probe.
            attempts, due_at, error = (
                mail.attempts - 1,
                now + PROBE_EVERY,
                f"Waiting for the mail server: {reason}",
            )
        case Temporary():
            again = next_try(mail, outcome, now)
            if again is None:
                state, error = MailState.FAILED, f"Given up: {outcome.reason}"
            else:
                due_at, error = again, f"Waiting for the mail server: {outcome.reason}"
        case _:
            attempts = mail.attempts - 1
    return {
        "mail_id": mail.id,
        "mail_lease": mail.lease,
        "new_state": state,
        "new_due": due_at,
        "new_attempts": max(attempts, 0),
        "new_error": error[:500],
    }


def next_try(mail: Claimed, outcome: Temporary, now: datetime) -> datetime | None:
    """When to try again; None where the time for this mail is over."""
    delays = config.current().retry_delays_seconds
    delay = delays[min(mail.attempts, len(delays)) - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 no secret
    again = now + timedelta(seconds=delay)
    begun = (
        datetime.fromisoformat(mail.params["retried_at"]) if "retried_at" in mail.params else mail.created_at
    )
    return again if again <= begun + (outcome.give_up_after or GIVE_UP_AFTER) else None


def _wipe_sealed(connection: sa.Connection, mails: Iterable[Claimed]) -> None:
    """A sealed text is of no use once it is sent, so it doesn't stay."""
    ids = [mail.id for mail in mails if "sealed" in mail.params]
    if ids:
        connection.execute(_WIPE, {"ids": ids})


def _note_invites(connection: sa.Connection, mails: Iterable[Claimed]) -> None:
    by_invite = [mail for mail in mails if mail.kind is MailKind.INVITE and mail.invite_id]
    if not by_invite:
        return
    rows = connection.execute(_INVITES, {"ids": list({mail.invite_id for mail in by_invite})})
    known = {
        invite_id: {"client_id": client_id, "workflow": workflow} for invite_id, client_id, workflow in rows
    }
    append_events(
        [
            {
                "name": "invite_mailed",
                "firm_id": mail.firm_id,
                "item_id": mail.item_id,
                "invite_id": mail.invite_id,
                "data": {"mail_id": mail.id, "attempts": mail.attempts},
                **known[str(mail.invite_id)],
            }
            for mail in by_invite
        ],
    )


# The statements, built once as those of mail/claim.py. All but the last two are fenced by the lease -----------------

_MAIL: Any = Outbox.__table__
_INVITE: Any = Invite.__table__
_SENDING = _MAIL.c.state == MailState.SENDING
_SENT = (
    sa.update(_MAIL)
    .where(among(_MAIL.c.id), among(_MAIL.c.lease, "leases"), _SENDING)
    .values(
        state=MailState.SENT, sent_at=sa.bindparam("now"), due_at=sa.bindparam("now"), lease=None, error=""
    )
    .returning(_MAIL.c.id)
)
_CHANGE = (
    sa.update(_MAIL)
    .where(_MAIL.c.id == sa.bindparam("mail_id"), _MAIL.c.lease == sa.bindparam("mail_lease"), _SENDING)
    .values(
        state=sa.bindparam("new_state"),
        due_at=sa.bindparam("new_due"),
        attempts=sa.bindparam("new_attempts"),
        error=sa.bindparam("new_error"),
        lease=None,
    )
)
_WIPE = sa.update(_MAIL).where(among(_MAIL.c.id)).values(params={})
_INVITES = sa.select(_INVITE.c.id, _INVITE.c.client_id, _INVITE.c.workflow).where(among(_INVITE.c.id))
