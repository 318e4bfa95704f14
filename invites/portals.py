"""What Manage Client Portals lists: filters, search by the beginning of words, sorting, and pages by keyset.

Everything is one range of one index of the derived rows (models/portal_list.py), so a page costs the same in a list of
a million as in one of a hundred. Two things need a choice. A search is answered either from the words (the list is then
in the order of the words found) or from the filter, asking each row whether it has the words: the latter where the
filter holds few rows, because a common beginning and a rare filter would otherwise read a whole book for one line. And
counts end at a thousand; what a bulk action will do is counted exactly, once, when it is asked for.

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
from models import Client, Part, PortalClient, PortalPerson, SearchWord, Stage, db, utc_now
from models.base import UTCDateTime
from models.errors import Missing
from models.portal_list import LISTED, SEPARATORS, WORD_LENGTH

PAGE = 50
MOST_COUNTED = 1000
CANDIDATES = 5000  # words looked at to count what a search finds
SOON = timedelta(days=7)
LAST = "\U0010ffff"
_SPACED = {ord(char): " " for char in SEPARATORS}

Condition = sa.ColumnElement[bool]


@dataclass(frozen=True)
class Filter:
    """One chip: its label, what it lets through, and what the list can be sorted by (the first is the default)."""

    label: str
    condition: Callable[[], Condition]
    sorts: tuple[str, ...] = ("invited", "client")


@dataclass(frozen=True)
class Sort:
    """One order of the list."""

    label: str
    column: Any
    descending: bool = False


def _written(text: str) -> Condition:
    return sa.literal_column(text, sa.Boolean)


def _part(part: Part) -> Condition:
    return _written(f"portal_person.part = '{part}'")


def _stage(stage: Stage) -> Condition:
    return _written(f"portal_person.stage = '{stage}'")


SORTS = {
    "invited": Sort("Invited", PortalPerson.since, descending=True),
    "client": Sort("Client", PortalPerson.client_name_key),
    "expires": Sort("Expires", PortalPerson.expires_at),
    "ran-out": Sort("Expired", PortalPerson.expires_at, descending=True),
    "login": Sort("Last login", PortalPerson.last_login_at, descending=True),
    "name": Sort("Client", PortalClient.name_key),
}

WITH = {
    "": Filter("Show all", lambda: _written(f"portal_person.{LISTED}")),
    "invited": Filter(
        "Show all invited but not accepted", lambda: _part(Part.OPEN), ("invited", "client", "expires")
    ),
    "logged-in": Filter(
        "Show all who have logged in", lambda: _stage(Stage.LOGGED_IN), ("login", "client", "invited")
    ),
    "expiring": Filter("Expiring in 7 days", lambda: _expires_within(utc_now()), ("expires",)),
    "expired": Filter("Expired", lambda: _expired(utc_now()), ("ran-out",)),
    "bounced": Filter("Bounced", lambda: _stage(Stage.BOUNCED)),
    "declined": Filter("Declined", lambda: _stage(Stage.DECLINED)),
    "removed": Filter("Removed", lambda: _stage(Stage.REMOVED)),
    "no-email": Filter("No e-mail", lambda: _stage(Stage.NO_EMAIL)),
}
WITHOUT = {
    "": Filter("Show all", lambda: _written("NOT portal_client.has_portal"), ("name",)),
    "no-email": Filter(
        "No e-mail",
        lambda: sa.and_(_written("NOT portal_client.has_portal"), _written("NOT portal_client.has_email")),
        ("name",),
    ),
}


def _expires_within(now: datetime) -> Condition:
    until = now + SOON
    return sa.and_(_stage(Stage.INVITED), PortalPerson.expires_at > now, PortalPerson.expires_at <= until)


def _expired(now: datetime) -> Condition:
    return sa.and_(_stage(Stage.INVITED), PortalPerson.expires_at <= now)


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
        return (WITHOUT if self.without else WITH)[self.show]

    @property
    def order(self) -> Sort:
        """The chosen order, else the filter's own."""
        return SORTS[self.sort or self.filter.sorts[0]]

    @property
    def words(self) -> list[str]:
        """The beginnings of words that are searched, the longest (the rarest, mostly) first."""
        return sorted(set(split_words(self.q)), key=lambda word: (-len(word), word))

    def values(self) -> dict[str, Any]:
        """As a page's address says it; defaults are left out."""
        tab = "without" if self.without else ""
        pairs = {"tab": tab, "show": self.show, "q": self.q, "sort": self.sort}
        return {key: value for key, value in pairs.items() if value}


def split_words(text: str) -> list[str]:
    """The words of a name or an address, folded, cut as the triggers cut them."""
    spaced = text.casefold().translate(_SPACED)
    return [word[:WORD_LENGTH] for word in spaced.split()]


# The rows -----------------------------------------------------------------------------------------------------------


def rows_of(view: FirmView, query: PortalQuery) -> Any:
    """All rows that match, in no order: PortalPerson, or PortalClient of the tab without. For counts, jobs, exports."""
    statement = _filtered(view, query)
    for word in query.words:
        statement = statement.where(_has_word(query, word))
    return statement


