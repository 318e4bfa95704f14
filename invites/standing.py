"""Where a person stands with a client's portal: one word of eleven, decided from rows and the clock.

The first that holds wins, in the order of `StandingKey`. Standings of many addresses are read together, in a fixed
number of queries, because lists show a standing in each row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from mail import outbox
from models import (
    AccessState,
    Client,
    Contact,
    Invite,
    InviteState,
    MailState,
    Outbox,
    PortalAccess,
    Scope,
    db,
    utc_now,
)
from models.columns import AccessColumns, InviteColumns, MailColumns


class StandingKey(StrEnum):
    """The words of the contract; the first that holds."""

    NO_EMAIL = "no_email"
    SUSPENDED = "suspended"
    ACTIVE = "active"
    BOUNCED = "bounced"
    MAIL_FAILED = "mail_failed"
    EXPIRED = "expired"
    INVITED = "invited"
    DECLINED = "declined"
    REMOVED = "removed"
    REVOKED = "revoked"
    NO_INVITE = "no_invite"


TONES: Mapping[StandingKey, str] = {
    StandingKey.ACTIVE: "good",
    StandingKey.INVITED: "wait",
    StandingKey.EXPIRED: "wait",
    StandingKey.BOUNCED: "bad",
    StandingKey.MAIL_FAILED: "bad",
    StandingKey.SUSPENDED: "bad",
}

TICKED_BEFOREHAND = {StandingKey.MAIL_FAILED, StandingKey.EXPIRED, StandingKey.INVITED, StandingKey.NO_INVITE}


@dataclass(frozen=True)
class Standing:
    """A standing with its label, and the rows it was read from."""

    key: StandingKey
    label: str
    access: PortalAccess | None = None
    invite: Invite | None = None
    mail: Outbox | None = None
    until: str = ""  # the last day of the access, or of that which the open invite brings: 31 Dec 2026

    def scope(self, has_item: bool) -> Scope | None:
        """What this person sees, or is to see by the invite there is or was; None where nothing was decided.

        An invite that ended without an access counts with an item only: `items` without one would be an empty portal.
        """
        if self.invite is not None and self.invite.state is InviteState.PENDING:
            return self.invite.scope
        if self.access is not None:
            return self.access.scope
        return self.invite.scope if self.invite is not None and has_item else None

    @property
    def tone(self) -> str:
        """good, wait, bad or idle: the colour of the dot beside the words."""
        return TONES.get(self.key, "idle")

    @property
    def ticked(self) -> bool:
        """Whether the Client Portal window ticks this person beforehand."""
        return self.key in TICKED_BEFOREHAND

    @property
    def can_invite(self) -> bool:
        """Whether an invite can be sent to this person at all."""
        return self.key not in {StandingKey.NO_EMAIL, StandingKey.SUSPENDED, StandingKey.ACTIVE}


def day(moment: datetime, zone: str) -> str:
    """A date for people, in `zone`: 12 Nov 2026."""
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local.day} {local:%b %Y}"


def _ago(moment: datetime, now: datetime, zone: str) -> str:
    tz = ZoneInfo(zone)
    days = (now.astimezone(tz).date() - moment.astimezone(tz).date()).days
    if days <= 0:
        return "Invited today, never logged in"
    if days == 1:
        return "Invited yesterday, never logged in"
    return f"Invited {days} days ago, never logged in"


def decide(
    email: str | None,
    access: PortalAccess | None,
    invite: Invite | None,
    mail: Outbox | None,
    now: datetime,
    zone: str,
) -> Standing:
    """The standing that follows from these rows: pure, so that every line of the table is a test."""
    key, label = word_of(email, access, invite, mail, now, zone)
    if not email:
        return Standing(key, label)
    inside = access is not None and access.state is not AccessState.REMOVED and not access.has_ended(now)
    ends_at = access.ends_at if access is not None and inside else None
    if invite is not None and invite.state is InviteState.PENDING:
        ends_at = ends_at or invite.access_ends_at
    until = day(ends_at, zone) if ends_at else ""
    return Standing(key, label, access=access, invite=invite, mail=mail, until=until)


def word_of(
    email: str | None,
    access: PortalAccess | AccessColumns | None,
    invite: Invite | InviteColumns | None,
    mail: Outbox | MailColumns | None,
    now: datetime,
    zone: str,
) -> tuple[StandingKey, str]:
    """The word of these rows, and its label for people."""
    key = StandingKey
    if not email:
        return key.NO_EMAIL, "No e-mail"
    if access is not None and access.state is AccessState.SUSPENDED:
        return key.SUSPENDED, "Suspended"
    if access is not None and access.is_active(now):
        if access.last_login_at is None:
            return key.ACTIVE, "Joined, not logged in since"
        return key.ACTIVE, f"Last login {day(access.last_login_at, zone)}"
    if access is not None and access.ends_at is not None and access.has_ended(now):
        return key.REMOVED, f"Access ended {day(access.ends_at, zone)}"
    if invite is not None and invite.state is InviteState.PENDING:
        if mail is not None and mail.state is MailState.BOUNCED:
            return key.BOUNCED, "Mail bounced"
        if mail is not None and mail.state is MailState.FAILED:
            return key.MAIL_FAILED, "Mail not sent"
        if invite.expires_at <= now:
            return key.EXPIRED, "Invite expired"
        return key.INVITED, _ago(invite.created_at, now, zone)
    if invite is not None and invite.state is InviteState.DECLINED:
        return key.DECLINED, "Declined"
    if access is not None and access.state is AccessState.REMOVED:
        return key.REMOVED, "Access removed"
    if invite is not None and invite.state is InviteState.REVOKED:
        return key.REVOKED, "Invite revoked"
    return key.NO_INVITE, "No invite sent"


def standings(client: Client, emails: Iterable[str | None], zone: str) -> dict[str | None, Standing]:
    """The standing of each address at one client, by address."""
    pairs = standings_of({client.id}, {email for email in emails if email}, zone)
    found: dict[str | None, Standing] = {
        email: pairs.get((client.id, email or "")) or decide(email, None, None, None, utc_now(), zone)
        for email in emails
    }
    return found


def standings_of(
    client_ids: Collection[str], emails: Collection[str], zone: str
) -> dict[tuple[str, str], Standing]:
    """Standings by (client, address) of all that have an invite or an access, in three queries for any number."""
    now = utc_now()
    accesses = {
        (access.client_id, access.email): access
        for access in db.session.scalars(
            sa.select(PortalAccess).where(
                PortalAccess.client_id.in_(client_ids), PortalAccess.email.in_(emails)
            )
        ).unique()
    }
    invites = latest_invites(client_ids, emails)
    mails = outbox.delivery_of([invite.id for invite in invites.values()])
    return {
        pair: decide(
            pair[1],
            accesses.get(pair),
            invites.get(pair),
            mails.get(invites[pair].id) if pair in invites else None,
            now,
            zone,
        )
        for pair in accesses.keys() | invites.keys()
    }


def latest_invites(client_ids: Collection[str], emails: Collection[str]) -> dict[tuple[str, str], Invite]:
    """The newest invite of each (client, address)."""
    rank = (
        sa.func.row_number()
        .over(
            partition_by=(Invite.client_id, Invite.email),
            order_by=(Invite.created_at.desc(), Invite.id.desc()),
        )
        .label("rank")
    )
    newest = (
        sa.select(Invite.id, rank)
        .where(Invite.client_id.in_(client_ids), Invite.email.in_(emails))
        .subquery()
    )
    rows = db.session.scalars(
        sa.select(Invite)
        .join(newest, newest.c.id == Invite.id)
        .where(newest.c.rank == 1)
        .options(joinedload(Invite.invited_by))
    ).unique()
    return {(invite.client_id, invite.email): invite for invite in rows}


def people_of(client: Client, zone: str) -> list[tuple[Contact, Standing]]:
    """Each contact of the record with its standing."""
    contacts = list(client.contacts)
    found = standings(client, [contact.email for contact in contacts], zone)
    return [(contact, found[contact.email]) for contact in contacts]
