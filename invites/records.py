"""The client record: add and change clients and their contacts.

A client that is a person is its own first contact. A contact whose address changes leaves no live invite behind at the
old one: the open invite is revoked (unless another contact shares the address), because a link that went to a wrong
mailbox must not go on working. An access is never moved to another address; it stays on the record until removed.

All functions work inside the caller's unit of work and raise Invalid with the sentence beside the field.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from invites.lifecycle import pending_invite, revoke
from invites.scope import FirmView
from models import Client, ClientAssignment, Contact, Sees, append_event, db, new_id, utc_now
from models.address import Address, BadAddress, parse_address
from models.errors import Invalid

RECORD = "client-record"
TWICE = "Another client has this external id already."


def add_client(
    view: FirmView,
    name: str,
    *,
    is_person: bool = False,
    external_id: str | None = None,
    contacts: Sequence[tuple[str, str]] = (),
) -> Client:
    """Add a client with contacts (name, address or ""); the first is the primary one. Raises Invalid.

    Who sees assigned clients only is assigned to what they add, else they would lose it from sight at once.
    """
    people = list(contacts)
    if is_person and not people:
        people = [(name, "")]
    if is_person and not people[0][0]:
        people[0] = (name, people[0][1])
    client = Client(
        id=new_id(),
        firm_id=view.firm_id,
        name=name,
        external_id=external_id or None,
        is_person=is_person,
        created_by_id=view.member.id,
        created_at=utc_now(),
    )
    _keep(client)
    for place, (person, typed) in enumerate(people):
        address = _address(typed, f"contacts.{place}.email")
        _append(client, person, address, primary=place == 0)
    if view.member.sees is Sees.ASSIGNED:
        db.session.add(ClientAssignment(client_id=client.id, team_member_id=view.member.id))
    append_event(
        "client_added",
        firm_id=view.firm_id,
        workflow=RECORD,
        actor=_actor(view),
        client_id=client.id,
        title=name,
    )
    return client


def change_client(
    view: FirmView, client: Client, name: str, *, is_person: bool, external_id: str | None
) -> Client:
    """Change what a client is called. Raises Invalid."""
    client.name, client.is_person, client.external_id = name, is_person, external_id or None
    _keep(client)
    return client


def add_contact(
    view: FirmView, client: Client, name: str, email: str = "", *, primary: bool = False
) -> Contact:
    """Add a person to the record; the first one is the primary contact in any case. Raises Invalid."""
    address = _address(email, "email")
    contact = _append(client, name, address, primary=not client.contacts)
    if primary:
        _make_primary(client, contact)
    append_event(
        "contact_added",
        firm_id=view.firm_id,
        workflow=RECORD,
        actor=_actor(view),
        client_id=client.id,
        contact_id=contact.id,
    )
    return contact


def change_contact(
    view: FirmView, contact: Contact, name: str, email: str = "", *, primary: bool = False
) -> str | None:
    """Change a person on the record; the old address where its open invite was revoked. Raises Invalid."""
    address = _address(email, "email")
    client, old, shown = contact.client, contact.email, contact.email_display
    contact.name = name
    contact.email = address.key if address else None
    contact.email_display = address.display if address else None
    if primary:
        _make_primary(client, contact)
    db.session.flush()
    if old is None or old == contact.email or any(other.email == old for other in client.contacts):
        return None
    invite = pending_invite(client.id, old)
    if invite is None:
        return None
    revoke(invite, view.member, "address_changed")
    return shown


def _append(client: Client, name: str, address: Address | None, *, primary: bool) -> Contact:
    contact = Contact(
        id=new_id(),
        firm_id=client.firm_id,
        name=name,
        email=address.key if address else None,
        email_display=address.display if address else None,
        is_primary=primary,
        created_at=utc_now(),
    )
    client.contacts.append(contact)
    return contact


def _make_primary(client: Client, contact: Contact) -> None:
    for other in client.contacts:
        other.is_primary = other is contact


def _address(typed: str, field: str) -> Address | None:
    if not typed:
        return None
    try:
        return parse_address(typed)
    except BadAddress as error:
        raise Invalid({field: [str(error)]}) from error


def _keep(client: Client) -> None:
    """Flush, with the sentence for an external id that is taken."""
    taken = sa.select(Client.id).where(
        Client.firm_id == client.firm_id, Client.external_id == client.external_id, Client.id != client.id
    )
    with db.session.no_autoflush:
        if client.external_id and db.session.scalar(taken) is not None:
            raise Invalid({"external_id": [TWICE]})
    try:
        with db.session.begin_nested():
            db.session.add(client)
            db.session.flush()
    except IntegrityError as error:  # somebody else was faster by a moment
        raise Invalid({"external_id": [TWICE]}) from error


def _actor(view: FirmView) -> str:
    return f"member:{view.member.id}"
