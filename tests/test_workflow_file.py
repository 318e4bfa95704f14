"""Files: what comes in, who sees it, and that nothing is left behind."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

import config
from hooks import Refused, file_made_visible, file_uploaded
from invites.orders import InviteOrder
from models import (
    Event,
    FirmLicence,
    Invite,
    ItemGrant,
    Outbox,
    Scope,
    StoredFile,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.errors import Invalid, LicenceMissing, Missing, TooLarge
from tests.support.world import make_client
from tests.workflows import Desk, make_desk, order_for, receiver, stored_bytes, together, upload_of
from workflows import storage, viewing
from workflows.file_visibility import uploads
from workflows.file_visibility.declaration import FILE_VISIBILITY
from workflows.file_visibility.visibility import make_invisible, make_visible
from workflows.names import content_type_of, safe_name, size_text, stem_of


@pytest.fixture
def desk(app: Flask) -> Iterator[Desk]:
    with app.app_context():
        yield make_desk(app)


def put(desk: Desk, *names: str, data: bytes = b"hello") -> list[WorkItem]:
    with storage.received(*(upload_of(data, name) for name in names)) as received, unit_of_work():
        return uploads.upload(desk.view, desk.client, received)


def show(desk: Desk, items: list[WorkItem], order: InviteOrder | None = None, **more: Any) -> list[str]:
    with unit_of_work():
        results = make_visible(desk.view, desk.client, items, order, **more)
    return [f"{result.email} {result.outcome.value}" for result in results]


def mailed() -> list[str]:
    return sorted(db.session.scalars(sa.select(Outbox.to_email)))


def sees(desk: Desk, item: WorkItem, email: str = "ada@byron.example") -> bool:
    db.session.rollback()
    try:
        desk.person(email).item(item.id)
    except Missing:
        return False
    return True


# Names and types ----------------------------------------------------------------------------------------------------


@pytest.mark.one_database
@pytest.mark.parametrize(
    "given, kept",
    [
        ("2025 return.pdf", "2025 return.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\scan.pdf", "scan.pdf"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\r\nSet-Cookie: x.txt", "aSet-Cookie_ x.txt"),
        ("a\x00b.pdf", "ab.pdf"),
        ('<script>"x".pdf', "_script__x_.pdf"),
        ("", "file"),
        (None, "file"),
        (" . ", "file"),
        ("مرحبا.pdf", "مرحبا.pdf"),
        ("Straße 名前.pdf", "Straße 名前.pdf"),
        ("x" * 400 + ".pdf", "x" * 196 + ".pdf"),
    ],
)
def test_names_are_fit_to_be_shown(given: str | None, kept: str) -> None:
    assert safe_name(given) == kept


@pytest.mark.one_database
@pytest.mark.parametrize(
    "head, name, kind",
    [
        (b"%PDF-1.7 ...", "a.pdf", "application/pdf"),
        (b"%PDF-1.7 ...", "a.html", "application/pdf"),
        (b"no pdf at all", "a.pdf", "application/octet-stream"),
        (b"\x89PNG\r\n\x1a\n" + b"0" * 20, "a.txt", "image/png"),
        (b"no picture", "a.png", "application/octet-stream"),
        (b"<html><script>", "a.html", "application/octet-stream"),
        (b"<svg onload=x>", "a.svg", "application/octet-stream"),
        (b"<?xml version='1.0'?><svg/>", "a.xml", "application/octet-stream"),
        (b"alert(1)", "a.js", "text/plain"),
        (b"a,b\n1,2", "a.csv", "text/csv"),
        (b"hello", "a.txt", "text/plain"),
        (b"he\x00llo", "a.txt", "application/octet-stream"),
        (b"hello", "no extension", "application/octet-stream"),
        (b"not a zip", "a.docx", "application/octet-stream"),
    ],
)
def test_types_are_what_the_bytes_say(head: bytes, name: str, kind: str) -> None:
    found = content_type_of(head, name)
    assert found == kind or (name == "a.js" and found == "application/octet-stream")


@pytest.mark.one_database
def test_sizes_and_stems() -> None:
    assert [size_text(n) for n in (1, 1023, 1024, 52_428_800, 1_500_000)] == [
        "1 byte",
        "1023 bytes",
        "1 kB",
        "50 MB",
        "1.4 MB",
    ]
    assert [stem_of(n) for n in ("a.pdf", "a.b.pdf", "noext", ".hidden")] == ["a", "a.b", "noext", ".hidden"]


# Coming in ----------------------------------------------------------------------------------------------------------


def test_uploaded_is_kept_and_seen_by_nobody_outside(desk: Desk) -> None:
    data = b"%PDF-1.7\n" + b"x" * 700_000
    (item,) = put(desk, "../2025 return.pdf", data=data)
    stored = FILE_VISIBILITY.stored_file(item)
    assert (item.title, item.status, item.visible) == ("2025 return.pdf", "uploaded", False)
    assert (stored.size, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert stored.content_type == "application/pdf"
    assert storage.read(stored) == data
    assert b"".join(storage.chunks(stored)) == data
    assert FILE_VISIBILITY.status_label(item) == "Not visible"
    assert not sees(desk, item)
    assert desk.events() == ["file_uploaded"]
    assert mailed() == []
    assert "return" not in stored.storage_key


def test_empty_or_missing_uploads_are_refused(desk: Desk) -> None:
    for parts in ([upload_of(b"", "a.txt")], [], [upload_of(b"x", "ok.txt"), upload_of(b"", None)]):
        with pytest.raises(Invalid) as raised, storage.received(*parts):
            pass
        assert raised.value.fields["file"]
    assert stored_bytes(desk.app) == []


@pytest.mark.settings(MAX_UPLOAD_MB=1)
def test_too_large_is_refused_while_it_comes_in(desk: Desk) -> None:
    with pytest.raises(TooLarge, match="larger than 1 MB"):
        put(desk, "big.bin", data=b"x" * (1024 * 1024 + 1))
    put(desk, "just right.bin", data=b"x" * (1024 * 1024))
    assert len(stored_bytes(desk.app)) == 1


def test_a_refusing_receiver_keeps_neither_row_nor_bytes(desk: Desk) -> None:
    def refuse(sender: str, **extra: Any) -> None:
        raise Refused("Virus found.")

    with receiver(file_uploaded, refuse), pytest.raises(Refused):
        put(desk, "a.txt", "b.txt")
    assert stored_bytes(desk.app) == []
    assert db.session.scalar(sa.select(sa.func.count()).select_from(StoredFile)) == 0
    assert db.session.scalar(sa.select(sa.func.count()).select_from(WorkItem)) == 0
    assert desk.events() == []


def test_bytes_of_which_no_row_was_kept_go_at_once(desk: Desk) -> None:
    class Rehearsal(Exception):
        pass

    with storage.received(upload_of(b"x", "a.txt")) as received:
        with pytest.raises(Rehearsal), unit_of_work():
            uploads.upload(desk.view, desk.client, received)
            raise Rehearsal
        assert len(stored_bytes(desk.app)) == 1
    assert stored_bytes(desk.app) == []


def test_without_a_licence_neither_staff_nor_client_can_upload(desk: Desk) -> None:
    with unit_of_work():
        db.session.execute(sa.delete(FirmLicence).where(FirmLicence.key == "files"))
    with pytest.raises(LicenceMissing):
        put(desk, "a.txt")
    person = desk.person()
    access = db.session.scalars(person.accesses()).unique().one()
    with (
        pytest.raises(LicenceMissing),
        storage.received(upload_of(b"x", "a.txt")) as received,
        unit_of_work(),
    ):
        uploads.upload_by_client(person, access, received)
    assert stored_bytes(desk.app) == []


def test_orphans_are_swept_and_nothing_else(desk: Desk) -> None:
    with time_machine.travel(utc_now() - timedelta(days=3), tick=False):
        (item,) = put(desk, "kept.txt")
        storage.receive(io.BytesIO(b"orphan"), "orphan.txt")
        with storage.received(upload_of(b"doc", "d.pdf")) as received, unit_of_work():
            storage.keep(received[0], desk.client, purpose="document")
    storage.receive(io.BytesIO(b"fresh"), "under way.txt")
    assert storage.sweep_orphans() == 1
    assert len(stored_bytes(desk.app)) == 3
    with time_machine.travel(utc_now() + timedelta(days=5), tick=False):
        assert storage.sweep_orphans() == 2  # the abandoned document, and what was under way for days
    assert storage.read(FILE_VISIBILITY.stored_file(item)) == b"hello"
    assert storage.sweep_orphans() == 0


def test_bytes_that_are_gone_are_missing(desk: Desk) -> None:
    (item,) = put(desk, "a.txt")
    stored = FILE_VISIBILITY.stored_file(item)
    folder = Path(config.current().files_url.removeprefix("file://"))
    (folder / stored.storage_key).unlink()
    with pytest.raises(Missing):
        storage.chunks(stored)


@pytest.mark.one_database
@pytest.mark.settings(FILES_URL="memory://portal-tests")
def test_another_file_store_by_setting_alone(desk: Desk) -> None:
    (item,) = put(desk, "a.txt", data=b"in memory")
    assert storage.read(FILE_VISIBILITY.stored_file(item)) == b"in memory"
    with pytest.raises(TooLarge):
        storage.receive(io.BytesIO(b"xxxx"), "b", most=2)
    assert len(stored_bytes(desk.app)) == 1


# The switch ---------------------------------------------------------------------------------------------------------


def test_made_visible_a_batch_is_one_occasion_and_a_second_click_nothing(desk: Desk) -> None:
    items = put(desk, "a.pdf", "b.pdf")
    fired: list[int] = []

    def count(sender: str, *, items: list[WorkItem], **extra: Any) -> None:
        fired.append(len(items))

    with receiver(file_made_visible, count):
        assert show(desk, items, order_for("will@byron.example")) == ["will@byron.example invited"]
        assert show(desk, items) == []
    assert fired == [2]
    assert mailed() == ["ada@byron.example", "will@byron.example"]
    assert all(sees(desk, item) for item in items)
    assert [FILE_VISIBILITY.status(item) for item in items] == ["visible", "visible"]
    assert desk.events().count("file_made_visible") == 2


def test_only_the_new_ones_of_a_batch_are_told(desk: Desk) -> None:
    old, new = put(desk, "old.pdf", "new.pdf")
    show(desk, [old])
    told: list[str] = []

    def note(sender: str, *, items: list[WorkItem], **extra: Any) -> None:
        told.extend(item.title for item in items)

    with receiver(file_made_visible, note):
        show(desk, [old, new])
    assert told == ["new.pdf"]


def test_somebody_invited_to_a_visible_file_is_the_only_one_told(desk: Desk) -> None:
    (item,) = put(desk, "a.pdf")
    show(desk, [item])
    before = mailed()
    assert show(desk, [item], order_for("will@byron.example")) == ["will@byron.example invited"]
    assert mailed() == [*before, "will@byron.example"]


def test_an_outsider_added_at_a_file_sees_that_file_and_nothing_else(desk: Desk) -> None:
    one, two = put(desk, "one.pdf", "two.pdf")
    show(desk, [two])
    outsider = desk.joins("out@side.example", "Out Sider", Scope.ITEMS)
    assert not sees(desk, two, "out@side.example")
    show(desk, [one], order_for("out@side.example"))
    assert sees(desk, one, "out@side.example")
    assert not sees(desk, two, "out@side.example")
    assert [item.id for item in db.session.scalars(outsider.items())] == [one.id]


def test_invisible_cuts_at_once_and_visible_again_tells_again(desk: Desk) -> None:
    (item,) = put(desk, "a.pdf")
    show(desk, [item])
    with unit_of_work():
        make_invisible(desk.view, [item])
        make_invisible(desk.view, [item])
    assert not sees(desk, item)
    assert desk.events().count("file_made_invisible") == 1
    show(desk, [item])
    assert sees(desk, item)
    assert desk.events().count("file_made_visible") == 2


def test_chosen_people_and_nobody_else(desk: Desk) -> None:
    desk.joins("will@byron.example", "Will King")
    desk.joins("eve@byron.example", "Eve King")
    (item,) = put(desk, "a.pdf")
    show(desk, [item], people=[("Will", "will@byron.example")])
    assert [sees(desk, item, f"{who}@byron.example") for who in ("ada", "will", "eve")] == [
        False,
        True,
        False,
    ]
    assert mailed() == ["will@byron.example"]
    # Other people are chosen later: whoever was chosen before sees it no more, and only the new one is told.
    for _ in range(2):
        show(desk, [item], people=[("Eve", "eve@byron.example")])
    assert mailed() == ["eve@byron.example", "will@byron.example"]
    assert [sees(desk, item, f"{who}@byron.example") for who in ("ada", "will", "eve")] == [
        False,
        False,
        True,
    ]
    with pytest.raises(Invalid):
        show(desk, [item], people=[])


def test_a_refusing_receiver_leaves_it_invisible(desk: Desk) -> None:
    (item,) = put(desk, "a.pdf")

    def refuse(sender: str, **extra: Any) -> None:
        raise Refused("Not before Monday.")

    with receiver(file_made_visible, refuse), pytest.raises(Refused):
        show(desk, [item], order_for("new@person.example"))
    assert not desk.item(item.id).visible
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Invite)) == 0


def test_two_who_press_the_switch_at_once_mail_once(desk: Desk) -> None:
    (item,) = put(desk, "a.pdf")
    item_id = item.id
    db.session.rollback()

    def press() -> int:
        mine = db.session.get_one(WorkItem, item_id)
        with unit_of_work():
            make_visible(desk.view, desk.client, [mine], None)
        return 1

    assert together(desk.app, press, press, press, press) == [1, 1, 1, 1]
    db.session.rollback()
    assert mailed() == ["ada@byron.example"]
    assert desk.events().count("file_made_visible") == 1


def test_files_of_another_client_or_another_kind_are_missing(desk: Desk) -> None:
    (item,) = put(desk, "a.pdf")
    other_id = make_client(desk.world, "Other", ("X", "x@other.example"))
    survey = desk.send("client-request", {"title": "T"}).items[0]
    for client, items in ((desk.view.client(other_id), [item]), (desk.client, [survey])):
        with pytest.raises(Missing), unit_of_work():
            make_visible(desk.view, client, items, None)
    assert not desk.item(item.id).visible


# Who opened it ------------------------------------------------------------------------------------------------------


def test_opened_is_told_once_per_person_and_named(desk: Desk) -> None:
    (item,) = put(desk, "a.pdf")
    show(desk, [item])
    desk.joins("will@byron.example", "Will King")
    for email in ("ada@byron.example", "will@byron.example", "ada@byron.example"):
        with unit_of_work():
            viewing.record(desk.person(email), item)
    item = desk.item(item.id)
    assert FILE_VISIBILITY.status(item) == "opened"
    assert [opening.name for opening in viewing.opened_by([item])[item.id]] == ["Ada Byron", "Will King"]
    events = db.session.scalars(sa.select(Event).where(Event.name == "file_opened")).all()
    assert len({event.access_id for event in events}) == len(events) == 2
    page = FILE_VISIBILITY.staff_page(item, desk.view)
    assert (page["size_text"], len(page["opened"]), page["from_client"]) == ("5 bytes", 2, False)


# From the client ----------------------------------------------------------------------------------------------------


def send_in(desk: Desk, email: str) -> WorkItem:
    person = desk.person(email)
    access = db.session.scalars(person.accesses()).unique().one()
    with storage.received(upload_of(b"scan", "scan.txt")) as received, unit_of_work():
        return uploads.upload_by_client(person, access, received)[0]


def test_the_client_sends_a_file(desk: Desk) -> None:
    item = send_in(desk, "ada@byron.example")
    assert FILE_VISIBILITY.status_label(item) == "From the client"
    assert sees(desk, item)
    assert desk.view.item(item.id).title == "scan.txt"
    with unit_of_work():
        viewing.record(desk.person(), item)
    assert "file_opened" not in desk.events()


def test_somebody_with_one_item_shows_their_upload_to_nobody_else_outside(desk: Desk) -> None:
    desk.joins("out@side.example", "Out Sider", Scope.ITEMS)
    item = send_in(desk, "out@side.example")
    assert sees(desk, item, "out@side.example")
    assert not sees(desk, item)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(ItemGrant)) == 1


def test_the_client_s_button_pressed_twice_sends_a_file_once(desk: Desk) -> None:
    first, again = (send_in(desk, "ada@byron.example") for _ in range(2))
    assert first.id == again.id
    assert len(stored_bytes(desk.app)) == 1
    assert desk.events().count("file_uploaded") == 1
    with unit_of_work():
        db.session.get_one(WorkItem, first.id).created_at -= uploads.SAME_PRESS
    assert send_in(desk, "ada@byron.example").id != first.id  # on purpose, a minute later
    desk.joins("will@byron.example", "Will King")
    assert send_in(desk, "will@byron.example").id != first.id
    assert len(stored_bytes(desk.app)) == 3


def test_nobody_sends_through_somebody_elses_access(desk: Desk) -> None:
    access = db.session.scalars(desk.person().accesses()).unique().one()
    other = desk.joins("will@byron.example", "Will King")
    with pytest.raises(Missing), storage.received(upload_of(b"x", "x")) as received, unit_of_work():
        uploads.upload_by_client(other, access, received)
    assert stored_bytes(desk.app) == []


def test_generic_sending_uploads_and_makes_visible_in_one_go(desk: Desk) -> None:
    with storage.received(upload_of(b"x", "x.txt")) as received, unit_of_work():
        workflow = desk.workflow("file")
        items = workflow.create(desk.view, desk.client, {"uploads": received})
    assert sees(desk, items[0])
