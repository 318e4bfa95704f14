"""What a batch of claimed mails needs to know, read at once: seven queries at most, however many mails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from mail.claim import Claimed
from mail.logo import MailLogo, mail_logo
from mail.words import FirmFacts, ItemFacts
from models import AcceptCode, Client, Firm, FirmLogo, Invite, InviteState, Login, TeamMember, WorkItem, db
from models.among import among


@dataclass(frozen=True)
class SenderFacts:
    """The team member who sends."""

    name: str
    email: str


class InviteFacts(NamedTuple):
    """The invite a mail is about."""

    id: str
    client_id: str
    name: str
    email_display: str
    invited_by_id: str
    generation: int
    expires_at: datetime
    state: InviteState

    def is_expired(self, now: datetime) -> bool:
        """Pending, and its time is over at `now`."""
        return self.state is InviteState.PENDING and self.expires_at <= now


class CodeFacts(NamedTuple):
    """The code that an accept waits for."""

    id: str
    expires_at: datetime


@dataclass(frozen=True)
class Facts:
    """Rows as plain values, by id."""

    invites: dict[str, InviteFacts]
    clients: dict[str, str]  # id -> name
    firms: dict[str, FirmFacts]
    senders: dict[str, SenderFacts]
    items: dict[str, ItemFacts]  # those the client side may see
    codes: dict[str, CodeFacts]


def load(mails: Sequence[Claimed]) -> Facts:
    """Read what the batch needs."""
    invites = [
        InviteFacts(*row) for row in _rows(_INVITES, (i for mail in mails for i in invite_ids_of(mail)))
    ]
    senders = [mail.sender_id for mail in mails] + [invite.invited_by_id for invite in invites]
    codes = _rows(_CODES, (mail.accept_code_id for mail in mails))
    return Facts(
        invites={invite.id: invite for invite in invites},
        clients={row.id: row.name for row in _rows(_CLIENTS, (invite.client_id for invite in invites))},
        firms=_firms(mail.firm_id for mail in mails),
        senders={row.id: SenderFacts(*row[1:]) for row in _rows(_SENDERS, senders)},
        items={
            row.id: ItemFacts(*row) for row in _rows(_ITEMS, (i for mail in mails for i in item_ids_of(mail)))
        },
        codes={row.id: CodeFacts(*row) for row in codes},
    )


def item_ids_of(mail: Claimed) -> list[str]:
    """The items a mail is about, in the order they joined it."""
    gathered: list[str] = mail.params.get("items", [])
    return gathered or ([mail.item_id] if mail.item_id else [])


def invite_ids_of(mail: Claimed) -> list[str]:
    """The invites a mail is about: its own, or those that a digest names."""
    named: list[str] = mail.params.get("invites", [])
    return named or ([mail.invite_id] if mail.invite_id else [])


def _firms(ids: Iterable[str | None]) -> dict[str, FirmFacts]:
    rows = _rows(_FIRMS, ids)
    pictures = _rows(_LOGOS, (row.id for row in rows if row.logo_sha256))
    logos = {picture.firm_id: mail_logo(picture.sha256, picture.png) for picture in pictures}
    return {row.id: firm_facts(row, logos.get(row.id)) for row in rows}


def firm_facts(firm: Firm | sa.Row[Any], logo: MailLogo | None = None) -> FirmFacts:
    """What mails show of this firm."""
    return FirmFacts(
        name=firm.name,
        phone=firm.phone,
        colour=firm.colour,
        zone=firm.time_zone,
        shows_titles=firm.shows_titles,
        language=firm.language,
        reply_to=firm.reply_to,
        logo=logo,
    )


def sender_facts(member: TeamMember) -> SenderFacts:
    """What mails show of this team member; somebody who left gets no answers any more."""
    return SenderFacts(member.name, member.login.email if member.active else "")


def _rows(statement: sa.Select[Any], ids: Iterable[str | None]) -> Sequence[Any]:
    known = {row_id for row_id in ids if row_id}
    return db.session.connection().execute(statement, {"ids": list(known)}).all() if known else []


# Built once, as those of mail/claim.py; columns in the order of the facts.
_INVITES = sa.select(*(Invite.__table__.c[name] for name in InviteFacts._fields)).where(among(Invite.id))
_CODES = sa.select(*(AcceptCode.__table__.c[name] for name in CodeFacts._fields)).where(among(AcceptCode.id))
_CLIENTS = sa.select(Client.__table__.c.id, Client.__table__.c.name).where(among(Client.id))
_FIRMS = sa.select(Firm.__table__).where(among(Firm.id))
_LOGOS = sa.select(FirmLogo.__table__).where(among(FirmLogo.firm_id))
_SENDERS = (
    sa.select(
        TeamMember.__table__.c.id,
        sa.case((Login.name != "", Login.name), else_=Login.email_display),
        sa.case((TeamMember.active, Login.email), else_=""),
    )
    .join(Login.__table__, Login.id == TeamMember.login_id)
    .where(among(TeamMember.id))
)
_ITEMS = (
    sa.select(
        WorkItem.__table__.c.id,
        WorkItem.__table__.c.title,
        Client.__table__.c.name,
        WorkItem.__table__.c.due_on,
    )
    .join(Client.__table__, Client.id == WorkItem.client_id)
    .where(among(WorkItem.id), WorkItem.visible.is_(True))
)
