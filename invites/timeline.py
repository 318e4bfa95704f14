"""One person's story at one client: every mail with its delivery, and everything that happened, newest first.

Read from the event log and the outbox in three queries, however long the story is. Events that only say that a mail
went out are left out: the mail itself is in the list, with what became of it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

import sqlalchemy as sa

from models import Client, Event, Invite, MailKind, Outbox, PortalAccess, db

MOST = 60
_TOLD_BY_MAIL = ("invite_mailed", "invite_failed", "invite_reminded", "invite_expiry_warned")
_TO_STAFF = (MailKind.STAFF_NOTICE, MailKind.EXPIRY_DIGEST)

MAIL_NAMES: dict[MailKind, str] = {
    MailKind.INVITE: "Invite",
    MailKind.REMINDER: "Reminder",
    MailKind.EXPIRY_WARNING: "Warning that the invite ends",
    MailKind.ACCEPT_CODE: "Six-digit code",
    MailKind.ITEM: "Mail about new work",
    MailKind.SIGN_IN: "Mail that leads to sign-in",
}


@dataclass(frozen=True)
class Entry:
    """One thing in the story: an event or a mail."""

    at: datetime
    event: Event | None = None
    mail: Outbox | None = None


def timeline(client: Client, email: str | None, access: PortalAccess | None, most: int = MOST) -> list[Entry]:
    """The newest `most` entries of a person: of their invites, their access, and what they did themselves."""
    invites = _invite_ids(client, email, access)
    login_id = access.portal_user.login_id if access is not None else None
    events = _events(client, invites, access, login_id, most)
    mails = _mails(client, invites, access, most)
    entries = [Entry(event.created_at, event=event) for event in events]
    entries += [Entry(mail.created_at, mail=mail) for mail in mails]
    return sorted(entries, key=attrgetter("at"), reverse=True)[:most]


def _invite_ids(client: Client, email: str | None, access: PortalAccess | None) -> list[str]:
    emails = {email, access.email if access is not None else None} - {None}
    if not emails:
        return []
    return list(
        db.session.scalars(
            sa.select(Invite.id).where(Invite.client_id == client.id, Invite.email.in_(emails))
        )
    )


def _events(
    client: Client,
    invites: Collection[str],
    access: PortalAccess | None,
    login_id: str | None,
    most: int,
) -> list[Event]:
    about: list[sa.ColumnElement[bool]] = [Event.invite_id.in_(invites)]
    if access is not None:
        about += [Event.access_id == access.id, Event.actor == f"login:{login_id}"]
    return list(
        db.session.scalars(
            sa.select(Event)
            .where(Event.client_id == client.id, Event.name.not_in(_TOLD_BY_MAIL), sa.or_(*about))
            .order_by(Event.id.desc())
            .limit(most)
        )
    )


def _mails(client: Client, invites: Collection[str], access: PortalAccess | None, most: int) -> list[Outbox]:
    of_person: list[sa.ColumnElement[bool]] = [Outbox.invite_id.in_(invites)]
    if access is not None:
        of_person.append(Outbox.access_id == access.id)
    return list(
        db.session.scalars(
            sa.select(Outbox)
            .where(Outbox.firm_id == client.firm_id, Outbox.kind.not_in(_TO_STAFF), sa.or_(*of_person))
            .order_by(Outbox.id.desc())
            .limit(most)
        )
    )
