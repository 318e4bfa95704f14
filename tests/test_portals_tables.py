"""Export and import of Manage Client Portals: harmless cells, flat memory, previews that write nothing."""

from __future__ import annotations

import csv
import importlib
import io
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import openpyxl
import pytest
import sqlalchemy as sa
from flask import Flask
from openpyxl import Workbook

import tasks
from models import (
    Client,
    ClientAssignment,
    Contact,
    Event,
    Job,
    JobItem,
    LoginSession,
    TeamMember,
    db,
    unit_of_work,
    utc_now,
)
from tests.portal import invite
from tests.staff import Shown, Staff
from tests.support.world import World, make_client, make_world
from web.safe_cells import harmless
from web.staff.portals_export import WITH

pytestmark = pytest.mark.one_database

HEAD = "client,contact,email,external_id\n"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


def text(dana: Staff, path: str) -> list[list[str]]:
    answer = dana.client.get(path)
    assert answer.status_code == 200
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.reader(io.StringIO(answer.get_data(as_text=True).lstrip("\ufeff"))))


def workbook(dana: Staff, path: str) -> list[list[Any]]:
    answer = dana.client.get(path)
    assert answer.status_code == 200
    book = openpyxl.load_workbook(io.BytesIO(answer.get_data()))
    return [[cell.value or "" for cell in row] for row in book.active.iter_rows()]


def test_the_export_holds_what_is_filtered_with_harmless_cells(dana: Staff, world: World) -> None:
    evil = make_client(world, "=HYPERLINK(1)", ("+Ada", "ada@x.example"))
    fine = make_client(world, "Fine", ("Will\tKing", "will@x.example"))
    for client_id, email in ((evil, "ada@x.example"), (fine, "will@x.example")):
        invite(world, client_id, email)
    for kind, read in (("csv", text), ("xlsx", workbook)):
        rows = read(dana, f"/portals/export.{kind}?q=ada")
        assert rows[0] == list(WITH)
        assert len(rows) == 2
        assert rows[1][:4] == ["'=HYPERLINK(1)", "'+Ada", "ada@x.example", "Invited today, never logged in"]
        assert rows[1][5] == "Dana Reyes"
        assert rows[1][7] == "Mail on its way"
        assert len(read(dana, f"/portals/export.{kind}")) == 3
        assert len(read(dana, f"/portals/export.{kind}?show=bounced")) == 1
    make_client(world, "@Without", ("-Sid", None), external_id="-17")
    assert text(dana, "/portals/export.csv?tab=without")[1] == ["'@Without", "'-17", "'-Sid", ""]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1"])
def test_cells_that_begin_a_formula(cell: str) -> None:
    assert harmless(cell) == "'" + cell
    assert harmless("a" + cell) == "a" + cell
    assert harmless("") == ""


