"""The firm: the tenant. Every row of work hangs on one."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, id_column, link, utc_now


class Firm(Base):
    """A professional firm, with what its mails and pages show of it."""

    __tablename__ = "firm"

    id: Mapped[str] = id_column()
    name: Mapped[str] = mapped_column(sa.String(200), unique=True)
    phone: Mapped[str] = mapped_column(sa.String(60), default="")
    reply_to: Mapped[str] = mapped_column(sa.String(320), default="")
    colour: Mapped[str] = mapped_column(sa.String(7), default="#1f5f8b")
    shows_titles: Mapped[bool] = mapped_column(default=False)
    invite_days: Mapped[int | None] = mapped_column(
        sa.CheckConstraint("invite_days BETWEEN 1 AND 90", name="invite_days")
    )
    # On which days after a mail a reminder follows, e.g. [3, 7, 14]; [] for never, NULL for REMINDER_DAYS.
    reminder_days: Mapped[list[Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    accept_needs_code: Mapped[bool | None]
    time_zone: Mapped[str] = mapped_column(sa.String(60), default="UTC")
    language: Mapped[str] = mapped_column(sa.String(10), default="en")
    logo_sha256: Mapped[str | None] = mapped_column(sa.String(64))  # names the picture in `firm_logo`
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Licence(enum.StrEnum):
    """What a firm may have paid for. A new firm has all three; plug-ins may name further ones."""

    CLIENT_REQUESTS = "client-requests"
    FILES = "files"
    ESIGN = "esign"


class FirmLicence(Base):
    """One licence held by one firm; without the row the workflow answers 402 `licence_missing`."""

    __tablename__ = "firm_licence"

    firm_id: Mapped[str] = link("firm", primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(60), primary_key=True)


class FirmLogo(Base):
    """The firm's logo as pages show it: a small PNG of our own making. Apart from the firm, which is read often."""

    __tablename__ = "firm_logo"

    firm_id: Mapped[str] = link("firm", primary_key=True)
    sha256: Mapped[str] = mapped_column(sa.String(64))
    png: Mapped[bytes] = mapped_column(sa.LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
