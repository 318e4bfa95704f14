"""Carrying a job out: batch by batch, each one unit of work that does the work and marks its rows.

Everything a batch needs is read and locked in a fixed number of statements, and written in bulk: 10,000 rows would
otherwise take minutes. Clients and invites are locked in the order of the clients, so that two jobs at once wait for
each other instead of both being stuck. What can't be done to a row is said in its result and stops no other.

Carrying out twice is safe: rows that are marked are not looked at again, and what was mailed within the last minute
(two people pressed the same button) is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from invites import importing, schedule
from invites.access_until import close_ended
from invites.bulk_batch import Batch
from invites.invitees import Invitee
from invites.inviting import follow, items_by_invite, take_words
from invites.lifecycle import SAME_REQUEST, Occasion, expiry, mail_for, renew
from invites.new_invites import insert_invites
from invites.orders import InviteOrder
from invites.scope import FirmView
from invites.standing import StandingKey, day, standings_of
from invites.step import RECORD
from mail import outbox
from mail.outbox import NewMail
from models import (
    AccessState,
    Client,
    Contact,
    Invite,
    InviteState,
    Job,
    JobAction,
    JobItem,
    JobState,
    MailKind,
    PortalAccess,
    RowOutcome,
    Scope,
    append_event,
    db,
    utc_now,
)
from models.address import Address
from models.failpoints import reach

BATCH = 200
INVITED = "invited you to the Client Portal"
AGAIN = "sent you a new link"
WAY_IN = "sent you the way to the Client Portal"
GONE = "Not on the record any more, or not yours to see."


def step(most: int = BATCH) -> int:
    """Carry out the next rows of the job with the fewest left, within the caller's unit of work; how many.

    0 where no job is open, or where another worker has the only one in hand.
    """
    job = _next_job()
    if job is None:
        return 0
    items = list(
        db.session.scalars(
            sa.select(JobItem)
            .where(JobItem.job_id == job.id, sa.text("job_item.outcome = 'waiting'"))
            .order_by(JobItem.number)
            .limit(most)
        )
    )
    now = utc_now()
    job.started_at, job.state = job.started_at or now, JobState.RUNNING
    batch = Batch(FirmView(job.member), job, items)
    if items and _may(job):
        _RUN[job.action](batch)
    elif items:
        _mark(items, RowOutcome.REFUSED, "Who asked for this may not do it any more.")
    job.done += len(items)
    job.refused += sum(item.outcome in {RowOutcome.REFUSED, RowOutcome.FAILED} for item in items)
    if len(items) < most and job.done >= job.total:
        job.state, job.finished_at = JobState.DONE, now
    db.session.flush()
    reach("job.after_batch")
    return max(len(items), 1)


def give_up_next() -> None:
    """Mark the next row as failed, after it could not be carried out alone either."""
    job = _next_job()
    if job is None:
        return
    item = db.session.scalars(
        sa.select(JobItem)
        .where(JobItem.job_id == job.id, JobItem.outcome == RowOutcome.WAITING)
        .order_by(JobItem.number)
        .limit(1)
    ).one_or_none()
    if item is not None:
        item.outcome, item.reason = RowOutcome.FAILED, "Something went wrong on our side. Try this one again."
        job.done, job.refused = job.done + 1, job.refused + 1
    if job.done >= job.total:
        job.state, job.finished_at = JobState.DONE, utc_now()


def _next_job() -> Job | None:
    return db.session.scalars(
        sa.select(Job)
        .where(sa.text("job.state IN ('queued', 'running')"))
        .order_by(Job.total - Job.done, Job.id)
        .limit(1)
        .with_for_update(of=Job, skip_locked=True)
        .execution_options(populate_existing=True)
    ).first()


def _may(job: Job) -> bool:
    permission = "import" if job.action is JobAction.IMPORT else "bulk"
    return job.member.active and job.member.login.active and job.member.may(permission)


def _mark(items: Sequence[JobItem], outcome: RowOutcome, reason: str) -> None:
    for item in items:
        item.outcome, item.reason = outcome, reason


def _invite(batch: Batch) -> None:
    """Invite the primary contact of each client from the record."""
    member, now = batch.view.member, utc_now()
    ids = [item.client_id for item in batch.items]
    clients = {
        client.id: client
        for client in db.session.scalars(
            batch.view.clients()
            .where(Client.id.in_(ids))
            .order_by(Client.id)
            .options(selectinload(Client.contacts))
            .with_for_update(of=Client, key_share=True)
            .execution_options(populate_existing=True)
        )
    }
    wanted: dict[tuple[str, str], tuple[JobItem, Client, Contact]] = {}
    for item in batch.items:
        client = clients.get(item.client_id or "")
        contact = next((one for one in client.contacts if one.is_primary), None) if client else None
        if client is None:
            _mark([item], RowOutcome.REFUSED, GONE)
        elif contact is None:
            _mark([item], RowOutcome.REFUSED, "Nobody on the record. Add a contact first.")
        elif not contact.email:
            _mark([item], RowOutcome.REFUSED, f"{contact.label} has no e-mail address.")
        else:
            wanted[client.id, contact.email] = (item, client, contact)
    pending = _pending(set(wanted))
    known = standings_of(
        {client_id for client_id, _ in wanted}, {email for _, email in wanted}, member.firm.time_zone
    )
    items_of = items_by_invite(pending.values())
    order = InviteOrder((), message=batch.message, expires_in_days=batch.days, template=batch.template)
    mails: list[NewMail] = []
    fresh: list[tuple[Occasion, Invitee]] = []
    for pair, (item, client, contact) in wanted.items():
        standing, invite = known.get(pair), pending.get(pair)
        occasion = Occasion(client, member, RECORD, INVITED)
        if standing is not None and standing.key is StandingKey.ACTIVE:
            _mark([item], RowOutcome.SKIPPED, f"{contact.label} has access already.")
        elif standing is not None and standing.key is StandingKey.SUSPENDED:
            _mark([item], RowOutcome.REFUSED, f"The access of {contact.label} is suspended.")
        elif invite is None:
            address = Address(key=pair[1], display=contact.email_display or pair[1])
            fresh.append((occasion, Invitee(address, contact.id, contact.name, Scope.PORTAL)))
        elif now - invite.last_asked_at < SAME_REQUEST:
            _mark([item], RowOutcome.SKIPPED, f"{contact.label} was invited a moment ago: no second mail.")
        else:
            invite.scope = Scope.PORTAL
            take_words(invite, batch.message, batch.template)
            follow(invite, order, now)
            renew(invite, batch.days, occasion, items_of[invite.id])
            mails.append(mail_for(occasion, invite, invite.message))
            _mark([item], RowOutcome.DONE, f"{contact.label} is invited again with a fresh link.")
    close_ended([known[pair].access for pair in wanted if pair in known], batch.actor)
    for pair, made in insert_invites(order, fresh).items():
        item, _, contact = wanted[pair]
        item.invite_id = made["id"]
        _mark([item], RowOutcome.DONE, f"{contact.label} is invited.")
    late = [item for item, _, _ in wanted.values() if item.outcome is RowOutcome.WAITING]
    _mark(late, RowOutcome.SKIPPED, "Somebody else invited this person at the same moment.")
    outbox.enqueue_many(mails)


def _pending(pairs: set[tuple[str, str]]) -> dict[tuple[str, str], Invite]:
    """The pending invites of these (client, address), locked."""
    rows = db.session.scalars(
        sa.select(Invite)
        .where(
            Invite.client_id.in_({client_id for client_id, _ in pairs}),
            Invite.email.in_({email for _, email in pairs}),
            Invite.state == InviteState.PENDING,
        )
        .order_by(Invite.client_id, Invite.id)
        .with_for_update(of=Invite, key_share=True)
        .execution_options(populate_existing=True)
    ).unique()
    found = {(invite.client_id, invite.email): invite for invite in rows}
    return {pair: invite for pair, invite in found.items() if pair in pairs}


def _invites(batch: Batch) -> dict[str, Invite]:
    """The invites of these rows that the member may see, locked."""
    rows = db.session.scalars(
        batch.view.invites()
        .where(Invite.id.in_([item.invite_id for item in batch.items if item.invite_id]))
        .options(joinedload(Invite.client))
        .order_by(Invite.client_id, Invite.id)
        .with_for_update(of=Invite, key_share=True)
        .execution_options(populate_existing=True)
    ).unique()
    return {invite.id: invite for invite in rows}


def _accesses(batch: Batch) -> dict[str, PortalAccess]:
    """The accesses of these rows that the member may see, locked."""
    rows = db.session.scalars(
        batch.view.accesses()
        .where(PortalAccess.id.in_([item.access_id for item in batch.items if item.access_id]))
        .order_by(PortalAccess.client_id, PortalAccess.id)
        .with_for_update(of=PortalAccess, key_share=True)
        .execution_options(populate_existing=True)
    ).unique()
    return {access.id: access for access in rows}


def _is_open(item: JobItem, invite: Invite | None, *, revoking: bool = False) -> bool:
    """Whether the row's invite can be sent or extended; if not, the row says why."""
    if invite is not None and invite.state is InviteState.PENDING:
        if not revoking and invite.access_is_over(utc_now()):
            _mark([item], RowOutcome.REFUSED, "The access of this invite has ended. Change its date first.")
            return False
        return True
    if item.invite_id and invite is None:
        _mark([item], RowOutcome.REFUSED, GONE)
    else:
        state = f"The invite was {invite.state.value} already." if invite else "There is no invite."
        _mark([item], RowOutcome.REFUSED, state)
    return False


