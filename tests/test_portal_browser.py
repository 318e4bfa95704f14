"""The client's side in a real browser: from the mail to finished work, on a phone, at a desk, and without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.portal import NEW_PASSWORD, QUESTIONS, letter
from tests.support.browser import DESKTOP, PHONE, Screens, assert_accessible, assert_no_sideways_scroll
from tests.support.live import Live, link_in, one_process

STAFF, PASSWORD = "dana@northwind.example", "correct horse battery"


class Api:
    """A team member's calls."""

    def __init__(self, live: Live, token: str) -> None:
        self.live, self.headers = live, {"Authorization": f"Bearer {token}"}

    def post(self, path: str, **arguments: Any) -> dict[str, Any]:
        reply = requests.post(f"{self.live.url}/api/v1{path}", headers=self.headers, timeout=60, **arguments)
        assert reply.ok, reply.text
        made: dict[str, Any] = reply.json()
        return made

    def client(self, name: str, *people: tuple[str, str]) -> str:
        contacts = [{"name": person, "email": email} for person, email in people]
        return str(self.post("/clients", json={"name": name, "contacts": contacts})["id"])

    def survey(self, client: str, title: str, email: str) -> str:
        body = {"title": title, "questions": QUESTIONS, "invite": {"recipients": [{"email": email}]}}
        return str(self.post(f"/clients/{client}/client-requests", json=body)["id"])

    def file(self, client: str, name: str, email: str, visible: bool = True) -> str:
        invite = f'{{"recipients": [{{"email": "{email}"}}]}}'
        data = {"visible": "true", "invite": invite} if visible else {"visible": "false"}
        parts = {"file": (name, letter(), "application/pdf")}
        return str(self.post(f"/clients/{client}/files", data=data, files=parts)["id"])

    def esign(self, client: str, title: str, name: str, email: str) -> str:
        hidden = self.file(client, f"{title}.pdf", email, visible=False)
        body = {
            "file_id": hidden,
            "title": title,
            "signers": [{"name": name, "email": email}],
            "invite": {"recipients": [{"email": email}]},
        }
        return str(self.post(f"/clients/{client}/esign-requests", json=body)["id"])


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with one_process(tmp_path_factory.mktemp("portal") / "data", "--no-demo") as live:
        live.command("create-firm", "--name", "Northwind Tax", "--email", STAFF, "--password", PASSWORD)
        yield live


@pytest.fixture(scope="module")
def api(live: Live) -> Api:
    return Api(live, live.command("create-token", "--email", STAFF).strip())


def digits_of(live: Live, email: str) -> str:
    for mail in reversed(live.mails(email)):
        body = mail.get_body(("plain",))
        found = re.search(r"^\s*(\d{3})\s?(\d{3})\s*$", body.get_content() if body else "", re.MULTILINE)
        if found:
            return "".join(found.groups())
    raise AssertionError("no code was mailed")


def check(page: Page) -> None:
    assert_accessible(page)
    assert_no_sideways_scroll(page)


