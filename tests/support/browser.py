"""A real chromium, driven by Playwright, and axe's judgement of what it shows."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

SECONDS = 30  # a page may take, beside other tests on a slow machine; five are Playwright's own for `expect`
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """The path of an installed chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    """A headless chromium. Where none is installed the test is skipped; CI asks for one and fails instead."""
    path = find_chromium()
    if path is None:
        if os.environ.get("PORTAL_TEST_BROWSER") == "required":
            pytest.fail("PORTAL_TEST_BROWSER=required, but no chromium was found on PATH")
        pytest.skip("no chromium was found on PATH (on Debian: apt-get install chromium)")
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Screens:
    """Opens pages for one test. Each `open()` is a browser of its own: another person, with no cookies.

    `complaints` collects what no page may do: break the content security policy or raise in a script.
    """

    browser: Browser
    folder: Path
    contexts: list[BrowserContext] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(
        self, viewport: dict[str, int] | None = None, base_url: str | None = None, **options: Any
    ) -> Page:
        """A new person's empty page; `options` go to Playwright's new_context (java_script_enabled, locale, ...)."""
        size = viewport or DESKTOP
        context = self.browser.new_context(
            viewport=size,
            base_url=base_url,
            has_touch=size == PHONE,
            locale="en-GB",
            timezone_id="Europe/London",
            **options,
        )
        context.set_default_timeout(SECONDS * 1000)
        context.on("console", self._note)
        context.on("weberror", lambda error: self.complaints.append(f"script error: {error.error}"))
        self.contexts.append(context)
        return context.new_page()

    def picture(self, page: Page, name: str) -> Path:
        """A picture of the whole page, kept in test-results/."""
        path = self.folder / f"{name}.png"
        page.screenshot(path=path, full_page=True)
        return path

    def close(self) -> None:
        """Close every page."""
        for context in self.contexts:
            context.close()

    def pictures_of_failure(self, name: str) -> None:
        """What each open page showed when the test failed."""
        pages = [page for context in self.contexts for page in context.pages]
        for number, page in enumerate(pages, 1):
            self.picture(page, f"failed-{name}-{number}")

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            self.complaints.append(message.text)


def assert_accessible(page: Page) -> None:
    """Fail with axe's report where it finds a violation (WCAG 2.2 AA and its best practices)."""
    page.wait_for_load_state()
    page.wait_for_selector("main", state="attached")  # not between two pages
    results = Axe().run(page)
    assert results.violations_count == 0, f"{page.url}\n{results.generate_report()}"


def assert_no_sideways_scroll(page: Page) -> None:
    """Fail where the page is wider than the screen."""
    wide, screen = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= screen, f"{page.url} is {wide} px wide on a screen of {screen} px"
