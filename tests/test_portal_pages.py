"""Home, To-do, Files and the items: what a person sees, and what their buttons do."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from models import AccessState, Answer, Event, ItemView, PortalAccess, WorkItem, db, unit_of_work, utc_now
from models.database import statements
from tests.portal import (
    ADA,
    WILL,
    esign,
    everything,
    file,
    form_token,
    item_of,
    letter,
    post,
    sign_in,
    survey,
    words,
)
from tests.support.plugins import signals_as_before
from tests.support.world import World, give_access, make_client, make_world
from web.portal.lines import due_words

PLUGIN = """
import marshmallow as ma
from hooks.signals import Question, Trigger
from schemas.base import Strict, Text
from workflows.registry import Workflow


class InvoiceSchema(Strict):
    title = Text(most=300, required=True, metadata={"label": "Title"})
    amount = ma.fields.Integer(required=True, metadata={"label": "Amount"})


class Invoice(Workflow):
    slug, collection, singular, plural = "test-invoice", "test-invoices", "Invoice", "Invoices"
    what, kind_label, send_label = "sent you an invoice", "Invoice", "Send invoice"
    done_label = "Mark as paid"
    schema = InvoiceSchema
    question = Question("test_invoice_sending", when="an invoice is sent", arguments={})
    trigger = Trigger("test_invoice_sent", when="an invoice was sent", arguments={})
