"""What Manage Client Portals lists: filters, search by the beginning of words, sorting, and pages by keyset.

Everything is one range of one index of the derived rows (models/portal_list.py), so a page costs the same in a list of
a million as in one of a hundred. Two things need a choice. A search is answered either from the words (the list is then
in the order of the words found) or from the filter, asking each row whether it has the words: the latter where the
filter holds few rows, or where a sample of its rows has more hits than a sample of the words; a common beginning and a
rare filter would otherwise read a whole book for one line. And counting ends at a thousand, see `portal_counts.py`.

Conditions on the derived columns are written out (`part = 'open'`), never bound: a partial index is used for nothing
else.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased, joinedload

from invites.scope import FirmView
from invites.searching import Condition, begins, has_words, wanted
from models import Client, Part, PortalClient, PortalPerson, SearchWord, Stage, db, utc_now
from models.base import UTCDateTime
from models.errors import Missing
from models.portal_list import LISTED, WITHOUT_EMAIL, WITHOUT_PORTAL

PAGE = 50
MOST_COUNTED = 1000
SAMPLE = 64
SOON = timedelta(days=7)


@dataclass(frozen=True)
class Filter:
    """One chip: its label, what it lets through, and what the list can be sorted by (the first is the default)."""

    label: str
    condition: Callable[[], Condition]
    sorts: tuple[str, ...] = ("invited", "client")
    totals: tuple[str, ...] = ()  # the kept totals that add up to it; none where the clock decides


@dataclass(frozen=True)
class Sort:
    """One order of the list."""

    label: str
    column: Any
    descending: bool = False


def _written(text: str) -> Any:
    # Not literal_column(): SQLite has no booleans, so that would become `part = 'open' = 1`, which no index serves.
    return sa.text(text)


def _part(part: Part) -> Condition:
    return _written(f"portal_person.part = '{part}'")


def in_stage(stage: Stage) -> Condition:
    """Written out, as a partial index wants it."""
    return _written(f"portal_person.stage = '{stage}'")


SORTS = {
    "invited": Sort("Invited", PortalPerson.since, descending=True),
    "client": Sort("Client", PortalPerson.client_name_key),
    "expires": Sort("Expires", PortalPerson.expires_at),
    "ran-out": Sort("Expired", PortalPerson.expires_at, descending=True),
    "login": Sort("Last login", PortalPerson.last_login_at, descending=True),
    "ended": Sort("Ended", PortalPerson.access_ends_at, descending=True),
    "name": Sort("Client", PortalClient.name_key),
}

_INSIDE = (Stage.SUSPENDED, Stage.JOINED, Stage.LOGGED_IN)
_OPEN = (Stage.BOUNCED, Stage.MAIL_FAILED, Stage.INVITED)
_OVER = (Stage.DECLINED, Stage.REMOVED, Stage.REVOKED)


def _of_stage(label: str, stage: Stage, *sorts: str) -> Filter:
    return Filter(label, lambda: in_stage(stage), sorts or ("invited", "client"), (stage,))


WITH = {
    "": Filter("Show all", lambda: _written(f"portal_person.{LISTED}"), totals=_INSIDE + _OPEN + _OVER),
    "invited": Filter(
        "Show all invited but not accepted", lambda: _part(Part.OPEN), ("invited", "client", "expires"), _OPEN
    ),
    "logged-in": _of_stage("Show all who have logged in", Stage.LOGGED_IN, "login", "client", "invited"),
    "expiring": Filter("Expiring in 7 days", lambda: _expires_within(utc_now()), ("expires",)),
    "expired": Filter("Expired", lambda: _expired(utc_now()), ("ran-out",)),
    "bounced": _of_stage("Bounced", Stage.BOUNCED),
    "declined": _of_stage("Declined", Stage.DECLINED),
    "removed": _of_stage("Removed", Stage.REMOVED),
    "ended": Filter("Access ended", lambda: access_ended(utc_now()), ("ended",)),
    "no-email": _of_stage("No e-mail", Stage.NO_EMAIL),
}
WITHOUT = {
    "": Filter(
        "Show all",
        lambda: _written("NOT portal_client.has_portal"),
        ("name",),
        (WITHOUT_PORTAL, WITHOUT_EMAIL),
    ),
    "no-email": Filter(
        "No e-mail",
        lambda: sa.and_(_written("NOT portal_client.has_portal"), _written("NOT portal_client.has_email")),
        ("name",),
        (WITHOUT_EMAIL,),
    ),
}


def _expires_within(now: datetime) -> Condition:
    until = now + SOON
    return sa.and_(in_stage(Stage.INVITED), PortalPerson.expires_at > now, PortalPerson.expires_at <= until)


def _expired(now: datetime) -> Condition:
    return sa.and_(in_stage(Stage.INVITED), PortalPerson.expires_at <= now)


def access_ended(now: datetime) -> Condition:
    """Active but for its last day, which is over."""
    return PortalPerson.access_ends_at <= now


@dataclass(frozen=True)
class PortalQuery:
    """What is asked for: the tab, the filter, the words, the order."""

    without: bool = False
    show: str = ""
    q: str = ""
    sort: str = ""

    @classmethod
    def read(cls, values: Mapping[str, str]) -> PortalQuery:
        """From a page's address: `tab`, `show`, `q`, `sort`. What isn't ours falls back to the default."""
        without = values.get("tab") == "without"
        show, sort = values.get("show", ""), values.get("sort", "")
        filters = WITHOUT if without else WITH
        show = show if show in filters else ""
        sort = sort if sort in filters[show].sorts else ""
        return cls(without, show, values.get("q", "").strip()[:200], sort)

    @property
    def filter(self) -> Filter:
        """The chosen filter."""
        return self.filters[self.show]

    @property
    def filters(self) -> dict[str, Filter]:
        """The filters of the tab."""
        return WITHOUT if self.without else WITH

    @property
    def order(self) -> Sort:
        """The chosen order, else the filter's own."""
        return SORTS[self.sort or self.filter.sorts[0]]

    @property
    def words(self) -> list[str]:
        """The beginnings of words that are searched, the longest (the rarest, mostly) first."""
        return wanted(self.q)

    def values(self) -> dict[str, Any]:
        """As a page's address says it; defaults are left out."""
        tab = "without" if self.without else ""
        pairs = {"tab": tab, "show": self.show, "q": self.q, "sort": self.sort}
        return {key: value for key, value in pairs.items() if value}


