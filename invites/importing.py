"""Clients and contacts from the rows of a table: what is new is added, what is there stays as it is.

Safe to run twice: a client is known by its external id, else by its name; a contact by its name and address. Only the
clients that the rows name are read, a few hundred at a time, and rows are written without a query for each. All
functions work inside the caller's unit of work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from invites.scope import FirmView
from models import Client, ClientAssignment, Contact, Firm, Sees, append_event, db, new_id
from models.address import Address, BadAddress, parse_address

NEEDED = ("client", "contact", "email")
LONGEST = {"client": 200, "contact": 200, "external_id": 120}
ADDED, THERE, REFUSED = "added", "there already", "refused"
OUTCOMES = (ADDED, THERE, REFUSED)
TWICE = "twice in this file"
AT_A_TIME = 500


@dataclass(frozen=True)
class Line:
    """What happened to one row."""

    outcome: str  # ADDED, THERE or REFUSED
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.reason}" if self.reason else self.outcome


def import_rows(
    firm: Firm, rows: Iterable[Mapping[str, str | None]], view: FirmView | None = None
) -> Iterator[Line]:
    """Add each row (`client`, `contact`, `email`, perhaps `external_id`) to the firm; one Line per row, in order.

    With a `view` it is that member's import: what they may not see is not added to, and what they add they see.
    """
    cleaned = [{key: (row.get(key) or "").strip() for key in (*NEEDED, "external_id")} for row in rows]
    clients = _known_clients(firm, cleaned)
    hidden = _hidden(view, clients)
    added: set[str] = set()  # ids of clients and contacts
    for row in cleaned:
        yield _import_row(firm, clients, hidden, added, row, view)


def _known_clients(firm: Firm, rows: Sequence[Mapping[str, str]]) -> dict[str, Client]:
    """The firm's clients that these rows may mean, by external id, else by name."""
    found: dict[str, Client] = {}
    keys = sorted({row["external_id"] or row["client"] for row in rows})
    for start in range(0, len(keys), AT_A_TIME):
        some = keys[start : start + AT_A_TIME]
        statement = (
            sa.select(Client)
            .where(
                Client.firm_id == firm.id,
                sa.or_(
                    Client.external_id.in_(some), Client.name_key.in_([key.casefold()[:200] for key in some])
                ),
            )
            .options(selectinload(Client.contacts))
        )
        found |= {client.external_id or client.name: client for client in db.session.scalars(statement)}
    return found


def _hidden(view: FirmView | None, clients: Mapping[str, Client]) -> set[str]:
    """The ids of those that the member may not see."""
    if view is None or view.member.sees is Sees.ALL:
        return set()
    ids = [client.id for client in clients.values()]
    seen: set[str] = set()
    for start in range(0, len(ids), AT_A_TIME):
        some = (
            view.clients().where(Client.id.in_(ids[start : start + AT_A_TIME])).with_only_columns(Client.id)
        )
        seen |= set(db.session.scalars(some))
    return set(ids) - seen


def _import_row(
    firm: Firm,
    clients: dict[str, Client],
    hidden: set[str],
    added: set[str],
    row: Mapping[str, str],
    view: FirmView | None,
) -> Line:
    if not row["client"]:
        return Line(REFUSED, "the client has no name")
    for key, longest in LONGEST.items():
        if len(row[key]) > longest:
            return Line(REFUSED, f"{key} has more than {longest} characters")
        if not row[key].isprintable():
            return Line(REFUSED, f"{key} holds a character that can't be shown")
    try:
        address = parse_address(row["email"]) if row["email"] else None
    except BadAddress as error:
        return Line(REFUSED, str(error))
    key = row["external_id"] or row["client"]
    client = clients.get(key)
    if client is not None and client.id in hidden:
        return Line(REFUSED, "there is such a client already, and it isn't assigned to you")
    if client is None:
        client = Client(
            id=new_id(), firm_id=firm.id, name=row["client"], external_id=row["external_id"] or None,
            created_by_id=view.member.id if view else None,
        )  # fmt: skip
        db.session.add(client)
        _tell(client, "client_added", view, title=client.name)
        added.add(client.id)
        if view is not None and view.member.sees is Sees.ASSIGNED:
            db.session.add(ClientAssignment(client_id=client.id, team_member_id=view.member.id))
        clients[key] = client
    elif not (row["contact"] or address):
        return Line(THERE, TWICE if client.id in added else "")
    else:
        known = [contact for contact in client.contacts if _is_known(contact, row["contact"], address)]
        if known:
            return Line(THERE, TWICE if all(contact.id in added for contact in known) else "")
    if row["contact"] or address:
        contact_id = new_id()
        if client.id not in added:  # one that comes with its client is told by the client's line
            _tell(client, "contact_added", view, contact_id=contact_id)
        added.add(contact_id)
        client.contacts.append(
            Contact(
                id=contact_id,
                firm_id=firm.id,
                name=row["contact"],
                email=address.key if address else None,
                email_display=address.display if address else None,
                is_primary=not client.contacts,
            )
        )
    return Line(ADDED)


def _tell(client: Client, name: str, view: FirmView | None, **data: str) -> None:
    """What the record's Activity says, as when somebody had typed it."""
    append_event(
        name,
        firm_id=client.firm_id,
        workflow="client-record",
        actor=f"member:{view.member.id}" if view else "system",
        client_id=client.id,
        **data,
    )


def _is_known(contact: Contact, name: str, address: Address | None) -> bool:
    """The same address under the same name (or none given); two names with one address are two contacts."""
    if address is None:
        return contact.name == name and contact.email is None
    return contact.email == address.key and name in {"", contact.name}
