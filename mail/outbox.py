"""The outbox as the rest of the product sees it: put a mail in, ask where mails are, hold and release them.

A mail is a row in the same transaction as the work it speaks of. Nothing here renders or sends; the row says what
the mail depends on, and `claim` checks that when it is taken out. After the commit the worker is woken; were that
wake-up lost, the sweep of the next minute finds the row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import aliased

import background
import config
from languages import SOURCE
from mail.addresses import sender_domain
from mail.sealed import seal
from models import Invite, MailKind, MailState, Outbox, Switch, after_commit, db, insert_rows, new_id, utc_now
from models.columns import MailColumns
from models.errors import Missing, WrongState
from models.outbox import REMINDERS

HOLD = "outbox_hold"
RESTORED = "restored"  # the database came from a copy: links rest too, see mail/restored.py
PAUSE = "relay_pause"
PROBE_EVERY = timedelta(seconds=60)  # a relay that is down is asked once a minute


@dataclass(frozen=True)
class NewMail:
    """One mail to put into the outbox. What it depends on is said by ids; `params` are plain JSON values."""

    kind: MailKind
    to_email: str  # the normalised form
    to_name: str = ""
    firm_id: str | None = None
    invite_id: str | None = None
    generation: int | None = None
    item_id: str | None = None
    access_id: str | None = None
    accept_code_id: str | None = None
    sender_id: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    due_at: datetime | None = None


def enqueue(
    kind: MailKind,
    *,
    to_email: str,
    to_name: str = "",
    firm_id: str | None,
    invite_id: str | None = None,
    generation: int | None = None,
    item_id: str | None = None,
    access_id: str | None = None,
    accept_code_id: str | None = None,
    sender_id: str | None = None,
    params: dict[str, Any] | None = None,
    due_at: datetime | None = None,
) -> Outbox:
    """Put one mail into the outbox, within the open unit of work; returns its row.

    `due_at` (default: now) is the first try. Item mails to one access are gathered: the first waits
    ITEM_MAIL_SECONDS, later ones join its row, and that row is returned.
    """
    mail = NewMail(
        kind=kind,
        to_email=to_email,
        to_name=to_name,
        firm_id=firm_id,
        invite_id=invite_id,
        generation=generation,
        item_id=item_id,
        access_id=access_id,
        accept_code_id=accept_code_id,
        sender_id=sender_id,
        params=params or {},
        due_at=due_at,
    )
    (row_id,) = enqueue_many([mail])
    return db.session.get_one(Outbox, row_id)


def enqueue_many(mails: Sequence[NewMail]) -> list[str]:
    """Put many mails into the outbox, in a fixed number of statements; their rows' ids, in the same order."""
    if not mails:
        return []
    db.session.flush()  # what the rows point at
    settings = config.current()
    domain, now = sender_domain(settings), utc_now()
    gathers = settings.item_mail_seconds > 0
    waiting = _waiting({mail.access_id for mail in mails if _may_wait(mail)}, now) if gathers else {}
    begun: dict[str | None, dict[str, Any]] = {}
    ids, rows = [], []
    for mail in mails:
        joins = gathers and _may_wait(mail)
        if joins and mail.access_id in waiting:
            there = waiting[mail.access_id]
            there.params = _with_item(there.params, mail.item_id)
            ids.append(there.id)
            continue
        row = begun.get(mail.access_id) if joins else None
        if row is None:
            row = _new_row(mail, settings, domain, now)
            rows.append(row)
        else:
            row["params"] = _with_item(row["params"], mail.item_id)
        if joins:
            begun[mail.access_id] = row
        ids.append(row["id"])
    insert_rows(Outbox, rows)
    after_commit(background.wake, "mail")
    return ids


def enqueue_security(
    *,
    to_email: str,
    to_name: str = "",
    subject: str,
    paragraphs: Sequence[str],
    button: tuple[str, str] | None = None,
    firm_id: str | None = None,
    language: str = SOURCE,
) -> Outbox:
    """Put a mail about signing in (password reset, mailed code) into the outbox, its text, in `language`, sealed.

    `button` is (label, address). Text and address lie encrypted in the row and are wiped once it is sent.
    """
    value = {
        "subject": subject,
        "paragraphs": list(paragraphs),
        "button": list(button) if button else None,
        "language": language,
    }
    return enqueue(
        MailKind.SECURITY,
        to_email=to_email,
        to_name=to_name,
        firm_id=firm_id,
        params={"sealed": seal(config.current(), value)},
    )


