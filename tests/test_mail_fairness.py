"""Firms take turns: one firm's many mails do not delay another's one. On both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from mail import claim, settle
from mail.outcomes import Outcome, Sent, Temporary
from mail.settle import Result
from models import MailKind, MailState, Outbox, db, new_id, unit_of_work, utc_now
from models.database import statements
from tests.support.post import both_kinds
from tests.support.world import make_world


@pytest.fixture
def post(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    with both_kinds(backend, tmp_path, request) as app:
        yield app


def put(app: Flask, firm_id: str | None, number: int) -> None:
    """So many due notices of a firm."""
    now = utc_now()
    rows: list[dict[str, Any]] = [
        {"id": new_id(), "firm_id": firm_id, "kind": MailKind.STAFF_NOTICE, "to_email": f"{n}@x.example", "to_name": "",
         "params": {}, "state": MailState.QUEUED, "due_at": now, "attempts": 0, "crashes": 0, "message_id": "", "error": "",
         "created_at": now}
        for n in range(number)
    ]  # fmt: skip
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.insert(Outbox), rows)


def firms(app: Flask, names: int) -> list[str]:
    return [make_world(app, f"Firm {n}", f"firm{n}.example").firm_id for n in range(names)]


def take(app: Flask, limit: int) -> list[str | None]:
    with app.app_context(), unit_of_work():
        return [mail.firm_id for mail in claim.claim(limit, utc_now(), 300)]


def test_each_firm_gets_an_equal_share(post: Flask) -> None:
    big, small, other = firms(post, 3)
    put(post, big, 2000)
    put(post, small, 1)
    put(post, other, 50)
    put(post, None, 3)
    first = take(post, 100)
    assert Counter(first)[small] == 1
    assert Counter(first)[None] == 3
    assert len(first) >= 60
    assert first.index(small) < 6  # and not behind the others within the batch
    assert Counter(first)[other] >= 30
    second = take(post, 100)
    assert Counter(second)[big] >= 50


def test_with_more_firms_than_fit_none_waits_for_ever(post: Flask) -> None:
    ids = firms(post, 6)
    for firm_id in ids:
        put(post, firm_id, 40)
    taken: Counter[str | None] = Counter()
    for _ in range(40):
        taken.update(take(post, 2))
    assert set(taken) == set(ids)
    assert sum(taken.values()) == 80


def test_everything_is_taken_once_whatever_the_shares(post: Flask) -> None:
    for firm_id, number in zip(firms(post, 3), (250, 7, 33), strict=True):
        put(post, firm_id, number)
    taken = 0
    while batch := take(post, 100):
        taken += len(batch)
    assert taken == 290
    with post.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).where(Outbox.state == MailState.SENDING)) == 290


def test_neither_mails_nor_firms_add_statements(post: Flask) -> None:
    def count() -> int:
        with post.app_context(), statements() as seen, unit_of_work():
            claim.claim(100, utc_now(), 300)
            return len([line for line in seen if "PRAGMA" not in line and "BEGIN" not in line])

    ids = firms(post, 4)
    put(post, ids[0], 10)
    few = count()
    for firm_id in ids:
        put(post, firm_id, 100)
    assert count() <= few + 1


def test_a_claim_looks_at_its_batch_alone(post: Flask) -> None:
    """The plan of the statements reads the index by firm: nothing sorts or scans a firm's 5,000."""
    (firm_id,) = firms(post, 1)
    put(post, firm_id, 5000)
    with post.app_context():
        if db.engine.dialect.name == "postgresql":
            db.session.execute(sa.text("ANALYZE outbox"))
            db.session.execute(sa.text("SET enable_seqscan = off"))
        explain = "EXPLAIN " if db.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
        statement = claim._FIRMS_WAITING.params(now=utc_now(), number=100).compile(
            db.engine, compile_kwargs={"literal_binds": True, "render_postcompile": True}
        )
        plan = "\n".join(
            str(row[-1]) for row in db.session.execute(sa.text(explain + str(statement).replace(":", "\\:")))
        )
        assert "ix_outbox_turn" in plan


@pytest.mark.one_database
def test_no_statement_of_a_worker_reads_the_whole_outbox(post: Flask) -> None:
    """SQLite's plans of the statements as they are run, with their parameters: a million sent mails cost nothing."""
    (firm_id,) = firms(post, 1)
    put(post, firm_id, 50)
    with post.app_context():
        seen: list[tuple[str, Any]] = []
        sa.event.listen(
            db.engine,
            "before_cursor_execute",
            lambda c, cursor, line, values, *rest: seen.append((line, values)),
        )
        assert claim.anything_due(utc_now())
        claim.next_due()
        db.session.rollback()
        with unit_of_work():
            mails = claim.claim(20, utc_now(), 300)
        outcomes: list[Outcome] = [Sent(), Temporary("later")]
        with unit_of_work():
            settle.settle([Result(mail, outcomes[n % 2]) for n, mail in enumerate(mails)], utc_now())
        ours = [(line, values) for line, values in seen if "outbox" in line]
        assert len(ours) >= 7
        for line, values in ours:
            one = values[0] if isinstance(values, list) else values
            plan = [
                str(row[-1])
                for row in db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {line}", one)
            ]
            assert not [step for step in plan if step.startswith("SCAN outbox")], (line, plan)
            if line.startswith("UPDATE"):
                assert any("sqlite_autoindex_outbox_1 (id=?)" in step for step in plan), (line, plan)
