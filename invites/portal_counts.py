"""How many rows of Manage Client Portals match.

The totals beside the filters are kept with the rows (`portal_tally`), so they are exact and cost one small query. What
the clock or a search decides, and what a member sees who is assigned some clients only, is counted up to a thousand:
an exact count would read every row. What a bulk action will do is counted exactly, once, when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from invites import portals
from invites.portals import PortalQuery
from invites.scope import FirmView
from invites.searching import has_words
from models import PortalTally, SearchWord, Sees, db


@dataclass(frozen=True)
class Count:
    """How many; `more` where counting ended before the rows did."""

    number: int
    more: bool = False

    @property
    def text(self) -> str:
        """As it stands beside a filter: 1,240, or 1,000+."""
        return f"{self.number:,}{'+' * self.more}"


def count(view: FirmView, query: PortalQuery) -> int:
    """How many match, exactly."""
    statement = portals.rows_of(view, query).with_only_columns(sa.func.count()).order_by(None)
    return db.session.scalar(statement) or 0


def counts(view: FirmView, query: PortalQuery) -> dict[str, Count]:
    """How many each filter of the tab holds, of what the query's words find."""
    if query.words:
        return _searched(view, query)
    return _of_filters(view, [PortalQuery(query.without, show) for show in query.filters])


def totals(view: FirmView) -> dict[bool, Count]:
    """How many each tab holds (`without` -> count)."""
    return {without: _of_filters(view, [PortalQuery(without)])[""] for without in (True, False)}


def _of_filters(view: FirmView, queries: Iterable[PortalQuery]) -> dict[str, Count]:
    """By the filters' keys: from the kept totals where these decide, else by counting."""
    numbers = _kept(view) if view.member.sees is Sees.ALL else None
    found, to_count = {}, {}
    for query in queries:
        if numbers is not None and query.filter.totals:
            found[query.show] = Count(sum(numbers.get(what, 0) for what in query.filter.totals))
        else:
            to_count[query.show] = portals.filtered(view, query)
    return found | (_counted(to_count) if to_count else {})


def _kept(view: FirmView) -> dict[str, int]:
    number = sa.func.sum(PortalTally.number)
    rows = sa.select(PortalTally.what, number).where(PortalTally.firm_id == view.firm_id)
    return {what: int(total) for what, total in db.session.execute(rows.group_by(PortalTally.what))}


def _searched(view: FirmView, query: PortalQuery) -> dict[str, Count]:
    """Each filter's rows among the first words found, in one pass: a common beginning doesn't read all of them."""
    first, *others = query.words
    found = (
        sa.select(SearchWord.owner_id)
        .where(portals.found_words(view, query, first))
        .order_by(SearchWord.word, SearchWord.owner_id)
        .limit(portals.MOST_COUNTED + 1)
        .subquery()
    )
    key, rows = portals.key_of(query), portals.all_rows(view, query)
    rows = rows.where(has_words(found.c.owner_id, others))
    number = {
        show: sa.func.coalesce(sa.func.sum(sa.case((one.condition(), 1), else_=0)), 0).label(f"show_{place}")
        for place, (show, one) in enumerate(query.filters.items())
    }
    # An outer join is always walked from its left side: from few words to their rows, never from all rows of the firm.
    joined = sa.outerjoin(found, key.class_, sa.and_(key == found.c.owner_id, rows.whereclause))
    words = sa.func.count().label("words")
    row = db.session.execute(sa.select(*number.values(), words).select_from(joined)).one()
    more = row.words > portals.MOST_COUNTED
    return {show: Count(getattr(row, label.name), more) for show, label in number.items()}


def _counted(statements: Mapping[str, Any]) -> dict[str, Count]:
    """Up to a thousand of each, all in one statement."""
    most = portals.MOST_COUNTED
    parts = []
    for show, statement in statements.items():
        some = statement.with_only_columns(sa.literal_column("1").label("one")).limit(most + 1)
        parts.append(
            sa.select(sa.literal(show).label("show"), sa.func.count().label("n")).select_from(some.subquery())
        )
    rows = db.session.execute(sa.union_all(*parts))
    return {row.show: Count(min(row.n, most), row.n > most) for row in rows}
