"""An outsider added while sharing one file sees that file and nothing else, by page and by guessing ids."""

from __future__ import annotations

import io

import pytest
from flask import Flask
from flask.testing import FlaskClient

from models import Scope
from tests.portal import ADA, OUTSIDER, accept, esign, file, form_token, link, post, sign_in, survey, words
from tests.support.world import World, give_access, make_client, make_world

SECRETS = ("Tax organizer 2026", "Payroll.xlsx", "Engagement letter", "Hidden.pdf", "Foreign survey")


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA))


@pytest.fixture
def shared(world: World, byron: str) -> str:
    return file(world, byron, OUTSIDER, name="2025 return.pdf", data=b"%PDF-1.4 the shared one")


@pytest.fixture
def others(world: World, byron: str, shared: str) -> list[str]:
    give_access(world, byron, ADA)
    hopper = make_client(world, "Hopper Compilers Inc.")
    return [
        survey(world, byron),
        file(world, byron, name="Payroll.xlsx", data=b"secret numbers"),
        esign(world, byron, ("Ada Byron", ADA)),
        file(world, byron, name="Hidden.pdf", visible=False),
        survey(world, hopper, title="Foreign survey"),
    ]


@pytest.fixture
def outsider(world: World, shared: str, others: list[str], client: FlaskClient) -> FlaskClient:
    accept(client, world.app, link(world.app, OUTSIDER, shared), "Rose Ledger")
    return client


def test_the_file_is_there(outsider: FlaskClient, shared: str) -> None:
    page = outsider.get(f"/portal/items/{shared}")
    assert page.status_code == 200
    assert "2025 return.pdf" in words(page)
    answer = outsider.get(f"/portal/items/{shared}/download")
    assert answer.data == b"%PDF-1.4 the shared one"
    assert "2025 return.pdf" in words(outsider.get("/portal/files"))


def test_no_page_shows_anything_else(outsider: FlaskClient) -> None:
    for path in ("/portal/", "/portal/todo", "/portal/files", "/portal/settings"):
        page = outsider.get(path)
        assert page.status_code == 200
        assert not [secret for secret in SECRETS if secret in page.text]
    assert "Nothing to do" in words(outsider.get("/portal/"))


def test_guessed_ids_are_as_missing_ones(outsider: FlaskClient, shared: str, others: list[str]) -> None:
    missing = outsider.get("/portal/items/01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert missing.status_code == 404
    paths = ("", "/download", "/download/document", "/download/sealed", "/pages/1.png", "/submit", "/decline")
    for item in others:
        for path in paths:
            answer = outsider.get(f"/portal/items/{item}{path}")
            assert answer.status_code == 404, (item, path)
            assert words(answer) == words(missing)
        for path in ("", "/answers", "/submit", "/sign", "/decline"):
            answer = post(outsider, f"/portal/items/{shared}", f"/portal/items/{item}{path}", signer="x")
            assert answer.status_code == 404, (item, path)


def test_nobody_elses_place_takes_an_upload(world: World, outsider: FlaskClient) -> None:
    hopper = make_client(world, "Other Client")
    foreign = give_access(world, hopper, "someone@other.example")
    token = form_token(outsider.get("/portal/files"))
    answer = outsider.post(
        "/portal/files", data={"csrf_token": token, "to": foreign, "file": (io.BytesIO(b"x"), "x.txt")}
    )
    assert answer.status_code == 404
    assert outsider.get(f"/portal/?client={hopper}").status_code == 404


def test_staff_pages_are_not_there(outsider: FlaskClient, byron: str) -> None:
    for path in ("/clients", f"/clients/{byron}", "/portals", "/templates", "/settings"):
        assert outsider.get(path).status_code == 404
    assert outsider.get("/").location == "/portal/"


def test_what_comes_later_stays_hidden_until_it_is_granted(
    world: World, byron: str, outsider: FlaskClient
) -> None:
    later = file(world, byron, name="Later.pdf")
    assert outsider.get(f"/portal/items/{later}").status_code == 404
    granted = file(world, byron, OUTSIDER, name="Granted.pdf", can_see=Scope.ITEMS)
    assert outsider.get(f"/portal/items/{granted}").status_code == 200


def test_the_client_sees_it_all_but_what_is_not_visible(world: World, shared: str, others: list[str]) -> None:
    ada = world.app.test_client()
    sign_in(ada, ADA)
    survey_id, payroll, letter, hidden, foreign = others
    for item in (shared, survey_id, payroll, letter):
        assert ada.get(f"/portal/items/{item}").status_code == 200
    for item in (hidden, foreign):
        assert ada.get(f"/portal/items/{item}").status_code == 404
