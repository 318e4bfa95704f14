"""What a delivery report does: find the mail it is about, and tell the person's standing, the timeline and the inviter.

A report is an ordinary mail, so anybody can send one. It counts only where it names the Message-ID of a mail of ours:
80 random bits that only its recipient, the relays and the firm's own event log know. Whatever else it claims
(addresses, X-Failed-Recipients) only chooses between its own lines. The mail found belongs to one firm, and nothing
beside that firm's rows is touched.

Every move is one guarded UPDATE. Early reports (the relay bounces a mail before our worker has settled it, or after
the line broke behind the final dot) find the row `sending`, or `queued` after a try: the UPDATE takes it out of the
worker's hands by clearing its lease, and the late settle, fenced by that lease, changes nothing. So an early report
needs no waiting room. Late ones, about an invite that was answered meanwhile, change nothing at all.

Works inside the caller's unit of work; `mail/report_reader.py` and `web/reports.py` are its edges.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from mail import bounce_notice, outbox, report_words
from mail.reports import Failure, Kind, Report
from models import (
    Event,
    Invite,
    InviteState,
    MailKind,
    MailState,
    Outbox,
    PortalAccess,
    append_event,
    db,
    utc_now,
)
from models.outbox import INVITE_MAILS, REMINDERS

STOPPED = "Not sent: an earlier mail to this address came back."

# Events. The first is a fact, the others are words for the timeline.
BOUNCED = "invite_bounced"
CAME_BACK = "mail_bounced"
DELAYED = "mail_delayed"


class Outcome(StrEnum):
    """What became of one report."""

    BOUNCED = "bounced"  # the person's standing turned to `Mail bounced`
    NOTED = "noted"  # on the mail's row or the timeline; the standing stays as it is
    REPEATED = "repeated"  # this was known
    LATE = "late"  # the invite was answered, or the person is active: nothing is touched
    IGNORED = "ignored"  # says nothing that matters: a holiday answer, a receipt
    UNKNOWN = "unknown"  # names no mail of ours, or more than one
    UNREADABLE = "unreadable"

    @property
    def is_odd(self) -> bool:
        """Whether the operator may want to look at it."""
        return self in {Outcome.UNKNOWN, Outcome.UNREADABLE}


def apply(report: Report, now: datetime) -> Outcome:
    """Act on a report within the open unit of work. Any report, from anybody; never raises for what it holds."""
    if report.kind is Kind.UNREADABLE:
        return Outcome.UNREADABLE
    mail = _mail_of(report)
    if mail is None:
        speaks = report.kind in {Kind.PERMANENT, Kind.TEMPORARY, Kind.COMPLAINT, Kind.NO_REPORT}
        return Outcome.UNKNOWN if speaks else Outcome.IGNORED
    failure = report.about(mail.to_email)
    if failure.kind not in {Kind.PERMANENT, Kind.TEMPORARY, Kind.COMPLAINT}:
        return Outcome.IGNORED
    if mail.kind in INVITE_MAILS and mail.invite_id:
        return _about_invite(mail, failure, now)
    return _about_other(mail, failure, now)


def _mail_of(report: Report) -> Outbox | None:
    """The one mail of ours that the report names, by the most telling place that names any."""
    wanted = {one for place in report.message_ids for one in place}
    if not wanted:
        return None
    ids = {outbox.id_in(one) for one in wanted}
    rows = db.session.scalars(sa.select(Outbox).where(Outbox.id.in_(ids), Outbox.message_id.in_(wanted)))
    known = {row.message_id: row for row in rows}
    for place in report.message_ids:
        found = [known[one] for one in place if one in known]
        if found:
            return found[0] if len(found) == 1 else None
    return None


# An invite's mail ---------------------------------------------------------------------------------------------------


def _about_invite(mail: Outbox, failure: Failure, now: datetime) -> Outcome:
    # Two reports about one invite come one after the other: whoever is second sees what the first did.
    invite = db.session.scalars(
        sa.select(Invite)
        .where(Invite.id == mail.invite_id, Invite.firm_id == mail.firm_id)
        .options(joinedload(Invite.invited_by), joinedload(Invite.client))
        .with_for_update(of=Invite, key_share=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if invite is None:
        return Outcome.UNKNOWN
    if invite.state is not InviteState.PENDING or _is_active(invite):
        return Outcome.LATE
    if failure.kind is Kind.TEMPORARY:
        return _note_delay(mail, invite.workflow, failure, client_id=invite.client_id)
    reason = _reason(failure)
    early = _mark(mail, reason, now)
    if early is None:
        return Outcome.REPEATED if mail.state is MailState.BOUNCED else Outcome.LATE
    if early and mail.kind is MailKind.INVITE:
        append_event(
            "invite_mailed",
            firm_id=invite.firm_id,
            workflow=invite.workflow,
            client_id=invite.client_id,
            item_id=mail.item_id,
            invite_id=invite.id,
            mail_id=mail.id,
            attempts=mail.attempts,
        )
    _stop_waiting(invite, mail)
    if failure.kind is Kind.COMPLAINT:
        _stop_reminders(invite)
    newest = _newest_mail(invite) == mail.id
    told = _was_told(invite)
    append_event(
        BOUNCED if newest else CAME_BACK,
        firm_id=invite.firm_id,
        workflow=invite.workflow,
        client_id=invite.client_id,
        item_id=mail.item_id,
        invite_id=invite.id,
        reason=reason,
        report=failure.kind.value,
        status=failure.status,
        mail_id=mail.id,
    )
    if newest and not told:
        bounce_notice.tell_inviter(invite, mail, failure)
    # An older mail changes no standing: a newer one is under way, and brings a report of its own if it must.
    return Outcome.BOUNCED if newest else Outcome.NOTED


def _is_active(invite: Invite) -> bool:
    active = sa.exists().where(
        PortalAccess.client_id == invite.client_id,
        PortalAccess.email == invite.email,
        PortalAccess.is_active(utc_now()),
    )
    return bool(db.session.scalar(sa.select(active)))


def _stop_waiting(invite: Invite, mail: Outbox) -> None:
    """Mails with the same link that wait to go to the same address don't go. A resend by staff has a fresh link."""
    # An invite's mail is not `cancelled`: the standing is that of the newest one, and the address bounces.
    dropped = sa.case((Outbox.kind.in_(REMINDERS), MailState.CANCELLED.value), else_=MailState.BOUNCED.value)
    db.session.execute(
        sa.update(Outbox)
        .where(
            Outbox.invite_id == invite.id,
            Outbox.kind.in_(INVITE_MAILS),
            Outbox.generation == mail.generation,
            Outbox.to_email == mail.to_email,
            Outbox.state.in_([MailState.QUEUED, MailState.HELD]),
        )
        .values(state=dropped, lease=None, error=STOPPED)
        .execution_options(synchronize_session=False)
    )