def come_in(page: Page, live: Live, email: str, name: str) -> None:
    """From the mail to the item."""
    page.goto(link_in(live.wait_for_mail(email)))
    check(page)
    page.get_by_label("Full name").fill(name)
    page.get_by_label("Create password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_label("Code")).to_be_focused()
    check(page)
    live.wait_for_mail(email, 2)
    page.get_by_label("Code").fill(digits_of(live, email))
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/portal/items/*")
    check(page)


def test_a_survey_from_the_mail_to_submitted(live: Live, api: Api, screens: Screens) -> None:
    for number, size in enumerate((PHONE, DESKTOP)):
        email = f"ada{number}@byron.example"
        client = api.client(f"Byron {number}", ("Ada Byron", email))
        item = api.survey(client, "Tax organizer 2026", email)
        page = screens.open(size, base_url=live.url)
        come_in(page, live, email, "Ada Byron")
        assert page.url.endswith(f"/portal/items/{item}")
        page.get_by_label("Where do you live?").fill("London")
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        page.get_by_role("group", name="Kind of home").get_by_label("Flat").check()
        expect(page.get_by_text("2 of 5 answered")).to_be_visible()
        page.reload()
        expect(page.get_by_label("Where do you live?")).to_have_value("London")
        page.get_by_label("Since when?").fill("1700-01-01")
        expect(page.get_by_text("Check the year of this date.")).to_be_visible()
        check(page)
        page.get_by_label("Since when?").fill("2020-01-01")
        expect(page.get_by_text("Check the year of this date.")).to_have_count(0)
        page.get_by_role("button", name="Submit").click()
        expect(page.get_by_role("heading", name="Submit your answers?")).to_be_visible()
        check(page)
        page.get_by_role("button", name="Submit").click()
        expect(page.get_by_text("is submitted")).to_be_visible()
        check(page)
        for path in ("/portal/", "/portal/todo", "/portal/files", "/portal/settings"):
            page.goto(path)
            check(page)


def test_a_document_is_read_signed_and_downloaded(live: Live, api: Api, screens: Screens) -> None:
    for number, size in enumerate((PHONE, DESKTOP)):
        email = f"grace{number}@hopper.example"
        client = api.client(f"Hopper {number}", ("Grace Hopper", email))
        api.esign(client, "Engagement letter", "Grace Hopper", email)
        page = screens.open(size, base_url=live.url)
        come_in(page, live, email, "Grace Hopper")
        picture = page.get_by_alt_text("Page 1 of 2")
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.complete && image.naturalWidth") > 600
        page.get_by_role("button", name="Sign", exact=True).click()
        expect(page.get_by_role("alert")).to_be_focused()
        check(page)
        page.get_by_label("Type your full name").fill("Grace Hopper")
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name="Sign", exact=True).click()
        page.get_by_role("link", name="Download the signed document").wait_for()
        check(page)
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the signed document").click()
        assert Path(download.value.path()).read_bytes().startswith(b"%PDF-")


def test_everything_works_without_scripts(live: Live, api: Api, screens: Screens) -> None:
    email = "william@byron.example"
    client = api.client("King", ("William King", email))
    api.survey(client, "Tax organizer 2026", email)
    page = screens.open(PHONE, base_url=live.url, java_script_enabled=False)
    page.goto(link_in(live.wait_for_mail(email)))
    expect(page.get_by_text("(UTC)")).to_be_visible()
    page.get_by_role("button", name="Decline").click()
    page.get_by_role("link", name="Go back").click()
    page.get_by_label("Full name").fill("William King")
    page.get_by_label("Create password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Accept").click()
    live.wait_for_mail(email, 2)
    page.get_by_label("Code").fill(digits_of(live, email))
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Where do you live?").fill("Ockham")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("1 of 5 answered")).to_be_visible()
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("is submitted")).to_be_visible()
    api.file(client, "2025 return.pdf", email)
    page.goto("/portal/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download 2025 return.pdf").click()
    assert Path(download.value.path()).read_bytes() == letter()
    page.locator("summary", has_text="William").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    page.goto("/portal/")
    assert "/login" in page.url


def test_a_keyboard_alone_is_enough_to_accept(live: Live, api: Api, screens: Screens) -> None:
    email = "rose@ledger.example"
    client = api.client("Ledger", ("Rose Ledger", email))
    api.file(client, "2025 return.pdf", email)
    page = screens.open(DESKTOP, base_url=live.url)
    page.goto(link_in(live.wait_for_mail(email)))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Full name")).to_be_focused()
    page.keyboard.type("Rose Ledger")
    page.keyboard.press("Tab")
    page.keyboard.type(NEW_PASSWORD)
    page.keyboard.press("Enter")
    live.wait_for_mail(email, 2)
    expect(page.get_by_label("Code")).to_be_focused()
    page.keyboard.type(digits_of(live, email))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="2025 return.pdf")).to_be_visible()


def test_the_states_of_a_link(live: Live, api: Api, screens: Screens) -> None:
    email = "charles@engine.example"
    client = api.client("Engine Works", ("Charles Babbage", email))
    api.survey(client, "Tax organizer 2026", email)
    path = link_in(live.wait_for_mail(email))
    for size in (PHONE, DESKTOP):
        page = screens.open(size, base_url=live.url)
        page.goto(path)
        page.get_by_role("button", name="This isn't me").click()
        check(page)
    page.get_by_role("button", name="Yes, this isn't me").click()
    expect(page.get_by_role("heading", name="Thank you for telling us")).to_be_visible()
    check(page)
    page.goto("/portal/find-invite")
    check(page)
    page.get_by_label("E-mail address").fill(email)
    page.get_by_role("button", name="Send it again").click()
    expect(page.get_by_role("heading", name="Look into your mailbox")).to_be_visible()
    check(page)
    page.goto("/portal/invite/nothing")
    check(page)
