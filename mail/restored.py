"""Noticing that the database is older than the mail: it was restored from a copy.

A copied-back database still holds invites that were revoked since, people whose access was removed, and mails that
went out long ago as `queued`. Sending from it would be wrong in every way. So after each settled group the newest sent
mail is also written beside the database, and a worker that starts compares: where the database does not know that
mail as sent, mail is held and links are dead until an operator says `outbox release`. `restore` sets the same switch.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import sqlalchemy as sa
import structlog
from flask import current_app

from config import Settings
from mail import outbox
from models import Firm, Outbox, Switch, db, unit_of_work, utc_now

log = structlog.get_logger(__name__)

RESTORED = outbox.RESTORED


def remember(settings: Settings, mail_id: str) -> None:
    """Write down, beside the database, that this mail is sent. Never raises."""
    installation = _installation()
    if installation is None:
        return
    unfinished = _path(settings).with_suffix(f".{os.getpid()}")
    try:
        unfinished.write_text(f"{installation} {mail_id}\n")
        unfinished.replace(_path(settings))
    except OSError:
        log.warning("what was last sent can't be written beside the database", exc_info=True)


def check(settings: Settings) -> bool:
    """Whether the database is older than the mail; then mail is held and links are dead from now on.

    An edge: opens its own unit of work.
    """
    with contextlib.suppress(FileNotFoundError):
        installation, _, mail_id = _path(settings).read_text().strip().partition(" ")
        known = installation == _installation()  # another database altogether is no older one
        sent_at = db.session.scalar(sa.select(Outbox.sent_at).where(Outbox.id == mail_id)) if known else None
        db.session.rollback()
        if known and sent_at is None:
            with unit_of_work():
                hold(f"the database does not know mail {mail_id}, which was sent")
            _path(settings).unlink(missing_ok=True)  # told once: what is sent after the release counts
            log.error(
                "the database is older than the mail that was sent: mail is held until `outbox release`"
            )
            return True
    return False


def hold(reason: str) -> int:
    """Hold mail and let links rest until `outbox release`; how many mails wait. Within the open unit of work."""
    if db.session.get(Switch, RESTORED) is None:
        db.session.add(Switch(name=RESTORED, value={"reason": reason}, changed_at=utc_now()))
    return outbox.hold()


def _installation() -> str | None:
    """The first firm's id: it is the same in every copy of this database, and in no other. Asked once a process."""
    known: dict[str, str | None] = current_app.extensions.setdefault("mail_installation", {"id": None})
    if known["id"] is None:
        known["id"] = db.session.scalar(sa.select(sa.func.min(Firm.id)))
    return known["id"]


def _path(settings: Settings) -> Path:
    return settings.data_dir / "last_sent"