def test_the_export_reads_page_by_page_and_keeps_nothing(
    app: Flask, dana: Staff, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, small_one in (("CHUNK", 100), ("PIECE", 1024)):
        monkeypatch.setattr(importlib.import_module("web.staff.portals_export"), name, small_one)

    def grow(begin: int, end: int) -> None:
        now = utc_now()
        ids = [f"{number:026}" for number in range(begin, end)]
        with app.app_context(), unit_of_work() as session:
            session.execute(
                sa.insert(Client),
                [
                    {"id": one, "firm_id": world.firm_id, "name": f"C{one}", "name_key": f"c{one}",
                     "is_person": False, "created_at": now}
                    for one in ids
                ],
            )  # fmt: skip

    def peak() -> int:
        tracemalloc.start()
        size = sum(len(piece) for piece in dana.client.get("/portals/export.csv?tab=without").response)
        assert size
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    grow(0, 300)
    peak()
    small = peak()
    grow(300, 3000)
    assert peak() < 2 * small
    assert len(text(dana, "/portals/export.csv?tab=without")) == 3001


def test_what_is_too_long_for_a_sheet_goes_on_in_the_next(
    dana: Staff, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("web.staff.portals_export"), "MOST_ROWS", 2)
    for number in range(3):
        make_client(world, f"C{number}\x01", external_id=str(number))
    data = dana.client.get("/portals/export.xlsx?tab=without").get_data()
    sheets = openpyxl.load_workbook(io.BytesIO(data)).worksheets
    assert [sheet.title for sheet in sheets] == ["Client portals", "Client portals 2"]
    rows = [[[cell.value for cell in row[:2]] for row in sheet.iter_rows()] for sheet in sheets]
    assert rows[0] == [["Client", "External id"], ["C0", "0"], ["C1", "1"]]
    assert rows[1][0] == ["Client", "External id"]
    assert ["C2", "2"] in rows[1]


@pytest.mark.parametrize(("kind", "read"), [("csv", text), ("xlsx", workbook)])
def test_an_export_after_a_pause_is_whole(
    app: Flask, dana: Staff, world: World, kind: str, read: Callable[[Staff, str], list[list[Any]]]
) -> None:
    """The request then keeps the session's time last seen, which ends what the view had read."""
    for number in range(3):
        invite(
            world, make_client(world, f"C{number}", ("Ada", f"a{number}@x.example")), f"a{number}@x.example"
        )
    assert len(read(dana, f"/portals/export.{kind}")) == 4
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(LoginSession).values(seen_at=utc_now() - timedelta(minutes=10)))
    assert len(read(dana, f"/portals/export.{kind}")) == 4


def send(dana: Staff, data: bytes, name: str = "clients.csv") -> Shown:
    form = dana.open("/portals/import")
    fields = form.fields("/portals/import")
    fields["file"] = (io.BytesIO(data), name)
    return dana.post("/portals/import", fields)


def clients(app: Flask) -> dict[str, list[tuple[str, str | None]]]:
    with app.app_context():
        return {
            client.name: [(contact.name, contact.email) for contact in client.contacts]
            for client in db.session.scalars(sa.select(Client))
        }


def work(app: Flask) -> None:
    with app.app_context():
        tasks.run_jobs()


def test_a_file_is_looked_at_then_imported(app: Flask, dana: Staff, world: World) -> None:
    make_client(world, "Byron Family", ("Ada Byron", "ada@x.example"))
    looked = send(
        dana,
        (
            HEAD + "Byron Family,Ada Byron,ADA@x.example,\n"  # there
            "Byron Family,Will King,will@x.example,\n"
            "Hopper,Grace,grace@hopper.example,H-1\n"
            "Hopper,Grace,grace@hopper.example,H-1\n"  # twice in the file
            ",Nobody,no@x.example,\n"
            "Bad,Bad,not an address,\n"
            "\n"
        ).encode(),
    )
    assert (
        "Of 6 lines in clients.csv: 2 will be added 2 are there already, or twice in the file" in looked.words
    )
    assert "2 can't be read and are left out" in looked.words
    assert "6 Nobody no@x.example Left out the client has no name" in looked.words
    assert "7 Bad Bad not an address Left out" in looked.words
    assert "5 Hopper Grace grace@hopper.example There already twice in this file" in looked.words
    assert "2 Byron Family Ada Byron ADA@x.example There already Line 5" in looked.words
    assert set(clients(app)) == {"Byron Family"}  # nothing is written by looking
    done = looked.press(action="/portals/import/")
    assert "Importing 6 lines" in done.words
    work(app)
    assert clients(app) == {
        "Byron Family": [("Ada Byron", "ada@x.example"), ("Will King", "will@x.example")],
        "Hopper": [("Grace", "grace@hopper.example")],
    }
    with app.app_context():  # the records' Activity says so, as when somebody had typed it
        told = db.session.execute(sa.select(Event.name, Event.actor).order_by(Event.id)).all()
        assert [row.name for row in told if row.name.endswith("_added")] == ["contact_added", "client_added"]
        assert {row.actor for row in told} == {f"member:{world.admin_id}"}
    shown = dana.open(done.path)
    assert "Finished 4 of 6 done, 2 not done" in shown.words
    assert "refused: the client has no name" in shown.words
    again = dana.post(f"/portals/import/{done.path.rsplit('/', 1)[1]}", looked.fields("/portals/import/"))
    assert again.status == 409
    twice = send(dana, (HEAD + "Hopper,Grace,grace@hopper.example,H-1\n").encode())
    assert "0 will be added" in twice.words


