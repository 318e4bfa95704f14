"""The Client Portal window in a real chromium: as a dialog, by keyboard, on a desk and on a phone; axe on each page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import DESKTOP, PHONE, Screens, assert_accessible, assert_no_sideways_scroll
from tests.support.live import Live
from workflows.esign_request.sample import engagement_letter

pytestmark = [pytest.mark.one_database]

PASSWORD = "northwind-demo"


def signed_in(screens: Screens, live: Live, size: dict[str, int] = DESKTOP, **options: object) -> Page:
    page = screens.open(size, live.url, **options)
    page.goto("/login")
    page.fill("input[name=email]", "dana@northwind.example")
    page.fill("input[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url(live.url + "/")
    return page


def record_of(page: Page, name: str) -> str:
    """Open a client's record by its name; its address."""
    page.goto("/clients")
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
    page.wait_for_load_state()  # with its script, which makes dialogs of what are pages without it
    return page.url


def looked_at(page: Page) -> None:
    assert_accessible(page)
    assert_no_sideways_scroll(page)


def test_typing_people_in_the_dialog(screens: Screens, live_server: Live) -> None:
    page = signed_in(screens, live_server)
    record_of(page, "Johnson Trajectories")
    page.get_by_label("Invite to the Client Portal").click()
    window = page.get_by_role("dialog", name="Client Portal")
    expect(window).to_be_visible()
    window.get_by_role("button", name="Add another person").click()
    box = window.get_by_label("Enter the Email of a New Person")
    box.press_sequentially("comma@people.example,")
    expect(window.locator("[data-person]", has_text="comma@people.example")).to_be_visible()
    box.fill("enter@people.example")
    box.press("Enter")
    expect(window.locator("[data-person]", has_text="enter@people.example")).to_be_visible()
    box.fill("left@gmial.com")
    window.get_by_label("Include a personalized message").focus()
    expect(window.get_by_text("Did you mean")).to_be_visible()
    window.get_by_role("button", name="left@gmail.com").click()
    box.fill("bad@")
    box.press("Enter")
    expect(window.get_by_text("is not an e-mail address")).to_be_visible()
    assert box.input_value() == "bad@"
    box.fill("KATHERINE@johnson.example")  # is on the record already
    box.press("Enter")
    expect(box).to_have_value("")
    assert window.locator("[data-person]").count() == 4
    window.get_by_label("Include a personalized message").check()
    window.get_by_label("Message", exact=True).fill("Welcome, {{ person.first_name }}.")
    expect(window.get_by_text("Welcome, Katherine.")).to_be_visible()
    expect(window.get_by_text("after accepting.")).to_contain_text("left@gmail.com")
    looked_at(page)
    box.fill("last@people.example")  # typed and not added: Send commits it
    window.get_by_role("button", name="Send", exact=True).click()
    sent = page.get_by_role("dialog", name="Invite sent")
    expect(sent).to_be_visible()
    for address in ("comma@people.example", "enter@people.example", "left@gmail.com", "last@people.example"):
        expect(sent.get_by_role("listitem").filter(has_text=address)).to_be_visible()
    expect(sent).to_contain_text(re.compile("Mail on its way|Waiting for the mail server"))
    looked_at(page)
    sent.get_by_role("button", name="Done").click()
    expect(page).not_to_have_url(re.compile("sent="))
    page.reload()
    expect(page.get_by_role("dialog", name="Invite sent")).to_have_count(0)
    assert "left@gmail.com" in str(live_server.wait_for_mail("left@gmail.com")["To"])


