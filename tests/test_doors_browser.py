"""The doors in a real browser: what it sends along from our pages and from others', and how the pages read."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

import demo
from tests.support.browser import PHONE, Screens, assert_accessible, assert_no_sideways_scroll
from tests.support.live import Live

ADMIN, STAFF, ASSIGNED = (email for _, email, _, _ in demo.TEAM)
RESET = re.compile(r"https?://\S+(/reset/[^\s<>\"']+)")


@pytest.fixture
def site(live_server: Live) -> str:
    return live_server.url


@pytest.fixture
def evil(site: str) -> Iterator[str]:
    """Another site, with a page that sends a form to ours."""

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f'<form method="post" action="{site}/logout"><button>win</button></form>'.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def fill_in(page: Page, email: str, password: str) -> None:
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("size", ["desk", "phone"])
def test_signing_in_a_mistake_and_a_lost_password(screens: Screens, live_server: Live, size: str) -> None:
    site, person = live_server.url, STAFF if size == "desk" else ASSIGNED
    page = screens.open(PHONE if size == "phone" else None, base_url=site)
    page.goto("/clients")
    expect(page).to_have_url(f"{site}/login?next=/clients")
    assert_accessible(page)
    fill_in(page, person, "not the password at all")
    expect(page.get_by_text("The address or the password is not right.").first).to_be_visible()
    assert page.get_by_label("E-mail address").input_value() == person, "what was typed is kept"
    assert_accessible(page)
    assert_no_sideways_scroll(page)
    screens.picture(page, f"doors-{size}-sign-in")

    page.get_by_role("link", name="Forgot your password?").click()
    assert_accessible(page)
    page.get_by_label("E-mail address").fill(person)
    page.locator("main").get_by_role("button").first.click()
    expect(page.get_by_text(f"If {person} has a login here")).to_be_visible()
    screens.picture(page, f"doors-{size}-forgot")

    body = live_server.wait_for_mail(person).get_body(("plain",))
    assert body is not None
    link = RESET.search(body.get_content())
    assert link, body.get_content()
    page.goto(link.group(1))
    assert_accessible(page)
    assert_no_sideways_scroll(page)
    screens.picture(page, f"doors-{size}-reset")
    for field in page.locator("input[type=password]").all():
        field.fill("violet harbour seventeen")
    page.locator("main").get_by_role("button").first.click()
    expect(page).to_have_url(f"{site}/login")
    expect(page.get_by_text("Your new password is set.")).to_be_visible()
    fill_in(page, person, "violet harbour seventeen")
    expect(page).to_have_url(f"{site}/")
    assert link.group(1).rpartition("/")[2] not in live_server.log("server").read_text()


@pytest.mark.parametrize("size", ["desk", "phone"])
def test_an_error_page_reads_well_and_leads_home(screens: Screens, site: str, size: str) -> None:
    page = screens.open(PHONE if size == "phone" else None, base_url=site)
    page.goto("/nowhere")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    assert_accessible(page)
    assert_no_sideways_scroll(page)
    screens.picture(page, f"doors-{size}-not-found")
    page.locator("main").get_by_role("link").first.click()
    expect(page).to_have_url(f"{site}/login")


def test_a_form_on_a_page_without_referrer_is_known_as_ours(screens: Screens, site: str) -> None:
    page = screens.open(base_url=site)
    page.goto("/portal/find-invite")
    with page.expect_request(lambda request: request.method == "POST") as sent:
        page.locator("main form").first.evaluate(
            "form => { const meta = document.createElement('meta'); meta.name = 'referrer';"
            " meta.content = 'no-referrer'; document.head.append(meta);"
            " for (const field of form.querySelectorAll('input:not([type=hidden])')) field.value = 'a@b.example';"
            " form.submit(); }"
        )
    headers = sent.value.all_headers()
    assert headers["origin"] == "null"
    assert headers["sec-fetch-site"] == "same-origin"
    answer = sent.value.response()
    assert answer is not None
    assert answer.status < 400


def test_another_sites_page_can_send_nothing_in_somebodys_name(
    screens: Screens, site: str, evil: str
) -> None:
    page = screens.open(base_url=site)
    page.goto("/login")
    fill_in(page, ADMIN, demo.PASSWORD)
    expect(page).to_have_url(f"{site}/")
    page.goto(evil)
    with page.expect_response(f"{site}/logout") as answered:
        page.get_by_role("button", name="win").click()
    assert answered.value.status == 403
    page.goto("/")
    expect(page).to_have_url(f"{site}/")
