"""The demo firm with one of everything that has a page: for tests that visit them all.

`furnish()` uses the API and a few forms, as a person would, and gives the ids that addresses are made of.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import Any

import requests
from playwright.sync_api import Page

from demo import PASSWORD
from tests.support.live import Live, link_in
from workflows.esign_request.sample import engagement_letter

STAFF, CLIENT = "dana@northwind.example", "ada@byron.example"
GUEST = "margaret@hamilton.example"


def sign_in(page: Page, email: str) -> Page:
    """Sign in at the page's own server."""
    page.goto("/login")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_load_state()
    return page


def furnish(live: Live, staff: Page, guest: Page) -> dict[str, str]:
    """Make what the demo firm lacks; `staff` is signed in, `guest` is nobody yet. The parts of addresses, by name."""
    ids = _known(live)
    call = _Api(live)
    byron = ids["client_id"]
    survey = call.post(
        f"/clients/{byron}/client-requests",
        title="Organizer 2026",
        due_on="2030-01-31",
        questions=[
            {"key": "moved", "type": "yes_no", "label": "Did you move?", "required": True},
            {"key": "home", "type": "long_text", "label": "Where to?"},
        ],
    )  # fmt: skip
    pdf = ("Letter.pdf", engagement_letter("Northwind Tax", "Byron Family", 2026), "application/pdf")
    letter = call.upload(f"/clients/{byron}/files", pdf)
    signing = call.post(
        f"/clients/{byron}/esign-requests",
        file_id=letter["id"],
        title="Letter 2026",
        signers=[{"name": "Ada Byron", "email": CLIENT}],
        fields=[],
    )
    ids |= {"survey_id": survey["id"], "signing_id": signing["id"]}
    ids["job_id"] = call.post("/invites/bulk", action="extend", ids=[ids["invite_id"]], days=40)["id"]
    call.post(f"/clients/{ids['guests_client']}/invites", recipients=[{"email": GUEST}])
    ids["token"] = link_in(live.wait_for_mail(GUEST)).rpartition("/")[2].partition("?")[0]
    ids["import_id"] = _import(staff)
    ids["mail_id"] = _first_mail(staff)
    _ask_for_code(guest, ids["token"])
    ids["reset_token"] = _reset(live, guest)
    return ids


class _Api:
    def __init__(self, live: Live) -> None:
        self.url = f"{live.url}/api/v1"
        self.headers = {"Authorization": f"Bearer {live.command('create-token', '--email', STAFF).strip()}"}

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        return self._told(requests.post(self.url + path, json=body, headers=self.headers, timeout=30))

    def upload(self, path: str, file: tuple[str, bytes, str]) -> dict[str, Any]:
        files = {"file": file}
        return self._told(requests.post(self.url + path, files=files, headers=self.headers, timeout=30))

    @staticmethod
    def _told(answer: requests.Response) -> dict[str, Any]:
        assert answer.ok, answer.text
        told: dict[str, Any] = answer.json()
        return told


def _known(live: Live) -> dict[str, str]:
    """Ids of the demo firm's own rows."""
    asked = {
        "client_id": "SELECT id FROM client WHERE name = 'Byron Family'",
        "guests_client": "SELECT id FROM client WHERE name = 'Hamilton Guidance'",
        "invite_id": "SELECT id FROM invite WHERE email = 'will@byron.example'",
        "access_id": "SELECT id FROM portal_access WHERE email = 'ada@byron.example'",
        "removed_id": "SELECT id FROM portal_access WHERE state = 'removed'",
        "contact_id": "SELECT id FROM contact WHERE email = 'will@byron.example'",
        "file_id": "SELECT id FROM work_item WHERE title = '2025 return.pdf'",
        "member_id": "SELECT m.id FROM team_member m JOIN login l ON l.id = m.login_id"
        " WHERE l.email = 'sam@northwind.example'",
        "message_id": "SELECT id FROM message_template LIMIT 1",
        "survey_template_id": "SELECT id FROM survey_template LIMIT 1",
    }
    with closing(sqlite3.connect(f"file:{live.data_dir}/portal.sqlite3?mode=ro", uri=True)) as rows:
        return {name: str(rows.execute(statement).fetchone()[0]) for name, statement in asked.items()}


def _import(staff: Page) -> str:
    staff.goto("/portals/import")
    lines = "client,contact,email\nNew Ltd,Nora New,nora@new.example\n,Nobody,no@x.example\n"
    file = {"name": "clients.csv", "mimeType": "text/csv", "buffer": lines.encode()}
    staff.get_by_label("File", exact=True).set_input_files(file)
    staff.get_by_role("button", name="Look at it first").click()
    staff.wait_for_url(re.compile("/portals/import/"))
    return staff.url.rpartition("/")[2]


def _first_mail(staff: Page) -> str:
    staff.goto("/mailbox")
    address = staff.locator("main a[href^='/mailbox/']").first.get_attribute("href")
    assert address is not None
    return address.rpartition("/")[2]


def _ask_for_code(guest: Page, token: str) -> None:
    """The page of the code belongs to the browser that pressed Accept."""
    guest.goto(f"/portal/invite/{token}")
    guest.get_by_label("Full name").fill("Margaret Hamilton")
    guest.get_by_label("Create password").fill("tin kettle orchard nine")
    guest.get_by_role("button", name="Accept").click()
    guest.wait_for_url(re.compile("/code"))


def _reset(live: Live, guest: Page) -> str:
    guest.goto("/reset")
    guest.locator("input[type=email], input[name=email]").first.fill("charles@engine.example")
    guest.locator("main button[type=submit]").click()
    mail = live.wait_for_mail("charles@engine.example").get_body(("plain",))
    found = re.search(r"/reset/(\S+)", mail.get_content() if mail else "")
    assert found
    return found[1]
