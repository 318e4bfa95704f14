"""From ticked rows and typed addresses to people on the client's record: a typed person becomes a contact.

However many there are, the record is read and written in a fixed number of statements.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from invites.lifecycle import Occasion
from invites.orders import Recipient
from models import Contact, Scope, db, insert_rows, new_id, utc_now
from models.address import Address, BadAddress, parse_address
from models.among import among


@dataclass(frozen=True)
class Invitee:
    """A recipient whose address can be used, with its contact (made where it was only typed)."""

    address: Address
    contact_id: str
    name: str
    scope: Scope
    by_default: bool = False  # nobody said what this person is to see


@dataclass
class _Known:
    """What an order needs to know of a contact."""

    id: str
    name: str
    email: str | None
    email_display: str | None

    @property
    def label(self) -> str:
        return self.name or self.email_display or "(no name)"


def invitees(occasion: Occasion, recipients: Sequence[Recipient]) -> list[Invitee | str]:
    """The person behind each recipient, or the sentence why it can't be used. Call it under the client's lock."""
    typed = [_parsed(one.email) if one.contact_id is None else "" for one in recipients]
    record = _Record(
        occasion,
        {one.contact_id for one in recipients if one.contact_id is not None},
        {address.key for address in typed if isinstance(address, Address)},
    )
    found = [
        _ticked(record, recipient) if recipient.contact_id is not None else _added(record, recipient, address)
        for recipient, address in zip(recipients, typed, strict=True)
    ]
    record.write()
    return found


def _parsed(text: object) -> Address | str:
    try:
        return parse_address(text)
    except BadAddress as error:
        return str(error)


def _ticked(record: _Record, recipient: Recipient) -> Invitee | str:
    """A contact of the record; one without an address gets the one typed beside its name."""
    contact = record.by_id.get(recipient.contact_id or "")
    if contact is None:
        return "This person is not on the client's record any more."
    if not contact.email:
        if not recipient.email:
            return f"{contact.label} has no e-mail address. Add one beside the name."
        address = _parsed(recipient.email)
        if isinstance(address, str):
            return address
        record.fill(contact, address)
    else:
        address = Address(contact.email, contact.email_display or contact.email)
    return _invitee(address, contact, recipient, Scope.PORTAL)


def _added(record: _Record, recipient: Recipient, address: Address | str) -> Invitee | str:
    """A typed person: on the record already by this address, or a new contact."""
    if isinstance(address, str):
        return address
    contact, scope = record.by_email.get(address.key), Scope.PORTAL
    if contact is None:
        contact = record.add(recipient.name.strip()[:200], address)
        scope = record.scope_of_added
    return _invitee(address, contact, recipient, scope)


def _invitee(address: Address, contact: _Known, recipient: Recipient, usual: Scope) -> Invitee:
    scope = recipient.can_see or usual
    return Invitee(address, contact.id, contact.name, scope, by_default=recipient.can_see is None)


class _Record:
    """The contacts of the client that an order names, and what changes about them."""

    def __init__(self, occasion: Occasion, ids: Collection[str], emails: Collection[str]) -> None:
        self.client = occasion.client
        self.scope_of_added = Scope.ITEMS if occasion.items else Scope.PORTAL
        self.by_id = {known.id: known for known in self._read(_BY_ID, ids)}
        self.by_email: dict[str | None, _Known] = {}
        for known in self._read(_BY_EMAIL, emails):
            self.by_email.setdefault(known.email, known)
        self._new: list[_Known] = []
        self._filled: dict[str, Address] = {}

    def _read(self, statement: sa.Select[Any, Any, Any, Any], values: Collection[str]) -> list[_Known]:
        if not values:
            return []
        parameters = {"client_id": self.client.id, "values": values}
        return [_Known(*row) for row in db.session.connection().execute(statement, parameters)]

    def add(self, name: str, address: Address) -> _Known:
        """A contact that isn't on the record yet."""
        known = _Known(new_id(), name, address.key, address.display)
        self._new.append(known)
        self.by_email[address.key] = known
        return known

    def fill(self, contact: _Known, address: Address) -> None:
        """An address for a contact that had none."""
        contact.email, contact.email_display = address.key, address.display
        self._filled[contact.id] = address
        self.by_email.setdefault(address.key, contact)

    def write(self) -> None:
        """Send the changes to the database."""
        if self._filled:
            for contact in db.session.scalars(sa.select(Contact).where(Contact.id.in_(self._filled))):
                address = self._filled[contact.id]
                contact.email, contact.email_display = address.key, address.display
            db.session.flush()
        if self._new:
            self._insert()

    def _insert(self) -> None:
        parameters = {"client_id": self.client.id}
        is_first = db.session.connection().scalar(_ANYBODY, parameters) is None
        now = utc_now()
        insert_rows(
            Contact,
            [
                {
                    "id": known.id,
                    "firm_id": self.client.firm_id,
                    "client_id": self.client.id,
                    "name": known.name,
                    "name_key": known.name.casefold()[:200],
                    "email": known.email,
                    "email_display": known.email_display,
                    "is_primary": is_first and place == 0,
                    "dont_ask": False,
                    "created_at": now
                    + timedelta(microseconds=place),  # the record lists them as they were typed
                }
                for place, known in enumerate(self._new)
            ],
        )


# Built once: composing a statement costs as much as running it.
_ON_RECORD = (
    sa.select(Contact.id, Contact.name, Contact.email, Contact.email_display)
    .where(Contact.client_id == sa.bindparam("client_id"))
    .order_by(Contact.is_primary.desc(), Contact.created_at, Contact.id)
)
_BY_ID = _ON_RECORD.where(among(Contact.id, "values"))
_BY_EMAIL = _ON_RECORD.where(among(Contact.email, "values"))
_ANYBODY = sa.select(Contact.id).where(Contact.client_id == sa.bindparam("client_id")).limit(1)
