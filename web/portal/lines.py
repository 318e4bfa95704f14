"""Items as lines of a list: what it is, whose it is, how far it got, when it is due and the one button.

A list asks the database a fixed number of times, however many lines it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import g, url_for
from sqlalchemy.orm import joinedload, selectinload

import languages
from languages import say
from models import ItemView, WorkItem, db, utc_now
from web.language import here, spoken
from web.portal.frame import Frame
from workflows.registry import Workflow, installed


@dataclass(frozen=True)
class Line:
    """One item in a list."""

    item: WorkItem
    url: str
    kind: str  # "Survey", "To sign"
    client: str  # empty where it goes without saying
    progress: str
    action: str  # the button: "Continue", "Sign", "Open"
    due: str  # "due Friday", "was due 3 Nov", "no due date"
    late: bool
    status: str
    tone: str
    is_new: bool

    @property
    def note(self) -> str:
        """The line under the title."""
        return " · ".join(part for part in (self.kind, self.client, self.progress, self.due) if part)


def load(statement: sa.Select[WorkItem], most: int) -> list[WorkItem]:
    """The items of a list with what their lines show of client and sender."""
    options = (joinedload(WorkItem.client), selectinload(WorkItem.created_by))
    return list(db.session.scalars(statement.options(*options).limit(most)).unique())


def soonest_first(statement: sa.Select[WorkItem]) -> sa.Select[WorkItem]:
    """What is due first comes first; what has no due date comes last, the oldest first."""
    return statement.order_by(WorkItem.due_on.asc().nulls_last(), WorkItem.created_at, WorkItem.id)


def lines(items: Sequence[WorkItem], frame: Frame) -> list[Line]:
    """The items as lines, in the same order. Items whose workflow was taken away are left out."""
    registry = installed()
    known = [(item, workflow) for item in items if (workflow := registry.get(item.workflow)) is not None]
    progress = _progress(known)
    opened = _opened(known, frame.access_ids)
    today = utc_now().astimezone(ZoneInfo(str(g.get("time_zone") or "UTC"))).date()
    return [
        Line(
            item=item,
            url=url_for("portal_items.show", item_id=item.id),
            kind=here(workflow.kind_label),
            client=frame.label(item),
            progress=here(progress.get(item.id, "")),
            action=here(workflow.action(item)),
            due=due_words(item.due_on, today, spoken()) if item.open else "",
            late=item.open and item.due_on is not None and item.due_on < today,
            status=here(workflow.status_label(item)),
            tone=workflow.tone(item),
            is_new=item.created_by_id is not None and item.id not in opened,
        )
        for item, workflow in known
    ]


def due_words(due: date | None, today: date, language: str = languages.SOURCE) -> str:
    """When something is due, as people say it: today, tomorrow, Friday, 15 Dec, 15 Dec 2027."""
    if due is None:
        return say(language, "no due date")
    same_year = due.year == today.year
    day = languages.short_day(due, language) if same_year else languages.day(due, language)
    match (due - today).days:
        case -1:
            return say(language, "was due yesterday")
        case 0:
            return say(language, "due today")
        case 1:
            return say(language, "due tomorrow")
        case late if late < 0:
            return say(language, "was due %(day)s", day=day)
        case soon if soon <= 6:
            return say(language, "due %(day)s", day=languages.weekday(due, language))
    return say(language, "due %(day)s", day=day)


def unopened(items: sa.Select[WorkItem], access_ids: Iterable[str]) -> sa.Select[WorkItem]:
    """Narrow `items` to what the firm sent and this person has not looked at yet."""
    looked = sa.exists().where(ItemView.item_id == WorkItem.id, ItemView.access_id.in_(list(access_ids)))
    return items.where(WorkItem.created_by_id.is_not(None), ~looked)


def before(statement: sa.Select[WorkItem], cursor: str | None) -> sa.Select[WorkItem]:
    """The next page of a list that shows the newest first: what comes after the item `cursor`."""
    newest_first = statement.order_by(WorkItem.created_at.desc(), WorkItem.id.desc())
    last: tuple[datetime, str] | None = None
    if cursor:
        row = db.session.execute(
            sa.select(WorkItem.created_at, WorkItem.id).where(WorkItem.id == cursor)
        ).one_or_none()
        last = (row.created_at, row.id) if row is not None else None
    if last is None:
        return newest_first
    return newest_first.where(
        sa.or_(
            WorkItem.created_at < last[0],
            sa.and_(WorkItem.created_at == last[0], WorkItem.id < last[1]),
        )
    )


def _progress(known: list[tuple[WorkItem, Workflow]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for slug, pairs in groupby(sorted(known, key=lambda pair: pair[1].slug), key=lambda pair: pair[1].slug):
        items = [item for item, _ in pairs]
        workflow = installed().get(slug)
        if workflow is not None:
            found |= workflow.progress_of(items)
    return found


def _opened(known: list[tuple[WorkItem, Workflow]], access_ids: list[str]) -> set[str]:
    """The ids of those this person has looked at, in one query."""
    if not known:
        return set()
    return set(
        db.session.scalars(
            sa.select(ItemView.item_id).where(
                ItemView.item_id.in_([item.id for item, _ in known]), ItemView.access_id.in_(access_ids)
            )
        )
    )