def test_closing_the_window_loses_nothing(screens: Screens, live_server: Live) -> None:
    page = signed_in(screens, live_server)
    record_of(page, "Hamilton Guidance")
    page.get_by_role("link", name="Send client request").first.click()
    page.get_by_label("Title").fill("Onboarding")
    page.get_by_role("button", name="Add question").click()
    page.locator("#questions-0-label").fill("Which one?")
    page.locator("#questions-0-type").select_option(label="Single choice")
    page.locator("#questions-0-choices").fill("This\nThat")
    page.get_by_role("button", name="Add question").click()
    page.locator("#questions-1-label").fill("And when?")
    page.get_by_role("button", name="Move question up").nth(1).click()
    assert page.locator("#questions-0-label").input_value() == "And when?"
    looked_at(page)
    page.get_by_role("button", name="Send client request", exact=True).last.click()
    window = page.get_by_role("dialog", name="Client Portal")
    expect(window).to_be_visible()
    looked_at(page)
    page.keyboard.press("Escape")
    expect(window).to_have_count(0)
    assert page.get_by_label("Title").input_value() == "Onboarding"
    page.locator("#due_on").fill("2020-01-01")
    page.get_by_role("button", name="Send client request", exact=True).last.click()
    expect(page.get_by_role("alert").get_by_text("This day is over.")).to_be_visible()
    assert page.locator("#questions-1-choices").input_value() == "This\nThat"
    looked_at(page)
    page.locator("#due_on").fill("")
    page.get_by_role("button", name="Send client request", exact=True).last.click()
    window.get_by_role("button", name="Send without inviting").click()
    expect(page.get_by_text("“Onboarding” is sent to Hamilton Guidance.")).to_be_visible()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_files_and_signing_go_through_the_same_window(
    screens: Screens, live_server: Live, tmp_path: Path, size: dict[str, int]
) -> None:
    page = signed_in(screens, live_server, size)
    name = "Curie Laboratories" if size == DESKTOP else "Marie Curie"
    record = record_of(page, name)
    for file in ("one.txt", "two.txt"):
        (tmp_path / file).write_text(file)
    page.goto(f"{record}/send/file")
    page.set_input_files("input[type=file]", [tmp_path / "one.txt", tmp_path / "two.txt"])
    page.get_by_label("Make visible at once").check()
    page.get_by_role("button", name="Upload").click()
    window = page.get_by_role("dialog", name="Client Portal")
    expect(window.get_by_text(f"Making 2 files visible to {name}")).to_be_visible()
    page.keyboard.press("Escape")
    page.wait_for_url("**/files")
    assert page.get_by_role("switch", checked=False).count() == 2
    looked_at(page)
    page.get_by_role("switch", name="two.txt").click()
    window.get_by_role("button", name="Send", exact=True).click()
    page.get_by_role("dialog", name="Invite sent").get_by_role("button", name="Done").click()
    assert page.get_by_role("switch", checked=True).count() == 1
    page.get_by_role("switch", name="two.txt").click()
    expect(page.get_by_text("can't be seen by the client any more")).to_be_visible()
    pdf = tmp_path / "letter.pdf"
    pdf.write_bytes(engagement_letter("Northwind Tax", name, 2026))
    page.goto(f"{record}/send/esign-request")
    page.set_input_files("input[type=file]", pdf)
    page.get_by_role("button", name="Add signer").click()
    page.locator("#signers-1-name").fill("Zoe Outside")
    page.get_by_role("button", name="Send eSign request", exact=True).last.click()
    expect(page.get_by_text("letter.pdf is uploaded.")).to_be_visible()
    looked_at(page)
    page.locator("#signers-1-email").fill("zoe@outside.example")
    page.get_by_role("button", name="Send eSign request", exact=True).last.click()
    expect(window.get_by_text("Sending “letter.pdf” to")).to_be_visible()
    window.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_load_state("networkidle")  # the pop-up is a dialog once its script has run
    page.get_by_role("dialog", name="Invite sent").get_by_role("button", name="Done").click()
    page.locator("main ul.rows a.strong").first.click()
    expect(page.get_by_role("heading", name="Signers")).to_be_visible()
    looked_at(page)


def test_a_person_opens_as_a_dialog_and_asks_before_ending(screens: Screens, live_server: Live) -> None:
    page = signed_in(screens, live_server)
    record_of(page, "Babbage Engine Works")
    page.wait_for_load_state()
    page.locator("#client-portal").get_by_role("link", name=re.compile("Charles Babbage")).click()
    panel = page.get_by_role("dialog", name="Charles Babbage")
    expect(panel.get_by_role("button", name="Resend invite")).to_be_visible()
    looked_at(page)
    panel.get_by_role("link", name="Remove access").click()
    question = page.get_by_role("dialog", name="Remove access of Charles Babbage?")
    looked_at(page)
    question.get_by_role("link", name="Keep as it is").click()
    expect(question).to_have_count(0)
    panel.get_by_role("link", name="Remove access").click()
    question.get_by_role("button", name="Remove access").click()
    expect(
        page.get_by_text("Charles Babbage has no access to Babbage Engine Works any more.")
    ).to_be_visible()
    page.wait_for_load_state()
    page.locator("#client-portal").get_by_role("link", name=re.compile("Charles Babbage")).click()
    panel.get_by_role("button", name="Restore access").click()
    expect(page.get_by_text("Charles Babbage has access to Babbage Engine Works again.")).to_be_visible()


def test_a_mailed_link_opens_from_the_mailbox(screens: Screens, live_server: Live) -> None:
    page = signed_in(screens, live_server)
    record_of(page, "Franklin Photography")
    page.get_by_label("Invite to the Client Portal").click()
    page.get_by_role("dialog", name="Client Portal").get_by_role("button", name="Send", exact=True).click()
    page.get_by_role("dialog", name="Invite sent").get_by_role("button", name="Done").click()
    live_server.wait_for_mail("rosalind@franklin.example")
    page.goto("/mailbox")
    page.get_by_role("link", name=re.compile("rosalind@franklin.example")).first.click()
    looked_at(page)
    with page.context.expect_page() as opened:
        page.frame_locator("iframe").get_by_role("link", name="Open the Client Portal").click()
    expect(opened.value.get_by_text("Switch to the invited address to accept.")).to_be_visible()


def test_without_a_script_the_window_is_a_page(screens: Screens, live_server: Live) -> None:
    page = signed_in(screens, live_server, java_script_enabled=False)
    record_of(page, "John and Jane Turner")
    page.get_by_role("link", name="Send client request").first.click()
    page.get_by_label("Title").fill("Plain")
    page.get_by_role("button", name="Add question").click()
    page.locator("#questions-0-label").fill("Still fine?")
    page.get_by_role("button", name="Send client request", exact=True).last.click()
    expect(page.get_by_role("heading", name="Client Portal")).to_be_visible()
    page.get_by_label("Enter the Email of a New Person").fill("plain@people.example")
    page.get_by_role("button", name="Add", exact=True).last.click()
    expect(page.get_by_text("plain@people.example").first).to_be_visible()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("heading", name="Invite sent")).to_be_visible()
    expect(page.get_by_text("Shares a mailbox with John Turner")).to_be_visible()