def _new_row(mail: NewMail, settings: config.Settings, domain: str, now: datetime) -> dict[str, Any]:
    row_id = new_id()
    params, item_id, due_at = mail.params, mail.item_id, mail.due_at
    if mail.kind is MailKind.ITEM and item_id is not None:
        # Several may join: which of them are still visible is seen when the mail is written.
        params, item_id = {**params, "items": [item_id]}, None
        due_at = due_at or now + timedelta(seconds=settings.item_mail_seconds)
    return {
        "id": row_id,
        "firm_id": mail.firm_id,
        "kind": mail.kind,
        "to_email": mail.to_email,
        "to_name": mail.to_name[:200],
        "invite_id": mail.invite_id,
        "generation": mail.generation,
        "item_id": item_id,
        "access_id": mail.access_id,
        "accept_code_id": mail.accept_code_id,
        "sender_id": mail.sender_id,
        "params": params,
        "state": MailState.QUEUED,
        "due_at": due_at or now,
        "attempts": 0,
        "crashes": 0,
        "message_id": f"<{row_id.lower()}@{domain}>",
        "error": "",
        "created_at": now,
    }


def id_in(message_id: str) -> str:
    """The row's id that stands in a Message-ID of ours; of another's something that is no id."""
    return message_id.strip("<>").partition("@")[0].upper()


def _may_wait(mail: NewMail) -> bool:
    """Item mails to one access wait a while for others, and go out as one."""
    return mail.kind is MailKind.ITEM and mail.due_at is None and mail.item_id is not None


