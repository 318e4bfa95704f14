"""What Manage Client Portals lists: one row per client and mailbox, one per client, and the words they are found by.

The tables are derived from contact, invite, portal_access and outbox, within the transaction of the change. Without
them each filter is another join over four tables, and neither paging nor sorting stays quick at a million rows.
Triggers of the database (migrations/portal_list.*.sql) note which mailboxes a transaction touched, because a row may be
changed in many places (a bulk UPDATE among them), and none of those has to know about a list. What was noted is derived
all at once right before the commit: by `settle_lists()` in SQLite, by itself in PostgreSQL.

`stage` is the standing as far as rows decide it (invites/standing.py says the rest); what the clock decides, whether an
invite is expired or an access is over, is asked with `expires_at` and `access_ends_at` at each use. Nothing but that
SQL writes here.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, link

WORD_LENGTH = 40
# What ends a word of a name or an address; the triggers cut at the same.
SEPARATORS = "@.-_,;:/()&+'\"\u2019"


class Stage(enum.StrEnum):
    """The standing without the clock."""

    NO_EMAIL = "no_email"
    SUSPENDED = "suspended"
    JOINED = "joined"  # active, not logged in since
    LOGGED_IN = "logged_in"
    BOUNCED = "bounced"
    MAIL_FAILED = "mail_failed"
    INVITED = "invited"  # pending; expired where `expires_at` is over
    DECLINED = "declined"
    REMOVED = "removed"
    REVOKED = "revoked"
    NO_INVITE = "no_invite"


class Part(enum.StrEnum):
    """Stages put together."""

    INSIDE = "inside"  # has access, perhaps suspended
    OPEN = "open"  # an invite waits
    OVER = "over"  # declined, removed or revoked
    NONE = "none"  # never invited


def _index(name: str, *columns: str, only: str | None = None) -> sa.Index:
    where = sa.text(only) if only else None
    return sa.Index(name, "firm_id", *columns, sqlite_where=where, postgresql_where=where)


LISTED = "part <> 'none'"
_HAS_PORTAL = sa.text("part IN ('inside', 'open')")
_UNDELIVERED = sa.text("stage IN ('bounced', 'mail_failed')")


class PortalPerson(Base):
    """One mailbox at one client (or a contact without one), with what the list filters and sorts by."""

    __tablename__ = "portal_person"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "mailbox"),
        sa.Index(
            "ix_portal_person_portal", "client_id", sqlite_where=_HAS_PORTAL, postgresql_where=_HAS_PORTAL
        ),
        _index("ix_portal_person_since", "since", "id", only=LISTED),
        _index("ix_portal_person_name", "client_name_key", "id", only=LISTED),
        _index("ix_portal_person_open_since", "since", "id", only="part = 'open'"),
        _index("ix_portal_person_open_name", "client_name_key", "id", only="part = 'open'"),
        _index("ix_portal_person_open_expires", "expires_at", "id", only="part = 'open'"),
        _index("ix_portal_person_stage_since", "stage", "since", "id"),
        _index("ix_portal_person_stage_name", "stage", "client_name_key", "id"),
        _index("ix_portal_person_invited_expires", "expires_at", "id", only="stage = 'invited'"),
        _index("ix_portal_person_logged_in", "last_login_at", "id", only="stage = 'logged_in'"),
        _index("ix_portal_person_access_ends", "access_ends_at", "id", only="access_ends_at IS NOT NULL"),
        # Whose mail came back: each new mail asks whether it brings one of them back to `invited`.
        sa.Index(
            "ix_portal_person_undelivered",
            "invite_id",
            sqlite_where=_UNDELIVERED,
            postgresql_where=_UNDELIVERED,
        ),
    )

    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    firm_id: Mapped[str] = mapped_column(sa.String(26))
    client_id: Mapped[str] = link("client", index=False)
    mailbox: Mapped[str] = mapped_column(sa.String(320))  # the address, or contact:ID for one without
    email: Mapped[str | None] = mapped_column(sa.String(320))
    email_display: Mapped[str | None] = mapped_column(sa.String(320))
    name: Mapped[str] = mapped_column(sa.Text, default="")  # of everybody who shares the mailbox
    contacts: Mapped[int] = mapped_column(default=0)  # how many on the record share it; 0: not on it any more
    client_name_key: Mapped[str] = mapped_column(sa.String(200))
    access_id: Mapped[str | None] = mapped_column(sa.String(26))
    invite_id: Mapped[str | None] = mapped_column(sa.String(26))
    stage: Mapped[str] = mapped_column(sa.String(24))
    part: Mapped[str] = mapped_column(sa.String(24))
    since: Mapped[datetime]  # invited; joined, or put on the record, where there is no invite
    expires_at: Mapped[datetime | None]
    last_login_at: Mapped[datetime | None]
    access_ends_at: Mapped[datetime | None]  # of an active access; over where the clock says so
    search_text: Mapped[str] = mapped_column(sa.Text, default="")

    client: Mapped[Any] = relationship("Client", viewonly=True)


class PortalClient(Base):
    """One client: does anybody get in or have an invite, has anybody an address."""

    __tablename__ = "portal_client"
    __table_args__ = (
        _index("ix_portal_client_without", "name_key", "client_id", only="NOT has_portal"),
        _index("ix_portal_client_no_email", "name_key", "client_id", only="NOT has_portal AND NOT has_email"),
    )

    client_id: Mapped[str] = link("client", primary_key=True)
    firm_id: Mapped[str] = mapped_column(sa.String(26))
    name_key: Mapped[str] = mapped_column(sa.String(200))
    has_portal: Mapped[bool] = mapped_column(default=False)
    has_email: Mapped[bool] = mapped_column(default=False)

    client: Mapped[Any] = relationship("Client", viewonly=True)


class SearchWord(Base):
    """A word by whose beginning a person (kind p), or a client without a portal (kind c), is found."""

    __tablename__ = "search_word"
    __table_args__ = (sa.Index("ix_search_word_owner", "owner_id", "word"), {"sqlite_with_rowid": False})

    firm_id: Mapped[str] = mapped_column(sa.String(26), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(1), primary_key=True)
    # Compared by code points: a prefix is a range of the index in no other order.
    word: Mapped[str] = mapped_column(
        sa.String(WORD_LENGTH).with_variant(sa.String(WORD_LENGTH, collation="C"), "postgresql"),
        primary_key=True,
    )
    owner_id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)


WITHOUT_PORTAL, WITHOUT_EMAIL = "without", "without_email"


class PortalTally(Base):
    """How many rows of a firm are in a stage, or clients without a portal (`without_email`: without an address, too).

    The sum over the slots counts. PostgreSQL has several of them, so that those who commit at once need not wait.
    """

    __tablename__ = "portal_tally"
    __table_args__ = ({"sqlite_with_rowid": False},)

    firm_id: Mapped[str] = mapped_column(sa.String(26), primary_key=True)
    what: Mapped[str] = mapped_column(sa.String(24), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]


def settle_lists(connection: sa.Connection) -> None:
    """Derive what this transaction touched; its last statement before the commit. PostgreSQL does so by itself."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("INSERT INTO portal_settle VALUES (1)")