def _waits(invite: Invite | None) -> bool:
    return invite is not None and invite.state is InviteState.PENDING


def _resend(batch: Batch) -> None:
    """A fresh link for who has an open invite, the way to sign-in for who has joined."""
    member, now = batch.view.member, utc_now()
    invites, accesses = _invites(batch), _accesses(batch)
    items_of = items_by_invite(invites.values())
    mails: list[NewMail] = []
    for item in batch.items:
        invite, access = invites.get(item.invite_id or ""), accesses.get(item.access_id or "")
        if access is not None and access.is_active(now):
            mails.append(
                NewMail(
                    MailKind.SIGN_IN,
                    to_email=access.email,
                    to_name=access.portal_user.login.name,
                    firm_id=access.firm_id,
                    access_id=access.id,
                    sender_id=member.id,
                    params={"what": WAY_IN},
                )
            )
            _mark([item], RowOutcome.DONE, "Has access: a mail leads to sign-in.")
        elif access is not None and access.state is AccessState.SUSPENDED:
            _mark([item], RowOutcome.REFUSED, "The access is suspended. Restore it first.")
        elif access is not None and access.has_ended(now) and not _waits(invite):
            _mark([item], RowOutcome.REFUSED, "The access ended. Invite again, or change its date.")
        elif _is_open(item, invite) and invite is not None:
            if now - invite.last_asked_at < SAME_REQUEST:
                _mark([item], RowOutcome.SKIPPED, "Mailed a moment ago: no second mail.")
                continue
            items = items_of[invite.id]
            take_words(invite, batch.message, batch.template)
            occasion = Occasion(invite.client, member, invite.workflow, AGAIN, items)
            renew(invite, batch.days, occasion, items)
            mails.append(mail_for(occasion, invite, invite.message))
            _mark([item], RowOutcome.DONE, "A mail with a fresh link is on its way.")
    outbox.enqueue_many(mails)