def _waiting(access_ids: Collection[str | None], now: datetime) -> dict[str | None, Outbox]:
    """The item mails that wait for these accesses, by access."""
    if not access_ids:
        return {}
    rows = db.session.scalars(
        sa.select(Outbox)
        .where(
            Outbox.access_id.in_(access_ids),
            Outbox.kind == MailKind.ITEM,
            Outbox.state == MailState.QUEUED,
            Outbox.attempts == 0,
            Outbox.due_at > now,
        )
        .order_by(Outbox.id.desc())  # of several the first one stays
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {row.access_id: row for row in rows}


def _with_item(params: Mapping[str, Any], item_id: str | None) -> dict[str, Any]:
    known = list(params.get("items", []))
    return {**params, "items": known if item_id in known else [*known, item_id]}


# Where mails are ----------------------------------------------------------------------------------------------------


def delivery_of(invite_ids: Iterable[str]) -> dict[str, Outbox]:
    """The latest mail with each invite's link, in one query; invites without one are left out."""
    ids = list(invite_ids)
    if not ids:
        return {}
    latest = (
        sa.select(sa.func.max(Outbox.id))
        .where(Outbox.invite_id.in_(ids), tells_delivery())
        .group_by(Outbox.invite_id)
    )
    rows = db.session.scalars(sa.select(Outbox).where(Outbox.id.in_(latest)))
    return {cast(str, row.invite_id): row for row in rows}


def latest_of(invite_id: Any) -> sa.ScalarSelect[str]:
    """The id of the latest mail with the link of the invite that a statement is at."""
    mail = aliased(Outbox)
    latest = sa.select(sa.func.max(mail.id)).where(mail.invite_id == invite_id, tells_delivery(mail))
    return latest.correlate(Invite).scalar_subquery()


def tells_delivery(mail: Any = Outbox) -> sa.ColumnElement[bool]:
    """The mail says whether the address can be reached: one with the invite's link; of reminders no dropped ones."""
    lives = sa.and_(mail.kind.in_(REMINDERS), mail.state != MailState.CANCELLED)
    return sa.or_(mail.kind == MailKind.INVITE, lives)


def delivery_text(row: Outbox | MailColumns, paused: RelayPause | None = None) -> str:
    """Where a mail is, in words for staff. `paused` is `relay_pause()`, asked once for a page."""
    match row.state:
        case MailState.QUEUED | MailState.SENDING:
            waiting = row.attempts > 0 and row.state is MailState.QUEUED
            return "Waiting for the mail server" if waiting or paused else "Mail on its way"
        case MailState.SENT:
            return "Mail sent"
        case MailState.HELD:
            return "Mail is held until the operator releases it"
        case MailState.CANCELLED:
            return f"Mail not needed any more: {row.error}" if row.error else "Mail not needed any more"
        case MailState.BOUNCED:
            return f"Mail bounced: {row.error}" if row.error else "Mail bounced"
        case _:
            return f"Mail not sent: {row.error}" if row.error else "Mail not sent"


def list_mails(state: MailState | None = None, limit: int = 50) -> list[Outbox]:
    """The newest mails, all or those in one state, newest first."""
    statement = sa.select(Outbox).order_by(Outbox.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(Outbox.state == state)
    return list(db.session.scalars(statement))


def counts() -> dict[MailState, int]:
    """How many mails are in each state that still moves or needs somebody: all but sent and cancelled."""
    rows = db.session.execute(
        sa.select(Outbox.state, sa.func.count())
        .where(Outbox.state.not_in([MailState.SENT, MailState.CANCELLED]))
        .group_by(Outbox.state)
    )
    return {row[0]: row[1] for row in rows}


# What operators and staff do ----------------------------------------------------------------------------------------


def retry(outbox_id: str) -> Outbox:
    """Try a mail again now, with its full count of tries. Raises Missing, or WrongState where it can't be."""
    row = db.session.get(Outbox, outbox_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise Missing(f"There is no mail {outbox_id}.")
    if row.state in {MailState.SENT, MailState.SENDING}:
        state = "was sent already" if row.state is MailState.SENT else "is being sent at this moment"
        raise WrongState(f"This mail {state}.")
    now = utc_now()
    row.state, row.due_at, row.lease = MailState.QUEUED, now, None
    row.attempts, row.crashes, row.error = 0, 0, ""
    row.params = {**row.params, "retried_at": now.isoformat()}  # the 72 hours begin anew
    after_commit(background.wake, "mail")
    return row


def hold() -> int:
    """Nothing leaves from now on, until `release()`; how many mails wait. What is being sent at this moment ends."""
    if db.session.get(Switch, HOLD) is None:
        db.session.add(Switch(name=HOLD, value={}, changed_at=utc_now()))
        db.session.flush()
    return set_held()


def set_held() -> int:
    """Mark what is queued as held; how many. The claim calls it too, for what came in since the hold."""
    statement = sa.update(Outbox).where(Outbox.state == MailState.QUEUED).values(state=MailState.HELD)
    return _count(statement)


def release() -> int:
    """Let held mails go; how many."""
    db.session.execute(sa.delete(Switch).where(Switch.name.in_([HOLD, RESTORED])))
    after_commit(background.wake, "mail")
    statement = sa.update(Outbox).where(Outbox.state == MailState.HELD).values(state=MailState.QUEUED)
    return _count(statement)


def links_rest() -> bool:
    """Whether mailed links lead nowhere for now: the database was restored, and who was removed since may be back."""
    return db.session.scalar(sa.select(sa.literal(1)).where(Switch.name == RESTORED)) is not None


def is_held() -> bool:
    """Whether the operator holds the queue."""
    return db.session.connection().scalar(_SWITCH, {"name": HOLD}) is not None


def _count(statement: sa.Update) -> int:
    result = db.session.execute(statement.execution_options(synchronize_session="fetch"))
    return cast("sa.CursorResult[Any]", result).rowcount


@dataclass(frozen=True)
class RelayPause:
    """The mail relay is not usable; it is asked again at `until`."""

    reason: str
    since: datetime
    until: datetime


def relay_pause() -> RelayPause | None:
    """Since when and why the relay is not usable; None while it is."""
    value = db.session.connection().scalar(_SWITCH, {"name": PAUSE})
    if value is None:
        return None
    return RelayPause(
        value["reason"], datetime.fromisoformat(value["since"]), datetime.fromisoformat(value["until"])
    )


_SWITCH = sa.select(Switch.__table__.c.value).where(Switch.__table__.c.name == sa.bindparam("name"))


def pause_relay(reason: str, now: datetime) -> bool:
    """Stop sending for PROBE_EVERY; whether the relay was fine until now (then somebody should be told)."""
    row = db.session.get(Switch, PAUSE, populate_existing=True)
    fresh = row is None
    if row is None:
        row = Switch(name=PAUSE, value={"since": now.isoformat()}, changed_at=now)
        db.session.add(row)
    row.value = {**row.value, "reason": reason, "until": (now + PROBE_EVERY).isoformat()}
    row.changed_at = now
    db.session.flush()
    return fresh


def resume_relay() -> None:
    """The relay took a mail again."""
    db.session.execute(sa.delete(Switch).where(Switch.name == PAUSE))
