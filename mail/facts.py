"""What a batch of claimed mails needs to know, read at once: seven queries however many mails there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, lazyload

from mail.claim import Claimed
from mail.words import FirmFacts, ItemFacts
from models import AcceptCode, Client, Firm, Invite, TeamMember, WorkItem, db


@dataclass(frozen=True)
class SenderFacts:
    """The team member who sends."""

    name: str
    email: str


@dataclass(frozen=True)
class Facts:
    """Rows as plain values, by id."""

    invites: dict[str, Invite]
    clients: dict[str, str]  # id -> name
    firms: dict[str, FirmFacts]
    senders: dict[str, SenderFacts]
    items: dict[str, ItemFacts]  # those the client side may see
    codes: dict[str, AcceptCode]


def load(mails: Sequence[Claimed]) -> Facts:
    """Read what the batch needs."""
    invites = _by_id(Invite, (invite_id for mail in mails for invite_id in invite_ids_of(mail)))
    senders = {mail.sender_id for mail in mails} | {invite.invited_by_id for invite in invites.values()}
    item_ids = {item_id for mail in mails for item_id in item_ids_of(mail)}
    items = _rows(
        sa.select(WorkItem)
        .where(WorkItem.id.in_(_known(item_ids)), WorkItem.visible.is_(True))
        .options(joinedload(WorkItem.client)),
        item_ids,
    )
    client_ids = {invite.client_id for invite in invites.values()}
    clients = _rows(sa.select(Client).where(Client.id.in_(_known(client_ids))), client_ids)
    return Facts(
        invites=invites,
        clients={client.id: client.name for client in clients},
        firms={firm.id: firm_facts(firm) for firm in _by_id(Firm, (mail.firm_id for mail in mails)).values()},
        senders={member.id: sender_facts(member) for member in _by_id(TeamMember, senders).values()},
        items={item.id: ItemFacts(item.id, item.title, item.client.name, item.due_on) for item in items},
        codes=_by_id(AcceptCode, (mail.accept_code_id for mail in mails)),
    )


def item_ids_of(mail: Claimed) -> list[str]:
    """The items a mail is about, in the order they joined it."""
    gathered: list[str] = mail.params.get("items", [])
    return gathered or ([mail.item_id] if mail.item_id else [])


def invite_ids_of(mail: Claimed) -> list[str]:
    """The invites a mail is about: its own, or those that a digest names."""
    named: list[str] = mail.params.get("invites", [])
    return named or ([mail.invite_id] if mail.invite_id else [])


def firm_facts(firm: Firm) -> FirmFacts:
    """What mails show of this firm."""
    return FirmFacts(
        name=firm.name,
        phone=firm.phone,
        colour=firm.colour,
        zone=firm.time_zone,
        shows_titles=firm.shows_titles,
        reply_to=firm.reply_to,
    )


def sender_facts(member: TeamMember) -> SenderFacts:
    """What mails show of this team member; somebody who left gets no answers any more."""
    return SenderFacts(member.name, member.login.email if member.active else "")


_Row = TypeVar("_Row", Invite, Firm, TeamMember, AcceptCode)


def _by_id(table: type[_Row], ids: Iterable[str | None]) -> dict[str, _Row]:
    known = _known(ids)
    statement = sa.select(table).where(table.id.in_(known))
    if table is Invite:  # of the inviter its id is enough, and the team member is read once for all
        statement = statement.options(lazyload("*"))
    return {row.id: row for row in _rows(statement, known)}


def _rows(statement: sa.Select[Any], wanted: Iterable[str | None]) -> list[Any]:
    return list(db.session.scalars(statement).unique()) if _known(wanted) else []


def _known(ids: Iterable[str | None]) -> set[str]:
    return {row_id for row_id in ids if row_id}
