"""The other answers to an invite: Decline, This isn't me, a new link, and signing out of the wrong account.

Declining and "This isn't me" ask once more on a page of their own. A new link only ever goes to the invited address.
"""

from __future__ import annotations

from flask import Blueprint, redirect
from werkzeug.wrappers import Response

from invites import accept, lifecycle
from invites.accept import LinkState
from languages import worded
from models import unit_of_work, utc_now
from models.errors import InviteNotPending
from web.access_rules import public_page
from web.limits import hit
from web.portal.invite_link import PREFIX, WHY, address, find, page, quiet, state_page
from web.security import sign_out
from web.who import is_signed_in

bp = Blueprint("portal_answers", __name__, url_prefix=PREFIX)
quiet(bp)

Answer = Response | tuple[str, int]


@bp.get("/decline")
@public_page(WHY, origin_checked=True)
def ask_decline(token: str) -> Answer:
    """Ask once more before declining."""
    return _ask(token, not_me=False)


@bp.post("/decline")
@public_page(WHY, origin_checked=True)
def decline(token: str) -> Answer:
    """Decline."""
    return _end(token, not_me=False)


@bp.get("/not-me")
@public_page(WHY, origin_checked=True)
def ask_not_me(token: str) -> Answer:
    """Ask once more before telling the firm that the mail reached the wrong person."""
    return _ask(token, not_me=True)


@bp.post("/not-me")
@public_page(WHY, origin_checked=True)
def not_me(token: str) -> Answer:
    """This isn't me."""
    return _end(token, not_me=True)


@bp.post("/new-link")
@public_page(WHY, origin_checked=True)
def new_link(token: str) -> Answer:
    """Mail a new link to the invited address, and to nobody else."""
    link = find(token)
    if link.invite is None or link.state is not LinkState.EXPIRED or link.invite.access_is_over(utc_now()):
        return redirect(address(token), 303)
    hit("new_link", link.invite.id)
    try:
        with unit_of_work():
            accept.send_new_link(accept.look_up(token))
    except InviteNotPending:
        return state_page(token, find(token), 409)
    return redirect(address(token), 303)


@bp.post("/switch")
@public_page(WHY, origin_checked=True)
def switch(token: str) -> Answer:
    """Sign out of the account that doesn't fit, and come back to the link."""
    find(token)
    if is_signed_in():
        sign_out()
    return redirect(address(token), 303)


def _ask(token: str, *, not_me: bool) -> Answer:
    link = find(token)
    if link.invite is None or link.state is not LinkState.LIVE:
        return redirect(address(token), 303)
    return page("portal/invite_confirm.html", token, link.invite, not_me=not_me)


def _end(token: str, *, not_me: bool) -> Answer:
    find(token)
    try:
        with unit_of_work():
            link = accept.look_up(token)
            if link.invite is None or link.state is not LinkState.LIVE:
                raise InviteNotPending(worded("This link can't be used any more."))
            lifecycle.decline(link.invite, not_me=not_me)
    except InviteNotPending:
        return state_page(token, find(token), 409)
    return redirect(address(token), 303)
