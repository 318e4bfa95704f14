"""Every page that a person can open, in a real chromium: light at a desk, dark on a phone.

The list is held against the URL map: a new page is visited here, or stands in `NO_PAGES` with its reason. On each page:
axe finds nothing, nothing scrolls sideways, there is one heading of the first order, at most one primary action, and
whatever the keyboard reaches shows that it has the focus.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import DESKTOP, PHONE, Screens, assert_accessible, assert_no_sideways_scroll
from tests.support.furnished import CLIENT, STAFF, furnish, sign_in
from tests.support.live import PROJECT, Live

pytestmark = [pytest.mark.one_database]

STAFF_PAGES = {
    "/": "/",
    "/access/<access_id>/<any(remove, suspend):what>": "/access/{access_id}/remove",
    "/access/<access_id>/change-address": "/access/{access_id}/change-address",
    "/access/<access_id>/until": "/access/{access_id}/until",
    "/clients": "/clients",
    "/clients/<client_id>": "/clients/{client_id}",
    "/clients/<client_id>/<collection>": "/clients/{client_id}/activity",
    "/clients/<client_id>/contacts/new": "/clients/{client_id}/contacts/new",
    "/clients/<client_id>/edit": "/clients/{client_id}/edit",
    "/clients/<client_id>/explain":
        "/clients/{client_id}/explain?email=will@byron.example&item_id={file_id}",
    "/clients/<client_id>/files/visibility": "/clients/{client_id}/files/visibility?item={file_id}",
    "/clients/<client_id>/invite": "/clients/{client_id}/invite",
    "/clients/<client_id>/people/<key>": "/clients/{client_id}/people/{access_id}",
    "/clients/<client_id>/people/<key>/sign-in": "/clients/{client_id}/people/{access_id}/sign-in",
    "/clients/<client_id>/portal/<who>/": "/clients/{client_id}/portal/{access_id}/",
    "/clients/<client_id>/portal/<who>/<path:rest>": "/clients/{client_id}/portal/{access_id}/items/{survey_id}",
    "/clients/<client_id>/send/<slug>": "/clients/{client_id}/send/client-request?template={survey_template_id}",
    "/clients/<client_id>/send/esign-request": "/clients/{client_id}/send/esign-request",
    "/clients/<client_id>/send/file": "/clients/{client_id}/send/file",
    "/clients/<client_id>/team": "/clients/{client_id}/team",
    "/clients/new": "/clients/new",
    "/contacts/<contact_id>/edit": "/contacts/{contact_id}/edit",
    "/invites/<invite_id>/access-until": "/invites/{invite_id}/access-until",
    "/invites/<invite_id>/change-address": "/invites/{invite_id}/change-address",
    "/invites/<invite_id>/revoke": "/invites/{invite_id}/revoke",
    "/invites/expired": "/invites/expired",
    "/items/<item_id>": "/items/{signing_id}",
    "/items/<item_id>/cancel": "/items/{survey_id}/cancel",
    "/items/<item_id>/print": "/items/{survey_id}/print",
    "/items/<item_id>/void": "/items/{signing_id}/void",
    "/mailbox": "/mailbox",
    "/mailbox/<mail_id>": "/mailbox/{mail_id}",
    "/portals": "/portals",
    "/portals/bulk": "/portals/bulk?tab=without&action=invite&all=1",
    "/portals/import": "/portals/import",
    "/portals/import/<job_id>": "/portals/import/{import_id}",
    "/portals/jobs/<job_id>": "/portals/jobs/{job_id}",
    "/portals/numbers": "/portals/numbers",
    "/settings": "/settings",
    "/settings/firm": "/settings/firm",
    "/settings/team/<member_id>": "/settings/team/{member_id}",
    "/settings/team/<member_id>/deactivate": "/settings/team/{member_id}/deactivate",
    "/settings/team/new": "/settings/team/new",
    "/templates": "/templates",
    "/templates/messages/<template_id>": "/templates/messages/{message_id}",
    "/templates/messages/<template_id>/delete": "/templates/messages/{message_id}/delete",
    "/templates/messages/new": "/templates/messages/new",
    "/templates/surveys/<template_id>": "/templates/surveys/{survey_template_id}",
    "/templates/surveys/new": "/templates/surveys/new",
}  # fmt: skip
CLIENT_PAGES = {
    "/portal/": "/portal/",
    "/portal/files": "/portal/files",
    "/portal/items/<item_id>": "/portal/items/{survey_id}",
    "/portal/items/<item_id>/decline": "/portal/items/{signing_id}/decline",
    "/portal/items/<item_id>/submit": "/portal/items/{survey_id}/submit",
    "/portal/settings": "/portal/settings",
    "/portal/todo": "/portal/todo",
}
GUEST_PAGES = {
    "/login": "/login",
    "/portal/find-invite": "/portal/find-invite",
    "/portal/invite/<token>": "/portal/invite/{token}",
    "/portal/invite/<token>/code": "/portal/invite/{token}/code",
    "/portal/invite/<token>/decline": "/portal/invite/{token}/decline",
    "/portal/invite/<token>/not-me": "/portal/invite/{token}/not-me",
    "/portal/invite/<token>/reminders": "/portal/invite/{token}/reminders",
    "/reset": "/reset",
    "/reset/<token>": "/reset/{reset_token}",
}
# The same routes with other content: (who, address, status).
ALSO = {
    "404-staff": (STAFF, "/clients/nope", 404),
    "409-staff": (STAFF, "/access/{removed_id}/change-address", 409),
    "404-client": (CLIENT, "/portal/items/nope", 404),
    "404-guest": ("", "/portal/invite/nonsense", 404),
    "wrong-account": (CLIENT, "/portal/invite/{token}", 200),
    "nobody-found": (STAFF, "/clients?q=zzzz", 200),
    "no-mailbox-found": (STAFF, "/portals?q=zzzz", 200),
    "without-portals": (STAFF, "/portals?tab=without", 200),
    "bulk-remove": (STAFF, "/portals/bulk?action=remove&all=1", 200),
    "files": (STAFF, "/clients/{client_id}/files", 200),
    "bounced": (STAFF, "/clients/{client_id}/people/{invite_id}", 200),
    "a-survey": (STAFF, "/items/{survey_id}", 200),
    "a-file": (STAFF, "/items/{file_id}", 200),
    "whole-portal": (STAFF, "/clients/{client_id}/portal/whole/files", 200),
    "to-sign": (CLIENT, "/portal/items/{signing_id}", 200),
}
NO_PAGES = {
    "/api/*": "for programs; its documentation is another project's page",
    "/bootstrap/static/<path:filename>": "a file",
    "/healthz": "for programs",
    "/items/<item_id>/download": "a file",
    "/items/<item_id>/download/<which>": "a file",
    "/look/*": "a style sheet or a picture",
    "/mailbox/<mail_id>/html": "the mail itself, inside the page of that mail",
    "/metrics": "for programs",
    "/portal/fonts/<path:filename>": "a file",
    "/portal/items/<item_id>/download": "a file",
    "/portal/items/<item_id>/download/<any(document, sealed):which>": "a file",
    "/portal/items/<item_id>/pages/<int:number>.png": "a picture",
    "/portals/export.<any(csv, xlsx):kind>": "a file",
    "/portals/jobs/<job_id>/results.csv": "a file",
    "/readyz": "for programs",
    "/static/<path:filename>": "a file",
}

VISITS = {
    **{rule: (STAFF, path, 200) for rule, path in STAFF_PAGES.items()},
    **{rule: (CLIENT, path, 200) for rule, path in CLIENT_PAGES.items()},
    **{rule: ("", path, 200) for rule, path in GUEST_PAGES.items()},
    **ALSO,
}

# What the keyboard can reach and doesn't show: no outline and no other frame once it has the focus.
UNSEEN = """
() => {
  const reached = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
  const unseen = [];
  for (const one of document.querySelectorAll(reached)) {
    if (one.disabled || one.tabIndex < 0 || !one.checkVisibility({ visibilityProperty: true })) continue;
    one.focus({ focusVisible: true });
    if (document.activeElement !== one) continue;
    const style = getComputedStyle(one);
    const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    if (!outlined && style.boxShadow === "none") unseen.push(one.outerHTML.slice(0, 120));
  }
  document.activeElement?.blur();
  scrollTo(0, 0);
  return unseen;
}
"""


@dataclass
class People:
    """One browser each for staff, a client and a guest, and the parts of addresses."""

    pages: dict[str, Page]
    ids: dict[str, str]
    screens: Screens


@pytest.fixture(scope="module")
def people(browser: Browser, live_server: Live) -> Iterator[People]:
    screens = Screens(browser, PROJECT / "test-results")
    pages = {
        who: screens.open(DESKTOP, live_server.url, reduced_motion="reduce") for who in (STAFF, CLIENT, "")
    }
    for who in (STAFF, CLIENT):
        sign_in(pages[who], who)
    yield People(pages, furnish(live_server, pages[STAFF], pages[""]), screens)
    screens.close()


def test_every_address_is_visited_or_left_out_with_a_reason(app: Flask) -> None:
    rules = {rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    stars = tuple(name.removesuffix("*") for name in NO_PAGES if name.endswith("*"))
    pages = {rule for rule in rules if rule not in NO_PAGES and not rule.startswith(stars)}
    assert pages == {*STAFF_PAGES, *CLIENT_PAGES, *GUEST_PAGES}


@pytest.mark.parametrize("name", VISITS)
def test_a_page(people: People, name: str) -> None:
    who, path, status = VISITS[name]
    page = people.pages[who]
    people.screens.complaints.clear()
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light")
    answer = page.goto(path.format(**people.ids))
    assert answer is not None
    assert answer.status == status
    looked_at(page, "light")
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    # Opened anew: where colours and width change under an open page, chromium keeps some cells' old ink for a while.
    page.goto(path.format(**people.ids))
    looked_at(page, "dark")
    assert people.screens.complaints == []


def test_what_opens_over_a_page(people: People) -> None:
    """The window filled in and refused, the panel, its question, the pop-up: as dialogs, in both sizes and colours."""
    page = people.pages[STAFF]
    people.screens.complaints.clear()
    page.goto("/clients?q=Hopper")
    page.get_by_role("main").get_by_role("link", name="Hopper Compilers Inc.").click()
    page.get_by_label("Invite to the Client Portal").click()
    window = page.get_by_role("dialog", name="Client Portal")
    window.get_by_role("button", name="Add another person").click()
    window.get_by_label("Enter the Email of a New Person").fill("zoe@gmial.com, nobody@")
    window.get_by_role("button", name="Add", exact=True).click()
    expect(window.get_by_text("Did you mean")).to_be_visible()
    window.get_by_label("Include a personalized message").check()
    window.get_by_label("Message", exact=True).fill("Hello {{ nobody }}")
    window.get_by_role("button", name="Send", exact=True).click()
    expect(window.get_by_text("Nothing was sent yet")).to_be_visible()
    in_both(page)
    page.set_viewport_size(PHONE)
    window.get_by_role("button", name="Templates").click()
    menu = window.get_by_role("group", name="Templates").bounding_box()
    assert menu is not None
    assert menu["x"] >= 0
    assert menu["x"] + menu["width"] <= PHONE["width"]
    page.keyboard.press("Escape")
    page.set_viewport_size(DESKTOP)
    window.get_by_label("Include a personalized message").uncheck()
    window.get_by_label("Enter the Email of a New Person").fill("")
    window.get_by_role("button", name="Send", exact=True).click()
    pop_up = page.get_by_role("dialog", name="Invite sent")
    expect(pop_up).to_contain_text("zoe@gmial.com")
    in_both(page)
    pop_up.get_by_role("button", name="Done").click()
    page.wait_for_load_state()
    page.locator("#client-portal").get_by_role("link", name="Grace Hopper").click()
    panel = page.get_by_role("dialog", name="Grace Hopper", exact=True)
    expect(panel.get_by_text("What happened")).to_be_visible()
    in_both(page)
    panel.get_by_role("link", name="Revoke invite").click()
    expect(page.get_by_role("dialog", name="Revoke the invite to Grace Hopper?")).to_be_visible()
    in_both(page)
    assert people.screens.complaints == []


def in_both(page: Page) -> None:
    """A dialog as it stands, light at a desk and dark on a phone."""
    for size, scheme in ((PHONE, "dark"), (DESKTOP, "light")):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
        assert_no_sideways_scroll(page)
        assert_accessible(page)


def looked_at(page: Page, scheme: str) -> None:
    """What holds on every page, whatever its size and colours."""
    expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
    assert page.locator("h1:visible").count() == 1, page.locator("h1:visible").all_inner_texts()
    primary = page.locator(".btn-primary:visible, .btn-danger:visible").all_inner_texts()
    assert len(primary) <= 1, primary
    page.keyboard.press("Tab")  # the browser shows the focus to whom uses the keyboard
    assert page.evaluate(UNSEEN) == []
    assert_no_sideways_scroll(page)
    assert_accessible(page)
