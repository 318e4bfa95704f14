"""The firm's settings, its logo and its team: who may change what, and what follows from it."""

from __future__ import annotations

import io
import re
from datetime import datetime

import pytest
import sqlalchemy as sa
from flask import Flask
from PIL import Image

import config
from mail.worker import send_due
from models import (
    ClientAssignment,
    Event,
    Firm,
    FirmLogo,
    Invite,
    Login,
    MessageTemplate,
    Outbox,
    Role,
    Sees,
    TeamMember,
    db,
    unit_of_work,
)
from models.database import statements
from tests.portal import invite
from tests.staff import Shown, Staff
from tests.support.smtp import MailServer
from tests.support.world import World, make_client, make_login, make_world

pytestmark = pytest.mark.one_database

SAM, MIA, NEW = "sam@northwind.example", "mia@northwind.example", "nora@northwind.example"


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


def give(app: Flask, email: str, *permissions: str) -> None:
    with app.app_context(), unit_of_work() as session:
        member = session.scalars(sa.select(TeamMember).join(Login).where(Login.email == email)).one()
        member.permissions = list(permissions)


# The firm --------------------------------------------------------------------------------------------------------------


def test_the_firm_is_changed_and_shown(app: Flask, dana: Staff, world: World) -> None:
    form = dana.open("/settings/firm")
    assert form.fields()["colour"] == "#1f5f8b"
    done = form.press(
        name="Northwind & Sons", phone="+44 20 7946 0000", reply_to="Desk@northwind.example", colour="#7A1F4B",
        time_zone="Europe/London", invite_days="14", reminder_days="2, 10,2", shows_titles="true",
        accept_needs_code=None,
    )  # fmt: skip
    assert done.path == "/settings"
    for words in (
        "The firm's settings are saved.", "Northwind & Sons", "Europe/London", "14 days", "On day 2, 10 after the mail",
        "Needs no code", "Name titles",
    ):  # fmt: skip
        assert words in done.words
    with app.app_context():
        firm = db.session.get_one(Firm, world.firm_id)
        assert (firm.colour, firm.reminder_days, firm.invite_days) == ("#7a1f4b", [2, 10], 14)
        event = db.session.scalars(sa.select(Event).where(Event.name == "firm_changed")).one()
        assert "time_zone" in event.data["fields"]
    assert dana.open("/settings/firm").press(reminder_days="").words.count("Reminders None") == 1


def test_other_reminder_days_move_the_open_invites(app: Flask, dana: Staff, world: World) -> None:
    byron = make_client(world, "Byron Family", ("Ada Byron", "ada@byron.example"))
    invite(world, byron, "ada@byron.example")

    def look() -> tuple[datetime | None, datetime | None]:
        with app.app_context():
            row = db.session.scalars(sa.select(Invite)).unique().one()
            return row.remind_at, row.reminded_until

    before = look()
    dana.open("/settings/firm").press(phone="+1 555 0199")
    assert look() == before  # the days were saved for the first time, and are the same
    dana.open("/settings/firm").press(reminder_days="1, 5")
    after, until = look()
    assert after == until  # looked at again now, by the new days, and nothing is caught up
    assert after != before[0]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (
            "colour",
            "#ffee00",
            "White text on this colour is too hard to read (1.2 to 1, at least 4.5 is needed).",
        ),
        ("colour", "red", "Write the colour as # and six digits"),
        ("time_zone", "Mars/Base", "Choose a time zone of the list"),
        ("invite_days", "91", "Choose 1 to 90 days."),
        ("reminder_days", "3, soon", "Write days from 1 to 90"),
        ("reply_to", "desk@", "is not an e-mail address"),
        ("name", "", "Please fill this in."),
        ("name", "Contoso", "Another firm here has this name already."),
        ("language", "xx", "Choose one of the list."),
    ],
)
def test_what_cant_be_saved_is_said_beside_the_field(
    app: Flask, dana: Staff, field: str, value: str, sentence: str
) -> None:
    make_world(app, "Contoso", "contoso.example")
    shown = dana.open("/settings/firm").press(**{field: value, "phone": "kept"})
    assert shown.status == 422
    assert any(sentence in one for one in shown.errors()), shown.errors()
    assert shown.fields()["phone"] == "kept"
    with app.app_context():
        assert db.session.scalars(sa.select(Firm.phone)).all() == ["+1 555 0100"] * 2


def test_only_who_may_changes_anything(app: Flask, world: World, dana: Staff) -> None:
    sam = Staff.of(app, SAM)
    shown = sam.open("/settings")
    assert shown.status == 200
    assert not shown.tree.xpath("//main//form[contains(@action, 'settings')]")
    assert sam.open("/settings/firm").status == 403
    assert sam.open("/settings/team/new").status == 403
    give(app, SAM, "settings")
    assert sam.open("/settings/firm").status == 200
    assert sam.open("/settings/team/new").status == 403


