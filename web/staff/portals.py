"""Manage Client Portals: who has a portal, who was invited, and which clients have nobody inside yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, request, url_for
from sqlalchemy.orm import joinedload, selectinload

from invites.scope import FirmView
from invites.standing import Standing, standings_of
from mail import outbox
from models import (
    AccessState,
    Client,
    Contact,
    Invite,
    InviteState,
    MailState,
    PortalAccess,
    utc_now,
)
from web.access_rules import staff_page
from web.staff.common import firm_view, keyset, page
from web.staff.waiting import last_mail_is, newest

bp = Blueprint("staff_portals", __name__)

SOON = timedelta(days=7)


@dataclass(frozen=True)
class PortalLine:
    """One person at one client."""

    client: Client
    invite: Invite
    standing: Standing
    delivery: str


def _access(*wanted: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The invited address has an access to the client that is as wanted."""
    return sa.exists().where(
        PortalAccess.client_id == Invite.client_id, PortalAccess.email == Invite.email, *wanted
    )


def _inside() -> sa.ColumnElement[bool]:
    return _access(PortalAccess.state != AccessState.REMOVED)


def _open() -> sa.ColumnElement[bool]:
    return sa.and_(Invite.state == InviteState.PENDING, ~_inside())


# key -> (label, condition)
FILTERS: dict[str, tuple[str, Callable[[], sa.ColumnElement[bool]]]] = {
    "": ("Show all", sa.true),
    "invited": ("Show all invited but not accepted", _open),
    "logged-in": (
        "Show all who have logged in",
        lambda: _access(PortalAccess.state == AccessState.ACTIVE, PortalAccess.last_login_at.is_not(None)),
    ),
    "expiring": (
        "Expiring in 7 days",
        lambda: sa.and_(_open(), Invite.is_live(utc_now()), Invite.expires_at <= utc_now() + SOON),
    ),
    "expired": ("Expired", lambda: sa.and_(_open(), Invite.is_expired(utc_now()))),
    "bounced": ("Bounced", lambda: sa.and_(_open(), last_mail_is(Invite, [MailState.BOUNCED]))),
    "declined": (
        "Declined",
        lambda: sa.and_(Invite.state == InviteState.DECLINED, ~_inside()),
    ),
    "removed": (
        "Removed",
        lambda: sa.and_(
            Invite.state == InviteState.ACCEPTED, _access(PortalAccess.state == AccessState.REMOVED)
        ),
    ),
}


@bp.get("/portals")
@staff_page
def portals() -> str:
    """The tab `With portal users`, or `Without client portals` (`tab=without`)."""
    view = firm_view()
    typed = request.args.get("q", "").strip()[:200]
    without = request.args.get("tab") == "without"
    context = _without(view, typed) if without else _with(view, typed)
    tabs = [
        {
            "label": "Without client portals",
            "url": url_for("staff_portals.portals", tab="without"),
            "current": without,
        },
        {"label": "With portal users", "url": url_for("staff_portals.portals"), "current": not without},
    ]
    return page("staff/portals.html", nav="portals", tabs=tabs, without=without, q=typed, **context)


def _with(view: FirmView, typed: str) -> dict[str, Any]:
    chosen = request.args.get("show", "")
    chosen = chosen if chosen in FILTERS else ""
    statement = (
        view.invites()
        .where(newest(Invite), FILTERS[chosen][1]())
        .options(joinedload(Invite.client), joinedload(Invite.invited_by))
    )
    if typed:
        begin = typed.casefold()
        named = sa.select(Client.id).where(
            Client.firm_id == view.firm_id, Client.name_key.startswith(begin, autoescape=True)
        )
        statement = statement.where(
            sa.or_(
                Invite.email.startswith(begin, autoescape=True),
                sa.func.lower(Invite.name).startswith(typed.lower(), autoescape=True),
                Invite.client_id.in_(named),
            )
        )
    invites, more = keyset(
        statement,
        [Invite.created_at, Invite.id],
        lambda invite: [invite.created_at.isoformat(), invite.id],
        descending=True,
    )
    found = standings_of(
        {invite.client_id for invite in invites},
        {invite.email for invite in invites},
        view.member.firm.time_zone,
    )
    paused = outbox.relay_pause()
    lines = []
    for invite in invites:
        standing = found[invite.client_id, invite.email]
        delivery = outbox.delivery_text(standing.mail, paused) if standing.mail else ""
        lines.append(PortalLine(invite.client, invite, standing, delivery))
    chips = [
        {
            "label": label,
            "url": url_for("staff_portals.portals", show=key or None, q=typed or None),
            "current": key == chosen,
        }
        for key, (label, _) in FILTERS.items()
    ]
    return {"lines": lines, "more": more, "chips": chips}


def _without(view: FirmView, typed: str) -> dict[str, Any]:
    """Clients where nobody is inside and no invite is open; `show=no-email`: where nobody has an address."""
    no_email = request.args.get("show") == "no-email"
    inside = sa.exists().where(PortalAccess.client_id == Client.id, PortalAccess.state != AccessState.REMOVED)
    invited = sa.exists().where(Invite.client_id == Client.id, Invite.state == InviteState.PENDING)
    statement = view.clients().where(~inside, ~invited).options(selectinload(Client.contacts))
    if no_email:
        statement = statement.where(
            ~sa.exists().where(Contact.client_id == Client.id, Contact.email.is_not(None))
        )
    if typed:
        statement = statement.where(Client.name_key.startswith(typed.casefold(), autoescape=True))
    clients, more = keyset(
        statement, [Client.name_key, Client.id], lambda client: [client.name_key, client.id]
    )
    chips = [
        {"label": label, "url": url_for("staff_portals.portals", tab="without", show=key), "current": current}
        for label, key, current in (("Show all", None, not no_email), ("No e-mail", "no-email", no_email))
    ]
    return {"clients": clients, "more": more, "chips": chips}
