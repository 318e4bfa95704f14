"""What the tests of the client's side share: work that was sent, the mailed links, and a person at the page."""

from __future__ import annotations

import io
import re
from functools import cache
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from reportlab.pdfgen.canvas import Canvas
from werkzeug.test import TestResponse

import config
from invites.inviting import invite_people
from invites.lifecycle import Occasion
from invites.orders import InviteOrder, Recipient
from invites.scope import FirmView
from mail import links
from models import AcceptCode, Invite, Scope, TeamMember, WorkItem, db, unit_of_work
from schemas.base import load
from tests.support.world import PASSWORD, World
from workflows import storage
from workflows.esign_request import documents
from workflows.file_visibility import uploads, visibility
from workflows.registry import installed
from workflows.sending import send

ADA, WILL, OUTSIDER = "ada@byron.example", "will@byron.example", "bookkeeper@ledger.example"
NEW_PASSWORD = "violet harbour seventeen"

QUESTIONS: list[dict[str, Any]] = [
    {"key": "city", "type": "short_text", "label": "Where do you live?", "required": True},
    {"key": "story", "type": "long_text", "label": "Anything we should know?"},
    {"key": "moved", "type": "yes_no", "label": "Did you move this year?"},
    {"key": "since", "type": "date", "label": "Since when?"},
    {"key": "kind", "type": "single_choice", "label": "Kind of home", "choices": ["House", "Flat"]},
]


def order(*emails: str, can_see: Scope | None = None, message: str = "") -> InviteOrder:
    """An order for typed addresses."""
    return InviteOrder(tuple(Recipient(email=email, can_see=can_see) for email in emails), message=message)


def view_of(world: World) -> FirmView:
    """The admin's view (needs an application context)."""
    return FirmView(db.session.get_one(TeamMember, world.admin_id))


def invite(world: World, client_id: str, email: str, message: str = "") -> str:
    """Invite from the record. Returns the invite's id."""
    with world.app.app_context():
        with unit_of_work():
            firm = view_of(world)
            occasion = Occasion(
                firm.client(client_id), firm.member, "client-record", "invited you to the Client Portal"
            )
            (result,) = invite_people(occasion, order(email, message=message))
            assert result.invite is not None
            invite_id = result.invite.id
        return invite_id


def survey(
    world: World,
    client_id: str,
    *emails: str,
    title: str = "Tax organizer 2026",
    questions: list[dict[str, Any]] | None = None,
    can_see: Scope | None = None,
    message: str = "",
    **fields: Any,
) -> str:
    """Send a client request, with invites to `emails`. Returns the item's id."""
    with world.app.app_context():
        workflow = installed().get("client-request")
        assert workflow is not None
        given = QUESTIONS if questions is None else questions
        data = load(workflow.schema(), {"title": title, "questions": given, **fields})
        invites = order(*emails, can_see=can_see, message=message) if emails else None
        with (
            workflow.prepared(view_of(world), view_of(world).client(client_id), data) as ready,
            unit_of_work(),
        ):
            firm = view_of(world)
            (item,) = send(workflow, firm, firm.client(client_id), ready, invites).items
            item_id = item.id
        return item_id


def file(
    world: World,
    client_id: str,
    *emails: str,
    name: str = "2025 return.pdf",
    data: bytes = b"%PDF-1.4 not a real one",
    visible: bool = True,
    can_see: Scope | None = None,
    people: list[tuple[str, str]] | None = None,
) -> str:
    """Upload a file and make it visible, with invites to `emails`. Returns the item's id."""
    with world.app.app_context():
        with storage.received((io.BytesIO(data), name)) as received, unit_of_work():
            firm = view_of(world)
            client = firm.client(client_id)
            items = uploads.upload(firm, client, received)
            if visible:
                invites = order(*emails, can_see=can_see) if emails else None
                visibility.make_visible(firm, client, items, invites, people)
            item_id = items[0].id
        return item_id


