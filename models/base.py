"""What every table shares: naming of constraints, ids, times, enums.

Ids are ULIDs: opaque to others, made before the insert (so that a link's token can be derived from one) and in
order of time (so that new rows lie beside each other in an index). Times are UTC, always with their zone.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from ulid import ULID


def new_id() -> str:
    """A new opaque id: 26 characters, later ones sort after earlier ones (ULID)."""
    return str(ULID())


def utc_now() -> datetime:
    """Now, in UTC with its zone. The only clock of the product; tests hold it with time-machine."""
    return datetime.now(UTC)


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """A moment in UTC. SQLite drops zones, so they are put back; a moment without one is refused."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Refuse a moment without a zone; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Give every moment its zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The declarative base. Constraint names are fixed, so that migrations can name them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UTCDateTime, dict[str, Any]: sa.JSON, list[Any]: sa.JSON}


def id_column() -> Mapped[str]:
    """The primary key of most tables."""
    return mapped_column(sa.String(26), primary_key=True, default=new_id)


def link(
    target: str, *, index: bool = True, nullable: bool = False, primary_key: bool = False
) -> Mapped[Any]:
    """A foreign key to `table.id`. Rows are never deleted by cascade: history is appended, nothing deleted."""
    return mapped_column(
        sa.String(26),
        sa.ForeignKey(f"{target}.id"),
        index=index and not primary_key,
        nullable=nullable,
        primary_key=primary_key,
    )


def state_column(
    states: type[enum.StrEnum], default: enum.StrEnum | None = None, name: str = "state"
) -> Mapped[Any]:
    """A column that holds one of `states`, enforced by a named check in the database."""
    kind = sa.Enum(
        states,
        native_enum=False,
        create_constraint=True,
        name=name,
        length=24,
        values_callable=lambda members: [member.value for member in members],
    )
    return mapped_column(kind, default=default, nullable=False)
