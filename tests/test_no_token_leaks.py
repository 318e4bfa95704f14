"""A link is a key: after a whole journey its token is in no table, no log, no answer, no page and no file.

Against the running product in both shapes (one process on SQLite; web and worker on PostgreSQL), with real mails in
the built-in mailbox, which is the one place where a link may stand. Looking at a link changes nothing at all.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from tests.support.live import Live, link_in

ADA, DANA = "ada@leaks.example", "dana@northwind.example"
DEMO_PASSWORD, PASSWORD = "northwind-demo", "violet harbour seventeen"
CSRF = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
SIX_DIGITS = re.compile(r"(?<!\d)(\d{6})(?!\d)")


@dataclass
class Journey:
    """One person's way from the Send to the logout, with everything that was said on the way."""

    live: Live
    api_token: str
    client_id: str = ""
    item_id: str = ""
    invite_id: str = ""
    secrets: dict[str, str] = field(default_factory=dict)  # what it is -> the secret itself
    heard: dict[str, str] = field(default_factory=dict)  # API calls and staff pages -> their answer

    def api(self, method: str, path: str, **options: Any) -> Any:
        """A call, whose answer is kept for the search."""
        headers = {"Authorization": f"Bearer {self.api_token}"}
        answer = requests.request(
            method, f"{self.live.url}/api/v1{path}", headers=headers, timeout=30, **options
        )
        assert answer.ok, answer.text
        self.heard[f"{method} {path} #{len(self.heard)}"] = f"{answer.headers}\n{answer.text}"
        return answer.json()

    def database(self) -> sa.Engine:
        """A connection of our own to the product's database."""
        url = (
            self.live.environment.get("DATABASE_URL") or f"sqlite:///{self.live.data_dir / 'portal.sqlite3'}"
        )
        return sa.create_engine(url, poolclass=sa.NullPool)

    def rows(self) -> dict[str, list[str]]:
        """Every column of every row of every table, as text. Huey's own tables only hold wake-ups of each minute."""
        engine = self.database()
        metadata = sa.MetaData()
        metadata.reflect(engine)
        with engine.connect() as connection:
            return {
                name: sorted(repr(tuple(row)) for row in connection.execute(sa.select(table)))
                for name, table in metadata.tables.items()
            }

    def until_quiet(self) -> None:
        """Wait until the worker has nothing left to do."""
        deadline = time.monotonic() + 60
        waiting = sa.text(
            "SELECT (SELECT count(*) FROM outbox WHERE state IN ('queued', 'sending')"
            " AND kind NOT IN ('item')) + (SELECT count(*) FROM event WHERE dispatched_at IS NULL)"
        )
        while True:
            with self.database().connect() as connection:
                if not connection.execute(waiting).scalar_one():
                    return
            assert time.monotonic() < deadline, "the worker has not done its work"
            time.sleep(0.2)

    def browser(self) -> requests.Session:
        """A person's browser on our own pages."""
        browser = requests.Session()
        browser.headers["Origin"] = self.live.url
        return browser

    def sign_in(self, email: str, password: str) -> requests.Session:
        """A browser that is signed in."""
        browser = self.browser()
        token = CSRF.search(browser.get(f"{self.live.url}/login", timeout=30).text)
        assert token
        fields = {"email": email, "password": password, "csrf_token": token[1]}
        answer = browser.post(f"{self.live.url}/login", data=fields, timeout=30, allow_redirects=False)
        assert answer.status_code == 302, answer.text
        return browser

    def read(self, browser: requests.Session, path: str) -> str:
        """A staff page, kept for the search."""
        answer = browser.get(f"{self.live.url}{path}", timeout=30)
        assert answer.status_code == 200, (path, answer.status_code)
        self.heard[path] = f"{answer.headers}\n{answer.text}"
        return answer.text


def token_of(link: str) -> str:
    """The secret part of a mailed link."""
    return link.partition("/portal/invite/")[2].partition("?")[0]


@pytest.fixture(scope="module")
def journey(live: Live) -> Journey:
    """Sent, mailed, opened, resent, accepted; then signed out. One for all tests of a shape."""
    journey = Journey(live, live.command("create-token", "--email", DANA).strip())
    journey.secrets["API token"] = journey.api_token
    journey.client_id = journey.api("POST", "/clients", json={"name": "Leaks Ltd"})["id"]
    body = {
        "title": "Tax organizer",
        "questions": [],
        "invite": {"recipients": [{"email": ADA, "name": "Ada"}], "message": "Ten minutes should do."},
    }
    sent = journey.api("POST", f"/clients/{journey.client_id}/client-requests", json=body)
    journey.item_id, journey.invite_id = sent["id"], sent["invite_results"][0]["invite"]["id"]
    first = link_in(live.wait_for_mail(ADA))
    journey.secrets["first link"] = token_of(first)
    assert requests.get(first, timeout=30).status_code == 200

    journey.api("POST", f"/invites/{journey.invite_id}/resend")
    second = link_in(live.wait_for_mail(ADA, 2))
    journey.secrets["second link"] = token_of(second)
    assert journey.secrets["first link"] != journey.secrets["second link"]
    assert "newer" in requests.get(first, timeout=30).text
    assert requests.get(f"{live.url}/portal/invite/{token_of(second)[:-1]}x", timeout=30).status_code == 404
    return journey


