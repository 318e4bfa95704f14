"""A fourth workflow is one file: the example of docs/hooks.md, put into a folder, and everything else follows.

Also what a plug-in may refuse, and what a broken one gets: one line that names it, and no half-started product.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

import app as product
from hooks.dispatch import dispatch_due
from hooks.plugins import BrokenPlugin
from hooks.signals import CATALOGUE
from mail.worker import send_due
from models import ApiToken, Event, Invite, Outbox, StoredFile, WorkItem, db, unit_of_work, utc_now
from models.api_token import hash_of_token
from tests.portal import accept, everything, words
from tests.staff import Staff
from tests.support.live import PROJECT, run
from tests.support.plugins import signals_as_before
from tests.support.smtp import MailServer
from tests.support.world import World, make_client, make_world

ADA, BOOKS = "ada@byron.example", "bookkeeper@ledger.example"
TOKEN = "the token of the plug-in's developer"
EXAMPLES = re.findall(
    r"```python\n(.*?)```", re.sub(r"(?m)^   ", "", (PROJECT / "docs/hooks.md").read_text()), re.DOTALL
)
INVOICE = next(example for example in EXAMPLES if "class Invoice" in example)
REFUSING = """
from hooks import Refused, client_request_sent, file_made_visible, file_uploaded

def closed(sender, *, items, **extra):
    if any("2019" in item.title for item in items):
        raise Refused("The year 2019 is closed. Ask the partner to open it again.")

for trigger in (client_request_sent, file_made_visible):
    trigger.connect(closed)
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of plug-ins, one for all tests here: a signal is declared once in a process."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "invoice.py").write_text(INVOICE)
    (folder / "closed_years.py").write_text(REFUSING)
    with signals_as_before():
        yield folder
        refusing = sys.modules["portal_plugin_closed_years"]
        for name in ("client_request_sent", "file_made_visible"):
            CATALOGUE[name].disconnect(refusing.closed)


@pytest.fixture
def app(make_app: Callable[..., Flask], plugins: Path) -> Flask:
    return make_app(PORTAL_PLUGINS=plugins)


@pytest.fixture
def world(app: Flask) -> World:
    world = make_world(app)
    with app.app_context(), unit_of_work() as session:
        session.add(
            ApiToken(team_member_id=world.admin_id, token_hash=hash_of_token(TOKEN), used_at=utc_now())
        )
    return world


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA))


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


@pytest.fixture
def api(app: Flask, world: World) -> Callable[..., Any]:
    client = app.test_client()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return lambda method, path, **options: client.open(
        f"/api/v1{path}", method=method, headers=headers, **options
    )


def deliver(app: Flask) -> None:
    """What the worker does: mails and facts."""
    with app.app_context():
        send_due(app.config["PORTAL"])
        while dispatch_due(app):
            pass


def link_in(text: str) -> str:
    """The path of the link in a mail."""
    found = re.search(r"https?://[^/\s]+(/portal/invite/\S+)", text)
    assert found, text
    return found.group(1)


def test_it_is_one_short_file() -> None:
    assert len(INVOICE.strip().splitlines()) <= 40
    assert "amount" in INVOICE


