"""The signers of a request and where each stands; whose turn it is, and who `I` am among them.

Two signers may share one mailbox (a couple): then one login stands for both, and the page shows a signature box for
each name. Whose turn it is follows from the rows: in order, a place is on when everybody before it has signed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from invites.scope import PortalView
from languages import worded
from models import Client, Firm, Login, Signer, SignerState, WorkItem, db, new_id, utc_now
from models.address import parse_address

UNSIGNED: Final = (SignerState.WAITING, SignerState.VIEWED)
SIGNABLE: Final = ("sent", "viewed", "partially_signed")

_LABELS: Mapping[SignerState, str] = {
    SignerState.WAITING: "Not opened yet",
    SignerState.VIEWED: "Viewed",
    SignerState.SIGNED: "Signed",
    SignerState.DECLINED: "Declined",
}
_TONES: Mapping[SignerState, str] = {
    SignerState.WAITING: "idle",
    SignerState.VIEWED: "wait",
    SignerState.SIGNED: "good",
    SignerState.DECLINED: "bad",
}


@dataclass(frozen=True)
class SignerView:
    """One signer as a page shows it."""

    id: str
    name: str
    email: str
    state: str  # waiting, viewed, signed or declined
    label: str
    tone: str
    order: int
    is_mine: bool
    can_sign: bool
    can_decline: bool
    waiting_for: str  # names of those before, in order; empty when it is this one's turn
    typed_name: str
    signed_at: datetime | None
    viewed_at: datetime | None
    decline_reason: str


@dataclass(frozen=True)
class SignState:
    """A request as one login sees it."""

    mine: tuple[SignerView, ...]
    others: tuple[SignerView, ...]
    all_signed: bool
    sealed: bool
    expired: bool

    @property
    def may_sign(self) -> bool:
        """Whether there is a signature box to fill in now."""
        return any(signer.can_sign for signer in self.mine)

    @property
    def waiting_for(self) -> str:
        """Whom I wait for before I can sign; empty where I needn't."""
        return next((signer.waiting_for for signer in self.mine if signer.waiting_for), "")


def add_signers(item: WorkItem, client: Client, people: Sequence[Mapping[str, Any]]) -> list[Signer]:
    """The rows of a request's signers, flushed, in the order they were given."""
    rows = []
    for place, person in enumerate(people, start=1):
        address = parse_address(person["email"])
        row = Signer(
            id=new_id(),
            item_id=item.id,
            contact_id=_contact_id(client, person["name"], address.key),
            name=person["name"],
            email=address.key,
            email_display=address.display,
            position=person.get("order") or place,
        )
        db.session.add(row)
        rows.append(row)
    db.session.flush()
    return rows


def signers_of(items: Collection[WorkItem]) -> dict[str, list[Signer]]:
    """The signers of each item by its id, in their order; one query for any number."""
    found: dict[str, list[Signer]] = {item.id: [] for item in items}
    rows = db.session.scalars(
        sa.select(Signer)
        .where(Signer.item_id.in_(found))
        .order_by(Signer.position, Signer.id)
        .execution_options(populate_existing=True)
    )
    for row in rows:
        found[row.item_id].append(row)
    return found


def is_ordered(item: WorkItem) -> bool:
    """Whether they sign one after the other."""
    return bool((item.details or {}).get("ordered"))


def is_expired(item: WorkItem) -> bool:
    """Whether the due day is over in the firm's time zone while somebody still has to sign: the clock decides."""
    if item.due_on is None or not item.open or item.status not in SIGNABLE:
        return False
    firm = db.session.get_one(Firm, item.firm_id)
    return utc_now().astimezone(ZoneInfo(firm.time_zone)).date() > item.due_on


def blockers(item: WorkItem, signer: Signer, signers: Iterable[Signer]) -> list[Signer]:
    """Those who must sign before `signer` may; nobody in parallel."""
    if not is_ordered(item):
        return []
    return [
        other
        for other in signers
        if other.position < signer.position and other.state is not SignerState.SIGNED
    ]


def my_address(item: WorkItem, login: Login) -> str:
    """The address by which this login stands at the item's client. Raises Missing without access to it."""
    return str(PortalView(login).access_for(item).email)


def views(
    item: WorkItem, mine: str | None = None, signers: Sequence[Signer] | None = None
) -> list[SignerView]:
    """The signers as pages show them; `mine` is the address of the one who looks, None for staff."""
    rows = signers_of([item])[item.id] if signers is None else signers
    live = item.open and item.status in SIGNABLE and not is_expired(item)
    return [_view(item, row, rows, live, row.email == mine) for row in rows]


def sign_state(item: WorkItem, login: Login) -> SignState:
    """The request as `login` sees it. Raises Missing without access to the client."""
    shown = views(item, my_address(item, login))
    return SignState(
        mine=tuple(signer for signer in shown if signer.is_mine),
        others=tuple(signer for signer in shown if not signer.is_mine),
        all_signed=all(signer.state == SignerState.SIGNED.value for signer in shown),
        sealed=item.status == "completed",
        expired=is_expired(item),
    )


def _view(item: WorkItem, row: Signer, rows: Sequence[Signer], live: bool, is_mine: bool) -> SignerView:
    unsigned = row.state in UNSIGNED
    before = blockers(item, row, rows) if unsigned and live else []
    waiting_for = " and ".join(dict.fromkeys(other.name for other in before))
    return SignerView(
        id=row.id,
        name=row.name,
        email=row.email_display,
        state=row.state.value,
        label=worded("Waits for %(names)s", names=waiting_for) if waiting_for else _LABELS[row.state],
        tone="idle" if waiting_for else _TONES[row.state],
        order=row.position,
        is_mine=is_mine,
        can_sign=is_mine and unsigned and live and not before,
        can_decline=is_mine and unsigned and live,
        waiting_for=waiting_for,
        typed_name=row.typed_name,
        signed_at=row.signed_at,
        viewed_at=row.viewed_at,
        decline_reason=row.decline_reason,
    )


def _contact_id(client: Client, name: str, email: str) -> str | None:
    """The contact on the record: of a shared mailbox the one of that name."""
    there = [contact for contact in client.contacts if contact.email == email]
    named = [contact for contact in there if contact.name.casefold() == name.casefold()]
    return next((contact.id for contact in [*named, *there]), None)