# The rows -----------------------------------------------------------------------------------------------------------


def rows_of(view: FirmView, query: PortalQuery) -> Any:
    """All rows that match, in no order: PortalPerson, or PortalClient of the tab without. For counts, jobs, exports."""
    return filtered(view, query).where(has_words(key_of(query), query.words))


def page_of(
    view: FirmView, query: PortalQuery, cursor: str = "", size: int = PAGE
) -> tuple[list[Any], str | None]:
    """One page of rows with their clients, and the cursor of the next one. Raises Missing for a foreign cursor."""
    statement, columns, by_words = _range(view, query, cursor)
    if query.without:
        related = joinedload(PortalClient.client).selectinload(Client.contacts)
    else:
        related = joinedload(PortalPerson.client)
    found = (
        db.session.execute(statement.add_columns(*columns).limit(size + 1).options(related)).unique().all()
    )
    rows = [row for row, *_ in found[:size]]
    if len(found) <= size:
        return rows, None
    _, first, key = found[size - 1]
    return rows, _pack(by_words, first, key)


def cells_of(
    view: FirmView, query: PortalQuery, cursor: str, size: int, cells: Sequence[Any], joins: Sequence[Any]
) -> tuple[Sequence[Any], str | None]:
    """So many rows as plain columns, and the cursor of what follows. Each of `joins` is there or not."""
    statement, columns, by_words = _range(view, query, cursor)
    for table, condition in joins:
        statement = statement.outerjoin(table, condition)
    statement = statement.with_only_columns(*cells, *columns, maintain_column_froms=True)
    found = db.session.execute(statement.limit(size + 1)).all()
    if len(found) <= size:
        return found, None
    first, key = found[size - 1][-2:]
    return found[:size], _pack(by_words, first, key)


def _range(view: FirmView, query: PortalQuery, cursor: str) -> tuple[Any, list[Any], bool]:
    """The rows after the cursor in their order, the two columns of that order, whether the words decide it."""
    by_words, after = _read(cursor) if cursor else (_by_words(view, query), None)
    if by_words and not query.words:
        raise Missing()
    if by_words:
        statement, columns, descending = _found(view, query), [SearchWord.word, SearchWord.owner_id], False
    else:
        statement, descending = rows_of(view, query), query.order.descending
        columns = [query.order.column, key_of(query)]
    if after is not None:
        edge = sa.tuple_(*(_literal(part, column) for part, column in zip(after, columns, strict=True)))
        here = sa.tuple_(*columns)
        statement = statement.where(here < edge if descending else here > edge)
    return (
        statement.order_by(*[column.desc() if descending else column for column in columns]),
        columns,
        by_words,
    )


