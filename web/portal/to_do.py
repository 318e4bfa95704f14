"""What waits for this very person.

An item is open while the client's side has something to do. Where it has signers it waits for those alone who can
sign now: not for whoever signed already, not for whoever comes after somebody who hasn't, and for nobody once its
day is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from models import Firm, Login, Signer, SignerState, WorkItem, utc_now

_UNSIGNED = (SignerState.WAITING, SignerState.VIEWED)


def to_do(items: sa.Select[WorkItem], login: Login, firms: Iterable[Firm]) -> sa.Select[WorkItem]:
    """Narrow `items` (of these firms) to those that wait for `login`."""
    mine, earlier = aliased(Signer), aliased(Signer)
    someone_first = sa.and_(
        WorkItem.details["ordered"].as_boolean().is_(True),
        sa.exists().where(
            earlier.item_id == WorkItem.id,
            earlier.position < mine.position,
            earlier.state != SignerState.SIGNED,
        ),
    )
    my_turn = sa.exists().where(
        mine.item_id == WorkItem.id,
        sa.or_(mine.login_id == login.id, mine.email == login.email),
        mine.state.in_(_UNSIGNED),
        sa.not_(someone_first),
    )
    has_signers = sa.exists().where(Signer.item_id == WorkItem.id)
    return items.where(
        WorkItem.open.is_(True), sa.or_(sa.not_(has_signers), sa.and_(my_turn, _in_time(firms)))
    )


def _in_time(firms: Iterable[Firm]) -> sa.ColumnElement[bool]:
    """The due day is not over yet, in the zone of the item's firm."""
    now = utc_now()
    days = {firm.id: now.astimezone(ZoneInfo(firm.time_zone)).date() for firm in firms}
    still = [
        sa.and_(WorkItem.firm_id == firm_id, WorkItem.due_on >= today) for firm_id, today in days.items()
    ]
    return sa.or_(WorkItem.due_on.is_(None), *still)
