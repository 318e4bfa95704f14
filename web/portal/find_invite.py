"""`I was invited but can't find the mail`: the same answer for everyone, and mail only ever to the typed address.

Nobody learns here who was invited: the words, the status and the time are the same whether anything was sent or not.
So each request does its work inside one unit of work, and is answered no sooner than after a fixed time.
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from flask import Blueprint, render_template, request
from sqlalchemy.orm import joinedload

from invites import access as accesses
from invites import lifecycle
from models import AccessState, Invite, InviteState, PortalAccess, db, unit_of_work, utc_now
from models.address import parse_address
from models.errors import Invalid
from web.access_rules import public_page
from web.limits import hit
from web.portal.forms import AddressForm, read
from web.portal.invite_link import what_of

bp = Blueprint("portal_find", __name__, url_prefix="/portal/find-invite")

LEAST_SECONDS = 0.5  # what asking takes at least, whether there is an invite or not
INVITES_MOST = 5  # firms that wait for one address at the same time


@bp.get("")
@public_page("who lost the mail has no login yet")
def ask() -> str:
    """The form."""
    return render_template("portal/find_invite.html", errors={}, typed="", sent_to="")


@bp.post("")
@public_page("who lost the mail has no login yet")
def send() -> str | tuple[str, int]:
    """Send what waits for this address again. The answer is the same for every address."""
    started = time.monotonic()
    try:
        typed = read(AddressForm(), request.form)["email"]
    except Invalid as error:
        shown = request.form.get("email", "")
        return render_template("portal/find_invite.html", errors=error.fields, typed=shown, sent_to=""), 422
    hit("find_invite_source")
    key = parse_address(typed).key
    hit("find_invite", key)
    with unit_of_work():
        _send_again(key)
    time.sleep(max(0.0, LEAST_SECONDS - (time.monotonic() - started)))
    return render_template("portal/find_invite.html", errors={}, typed="", sent_to=typed)


def _send_again(key: str) -> None:
    """A fresh link for each invite that waits; the way to sign-in for somebody who accepted already."""
    waiting = list(
        db.session.scalars(
            sa.select(Invite)
            .where(Invite.email == key, Invite.state == InviteState.PENDING)
            .options(joinedload(Invite.client))
            .order_by(Invite.created_at.desc())
            .limit(INVITES_MOST)
        )
    )
    moment = utc_now()
    for invite in waiting:
        if moment - invite.last_asked_at >= lifecycle.SAME_REQUEST:
            lifecycle.resend(invite, invite.invited_by, what_of(invite))
    if waiting:
        return
    found = db.session.execute(
        sa.select(PortalAccess, Invite)
        .join(Invite, Invite.access_id == PortalAccess.id)
        .where(PortalAccess.email == key, PortalAccess.state == AccessState.ACTIVE)
        .order_by(Invite.ended_at.desc())
        .limit(1)
    ).first()
    if found is not None:
        access, invite = found
        accesses.send_sign_in(access, invite.invited_by)
