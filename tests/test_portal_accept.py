"""Accepting: a login of one's own, the mailed code, and one access however many press the button."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from invites import access
from models import (
    AcceptCode,
    AccessState,
    Event,
    Firm,
    Invite,
    InviteState,
    Login,
    PortalAccess,
    db,
    unit_of_work,
)
from tests.portal import (
    ADA,
    NEW_PASSWORD,
    OUTSIDER,
    accept,
    code,
    everything,
    form_token,
    invite,
    link,
    sign_in,
    survey,
    view_of,
    words,
)
from tests.support.world import World, give_access, mails, make_client, make_world


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", "will@byron.example"))


def start_of(location: str) -> str:
    return location.partition("start=")[2][:26]


def count(app: Flask, model: type) -> int:
    with app.app_context():
        return int(db.session.scalar(sa.select(sa.func.count()).select_from(model)) or 0)


def test_accepting_lands_on_the_very_item(world: World, byron: str, client: FlaskClient) -> None:
    first = survey(world, byron, ADA, title="First survey")
    survey(world, byron, ADA, title="Second survey")
    answer = accept(client, world.app, link(world.app, ADA, first), follow=False)
    assert (answer.status_code, answer.location) == (303, f"/portal/items/{first}")
    page = client.get(answer.location)
    assert "First survey" in words(page)
    assert "You're in" in words(page)
    home = words(client.get("/portal/"))
    assert "2 things to do" in home
    with world.app.app_context():
        login = db.session.scalars(sa.select(Login).where(Login.email == ADA)).one()
        assert login.name == "Ada Byron"
        assert login.password is not None
        assert NEW_PASSWORD not in login.password
        names = list(db.session.scalars(sa.select(Event.name).where(Event.name == "invite_accepted")))
        assert len(names) == 1


def test_the_new_password_signs_in_afterwards(world: World, byron: str, client: FlaskClient) -> None:
    invite(world, byron, ADA)
    accept(client, world.app, link(world.app, ADA))
    again = world.app.test_client()
    assert sign_in(again, ADA, NEW_PASSWORD).location == "/portal/"


def test_the_session_gets_a_new_id(world: World, byron: str, client: FlaskClient) -> None:
    client.get("/login")
    before = client.get_cookie("portal_session")
    invite(world, byron, ADA)
    accept(client, world.app, link(world.app, ADA))
    after = client.get_cookie("portal_session")
    assert after is not None
    assert before is None or before.value != after.value


def test_a_code_goes_to_the_invited_address_and_nothing_is_accepted_yet(
    world: World, byron: str, client: FlaskClient
) -> None:
    invite(world, byron, ADA)
    answer = client.post(link(world.app, ADA), data={"name": "Ada", "password": NEW_PASSWORD})
    assert answer.status_code == 303
    page = client.get(answer.location)
    assert "Enter the code we sent you" in words(page)
    assert 'autocomplete="one-time-code"' in page.text
    assert mails(world.app)[-1] == (ADA, "accept_code", "queued")
    assert count(world.app, PortalAccess) == 0
    assert code(world.app) not in page.text


def test_wrong_codes_are_counted_and_the_fifth_ends_it(world: World, byron: str, client: FlaskClient) -> None:
    invite(world, byron, ADA)
    path = link(world.app, ADA)
    start = start_of(client.post(path, data={"name": "Ada", "password": NEW_PASSWORD}).location)
    wrong = "000000" if code(world.app) != "000000" else "111111"
    for left in ("4 more tries", "3 more tries", "2 more tries", "1 more try", "start again"):
        page = client.post(f"{path}/code", data={"code": wrong, "start": start})
        assert page.status_code == 422
        assert left in words(page)
    page = client.post(f"{path}/code", data={"code": code(world.app), "start": start})
    assert page.status_code == 409
    assert count(world.app, PortalAccess) == 0
    again = client.post(f"{path}/code/again", data={"start": start})
    assert again.status_code == 303
    answer = client.post(f"{path}/code", data={"code": code(world.app), "start": start_of(again.location)})
    assert answer.status_code == 303
    assert count(world.app, PortalAccess) == 1


def test_spaces_in_the_code_are_fine(world: World, byron: str, client: FlaskClient) -> None:
    invite(world, byron, ADA)
    path = link(world.app, ADA)
    start = start_of(client.post(path, data={"name": "Ada", "password": NEW_PASSWORD}).location)
    digits = code(world.app)
    typed = f" {digits[:3]} {digits[3:]} "
    assert client.post(f"{path}/code", data={"code": typed, "start": start}).status_code == 303


def test_nobody_puts_their_password_under_somebody_elses_code(world: World, byron: str) -> None:
    """A forwarded link: Eve begins after Ada did, and Ada types the code that Eve's beginning mailed her."""
    ada, eve = world.app.test_client(), world.app.test_client()
    invite(world, byron, ADA)
    path = link(world.app, ADA)
    mine = start_of(ada.post(path, data={"name": "Ada", "password": NEW_PASSWORD}).location)
    eve.post(path, data={"name": "Eve", "password": "mallow tangent ferry"})
    answer = ada.post(f"{path}/code", data={"code": code(world.app), "start": mine})
    assert (answer.status_code, count(world.app, Login)) == (303, 3)
    assert "note=begin" in answer.location
    assert count(world.app, PortalAccess) == 0


