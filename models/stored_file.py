"""A file's bytes as the file store keeps them. What is shown to clients is the work item, never this row."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, id_column, link, utc_now


class StoredFile(Base):
    """Bytes under a random key, with what was measured when they came in."""

    __tablename__ = "stored_file"

    id: Mapped[str] = id_column()
    firm_id: Mapped[str] = link("firm")
    client_id: Mapped[str] = link("client")
    item_id: Mapped[str | None] = link(
        "work_item", nullable=True
    )  # the file item or eSign request it belongs to
    purpose: Mapped[str] = mapped_column(sa.String(24), default="file")  # file, document, sealed
    name: Mapped[str] = mapped_column(sa.String(255))
    size: Mapped[int] = mapped_column(sa.BigInteger)
    sha256: Mapped[str] = mapped_column(sa.String(64))
    content_type: Mapped[str] = mapped_column(sa.String(120))
    storage_key: Mapped[str] = mapped_column(sa.String(120), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
