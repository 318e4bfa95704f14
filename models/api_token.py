"""API tokens and the answers kept for Idempotency-Key."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, id_column, link, utc_now
from models.login import TeamMember


class ApiToken(Base):
    """A team member's token for the API. Only its SHA-256 is kept; it may do what the member may do."""

    __tablename__ = "api_token"

    id: Mapped[str] = id_column()
    team_member_id: Mapped[str] = link("team_member")
    name: Mapped[str] = mapped_column(sa.String(120), default="")
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    team_member: Mapped[TeamMember] = relationship(lazy="joined", innerjoin=True)


class IdempotentCall(Base):
    """A POST that carried an Idempotency-Key, and its answer once there is one. Kept at least 24 h."""

    __tablename__ = "idempotent_call"
    __table_args__ = (sa.UniqueConstraint("team_member_id", "key"),)

    id: Mapped[str] = id_column()
    team_member_id: Mapped[str] = link("team_member", index=False)
    key: Mapped[str] = mapped_column(sa.String(255))
    request_hash: Mapped[str] = mapped_column(sa.String(64))
    status: Mapped[int | None]  # None: still running
    answer: Mapped[Any] = mapped_column(sa.JSON, nullable=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)


def hash_of_token(token: str) -> str:
    """What is kept of an API token: its SHA-256. The token itself has 256 random bits, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()
