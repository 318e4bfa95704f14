"""Texts and surveys that staff use again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, id_column, link, utc_now


class MessageTemplate(Base):
    """A text with placeholders for the personal message; the firm's, or one member's own."""

    __tablename__ = "message_template"

    id: Mapped[str] = id_column()
    firm_id: Mapped[str] = link("firm")
    owner_id: Mapped[str | None] = link("team_member", nullable=True, index=False)
    workflow: Mapped[str | None] = mapped_column(sa.String(60))
    name: Mapped[str] = mapped_column(sa.String(120))
    body: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class SurveyTemplate(Base):
    """A client request to start from: introduction and questions."""

    __tablename__ = "survey_template"

    id: Mapped[str] = id_column()
    firm_id: Mapped[str] = link("firm")
    title: Mapped[str] = mapped_column(sa.String(300))
    introduction: Mapped[str] = mapped_column(sa.Text, default="")
    questions: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
