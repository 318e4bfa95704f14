"""What staff's lists show of people and items, read in a fixed number of queries for any number of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import joinedload

from invites.scope import FirmView
from invites.standing import Standing, StandingKey, standings_of
from invites.standing import standings as standings_at
from models import Client, Contact, Invite, InviteState, PortalAccess, WorkItem, db
from workflows import viewing
from workflows.registry import Workflow

# How a client's people are summed up, worst first: (words with a number, tone, standings)
_SUMS = (
    ("{} bounced", "bad", {StandingKey.BOUNCED}),
    ("{} not sent", "bad", {StandingKey.MAIL_FAILED}),
    ("{} suspended", "bad", {StandingKey.SUSPENDED}),
    ("{} expired", "wait", {StandingKey.EXPIRED}),
    ("{} invited", "wait", {StandingKey.INVITED}),
    ("{} declined", "idle", {StandingKey.DECLINED}),
    ("{} joined", "good", {StandingKey.ACTIVE}),
)


@dataclass(frozen=True)
class PersonLine:
    """One person in the Client Portal section: a contact, or an address that is on no contact any more."""

    key: str  # id of the contact, else of the access or invite
    name: str
    email: str  # as shown; empty where none is known
    standing: Standing
    contact: Contact | None = None
    shared_with: str = ""

    @property
    def label(self) -> str:
        """The name, else the address."""
        return self.name or self.email

    def is_called(self, key: str) -> bool:
        """Whether `key` means this person: the line's own, the address, or the id of the access or the invite."""
        rows = (self.standing.access, self.standing.invite)
        return key in {self.key, self.address} or any(row is not None and row.id == key for row in rows)

    @property
    def address(self) -> str | None:
        """The address as it is looked up."""
        row = self.contact or self.standing.access or self.standing.invite
        return row.email if row is not None else None


@dataclass(frozen=True)
class ItemLine:
    """One work item in a list."""

    item: WorkItem
    status: str
    tone: str
    notes: tuple[str, ...]
    opened: tuple[viewing.Opening, ...]


def people_lines(view: FirmView, client: Client) -> list[PersonLine]:
    """Everybody on the record, and every address beyond it that has an access or an open invite."""
    contacts = list(client.contacts)
    known = {contact.email for contact in contacts if contact.email}
    accesses = db.session.scalars(view.accesses().where(PortalAccess.client_id == client.id)).unique()
    strays: dict[str, tuple[str, str, str]] = {
        access.email: (access.id, access.portal_user.login.name, access.portal_user.login.email_display)
        for access in accesses
        if access.email not in known
    }
    pending = view.invites().where(Invite.client_id == client.id, Invite.state == InviteState.PENDING)
    for invite in db.session.scalars(pending.options(joinedload(Invite.invited_by))).unique():
        if invite.email not in known:
            strays.setdefault(invite.email, (invite.id, invite.name, invite.email_display))
    found = standings_at(
        client, [*(contact.email for contact in contacts), *strays], view.member.firm.time_zone
    )
    lines = [
        PersonLine(
            contact.id,
            contact.name,
            contact.email_display or "",
            found[contact.email],
            contact,
            " and ".join(
                other.label
                for other in contacts
                if other is not contact and contact.email and other.email == contact.email
            ),
        )
        for contact in contacts
    ]
    return lines + [
        PersonLine(key, name, shown, found[email]) for email, (key, name, shown) in strays.items()
    ]


def client_sums(view: FirmView, clients: Sequence[Client]) -> dict[str, list[tuple[str, str]]]:
    """For each client (words, tone) of how its people stand. `contacts` must be loaded."""
    pairs = [(client.id, contact.email) for client in clients for contact in client.contacts if contact.email]
    found = standings_of(
        {client_id for client_id, _ in pairs}, {email for _, email in pairs}, view.member.firm.time_zone
    )
    sums: dict[str, list[tuple[str, str]]] = {}
    for client in clients:
        emails = {contact.email for contact in client.contacts if contact.email}
        counts = Counter(found[client.id, email].key for email in emails if (client.id, email) in found)
        words = [
            (text.format(number), tone)
            for text, tone, keys in _SUMS
            if (number := sum(counts[key] for key in keys))
        ]
        sums[client.id] = words or [("No invite sent" if emails else "No e-mail", "idle")]
    return sums


def item_lines(workflow: Workflow, items: Sequence[WorkItem]) -> list[ItemLine]:
    """Items of one workflow, with progress and who opened them."""
    progress = workflow.progress_of(items)
    opened = viewing.opened_by(items)
    return [
        ItemLine(
            item,
            workflow.status_label(item),
            workflow.tone(item),
            tuple(note for note in (progress.get(item.id, ""),) if note),
            tuple(opened.get(item.id, ())),
        )
        for item in items
    ]