def _revoke(batch: Batch) -> None:
    """End the open invites."""
    invites, now = _invites(batch), utc_now()
    for item in batch.items:
        invite = invites.get(item.invite_id or "")
        if _is_open(item, invite, revoking=True) and invite is not None:
            invite.state, invite.ended_at, invite.ended_reason = InviteState.REVOKED, now, ""
            _tell("invite_revoked", batch, invite=invite)
            _mark([item], RowOutcome.DONE, "The invite is revoked.")


def _extend(batch: Batch) -> None:
    """Let the mailed links work longer."""
    invites, now, firm = _invites(batch), utc_now(), batch.view.member.firm
    items_of = items_by_invite(invites.values())
    for item in batch.items:
        invite = invites.get(item.invite_id or "")
        if _is_open(item, invite) and invite is not None:
            days = batch.days or invite.expires_in_days
            ends = expiry(now, days, items_of[invite.id], firm.time_zone, invite.access_ends_at)
            invite.expires_at = max(invite.expires_at, ends)
            schedule.replan(invite, firm)
            _tell("invite_extended", batch, invite=invite)
            _mark([item], RowOutcome.DONE, f"The link works until {day(invite.expires_at, firm.time_zone)}.")


def _remove(batch: Batch) -> None:
    """End the access of people to the client."""
    accesses, now = _accesses(batch), utc_now()
    for item in batch.items:
        access = accesses.get(item.access_id or "")
        if access is None:
            _mark([item], RowOutcome.REFUSED, GONE if item.access_id else "Has no access.")
        elif access.state is AccessState.REMOVED:
            _mark([item], RowOutcome.SKIPPED, "The access was removed already.")
        else:
            access.state, access.changed_at = AccessState.REMOVED, now
            _tell("access_removed", batch, access=access)
            _mark([item], RowOutcome.DONE, "The access is removed.")


def _tell(
    name: str, batch: Batch, *, invite: Invite | None = None, access: PortalAccess | None = None
) -> None:
    row = invite or access
    if row is not None:
        append_event(
            name,
            firm_id=row.firm_id,
            workflow=invite.workflow if invite else RECORD,
            actor=batch.actor,
            client_id=row.client_id,
            invite_id=invite.id if invite else None,
            access_id=access.id if access else None,
        )


def _import(batch: Batch) -> None:
    """Add clients and contacts from the lines of a file."""
    rows = [item.data or {} for item in batch.items]
    lines = importing.import_rows(batch.view.member.firm, rows, batch.view)
    outcomes = {
        importing.ADDED: RowOutcome.DONE,
        importing.THERE: RowOutcome.SKIPPED,
        importing.REFUSED: RowOutcome.REFUSED,
    }
    for item, line in zip(batch.items, lines, strict=True):
        _mark([item], outcomes[line.outcome], str(line)[:500])


_RUN: dict[JobAction, Callable[[Batch], None]] = {
    JobAction.INVITE: _invite,
    JobAction.RESEND: _resend,
    JobAction.REVOKE: _revoke,
    JobAction.EXTEND: _extend,
    JobAction.REMOVE: _remove,
    JobAction.IMPORT: _import,
}
