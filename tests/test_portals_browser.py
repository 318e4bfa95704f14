"""Manage Client Portals in a real chromium: choosing, a job from start to end, by keyboard, at a desk and on a phone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import DESKTOP, Screens, assert_accessible, assert_no_sideways_scroll
from tests.support.live import Live

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


def looked_at(page: Page, screens: Screens, name: str) -> None:
    screens.picture(page, name)
    assert_accessible(page)
    assert_no_sideways_scroll(page)


def test_a_job_from_choosing_to_its_results(screens: Screens, live_server: Live) -> None:
    page = signed_in(screens, live_server)
    page.goto("/portals?show=invited")
    bar = page.locator(".selection-bar")
    expect(bar.get_by_text("Nobody selected.")).to_be_visible()
    page.get_by_label("Select everybody on this page").check()
    expect(bar.get_by_text(re.compile(r"^\d+ on this page selected\.$"))).to_be_visible()
    page.locator("input[name=pick]").first.uncheck()
    assert page.get_by_label("Select everybody on this page").evaluate("box => box.indeterminate")
    page.get_by_label(re.compile("^Select all .* that match$")).check()
    expect(bar.get_by_text("All that match are selected.")).to_be_visible()
    expect(page.locator("input[name=pick]").first).to_be_checked()
    expect(page.locator("input[name=pick]").first).to_be_disabled()
    looked_at(page, screens, "portals-desk")
    bar.get_by_role("button", name="Extend").click()
    expect(page.get_by_role("heading", name="Extend these invites?")).to_be_visible()
    looked_at(page, screens, "portals-ask-desk")
    page.get_by_label("Days the link works").fill("60")
    page.get_by_role("button", name="Extend").click()
    page.wait_for_url(re.compile("/portals/jobs/"))
    expect(page.get_by_text("Finished", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile("The link works until")).first).to_be_visible()
    looked_at(page, screens, "portals-job-desk")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download results").click()
    assert "Result" in Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()[0]


def test_an_import_and_an_export_by_keyboard(screens: Screens, live_server: Live, tmp_path: Path) -> None:
    page = signed_in(screens, live_server)
    page.goto("/portals")
    menu = page.locator("summary", has_text="Export")
    menu.focus()
    page.keyboard.press("Enter")
    with page.expect_download() as download:
        page.get_by_role("link", name="Table as text (.csv)").press("Enter")
    assert "Standing" in Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()[0]
    file = tmp_path / "clients.csv"
    file.write_text("client,contact,email\nKeyboard Ltd,Kay Board,kay@board.example\n,Nobody,no@x.example\n")
    page.get_by_role("link", name="Import").press("Enter")
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Look at it first").press("Enter")
    expect(page.get_by_text("the client has no name")).to_be_visible()
    looked_at(page, screens, "portals-import-looked-desk")
    page.get_by_role("button", name="Import 1 line").press("Enter")
    expect(page.get_by_text("Finished", exact=True)).to_be_visible()
    page.goto("/portals?tab=without&q=keyb")
    expect(page.get_by_role("link", name="Keyboard Ltd", exact=True)).to_be_visible()


def test_without_a_script(screens: Screens, live_server: Live) -> None:
    page = signed_in(screens, live_server, java_script_enabled=False)
    page.goto("/portals?tab=without")
    page.get_by_label(re.compile("^Select all .* that match$")).check()
    page.get_by_role("button", name="Send Invite", exact=True).click()
    expect(page.get_by_role("heading", name="Invite the primary contacts?")).to_be_visible()
    page.get_by_role("button", name="Send me a test").click()
    expect(page.get_by_text("A test is on its way to dana@northwind.example.")).to_be_visible()
    page.get_by_role("button", name="Send Invite").click()
    page.wait_for_url(re.compile("/portals/jobs/"))
    for _ in range(200):
        if page.get_by_text("Finished", exact=True).count():
            break
        page.wait_for_timeout(300)
        page.reload()
    expect(page.get_by_text("Finished", exact=True)).to_be_visible()