def filtered(view: FirmView, query: PortalQuery) -> Any:
    """The rows of the filter, whatever is searched."""
    return all_rows(view, query).where(query.filter.condition())


def all_rows(view: FirmView, query: PortalQuery) -> Any:
    """The rows of the tab before any filter."""
    return view.portal_clients() if query.without else view.portal_people()


def key_of(query: PortalQuery) -> Any:
    """The column by which words know a row."""
    return PortalClient.client_id if query.without else PortalPerson.id


def _found(view: FirmView, query: PortalQuery) -> Any:
    """Rows by their first matching word; each once, however many of its words match."""
    first, *others = query.words
    earlier = aliased(SearchWord)
    statement = (
        filtered(view, query)
        .join(SearchWord, SearchWord.owner_id == key_of(query))
        .where(found_words(view, query, first))
        .where(
            ~sa.exists().where(
                earlier.owner_id == SearchWord.owner_id,
                earlier.word >= first,
                earlier.word < SearchWord.word,
            )
        )
    )
    return statement.where(has_words(SearchWord.owner_id, others))


def found_words(view: FirmView, query: PortalQuery, beginning: str) -> Condition:
    """The firm's words of the tab's kind that begin so."""
    kind = "c" if query.without else "p"
    return sa.and_(
        SearchWord.firm_id == view.firm_id, SearchWord.kind == kind, begins(SearchWord.word, beginning)
    )


def _by_words(view: FirmView, query: PortalQuery) -> bool:
    """Whether a search starts from the words: where it finds its page there sooner than among the filter's rows."""
    if not query.words:
        return False
    some = filtered(view, query).with_only_columns(sa.literal(1).label("one")).limit(MOST_COUNTED + 1)
    if (db.session.scalar(sa.select(sa.func.count()).select_from(some.subquery())) or 0) <= MOST_COUNTED:
        return False
    return not query.show or _words_find_more(view, query)


def _words_find_more(view: FirmView, query: PortalQuery) -> bool:
    """Of the first words found, as many or more pass the filter as of its first rows have the words."""
    first, *others = query.words
    found = (
        sa.select(SearchWord.owner_id)
        .where(found_words(view, query, first))
        .order_by(SearchWord.word, SearchWord.owner_id)
        .limit(SAMPLE)
        .subquery()
    )
    # An outer join is walked from its left side: from few words to their rows.
    joined = sa.outerjoin(found, key_of(query).class_, key_of(query) == found.c.owner_id)
    passing = filtered(view, query).with_only_columns(sa.func.count()).select_from(joined)
    rows = filtered(view, query).with_only_columns(key_of(query).label("key")).limit(SAMPLE).subquery()
    having = sa.select(sa.func.count()).select_from(rows)
    having = having.where(has_words(rows.c.key, query.words))
    passing = passing.where(has_words(found.c.owner_id, others))
    by_words, by_rows = db.session.execute(
        sa.select(passing.scalar_subquery(), having.scalar_subquery())
    ).one()
    return bool(by_words >= by_rows)


def people_by_ids(view: FirmView, ids: Sequence[str]) -> Any:
    """Chosen rows of the list with portal users."""
    return view.portal_people().where(PortalPerson.id.in_(ids))


def clients_by_ids(view: FirmView, ids: Sequence[str]) -> sa.Select[Client]:
    """Chosen clients."""
    return view.clients().where(Client.id.in_(ids))


# Cursors ------------------------------------------------------------------------------------------------------------


def _pack(by_words: bool, first: Any, key: str) -> str:
    value = first.isoformat() if isinstance(first, datetime) else first
    text = json.dumps([by_words, value, key])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[bool, list[str]]:
    """Raises Missing for a cursor that isn't ours."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise Missing() from error
    match values:
        case [bool(by_words), str(first), str(key)]:
            return by_words, [first, key]
        case _:
            raise Missing()


def _literal(part: str, column: Any) -> Any:
    if not isinstance(column.type, UTCDateTime):
        return sa.literal(part)
    try:
        return sa.literal(datetime.fromisoformat(part), column.type)
    except ValueError as error:
        raise Missing() from error
