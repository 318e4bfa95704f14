"""Too many tries, counted exactly however many come at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from werkzeug.exceptions import TooManyRequests

from models import RateLimit, db, utc_now
from tests.doors import open_doors, sign_in_as, token_in
from tests.support.world import World, make_world
from web import limits

DANA = "dana@northwind.example"


@pytest.fixture
def doors(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    yield from open_doors(backend, tmp_path, request)


@pytest.fixture
def world(doors: Flask) -> World:
    return make_world(doors)


def test_wrong_passwords_close_the_door_for_a_while(doors: Flask, world: World) -> None:
    with time_machine.travel(utc_now(), tick=False) as clock:
        client = doors.test_client()
        for _ in range(10):
            assert sign_in_as(client, DANA, "wrong but long enough").status_code == 200
        refused = sign_in_as(client, DANA)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 900
        assert "tried too often" in refused.text
        assert sign_in_as(client, "Dana@Northwind.EXAMPLE").status_code == 429, "the same address"
        assert sign_in_as(doors.test_client(), "sam@northwind.example").status_code == 302, "another address"
        clock.shift(timedelta(minutes=16))
        assert sign_in_as(client, DANA).status_code == 302


def test_an_office_behind_one_address_signs_in_as_often_as_it_likes(doors: Flask, world: World) -> None:
    for _ in range(12):
        assert sign_in_as(doors.test_client(), DANA).status_code == 302


def test_unknown_links_are_counted_and_good_ones_are_not(doors: Flask, world: World) -> None:
    client = doors.test_client()
    for _ in range(40):
        assert client.get("/portal/invite/good").status_code == 200
    for number in range(30):
        assert client.get(f"/portal/invite/guess{number}").text == "unknown"
    assert client.get("/portal/invite/guess").status_code == 429
    elsewhere = doors.test_client()
    assert elsewhere.get("/portal/invite/x", environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 200


def test_reset_mails_for_one_address_are_few(doors: Flask, world: World) -> None:
    client = doors.test_client()
    token = token_in(client.get("/reset"))
    answers = [client.post("/reset", data={"email": DANA, "csrf_token": token}).status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]


def test_a_refused_try_at_the_api_is_a_problem_with_retry_after(doors: Flask, world: World) -> None:
    client = doors.test_client()
    for _ in range(60):
        assert client.get("/api/v1/whoami", headers={"Authorization": "Bearer guess"}).status_code == 401
    answer = client.get("/api/v1/whoami", headers={"Authorization": "Bearer guess"})
    assert answer.status_code == 429
    assert answer.content_type == "application/problem+json"
    assert answer.get_json()["code"] == "too_many_requests"
    assert int(answer.headers["Retry-After"]) > 0


def test_sixteen_at_once_are_counted_exactly(doors: Flask, world: World) -> None:
    def one(number: int) -> bool:
        with doors.test_request_context():
            try:
                limits.hit("accept_code", "one invite")
            except TooManyRequests:
                return False
            return True

    with doors.app_context():
        allowed = limits.LIMITS["accept_code"]
    with ThreadPoolExecutor(16) as pool:
        passed = sum(pool.map(one, range(48)))
    assert passed == int(allowed.split()[0])
    with doors.app_context():
        assert db.session.scalars(sa.select(RateLimit.hits)).all() == [48]


def test_the_counters_name_nobody(doors: Flask, world: World) -> None:
    sign_in_as(doors.test_client(), DANA, "wrong but long enough")
    with doors.app_context():
        keys = db.session.scalars(sa.select(RateLimit.key)).all()
    assert len(keys) == 2
    for key in keys:
        assert "dana" not in key
        assert "127.0.0.1" not in key


def test_old_counters_are_swept(doors: Flask, world: World) -> None:
    with time_machine.travel(utc_now() - timedelta(days=2), tick=False), doors.test_request_context():
        for number in range(5):
            limits.miss("link", f"source {number}")
    with doors.test_request_context():
        limits.miss("link", "today")
        assert db.session.scalar(sa.select(sa.func.count()).select_from(RateLimit)) == 1


def test_counting_never_touches_the_requests_transaction(doors: Flask, world: World) -> None:
    with doors.test_request_context():
        limits.miss("link")
        db.session.rollback()
        assert db.session.scalars(sa.select(RateLimit.hits)).all() == [1]


@pytest.mark.one_database
def test_limits_can_be_switched_off(tmp_path: Path, request: pytest.FixtureRequest, backend: str) -> None:
    (tmp_path / "off").mkdir()
    for app in open_doors(backend, tmp_path / "off", request, RATE_LIMITS="false"):
        make_world(app)
        client = app.test_client()
        for _ in range(12):
            assert sign_in_as(client, DANA, "wrong but long enough").status_code == 200