# The logo --------------------------------------------------------------------------------------------------------------


def picture(kind: str = "PNG", size: tuple[int, int] = (900, 300), noise: bytes = b"") -> bytes:
    target = io.BytesIO()
    Image.new("RGB", size, "#7a1f4b").save(target, kind)
    return target.getvalue() + noise


def put(dana: Staff, data: bytes, name: str = "logo.png") -> Shown:
    return dana.open("/settings").press(action="/settings/logo", logo=(io.BytesIO(data), name))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_logo_is_made_anew_and_shown_to_everybody(app: Flask, dana: Staff, kind: str) -> None:
    done = put(dana, picture(kind, noise=b"<script>alert(1)</script>"))
    assert "The logo is saved." in done.words
    (address,) = {one.get("src") for one in done.tree.xpath("//img[contains(@class, 'brand-logo')]")}
    answer = app.test_client().get(address)  # a stranger on the page behind a link sees it as well
    assert answer.mimetype == "image/png"
    assert "immutable" in answer.headers["Cache-Control"]
    assert b"script" not in answer.data
    with Image.open(io.BytesIO(answer.data)) as made:
        assert made.size == (480, 160)
    assert "The logo is removed." in done.press("do=remove", action="/settings/logo").words
    assert app.test_client().get(address).status_code == 404
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(FirmLogo)) == 0


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "This is not a picture we can read."),
        (picture("GIF"), "This is not a picture we can read."),
        (picture()[:200], "This is not a picture we can read."),
        (picture(size=(6000, 4000)), "This picture has too many pixels."),
        (picture() + b"x" * 600_000, "This file is too large: at most 512 KB."),
        (b"", "This is not a picture we can read."),
    ],
)
def test_what_is_no_logo_is_refused(app: Flask, dana: Staff, data: bytes, sentence: str) -> None:
    shown = put(dana, data)
    assert shown.status == 422
    assert any(sentence in one for one in shown.errors())
    with app.app_context():
        assert db.session.scalars(sa.select(Firm.logo_sha256)).one() is None


# The team --------------------------------------------------------------------------------------------------------------


def test_a_new_member_chooses_a_password_by_the_mail(app: Flask, dana: Staff, smtp: MailServer) -> None:
    done = dana.open("/settings/team/new").press(
        email="Nora@northwind.example", name="Nora Quist", sees="assigned"
    )
    assert "Nora Quist is in the team and gets a mail about it." in done.words
    assert "No password yet" in done.words
    with app.app_context():
        mail = db.session.scalars(sa.select(Outbox)).one()
        assert (mail.to_email, mail.kind.value) == (NEW, "security")
        assert "/reset/" not in str(mail.params)  # the address lies sealed
    link = _sent_link(app, smtp)
    nora = Staff(app.test_client())
    page = nora.open(link)
    page.press(password="violet harbour seventeen", password_confirm="violet harbour seventeen")
    signed = nora.open("/login").press(email=NEW, password="violet harbour seventeen")
    assert signed.path == "/"
    assert "Nora Quist" in signed.answer.get_data(as_text=True)


def _sent_link(app: Flask, smtp: MailServer) -> str:
    with app.app_context():
        send_due(config.current())
    (mail,) = smtp.to(NEW)
    found = re.search(r"https?://[^/\s]+(/reset/\S+)", mail.text)
    assert found, mail.text
    return found.group(1)


def test_somebody_with_a_login_is_only_told(app: Flask, dana: Staff, world: World) -> None:
    with app.app_context(), unit_of_work():
        make_login(NEW, "Nora Quist")
    dana.open("/settings/team/new").press(email=NEW)
    assert Staff.of(app, NEW).open("/clients").status == 200
    again = dana.open("/settings/team/new").press(email=NEW)
    assert again.status == 422
    assert "Nora Quist is in the team already." in again.errors()
    assert "is not an e-mail address" in dana.open("/settings/team/new").press(email="nora@").errors()[0]


def test_deactivating_ends_sessions_and_can_be_undone(app: Flask, dana: Staff, world: World) -> None:
    sam = Staff.of(app, SAM)
    assert sam.open("/clients").status == 200
    asked = dana.open(f"/settings/team/{world.staff_id}/deactivate")
    assert "Deactivate Sam Okafor?" in asked.words
    done = asked.press(action="/deactivate")
    assert "Sam Okafor is deactivated." in done.words
    assert sam.open("/clients").path.startswith("/login")
    assert sam.open("/login").press(email=SAM, password="correct horse battery").path == "/portal/"
    dana.open(f"/settings/team/{world.staff_id}").press(action="/activate")
    assert Staff.of(app, SAM).open("/clients").status == 200


