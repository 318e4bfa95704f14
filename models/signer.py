"""A signer of an eSign request, and what is known of how the signature came to be."""

from __future__ import annotations

import enum
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, id_column, link, state_column


class SignerState(enum.StrEnum):
    """Where a signer stands."""

    WAITING = "waiting"
    VIEWED = "viewed"
    SIGNED = "signed"
    DECLINED = "declined"


class Signer(Base):
    """One person who is to sign one document. Two signers may share a mailbox; each signs for themselves."""

    __tablename__ = "signer"

    id: Mapped[str] = id_column()
    item_id: Mapped[str] = link("work_item")
    contact_id: Mapped[str | None] = link("contact", nullable=True, index=False)
    name: Mapped[str] = mapped_column(sa.String(200))
    email: Mapped[str] = mapped_column(sa.String(320), index=True)
    email_display: Mapped[str] = mapped_column(sa.String(320))
    position: Mapped[int] = mapped_column(default=1)
    state: Mapped[SignerState] = state_column(SignerState, SignerState.WAITING)
    login_id: Mapped[str | None] = link("login", nullable=True, index=False)
    typed_name: Mapped[str] = mapped_column(sa.String(200), default="")
    viewed_at: Mapped[datetime | None]
    signed_at: Mapped[datetime | None]
    ip: Mapped[str] = mapped_column(sa.String(64), default="")
    user_agent: Mapped[str] = mapped_column(sa.String(300), default="")
    decline_reason: Mapped[str] = mapped_column(sa.String(500), default="")
