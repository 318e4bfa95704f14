"""A form that is sent twice (a double click without a script, a connection that broke) is carried out once."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.datastructures import MultiDict

from models import Client, Contact, Invite, Job, MessageTemplate, Outbox, TeamMember, WorkItem, db
from tests.staff import Shown, Staff
from tests.support.together import crowd
from tests.support.world import World, make_client, make_world
from workflows.esign_request.sample import engagement_letter

ADA, WILL = "ada@byron.example", "will@byron.example"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


def rows(app: Flask, table: Any) -> int:
    with app.app_context():
        return int(db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def posted(
    shown: Shown, button: str = "", action: str = "", **changes: Any
) -> tuple[str, MultiDict[str, Any]]:
    """What pressing the button sends, to be sent as often as one likes: (address, data)."""
    data = shown.fields(action)
    for name, value in changes.items():
        data.setlist(name.replace("__", "-"), value if isinstance(value, list) else [value])
    if button:
        name, _, value = button.partition("=")
        data.setlist(name, [value])
    return shown.form(action).get("action") or shown.path, data


def test_send_pressed_twice_makes_one_item_and_shows_the_same_pop_up(
    app: Flask, dana: Staff, byron: str
) -> None:
    window = dana.open(f"/clients/{byron}/send/client-request").press(title="Organizer")
    url, data = posted(window, "do=send", action="/send/")
    first = dana.post(url, data)
    again = dana.post(url, data)
    assert rows(app, WorkItem) == 1
    assert rows(app, Invite) == 2
    assert rows(app, Outbox) == 2
    for shown in (first, again):
        assert "Invite sent" in shown.words
        assert shown.words.count("Invited") == first.words.count("Invited") > 0
    assert first.words == again.words


def test_a_form_that_went_back_and_was_changed_is_another_one(app: Flask, dana: Staff, byron: str) -> None:
    window = dana.open(f"/clients/{byron}/send/client-request").press(title="Organizer")
    url, data = posted(window, "do=send", action="/send/")
    dana.post(url, data)
    data["title"] = "Organizer, second part"
    dana.post(url, data)
    assert rows(app, WorkItem) == 2
    dana.open(f"/clients/{byron}/send/client-request").press(title="Organizer").press("do=send", "/send/")
    assert rows(app, WorkItem) == 3  # the same words in a form drawn anew


def test_what_was_refused_may_be_sent_again(app: Flask, dana: Staff, byron: str) -> None:
    window = dana.open(f"/clients/{byron}/send/client-request").press(title="Organizer")
    refused = window.press("do=send", "/send/", people__0__tick=None, people__1__tick=None)
    assert refused.status == 422
    assert refused.fields("/send/")["form_key"] == window.fields("/send/")["form_key"]
    refused.press("do=send", "/send/", people__0__tick="1")
    assert rows(app, WorkItem) == 1


def test_two_at_the_same_moment_make_one_item(app: Flask, dana: Staff, byron: str) -> None:
    window = dana.open(f"/clients/{byron}/send/client-request").press(title="Organizer")
    url, data = posted(window, "do=send", action="/send/")
    cookies = dana.client.get_cookie("portal_session")
    assert cookies is not None

    def press() -> Shown:
        browser = app.test_client()
        browser.set_cookie("portal_session", cookies.value)
        return Staff(browser).post(url, data)

    with crowd() as people:
        shown = people.at_once([press] * 6)
    assert [page.status for page in shown] == [200] * 6
    assert all("Invite sent" in page.words for page in shown)
    assert rows(app, WorkItem) == 1
    assert rows(app, Invite) == 2


def test_a_script_that_asks_again_is_led_to_the_result(app: Flask, dana: Staff, byron: str) -> None:
    window = dana.open(f"/clients/{byron}/invite")
    url, data = posted(window, "do=send", action="/invite")
    answers = [dana.post(url, data, headers={"X-Fragment": "window"}).answer for _ in range(2)]
    assert all(f"/clients/{byron}?sent=" in answer.headers["X-Location"] for answer in answers)
    assert "Already invited" not in dana.open(answers[1].headers["X-Location"]).words


@pytest.mark.one_database
def test_signing_without_a_window_and_with_one_is_sent_once(app: Flask, dana: Staff, byron: str) -> None:
    pdf = (BytesIO(engagement_letter("Northwind Tax", "Byron Family", 2026)), "Letter.pdf")
    window = dana.open(f"/clients/{byron}/send/esign-request").press(
        "", "/esign-request", file=[pdf], another=None
    )
    url, data = posted(window, "do=send", action="/esign-request")
    first, again = dana.post(url, data), dana.post(url, data)
    assert first.status == again.status == 200
    assert first.words == again.words
    assert rows(app, WorkItem) == 1
    skipping = dana.open(f"/clients/{byron}/send/client-request").press(title="Quiet")
    url, data = posted(skipping, "do=skip", action="/send/")
    assert dana.post(url, data).words == dana.post(url, data).words
    assert rows(app, WorkItem) == 2


@pytest.mark.one_database
def test_files_are_uploaded_once(app: Flask, dana: Staff, byron: str) -> None:
    form = dana.open(f"/clients/{byron}/send/file")
    words = []
    for content in (b"one", b"one", b"two"):
        words.append(form.press("", "/send/file", file=[(BytesIO(content), "one.txt")]).words)
    assert rows(app, WorkItem) == 2  # another content is another file
    assert all("uploaded." in text for text in words)


@pytest.mark.one_database
@pytest.mark.parametrize(
    "path, changes, table",
    [
        ("/clients/new", {"kind": "business", "name": "New Ltd"}, Client),
        ("/clients/{byron}/contacts/new", {"name": "Anna", "email": ""}, Contact),
        ("/templates/messages/new", {"name": "Short", "body": "Hello"}, MessageTemplate),
        ("/settings/team/new", {"email": "new@northwind.example", "name": "New"}, TeamMember),
        ("/portals/bulk?tab=without&action=invite&all=1", {"do": "start"}, Job),
    ],
    ids=["client", "contact", "template", "member", "job"],
)
def test_other_forms_that_make_something(
    app: Flask, dana: Staff, byron: str, path: str, changes: dict[str, str], table: Any
) -> None:
    before = rows(app, table)
    url, data = posted(dana.open(path.format(byron=byron)), **changes)
    first, again = dana.post(url, data), dana.post(url, data)
    assert rows(app, table) == before + 1
    assert first.status == again.status == 200
    assert first.path == again.path


@pytest.mark.one_database
def test_an_address_is_changed_once(app: Flask, dana: Staff, byron: str) -> None:
    dana.open(f"/clients/{byron}/invite").press("do=send", "/invite")
    with app.app_context():
        invite_id = db.session.scalar(sa.select(Invite.id).where(Invite.email == ADA))
    form = dana.open(f"/invites/{invite_id}/change-address")
    url, data = posted(form, email="ada@new.example")
    first, again = dana.post(url, data), dana.post(url, data)
    assert first.status == again.status == 200
    assert "ada@new.example" in again.words
    assert rows(app, Invite) == 3


@pytest.mark.one_database
def test_forms_without_a_key_work_as_they_did(app: Flask, dana: Staff, byron: str) -> None:
    """A plugged-in page that draws its form by hand, or a page from before an upgrade."""
    form = dana.open("/clients/new")
    for _ in range(2):
        assert form.press(kind="business", name="Twin", form_key=None).status == 200
    assert rows(app, Client) == 3