def link(app: Flask, email: str, item_id: str | None = None, generation: int | None = None) -> str:
    """The path of the newest invite's link for an address."""
    with app.app_context():
        row = db.session.scalars(
            sa.select(Invite).where(Invite.email == email).order_by(Invite.id.desc()).limit(1)
        ).one()
        whole = links.invite_link(config.current(), row.id, generation or row.generation, item_id)
        return whole.removeprefix(config.current().base_url)


def code(app: Flask) -> str:
    """The six digits that were mailed last."""
    with app.app_context():
        row = db.session.scalars(sa.select(AcceptCode).order_by(AcceptCode.id.desc()).limit(1)).one()
        return links.accept_code(config.current(), row.id)


def item_of(app: Flask, item_id: str) -> WorkItem:
    """The item's row, detached."""
    with app.app_context():
        row = db.session.get_one(WorkItem, item_id)
        db.session.expunge(row)
        return row


def accept(
    person: FlaskClient, app: Flask, path: str, name: str = "Ada Byron", follow: bool = True
) -> TestResponse:
    """Accept as a new person: name, password, the mailed code. The answer to the code."""
    bare, _, query = path.partition("?")
    begun = person.post(path, data={"name": name, "password": NEW_PASSWORD})
    assert begun.status_code == 303, begun.text
    start = re.search(r"start=([0-9A-Z]{26})", begun.location)
    assert start, begun.location
    typed = {"code": code(app), "start": start.group(1)}
    return person.post(f"{bare}/code?{query}", data=typed, follow_redirects=follow)


def form_token(page: TestResponse) -> str:
    """The form token of a page."""
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert found, page.text
    return found.group(1)


def sign_in(person: FlaskClient, email: str, password: str = PASSWORD, url: str = "/login") -> TestResponse:
    """Fill in the sign-in page."""
    fields = {"email": email, "password": password, "csrf_token": form_token(person.get(url))}
    answer = person.post(url, data=fields)
    assert answer.status_code == 302, answer.text
    return answer


def post(person: FlaskClient, page: str, action: str, **fields: Any) -> TestResponse:
    """Load `page`, take its form token, and send a form of it to `action`."""
    token = form_token(person.get(page))
    return person.post(action, data={"csrf_token": token, **fields})


def words(page: TestResponse) -> str:
    """The text of a page's content, in one line."""
    body = page.text.split('<main id="main"', 1)[-1].split("</main>", 1)[0]
    return " ".join(re.sub(r"<[^>]+>", " ", body).split()).replace("&#39;", "'").replace("&amp;", "&")


def everything(app: Flask) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, to see that nothing changed."""
    with app.app_context():
        tables = sa.inspect(db.engine).get_table_names()
        metadata = sa.MetaData()
        metadata.reflect(db.engine)
        return {
            name: sorted(tuple(map(str, row)) for row in db.session.execute(sa.select(metadata.tables[name])))
            for name in tables
        }


def esign(
    world: World, client_id: str, *signers: tuple[str, str], title: str = "Engagement letter", **fields: Any
) -> str:
    """Send an eSign request to (name, address) signers, inviting each. Returns the item's id."""
    with world.app.app_context():
        workflow = installed().get("esign-request")
        assert workflow is not None
        pdf = io.BytesIO(letter())
        with storage.received((pdf, "Engagement letter.pdf")) as received:
            documents.check(received[0])
            with unit_of_work():
                firm = view_of(world)
                file_id = documents.add(firm, firm.client(client_id), received[0]).id
        people = [{"name": name, "email": email} for name, email in signers]
        data = load(workflow.schema(), {"file_id": file_id, "title": title, "signers": people, **fields})
        invites = order(*dict.fromkeys(email for _, email in signers))
        with (
            workflow.prepared(view_of(world), view_of(world).client(client_id), data) as ready,
            unit_of_work(),
        ):
            firm = view_of(world)
            (item,) = send(workflow, firm, firm.client(client_id), ready, invites).items
            item_id = item.id
        return item_id


@cache
def letter() -> bytes:
    """A real PDF of two pages."""
    target = io.BytesIO()
    canvas = Canvas(target)
    for number in (1, 2):
        canvas.drawString(72, 760, f"Engagement letter, page {number}")
        canvas.showPage()
    canvas.save()
    return target.getvalue()
