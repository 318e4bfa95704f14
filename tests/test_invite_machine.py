"""An invite's whole life, played at random on each database: whatever happens in whatever order, these stay true.

At most one pending invite per client and address, and one live link per invite; a link is accepted at most once; no
mail is taken out of the outbox after revoke, accept or expiry; every fact has its event, and a rollback leaves none; no
row of one firm is visible to another; never two reminders within twenty hours.

The moves and what is believed of them: `support/life_stage.py`, `life_moves.py` and `life_post.py`; the truths: `support/life_truths.py`.
What goes wrong in such a life goes wrong between two moves that meet: a page opened before a revoke and its button
pressed after it, a mail waiting while its invite ends. So the rules that matter carry their `meanwhile` with them, and
many short lives find more than a few long ones.

The lives are the same in each run, however fast the machine is: a number of handfuls, each from a seed of its own.
Handfuls, because after ten lives Hypothesis begins to vary those it has seen, and most of a hundred would be alike. A
longer search of more lives, where a minute a database is too short (a failure prints the shortest story it finds):

    PORTAL_TEST_HANDFULS=500 script/test tests/test_invite_machine.py
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import time_machine
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mail.reports import Kind
from models import InviteState, Scope, db, utc_now
from tests.support import life_truths
from tests.support.life_moves import ACCESS_MOVES, Play
from tests.support.life_post import ANSWERS, LEASE, Post
from tests.support.life_stage import MONTH, NAMES, Told
from tests.support.post import both_kinds

HANDFULS, LIVES, STEPS = 10, 10, 10
BEGIN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

# What may happen to an invite between two looks at it.
MEANWHILE = (
    "nothing",
    "accepted",
    "declined",
    "revoked",
    "resent",
    "moved",
    "a month",
    "extended",
    "stopped",
    "dated",
)
SPANS = (timedelta(minutes=2), timedelta(hours=7), timedelta(days=3), MONTH)
SECOND = ("sends", "takes it too", "too early", "alone")
REPORTS = (Kind.PERMANENT, Kind.PERMANENT, Kind.TEMPORARY, Kind.COMPLAINT)
BREAKS = ("invited", "resent", "revoked", "accepted", "declined", "moved", "reminded", "noted")
DATES = st.sampled_from((0, 2, 5, 40, None))  # days from today; None: without an end
DATES_THEN = ("accepted", "resent", "extended", "moved", "another day")
PLACES, PEOPLE = st.integers(0, 2), st.integers(0, len(NAMES) - 1)


class Life(RuleBasedStateMachine):
    """Two firms, three clients, three addresses, and everything that can happen to an invite."""

    stage: ClassVar[Play]
    links: Bundle[tuple[str, int]] = Bundle(
        "links"
    )  # (invite, generation): every link ever mailed, old ones too

    def __init__(self) -> None:
        super().__init__()
        self.stage.clock.move_to(BEGIN, tick=False)
        self.stage.clear()
        self.post = Post(self.stage)

    def teardown(self) -> None:
        """Rows stay and the log only grows, so what they tell is as true at the end of a life as after each step."""
        db.session.rollback()
        if sys.exception() is None:  # else what failed is told, and not what follows from it
            for truth in life_truths.AT_THE_END:
                truth(self.stage)

    @initialize(target=links)
    def begin(self) -> Any:
        """Every life begins with an invite to the same address at each firm, mailed."""
        invites = [self.stage.invite(place, 0) for place in (0, 2)]
        self.post.send()
        return multiple(*((told.id, 1) for told in invites))

    # What staff do

    @rule(target=links, place=PLACES, who=PEOPLE, item=st.booleans(), scope=st.sampled_from(Scope))
    def invite(self, place: int, who: int, item: bool, scope: Scope) -> Any:
        """Somebody is invited: from the record, or with a new item."""
        self._a_moment_later()
        return self._link_of(self.stage.invite(place, who, item=item, scope=scope))

    @rule(target=links, link=links, what=st.sampled_from(MEANWHILE[1:]))
    def something_happens(self, link: tuple[str, int], what: str) -> Any:
        """Any one move, with nothing waiting for it."""
        return self._happens(self._told(link), what)

    @rule(link=links)
    def a_second_row_is_refused(self, link: tuple[str, int]) -> None:
        """Whoever inserts beside an open invite, past every lock, is turned away by the database itself."""
        told = self._told(link)
        if told.state is InviteState.PENDING:
            self.stage.insert_beside(told)

    # What the person does

    @rule(target=links, link=links, meanwhile=st.sampled_from(MEANWHILE), as_somebody_else=st.booleans())
    def accept(self, link: tuple[str, int], meanwhile: str, as_somebody_else: bool) -> Any:
        """The page was opened with this link, something happens, and then the button is pressed."""
        told = self._told(link)
        page = self.stage.look(told, link[1])
        made = self._happens(told, meanwhile)
        if as_somebody_else:
            self.stage.press_as_a_stranger(told, page)
        self.stage.press(told, page)
        return made

    @rule(target=links, link=links, not_me=st.booleans(), meanwhile=st.sampled_from(MEANWHILE))
    def decline(self, link: tuple[str, int], not_me: bool, meanwhile: str) -> Any:
        """Decline, or This isn't me."""
        told = self._told(link)
        made = self._happens(told, meanwhile)
        self.stage.decline(told, not_me=not_me)
        return made

    @rule(target=links, link=links)
    def send_me_a_new_link(self, link: tuple[str, int]) -> Any:
        """The button on the page of an expired link, of any age."""
        told = self._told(link)
        self.stage.send_me_a_new_link(told, link[1])
        return self._link_of(told)

    # What time and machines do

    @rule(span=st.sampled_from(SPANS))
    def time_passes(self, span: timedelta) -> None:
        """The clock goes on; nothing else happens."""
        self.stage.pass_time(span)

    @rule(days=st.integers(1, 4), answer=st.sampled_from(tuple(ANSWERS)))
    def days_go_by(self, days: int, answer: str) -> None:
        """As they mostly do: the jobs look, the worker sends, the relay answers."""
        for _ in range(days):
            self.stage.pass_time(timedelta(days=1))
            self.stage.run_jobs()
            self.post.send(answer)

    @rule(target=links, link=links, reminder=st.booleans(), meanwhile=st.sampled_from(MEANWHILE))
    def mail_waits(self, link: tuple[str, int], reminder: bool, meanwhile: str) -> Any:
        """Mails with a link and with a code are in the outbox, something happens, then the worker comes for them."""
        told = self._open(link)
        self.stage.resend(told)
        if reminder:
            self.post.send()
            self.stage.pass_time(timedelta(days=4))
            self.stage.run_jobs()
        self.post.ask_for_a_code(told)
        made = self._happens(told, meanwhile)
        self.post.send()
        return multiple(*self._link_of(told).values, *made.values)

    @rule(target=links, link=links, meanwhile=st.sampled_from(MEANWHILE), second=st.sampled_from(SECOND))
    def a_worker_is_slow(self, link: tuple[str, int], meanwhile: str, second: str) -> Any:
        """A worker took the mail and stands still; its lease ends, another one comes, and it wakes up, or never does."""
        told = self._open(link)
        self.stage.resend(told)
        slow = self.post.take()
        made = self._happens(told, meanwhile)
        if second != "too early":
            self.stage.pass_time(LEASE)
        if second == "sends":
            self.post.send()
        else:
            self.post.take()
        if second != "alone":
            self.post.come_back(slow)
        return multiple(*self._link_of(told).values, *made.values)

    @rule(link=links, kind=st.sampled_from(REPORTS), foreign=st.sampled_from(("", "", "unknown", "row")))
    def a_report_arrives(self, link: tuple[str, int], kind: Kind, foreign: str) -> None:
        """A mail came back, or somebody says so. After a complaint, a resend does not bring the reminders back."""
        told = self._told(link)
        self.post.report(told, kind, foreign)
        if kind is Kind.COMPLAINT and self.stage.resend(told):
            self.post.send()
            self.stage.pass_time(timedelta(days=4))
            self.stage.run_jobs()
            self.post.send()

    @rule(link=links, what=st.sampled_from(BREAKS))
    def a_page_breaks(self, link: tuple[str, int], what: str) -> None:
        """After everything was done and before the commit: nothing is kept."""
        self.stage.broken(self._open(link), what)

    # Who has joined

    @precondition(lambda self: self.stage.places)
    @rule(number=st.integers(0, 8), how=st.sampled_from(tuple(ACCESS_MOVES)))
    def access_changes_while_mail_waits(self, number: int, how: str) -> None:
        """Somebody who has joined is written to about an item; meanwhile they are removed, suspended or restored."""
        self._a_moment_later()
        access_id = list(self.stage.places)[number % len(self.stage.places)]
        if how != "restored":
            self.stage.move_access(access_id, "restored")
            self.stage.write_about_an_item(access_id)
        self.stage.move_access(access_id, how)
        self.stage.pass_time(timedelta(minutes=11))
        self.post.send()

    @precondition(lambda self: self.stage.places)
    @rule(target=links, number=st.integers(0, 8))
    def a_suspended_person_has_an_open_link(self, number: int) -> Any:
        """It lets nobody in past the suspension."""
        self._a_moment_later()
        told = self.stage.suspend_with_an_open_invite(
            list(self.stage.places)[number % len(self.stage.places)]
        )
        if told is not None:
            self.stage.press(told, self.stage.look(told, told.generation))
        return self._link_of(told)

    @precondition(lambda self: self.stage.places)
    @rule(target=links, number=st.integers(0, 8), who=PEOPLE)
    def an_active_person_has_another_address(self, number: int, who: int) -> Any:
        """Their access ends, and the new address is invited."""
        self._a_moment_later()
        access_id = list(self.stage.places)[number % len(self.stage.places)]
        return self._link_of(self.stage.change_address_of_access(access_id, who))

    @invariant()
    def all_is_true(self) -> None:
        """After every step."""
        db.session.rollback()
        for truth in life_truths.AFTER_EACH_STEP:
            truth(self.stage)
        db.session.rollback()

    @rule(
        target=links,
        link=links,
        days=DATES,
        passes=st.sampled_from(SPANS),
        then=st.sampled_from((None, *DATES_THEN)),
    )
    def an_invite_brings_access_until_a_day(
        self, link: tuple[str, int], days: int | None, passes: timedelta, then: str | None
    ) -> Any:
        """The day comes nearer or is over; then the person presses, or staff send again, extend or change the day."""
        told = self._open(link)
        self.stage.date_invite(told, self._day(days))
        self.stage.pass_time(passes)
        if then == "another day":
            self.stage.date_invite(told, self._day(5))
        elif then is not None:
            return multiple(*self._link_of(told).values, *self._happens(told, then).values)
        return self._link_of(told)

    @precondition(lambda self: self.stage.places)
    @rule(
        number=st.integers(0, 8),
        days=DATES,
        passes=st.sampled_from(SPANS),
        then=st.sampled_from((None, *ACCESS_MOVES)),
        again=st.none() | DATES,
    )
    def access_lasts_until_a_day(
        self, number: int, days: int | None, passes: timedelta, then: str | None, again: int | None
    ) -> None:
        """Given an end while a mail waits, the clock past it or not, taken away or restored, given another one."""
        self._a_moment_later()
        access_id = list(self.stage.places)[number % len(self.stage.places)]
        self.stage.write_about_an_item(access_id)
        self.stage.date_access(access_id, self._day(days))
        self.stage.pass_time(passes)
        self.post.send()
        if then is not None:
            self.stage.move_access(access_id, then)
        if again is not None:
            self.stage.date_access(access_id, self._day(again))

    @precondition(lambda self: self.stage.places)
    @rule(target=links, number=st.integers(0, 8), days=DATES, passes=st.sampled_from(SPANS))
    def an_old_link_meets_a_dated_access(self, number: int, days: int | None, passes: timedelta) -> Any:
        """Restored while another invite was open, then given an end: that link brings nobody past it."""
        self._a_moment_later()
        access_id = list(self.stage.places)[number % len(self.stage.places)]
        self.stage.move_access(access_id, "removed")
        told = self.stage.invite_again_of(access_id)
        self.stage.move_access(access_id, "restored")
        self.stage.date_access(access_id, self._day(days))
        self.stage.pass_time(passes)
        self.stage.press(told, self.stage.look(told, told.generation))
        return self._link_of(told)

    # Helpers

    @staticmethod
    def _day(days: int | None) -> date | None:
        return None if days is None else utc_now().date() + timedelta(days=days)

    def _a_moment_later(self) -> None:
        """Two moves never fall into the same millisecond: ids sort by time."""
        self.stage.pass_time(timedelta(seconds=1))

    def _told(self, link: tuple[str, int]) -> Told:
        self._a_moment_later()
        self.stage.touched = self.stage.invites[link[0]]
        return self.stage.touched

    def _open(self, link: tuple[str, int]) -> Told:
        """The link's invite; where it has ended, the person is invited again, unless they are in."""
        told = self._told(link)
        if told.state is not InviteState.PENDING:
            told = self.stage.invite_again(told) or told
        self.stage.touched = told
        return told

    def _link_of(self, told: Told | None) -> Any:
        """The newest link of the invite joins the bundle."""
        return multiple() if told is None else multiple((told.id, told.generation))

    def _happens(self, told: Told, what: str) -> Any:
        """One move of those that may come in between; the links that it mailed."""
        self._a_moment_later()
        stage = self.stage
        if what == "accepted":
            stage.press(told, stage.look(told, told.generation))
        elif what == "declined":
            stage.decline(told)
        elif what == "revoked":
            stage.revoke(told)
        elif what == "resent":
            stage.resend(told)
            return self._link_of(told)
        elif what == "moved":
            next_one = (stage.addresses.index(told.email) + 1) % len(stage.addresses)
            return self._link_of(stage.change_address(told, next_one))
        elif what == "a month":
            stage.pass_time(MONTH)
        elif what == "extended":
            stage.extend(told, 90)
        elif what == "stopped":
            stage.stop_reminders(told)
        elif what == "dated":
            stage.date_invite(told, self._day(3))
        return multiple()


@pytest.fixture
def stage(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Play]:
    """One application and one database for all lives."""
    with both_kinds(backend, tmp_path, request) as app, time_machine.travel(BEGIN, tick=False) as clock:
        stage = Play(app, clock)
        with app.app_context():
            yield stage


def test_an_invite_lives_by_its_rules(stage: Play) -> None:
    """Played on each database; a failure prints the story that leads to it."""
    for number in range(int(os.environ.get("PORTAL_TEST_HANDFULS", HANDFULS))):
        run_state_machine_as_test(
            seed(number)(type("Life", (Life,), {"stage": stage})),
            settings=settings(
                max_examples=LIVES,
                stateful_step_count=STEPS,
                derandomize=True,
                deadline=None,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