def _stop_reminders(invite: Invite) -> None:
    """Whoever complained gets no reminder any more, after a resend neither (`Invite.reminds` is off for good)."""
    statement = (
        sa.update(Invite)
        .where(Invite.id == invite.id, Invite.state == InviteState.PENDING, Invite.reminds.is_(True))
        .values(reminds=False, remind_at=None)
        .execution_options(synchronize_session=False)
    )
    if cast("sa.CursorResult[object]", db.session.execute(statement)).rowcount == 1:
        append_event(
            "invite_reminders_stopped",
            firm_id=invite.firm_id,
            workflow=invite.workflow,
            client_id=invite.client_id,
            invite_id=invite.id,
        )
    db.session.refresh(invite, ["reminds", "remind_at"])


def _newest_mail(invite: Invite) -> str | None:
    """The mail that tells the invite's delivery, those aside that were just stopped."""
    return db.session.scalar(
        sa.select(sa.func.max(Outbox.id)).where(
            Outbox.invite_id == invite.id,
            outbox.tells_delivery(),
            sa.not_(sa.and_(Outbox.state == MailState.BOUNCED, Outbox.error == STOPPED)),
        )
    )


def _was_told(invite: Invite) -> bool:
    earlier = sa.exists().where(Event.invite_id == invite.id, Event.name == BOUNCED)
    return bool(db.session.scalar(sa.select(earlier)))


