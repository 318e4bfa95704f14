"""One SECRET_KEY for all machines.

Links, cookies and sealed texts are made with it. A machine with another one would mail links that lead nowhere and
read nobody's cookie, and nothing would tell. So what was derived from the key lies in the database from its first start
on: whoever has another key is refused at the start (`commands.py`), and not ready for people (`/readyz`).
"""

from __future__ import annotations

import contextlib

import sqlalchemy as sa

from config import Settings
from models import Switch, db, unit_of_work, utc_now

_ROW = "secret_key"


def is_ours(settings: Settings) -> bool:
    """Whether this database was begun with our key; true as well where none is known yet."""
    known = db.session.scalar(sa.select(Switch.value).where(Switch.name == _ROW))
    return known is None or known == _print_of(settings)


def settle(settings: Settings, *, anew: bool = False) -> bool:
    """Lay our key's print down where none is, or `anew`; whether it is ours that counts. An edge."""
    if db.session.get(Switch, _ROW) is None or anew:
        with contextlib.suppress(sa.exc.IntegrityError), unit_of_work() as session:  # another one was first
            session.merge(Switch(name=_ROW, value=_print_of(settings), changed_at=utc_now()))
    ours = is_ours(settings)
    db.session.rollback()
    return ours


def _print_of(settings: Settings) -> dict[str, str]:
    return {"print": settings.derived_key("print").hex()}