def test_staff_send_it_and_the_client_marks_it_as_paid(
    app: Flask, world: World, byron: str, dana: Staff, smtp: MailServer
) -> None:
    heard: list[dict[str, Any]] = []
    CATALOGUE["invoice_completed"].connect(
        lambda sender, **arguments: heard.append({"sender": sender, **arguments})
    )

    # The record offers it; the form has the schema's own fields; a wrong one gets its sentence and loses nothing.
    assert "Send invoice" in dana.open(f"/clients/{byron}").words
    form = dana.open(f"/clients/{byron}/send/invoice")
    assert {"title", "due_on", "amount", "currency"} <= set(form.fields("/send/invoice"))
    wrong = form.press(title="Invoice 7, March", amount="a lot", currency="EUR")
    assert wrong.status == 422
    assert len(wrong.errors()) == 1
    assert wrong.fields("/send/invoice")["title"] == "Invoice 7, March"
    assert wrong.fields("/send/invoice")["amount"] == "a lot"

    # The Client Portal window, and Send.
    window = wrong.press(amount="120.50")
    assert window.status == 200
    assert "Client Portal Sending “Invoice 7, March” to Byron Family" in window.words
    assert window.ticked() == ["Ada Byron"]
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(WorkItem)) == 0
    sent = window.press("do=send", new_email=BOOKS)
    assert sent.status == 200
    assert "Invite sent" in sent.words
    assert "Invoice 7, March" in sent.words

    # The mail, over the wire.
    deliver(app)
    assert smtp.everyone() == [ADA, BOOKS]
    [mail] = smtp.to(ADA)
    assert "invoice" in str(mail.message["Subject"]) + mail.text
    assert "sent you an invoice" in mail.text
    assert "sent you an invoice" in mail.html
    assert "March" not in mail.text + mail.html + str(mail.message["Subject"])
    assert "Byron Family" not in mail.text + mail.html

    # The client's side: the link leads to the item itself.
    ada = app.test_client()
    shown = ada.get(link_in(mail.text))
    assert "sent you an invoice" in words(shown)
    page = accept(ada, app, link_in(mail.text))
    assert page.status_code == 200
    assert "Invoice 7, March" in words(page)
    for said in ("Amount", "120.50", "Currency", "EUR", "Mark as paid"):
        assert said in words(page)
    assert "Invoice 7, March" in words(ada.get("/portal/todo"))
    item_id = page.request.path.rpartition("/")[2]
    assert "Viewed" in dana.open(f"/items/{item_id}").words
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert token
    done = ada.post(page.request.path, data={"csrf_token": token[1]}, follow_redirects=True)
    assert "Invoice 7, March is marked as complete." in words(done)
    assert "Completed" in words(done)
    assert "Mark as paid" not in words(done)
    again = ada.post(page.request.path, data={"csrf_token": token[1]}, follow_redirects=True)
    assert "complete already" in words(again)
    assert "Completed" in dana.open(f"/items/{item_id}").words
    assert "Completed" in dana.open(f"/clients/{byron}/invoices").words

    # The outsider, who sees this item and nothing else, accepts too.
    books = app.test_client()
    page = accept(books, app, link_in(smtp.to(BOOKS)[0].text), name="Bea Booker")
    assert "120.50" in words(page)

    # The workflow's own fact, once.
    deliver(app)
    [fact] = heard
    assert (fact["sender"], fact["item_id"], fact["client_id"]) == ("invoice", item_id, byron)


def test_developers_get_calls_and_their_description(
    app: Flask, world: World, byron: str, api: Callable[..., Any]
) -> None:
    body = {"title": "Invoice 8", "amount": "80.00", "invite": {"recipients": [{"email": ADA}]}}
    plan = api("POST", f"/clients/{byron}/invoices?dry_run=true", json=body)
    assert plan.status_code == 200
    assert api("GET", f"/clients/{byron}/invoices").get_json()["items"] == []
    made = api("POST", f"/clients/{byron}/invoices", json=body)
    assert made.status_code == 201, made.text
    invoice = made.get_json()
    assert (invoice["type"], invoice["title"], invoice["status"]) == ("invoice", "Invoice 8", "sent")
    assert (invoice["amount"], invoice["currency"]) == ("80.00", "USD")
    assert invoice["invite_results"][0]["outcome"] == "invited"
    [listed] = api("GET", f"/clients/{byron}/invoices").get_json()["items"]
    assert listed["id"] == invoice["id"]
    assert api("GET", f"/invoices/{invoice['id']}").get_json()["amount"] == "80.00"
    step = api("GET", f"/clients/{byron}/invite-step?workflow=invoice")
    assert step.get_json()["people"][0]["standing"] == "invited"

    for bad, field in (
        ({"amount": "much"}, "amount"),
        ({"currency": "XXX"}, "currency"),
        ({"colour": 1}, "colour"),
    ):
        refused = api("POST", f"/clients/{byron}/invoices", json=body | bad)
        assert refused.status_code == 422, refused.text
        assert field in refused.get_json()["errors"]
    assert api("GET", f"/client-requests/{invoice['id']}").status_code == 404

    other = make_world(app, "Other Firm", "other.example")
    with app.app_context(), unit_of_work() as session:
        session.add(
            ApiToken(team_member_id=other.admin_id, token_hash=hash_of_token("other"), used_at=utc_now())
        )
    foreign = app.test_client().get(
        f"/api/v1/invoices/{invoice['id']}", headers={"Authorization": "Bearer other"}
    )
    assert foreign.status_code == 404

    description = app.test_client().get("/api/v1/openapi.json").get_json()
    paths = description["paths"]
    assert set(paths["/api/v1/clients/{client_id}/invoices"]) >= {"get", "post"}
    assert "get" in paths["/api/v1/invoices/{item_id}"]
    sending = paths["/api/v1/clients/{client_id}/invoices"]["post"]
    assert sending["summary"] == "Send invoice"
    assert {"title", "due_on", "amount", "currency", "invite"} <= set(properties(description, sending))


