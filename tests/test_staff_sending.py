"""The send forms: client requests, files and their switch, eSign requests, and a workflow that was plugged in."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from invites.scope import PortalView
from models import Audience, Invite, Login, Signer, StoredFile, WorkItem, db, unit_of_work
from tests.portal import file, survey
from tests.staff import Shown, Staff
from tests.support.world import World, give_access, mails, make_client, make_world
from workflows.client_request import answers
from workflows.esign_request.sample import engagement_letter

pytestmark = pytest.mark.one_database

ADA, WILL = "ada@byron.example", "will@byron.example"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


def items(app: Flask) -> list[WorkItem]:
    with app.app_context():
        return list(db.session.scalars(sa.select(WorkItem).order_by(WorkItem.id)))


def upload(dana: Staff, client_id: str, *parts: tuple[bytes, str], visible: bool = True) -> Shown:
    page = dana.open(f"/clients/{client_id}/send/file")
    files = [(io.BytesIO(data), name) for data, name in parts]
    return page.press(file=files, visible="true" if visible else None)


# Client requests ----------------------------------------------------------------------------------------------------


def test_bad_fields_come_back_with_everything_typed(app: Flask, dana: Staff, byron: str) -> None:
    form = dana.open(f"/clients/{byron}/send/client-request").press("rows=questions-add")
    shown = form.press(
        title="Organizer", due_on="2020-01-01", questions__0__label="Kind?", questions__0__type="single_choice",
        questions__0__choices="Only one",
    )  # fmt: skip
    assert shown.status == 422
    assert "This day is over. Choose today or a later day." in shown.errors()
    assert "Give 2 to 50 choices; there is 1." in shown.errors()
    fields = shown.fields()
    assert (fields["title"], fields["due_on"], fields["questions-0-choices"]) == (
        "Organizer",
        "2020-01-01",
        "Only one",
    )
    assert items(app) == []
    window = shown.press(due_on="", questions__0__choices="A\nB")
    assert "Sending “Organizer” to Byron Family" in window.words


def test_choices_of_another_type_are_left_out(app: Flask, dana: Staff, byron: str) -> None:
    form = dana.open(f"/clients/{byron}/send/client-request").press("rows=questions-add")
    window = form.press(
        title="Organizer",
        questions__0__label="When?",
        questions__0__type="date",
        questions__0__choices="A\nB",
    )
    window.press("do=skip")
    assert items(app)[0].details["questions"] == [
        {"key": "when", "type": "date", "label": "When?", "required": False}
    ]


def test_a_request_without_questions_is_fine(app: Flask, dana: Staff, byron: str) -> None:
    dana.open(f"/clients/{byron}/send/client-request").press(title="Please call").press("do=send")
    assert [item.title for item in items(app)] == ["Please call"]


def test_answers_are_read_printed_and_given_back(app: Flask, dana: Staff, byron: str, world: World) -> None:
    give_access(world, byron, ADA)
    item_id = survey(world, byron, questions=[{"type": "short_text", "label": "Where?", "required": True}])
    with app.app_context():
        login_id = db.session.scalars(sa.select(Login.id).where(Login.email == ADA)).one()
    _answer(app, item_id, login_id, {"where": "St James's Square"})
    shown = dana.open(f"/items/{item_id}")
    assert "Answers 1 of 1 answered" in shown.words
    assert "St James's Square" in shown.words
    assert "St James's Square" in dana.open(f"/items/{item_id}/print").words
    assert "The client can change the answers again." in shown.press(action="/reopen").words
    asked = dana.open(f"/items/{item_id}/cancel")
    assert "Cancel “Tax organizer 2026”?" in asked.words
    assert "The client request is cancelled." in asked.press(action="/cancel").words
    assert items(app)[0].status == "cancelled"


def _answer(app: Flask, item_id: str, login_id: str, values: dict[str, str]) -> None:
    with app.app_context():
        with unit_of_work():
            item, person = (
                db.session.get_one(WorkItem, item_id),
                PortalView(db.session.get_one(Login, login_id)),
            )
            assert answers.save(item, person, values) == {}
        with unit_of_work():
            answers.submit(
                db.session.get_one(WorkItem, item_id), PortalView(db.session.get_one(Login, login_id))
            )


def test_choose_people_opens_the_window_where_everybody_sees_it_already(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    give_access(world, byron, ADA)
    form = dana.open(f"/clients/{byron}/send/client-request")
    labels = [one.text_content() for one in form.tree.xpath("//div[@class='actions']/button")]
    assert labels == ["Send client request", "Choose people"]
    window = form.press("do=people", title="Organizer")
    assert "Sending “Organizer” to Byron Family" in window.words
    assert items(app) == []
    sent = dana.open(f"/clients/{byron}/send/client-request").press(title="At once")
    assert "“At once” is sent to Byron Family." in sent.words
    window.press("do=send", **{f"people-{window.row('William')}-tick": "1"})
    assert {item.title for item in items(app)} == {"At once", "Organizer"}


def test_choose_people_of_an_upload_and_of_a_document(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    give_access(world, byron, ADA)
    page = dana.open(f"/clients/{byron}/send/file")
    window = page.press("do=people", file=[(io.BytesIO(b"one"), "one.txt")])
    assert "Making “one.txt” visible to Byron Family" in window.words
    assert [item.visible for item in items(app)] == [False]
    page = dana.open(f"/clients/{byron}/send/esign-request")
    pdf = (io.BytesIO(engagement_letter("Northwind Tax", "Byron Family", 2026)), "letter.pdf")
    window = page.press("do=people", file=[pdf])
    assert "Sending “letter.pdf” to Byron Family" in window.words


# Files --------------------------------------------------------------------------------------------------------------


def test_uploading_alone_shows_the_client_nothing(app: Flask, dana: Staff, byron: str) -> None:
    done = upload(dana, byron, (b"one", "one.txt"), (b"two", "two.txt"), visible=False)
    assert done.path == f"/clients/{byron}/files"
    assert "2 files uploaded. Not visible to the client until you make it so." in done.words
    assert [(item.title, item.visible) for item in items(app)] == [("one.txt", False), ("two.txt", False)]
    assert mails(app) == []


def test_one_window_for_a_batch_of_files(app: Flask, dana: Staff, byron: str) -> None:
    shown = upload(dana, byron, (b"one", "one.txt"), (b"two", "two.txt"))
    assert "Making 2 files visible to Byron Family" in shown.words
    assert not any(item.visible for item in items(app))
    assert not any(item.visible for item in items(app) if dana.open(shown.path))  # looking changes nothing
    assert len(items(app)) == 2  # and a reload uploads nothing again
    done = shown.press("do=send")
    assert "Invite sent" in done.words
    assert all(item.visible for item in items(app))
    assert sorted(mails(app)) == [(ADA, "invite", "queued"), (WILL, "invite", "queued")]


def test_the_switch_opens_the_window_and_turning_off_asks_nothing(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    item_id = file(world, byron, name="return.pdf", visible=False)
    switch = dana.open(f"/clients/{byron}/files")
    assert switch.tree.xpath("//button[@role='switch']/@aria-checked") == ["false"]
    window = switch.press(action="/visibility")
    assert "Making “return.pdf” visible to Byron Family" in window.words
    assert not items(app)[0].visible
    done = window.press("do=skip")
    assert "“return.pdf” can be seen by Byron Family now." in done.words
    assert done.tree.xpath("//button[@role='switch']/@aria-checked") == ["true"]
    off = done.press(action="/visibility")
    assert "“return.pdf” can't be seen by the client any more." in off.words
    assert not items(app)[0].visible
    give_access(world, byron, ADA)
    on = dana.open(f"/items/{item_id}").press(action="/visibility")  # now everybody who must see it can
    assert "can be seen by Byron Family now" in on.words
    assert items(app)[0].visible
    assert [kind for _, kind, _ in mails(app)] == ["item"]


def test_bad_uploads_are_refused_beside_the_field(app: Flask, dana: Staff, byron: str) -> None:
    page = dana.open(f"/clients/{byron}/send/file")
    assert page.press().errors() == ["Choose a file."]
    empty = upload(dana, byron, (b"fine", "fine.txt"), (b"", "empty.txt"))
    assert empty.status == 422
    assert empty.errors() == ["empty.txt is empty. Choose another file."]
    assert items(app) == []
    assert dana.post(f"/clients/{byron}/files/visibility", {**page.fields(), "visible": "true"}).status == 404


@pytest.mark.settings(MAX_UPLOAD_MB="0.001")
def test_a_file_too_large_is_refused(app: Flask, dana: Staff, byron: str) -> None:
    shown = upload(dana, byron, (b"x" * 5000, "big.bin"))
    assert shown.status == 413
    assert items(app) == []


def test_a_download_is_an_attachment_in_a_sandbox(app: Flask, dana: Staff, byron: str, world: World) -> None:
    item_id = file(world, byron, name='Rück"gabe 2026.html', data=b"<script>alert(1)</script>")
    answer = dana.client.get(f"/items/{item_id}/download")
    assert answer.data == b"<script>alert(1)</script>"
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert "%C3%BC" in answer.headers["Content-Disposition"]
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_an_outsider_added_while_sharing_sees_this_file_alone(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    file(world, byron, name="other.pdf")
    shown = upload(dana, byron, (b"one", "one.txt"))
    data = {f"people__{shown.row(name)}__tick": None for name in ("Ada", "William")}
    shown.press("do=send", new_email="anna@books.example", **data)
    with app.app_context():
        found = db.session.scalars(sa.select(Invite)).unique().one()
        assert (found.email, found.scope.value) == ("anna@books.example", "items")
    assert items(app)[1].audience is Audience.PORTAL


# eSign requests -----------------------------------------------------------------------------------------------------


def signing_form(dana: Staff, client_id: str) -> Shown:
    return dana.open(f"/clients/{client_id}/send/esign-request")


def pdf() -> tuple[io.BytesIO, str]:
    return io.BytesIO(engagement_letter("Northwind Tax", "Byron Family", 2026)), "letter.pdf"


def test_a_pdf_is_uploaded_once_and_sent_to_its_signers(app: Flask, dana: Staff, byron: str) -> None:
    form = signing_form(dana, byron)
    assert form.fields()["signers-0-name"] == "Ada Byron"
    shown = form.press("rows=signers-add", file=pdf())
    assert "letter.pdf is uploaded." in shown.words
    shown = shown.press(signers__1__name="Zoe Outside", signers__1__email="zoe@", title="Engagement")
    assert any("'zoe@' is not an e-mail address" in error for error in shown.errors())
    assert shown.fields()["title"] == "Engagement"
    window = shown.press(signers__1__email="zoe@outside.example")
    assert window.ticked() == ["Ada Byron", "Zoe Outside"]  # and not William, who has nothing to sign
    done = window.press("do=send")
    assert "Invite sent" in done.words
    with app.app_context():
        assert [row.name for row in db.session.scalars(sa.select(Signer).order_by(Signer.position))] == [
            "Ada Byron", "Zoe Outside",
        ]  # fmt: skip
        stored = db.session.scalars(sa.select(StoredFile)).all()
        assert [(one.name, one.purpose, one.item_id is None) for one in stored] == [
            ("letter.pdf", "document", False)
        ]
    item_id = items(app)[0].id
    assert dana.client.get(f"/items/{item_id}/download/document").data.startswith(b"%PDF")
    assert dana.client.get(f"/items/{item_id}/download/sealed").status_code == 404
    page = dana.open(f"/items/{item_id}")
    assert "Zoe Outside zoe@outside.example" in page.words
    voided = dana.open(f"/items/{item_id}/void").press(action="/void", reason="Wrong year")
    assert "The eSign request is voided." in voided.words
    assert "Voided" in voided.words


def test_what_is_no_pdf_is_refused(app: Flask, dana: Staff, byron: str) -> None:
    shown = signing_form(dana, byron).press(file=(io.BytesIO(b"hello"), "letter.pdf"))
    assert shown.status == 422
    assert len(shown.errors()) == 1
    assert "PDF" in shown.errors()[0]
    assert shown.fields()["signers-0-name"] == "Ada Byron"
    assert signing_form(dana, byron).press().errors() == ["Choose a PDF."]
    assert items(app) == []


def test_a_file_of_the_client_can_be_signed_and_of_no_other(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    own = file(world, byron, name="own.pdf", data=pdf()[0].getvalue(), visible=False)
    other_client = make_client(world, "Other", ("O", "o@x.example"))
    other = file(world, other_client, name="other.pdf", data=pdf()[0].getvalue(), visible=False)
    form = signing_form(dana, byron)
    assert "own.pdf" in form.words
    assert "other.pdf" not in form.words
    assert form.press(file_id=other).status == 404
    done = form.press(file_id=own).press("do=skip")
    assert "is sent to Byron Family" in done.words


# A plugged-in workflow ----------------------------------------------------------------------------------------------

PLUGIN = """
import marshmallow as ma
from marshmallow import fields
from hooks import sending_question, sending_trigger
from schemas.base import DueDate, Strict, Text
from workflows.registry import Workflow