def test_a_workbook_and_other_separators(app: Flask, dana: Staff, world: World) -> None:
    book = Workbook()
    book.active.append(["Client", "Contact", "Email", "External id"])
    book.active.append(["Hopper", "Grace", "grace@hopper.example", 17.0])
    book.active.append([None, None, None, None])
    out = io.BytesIO()
    book.save(out)
    send(dana, out.getvalue(), "clients.xlsx").press(action="/portals/import/")
    send(dana, "client;contact;email\r\nSöhne;Ägidius;ae@x.example\r\n".encode("utf-8-sig")).press(
        action="/portals/import/"
    )
    work(app)
    assert clients(app) == {
        "Hopper": [("Grace", "grace@hopper.example")],
        "Söhne": [("Ägidius", "ae@x.example")],
    }
    with app.app_context():
        assert set(db.session.scalars(sa.select(Client.external_id))) == {"17", None}


def zipped(size: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", b"0" * size)
    return out.getvalue()


@pytest.mark.parametrize(
    "data, sentence",
    [
        (b"", "The first line must name the columns"),
        (b"name,mail\nA,b\n", "The first line must name the columns"),
        (HEAD.encode(), "There is no line below the heading."),
        ("client,contact,email\nSöhne,A,\n".encode("latin-1"), "neither an Excel workbook nor text in UTF-8"),
        (b"PK\x03\x04 not a zip at all", "This workbook can't be read."),
        (zipped(100), "This workbook can't be read."),
        (zipped(201 * 1024 * 1024), "This workbook is too large."),
        ((HEAD + "A,B,,\n" * 20_001).encode(), "more than 20,000 lines"),
        (b"client,contact,email\n" + b'"' + b"a" * 200_000, "can't be read as CSV"),
    ],
)
def test_files_that_cannot_be_read_say_why(app: Flask, dana: Staff, data: bytes, sentence: str) -> None:
    shown = send(dana, data)
    assert shown.status == 422
    assert sentence in shown.words
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Job)) == 0


def test_no_file_at_all(dana: Staff) -> None:
    shown = dana.open("/portals/import").press(action="/portals/import", file=None)
    assert shown.status == 422
    assert "Choose a CSV or Excel file." in shown.words


def test_who_sees_assigned_clients_only_imports_for_themselves(app: Flask, world: World) -> None:
    make_client(world, "Hidden", ("H", "h@x.example"), external_id="H-1")
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(TeamMember).values(permissions=["import"]))
    mia = Staff.of(app, "mia@northwind.example")
    looked = send(mia, (HEAD + "Hidden,Spy,spy@x.example,H-1\nMine,Own,own@x.example,\n").encode())
    assert "it isn't assigned to you" in looked.words
    looked.press(action="/portals/import/")
    work(app)
    assert [name for name, _ in clients(app)["Hidden"]] == ["H"]
    assert "Mine" in mia.open("/clients").words
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(ClientAssignment)) == 1
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Contact)) == 2


def test_drafts_that_nobody_confirms_go(app: Flask, dana: Staff) -> None:
    send(dana, (HEAD + "A,B,b@x.example,\n").encode())
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(Job).values(created_at=utc_now().replace(year=2020)))
    with app.app_context():
        tasks.tidy()
        assert db.session.scalar(sa.select(sa.func.count()).select_from(JobItem)) == 0
