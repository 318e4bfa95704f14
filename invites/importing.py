"""Clients and contacts from the rows of a table: what is new is added, what is there stays as it is.

Safe to run twice: a client is known by its external id, else by its name; a contact by its name and address. Rows are
read in one go and written without a query per row. All functions work inside the caller's unit of work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from models import Client, Contact, Firm, db
from models.address import Address, BadAddress, parse_address

NEEDED = ("client", "contact", "email")
LONGEST = {"client": 200, "contact": 200, "external_id": 120}
ADDED, THERE, REFUSED = "added", "there already", "refused"


@dataclass(frozen=True)
class Line:
    """What happened to one row."""

    outcome: str  # ADDED, THERE or REFUSED
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.reason}" if self.reason else self.outcome


def import_rows(firm: Firm, rows: Iterable[Mapping[str, str | None]]) -> Iterator[Line]:
    """Add each row (`client`, `contact`, `email`, perhaps `external_id`) to the firm; one Line per row, in order."""
    statement = sa.select(Client).where(Client.firm_id == firm.id).options(selectinload(Client.contacts))
    clients = {client.external_id or client.name: client for client in db.session.scalars(statement)}
    for row in rows:
        yield _import_row(
            firm, clients, {key: (row.get(key) or "").strip() for key in (*NEEDED, "external_id")}
        )


def _import_row(firm: Firm, clients: dict[str, Client], row: Mapping[str, str]) -> Line:
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
    if client is None:
        client = Client(firm_id=firm.id, name=row["client"], external_id=row["external_id"] or None)
        db.session.add(client)
        clients[key] = client
    elif not (row["contact"] or address) or any(
        _is_known(contact, row["contact"], address) for contact in client.contacts
    ):
        return Line(THERE)
    if row["contact"] or address:
        client.contacts.append(
            Contact(
                firm_id=firm.id,
                name=row["contact"],
                email=address.key if address else None,
                email_display=address.display if address else None,
                is_primary=not client.contacts,
            )
        )
    return Line(ADDED)


def _is_known(contact: Contact, name: str, address: Address | None) -> bool:
    """The same address under the same name (or none given); two names with one address are two contacts."""
    if address is None:
        return contact.name == name and contact.email is None
    return contact.email == address.key and name in {"", contact.name}