"""


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    client_id = make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))
    give_access(world, client_id, ADA)
    return client_id


@pytest.fixture
def ada(world: World, byron: str, client: FlaskClient) -> FlaskClient:
    sign_in(client, ADA)
    return client


def saved(app: Flask, item_id: str) -> dict[str, object]:
    with app.app_context():
        rows = db.session.execute(sa.select(Answer.key, Answer.value).where(Answer.item_id == item_id))
        return dict(map(tuple, rows))


def answer(ada: FlaskClient, item: str, action: str = "answers", **fields: str):
    return post(ada, f"/portal/items/{item}", f"/portal/items/{item}/{action}", **fields)


# Home, To-do, Files -------------------------------------------------------------------------------------------------


def test_an_empty_portal_says_so(ada: FlaskClient) -> None:
    assert "Nothing to do" in words(ada.get("/portal/"))
    assert "You are up to date" in words(ada.get("/portal/"))
    assert "Nothing waits for you" in words(ada.get("/portal/todo"))
    assert "No files yet" in words(ada.get("/portal/files"))


def test_somebody_without_any_client_is_no_dead_end(world: World, byron: str, ada: FlaskClient) -> None:
    with world.app.app_context(), unit_of_work():
        db.session.execute(sa.update(PortalAccess).values(state=AccessState.REMOVED))
    assert "No firm has you in its Client Portal" in words(ada.get("/portal/"))
    assert ada.get("/portal/files").status_code == 200


def test_home_counts_what_is_to_do_and_shows_the_soonest_first(
    world: World, byron: str, ada: FlaskClient
) -> None:
    survey(world, byron, title="No hurry")
    survey(world, byron, title="Later", due_on=str(utc_now().date() + timedelta(days=40)))
    survey(world, byron, title="Soon", due_on=str(utc_now().date() + timedelta(days=1)))
    page = ada.get("/portal/")
    said = words(page)
    assert "3 things to do" in said
    assert said.index("Soon") < said.index("Later") < said.index("No hurry")
    assert "0 of 5 answered · due tomorrow" in said
    assert page.text.count("btn-primary") == 1


def test_new_files_are_marked_until_they_are_opened(world: World, byron: str, ada: FlaskClient) -> None:
    item = file(world, byron, name="2025 return.pdf")
    assert "New files" in words(ada.get("/portal/"))
    assert "2025 return.pdf" in words(ada.get("/portal/files"))
    assert "New" in words(ada.get("/portal/files")).split()
    ada.get(f"/portal/items/{item}")
    assert "New files" not in words(ada.get("/portal/"))
    assert "New" not in words(ada.get("/portal/files")).split()


def test_lines_name_the_client_where_there_are_several_and_the_switch_narrows(
    world: World, byron: str, ada: FlaskClient
) -> None:
    survey(world, byron, title="Organizer")
    assert "Byron Family" not in words(ada.get("/portal/todo"))
    hopper = make_client(world, "Hopper Compilers Inc.")
    give_access(world, hopper, ADA)
    survey(world, hopper, title="Year end")
    said = words(ada.get("/portal/todo"))
    assert "Survey · Byron Family" in said
    assert "Survey · Hopper Compilers Inc." in said
    page = ada.get(f"/portal/todo?client={hopper}")
    assert "Year end" in words(page)
    assert "Organizer" not in words(page)
    assert f"/portal/files?client={hopper}" in page.text


def test_a_person_of_two_firms_sees_both(world: World, byron: str, ada: FlaskClient) -> None:
    other = make_world(world.app, "Lovelace Law", "lovelace.example")
    theirs = make_client(other, "Ada privately")
    give_access(other, theirs, ADA)
    survey(world, byron, title="Organizer")
    survey(other, theirs, title="Divorce papers")
    page = ada.get("/portal/todo")
    assert "Ada privately, Lovelace Law" in words(page)
    assert "Byron Family, Northwind Tax" in words(page)
    assert "Lovelace Law" in page.text


def test_another_client_in_the_address_is_as_a_missing_one(world: World, ada: FlaskClient) -> None:
    foreign = make_client(world, "Foreign")
    for path in ("/portal/", "/portal/todo", "/portal/files"):
        assert ada.get(f"{path}?client={foreign}").status_code == 404
        assert ada.get(f"{path}?client=nothing").status_code == 404


def test_more_lines_cost_no_more_queries(world: World, byron: str, ada: FlaskClient) -> None:
    def cost(path: str) -> int:
        ada.get(path)
        with world.app.app_context(), statements() as seen:
            ada.get(path)
        return len(seen)

    def send() -> None:
        survey(world, byron)
        file(world, byron)
        esign(world, byron, ("Ada Byron", ADA))

    send()
    paths = ("/portal/", "/portal/todo", "/portal/files")
    few = [cost(path) for path in paths]
    for _ in range(4):
        send()
    assert [cost(path) for path in paths] == few


def test_long_lists_go_on_page_by_page(world: World, byron: str, ada: FlaskClient) -> None:
    with world.app.app_context(), unit_of_work() as session:
        for number in range(60):
            session.add(
                WorkItem(
                    firm_id=world.firm_id,
                    client_id=byron,
                    workflow="file",
                    title=f"file {number:02}.txt",
                    status="uploaded",
                    visible=True,
                    details={"size": 1, "content_type": "text/plain"},
                )
            )
    first = ada.get("/portal/files")
    assert first.text.count("data-lines") == 1
    after = first.text.split("after=")[1].split('"')[0]
    second = words(ada.get(f"/portal/files?after={after}"))
    shown = [name for number in range(60) if (name := f"file {number:02}.txt") in words(first)]
    rest = [name for number in range(60) if (name := f"file {number:02}.txt") in second]
    assert (len(shown), len(rest)) == (50, 10)
    assert not set(shown) & set(rest)


@pytest.mark.parametrize(
    "days, said",
    [
        (0, "due today"),
        (1, "due tomorrow"),
        (3, "due Thursday"),
        (7, "due 30 Nov"),
        (60, "due 22 Jan 2027"),
        (-1, "was due yesterday"),
        (-9, "was due 14 Nov"),
    ],
)
def test_due_dates_as_people_say_them(days: int, said: str) -> None:
    today = date(2026, 11, 23)
    assert due_words(today + timedelta(days=days), today) == said


# A survey -----------------------------------------------------------------------------------------------------------


def test_the_first_look_is_noted_once(world: World, byron: str, ada: FlaskClient) -> None:
    item = survey(world, byron)
    ada.head(f"/portal/items/{item}")
    ada.get(f"/portal/items/{item}", headers={"Sec-Purpose": "prefetch"})
    assert item_of(world.app, item).status == "sent"
    ada.get(f"/portal/items/{item}")
    ada.get(f"/portal/items/{item}")
    assert item_of(world.app, item).status == "viewed"
    with world.app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(ItemView)) == 1
        viewed = sa.select(Event.name).where(Event.name == "client_request_viewed")
        assert len(db.session.scalars(viewed).all()) == 1


def test_save_keeps_answers_and_one_can_go_on_later(world: World, byron: str, ada: FlaskClient) -> None:
    item = survey(world, byron)
    assert answer(ada, item, **{"q-city": "London", "q-moved": "no"}).status_code == 303
    assert saved(world.app, item) == {"city": "London", "moved": False}
    page = ada.get(f"/portal/items/{item}")
    assert 'value="London"' in page.text
    assert "2 of 5 answered" in words(page)
    assert "Continue" in words(ada.get("/portal/"))


def test_the_script_saves_each_change(world: World, byron: str, ada: FlaskClient) -> None:
    item = survey(world, byron)
    token = form_token(ada.get(f"/portal/items/{item}"))
    reply = ada.post(
        f"/portal/items/{item}/answers",
        data={"q-city": "London", "was-city": "", "q-since": "1700-01-01", "was-since": ""},
        headers={"Accept": "application/json", "X-CSRFToken": token},
    )
    assert reply.status_code == 200
    assert reply.json is not None
    assert (reply.json["answered"], reply.json["total"]) == (1, 5)
    assert reply.json["errors"] == {"q-since": ["Check the year of this date."]}
    assert reply.json["saved"]["q-city"] == "London"
    assert saved(world.app, item) == {"city": "London"}


def test_nothing_is_saved_without_the_form_token(world: World, byron: str, ada: FlaskClient) -> None:
    item = survey(world, byron)
    reply = ada.post(f"/portal/items/{item}/answers", data={"q-city": "London"})
    assert reply.status_code == 400
    assert saved(world.app, item) == {}


def test_a_wrong_answer_is_shown_with_its_sentence_and_the_others_are_saved(
    world: World, byron: str, ada: FlaskClient
) -> None:
    item = survey(world, byron)
    page = answer(ada, item, **{"q-city": "London", "q-since": "yesterday", "q-kind": "Castle"})
    assert page.status_code == 422
    assert "Enter a date such as 2026-12-15." in words(page)
    assert "Choose one of the answers." in words(page)
    assert 'value="yesterday"' in page.text
    assert saved(world.app, item) == {"city": "London"}


def test_submit_needs_the_required_answers_and_asks_once_more(
    world: World, byron: str, ada: FlaskClient
) -> None:
    item = survey(world, byron)
    page = answer(ada, item, "submit", **{"q-story": "All went well"})
    assert page.status_code == 422
    assert "Where do you live? Please answer this question." in words(page).split("Northwind")[0]
    assert saved(world.app, item) == {"story": "All went well"}
    reply = answer(ada, item, "submit", **{"q-city": "London"})
    assert (reply.status_code, reply.location) == (303, f"/portal/items/{item}/submit")
    assert item_of(world.app, item).status == "in_progress"
    asked = words(ada.get(reply.location))
    assert "Submit your answers?" in asked
    assert "3 of 5 questions are not answered" in asked
    done = post(ada, reply.location, f"/portal/items/{item}/submit", sure="yes")
    assert done.status_code == 303
    assert item_of(world.app, item).status == "submitted"
    page = ada.get(f"/portal/items/{item}")
    assert "is submitted" in words(page)
    assert "<textarea" not in page.text
    late = post(ada, "/portal/settings", f"/portal/items/{item}/answers", **{"q-city": "Paris"})
    assert late.status_code == 303
    assert "submitted already" in words(ada.get(late.location))
    assert saved(world.app, item)["city"] == "London"


def test_without_questions_it_is_marked_as_complete(world: World, byron: str, ada: FlaskClient) -> None:
    item = survey(world, byron, title="Bring statements", questions=[])
    assert "Mark as complete" in words(ada.get(f"/portal/items/{item}"))
    answer(ada, item, "submit")
    assert item_of(world.app, item).open is False
    assert "Nothing to do" in words(ada.get("/portal/"))


# Files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, data",
    [
        ("page.html", b"<script>alert(1)</script>"),
        ("picture.svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
        ("Röntgen «bild» 2.pdf", b"%PDF-1.4 x"),
    ],
)
def test_a_download_is_an_attachment_in_a_sandbox(
    world: World, byron: str, ada: FlaskClient, name: str, data: bytes
) -> None:
    item = file(world, byron, name=name, data=data)
    reply = ada.get(f"/portal/items/{item}/download")
    assert reply.data == data
    assert reply.headers["Content-Disposition"].startswith("attachment")
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.mimetype not in {"text/html", "image/svg+xml"}


def test_made_invisible_is_gone_at_once(world: World, byron: str, ada: FlaskClient) -> None:
    item = file(world, byron)
    assert ada.get(f"/portal/items/{item}/download").status_code == 200
    with world.app.app_context(), unit_of_work():
        db.session.execute(sa.update(WorkItem).values(visible=False))
    assert ada.get(f"/portal/items/{item}/download").status_code == 404
    assert ada.get(f"/portal/items/{item}").status_code == 404


def test_the_client_sends_files(world: World, byron: str, ada: FlaskClient) -> None:
    parts = [(io.BytesIO(b"one"), "one.txt"), (io.BytesIO(b"two"), "two.txt")]
    reply = post(ada, "/portal/files", "/portal/files", file=parts)
    assert reply.status_code == 303
    said = words(ada.get("/portal/files"))
    assert "2 files were sent" in said
    assert "one.txt Sent from your side" in said
    assert "New" not in said.split()


@pytest.mark.parametrize("parts, said", [([], "Choose a file"), ([(b"", "empty.txt")], "empty.txt is empty")])
def test_what_is_no_file_is_refused_beside_the_field(
    world: World, byron: str, ada: FlaskClient, parts: list[tuple[bytes, str]], said: str
) -> None:
    before = everything(world.app)["work_item"]
    uploads = [(io.BytesIO(data), name) for data, name in parts]
    page = post(ada, "/portal/files", "/portal/files", file=uploads or (io.BytesIO(b""), ""))
    assert page.status_code == 422
    assert said in words(page)
    assert everything(world.app)["work_item"] == before


# Signing ------------------------------------------------------------------------------------------------------------


def signer_in(page: str) -> str:
    return page.split('name="signer" value="')[1].split('"')[0]


def test_reading_and_signing_to_the_sealed_document(world: World, byron: str, ada: FlaskClient) -> None:
    item = esign(world, byron, ("Ada Byron", ADA), ("William King", WILL))
    give_access(world, byron, WILL, "William King")
    page = ada.get(f"/portal/items/{item}")
    assert "Sign as Ada Byron" in words(page)
    assert "Sign as William King" not in words(page)
    picture = ada.get(f"/portal/items/{item}/pages/1.png")
    assert (picture.mimetype, picture.data[:4]) == ("image/png", b"\x89PNG")
    assert ada.get(f"/portal/items/{item}/pages/3.png").status_code == 404
    assert ada.get(f"/portal/items/{item}/download/document").data == letter()
    assert ada.get(f"/portal/items/{item}/download/sealed").status_code == 404

    wrong = answer(ada, item, "sign", signer=signer_in(page.text), typed_name="")
    assert wrong.status_code == 422
    assert "Type your full name to sign." in words(wrong)
    assert "Tick the box to agree" in words(wrong)
    done = answer(ada, item, "sign", signer=signer_in(page.text), typed_name="Ada Byron", consent="yes")
    assert done.status_code == 303
    assert item_of(world.app, item).status == "partially_signed"
    assert "Nothing to do" in words(ada.get("/portal/"))

    will = world.app.test_client()
    sign_in(will, WILL)
    assert "1 thing to do" in words(will.get("/portal/"))
    page = will.get(f"/portal/items/{item}")
    foreign = answer(will, item, "sign", signer="01ARZ3NDEKTSV4RRFFQ69G5FAV", typed_name="W", consent="yes")
    assert foreign.status_code == 404
    answer(will, item, "sign", signer=signer_in(page.text), typed_name="William King", consent="yes")
    assert item_of(world.app, item).status == "completed"
    sealed = ada.get(f"/portal/items/{item}/download/sealed")
    assert sealed.data.startswith(b"%PDF-")
    assert sealed.headers["Content-Disposition"].startswith("attachment")
    assert "Signed documents" in words(ada.get("/portal/files"))


def test_declining_asks_once_more_and_keeps_the_reason(world: World, byron: str, ada: FlaskClient) -> None:
    item = esign(world, byron, ("Ada Byron", ADA))
    signer = signer_in(ada.get(f"/portal/items/{item}").text)
    asked = f"/portal/items/{item}/decline?signer={signer}"
    assert "Decline to sign?" in words(ada.get(asked))
    assert item_of(world.app, item).status == "viewed"
    too_long = post(ada, asked, f"/portal/items/{item}/decline", signer=signer, reason="x" * 501)
    assert too_long.status_code == 422
    post(ada, asked, f"/portal/items/{item}/decline", signer=signer, reason="The fee is wrong.")
    assert item_of(world.app, item).status == "declined"
    said = words(ada.get(f"/portal/items/{item}"))
    assert "The fee is wrong." in said
    assert "Type your full name" not in said


def test_who_signs_second_has_nothing_to_do_before(world: World, byron: str, ada: FlaskClient) -> None:
    give_access(world, byron, WILL, "William King")
    item = esign(world, byron, ("William King", WILL), ("Ada Byron", ADA), ordered=True)
    assert "Nothing to do" in words(ada.get("/portal/"))
    assert "William King signs first" in words(ada.get(f"/portal/items/{item}"))
    will = world.app.test_client()
    sign_in(will, WILL)
    assert "1 thing to do" in words(will.get("/portal/"))
    signer = signer_in(will.get(f"/portal/items/{item}").text)
    answer(will, item, "sign", signer=signer, typed_name="William King", consent="yes")
    assert "1 thing to do" in words(ada.get("/portal/"))


# A plugged-in workflow ----------------------------------------------------------------------------------------------


@pytest.fixture
def plugged_in(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "test_invoice.py").write_text(PLUGIN)
    with signals_as_before():
        yield folder


@pytest.mark.one_database  # a signal is declared once in a process
def test_a_plugged_in_item_is_read_and_done(world: World, make_app, plugged_in: Path, byron: str) -> None:
    app = make_app(PORTAL_PLUGINS=plugged_in)
    with app.app_context(), unit_of_work() as session:
        item = WorkItem(
            firm_id=world.firm_id, client_id=byron, workflow="test-invoice", title="Invoice 7", status="sent",
            visible=True, open=True, details={"amount": 120}, created_by_id=world.admin_id,
        )  # fmt: skip
        session.add(item)
        session.flush()
        item_id = item.id
    person = app.test_client()
    sign_in(person, ADA)
    assert "Invoice 7" in words(person.get("/portal/todo"))
    page = words(person.get(f"/portal/items/{item_id}"))
    assert "Amount 120" in page
    assert "Mark as paid" in page
    reply = post(person, f"/portal/items/{item_id}", f"/portal/items/{item_id}")
    assert reply.status_code == 303
    assert item_of(app, item_id).open is False
    # Where the plug-in was taken away, its items are as missing ones and break no list.
    plain = world.app.test_client()
    sign_in(plain, ADA)
    assert plain.get("/portal/todo").status_code == 200
    assert plain.get(f"/portal/items/{item_id}").status_code == 404