@pytest.mark.parametrize(
    "name, password, said",
    [
        ("Ada Byron", "short", "at least 12 characters"),
        ("Ada Byron", "passwordpassword", "easy to guess"),
        ("", NEW_PASSWORD, "Enter your full name"),
        ("A" * 201, NEW_PASSWORD, "At most 200 characters"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_the_name_is_kept(
    world: World, byron: str, client: FlaskClient, name: str, password: str, said: str
) -> None:
    invite(world, byron, ADA)
    before = everything(world.app)
    page = client.post(link(world.app, ADA), data={"name": name, "password": password})
    assert page.status_code == 422
    assert said in words(page)
    assert name in page.text
    if password != NEW_PASSWORD:
        assert password not in page.text
    assert "Set-Cookie" not in page.headers
    assert everything(world.app) == before


def test_a_firm_may_do_without_the_code(world: World, byron: str, client: FlaskClient) -> None:
    with world.app.app_context(), unit_of_work():
        db.session.get_one(Firm, world.firm_id).accept_needs_code = False
    item = survey(world, byron, ADA)
    answer = client.post(link(world.app, ADA, item), data={"name": "Ada", "password": NEW_PASSWORD})
    assert (answer.status_code, answer.location) == (303, f"/portal/items/{item}")


@pytest.mark.settings(ACCEPT_NEEDS_CODE="false")
def test_one_login_for_two_clients(world: World, byron: str, client: FlaskClient) -> None:
    hopper = make_client(world, "Hopper Compilers Inc.")
    invite(world, byron, ADA)
    client.post(link(world.app, ADA), data={"name": "Ada", "password": NEW_PASSWORD})
    item = survey(world, hopper, ADA, title="Year end")
    path = link(world.app, ADA, item)
    assert f"You are signed in as {ADA}" in words(client.get(path))
    assert client.post(path).location == f"/portal/items/{item}"
    assert (count(world.app, Login), count(world.app, PortalAccess)) == (4, 2)
    assert "Hopper Compilers Inc." in words(client.get("/portal/todo"))


@pytest.mark.settings(ACCEPT_NEEDS_CODE="false", RATE_LIMITS="false")
def test_many_accepts_of_one_link_are_one_access(world: World, byron: str) -> None:
    for turn in range(3):
        address = f"person{turn}@ledger.example"
        survey(world, byron, address)
        path = link(world.app, address)
        start = threading.Barrier(8)
        answers: list[int] = []

        def press(path: str = path, start: threading.Barrier = start, answers: list[int] = answers) -> None:
            person = world.app.test_client()
            start.wait()
            answers.append(person.post(path, data={"name": "One", "password": NEW_PASSWORD}).status_code)

        threads = [threading.Thread(target=press) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [303] + [409] * 7
        with world.app.app_context():
            found = db.session.scalars(sa.select(PortalAccess).where(PortalAccess.email == address)).unique()
            assert len(list(found)) == 1


def test_a_login_made_meanwhile_is_asked_to_sign_in(world: World, byron: str, client: FlaskClient) -> None:
    """Two clients invite one address, and both links are open: the second accept finds the login of the first."""
    hopper = make_client(world, "Hopper Compilers Inc.")
    invite(world, byron, OUTSIDER)
    first = link(world.app, OUTSIDER)
    begun = start_of(client.post(first, data={"name": "Rose", "password": NEW_PASSWORD}).location)
    first_code = code(world.app)
    invite(world, hopper, OUTSIDER)
    other = world.app.test_client()
    accept(other, world.app, link(world.app, OUTSIDER), "Rose")
    answer = client.post(f"{first}/code", data={"code": first_code, "start": begun})
    assert answer.status_code == 409
    assert "Sign in to accept" in words(answer)
    with world.app.app_context():
        rows = db.session.scalars(sa.select(Invite.state).order_by(Invite.id)).all()
        assert [state.value for state in rows] == ["pending", "accepted"]


def test_a_code_is_over_after_its_time(world: World, byron: str, client: FlaskClient) -> None:
    invite(world, byron, ADA)
    path = link(world.app, ADA)
    begun = client.post(path, data={"name": "Ada", "password": NEW_PASSWORD})
    digits = code(world.app)
    with world.app.app_context(), unit_of_work():
        row = db.session.scalars(sa.select(AcceptCode)).one()
        row.expires_at = row.created_at
    answer = client.post(
        f"{path}/code", data={"code": digits, "start": start_of(begun.location)}, follow_redirects=True
    )
    assert "Enter your name and password again" in words(answer)
    assert count(world.app, PortalAccess) == 0


def test_signing_out_ends_it(world: World, byron: str, client: FlaskClient) -> None:
    invite(world, byron, ADA)
    accept(client, world.app, link(world.app, ADA))
    copied = client.get_cookie("portal_session")
    assert copied is not None
    client.post("/logout", data={"csrf_token": form_token(client.get("/portal/"))})
    thief = world.app.test_client()
    thief.set_cookie("portal_session", copied.value)
    assert thief.get("/portal/").status_code == 302


def test_an_open_link_lets_nobody_in_past_a_suspension(world: World, byron: str, client: FlaskClient) -> None:
    access_id = give_access(world, byron, ADA)
    moves = [access.remove, access.restore, access.suspend]
    for move in moves:
        with world.app.app_context(), unit_of_work():
            move(db.session.get_one(PortalAccess, access_id), view_of(world).member)
        if move is access.remove:
            invite(world, byron, ADA)  # open when staff restored the access instead
    sign_in(client, ADA)
    path = link(world.app, ADA)
    answer = client.post(path)
    assert answer.status_code == 409
    assert "Your access is suspended at the moment." in words(answer)
    assert "please ask Northwind Tax" in words(answer)
    with world.app.app_context():
        assert db.session.get_one(PortalAccess, access_id).state is AccessState.SUSPENDED
        assert db.session.scalars(sa.select(Invite)).one().state is InviteState.PENDING