# Other mails --------------------------------------------------------------------------------------------------------


def _about_other(mail: Outbox, failure: Failure, now: datetime) -> Outcome:
    """A mail about items, a sign-in mail, a code, a notice: its row and the timeline, never anybody's standing."""
    access = db.session.get(PortalAccess, mail.access_id) if mail.access_id else None
    invite = db.session.get(Invite, mail.invite_id) if mail.invite_id else None
    about = access or invite
    if about is not None and about.firm_id != mail.firm_id:
        return Outcome.UNKNOWN
    workflow = invite.workflow if invite is not None else "client-record"
    if failure.kind is Kind.TEMPORARY:
        if about is None:
            return Outcome.IGNORED
        return _note_delay(mail, workflow, failure, client_id=about.client_id)
    if _mark(mail, _reason(failure), now) is None:
        return Outcome.REPEATED if mail.state is MailState.BOUNCED else Outcome.LATE
    # A notice to staff, or a mail about signing in, has no client whose timeline could tell it.
    if about is not None and mail.kind is not MailKind.STAFF_NOTICE:
        append_event(
            CAME_BACK,
            firm_id=about.firm_id,
            workflow=workflow,
            client_id=about.client_id,
            item_id=mail.item_id,
            invite_id=mail.invite_id,
            access_id=mail.access_id,
            reason=_reason(failure),
            report=failure.kind.value,
            status=failure.status,
            mail_id=mail.id,
        )
    return Outcome.NOTED


# Both ---------------------------------------------------------------------------------------------------------------


def _mark(mail: Outbox, reason: str, now: datetime) -> bool | None:
    """The guarded UPDATE to `bounced`: True where the report came before our settle, None where it changed nothing."""
    tried = sa.and_(Outbox.state.in_([MailState.QUEUED, MailState.HELD]), Outbox.attempts > 0)
    early = sa.or_(Outbox.state == MailState.SENDING, tried)
    values: dict[str, Any] = {
        "state": MailState.BOUNCED,
        "error": reason[:500],
        "lease": None,
        "sent_at": sa.func.coalesce(Outbox.sent_at, now),
    }
    if "sealed" in mail.params:
        values["params"] = {}  # a text about signing in doesn't stay longer than it is of use

    def moved(states: sa.ColumnElement[bool]) -> bool:
        statement = (
            sa.update(Outbox)
            .where(Outbox.id == mail.id, states)
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        return cast("sa.CursorResult[object]", db.session.execute(statement)).rowcount == 1

    # In this order: a settle between the two leaves the row `sent`, which the second finds.
    was_early = moved(early)
    done = was_early or moved(Outbox.state == MailState.SENT)
    db.session.refresh(mail)
    return was_early if done else None


def _note_delay(mail: Outbox, workflow: str, failure: Failure, *, client_id: str) -> Outcome:
    """One line on the timeline for each mail, however many hours the servers keep saying so."""
    same = Event.data["mail_id"].as_string() == mail.id
    known = sa.exists().where(
        Event.client_id == client_id, Event.name.in_([DELAYED, BOUNCED, CAME_BACK]), same
    )
    if db.session.scalar(sa.select(known)):
        return Outcome.REPEATED
    append_event(
        DELAYED,
        firm_id=str(mail.firm_id),
        workflow=workflow,
        client_id=client_id,
        item_id=mail.item_id,
        invite_id=mail.invite_id,
        access_id=mail.access_id,
        reason=f"{report_words.DELAYED} {_reason(failure)}"[: report_words.MOST_WORDS],
        report=failure.kind.value,
        status=failure.status,
        mail_id=mail.id,
    )
    return Outcome.NOTED


def _reason(failure: Failure) -> str:
    if failure.kind is Kind.COMPLAINT:
        return report_words.COMPLAINT
    return report_words.reason(failure.status, failure.said)