def accept(journey: Journey) -> requests.Session:
    """Accept by the newest link: name, password, the mailed code."""
    browser = journey.browser()
    link = f"{journey.live.url}/portal/invite/{journey.secrets['second link']}"
    begun = browser.post(link, data={"name": "Ada Leaks", "password": PASSWORD}, timeout=30)
    assert begun.status_code == 200, begun.text
    start = re.search(r"start=(\w{26})", begun.url)
    assert start, begun.url
    body = journey.live.wait_for_mail(ADA, 3).get_body(("plain",))
    assert body is not None
    code = SIX_DIGITS.search(body.get_content())
    assert code
    entered = browser.post(f"{link}/code", data={"code": code[1], "start": start[1]}, timeout=30)
    assert entered.status_code == 200, entered.text
    assert "Tax organizer" in entered.text
    return browser


def test_a_hundred_looks_change_nothing(journey: Journey) -> None:
    journey.until_quiet()
    links = [
        f"{journey.live.url}/portal/invite/{journey.secrets[name]}" for name in ("first link", "second link")
    ]
    before = journey.rows()
    scanner = requests.Session()
    for number in range(100):
        answer = scanner.request("HEAD" if number % 2 else "GET", links[number // 2 % 2], timeout=30)
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
    after = journey.rows()
    changed = {name for name in before if before[name] != after.get(name) and not name.startswith("huey")}
    assert changed == set()
    assert before.keys() == after.keys()


def test_the_keys_are_nowhere_but_in_the_mailbox(journey: Journey) -> None:
    live = journey.live
    ada = accept(journey)
    journey.secrets["session of the client"] = str(ada.cookies["portal_session"])
    used = requests.get(f"{live.url}/portal/invite/{journey.secrets['second link']}", timeout=30)
    assert used.status_code == 200
    journey.secrets["password"] = PASSWORD

    # A forgotten password: another key by mail.
    stranger = journey.browser()
    token = CSRF.search(stranger.get(f"{live.url}/reset", timeout=30).text)
    assert token
    asked = stranger.post(f"{live.url}/reset", data={"email": ADA, "csrf_token": token[1]}, timeout=30)
    assert asked.status_code == 200
    body = live.wait_for_mail(ADA, 4).get_body(("plain",))
    assert body is not None
    reset = re.search(r"/reset/(\S+)", body.get_content())
    assert reset
    journey.secrets["reset link"] = reset[1]
    assert requests.get(f"{live.url}/reset/{reset[1]}", timeout=30).status_code == 200

    # Everything staff and developers can read about it.
    dana = journey.sign_in(DANA, DEMO_PASSWORD)
    journey.secrets["session of staff"] = str(dana.cookies["portal_session"])
    record = f"/clients/{journey.client_id}"
    for path in ("/", "/clients", record, f"{record}/activity", f"{record}/client-requests", "/portals",
                 f"{record}/invite", f"/items/{journey.item_id}", "/templates", "/settings"):  # fmt: skip
        journey.read(dana, path)
    people = re.findall(rf'href="({record}/people/[^"]+)"', journey.heard[record])
    assert people
    assert "Ada" in journey.read(dana, people[0])
    for path in (f"/invites?client_id={journey.client_id}", f"/invites/{journey.invite_id}",
                 f"/clients/{journey.client_id}/access", f"/clients/{journey.client_id}/invite-step",
                 f"/clients/{journey.client_id}/client-requests", f"/client-requests/{journey.item_id}"):  # fmt: skip
        journey.api("GET", path)
    journey.until_quiet()

    rows = journey.rows()
    assert any(ADA in row for row in rows["invite"]), "the search reads the rows"
    logs = {path.name: path.read_text() for path in live.data_dir.glob("*.log")}
    assert any(logs.values()), "the search reads the logs"
    for what, secret in journey.secrets.items():
        assert len(secret) > 20, what
        tables = {name for name, lines in rows.items() if any(secret in line for line in lines)}
        assert tables == set(), what
        assert {name for name, text in logs.items() if secret in text} == set(), what
        assert {name for name, text in journey.heard.items() if secret in text} == set(), what
        assert files_with(live.data_dir, secret) == set(), what
    links = [name for name, text in journey.heard.items() if "/portal/invite/" in text]
    assert links == []


def files_with(folder: Path, secret: str) -> set[str]:
    """The files of the data folder that hold it: databases with their journals, the queue, the store; no mailbox."""
    wanted = secret.encode()
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "mailbox" not in path.relative_to(folder).parts and wanted in path.read_bytes()
    }


def test_a_cookie_copied_before_logout_is_dead_after_it(journey: Journey) -> None:
    for email, password, home in ((ADA, PASSWORD, "/portal/"), (DANA, DEMO_PASSWORD, "/clients")):
        browser = journey.sign_in(email, password)
        copied = browser.cookies["portal_session"]
        page = browser.get(f"{journey.live.url}{home}", timeout=30)
        assert page.status_code == 200
        token = CSRF.search(page.text)
        assert token
        thief = {"Cookie": f"portal_session={copied}"}
        assert ask(journey, home, thief).status_code == 200
        out = browser.post(f"{journey.live.url}/logout", data={"csrf_token": token[1]}, timeout=30)
        assert out.status_code == 200
        for path in (home, "/", "/portal/settings"):
            assert ask(journey, path, thief).status_code in {302, 303}
            assert "/login" in ask(journey, path, thief).headers["Location"]


def ask(journey: Journey, path: str, headers: dict[str, str]) -> requests.Response:
    return requests.get(f"{journey.live.url}{path}", headers=headers, timeout=30, allow_redirects=False)
