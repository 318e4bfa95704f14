"""What the worker does: send mail, make facts, seal documents, and tidy up.

Each task is an edge and opens its own units of work. The rows say what is to be done; a task that is lost, or runs
twice, costs nothing but a look.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa
import structlog
from flask import Flask, current_app

import background
import config
from hooks.dispatch import dispatch_due
from invites import bulk_run, expiry, job_import, reminders
from mail.report_reader import read_reports
from mail.worker import send_due
from models import AcceptCode, IdempotentCall, LoginSession, RateLimit, unit_of_work, utc_now
from workflows import storage
from workflows.esign_request.completion import seal_all_pending

log = structlog.get_logger(__name__)

GATHERS = 0.1  # seconds; what many small Sends ask for at the same time goes out together
KEEP_IDEMPOTENT_CALLS = timedelta(hours=48)


def register(app: Flask) -> None:
    """Tell the queue which tasks there are."""
    background.on_wake(app, "mail", send_mail)
    background.on_wake(app, "facts", make_facts)
    background.on_wake(app, "seals", seal_documents)
    background.on_wake(app, "jobs", run_jobs)
    background.every(app, "reminders", 10, send_reminders)
    background.every(app, "expiries", 10, note_expiries)
    background.every(app, "bounces", 1, read_bounces)
    background.every(app, "tidy", 60, tidy)
    background.every(app, "orphans", 1440, sweep_orphans)


def send_mail() -> None:
    """Send what is due, until nothing is."""
    send_due(config.current(), utc_now(), gathers=GATHERS)


def make_facts() -> None:
    """Turn committed events into facts, until none is left."""
    while dispatch_due(current_app._get_current_object()) and not background.stopping():  # type: ignore[attr-defined]
        pass


def seal_documents() -> None:
    """Seal the eSign requests that everybody has signed."""
    seal_all_pending()


def run_jobs() -> None:
    """Carry out the open jobs, batch by batch, until none is left.

    A batch that fails is tried again row by row; a row that fails by itself is marked and stops no other. Where the
    database is what fails, the error goes up and the next sweep tries again.
    """
    while not background.stopping():
        try:
            with unit_of_work():
                done = bulk_run.step()
        except sa.exc.OperationalError:
            raise
        except Exception:  # whatever one row brought up must not hold the others
            log.exception("a batch of a job failed, its rows follow one by one")
            done = _run_one_by_one()
        if not done:
            return


def _run_one_by_one() -> int:
    for _ in range(bulk_run.BATCH):
        if background.stopping():
            break
        try:
            with unit_of_work():
                done = bulk_run.step(1)
        except sa.exc.OperationalError:
            raise
        except Exception:
            log.exception("a row of a job failed")
            with unit_of_work():
                bulk_run.give_up_next()
            done = 1
        if not done:
            return 0
    return 1


def send_reminders() -> None:
    """Queue the reminders and warnings that are due."""
    _in_batches(reminders.remind_due)


def note_expiries() -> None:
    """Note the invites whose time is over, and tell those who invited. Nothing else depends on it."""
    _in_batches(expiry.note_expired)
    _in_batches(expiry.tell_inviters)


def _in_batches(step: Callable[[], int]) -> None:
    """Call `step`, each time in a unit of work of its own, until it finds nothing more."""
    done = 1
    while done and not background.stopping():
        with unit_of_work():
            done = step()


def read_bounces() -> None:
    """Read the delivery reports that wait in the drop folder and the mailbox, where one is set."""
    read_reports(config.current())


def tidy() -> None:
    """Delete what has ended and nobody asks for any more: sessions, codes, counters, remembered calls."""
    now = utc_now()
    with unit_of_work() as session:
        session.execute(sa.delete(LoginSession).where(LoginSession.expires_at < now))
        session.execute(sa.delete(AcceptCode).where(AcceptCode.expires_at < now))
        session.execute(sa.delete(RateLimit).where(RateLimit.expires_at < now.timestamp()))
        session.execute(
            sa.delete(IdempotentCall).where(IdempotentCall.created_at < now - KEEP_IDEMPOTENT_CALLS)
        )
        job_import.drop_drafts(now)


def sweep_orphans() -> None:
    """Remove bytes that belong to no row: a process died between writing them and its commit."""
    storage.sweep_orphans()
