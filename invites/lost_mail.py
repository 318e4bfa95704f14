"""Somebody can't find the mail: what waits for their address goes out again, and only to that address.

Whoever asks may be anybody who knows the address. So a live invite keeps its link (a stranger must not be able to end
the one that lies in the mailbox already) and is mailed once more; an expired one gets a fresh link, as its own page
would send it; somebody who accepted gets the way to sign-in. Who was invited is never said.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from invites import access as accesses
from invites.lifecycle import SAME_REQUEST, Occasion, mail_for, resend
from mail import outbox
from models import Invite, InviteState, PortalAccess, db, utc_now

INVITES_MOST = 5  # clients that wait for one address at the same time


def send_again(email: str, what: Callable[[Invite], str]) -> None:
    """Mail what waits for a normalised address once more, within the open unit of work.

    `what` says an invite's occasion as after the sender's name ("sent you a survey"). What was mailed a moment ago is
    not mailed again.
    """
    waiting = db.session.scalars(
        sa.select(Invite)
        .where(Invite.email == email, Invite.state == InviteState.PENDING)
        .options(joinedload(Invite.client))
        .order_by(Invite.created_at.desc())
        .limit(INVITES_MOST)
    ).all()
    if not waiting:
        _send_sign_in(email)
        return
    now = utc_now()
    due = [invite for invite in waiting if now - invite.last_asked_at >= SAME_REQUEST]
    live = [invite for invite in due if invite.is_live(now)]
    for invite in live:
        invite.last_asked_at, invite.sends = now, invite.sends + 1
    outbox.enqueue_many(
        [
            mail_for(
                Occasion(invite.client, invite.invited_by, invite.workflow, what(invite)),
                invite,
                invite.message,
            )
            for invite in live
        ]
    )
    for invite in due:  # at most INVITES_MOST
        if invite not in live and not invite.access_is_over(now):
            resend(invite, invite.invited_by, what(invite))


def _send_sign_in(email: str) -> None:
    """The way to sign-in for somebody with access, in the name of whoever invited them last."""
    found = db.session.execute(
        sa.select(PortalAccess, Invite)
        .join(Invite, Invite.access_id == PortalAccess.id)
        .where(PortalAccess.email == email, PortalAccess.is_active(utc_now()))
        .order_by(Invite.ended_at.desc())
        .limit(1)
    ).first()
    if found is not None:
        access, invite = found
        accesses.send_sign_in(access, invite.invited_by)
