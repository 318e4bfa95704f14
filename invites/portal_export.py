"""What an export of Manage Client Portals reads: the list in pieces, as columns, one statement a piece.

Half a million lines as objects, with three more statements a page for their standings, took half a millisecond a line;
nine columns each of a row, its client, access, invite and latest mail take a tenth of it. The words are those of the
page: `standing.word_of` and `outbox.delivery_text` decide them here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from invites import portals as listing
from invites.portals import PortalQuery
from invites.scope import FirmView
from invites.standing import word_of
from mail import outbox
from models import (
    Client,
    Contact,
    Invite,
    InviteState,
    Outbox,
    PortalAccess,
    PortalClient,
    PortalPerson,
    TeamMember,
    db,
    utc_now,
)
from models.columns import AccessColumns, InviteColumns, MailColumns

_PERSON = (
    Client.name,
    PortalPerson.name,
    PortalPerson.email,
    PortalPerson.email_display,
    PortalPerson.last_login_at,
)
_ACCESS = (PortalAccess.state, PortalAccess.ends_at, PortalAccess.last_login_at)
_INVITE = (Invite.state, Invite.created_at, Invite.expires_at)
_MAIL = (Outbox.state, Outbox.attempts, Outbox.error)
_PERSON_JOINS = (
    (Client, Client.id == PortalPerson.client_id),
    (PortalAccess, PortalAccess.id == PortalPerson.access_id),
    (Invite, Invite.id == PortalPerson.invite_id),
    (Outbox, Outbox.id == outbox.latest_of(Invite.id)),
)


def _first_contact() -> Any:
    """The id of the client's primary contact, else of the oldest one."""
    contact = aliased(Contact)
    order = (contact.is_primary.desc(), contact.created_at, contact.id)
    first = sa.select(contact.id).where(contact.client_id == Client.id).order_by(*order).limit(1)
    return first.correlate(Client).scalar_subquery()


_CLIENT = (Client.name, Client.external_id, Contact.name, Contact.email_display)
_CLIENT_JOINS = (
    (Client, Client.id == PortalClient.client_id),
    (Contact, Contact.id == _first_contact()),
)


@dataclass(frozen=True, slots=True)
class PersonLine:
    """One mailbox at one client."""

    client: str
    name: str
    email: str
    standing: str
    invited_at: datetime | None
    invited_by: str
    expires_at: datetime | None  # of an invite that waits
    delivery: str
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClientLine:
    """One client without a portal, and its first contact."""

    client: str
    external_id: str
    contact: str
    email: str


def people(view: FirmView, query: PortalQuery, size: int) -> Iterator[list[PersonLine]]:
    """The people that match, so many at a time, each piece in a transaction of its own."""
    zone, members = view.member.firm.time_zone, _names(view)
    cells = (*_PERSON, *_ACCESS, *_INVITE, Invite.invited_by_id, *_MAIL)
    cursor: str | None = ""
    while cursor is not None:
        rows, cursor = listing.cells_of(view, query, cursor, size, cells, _PERSON_JOINS)
        paused, now = outbox.relay_pause(), utc_now()
        db.session.rollback()
        yield [_person(row, members, paused, now, zone) for row in rows]


def _person(
    row: Any, members: dict[str, str], paused: outbox.RelayPause | None, now: datetime, zone: str
) -> PersonLine:
    client, name, email, shown, last_login_at = row[:5]
    access = AccessColumns(*row[5:8]) if row[5] is not None else None
    invite = InviteColumns(*row[8:11]) if row[8] is not None else None
    mail = MailColumns(*row[12:15]) if row[12] is not None else None
    return PersonLine(
        client=client,
        name=name,
        email=shown or "",
        standing=word_of(email, access, invite, mail, now, zone)[1],
        invited_at=invite.created_at if invite else None,
        invited_by=members.get(row[11], "") if invite else "",
        expires_at=invite.expires_at if invite and invite.state is InviteState.PENDING else None,
        delivery=outbox.delivery_text(mail, paused) if mail else "",
        last_login_at=last_login_at,
    )


def clients(view: FirmView, query: PortalQuery, size: int) -> Iterator[list[ClientLine]]:
    """The clients without a portal that match, so many at a time, each piece in a transaction of its own."""
    cursor: str | None = ""
    while cursor is not None:
        rows, cursor = listing.cells_of(view, query, cursor, size, _CLIENT, _CLIENT_JOINS)
        db.session.rollback()
        yield [ClientLine(*(cell or "" for cell in row[:4])) for row in rows]


def _names(view: FirmView) -> dict[str, str]:
    """Who may have invited."""
    members = db.session.scalars(sa.select(TeamMember).where(TeamMember.firm_id == view.firm_id)).unique()
    return {member.id: member.name for member in members}
