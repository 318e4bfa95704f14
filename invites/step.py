"""The shared Client Portal step: who is on the record, how each stands, what is ticked, who will see the item.

The same step serves the window on the page, the API's `invite-step`, and the decision whether a window opens at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from invites.remembered import ticked_last_time
from invites.standing import Standing, StandingKey, people_of, standings
from models import Client, Contact, Scope, TeamMember, WorkItem
from models.address import Address, BadAddress, likely_typo, parse_address

RECORD = "client-record"  # the sender of an invite from the client record
NAMED_MOST = 4


@dataclass(frozen=True)
class Person:
    """One row of the window."""

    contact_id: str | None
    name: str
    email: str  # as shown; empty where none is known
    standing: Standing
    shared_mailbox_with: str = ""
    ticked: bool = False
    can_see: Scope = Scope.PORTAL
    added: bool = False
    typo: str | None = None
    error: str = ""
    outside: bool = False  # gets in, but sees granted items only: ticking grants this one
    dont_ask: bool = False  # the window doesn't open on this person's account

    @property
    def key(self) -> str:
        """What tells this row from the others."""
        return self.contact_id or self.email

    @property
    def can_invite(self) -> bool:
        """Whether the box can be ticked."""
        return self.standing.can_invite or self.outside

    @property
    def has_access(self) -> bool:
        """Gets in and sees what is being sent: needs no invite."""
        return self.standing.key is StandingKey.ACTIVE and not self.outside

    @property
    def needs_address(self) -> bool:
        """The row shows a field to add the missing address."""
        return self.standing.key is StandingKey.NO_EMAIL

    @property
    def label(self) -> str:
        """The name, else the address."""
        return self.name or self.email

    @property
    def can_see_word(self) -> str:
        """As the API says it: portal or item."""
        return "portal" if self.can_see is Scope.PORTAL else "item"


@dataclass(frozen=True)
class InviteStep:
    """The window's content before staff touch it."""

    client: Client
    workflow: str
    title: str
    people: tuple[Person, ...]
    opens: bool
    must_see: tuple[str, ...] = field(default=())  # normalised addresses of the chosen people, e.g. signers

    @property
    def has_item(self) -> bool:
        """Whether `Only this item` means anything: the record's + has no item."""
        return self.workflow != RECORD


def build_step(
    client: Client,
    member: TeamMember,
    workflow: str,
    *,
    title: str = "",
    must_see: Sequence[tuple[str, str]] = (),
    items: Iterable[WorkItem] = (),
) -> InviteStep:
    """The step for this client and workflow; `must_see` are (name, address) of chosen people such as signers."""
    zone = member.firm.time_zone
    pairs = people_of(client, zone)
    people = [_row(contact, standing, workflow != RECORD) for contact, standing in pairs]
    people = _mark_shared(people)
    known = {contact.email for contact, _ in pairs if contact.email}
    strangers = []
    for name, typed in must_see:
        address = parse_address(typed)
        if address.key not in known:
            known.add(address.key)
            strangers.append((name, address))
    found = standings(client, [address.key for _, address in strangers], zone)
    people += [
        Person(
            None,
            name,
            address.display,
            found[address.key],
            ticked=found[address.key].can_invite,
            can_see=Scope.ITEMS,
            added=True,
            typo=likely_typo(address),
        )
        for name, address in strangers
    ]
    chosen = tuple(parse_address(typed).key for _, typed in must_see)
    if chosen:  # others on the record are there to be ticked, but nobody gets a document by not looking
        people = [replace(person, ticked=person.ticked and _is_among(person, chosen)) for person in people]
    shown = tuple(as_seen(person, workflow, chosen) for person in people)
    primary = next((contact.id for contact, _ in pairs if contact.is_primary), None)
    opens = workflow == RECORD or _opens(client, workflow, shown, chosen, primary)
    return InviteStep(client, workflow, title, shown, opens, chosen)


def as_seen(person: Person, workflow: str, chosen: Sequence[str] = ()) -> Person:
    """The row of somebody who gets in: without the whole portal, or not among the chosen people, the item isn't seen.

    Then the box can be ticked, and Send grants this one item.
    """
    access = person.standing.access
    if workflow == RECORD and person.added and person.standing.scope(False) is None:
        return replace(person, can_see=Scope.PORTAL)  # there is no item that it could be
    if person.standing.key is not StandingKey.ACTIVE or access is None or workflow == RECORD:
        return person
    sees = access.email in chosen if chosen else access.scope is Scope.PORTAL
    return person if sees else replace(person, outside=True, ticked=False, can_see=Scope.ITEMS)