def properties(description: dict[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    """The body's properties as the description names them."""
    schema = call["requestBody"]["content"]["application/json"]["schema"]
    if "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    found: dict[str, Any] = schema["properties"]
    return found


def test_what_a_receiver_refuses_is_not_kept(
    app: Flask, world: World, byron: str, dana: Staff, api: Callable[..., Any], data_dir: Path
) -> None:
    sentence = "The year 2019 is closed. Ask the partner to open it again."
    before = everything(app)
    invite = {"recipients": [{"email": BOOKS}]}
    survey = {"title": "Organizer 2019", "questions": [], "invite": invite}
    answers = [
        api("POST", f"/clients/{byron}/client-requests", json=survey),
        api(
            "POST",
            f"/clients/{byron}/files",
            data={
                "file": (io.BytesIO(b"%PDF-1.4 a return"), "Return 2019.pdf"),
                "visible": "true",
                "invite": '{"recipients": [{"email": "bookkeeper@ledger.example"}]}',
            },
        ),
    ]
    for answer in answers:
        problem = answer.get_json()
        assert (answer.status_code, problem["code"], problem["detail"]) == (409, "refused", sentence), (
            answer.text
        )
    assert [path for path in (data_dir / "files").rglob("*") if path.is_file()] == []
    after = everything(app)
    assert {name for name in before if before[name] != after[name]} == set()

    window = dana.open(f"/clients/{byron}/send/client-request").press(
        **{"title": "Organizer 2019", "questions__0__label": "Moved?", "questions__0__type": "yes_no"}
    )
    refused = window.press("do=send", new_email=BOOKS)
    assert refused.status == 409
    assert sentence in refused.words
    assert refused.ticked() == ["Ada Byron", BOOKS]
    with app.app_context():
        for table in (WorkItem, Invite, Outbox, StoredFile):
            assert db.session.scalar(sa.select(sa.func.count()).select_from(table)) == 0
        assert db.session.scalar(sa.select(sa.func.count()).where(Event.workflow != "")) == 0

    # Another year is none of the receiver's business.
    assert (
        api("POST", f"/clients/{byron}/client-requests", json=survey | {"title": "2020"}).status_code == 201
    )


# Broken plug-ins ----------------------------------------------------------------------------------------------------

SLUG_TWICE = INVOICE.replace('"invoice", "invoices"', '"client-request", "bills"').replace(
    "invoice_", "bill_"
)
COLLECTION_TAKEN = INVOICE.replace('"invoice", "invoices"', '"bill", "contacts"').replace("invoice_", "bill_")
SIGNAL_TWICE = "from hooks import fact\nmine = fact('invite_accepted', 'Once more.')\n"
BROKEN = {
    "slug": (SLUG_TWICE, "'client-request'"),
    "collection": (COLLECTION_TAKEN, "'contacts'"),
    "signal": (SIGNAL_TWICE, "'invite_accepted'"),
    "raises": ("raise RuntimeError('no key for the bank,\\nsee its manual')\n", "no key for the bank"),
    "syntax": ("def half(:\n", "invalid syntax"),
    "import": ("import a_module_that_is_not_there\n", "a_module_that_is_not_there"),
    "leaves": ("import sys\nsys.exit()\n", "SystemExit"),
    "no-slug": (INVOICE.replace("    slug, collection", "    slag, collection").replace("invoice_", "bill_"), "slug"),
    "no-schema": (INVOICE.replace("    schema = InvoiceSchema\n", "").replace("invoice_", "bill_"), "schema"),
    "no-title": (re.sub(r".*title = Text.*\n", "", INVOICE).replace("invoice_", "bill_"), "title"),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_plugin_stops_the_start_with_one_line(how: str, tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "bills.py").write_text(BROKEN[how][0])
    with signals_as_before(), pytest.raises(BrokenPlugin) as refused:
        product.create_app({"PORTAL_DATA_DIR": tmp_path, "PORTAL_PLUGINS": folder, "PORTAL_TESTING": "true"})
    line = str(refused.value)
    assert "\n" not in line
    assert "bills.py" in line
    assert BROKEN[how][1] in line


def test_the_operator_reads_that_line_and_no_traceback(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "bills.py").write_text(SIGNAL_TWICE)
    done = run(tmp_path / "data", settings={"PORTAL_PLUGINS": str(folder)})
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("portal-invites: the plug-in ")
    assert "bills.py" in line
