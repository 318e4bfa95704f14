"""Counters of the rate limits (the `limits` library has no SQL storage)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class RateLimit(Base):
    """How often a key was hit until it expires. Times are seconds since the epoch, as `limits` counts them."""

    __tablename__ = "rate_limit"

    key: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    hits: Mapped[int]
    expires_at: Mapped[float] = mapped_column(sa.Float, index=True)