def add_person(step_client: Client, member: TeamMember, typed: str, name: str = "") -> Person:
    """A row for a typed address. A bad one comes back as a row with its sentence, the text kept."""
    return add_people(step_client, member, [(typed, name)])[0]


def add_people(step_client: Client, member: TeamMember, typed: Sequence[tuple[str, str]]) -> list[Person]:
    """Rows for typed (address, name) pairs, in the same number of queries for any number of them."""
    parsed: list[tuple[str, str, Address | BadAddress]] = []
    for text, name in typed:
        try:
            parsed.append((text, name, parse_address(text)))
        except BadAddress as error:
            parsed.append((text, name, error))
    keys: list[str | None] = [found.key for _, _, found in parsed if isinstance(found, Address)]
    known = standings(step_client, [None, *keys], member.firm.time_zone)
    contacts = {contact.email: contact for contact in reversed(step_client.contacts) if contact.email}
    people = []
    for text, name, found in parsed:
        if isinstance(found, BadAddress):
            people.append(
                Person(
                    None, name, text.strip(), known[None], added=True, can_see=Scope.ITEMS, error=str(found)
                )
            )
            continue
        contact = contacts.get(found.key)
        people.append(
            Person(
                contact.id if contact else None,
                contact.name if contact else name,
                found.display,
                known[found.key],
                ticked=known[found.key].can_invite,
                can_see=known[found.key].scope(True) or (Scope.PORTAL if contact else Scope.ITEMS),
                added=contact is None,
                typo=likely_typo(found),
            )
        )
    return people


def _is_among(person: Person, chosen: Collection[str]) -> bool:
    return bool(person.email) and parse_address(person.email).key in chosen


def _row(contact: Contact, standing: Standing, has_item: bool) -> Person:
    return Person(
        contact.id,
        contact.name,
        contact.email_display or "",
        standing,
        ticked=standing.ticked and not contact.dont_ask,
        can_see=standing.scope(has_item) or Scope.PORTAL,
        dont_ask=contact.dont_ask,
    )


def _mark_shared(people: list[Person]) -> list[Person]:
    """Two contacts with one address are two rows, each naming the other."""
    sharing: dict[str, list[Person]] = defaultdict(list)
    for person in people:
        sharing[person.email.casefold()].append(person)
    return [
        replace(
            person, shared_mailbox_with=" and ".join(other.label for other in mailbox if other is not person)
        )
        for person in people
        for mailbox in [sharing[person.email.casefold()] if person.email else []]
    ]


def _opens(
    client: Client, workflow: str, people: Sequence[Person], chosen: Sequence[str], primary: str | None
) -> bool:
    """The window stays closed where everybody who must see the item already can, or isn't to be asked for.

    Who must: the chosen people, else those ticked last time, else the primary contact.
    """
    must = [person for person in people if _is_among(person, chosen)]
    if not chosen:
        ticked = ticked_last_time(client, workflow)
        must = [person for person in people if _is_among(person, ticked)]
        must = must or [person for person in people if person.contact_id == primary and primary]
    return not must or any(not person.has_access and not person.dont_ask for person in must)


def summary(step: InviteStep, people: Iterable[Person]) -> list[str]:
    """Who will see the item: now, after accepting, not at all. Plain sentences, most important first."""
    thing = "it" if step.has_item else "the Client Portal"
    now, later, never = [], [], []
    for person in people:
        if person.has_access or (person.outside and person.ticked):
            now.append(person.label)
        elif person.ticked and person.can_invite and not person.error:
            later.append(person.label)
        else:
            reason = "sees other items only" if person.outside else person.standing.label.lower()
            never.append((person.label, reason))
    lines = []
    if now:
        lines.append(f"{_join(now)} {'sees' if len(now) == 1 else 'see'} {thing} now.")
    if later:
        lines.append(f"{_join(later)} {'sees' if len(later) == 1 else 'see'} {thing} after accepting.")
    if not now and not later:
        lines.append(f"Nobody on the client's side will see {thing}.")
    if never:
        lines.append(f"Not: {_join([f'{label} ({reason})' for label, reason in never])}.")
    return lines


def _join(labels: list[str]) -> str:
    """Names as a sentence says them; of many the first few, the rows above show the others."""
    if len(labels) > NAMED_MOST + 1:
        return f"{', '.join(labels[:NAMED_MOST])} and {len(labels) - NAMED_MOST} more"
    return labels[0] if len(labels) == 1 else ", ".join(labels[:-1]) + " and " + labels[-1]
