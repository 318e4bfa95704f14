"""Switches: the few facts about the whole installation that every process must agree on.

Is mail held, is the relay paused and since when. A row exists while the switch is on. A file would do for one
machine only, and a setting would need a restart.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, utc_now


class Switch(Base):
    """One switch that is on, with what is known about why."""

    __tablename__ = "switch"

    name: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    value: Mapped[dict[str, Any]] = mapped_column(default=dict)
    changed_at: Mapped[datetime] = mapped_column(default=utc_now)
