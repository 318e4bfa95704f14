"""The edge that drives the mails: claim, compose, deliver, settle, until nothing is due.

No transaction is open while SMTP talks. A mail is only begun while its lease outlives the whole SMTP deadline, so a
slow relay makes no duplicates; what is not begun goes back as it was.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
import structlog
from flask import current_app

import background
from config import Settings
from mail import claim, compose, outbox, restored, settle
from mail.journal import Left
from mail.outcomes import Sent, Temporary
from mail.relay import Ready, Relay
from models import db, unit_of_work, utc_now
from models.failpoints import reach

log = structlog.get_logger(__name__)

BATCHES = 50, 500  # mails claimed at once: few from a slow relay, many from a quick one
QUICK_BATCH, SLOW_BATCH = 1, 5  # seconds
SETTLE_TRIES = 20  # half a second between two
LONGEST_BATCH = 10.0  # seconds within which its mails are begun
SOON = timedelta(seconds=60)  # what is due before the next sweep gets a wake-up of its own


def send_due(settings: Settings, now: datetime | None = None, gathers: float = 0) -> int:
    """Send everything that is due at `now` (default: the clock) and what falls due meanwhile; how many were sent.

    Where a batch was small it looks again after `gathers` seconds: each Send wakes the worker, and a batch of ten costs
    nearly what one of a hundred does. An edge: opens its own units of work. Call it in an application context, outside
    of one.
    """
    shift = (now or utc_now()) - utc_now()

    def clock() -> datetime:
        return utc_now() + shift

    sent = 0
    db.session.rollback()
    catch_up(settings, clock)
    if claim.anything_due(clock()):
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        with Relay(app, settings, background.stopping) as relay:
            sent = _Sender(settings, relay, clock, gathers).run()
    soonest = claim.next_due()
    db.session.rollback()
    if soonest is not None and soonest - clock() < SOON:
        background.wake_at(soonest - shift)
    return sent


class _Batch(NamedTuple):
    """Claimed mails, written: they are ready, or have failed already."""

    full: bool  # as many as were asked for, so there may be more
    ready: list[Ready]
    failed: list[settle.Result]
    begin_until: float  # monotonic; what is not begun then goes back
    probes: outbox.RelayPause | None  # a single mail, to see whether this pause may end


@dataclass
class _Sender:
    """Batch after batch. While the lines send a full one, the next is claimed and written already."""

    settings: Settings
    relay: Relay
    clock: Callable[[], datetime]
    gathers: float
    size: int = 100

    def run(self) -> int:
        """How many were sent."""
        sent, ahead = 0, False
        batch = self.take()
        while batch is not None:
            begun = time.monotonic()
            done, following = self.deliver(batch, ahead and batch.full)
            sent += done
            if self.gathers and not batch.full:
                background.rest(self.gathers)
            took = time.monotonic() - begun
            ahead = took < SLOW_BATCH
            if done:
                self.size = _next_size(self.size, took)
            batch = following or (self.take() if self.goes_on() else None)
        return sent

    def goes_on(self) -> bool:
        """Whether there is, at this moment, anything to send and somebody to take it."""
        stops = background.stopping() or self.relay.broken is not None
        return not stops and claim.anything_due(self.clock())

    def take(self) -> _Batch | None:
        """The next batch; None where there was nothing to take."""
        pause = outbox.relay_pause()
        if pause is not None and pause.until > self.clock():
            return None
        reach("delivery.before_claim")
        with unit_of_work():
            # After a pause a single mail goes first, to see whether the relay is back.
            number = 1 if pause else self.size
            claimed = claim.claim(number, self.clock(), self.settings.lease_seconds)
        reach("delivery.after_claim")
        if not claimed:  # all that was looked at may have been dead
            return _Batch(False, [], [], 0, None) if claim.more_due(self.clock()) else None
        # Beyond the lease nothing is begun; and a slow relay gives batches back in time, for other firms' mail.
        begin_within = min(self.settings.lease_seconds - self.settings.mail_deadline_seconds, LONGEST_BATCH)
        begin_until = time.monotonic() + begin_within
        ready, failed = compose.compose(self.settings, claimed)
        db.session.rollback()  # reading is over: nothing is open while the relay talks
        return _Batch(len(claimed) == number and not pause, ready, failed, begin_until, pause)

    def take_ahead(self) -> _Batch | None:
        """The next batch while the lines send this one: what goes wrong here must not cost them their outcomes."""
        try:
            return self.take() if self.goes_on() else None
        except sa.exc.OperationalError:
            # The database restarts; `run()` asks again, once this batch is settled.
            db.session.rollback()
            log.warning("the next mails can't be taken yet", exc_info=True)
            return None

    def deliver(self, batch: _Batch, ahead: bool) -> tuple[int, _Batch | None]:
        """Send the batch; how many were sent, and the following one where that was to be taken meanwhile."""
        following = None
        sent = _settle(batch.failed, self.clock) if batch.failed else 0
        last = ""
        with contextlib.closing(self.relay.deliver(batch.ready, batch.begin_until)) as groups:
            for group in groups:
                if group:
                    sent += _settle(group, self.clock)
                    self.relay.settled(group)
                    last = max(
                        [last, *(result.mail.id for result in group if isinstance(result.outcome, Sent))]
                    )
                elif ahead:
                    following = self.take_ahead()
        if last:
            restored.remember(self.settings, last)
            db.session.rollback()
        if self.relay.broken is not None:
            _pause(self.relay.broken, self.clock())
        elif batch.probes is not None and sent:
            with unit_of_work():
                outbox.resume_relay()
            log.info("the mail server takes mail again", since=batch.probes.since.isoformat())
        return sent, following


def _next_size(size: int, took: float) -> int:
    if took > SLOW_BATCH:
        return max(size // 2, BATCHES[0])
    return min(size * 2, BATCHES[1]) if took < QUICK_BATCH else size


def catch_up(settings: Settings, clock: Callable[[], datetime] = utc_now) -> None:
    """Before anything is sent: is this the database we sent from, and did a worker die between a 250 and its row?

    Both are asked of this machine's folder, so each worker asks when it starts, too: in a fleet another one may take
    the wake-ups until what the dead one had claimed falls due again. An edge: opens its own units of work.
    """
    if not current_app.extensions.get("mail_checked"):
        restored.check(settings)
        current_app.extensions["mail_checked"] = True
    with Left(settings) as left:
        if left.accepted:
            with unit_of_work():
                settled = settle.settle_accepted(left.accepted, clock())
            log.warning("settled what a worker that died had handed over", mails=settled)


def _settle(results: list[settle.Result], clock: Callable[[], datetime]) -> int:
    reach("delivery.before_settle")
    for left in reversed(range(SETTLE_TRIES)):
        try:
            with unit_of_work():
                sent = settle.settle(results, clock())
            break
        except sa.exc.OperationalError:  # the database restarts; what is settled twice is settled once
            if not left:
                raise
            log.warning("the outcome of mails can't be written down yet", mails=len(results))
            time.sleep(0.5)
    reach("delivery.after_settle")
    _log_failures(results)
    return sent


def _log_failures(results: list[settle.Result]) -> None:
    """One line for the mails that must wait; which ones they are stands in their rows."""
    waiting = [result.outcome for result in results if isinstance(result.outcome, Temporary)]
    if waiting:
        reasons = Counter(outcome.reason for outcome in waiting).most_common(3)
        in_doubt = sum(outcome.in_doubt for outcome in waiting)
        log.info("mails not sent yet", mails=len(waiting), in_doubt=in_doubt, reasons=dict(reasons))


def _pause(reason: str, now: datetime) -> None:
    with unit_of_work():
        fresh = outbox.pause_relay(reason, now)
    if fresh:  # one alarm, not one a minute
        log.error("the mail server can't be used, mail waits", reason=reason)
