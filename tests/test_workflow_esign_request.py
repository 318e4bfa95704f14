"""eSign requests: whose turn it is, that a signature counts once, and what is sealed at the end."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from pypdf import PdfReader

import config
from hooks import Refused, esign_request_sent
from models import (
    AccessState,
    Event,
    FirmLicence,
    Invite,
    Outbox,
    Scope,
    Signer,
    StoredFile,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.database import statements
from models.errors import Invalid, LicenceMissing, Missing, WrongState
from schemas.base import load
from schemas.esign import EsignRequestSchema
from tests.workflows import Desk, make_desk, order_for, receiver, stored_bytes, together, upload_of
from workflows import storage, viewing
from workflows.esign_request import completion, documents, keys, signing
from workflows.esign_request.declaration import ESIGN_REQUEST
from workflows.esign_request.pdf import inspect_pdf
from workflows.esign_request.sample import engagement_letter
from workflows.esign_request.sealing import verify
from workflows.file_visibility import uploads
from workflows.file_visibility.visibility import make_visible

TRACE = signing.Trace("203.0.113.9", "Firefox on a phone")
ADA = {"name": "Ada Byron", "email": "ada@byron.example"}
WILL = {"name": "William King", "email": "will@byron.example"}
FIELD = {"signer": 0, "type": "signature", "page": 1, "x": 0.1, "y": 0.7, "width": 0.3, "height": 0.08}


@pytest.fixture
def desk(app: Flask) -> Iterator[Desk]:
    with app.app_context():
        yield make_desk(app)


@pytest.fixture(scope="module")
def letter() -> bytes:
    return engagement_letter("Northwind Tax", "Byron Family", 2026)


def put(desk: Desk, data: bytes, name: str = "Engagement letter.pdf") -> str:
    """An uploaded document; its id is a file_id."""
    with storage.received(upload_of(data, name)) as (upload,):
        documents.check(upload)
        with unit_of_work():
            return documents.add(desk.view, desk.client, upload).id


def sent(desk: Desk, letter: bytes, *signers: dict[str, Any], **more: Any) -> WorkItem:
    data = {"file_id": put(desk, letter), "signers": list(signers or (ADA,)), **more}
    return desk.send("esign-request", data).items[0]


def signer_id(item: WorkItem, name: str) -> str:
    return db.session.scalars(
        sa.select(Signer.id).where(Signer.item_id == item.id, Signer.name == name)
    ).one()


def sign(desk: Desk, item: WorkItem, signer: dict[str, Any], typed: str = "", consent: bool = True) -> bool:
    with unit_of_work():
        signing.sign(
            item,
            desk.person(signer["email"]),
            signer_id(item, signer["name"]),
            typed or signer["name"],
            consent,
            TRACE,
        )
    return completion.seal_pending(item.id)


# The request --------------------------------------------------------------------------------------------------------


@pytest.mark.one_database
@pytest.mark.parametrize(
    "change, field",
    [
        ({"signers": []}, "signers"),
        ({"signers": None}, "signers"),
        ({"signers": [{"name": "x", "email": f"x{n}@x.example"} for n in range(21)]}, "signers"),
        ({"signers": [{"name": "", "email": "a@x.example"}]}, "signers.0.name"),
        ({"signers": [{"name": "A", "email": "not an address"}]}, "signers.0.email"),
        ({"signers": [{"name": "A", "email": ["a@x.example"]}]}, "signers.0.email"),
        ({"signers": [{"name": "A", "email": "a@x.example", "order": 0}]}, "signers.0.order"),
        ({"signers": [ADA, {"name": "ADA BYRON", "email": "Ada@Byron.example"}]}, "signers.1.email"),
        ({"fields": [{**FIELD, "type": "stamp"}]}, "fields.0.type"),
        ({"fields": [{**FIELD, "signer": 1}]}, "fields.0.signer"),
        ({"fields": [{**FIELD, "signer": -1}]}, "fields.0.signer"),
        ({"fields": [{**FIELD, "page": 0}]}, "fields.0.page"),
        ({"fields": [{**FIELD, "x": -0.1}]}, "fields.0.x"),
        ({"fields": [{**FIELD, "x": 0.8}]}, "fields.0.width"),
        ({"fields": [{**FIELD, "height": 0}]}, "fields.0.height"),
        ({"fields": [{**FIELD, "y": "top"}]}, "fields.0.y"),
        ({"fields": [{**FIELD, "colour": "red"}]}, "fields.0.colour"),
        ({"due_on": "1999-01-01"}, "due_on"),
        ({"file_id": {"id": 1}}, "file_id"),
        ({"file_id": None}, "file_id"),
        ({"ordered": "sometimes"}, "ordered"),
    ],
)
def test_what_a_request_may_not_be(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as raised:
        load(EsignRequestSchema(), {"file_id": "x", "signers": [ADA], **change})
    assert set(raised.value.fields) == {field}


@pytest.mark.parametrize("data", [b"hello", b"%PDF-1.7 and then nothing", b"<html>%PDF-</html>"])
def test_a_pdf_that_is_none_keeps_nothing(desk: Desk, data: bytes) -> None:
    with pytest.raises(Invalid) as raised:
        put(desk, data)
    assert "PDF" in raised.value.fields["file"][0]
    assert stored_bytes(desk.app) == []


def test_a_field_on_a_page_that_is_not_there(desk: Desk, letter: bytes) -> None:
    pages = inspect_pdf(letter).pages
    with pytest.raises(Invalid) as raised:
        sent(desk, letter, ADA, fields=[FIELD, {**FIELD, "page": pages + 1}])
    assert set(raised.value.fields) == {"fields.1.page"}
    assert db.session.scalar(sa.select(sa.func.count()).select_from(WorkItem)) == 0


def test_sent_only_the_signers_see_it(desk: Desk, letter: bytes) -> None:
    desk.joins("eve@byron.example", "Eve King")
    will = desk.joins("will@byron.example", "Will King", Scope.ITEMS)
    item = sent(desk, letter, ADA, WILL, title="", message="Please sign.")
    assert (item.title, item.status, item.open) == ("Engagement letter", "sent", True)
    assert item.details["pages"] == inspect_pdf(letter).pages
    assert desk.person().item(item.id)
    assert will.item(item.id)
    with pytest.raises(Missing):
        desk.person("eve@byron.example").item(item.id)
    assert sorted(db.session.scalars(sa.select(Outbox.to_email))) == [
        "ada@byron.example",
        "will@byron.example",
    ]
    assert documents.document_of(item).sha256 == item.details["sha256"]
    assert documents.picture(item, 1, 200).startswith(b"\x89PNG")
    with pytest.raises(Missing):
        documents.picture(item, 99, 200)


def test_an_outside_signer_is_invited_to_this_item_alone(desk: Desk, letter: bytes) -> None:
    data = {"file_id": put(desk, letter), "signers": [{"name": "Charles", "email": "charles@engine.example"}]}
    result = desk.send("esign-request", data, order_for("charles@engine.example"))
    (outcome,) = result.results
    assert outcome.invite is not None
    assert (outcome.outcome.value, outcome.invite.scope) == ("invited", Scope.ITEMS)


def test_the_window_opens_for_signers_who_can_not_get_in(desk: Desk) -> None:
    must_see = ESIGN_REQUEST.must_see({"signers": [ADA, WILL]})
    assert must_see == [("Ada Byron", "ada@byron.example"), ("William King", "will@byron.example")]


def test_from_one_of_the_clients_files_by_copy(desk: Desk, letter: bytes) -> None:
    with storage.received(upload_of(letter, "return.pdf")) as received, unit_of_work():
        (file,) = uploads.upload(desk.view, desk.client, received)
    item = desk.send("esign-request", {"file_id": file.id, "signers": [ADA]}).items[0]
    document = documents.document_of(item)
    assert document.item_id == item.id != file.id
    assert storage.read(document) == letter
    assert len(stored_bytes(desk.app)) == 2
    with unit_of_work():
        make_visible(desk.view, desk.client, [file], None)


def test_a_document_of_somebody_else_or_no_pdf_is_the_fields_sentence(desk: Desk, letter: bytes) -> None:
    with storage.received(upload_of(b"plain", "a.txt")) as received, unit_of_work():
        (text,) = uploads.upload(desk.view, desk.client, received)
    other = desk.other_firm()
    foreign = put(desk, letter)
    with unit_of_work():
        db.session.execute(
            sa.update(StoredFile).where(StoredFile.id == foreign).values(firm_id=other.firm_id)
        )
    for file_id in (text.id, foreign, "nothing", ""):
        with pytest.raises(Invalid) as raised:
            desk.send("esign-request", {"file_id": file_id, "signers": [ADA]})
        assert set(raised.value.fields) == {"file_id"}
    assert len(stored_bytes(desk.app)) == 2


def test_sent_twice_with_one_document_is_sent_once(desk: Desk, letter: bytes) -> None:
    file_id = put(desk, letter)
    data = {"file_id": file_id, "signers": [ADA]}
    db.session.rollback()
    results = together(desk.app, *[lambda: desk.send("esign-request", data).items[0].id] * 3)
    assert sum(isinstance(result, str) for result in results) == 1, results
    assert all(isinstance(result, str | WrongState | Invalid) for result in results), results
    db.session.rollback()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(WorkItem)) == 1


def test_a_refusing_receiver_keeps_nothing_and_the_document_waits(desk: Desk, letter: bytes) -> None:
    with storage.received(upload_of(letter, "return.pdf")) as received, unit_of_work():
        (file,) = uploads.upload(desk.view, desk.client, received)

    def refuse(sender: str, **extra: Any) -> None:
        raise Refused("Not today.")

    with receiver(esign_request_sent, refuse), pytest.raises(Refused):
        desk.send("esign-request", {"file_id": file.id, "signers": [ADA]}, order_for("a@b.example"))
    assert len(stored_bytes(desk.app)) == 1
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Signer)) == 0
    assert desk.send("esign-request", {"file_id": file.id, "signers": [ADA]}).items


def test_without_a_licence(desk: Desk, letter: bytes) -> None:
    file_id = put(desk, letter)
    with unit_of_work():
        db.session.execute(sa.delete(FirmLicence).where(FirmLicence.key == "esign"))
    with pytest.raises(LicenceMissing):
        desk.send("esign-request", {"file_id": file_id, "signers": [ADA]})
    with pytest.raises(LicenceMissing):
        put(desk, letter)


# Signing ------------------------------------------------------------------------------------------------------------


def test_one_signer_from_sent_to_a_sealed_pdf(desk: Desk, letter: bytes) -> None:
    item = sent(desk, letter, ADA, fields=[FIELD, {**FIELD, "type": "date", "y": 0.85}])
    with unit_of_work():
        viewing.record(desk.person(), item)
    assert desk.item(item.id).status == "viewed"
    assert ESIGN_REQUEST.page(item, desk.person())["can_sign"]
    assert sign(desk, item, ADA, "Ada King") is True
    item = desk.item(item.id)
    assert (item.status, item.open, ESIGN_REQUEST.status_label(item)) == ("completed", False, "Completed")
    sealed = ESIGN_REQUEST.stored_file(item, "sealed")
    data = storage.read(sealed)
    assert sealed.name == "Engagement letter (signed).pdf"
    assert completion.check_seal(item, data).ok
    assert not completion.check_seal(item, data + b"\n%more").ok
    assert len(PdfReader(io.BytesIO(data)).pages) > inspect_pdf(letter).pages
    row = db.session.get_one(Signer, signer_id(item, "Ada Byron"))
    assert (row.typed_name, row.ip, row.user_agent) == ("Ada King", TRACE.ip, TRACE.user_agent)
    assert row.login_id == desk.person().login.id
    assert row.viewed_at is not None
    assert row.signed_at is not None
    assert desk.events() == [
        "esign_request_sent",
        "esign_request_viewed",
        "esign_request_signed",
        "esign_request_completed",
    ]
    completed = db.session.scalars(sa.select(Event).where(Event.name == "esign_request_completed")).one()
    assert completed.data["sha256"] == sealed.sha256 == item.details["sealed_sha256"]
    assert storage.read(ESIGN_REQUEST.stored_file(item, "document")) == letter
    assert desk.person().item(item.id)


@pytest.mark.parametrize(
    "typed, consent, fields",
    [
        ("", True, {"typed_name"}),
        ("   ", True, {"typed_name"}),
        ("x" * 201, True, {"typed_name"}),
        ("Ada\x07", True, {"typed_name"}),
        ("Ada", False, {"consent"}),
        ("", False, {"typed_name", "consent"}),
    ],
)
def test_a_signature_needs_a_name_and_a_consent(
    desk: Desk, letter: bytes, typed: str, consent: bool, fields: set[str]
) -> None:
    item = sent(desk, letter)
    with pytest.raises(Invalid) as raised, unit_of_work():
        signing.sign(item, desk.person(), signer_id(item, "Ada Byron"), typed, consent, TRACE)
    assert set(raised.value.fields) == fields
    assert desk.item(item.id).status == "sent"


def test_nobody_signs_for_somebody_else(desk: Desk, letter: bytes) -> None:
    desk.joins("will@byron.example", "Will King")
    item = sent(desk, letter, ADA, WILL)
    for wrong in (signer_id(item, "William King"), "nobody", ""):
        for act in (
            lambda wrong=wrong: signing.sign(item, desk.person(), wrong, "Ada", True, TRACE),
            lambda wrong=wrong: signing.decline(item, desk.person(), wrong, "", TRACE),
        ):
            with pytest.raises(Missing), unit_of_work():
                act()
    assert desk.item(item.id).status == "sent"


def test_one_signature_counts_once_however_often_it_is_pressed(desk: Desk, letter: bytes) -> None:
    desk.joins("will@byron.example", "Will King")
    item = sent(desk, letter, ADA, WILL)
    item_id, mine = item.id, signer_id(item, "Ada Byron")
    db.session.rollback()

    def press() -> str:
        row = db.session.get_one(WorkItem, item_id)
        with unit_of_work():
            signing.sign(row, desk.person(), mine, "Ada Byron", True, TRACE)
        return "signed"

    results = together(desk.app, press, press, press, press)
    assert results.count("signed") == 1, results
    assert sum(isinstance(result, WrongState) for result in results) == 3, results
    assert desk.item(item_id).status == "partially_signed"
    assert ESIGN_REQUEST.progress(desk.item(item_id)) == "1 of 2 signed"
    assert desk.events().count("esign_request_signed") == 1


def test_the_last_two_sign_at_once_and_it_is_sealed_once(desk: Desk, letter: bytes) -> None:
    desk.joins("will@byron.example", "Will King")
    item = sent(desk, letter, ADA, WILL)
    item_id = item.id
    ids = {who["name"]: signer_id(item, who["name"]) for who in (ADA, WILL)}
    db.session.rollback()

    def press(who: dict[str, Any]) -> bool:
        row = db.session.get_one(WorkItem, item_id)
        with unit_of_work():
            signing.sign(row, desk.person(who["email"]), ids[who["name"]], who["name"], True, TRACE)
        return completion.seal_pending(item_id)

    results = together(
        desk.app, lambda: press(ADA), lambda: press(WILL), lambda: completion.seal_pending(item_id)
    )
    assert all(isinstance(result, bool) for result in results), results
    completion.seal_all_pending()
    assert desk.item(item_id).status == "completed"
    assert desk.events().count("esign_request_completed") == 1
    assert desk.events().count("esign_request_signed") == 2
    purposes = sorted(db.session.scalars(sa.select(StoredFile.purpose)))
    assert purposes == ["document", "sealed"]
    assert len(stored_bytes(desk.app)) == 2


def test_sealed_by_many_at_once_and_once_only(desk: Desk, letter: bytes) -> None:
    item = sent(desk, letter)
    with unit_of_work():
        signing.sign(item, desk.person(), signer_id(item, "Ada Byron"), "Ada Byron", True, TRACE)
    item_id = item.id
    assert ESIGN_REQUEST.status_label(desk.item(item_id)) == "Signed, being sealed"
    db.session.rollback()
    results = together(desk.app, *[lambda: completion.seal_pending(item_id)] * 3)
    assert results == [True, True, True]  # it is sealed, whoever did it
    assert len(stored_bytes(desk.app)) == 2
    assert desk.events().count("esign_request_completed") == 1
    assert completion.seal_all_pending() == 0
    assert completion.seal_pending(item_id) is True


def test_a_seal_that_fails_is_made_by_the_sweep(desk: Desk, letter: bytes) -> None:
    item = sent(desk, letter)
    key = config.current().data_dir / keys.FILE
    key.write_bytes(b"not a key")
    assert sign(desk, item, ADA) is False
    assert ESIGN_REQUEST.status_label(desk.item(item.id)) == "Signed, being sealed"
    key.unlink()
    assert completion.seal_all_pending() == 1
    assert desk.item(item.id).status == "completed"
    assert len(stored_bytes(desk.app)) == 2


def test_a_couple_with_one_mailbox_each_sign_by_their_own_name(desk: Desk, letter: bytes) -> None:
    both = (
        {"name": "Ada Byron", "email": "ada@byron.example"},
        {"name": "Will", "email": "ada@byron.example"},
    )
    item = sent(desk, letter, *both)
    assert list(db.session.scalars(sa.select(Outbox.to_email))) == ["ada@byron.example"]
    state = signing.sign_state(item, desk.person().login)
    assert [(one.name, one.can_sign) for one in state.mine] == [("Ada Byron", True), ("Will", True)]
    assert sign(desk, item, both[1]) is False
    state = signing.sign_state(item, desk.person().login)
    assert [(one.name, one.can_sign) for one in state.mine] == [("Ada Byron", True), ("Will", False)]
    assert sign(desk, item, both[0]) is True
    assert {row.typed_name for row in db.session.scalars(sa.select(Signer))} == {"Ada Byron", "Will"}


# In order, declined, voided, expired --------------------------------------------------------------------------------


def test_in_order_the_second_waits_and_hears_when_it_is_their_turn(desk: Desk, letter: bytes) -> None:
    desk.joins("will@byron.example", "Will King")
    item = sent(desk, letter, {**ADA, "order": 2}, {**WILL, "order": 1}, ordered=True)
    assert list(db.session.scalars(sa.select(Outbox.to_email))) == ["will@byron.example"]
    state = signing.sign_state(item, desk.person().login)
    assert (state.may_sign, state.waiting_for) == (False, "William King")
    with pytest.raises(WrongState, match="William King signs first"):
        sign(desk, item, ADA)
    sign(desk, item, WILL)
    assert list(db.session.scalars(sa.select(Outbox.to_email).order_by(Outbox.id))) == [
        "will@byron.example",
        "ada@byron.example",
    ]
    assert signing.sign_state(item, desk.person().login).may_sign
    assert sign(desk, item, ADA) is True


def test_declined_ends_it_with_the_reason(desk: Desk, letter: bytes) -> None:
    desk.joins("will@byron.example", "Will King")
    item = sent(desk, letter, ADA, WILL)
    sign(desk, item, ADA)
    with unit_of_work():
        signing.decline(
            item, desk.person("will@byron.example"), signer_id(item, "William King"), "Wrong year", TRACE
        )
    item = desk.item(item.id)
    assert (item.status, item.open) == ("declined", False)
    shown = ESIGN_REQUEST.staff_page(item, desk.view)["signers"]
    assert [(one.label, one.decline_reason) for one in shown] == [("Signed", ""), ("Declined", "Wrong year")]
    event = db.session.scalars(sa.select(Event).where(Event.name == "esign_request_declined")).one()
    assert event.data == {"signer_id": signer_id(item, "William King")}
    with pytest.raises(WrongState, match="declined"):
        sign(desk, item, WILL)
    with pytest.raises(WrongState), unit_of_work():
        signing.void(desk.view, item)


def test_voided_by_staff_takes_no_signature(desk: Desk, letter: bytes) -> None:
    item = sent(desk, letter)
    with unit_of_work():
        signing.void(desk.view, item, "Sent by mistake")
    assert desk.item(item.id).status == "voided"
    with pytest.raises(WrongState, match="taken back"):
        sign(desk, item, ADA)
    assert completion.seal_pending(item.id) is False


def test_nothing_is_voided_once_all_have_signed(desk: Desk, letter: bytes) -> None:
    item = sent(desk, letter)
    with unit_of_work():
        signing.sign(item, desk.person(), signer_id(item, "Ada Byron"), "Ada", True, TRACE)
    with pytest.raises(WrongState), unit_of_work():
        signing.void(desk.view, item)
    assert completion.seal_pending(item.id) is True


def test_expired_by_the_clock_and_open_again_with_more_time(desk: Desk, letter: bytes) -> None:
    today = utc_now().date()
    item = sent(desk, letter, due_on=(today + timedelta(days=2)).isoformat())
    with time_machine.travel(utc_now() + timedelta(days=4), tick=True):
        item = desk.item(item.id)
        assert (ESIGN_REQUEST.status(item), item.status) == ("expired", "sent")
        assert not signing.sign_state(item, desk.person().login).may_sign
        with pytest.raises(WrongState, match="time to sign"):
            sign(desk, item, ADA)
        with unit_of_work():
            signing.extend(desk.view, item, today + timedelta(days=30))
        assert ESIGN_REQUEST.status(desk.item(item.id)) == "sent"
        assert sign(desk, item, ADA) is True


def test_more_time_for_the_document_is_more_time_for_the_invite(desk: Desk, letter: bytes) -> None:
    data = {"file_id": put(desk, letter), "signers": [WILL]}
    result = desk.send("esign-request", data, order_for("will@byron.example"))
    later = utc_now().date() + timedelta(days=200)
    with unit_of_work():
        signing.extend(desk.view, result.items[0], later)
    invite = db.session.scalars(sa.select(Invite).execution_options(populate_existing=True)).one()
    assert invite.expires_at.date() == later


def test_a_removed_person_can_not_sign(desk: Desk, letter: bytes) -> None:
    item = sent(desk, letter)
    person = desk.person()
    access = db.session.scalars(person.accesses()).unique().one()
    with unit_of_work():
        access.state = AccessState.SUSPENDED
    with pytest.raises(Missing):
        sign(desk, item, ADA)


def test_lists_ask_once_for_any_number(desk: Desk, letter: bytes) -> None:
    ids = [sent(desk, letter, ADA, WILL).id for _ in range(3)]
    items = [desk.item(item_id) for item_id in ids]
    for item in items:
        _ = (item.details, ESIGN_REQUEST.status(item))
    with statements() as seen:
        ESIGN_REQUEST.progress_of(items)
        ESIGN_REQUEST.api_fields_of(items)
        _ = [ESIGN_REQUEST.status_label(item) for item in items]
    assert len([text for text in seen if text.startswith("SELECT")]) == 2


@pytest.mark.one_database
def test_the_sealing_key_is_made_once_and_read_by_its_owner_alone(desk: Desk) -> None:
    settings = config.current()
    found = together(desk.app, *[lambda: keys.sealing_key(settings).certificate_pem] * 3)
    assert len(set(found)) == 1, found
    path = settings.data_dir / keys.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in settings.data_dir.glob(".sealing*")] == []
    assert not verify(b"no pdf", keys.sealing_key(settings).certificate_pem).ok
