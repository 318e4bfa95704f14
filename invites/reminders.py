"""Reminders and the warning before an invite ends.

They carry the link of the mail before, so that whichever mail is found works. They stop at accept, decline, revoke
and expiry (the look for due invites and the claim of a queued mail both check that by the clock), by the invite's
switch, and by the link `Stop these reminders` in each of them. Which one is due: `schedule.py`.

The look is safe to run twice and on several workers: it locks the rows it takes and skips those another one holds.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

import sqlalchemy as sa

from invites import schedule
from mail import outbox
from mail.outbox import NewMail
from models import (
    Firm,
    Invite,
    InviteState,
    MailKind,
    MailState,
    Outbox,
    TeamMember,
    append_event,
    db,
    utc_now,
)
from models.errors import InviteNotPending

BATCH = 200
LATER = timedelta(hours=1)  # the mail before is still on its way: look again then
ON_ITS_WAY = frozenset({MailState.QUEUED, MailState.SENDING, MailState.HELD})


def remind_due(limit: int = BATCH) -> int:
    """Queue what is due for up to `limit` invites, in a fixed number of statements; how many invites were looked at.

    Call it inside a unit of work, again and again until it says 0.
    """
    now = utc_now()
    invites = _due(now, limit)
    latest = outbox.delivery_of([invite.id for invite in invites])
    mails = []
    for invite in invites:
        days = schedule.days_of(invite.invited_by.firm)
        kind = schedule.due(invite, days, now)
        before = latest.get(invite.id)
        if kind is not None and before is not None and before.state in ON_ITS_WAY:
            invite.remind_at = now + LATER
            continue
        if kind is not None:
            invite.reminded_until = now + schedule.APART
            if before is not None and before.state is MailState.SENT:  # never to an address that refuses mail
                mails.append(_mail(invite, kind, before))
                invite.sends += 1
        after = max(now, invite.reminded_until or now)
        invite.remind_at = schedule.next_look(invite.last_asked_at, invite.expires_at, days, after)
    outbox.enqueue_many(mails)
    return len(invites)


def stop(invite: Invite) -> bool:
    """The person wants no more reminders of this invite; whether there were any to stop. The invite itself stays."""
    stopped = _switch(invite, on=False)
    if stopped:
        _note(invite, "invite_reminders_stopped", "system")
    return stopped


def switch(invite: Invite, member: TeamMember, *, on: bool) -> Invite:
    """Staff switch an invite's reminders on or off; the same again changes nothing. Raises InviteNotPending."""
    if _switch(invite, on=on):
        if on:
            schedule.replan(invite, invite.invited_by.firm)
        _note(invite, "invite_reminders_started" if on else "invite_reminders_stopped", f"member:{member.id}")
    elif invite.state is not InviteState.PENDING:
        raise InviteNotPending(f"This invite was {invite.state.value} already, so there are no reminders.")
    return invite


def schedule_changed(firm: Firm) -> None:
    """A firm changed its days: every open invite follows the new ones from now on, and nothing is caught up."""
    now = utc_now()
    db.session.execute(
        sa.update(Invite)
        .where(
            Invite.firm_id == firm.id,
            Invite.state == InviteState.PENDING,
            Invite.reminds.is_(True),
        )
        .values(remind_at=now, reminded_until=now)
        .execution_options(synchronize_session=False)
    )


def _due(now: datetime, limit: int) -> list[Invite]:
    return list(
        db.session.scalars(
            sa.select(Invite)
            .where(Invite.is_live(now), Invite.remind_at <= now, Invite.reminds.is_(True))
            .order_by(Invite.remind_at)
            .limit(limit)
            .with_for_update(of=Invite, skip_locked=True, key_share=True)
            .execution_options(populate_existing=True)
        ).unique()
    )


def _mail(invite: Invite, kind: MailKind, before: Outbox) -> NewMail:
    append_event(
        "invite_reminded" if kind is MailKind.REMINDER else "invite_expiry_warned",
        firm_id=invite.firm_id,
        workflow=invite.workflow,
        client_id=invite.client_id,
        invite_id=invite.id,
    )
    return NewMail(
        kind,
        to_email=invite.email,
        to_name=invite.name,
        firm_id=invite.firm_id,
        invite_id=invite.id,
        generation=invite.generation,
        item_id=before.item_id,
        sender_id=invite.invited_by_id,
        params={"what": before.params.get("what", "invited you to the Client Portal")},
    )


def _switch(invite: Invite, *, on: bool) -> bool:
    statement = (
        sa.update(Invite)
        .where(Invite.id == invite.id, Invite.state == InviteState.PENDING, Invite.reminds.is_(not on))
        .values(reminds=on, remind_at=None)
        .execution_options(synchronize_session=False)
    )
    moved = cast("sa.CursorResult[object]", db.session.execute(statement)).rowcount == 1
    db.session.refresh(invite)
    return moved


def _note(invite: Invite, name: str, actor: str) -> None:
    append_event(
        name,
        firm_id=invite.firm_id,
        workflow=invite.workflow,
        actor=actor,
        client_id=invite.client_id,
        invite_id=invite.id,
    )