def page_of(
    view: FirmView, query: PortalQuery, cursor: str = "", size: int = PAGE
) -> tuple[list[Any], str | None]:
    """One page of rows with their clients, and the cursor of the next one. Raises Missing for a foreign cursor."""
    by_words, after = _read(cursor) if cursor else (_by_words(view, query), None)
    words = query.words
    if by_words and not words:
        raise Missing()
    if query.without:
        related = joinedload(PortalClient.client).selectinload(Client.contacts)
    else:
        related = joinedload(PortalPerson.client)
    if by_words:
        statement, columns, descending = _found(view, query), [SearchWord.word, SearchWord.owner_id], False
    else:
        statement, descending = rows_of(view, query), query.order.descending
        columns = [query.order.column, _key(query)]
    if after is not None:
        edge = sa.tuple_(*(_literal(part, column) for part, column in zip(after, columns, strict=True)))
        here = sa.tuple_(*columns)
        statement = statement.where(here < edge if descending else here > edge)
    order = [column.desc() if descending else column for column in columns]
    statement = statement.order_by(*order).limit(size + 1).options(related)
    rows = list(db.session.scalars(statement).unique())
    if len(rows) <= size:
        return rows, None
    last = rows[size - 1]
    first = _first_word(last.search_text, words[0]) if by_words else getattr(last, query.order.column.key)
    return rows[:size], _pack(by_words, first, getattr(last, _key(query).key))


def _filtered(view: FirmView, query: PortalQuery) -> Any:
    statement = view.portal_clients() if query.without else view.portal_people()
    return statement.where(query.filter.condition())


def _key(query: PortalQuery) -> Any:
    return PortalClient.client_id if query.without else PortalPerson.id


def _begins(word: Any, beginning: str) -> Condition:
    """As a range, which an index answers in any collation of ours (LIKE needs settings of the database)."""
    return sa.and_(word >= beginning, word < beginning + LAST)


def _has_word(query: PortalQuery, beginning: str) -> Condition:
    word = aliased(SearchWord)
    return sa.exists().where(word.owner_id == _key(query), _begins(word.word, beginning))


def _found(view: FirmView, query: PortalQuery) -> Any:
    """Rows by their first matching word; each once, however many of its words match."""
    first, *others = query.words
    earlier = aliased(SearchWord)
    statement = (
        _filtered(view, query)
        .join(SearchWord, SearchWord.owner_id == _key(query))
        .where(_ours(view, query, first))
        .where(
            ~sa.exists().where(
                earlier.owner_id == SearchWord.owner_id,
                earlier.word >= first,
                earlier.word < SearchWord.word,
            )
        )
    )
    for word in others:
        statement = statement.where(_has_word(query, word))
    return statement


def _ours(view: FirmView, query: PortalQuery, beginning: str) -> Condition:
    kind = "c" if query.without else "p"
    return sa.and_(
        SearchWord.firm_id == view.firm_id, SearchWord.kind == kind, _begins(SearchWord.word, beginning)
    )


def _first_word(text: str, beginning: str) -> str:
    return min(word[:WORD_LENGTH] for word in text.split() if word.startswith(beginning))


def _by_words(view: FirmView, query: PortalQuery) -> bool:
    """Whether a search starts from the words: where the filter holds more rows than are worth asking one by one."""
    return bool(query.words) and _capped(_filtered(view, query)) > MOST_COUNTED


# Counts -------------------------------------------------------------------------------------------------------------


def count(view: FirmView, query: PortalQuery) -> int:
    """How many match, exactly."""
    statement = rows_of(view, query).with_only_columns(sa.func.count()).order_by(None)
    return db.session.scalar(statement) or 0


def counts(view: FirmView, query: PortalQuery) -> dict[str, int]:
    """How many each filter of the tab holds, at most 1,001 (shown as 1,000+), in one statement.

    With a search: of the first 5,000 words found, so that a common beginning doesn't read all of them.
    """
    filters = WITHOUT if query.without else WITH
    if not query.words:
        return _counted({show: _filtered(view, PortalQuery(query.without, show)) for show in filters})
    first, *others = query.words
    candidates = (
        sa.select(SearchWord.owner_id)
        .where(_ours(view, query, first))
        .order_by(SearchWord.word, SearchWord.owner_id)
        .limit(CANDIDATES)
        .subquery()
    )
    found = {}
    for show in filters:
        statement = _filtered(view, PortalQuery(query.without, show))
        statement = statement.where(_key(query).in_(sa.select(candidates.c.owner_id)))
        for word in others:
            statement = statement.where(_has_word(query, word))
        found[show] = statement
    return _counted(found)


def totals(view: FirmView) -> dict[bool, int]:
    """How many each tab holds (`without` -> count), at most 1,001."""
    found = _counted({str(int(without)): _filtered(view, PortalQuery(without)) for without in (True, False)})
    return {bool(int(key)): number for key, number in found.items()}


def _counted(statements: Mapping[str, Any]) -> dict[str, int]:
    parts = []
    for show, statement in statements.items():
        some = statement.with_only_columns(sa.literal_column("1").label("one")).limit(MOST_COUNTED + 1)
        parts.append(
            sa.select(sa.literal(show).label("show"), sa.func.count().label("n")).select_from(some.subquery())
        )
    return {row.show: row.n for row in db.session.execute(sa.union_all(*parts))}


def _capped(statement: Any) -> int:
    return _counted({"": statement})[""]


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
