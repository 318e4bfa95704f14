"""Answers to a client request's questions, saved one by one as the client goes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, link, utc_now


class Answer(Base):
    """The latest answer to one question of one client request."""

    __tablename__ = "answer"

    item_id: Mapped[str] = link("work_item", primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    value: Mapped[Any] = mapped_column(sa.JSON)
    login_id: Mapped[str] = link("login", index=False)
    saved_at: Mapped[datetime] = mapped_column(default=utc_now)