class NoticeSchema(Strict):
    title = Text(required=True, metadata={"label": "Title"})
    amount = fields.Integer(required=True, metadata={"label": "Amount due"})
    kind = fields.String(validate=ma.validate.OneOf(["first", "last"]), load_default="first")
    due_on = DueDate(load_default=None, allow_none=True)

class StaffNotice(Workflow):
    slug, collection = "staff-notice", "staff-notices"
    singular, plural, kind_label = "Notice", "Notices", "Notice"
    what, send_label = "sent you a notice", "Send notice"
    schema = NoticeSchema
    question = sending_question("staff_notice_sending", "send a notice")
    trigger = sending_trigger("staff_notice_sent", "a notice")
"""


def test_a_plugged_in_workflow_has_form_window_and_page(
    app: Flask, tmp_path: Path, make_app: Callable[..., Flask]
) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "staff_notice.py").write_text(PLUGIN)
    world = make_world(app)
    byron = make_client(world, "Byron Family", ("Ada Byron", ADA))
    plugged = make_app(PORTAL_PLUGINS=folder)
    dana = Staff.of(plugged)
    assert "Notices" in dana.open(f"/clients/{byron}").words
    form = dana.open(f"/clients/{byron}/send/staff-notice")
    shown = form.press(title="Last call", amount="many", kind="last")
    assert shown.status == 422
    assert shown.fields()["kind"] == "last"
    window = shown.press(amount="120")
    assert "Northwind Tax: Dana Reyes sent you a notice" in window.words
    done = window.press("do=send")
    assert done.path.startswith(f"/clients/{byron}/staff-notices?sent=")
    assert "Last call" in done.words
    page = dana.open(done.tree.xpath("//section//li//a[contains(@href, '/items/')]")[0].get("href"))
    assert "Amount due 120" in page.words
    assert mails(plugged) == [(ADA, "invite", "queued")]
    assert dana.open(f"/clients/{byron}/send/nothing-of-the-kind").status == 404
