"""The main job, walked in a real browser: from staff's sign-in to the client's finished work.

Each journey begins with staff sending something through the Client Portal window and ends with the client having
answered, downloaded or signed it, by way of the mail in the built-in mailbox. Walked at a desk and on a phone, on one
process with SQLite and on web and worker with PostgreSQL; axe looks at every page on the way.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from demo import FIRM, PASSWORD
from tests.support.browser import DESKTOP, PHONE, Screens, assert_accessible, assert_no_sideways_scroll
from tests.support.live import Live, link_in
from workflows.esign_request.sample import engagement_letter

NEW_PASSWORD = "tin kettle orchard nine"
_numbers = itertools.count(1)


@pytest.fixture(params=["desk", "phone"])
def size(request: pytest.FixtureRequest) -> dict[str, int]:
    return DESKTOP if request.param == "desk" else PHONE


class Walk:
    """Staff and a client, each with a browser of their own, and a client record made for this walk alone."""

    def __init__(self, live: Live, screens: Screens, size: dict[str, int], folder: Path) -> None:
        number = next(_numbers)
        self.live, self.screens, self.size = live, screens, size
        self.client_name, self.person = f"Lovelace {number}", f"Augusta Lovelace {number}"
        self.address = f"augusta{number}@lovelace.example"
        path = folder / "clients.csv"
        text = io.StringIO()
        rows = [["client", "contact", "email"], [self.client_name, self.person, self.address]]
        csv.writer(text).writerows(rows)
        path.write_text(text.getvalue())
        live.command("import-clients", str(path), "--firm", FIRM)
        self.staff = screens.open(size, live.url)
        self.client = screens.open(size, live.url)

    def look(self, page: Page) -> None:
        """What must hold on every page passed."""
        page.wait_for_load_state()
        expect(page.locator("h1").first).to_be_visible()
        assert_accessible(page)
        assert_no_sideways_scroll(page)

    def sign_in(self) -> None:
        self.staff.goto("/")
        self.look(self.staff)
        self.staff.get_by_label("E-mail address").fill("dana@northwind.example")
        self.staff.get_by_label("Password", exact=True).fill(PASSWORD)
        self.staff.get_by_role("button", name="Sign in").click()
        expect(self.staff.get_by_role("heading", name="Waiting on clients")).to_be_visible()
        self.look(self.staff)

    def open_record(self) -> None:
        self.staff.goto("/clients")
        self.look(self.staff)
        self.staff.get_by_role("searchbox").fill(self.client_name)
        self.staff.keyboard.press("Enter")
        self.staff.get_by_role("link", name=self.client_name, exact=True).click()
        expect(self.staff.get_by_role("heading", name=self.client_name)).to_be_visible()
        self.look(self.staff)

    def window(self) -> Locator:
        """The Client Portal window, open."""
        window = self.staff.get_by_role("dialog", name="Client Portal")
        expect(window).to_be_visible()
        expect(window.get_by_role("heading", name="Client Portal")).to_be_visible()
        self.look(self.staff)
        return window

    def send(self, window: Locator) -> None:
        """Send, and read the pop-up."""
        window.get_by_role("button", name="Send", exact=True).click()
        pop_up = self.staff.get_by_role("dialog", name="Invite sent")
        expect(pop_up).to_be_visible()
        expect(pop_up).to_contain_text(self.person)
        expect(pop_up).to_contain_text(re.compile("Mail on its way|Waiting for the mail server"))
        self.look(self.staff)
        pop_up.get_by_role("button", name="Done").click()
        expect(pop_up).to_be_hidden()

    def accept(self, what: str) -> None:
        """The mail, the link, a login, the code; ends on the page the link led to."""
        mail = self.live.wait_for_mail(self.address)
        assert mail["Subject"] == f"{FIRM}: Dana Reyes {what}"
        self.client.goto(link_in(mail))
        expect(self.client.get_by_role("heading", name=f"Dana Reyes {what}")).to_be_visible()
        assert self.client_name not in self.client.content()
        self.look(self.client)
        self.client.get_by_label("Full name").fill(self.person)
        self.client.get_by_label("Create password").fill(NEW_PASSWORD)
        self.client.get_by_role("button", name="Accept").click()
        code = self.client.get_by_label(re.compile("code", re.IGNORECASE))
        expect(code).to_be_visible()
        self.look(self.client)
        body = self.live.wait_for_mail(self.address, 2).get_body(("plain",))
        found = re.search(r"\b\d{3} ?\d{3}\b", body.get_content() if body else "")
        assert found
        code.fill(found.group())
        self.client.get_by_role("button", name=re.compile("Accept|Confirm|Continue")).click()
        self.client.wait_for_url(re.compile("/portal/items/"))
        self.look(self.client)

    def portal(self) -> None:
        """Home, To-do, Files and User settings of the client's side."""
        for path in ("/portal/", "/portal/todo", "/portal/files", "/portal/settings"):
            self.client.goto(path)
            self.look(self.client)

    def status(self, section: str, title: str, word: str) -> None:
        """What staff read on the record."""
        self.open_record()
        if section != "Client Requests":
            self.staff.get_by_role("link", name=section, exact=True).click()
        row = self.staff.get_by_role("listitem").filter(has_text=title)
        expect(row.first).to_contain_text(word)
        portal = self.staff.get_by_role("region", name="Client Portal").or_(
            self.staff.locator("section", has=self.staff.get_by_role("heading", name="Client Portal"))
        )
        expect(portal.first).to_contain_text("Last login")
        self.look(self.staff)


