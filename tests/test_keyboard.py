"""By keyboard alone, in a real chromium: the Client Portal window, the person's panel, a bulk invite.

Nothing is clicked. `at()` presses Tab until the control has the focus, so that what the keyboard can't reach fails.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import DESKTOP, Screens
from tests.support.furnished import STAFF, sign_in
from tests.support.live import Live

pytestmark = [pytest.mark.one_database]

TABS_MOST = 60


@pytest.fixture
def page(screens: Screens, live_server: Live) -> Page:
    return sign_in(screens.open(DESKTOP, live_server.url, reduced_motion="reduce"), STAFF)


def at(wanted: Locator) -> Locator:
    """Tab on until this control has the focus, and shows it."""
    expect(wanted).to_be_visible()
    page = wanted.page
    for _ in range(TABS_MOST):
        if wanted.evaluate("one => one === document.activeElement"):
            assert wanted.evaluate("one => one.matches(':focus-visible')")
            return wanted
        page.keyboard.press("Tab")
    raise AssertionError(f"{TABS_MOST} times Tab don't lead to {wanted}")


def press(wanted: Locator, key: str = "Enter") -> None:
    at(wanted)
    wanted.page.keyboard.press(key)


def record_of(page: Page, name: str) -> None:
    page.goto(f"/clients?q={name}")
    press(page.get_by_role("main").get_by_role("link", name=re.compile(name)).first)
    expect(page.get_by_role("heading", level=1, name=re.compile(name))).to_be_visible()


def test_the_window(page: Page) -> None:
    record_of(page, "Curie")
    opener = page.get_by_label("Invite to the Client Portal")
    window = page.get_by_role("dialog", name="Client Portal")
    press(opener)
    expect(window).to_be_visible()
    assert window.evaluate("one => one.contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(window).to_have_count(0)
    expect(opener).to_be_focused()  # back where one came from
    page.keyboard.press("Enter")
    irene = window.get_by_role("checkbox", name=re.compile("Irene"))
    press(irene, "Space")
    expect(irene).not_to_be_checked()
    press(window.get_by_role("button", name="Add another person"))
    box = window.get_by_label("Enter the Email of a New Person")
    expect(box).to_be_focused()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('one@pasted.example\\nTwo <two@pasted.example>\\nthree@')")
    page.keyboard.press("Control+V")
    expect(window.locator("[data-person]", has_text="two@pasted.example")).to_be_visible()
    expect(window.get_by_text("'three@' is not an e-mail address")).to_be_visible()
    expect(box).to_have_value("three@")
    page.keyboard.press("Control+A")
    page.keyboard.type("three@pasted.example")
    page.keyboard.press("Enter")
    expect(window.locator("[data-person]", has_text="three@pasted.example")).to_be_visible()
    page.keyboard.press("Shift+Tab")  # back to the rows: the newest person's name
    press(window.get_by_label("Name (optional) of three@pasted.example"), "T")
    press(window.get_by_label("Include a personalized message"), "Space")
    templates = window.get_by_role("button", name="Templates")
    press(templates)
    expect(window.get_by_role("button", name="Welcome to the Client Portal")).to_be_focused()
    page.keyboard.press("Escape")
    expect(templates).to_be_focused()  # the menu is closed, the window is not
    page.keyboard.press("Enter")
    press(window.get_by_role("button", name="Yearly organizer"))
    expect(window.get_by_label("Message", exact=True)).to_be_focused()
    expect(window.locator("[data-preview]")).to_contain_text("Hello Marie, here is this year's organizer.")
    expect(window.get_by_text("after accepting.")).to_contain_text(
        "Marie Curie, one@pasted.example, Two and T"
    )
    press(window.get_by_role("button", name="Send", exact=True))
    sent = page.get_by_role("dialog", name="Invite sent")
    expect(sent.get_by_role("listitem")).to_have_count(4)
    expect(sent.get_by_role("button", name="Done")).to_be_focused()
    page.keyboard.press("Enter")
    expect(sent).to_be_hidden()


def test_the_panels_actions(page: Page) -> None:
    record_of(page, "Babbage")
    name = page.locator("#client-portal").get_by_role("link", name=re.compile("Charles Babbage"))
    panel = page.get_by_role("dialog", name="Charles Babbage", exact=True)
    question = page.get_by_role("dialog", name="Suspend access of Charles Babbage?")
    press(name)
    expect(panel).to_be_visible()
    suspend = panel.get_by_role("link", name="Suspend")
    press(suspend)
    expect(question).to_be_visible()
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(suspend).to_be_focused()
    page.keyboard.press("Enter")
    press(question.get_by_role("button", name="Suspend"))
    expect(
        page.get_by_text("The access of Charles Babbage to Babbage Engine Works is suspended.")
    ).to_be_visible()
    press(name)
    press(panel.get_by_role("button", name="Restore access"))
    expect(page.get_by_text("Charles Babbage has access to Babbage Engine Works again.")).to_be_visible()
    press(name)
    press(panel.get_by_role("button", name="Resend invite"))
    expect(page.get_by_text("Charles Babbage gets a mail that leads to sign-in")).to_be_visible()
    press(page.locator("#client-portal").get_by_role("link", name=re.compile("Georgiana")))
    again = page.get_by_role("dialog", name=re.compile("Georgiana")).get_by_role("link", name="Invite again")
    press(again)
    window = page.get_by_role("dialog", name="Client Portal")
    expect(window.get_by_role("checkbox", name=re.compile("Georgiana"))).to_be_checked()
    press(window.get_by_role("button", name="Send", exact=True))
    expect(page.get_by_role("dialog", name="Invite sent")).to_contain_text("Georgiana Whitmore")


def test_choosing_and_inviting_many(page: Page) -> None:
    page.goto("/portals?tab=without")
    for name in ("Franklin Photography", "Hamilton Guidance"):
        press(page.get_by_role("checkbox", name=f"Select {name}"), "Space")
    expect(page.get_by_text("2 on this page selected.")).to_be_visible()
    page.keyboard.press("Home")
    press(page.get_by_role("searchbox"), "Shift+Tab")  # on from the top of the page
    press(page.locator(".selection-bar").get_by_role("button", name="Send Invite"))
    expect(page.get_by_role("heading", name="Invite the primary contacts?")).to_be_visible()
    press(page.get_by_role("button", name="Send me a test"))
    expect(page.get_by_text("A test is on its way to dana@northwind.example.")).to_be_visible()
    press(page.get_by_role("button", name="Send Invite"))
    page.wait_for_url(re.compile("/portals/jobs/"))
    expect(page.get_by_text("Finished", exact=True)).to_be_visible(timeout=20_000)
    expect(page.get_by_role("row").filter(has_text="Rosalind Franklin")).to_contain_text("Done")
