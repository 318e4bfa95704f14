"""Where delivery reports come from: a drop folder of .eml files, and a mailbox read by IMAP. Edges: they commit.

A report is first read, then acted on in a unit of work of its own, and only after that commit moved (or flagged) as
done. A process that dies in between reads it again, which changes nothing: a report that was acted on is `repeated`.

The folder: a file is taken by renaming it into `busy/`, which only one worker can do; after the commit it is renamed
into `done/`, or into `odd/` for the operator to look at. Its new name begins with the time of taking: what lies in
`busy/` longer than ten minutes was a dead worker's and is taken again. Only whole files may be put in: write elsewhere
or as `.name`, then rename to `name.eml`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
import structlog
from ulid import ULID

import background
from config import Settings
from mail import bounces, reports
from mail.bounces import Outcome
from mail.imap import ImapProblem, Mailbox
from models import new_id, unit_of_work, utc_now

log = structlog.get_logger(__name__)

BUSY, DONE, ODD = "busy", "done", "odd"
DEAD_AFTER = timedelta(minutes=10)
KEEP_DONE = timedelta(days=30)  # reports hold people's addresses: what is done goes after a while
AT_ONCE = 1000  # reports of one place in one run
MOST_NAME = 120  # letters of a file's name that are kept


def read_reports(settings: Settings) -> int:
    """Read what waits in the drop folder and the mailbox; how many reports were handled.

    An edge: opens a unit of work for each report. Call it in an application context, outside of one.
    """
    done = read_folder(settings.bounce_dir) if settings.bounce_dir else 0
    if settings.bounce_imap and not background.stopping():
        done += read_mailbox(Mailbox(settings.bounce_imap))
    return done


def handle(raw: bytes) -> Outcome:
    """Act on one mail in a unit of work of its own. An edge; the mail is read before that is opened."""
    report = reports.parse(raw)
    with unit_of_work():
        outcome = bounces.apply(report, utc_now())
    log.info("a delivery report was read", kind=report.kind.value, outcome=outcome.value)
    return outcome


def _handle_or_odd(raw: bytes) -> Outcome:
    """The same, but one mail that nobody foresaw is odd and stops no other. Raises where the database is away."""
    try:
        return handle(raw)
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError):
        raise
    except Exception:
        log.exception("a delivery report could not be handled")
        return Outcome.UNREADABLE


# The drop folder ----------------------------------------------------------------------------------------------------


def read_folder(folder: Path) -> int:
    """Handle each .eml file of the folder once, however many workers look into it; how many this one handled."""
    for name in (BUSY, DONE, ODD):
        (folder / name).mkdir(exist_ok=True)
    _take_back(folder, utc_now())
    done = 0
    for path in _waiting(folder):
        if background.stopping():
            break
        taken = _take(path, folder / BUSY)
        if taken is not None:
            try:
                outcome = _handle_file(taken)
            except BaseException:
                with suppress(FileNotFoundError):  # it waits for the next run, under its own name
                    taken.rename(path)
                raise
            with suppress(
                FileNotFoundError
            ):  # put back by another worker, as this one took longer than the dead
                taken.rename(folder / (ODD if outcome.is_odd else DONE) / taken.name)
            done += 1
    _forget(folder / DONE, utc_now())
    return done


def _waiting(folder: Path) -> list[Path]:
    """The files to read, by name; at most AT_ONCE."""
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name for entry in entries if entry.name.lower().endswith(".eml") and entry.name[0] != "."
        )
    return [folder / name for name in names[:AT_ONCE]]


def _take(path: Path, busy: Path) -> Path | None:
    """Make a file ours by one rename; None where another worker was faster."""
    taken = busy / f"{new_id()}-{path.name[-MOST_NAME:]}"
    try:
        path.rename(taken)
    except FileNotFoundError:
        return None
    return taken


def _handle_file(path: Path) -> Outcome:
    """One file; what is no plain file, can't be opened, or is larger than a report can be, is odd."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > reports.MOST_BYTES:
            return Outcome.UNREADABLE
        raw = path.read_bytes()
    except OSError as error:
        log.warning("a file of the drop folder can't be read", file=path.name, reason=error.strerror)
        return Outcome.UNREADABLE
    return _handle_or_odd(raw)


def _take_back(folder: Path, now: datetime) -> None:
    """Put back what a dead worker left, under the name it came with."""
    for path, taken_at, name in _taken(folder / BUSY):
        if now - taken_at > DEAD_AFTER:
            with suppress(FileNotFoundError):  # done in this moment, or put back by another
                path.rename(folder / f"{new_id()}-{name}")


def _forget(done: Path, now: datetime) -> None:
    for path, taken_at, _ in _taken(done):
        if now - taken_at > KEEP_DONE:
            path.unlink(missing_ok=True)


def _taken(folder: Path) -> Iterator[tuple[Path, datetime, str]]:
    """Files with the time of taking in their name: path, that time, the name they came with."""
    for path in list(folder.iterdir()):
        taken, _, name = path.name.partition("-")
        with suppress(ValueError):  # not a name of ours
            yield path, ULID.from_str(taken).datetime, name


# The mailbox --------------------------------------------------------------------------------------------------------


def read_mailbox(mailbox: Mailbox) -> int:
    """Handle the unread mails of the folder; how many. They become read after the commit, odd ones flagged too."""
    done = 0
    try:
        with mailbox:
            for uid in mailbox.unread()[:AT_ONCE]:
                if background.stopping():
                    break
                raw = mailbox.fetch(uid, reports.MOST_BYTES)
                outcome = Outcome.UNREADABLE if raw is None else _handle_or_odd(raw)
                mailbox.mark(uid, flagged=outcome.is_odd)
                done += 1
    except ImapProblem as error:  # tried again at the next run: the mails lie there unread
        log.warning("the mailbox of delivery reports can't be read", host=mailbox.host, reason=str(error))
    return done