def test_nobody_makes_themselves_more_than_they_are(app: Flask, dana: Staff, world: World) -> None:
    own = dana.open(f"/settings/team/{world.admin_id}").press(role="staff")
    assert own.status == 422
    assert "You can't change your own place in the team." in own.words
    give(app, SAM, "team", "export")
    sam = Staff.of(app, SAM)
    refused = sam.open(f"/settings/team/{world.assigned_id}").press(role="admin")
    assert "Only an administrator can make somebody an administrator." in refused.words
    refused = sam.open(f"/settings/team/{world.assigned_id}").press(permissions=["settings"])
    assert "You can't give what you may not do yourself: change the firm's settings." in refused.words
    assert sam.open(f"/settings/team/{world.admin_id}").press(role="staff").status == 422
    assert sam.open(f"/settings/team/{world.admin_id}/deactivate").press(action="/deactivate").status == 409
    assert "is changed" in sam.open(f"/settings/team/{world.assigned_id}").press(permissions=["export"]).words
    with app.app_context():
        mia = db.session.get_one(TeamMember, world.assigned_id)
        assert (mia.role, mia.sees, mia.permissions) == (Role.STAFF, Sees.ASSIGNED, ["export"])
    other = make_world(app, "Contoso", "contoso.example")
    assert dana.open(f"/settings/team/{other.staff_id}").status == 404


def test_a_firm_keeps_an_administrator(app: Flask, dana: Staff, world: World) -> None:
    dana.open(f"/settings/team/{world.staff_id}").press(role="admin")
    sam = Staff.of(app, SAM)
    sam.open(f"/settings/team/{world.admin_id}").press(role="staff")
    with app.app_context():
        roles = db.session.scalars(sa.select(TeamMember.role).order_by(TeamMember.id)).all()
    assert roles == [Role.STAFF, Role.ADMIN, Role.STAFF]
    assert dana.open("/settings/firm").status == 403


def test_a_client_is_assigned_on_its_record(app: Flask, dana: Staff, world: World) -> None:
    byron = make_client(world, "Byron Family")
    mia = Staff.of(app, MIA)
    assert mia.open(f"/clients/{byron}").status == 404
    page = dana.open(f"/clients/{byron}/team")
    assert "Sees every client: Dana Reyes, Sam Okafor" in page.words
    assert "The team of Byron Family is changed." in page.press(members=[world.assigned_id]).words
    assert mia.open(f"/clients/{byron}").status == 200
    other = make_world(app, "Contoso", "contoso.example")
    assert dana.open(f"/clients/{byron}/team").press(members=[other.assigned_id]).status == 404
    dana.open(f"/clients/{byron}/team").press(members=None)
    with app.app_context():
        assert db.session.scalars(sa.select(ClientAssignment.client_id)).all() == []


def test_a_big_team_costs_no_more_queries(app: Flask, dana: Staff, world: World) -> None:
    with app.app_context(), statements() as few:
        dana.open("/settings")
    with app.app_context(), unit_of_work() as session:
        firm = session.get_one(Firm, world.firm_id)
        for number in range(12):
            session.add(TeamMember(firm=firm, login=make_login(f"m{number}@northwind.example", "M")))
    with app.app_context(), statements() as many:
        dana.open("/settings")
    assert len(many) == len(few)


# Templates -------------------------------------------------------------------------------------------------------------


def test_a_template_shows_the_mail_it_makes(app: Flask, dana: Staff) -> None:
    page = dana.open("/templates/messages/new")
    assert "What the person will get" in page.words
    shown = page.press(
        "do=preview", name="", body="Dear {{ person.first_name }}, welcome.", workflow="client-request"
    )
    assert shown.status == 200
    assert "Dear Ada, welcome." in shown.words
    assert "Dana Reyes sent you a survey" in shown.words
    assert shown.errors() == []  # a name is asked for at Save
    wrong = shown.press("do=preview", body="One\nTwo {{ person.age }}")
    assert wrong.errors()[0].startswith("Line 2, character 8: there is no placeholder 'person.age'.")
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(MessageTemplate)) == 0


def test_what_the_firm_shares_only_some_may_change(app: Flask, dana: Staff) -> None:
    dana.open("/templates/messages/new").press("do=save", name="Ours", body="Hello.")
    sam = Staff.of(app, SAM)
    form = sam.open("/templates/messages/new")
    assert "Only you will see it" in form.words
    assert form.press("do=save", name="Mine", body="Hi.").path == "/templates"
    refused = form.press("do=save", name="Mine", body="Hi.", mine=None)
    assert refused.status == 422
    with app.app_context():
        rows = {row.name: row for row in db.session.scalars(sa.select(MessageTemplate))}
        assert rows["Ours"].owner_id is None
        assert rows["Mine"].owner_id is not None
        ours = rows["Ours"].id
    assert sam.open(f"/templates/messages/{ours}").status == 403
    assert sam.open("/templates/surveys/new").status == 403
    give(app, SAM, "templates")
    assert sam.open(f"/templates/messages/{ours}").press("do=save", body="Better.").path == "/templates"