@pytest.fixture
def walk(live: Live, screens: Screens, size: dict[str, int], tmp_path: Path) -> Walk:
    walk = Walk(live, screens, size, tmp_path)
    walk.sign_in()
    walk.open_record()
    return walk


def test_a_survey_is_sent_and_answered(walk: Walk) -> None:
    staff, client = walk.staff, walk.client
    staff.get_by_role("link", name="Send client request").first.click()
    walk.look(staff)
    staff.get_by_label("Start from a survey template").select_option("Individual tax organizer 2026")
    staff.get_by_role("button", name="Use").click()
    expect(staff.get_by_label("Title")).to_have_value("Individual tax organizer 2026")
    staff.get_by_role("button", name="Send client request").click()
    window = walk.window()
    box = window.get_by_role("checkbox", name=re.compile(walk.person))
    expect(box).to_be_checked()
    window.get_by_role("button", name="Add another person").click()
    window.get_by_label("Enter the Email of a New Person").fill("anna@gmial.com")
    window.get_by_role("button", name="Add", exact=True).click()
    expect(window.get_by_text("Did you mean")).to_be_visible()
    window.get_by_role("button", name="Remove").click()
    window.get_by_label("Include a personalized message").check()
    window.get_by_role("textbox", name="Message").fill(
        "Hello {{ person.first_name }}, ten minutes should do."
    )
    expect(window.locator("[data-preview]")).to_contain_text("Hello Augusta, ten minutes should do.")
    walk.look(staff)
    walk.send(window)
    walk.accept("sent you a survey")
    expect(client.get_by_role("heading", name="Individual tax organizer 2026")).to_be_visible()
    client.get_by_role("group", name="Did you move in 2026?").get_by_label("Yes").check()
    client.get_by_label("Your address on 31 December 2026").fill("12 Analytical Street")
    client.get_by_role("group", name="How will you file?").get_by_label("Single").check()
    expect(client.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    client.get_by_role("button", name="Submit").click()
    walk.look(client)
    sure = client.get_by_role("button", name="Submit")
    if sure.count():
        sure.last.click()
    expect(client.get_by_text("12 Analytical Street")).to_be_visible()
    expect(client.get_by_label("Your address on 31 December 2026")).to_have_count(0)
    walk.portal()
    walk.status("Client Requests", "Individual tax organizer 2026", "Submitted")
    staff.get_by_role("link", name="Individual tax organizer 2026").first.click()
    expect(staff.get_by_text("12 Analytical Street")).to_be_visible()
    walk.look(staff)


def test_a_file_is_shared_and_downloaded(walk: Walk, tmp_path: Path) -> None:
    staff, client = walk.staff, walk.client
    pdf = engagement_letter(FIRM, walk.client_name, 2026)
    staff.get_by_role("link", name="Upload files").first.click()
    walk.look(staff)
    staff.get_by_label("Files", exact=True).set_input_files(
        {"name": "Letter 2026.pdf", "mimeType": "application/pdf", "buffer": pdf}
    )
    staff.get_by_label("Make visible at once").check()
    staff.get_by_role("button", name="Upload").click()
    walk.send(walk.window())
    walk.accept("shared a file with you")
    with client.expect_download() as downloading:
        client.get_by_role("link", name=re.compile("Download")).first.click()
    path = tmp_path / "downloaded.pdf"
    downloading.value.save_as(path)
    assert path.read_bytes() == pdf
    walk.portal()
    walk.status("Files", "Letter 2026.pdf", "Opened")


def test_a_document_is_sent_for_signature_and_signed(walk: Walk, tmp_path: Path) -> None:
    staff, client = walk.staff, walk.client
    staff.get_by_role("link", name="Send eSign request").first.click()
    walk.look(staff)
    pdf = engagement_letter(FIRM, walk.client_name, 2026)
    staff.get_by_label(re.compile("^PDF")).set_input_files(
        {"name": "Engagement letter.pdf", "mimeType": "application/pdf", "buffer": pdf}
    )
    staff.get_by_label("Title").fill("Engagement letter 2026")
    name, address = staff.locator("[name='signers-0-name']"), staff.locator("[name='signers-0-email']")
    if not name.count():
        staff.get_by_role("button", name="Add signer").click()
    name.fill(walk.person)
    address.fill(walk.address)
    staff.get_by_role("button", name="Send eSign request").click()
    walk.send(walk.window())
    walk.accept("sent you a document to sign")
    expect(client.get_by_alt_text(re.compile("Page 1 of"))).to_be_visible()
    client.get_by_label("Type your full name").fill(walk.person)
    client.get_by_role("checkbox").check()
    client.get_by_role("button", name="Sign", exact=True).click()
    for _ in range(120):  # the worker seals
        sealed = client.get_by_role("link", name="Download the signed document")
        if sealed.count():
            break
        client.wait_for_timeout(500)
        client.reload()
    walk.look(client)
    with client.expect_download() as downloading:
        client.get_by_role("link", name="Download the signed document").click()
    path = tmp_path / "signed.pdf"
    downloading.value.save_as(path)
    assert path.read_bytes().startswith(b"%PDF")
    assert b"ETSI.CAdES.detached" in path.read_bytes()
    walk.portal()
    walk.status("eSign", "Engagement letter 2026", "Completed")


def test_inviting_from_the_record_without_scripts(live: Live, screens: Screens, tmp_path: Path) -> None:
    walk = Walk(live, screens, DESKTOP, tmp_path)
    walk.staff = screens.open(DESKTOP, live.url, java_script_enabled=False)
    staff = walk.staff
    staff.goto("/login")
    staff.get_by_label("E-mail address").fill("dana@northwind.example")
    staff.get_by_label("Password", exact=True).fill(PASSWORD)
    staff.get_by_role("button", name="Sign in").click()
    staff.goto("/clients")
    staff.get_by_role("searchbox").fill(walk.client_name)
    staff.get_by_role("searchbox").press("Enter")
    staff.get_by_role("link", name=walk.client_name, exact=True).click()
    staff.get_by_role("link", name=re.compile("Invite")).first.click()
    staff.get_by_label("Enter the Email of a New Person").fill("extra-" + walk.address)
    staff.get_by_role("button", name="Send", exact=True).click()
    expect(staff.get_by_text("Invite sent").first).to_be_visible()
    for address in (walk.address, "extra-" + walk.address):
        link = link_in(live.wait_for_mail(address))
        assert requests.get(link, timeout=10).status_code == 200
