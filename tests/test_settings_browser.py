"""Settings, templates, the person's panel and the client's side for staff in a real chromium, at a desk and on a phone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import DESKTOP, PHONE, Screens, assert_accessible, assert_no_sideways_scroll
from tests.support.live import Live
from tests.test_staff_browser import signed_in

pytestmark = [pytest.mark.one_database]

SIZES = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])


def looked_at(page: Page) -> None:
    assert_accessible(page)
    assert_no_sideways_scroll(page)


@SIZES
def test_settings_and_templates(screens: Screens, live_server: Live, size: dict[str, int]) -> None:
    page = signed_in(screens, live_server, size)
    for path in (
        "/",
        "/settings",
        "/settings/firm",
        "/settings/team/new",
        "/templates",
        "/templates/messages/new",
    ):
        page.goto(path)
        looked_at(page)
    page.get_by_label("Message", exact=True).fill("Dear {{ person.first_name }}, {{ person.age }}")
    expect(page.get_by_text("Line 1, character 34: there is no placeholder 'person.age'.")).to_be_visible()
    looked_at(page)
    page.get_by_label("Message", exact=True).fill("Dear {{ person.first_name }}, welcome to it.")
    expect(page.get_by_text("Dear Ada, welcome to it.")).to_be_visible()
    expect(page.get_by_text("there is no placeholder")).to_have_count(0)


@SIZES
def test_a_persons_panel_and_what_it_leads_to(
    screens: Screens, live_server: Live, size: dict[str, int]
) -> None:
    page = signed_in(screens, live_server, size)
    page.goto("/clients")
    page.get_by_role("link", name="Babbage Engine Works").click()
    page.wait_for_load_state()  # a name opens a dialog once the script is there, and a page before
    page.locator("#client-portal").get_by_role("link", name=re.compile("Charles Babbage")).press("Enter")
    panel = page.get_by_role("dialog")
    expect(panel.get_by_role("heading", name="What happened")).to_be_visible()
    expect(panel.get_by_text("Charles Babbage accepted the invite")).to_be_visible()
    looked_at(page)
    panel.get_by_role("link", name="Why can't they see it?").press("Enter")
    expect(page.get_by_role("heading", name="Why can't they see it?")).to_be_visible()
    looked_at(page)
    page.go_back()
    page.wait_for_load_state()
    page.locator("#client-portal").get_by_role("link", name=re.compile("Charles Babbage")).click()
    panel.get_by_role("link", name="Why can't they sign in?").click()
    expect(page.get_by_role("heading", name="Nothing stands in the way")).to_be_visible()
    looked_at(page)
    page.go_back()
    page.wait_for_load_state()
    page.locator("#client-portal").get_by_role("link", name=re.compile("Charles Babbage")).click()
    panel.get_by_role("link", name="View Client Portal").click()
    expect(
        page.get_by_text("You see what Charles sees. Nothing you do here changes anything.")
    ).to_be_visible()
    for tab in ("Files", "To-do", "Home"):
        page.get_by_role("navigation", name="Portal").get_by_role("link", name=re.compile(tab)).click()
        expect(page.get_by_text("You see what Charles sees.")).to_be_visible()
        looked_at(page)
    page.get_by_role("link", name="Back to the record").click()
    expect(page.get_by_role("heading", name="Babbage Engine Works", level=1)).to_be_visible()
