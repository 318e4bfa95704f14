"""A signed-in session. The cookie holds a random id, this table only its SHA-256.

So a cookie copied before logout is dead after it, and a reader of the database can't sign in with what it reads.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, link, utc_now


class LoginSession(Base):
    """One browser in which a login is signed in, with that session's data."""

    __tablename__ = "login_session"

    id_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    login_id: Mapped[str] = link("login")
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    seen_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime] = mapped_column(index=True)
