"""The catalogue: three kinds, complete contracts, names once; and what a receiver can and can't break."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest
import sqlalchemy as sa
from flask import Flask

import hooks
from hooks.dispatch import dispatch_due
from hooks.signals import CATALOGUE, DuplicateSignal, Fact, Question, Signal, Trigger
from models import Event, append_event, append_events, db, unit_of_work
from models.database import statements
from tests.support.world import World, make_world

CONTRACT = {
    "question": {"client_request_sending", "file_visibility_changing", "esign_request_sending"},
    "trigger": {"client_request_sent", "file_made_visible", "esign_request_sent", "file_uploaded"},
    "fact": {
        "invite_created", "invite_mailed", "invite_bounced", "invite_resent", "invite_accepted", "invite_declined",
        "invite_revoked", "invite_expired", "access_removed", "access_suspended", "access_restored",
        "client_request_viewed", "client_request_submitted", "file_opened", "esign_request_signed",
        "esign_request_completed", "esign_request_declined",
    },
}  # fmt: skip


@pytest.fixture
def receiver() -> Iterator[object]:
    """`receiver(signal, function)` connects for the time of this test."""
    connected: list[tuple[Signal, object]] = []

    def connect(signal: Signal, function: object) -> None:
        signal.connect(function)
        connected.append((signal, function))

    yield connect
    for signal, function in connected:
        signal.disconnect(function)


@pytest.mark.parametrize("kind", CONTRACT)
def test_the_names_of_the_contract_are_there(kind: str) -> None:
    names = {signal.name for signal in CATALOGUE.values() if signal.kind == kind}
    assert names >= CONTRACT[kind]
    assert all(getattr(hooks, name) is CATALOGUE[name] for name in CONTRACT[kind])


@pytest.mark.parametrize("name", sorted(itertools.chain(*CONTRACT.values())))
def test_every_signal_has_a_complete_doc(name: str) -> None:
    signal = CATALOGUE[name]
    for part in ("When: ", "Sender: ", "Arguments:", "Answer: "):
        assert part in signal.__doc__
    assert signal.arguments
    assert all(meaning.strip() for meaning in signal.arguments.values())


def test_a_name_is_taken_once() -> None:
    with pytest.raises(DuplicateSignal, match="invite_created"):
        Fact("invite_created", when="again", arguments={})


def test_kinds_have_their_own_verbs_and_exact_arguments() -> None:
    for signal in CATALOGUE.values():
        with pytest.raises(TypeError):
            signal.send("file")
    with pytest.raises(TypeError, match="exactly"):
        hooks.client_request_sent.fire("client-request", item=1)


def test_receivers_are_held_strongly(receiver) -> None:
    heard = []

    def connect_a_nested_one() -> None:
        def nested(sender: str, **extra: object) -> None:
            heard.append(sender)

        receiver(hooks.file_uploaded, nested)

    connect_a_nested_one()
    gc.collect()
    hooks.file_uploaded.fire("file", items=[], client=None, member=None)
    assert heard == ["file"]


def test_a_broken_trigger_receiver_is_a_refusal_with_a_sentence(receiver) -> None:
    def broken(sender: str, **extra: object) -> None:
        raise ZeroDivisionError

    receiver(hooks.file_uploaded, broken)
    with pytest.raises(hooks.Refused, match="nothing was sent or kept"):
        hooks.file_uploaded.fire("file", items=[], client=None, member=None)


class TestFacts:
    @pytest.fixture
    def world(self, app: Flask) -> World:
        return make_world(app)

    def happen(self, world: World, times: int = 1) -> None:
        with world.app.app_context(), unit_of_work():
            for _ in range(times):
                append_event("invite_accepted", firm_id=world.firm_id, workflow="file", actor="system")

    def dispatch(self, world: World, patience: float = 5.0) -> None:
        with world.app.app_context():
            while dispatch_due(world.app, patience=patience):
                pass
            assert db.session.scalar(sa.select(sa.func.count()).where(Event.dispatched_at.is_(None))) == 0

    def test_a_committed_event_becomes_a_fact_once(self, world: World, receiver) -> None:
        heard = []
        receiver(hooks.invite_accepted, lambda sender, **arguments: heard.append((sender, arguments)))
        self.happen(world)
        self.dispatch(world)
        self.dispatch(world)
        [(sender, arguments)] = heard
        assert sender == "file"
        assert arguments.keys() == hooks.invite_accepted.arguments.keys()
        assert arguments["firm_id"] == world.firm_id
        assert arguments["occurred_at"].endswith("Z")

    def test_what_was_rolled_back_never_becomes_a_fact(self, world: World, receiver) -> None:
        heard = []
        receiver(hooks.invite_accepted, lambda sender, **arguments: heard.append(sender))
        with pytest.raises(ZeroDivisionError), world.app.app_context(), unit_of_work():
            append_event("invite_accepted", firm_id=world.firm_id, workflow="file", actor="system")
            raise ZeroDivisionError
        self.dispatch(world)
        assert heard == []

    def test_raising_recursive_and_changing_receivers_harm_nobody(self, world: World, receiver) -> None:
        heard = []

        def raising(sender: str, **extra: object) -> None:
            raise RuntimeError("mine")

        def recursive(sender: str, **extra: object) -> None:
            recursive(sender, **extra)

        def changing(sender: str, *, data: dict, **extra: object) -> None:
            data["spoilt"] = True

        def leaving(sender: str, **extra: object) -> None:
            raise SystemExit

        for function in (raising, recursive, changing, leaving):
            receiver(hooks.invite_accepted, function)
        receiver(hooks.invite_accepted, lambda sender, *, data, **extra: heard.append(dict(data)))
        self.happen(world, times=2)
        self.dispatch(world)
        assert heard == [{}, {}]

    def test_a_hanging_receiver_is_left_behind(self, world: World, receiver) -> None:
        heard, release = [], threading.Event()
        receiver(hooks.invite_accepted, lambda sender, **extra: release.wait(60))
        receiver(hooks.invite_accepted, lambda sender, **extra: heard.append(sender))
        self.happen(world, times=2)
        self.dispatch(world, patience=0.2)
        assert heard == ["file", "file"]
        release.set()

    def test_who_hung_at_one_fact_hears_the_next(self, world: World, receiver) -> None:
        heard, release = [], threading.Event()

        def hangs_once(sender: str, *, event_id: str, **extra: object) -> None:
            heard.append(event_id)
            if len(heard) == 2:
                release.wait(60)

        receiver(hooks.invite_accepted, hangs_once)
        self.happen(world, times=30)
        self.dispatch(world, patience=0.5)
        release.set()
        assert len(set(heard)) == len(heard) == 30

    def test_each_call_has_an_application_context_of_its_own(self, world: World, receiver) -> None:
        """What one leaves open in its session is not the next one's."""
        left = []

        def untidy(sender: str, **extra: object) -> None:
            left.append(bool(db.session.new))
            db.session.add(Event(name="never kept", firm_id=world.firm_id, workflow=sender))

        receiver(hooks.invite_accepted, untidy)
        self.happen(world, times=3)
        self.dispatch(world)
        assert left == [False] * 3

    def test_what_a_receiver_leaves_in_its_context_is_not_the_next_one_s(
        self, world: World, receiver
    ) -> None:
        seen, mood = [], ContextVar("mood", default="calm")

        def moody(sender: str, **extra: object) -> None:
            seen.append(mood.get())
            mood.set("cross")

        receiver(hooks.invite_accepted, moody)
        for _ in range(3):
            self.happen(world)
            self.dispatch(world)
        assert seen == ["calm"] * 3

    def test_who_hung_and_came_back_takes_no_thread_away(self, world: World, receiver) -> None:
        """Threads are kept, and one that is left behind is free again when its call ends."""
        heard, release = [], threading.Event()

        def hangs_first(sender: str, **extra: object) -> None:
            heard.append(threading.get_ident())
            if len(heard) == 1:
                release.wait(60)

        receiver(hooks.invite_accepted, hangs_first)
        self.happen(world)
        self.dispatch(world, patience=0.2)
        release.set()
        for _ in range(5):
            self.happen(world)
            self.dispatch(world)
        assert len(heard) == 6
        assert len(set(heard)) <= 2

    def test_events_nobody_listens_to_are_marked_together(self, world: World, receiver) -> None:
        heard = []
        receiver(hooks.invite_accepted, lambda sender, *, event_id, **extra: heard.append(event_id))
        with world.app.app_context(), unit_of_work():
            shared = {"firm_id": world.firm_id, "workflow": "file", "data": {"number": 1}}
            append_events([{"name": "invite_created", **shared}] * 300)
        self.happen(world)
        with world.app.app_context():
            with statements() as seen:
                assert dispatch_due(world.app) == 301
            assert len([statement for statement in seen if statement.startswith("UPDATE")]) == 2
            assert (
                db.session.scalars(sa.select(Event.id).where(Event.name == "invite_accepted")).all() == heard
            )
        self.dispatch(world)

    def test_a_receiver_may_write_by_a_unit_of_work(self, world: World, receiver) -> None:
        def writing(sender: str, *, firm_id: str, **extra: object) -> None:
            with unit_of_work():
                append_event("noted", firm_id=firm_id, workflow=sender)

        receiver(hooks.invite_accepted, writing)
        self.happen(world)
        self.dispatch(world)
        with world.app.app_context():
            assert db.session.scalars(sa.select(Event.name).order_by(Event.id)).all() == [
                "invite_accepted",
                "noted",
            ]


def test_every_kind_is_one_of_three() -> None:
    assert {type(signal) for signal in CATALOGUE.values()} <= {Question, Trigger, Fact}
