"""Clients, record, home, Manage Client Portals, templates, settings, mailbox: what stands there, at what cost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from invites import searching
from models import (
    Client,
    ClientAssignment,
    Contact,
    FirmLicence,
    Invite,
    MessageTemplate,
    Outbox,
    SurveyTemplate,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.database import statements
from tests.portal import file, invite, survey
from tests.staff import Shown, Staff
from tests.support.world import World, give_access, make_client, make_world

pytestmark = pytest.mark.one_database

ADA = "ada@byron.example"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


def test_empty_pages_say_what_to_do(dana: Staff) -> None:
    assert "No clients yet. Add the first one" in dana.open("/clients").words
    assert "No clients yet." in dana.open("/").words
    assert "Nobody fits this filter." in dana.open("/portals").words
    assert "No survey templates yet." in dana.open("/templates").words
    assert "No message templates yet." in dana.open("/templates").words


def test_a_person_is_added_and_is_its_own_first_contact(app: Flask, dana: Staff) -> None:
    done = dana.open("/clients/new").press(name="Grace Hopper", contacts__0__email="grace@hopper.example")
    assert "Grace Hopper is added." in done.words
    with app.app_context():
        contact = db.session.scalars(sa.select(Contact)).one()
        assert (contact.name, contact.email, contact.is_primary) == (
            "Grace Hopper",
            "grace@hopper.example",
            True,
        )
        assert contact.client.is_person


def test_a_bad_client_keeps_what_was_typed(app: Flask, dana: Staff, world: World) -> None:
    make_client(world, "Byron Family", external_id="B-1")
    shown = dana.open("/clients/new").press(
        kind="business", name="Books", external_id="B-1", contacts__0__name="Anna", contacts__0__email="anna@"
    )
    assert shown.status == 422
    assert any("'anna@' is not an e-mail address" in error for error in shown.errors())
    assert shown.fields()["contacts-0-email"] == "anna@"
    shown = shown.press(contacts__0__email="anna@books.example")
    assert shown.errors() == ["Another client has this external id already."]
    assert shown.fields()["kind"] == "business"
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Contact)) == 0
    done = shown.press(external_id="B-2")
    assert "Books is added." in done.words
    changed = dana.open(done.path + "/edit").press(name="Byron Books")
    assert "Byron Books" in changed.words


def test_a_contact_is_added(dana: Staff, world: World) -> None:
    client_id = make_client(world, "Byron Family", ("Ada", ADA))
    shown = dana.open(f"/clients/{client_id}/contacts/new").press()
    assert shown.errors() == ["Enter a name or an address."]
    done = shown.press(name="Will", email="will@byron.example", primary="true")
    assert "Will is on the record now." in done.words
    assert "Will will@byron.example Primary" in done.words


@pytest.mark.parametrize("few", [searching.FEW, -1], ids=["looked up", "walked through"])
def test_search_by_the_beginnings_of_words(
    dana: Staff, world: World, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(searching, "FEW", few)
    byron = make_client(world, "Byron Family", ("Ada Byron", ADA))
    make_client(world, "Hopper Inc.", ("Grace Hopper", "grace@hopper.example"))
    make_client(world, "Noether & Sons")
    give_access(world, byron, ADA)
    for typed, *found in (
        ("byr", "Byron Family"), ("family ada", "Byron Family"), ("GRACE@", "Hopper Inc."),
        ("grace h", "Hopper Inc."), ("inc.", "Hopper Inc."), ("sons", "Noether & Sons"),
        ("example", "Byron Family", "Hopper Inc."),
    ):  # fmt: skip
        words = dana.open(f"/clients?q={typed.replace('&', '%26')}").words
        named = [name for name in ("Byron Family", "Hopper Inc.", "Noether & Sons") if name in words]
        assert named == found, typed
    for nothing in ("%25", "opper", "grace%20byron", "@", "ada%20sons"):
        assert "Nothing begins with" in dana.open(f"/clients?q={nothing}").words, nothing


def test_long_lists_are_paged_without_a_gap(dana: Staff, world: World) -> None:
    names = [f"Client {number:02d}" for number in range(35)]
    for name in names:
        make_client(world, name)
    first = dana.open("/clients")
    make_client(world, "Client 00 added meanwhile")
    second = dana.open(first.tree.xpath("//a[@rel='next']")[0].get("href"))
    seen = [link.text for page in (first, second) for link in page.tree.xpath("//td/a")]
    assert seen == names
    assert not second.tree.xpath("//a[@rel='next']")
    assert dana.open("/clients?after=rubbish").status == 404


def test_assigned_staff_see_assigned_clients_only(app: Flask, world: World) -> None:
    mine, other = make_client(world, "Mine", ("A", "a@mine.example")), make_client(world, "Other", ("B", ADA))
    invite(world, other, ADA)
    with app.app_context(), unit_of_work() as session:
        session.add(ClientAssignment(client_id=mine, team_member_id=world.assigned_id))
        session.execute(sa.update(Outbox).values(state="bounced"))
    mia = Staff.of(app, "mia@northwind.example")
    assert "Other" not in mia.open("/clients").words
    assert "Mail bounced" not in mia.open("/").words
    assert "Other" not in mia.open("/portals").words
    assert mia.open(f"/clients/{other}").status == 404
    assert mia.open(f"/clients/{other}/invite").status == 404
    added = mia.open("/clients/new").press(name="New one", contacts__0__name="N")
    assert "New one is added." in added.words


def test_without_a_licence_the_page_says_so(app: Flask, dana: Staff, world: World) -> None:
    client_id = make_client(world, "Byron Family", ("Ada", ADA))
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.delete(FirmLicence))
    for slug, name in (
        ("client-request", "Client requests"),
        ("file", "Files"),
        ("esign-request", "eSign requests"),
    ):
        shown = dana.open(f"/clients/{client_id}/send/{slug}")
        assert shown.status == 402
        assert f"{name} are not in your firm's licence" in shown.words
    assert "Not in your licence" in dana.open("/settings").words
    assert "Invite sent" in dana.open(f"/clients/{client_id}/invite").press("do=send").words


def test_an_error_leads_back_to_the_page_before(app: Flask, dana: Staff, world: World) -> None:
    client_id = make_client(world, "Byron Family", ("Ada", ADA))

    def back(referrer: str, path: str = f"/clients/{client_id}/nothing") -> list[str]:
        answer = dana.client.get(path, headers={"Referer": referrer})
        return Shown(dana, answer).tree.xpath("//main//div[@class='actions']/a/@href")

    assert back(f"http://localhost/clients/{client_id}") == [f"/clients/{client_id}", "/"]
    assert back("http://elsewhere.example/clients") == ["/"]
    assert back(f"http://localhost/clients/{client_id}/nothing") == ["/"]
    assert back("http://localhost/") == ["/"]
    mia = Staff.of(app, "mia@northwind.example")
    words = mia.open("/settings/team/new").words
    assert "This needs the permission \u201cAdd team members and say what they may do\u201d." in words


def test_home_names_what_is_stuck_with_the_one_action(app: Flask, dana: Staff, world: World) -> None:
    client_id = make_client(
        world,
        "Byron Family",
        ("Bo", "bo@x.example"),
        ("Ed", "ed@x.example"),
        ("De", "de@x.example"),
        ("Fi", "fi@x.example"),
    )
    for name in ("bo", "ed", "de", "fi"):
        invite(world, client_id, f"{name}@x.example")
    late, unseen, _ = (survey(world, client_id, title=title) for title in ("Late", "Unseen", "Fresh"))
    past = utc_now() - timedelta(days=3)
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(Outbox).where(Outbox.to_email == "bo@x.example").values(state="bounced"))
        session.execute(sa.update(Outbox).where(Outbox.to_email == "fi@x.example").values(state="failed"))
        session.execute(sa.update(Invite).where(Invite.email == "ed@x.example").values(expires_at=past))
        session.execute(
            sa.update(Invite).where(Invite.email == "de@x.example").values(state="declined", ended_at=past)
        )
        session.execute(sa.update(WorkItem).where(WorkItem.id == late).values(due_on=date(2026, 1, 1)))
        session.execute(sa.update(WorkItem).where(WorkItem.id == unseen).values(sent_at=past))
    shown = dana.open("/")
    lines = [
        " ".join(one.text_content().split()) for one in shown.tree.xpath("//li[contains(@class, 'waiting')]")
    ]
    for name, words in (
        ("Bo", "Mail bounced"), ("Fi", "Mail not sent"), ("Late", "Overdue"), ("Ed", "Invite expired"),
        ("De", "Declined"), ("Unseen", "Not opened yet"),
    ):  # fmt: skip
        assert any(line.startswith(name) and words in line for line in lines), (name, lines)
    assert len(lines) == 6
    done = shown.press(action="/resend")
    assert "gets a fresh link" in done.words


def test_portals_by_tab_and_filter(app: Flask, dana: Staff, world: World) -> None:
    inside = make_client(world, "Inside", ("In", "in@x.example"))
    give_access(world, inside, "in@x.example", "In", last_login_at=utc_now())
    asked = make_client(world, "Asked", ("As", "as@x.example"))
    invite(world, asked, "as@x.example")
    make_client(world, "Alone", ("Al", None))
    make_client(world, "Fresh", ("Fr", "fr@x.example"))
    words = dana.open("/portals?show=invited").words
    assert "as@x.example Invited today, never logged in Mail on its way" in words
    assert "Alone" not in words
    assert "Nobody fits" in dana.open("/portals?show=expired").words
    without = dana.open("/portals?tab=without").words
    assert "Alone Al No e-mail" in without
    assert "Fresh" in without
    assert "Asked" not in without
    assert "Inside" not in without
    assert "Fresh" not in dana.open("/portals?tab=without&show=no-email").words


def test_message_templates_are_written_and_changed(app: Flask, dana: Staff) -> None:
    shown = dana.open("/templates/messages/new").press(name="Hello", body="Hi {{ person.age }}")
    assert shown.status == 422
    assert any("there is no placeholder 'person.age'" in error for error in shown.errors())
    done = shown.press(body="Hi {{ person.first_name }}", workflow="file", mine="true")
    assert "Hello Hi {{ person.first_name }} Only you Files" in done.words
    edit = dana.open(
        done.tree.xpath("//a[contains(@href, '/templates/messages/')][text()='Hello']")[0].get("href")
    )
    edit.press(name="Hello again", mine=None)
    with app.app_context():
        row = db.session.scalars(sa.select(MessageTemplate)).one()
        assert (row.name, row.owner_id, row.workflow) == ("Hello again", None, "file")
    assert Staff.of(app, "sam@northwind.example").open("/templates").words.count("Hello again") == 1


def test_survey_templates_are_built_without_a_script(app: Flask, dana: Staff, world: World) -> None:
    shown = dana.open("/templates/surveys/new").press("rows=questions-add", title="Yearly")
    shown = shown.press("rows=questions-add", questions__0__label="First?")
    shown = shown.press("rows=questions-1-up", questions__1__label="Second?")
    assert [shown.fields()[f"questions-{n}-label"] for n in (0, 1)] == ["Second?", "First?"]
    done = shown.press()
    assert "Yearly 2 questions" in done.words
    with app.app_context():
        row = db.session.scalars(sa.select(SurveyTemplate)).one()
        assert [question["label"] for question in row.questions] == ["Second?", "First?"]
        template_id = row.id
    client_id = make_client(world, "Byron Family", ("Ada", ADA))
    form = dana.open(f"/clients/{client_id}/send/client-request").press("rows=template", template=template_id)
    assert form.fields()["title"] == "Yearly"
    assert form.fields()["questions-0-label"] == "Second?"
    edited = dana.open(f"/templates/surveys/{template_id}").press("rows=questions-0-remove")
    assert "Yearly 1 question" in edited.press().words


def test_activity_in_words(app: Flask, dana: Staff, world: World) -> None:
    client_id = make_client(world, "Byron Family", ("Ada Byron", ADA))
    survey(world, client_id, ADA, title="Organizer")
    words = dana.open(f"/clients/{client_id}/activity").words
    assert "Dana Reyes invited Ada Byron" in words
    assert "Dana Reyes sent the client request “Organizer”" in words


def test_the_mailbox_is_for_this_machine_or_an_admin(
    app: Flask, dana: Staff, make_app: Callable[..., Flask]
) -> None:
    assert "No mail yet." in dana.open("/mailbox").words
    assert app.test_client().get("/mailbox").status_code == 200  # a client who tries it on this very machine
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert app.test_client().get("/mailbox", environ_base=elsewhere).status_code == 404
    assert dana.client.get("/mailbox", environ_base=elsewhere).status_code == 200
    sam = Staff.of(app, "sam@northwind.example")
    assert sam.client.get("/mailbox", environ_base=elsewhere).status_code == 403
    assert dana.open("/mailbox/../../secret_key").status == 404
    relayed = make_app(MAIL_SERVER="127.0.0.1")
    assert relayed.test_client().get("/mailbox").status_code == 404
    public = make_app(PORTAL_BASE_URL="https://portal.example.com")
    assert public.test_client().get("/mailbox", base_url="https://portal.example.com").status_code == 404


def test_rows_do_not_add_queries(app: Flask, dana: Staff, world: World) -> None:
    first = make_client(world, "Client 0", ("P0", "p0@x.example"), ("Q0", "q0@x.example"))

    def fill(client_id: str, number: int) -> None:
        invite(world, client_id, f"p{number}@x.example")
        survey(world, client_id, title=f"Survey {number}")
        file(world, client_id, name=f"file {number}.txt", data=b"x")
        give_access(world, client_id, f"q{number}@x.example", f"Q{number}")

    def cost(path: str) -> int:
        with app.app_context(), statements() as seen:
            assert dana.open(path).status == 200
        return len(seen)

    pages = ["/clients", "/portals", "/portals?tab=without", "/", f"/clients/{first}", f"/clients/{first}/files",
             f"/clients/{first}/activity", f"/clients/{first}/invite"]  # fmt: skip
    fill(first, 0)
    before = {path: cost(path) for path in pages}
    for number in range(1, 6):
        client_id = make_client(world, f"Client {number}", (f"P{number}", f"p{number}@x.example"))
        fill(client_id, number)
        with app.app_context(), unit_of_work() as session:
            email = f"more{number}@x.example"
            session.add(
                Contact(firm_id=world.firm_id, client_id=first, name=email, email=email, email_display=email)
            )
        fill_more = f"more{number}@x.example"
        invite(world, first, fill_more)
        survey(world, first, title=f"More {number}")
        file(world, first, name=f"more {number}.txt", data=b"x")
    assert {path: cost(path) for path in pages} == before
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Client)) == 6
