"""Reminders, the warning before the end, and what follows from an expiry: who got which mail, and nobody else."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
import time_machine as clock
from flask import Flask
from flask.testing import FlaskClient

import tasks
from invites import expiry, lifecycle, reminders
from invites.schedule import points
from mail import outbox
from models import Event, Firm, Invite, MailKind, Outbox, db, unit_of_work, utc_now
from models.database import statements
from models.errors import Invalid, InviteNotPending
from tests.portal import ADA, WILL, accept, invite, link, survey, view_of, words
from tests.staff import Staff
from tests.support.smtp import MailServer
from tests.support.world import World, make_client, make_world

DANA = "dana@northwind.example"
INVITED = "Northwind Tax: Dana Reyes invited you to the Client Portal"
REMINDED = "Reminder from Northwind Tax: Dana Reyes invited you to the Client Portal"
WARNED = "Northwind Tax: your invite works until"

pytestmark = pytest.mark.settings(RATE_LIMITS="false")

To = Callable[..., None]


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


@pytest.fixture
def day(app: Flask, time_machine: Any) -> To:
    """`day(3)`: the third day from now has come; the periodic jobs and the mail run, except with `jobs=False`."""
    begin = utc_now()

    def to(number: float, *, jobs: bool = True) -> None:
        time_machine.move_to(max(begin + timedelta(days=number), utc_now()), tick=True)
        with app.app_context():
            if jobs:
                tasks.send_reminders()
                tasks.note_expiries()
            tasks.send_mail()

    to(0)
    return to


def subjects(smtp: MailServer, address: str = ADA) -> list[str]:
    return [str(mail.message["Subject"]) for mail in smtp.to(address)]


def row(app: Flask, invite_id: str) -> Invite:
    with app.app_context():
        found = db.session.get_one(Invite, invite_id)
        db.session.expunge_all()
        return found


def events(app: Flask, name: str) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).where(Event.name == name)) or 0


def links_in(text: str) -> list[str]:
    found = [urlsplit(address) for address in re.findall(r"https?://\S+", text)]
    return [address._replace(scheme="", netloc="").geturl() for address in found]


def firm_with(app: Flask, world: World, **columns: Any) -> None:
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(Firm).where(Firm.id == world.firm_id).values(**columns))


# The schedule, without rows


def test_the_schedule_of_a_month() -> None:
    begin = datetime(2026, 3, 1, 9, tzinfo=UTC)
    found = [
        ((point.at - begin).days, point.kind)
        for point in points(begin, begin + timedelta(days=30), [3, 7, 14])
    ]
    assert found == [
        (3, MailKind.REMINDER),
        (7, MailKind.REMINDER),
        (14, MailKind.REMINDER),
        (27, MailKind.EXPIRY_WARNING),
    ]


@pytest.mark.parametrize(
    ("lives", "expected"),
    [
        (1, []),
        (3, []),
        (5, [(2, "expiry_warning"), (3, "reminder")]),
        (6, [(3, "expiry_warning")]),  # the reminder of that day gives way
        (10, [(3, "reminder"), (7, "expiry_warning")]),
        (17, [(3, "reminder"), (7, "reminder"), (14, "expiry_warning")]),
    ],
)
def test_a_reminder_never_comes_on_top_of_the_warning(lives: int, expected: list[tuple[int, str]]) -> None:
    begin = datetime(2026, 3, 1, 9, tzinfo=UTC)
    found = points(begin, begin + timedelta(days=lives), [3, 7, 14])
    assert [((point.at - begin).days, point.kind.value) for point in found] == expected


# Reminders


def test_reminders_on_day_3_7_and_14_then_the_warning_with_the_same_link(
    app: Flask, smtp: MailServer, world: World, byron: str, day: To
) -> None:
    item = survey(world, byron, ADA)
    for number in (0, 2, 3.1, 3.2, 4, 7.1, 8, 14.1, 20, 27.1, 27.5, 29):
        day(number)
    got = subjects(smtp)
    assert [text.split(":")[0] for text in got[1:4]] == ["Reminder from Northwind Tax"] * 3
    assert got[4].startswith(WARNED)
    assert len(got) == 5
    assert set(smtp.everyone()) == {ADA}
    first, *later = [links_in(mail.text) for mail in smtp.to(ADA)]
    assert all(found[0] == first[0] and found[0].endswith(f"?item={item}") for found in later)
    assert all(found[1] == first[0].split("?")[0] + "/reminders" for found in later)
    header = str(smtp.to(ADA)[1].message["List-Unsubscribe"])
    assert header.strip("<>").endswith(later[0][1])
    assert smtp.to(ADA)[0].message["List-Unsubscribe"] is None
    assert (events(app, "invite_reminded"), events(app, "invite_expiry_warned")) == (3, 1)
    assert accept(app.test_client(), app, first[0]).status_code == 200


def test_a_week_without_the_job_is_one_mail(smtp: MailServer, world: World, byron: str, day: To) -> None:
    invite(world, byron, ADA)
    day(0)
    for number in range(1, 8):
        day(number, jobs=False)
    day(8)
    day(8.1)
    day(13)
    assert subjects(smtp) == [INVITED, REMINDED]
    day(14.1)
    assert subjects(smtp) == [INVITED, REMINDED, REMINDED]


def test_after_a_long_outage_the_warning_alone(smtp: MailServer, world: World, byron: str, day: To) -> None:
    invite(world, byron, ADA)
    day(0)
    day(28)
    day(29)
    assert [text[: len(WARNED)] for text in subjects(smtp)] == [INVITED[: len(WARNED)], WARNED]


def test_a_catch_up_just_before_the_warning_is_the_warning(
    smtp: MailServer, world: World, byron: str, day: To
) -> None:
    invite(world, byron, ADA)
    day(0)
    day(26.5)  # reminders were missed, and the warning would follow in twelve hours
    for number in (27.1, 27.5, 28, 29):
        day(number)
    assert [text[: len(WARNED)] for text in subjects(smtp)] == [INVITED[: len(WARNED)], WARNED]


@pytest.mark.settings(REMINDER_DAYS="2")
def test_days_come_from_the_setting_and_the_firm_s_own_win(
    app: Flask, smtp: MailServer, world: World, byron: str, day: To
) -> None:
    other = make_world(app, "Alder Legal", "alder.example", reminder_days=[])
    third = make_world(app, "Oak Audit", "oak.example", reminder_days=[5])
    invite(world, byron, ADA)
    invite(other, make_client(other, "Byron"), "ada@other.example")
    invite(third, make_client(third, "Byron"), "ada@third.example")
    for number in (0, 2.1, 5.1, 10):
        day(number)
    assert len(smtp.to(ADA)) == 2
    assert len(smtp.to("ada@other.example")) == 1
    assert len(smtp.to("ada@third.example")) == 2


def test_a_firm_that_changes_its_days_catches_nothing_up(
    app: Flask, smtp: MailServer, world: World, byron: str, day: To
) -> None:
    firm_with(app, world, reminder_days=[])
    invite(world, byron, ADA)
    day(0)
    day(8)
    firm_with(app, world, reminder_days=[3, 7, 10])
    with app.app_context(), unit_of_work() as session:
        reminders.schedule_changed(session.get_one(Firm, world.firm_id))
    day(8.1)
    assert subjects(smtp) == [INVITED]
    day(10.1)
    assert subjects(smtp) == [INVITED, REMINDED]


@pytest.mark.parametrize("end", ["accept", "decline", "revoke", "stop", "switch"])
def test_they_stop_when_the_invite_ends_or_somebody_stops_them(
    app: Flask, smtp: MailServer, world: World, byron: str, day: To, end: str
) -> None:
    invite_id = invite(world, byron, ADA)
    path = link(app, ADA)
    day(0)
    day(3.1)
    smtp.clear()
    person = app.test_client()
    match end:
        case "accept":
            assert accept(person, app, path).status_code == 200
        case "decline":
            person.post(f"{path}/decline")
        case "stop":
            person.post(f"{path}/reminders")
        case _:
            with app.app_context(), unit_of_work() as session:
                found, member = session.get_one(Invite, invite_id), view_of(world).member
                if end == "revoke":
                    lifecycle.revoke(found, member)
                else:
                    reminders.switch(found, member, on=False)
    with app.app_context(), unit_of_work() as session:  # the code of accepting is none of these
        session.execute(sa.update(Outbox).where(Outbox.kind == "accept_code").values(state="sent"))
    for number in (7.1, 14.1, 27.1, 29):
        day(number)
    assert smtp.everyone() == []


def test_a_queued_reminder_is_not_sent_after_they_were_stopped(
    app: Flask, smtp: MailServer, world: World, byron: str, day: To
) -> None:
    invite(world, byron, ADA)
    day(0)
    day(3.1, jobs=False)
    with app.app_context():
        tasks.send_reminders()
    app.test_client().post(f"{link(app, ADA)}/reminders")
    with app.app_context():
        tasks.send_mail()
        last = db.session.scalars(sa.select(Outbox).order_by(Outbox.id.desc()).limit(1)).one()
        assert (last.kind, last.state, last.error) == (
            "reminder", "cancelled", "The reminders of this invite are switched off.",
        )  # fmt: skip
    assert subjects(smtp) == [INVITED]


def test_the_page_behind_the_link_asks_and_another_site_can_not_press(
    app: Flask, world: World, byron: str, client: FlaskClient
) -> None:
    invite_id = invite(world, byron, ADA)
    old = link(app, ADA)
    with app.app_context(), unit_of_work() as session:
        lifecycle.resend(session.get_one(Invite, invite_id), view_of(world).member, "sent you a new link")
    page = client.get(f"{old}/reminders")
    assert "Stop the reminders?" in words(page)
    assert ADA in words(page)
    assert "Byron Family" not in page.text
    assert "Set-Cookie" not in page.headers
    assert row(app, invite_id).reminds
    assert client.post(f"{old}/reminders", headers={"Origin": "https://evil.example"}).status_code == 403
    assert row(app, invite_id).reminds
    stopped = client.post(f"{old}/reminders", follow_redirects=True)
    assert "No more reminders" in words(stopped)
    again = client.post(f"{old}/reminders", follow_redirects=True)
    assert "No more reminders" in words(again)
    assert not row(app, invite_id).reminds
    assert events(app, "invite_reminders_stopped") == 1
    assert client.get("/portal/invite/" + "x" * 43 + "/reminders").status_code == 404
    assert accept(client, app, link(app, ADA)).status_code == 200


def test_no_reminder_to_an_address_that_refuses_mail(
    app: Flask, smtp: MailServer, world: World, byron: str, day: To
) -> None:
    smtp.at_rcpt = lambda address: "550 5.1.1 no such person"
    invite(world, byron, ADA)
    day(0)
    smtp.at_rcpt = None
    for number in (3.1, 7.1, 27.1):
        day(number)
    assert smtp.everyone() == []


def test_while_the_first_mail_waits_no_reminder_joins_it(
    app: Flask, smtp: MailServer, world: World, byron: str, day: To
) -> None:
    with app.app_context(), unit_of_work():
        outbox.hold()
    invite(world, byron, ADA)
    for number in (0, 3.1, 4):
        day(number)
    with app.app_context(), unit_of_work():
        outbox.release()
    day(4.05)
    assert subjects(smtp) == [INVITED]
    day(4.2)  # it is there now, and the reminder of day 3 follows once
    day(5)
    assert subjects(smtp) == [INVITED, REMINDED]


def test_staff_switch_them_off_and_on(
    app: Flask, world: World, byron: str, day: To, smtp: MailServer
) -> None:
    invite_id = invite(world, byron, ADA)
    day(0)
    dana = Staff.of(app)
    panel = f"/clients/{byron}"
    assert "switched off" in dana.open(_person(dana, panel)).press(action="/reminders/off").words
    day(3.1)
    assert subjects(smtp) == [INVITED]
    dana = Staff.of(app)
    assert "switched on" in dana.open(_person(dana, panel)).press(action="/reminders/on").words
    assert events(app, "invite_reminders_stopped") == events(app, "invite_reminders_started") == 1
    day(3.2)
    assert subjects(smtp) == [INVITED]  # what was missed while they were off is not caught up
    day(7.1)
    assert subjects(smtp) == [INVITED, REMINDED]
    with app.app_context():
        with unit_of_work() as session:
            lifecycle.revoke(session.get_one(Invite, invite_id), view_of(world).member)
        with pytest.raises(InviteNotPending), unit_of_work() as session:
            reminders.switch(session.get_one(Invite, invite_id), view_of(world).member, on=False)


def _person(dana: Staff, record: str) -> str:
    (found,) = {
        link.get("href")
        for link in dana.open(record).tree.xpath("//a[contains(@href, '/people/')]")
        if "Ada" in link.text_content()
    }
    return str(found)


def test_the_look_takes_a_fixed_number_of_statements(app: Flask, world: World, day: To) -> None:
    client_id = make_client(world, "Many")
    counted = []
    for many in (2, 12):
        for number in range(many):
            invite(world, client_id, f"p{many}-{number}@many.example")
        with app.app_context():
            with unit_of_work() as session:
                session.execute(sa.update(Outbox).values(state="sent"))
                session.execute(sa.update(Invite).values(last_asked_at=utc_now() - timedelta(days=3)))
                session.execute(sa.update(Invite).values(remind_at=utc_now(), reminded_until=None))
            with statements() as seen, unit_of_work():
                assert reminders.remind_due() >= many
            counted.append(len(seen))
            with unit_of_work() as session:
                session.execute(
                    sa.update(Invite).values(
                        expires_at=utc_now() - timedelta(minutes=1), expiry_noted_at=None
                    )
                )
            with statements() as seen, unit_of_work():
                assert expiry.note_expired() >= many
            counted.append(len(seen))
    assert counted[:2] == counted[2:]


def test_two_looks_at_once_make_one_mail(app: Flask, world: World, byron: str, day: To) -> None:
    invite(world, byron, ADA)
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(Outbox).values(state="sent"))
    with clock.travel(utc_now() + timedelta(days=3, minutes=5), tick=False), app.app_context():
        tasks.send_reminders()
        tasks.send_reminders()
        kinds = list(db.session.scalars(sa.select(Outbox.kind).order_by(Outbox.id)))
    assert kinds == [MailKind.INVITE, MailKind.REMINDER]


# Expiry


def test_an_expired_invite_is_noted_once_and_the_inviter_told_once(
    app: Flask, smtp: MailServer, world: World, byron: str, day: To
) -> None:
    firm_with(app, world, reminder_days=[], invite_days=1)
    invite(world, byron, ADA)
    invite(world, byron, WILL)
    day(0)
    smtp.clear()
    day(1.01)
    day(1.1)
    assert events(app, "invite_expired") == 2
    assert smtp.everyone() == [DANA]
    (mail,) = smtp.to(DANA)
    assert mail.message["Subject"] == "2 invites have expired"
    assert "Ada Byron, Byron Family:" in mail.text
    assert "William King, Byron Family:" in mail.text
    assert links_in(mail.text)[0].endswith("/invites/expired")


def test_one_digest_a_day_gathers_what_expired_since(
    app: Flask, smtp: MailServer, world: World, day: To
) -> None:
    firm_with(app, world, reminder_days=[], invite_days=1)
    client_id = make_client(world, "Many")
    for number in range(4):
        day(number / 4)
        invite(world, client_id, f"p{number}@many.example")
    for number in range(8, 24):
        day(number / 8 + 0.01)
    assert [str(mail.message["Subject"]) for mail in smtp.to(DANA)] == [
        "An invite has expired",
        "3 invites have expired",
    ]
    assert events(app, "invite_expired") == 4


def test_the_digest_leads_to_a_page_that_mends_with_one_press(
    app: Flask, smtp: MailServer, world: World, byron: str, day: To
) -> None:
    firm_with(app, world, reminder_days=[], invite_days=1)
    invite_id = invite(world, byron, ADA)
    day(0)
    day(1.1)
    assert "/login" in app.test_client().get("/invites/expired").location
    dana = Staff.of(app)
    page = dana.open("/invites/expired")
    assert "Ada Byron ada@byron.example Byron Family" in page.words
    done = page.press(action="/resend")
    assert done.path == "/invites/expired"
    assert "No invite of yours is expired." in done.words
    smtp.clear()
    day(1.2)
    assert smtp.everyone() == [ADA]
    assert row(app, invite_id).generation == 2
    assert Staff.of(app, "sam@northwind.example").open("/invites/expired").words.count("Ada") == 0
    day(2.3)  # and when the fresh one runs out too, that is news again
    assert events(app, "invite_expired") == 2
    assert subjects(smtp, DANA) == ["An invite has expired"]


def test_who_accepted_or_was_invited_again_is_no_news(
    app: Flask, smtp: MailServer, world: World, byron: str, day: To
) -> None:
    firm_with(app, world, reminder_days=[], invite_days=1)
    invite_id = invite(world, byron, ADA)
    day(0)
    day(1.1, jobs=False)
    with app.app_context():
        tasks.note_expiries()
        with unit_of_work() as session:
            lifecycle.resend(session.get_one(Invite, invite_id), view_of(world).member, "sent you a new link")
        tasks.send_mail()
        digest = db.session.scalars(sa.select(Outbox).where(Outbox.kind == MailKind.EXPIRY_DIGEST)).one()
        assert (digest.state, digest.error) == ("cancelled", "None of these invites is expired any more.")
    assert smtp.to(DANA) == []


def test_a_member_who_left_is_not_told(
    app: Flask, smtp: MailServer, world: World, byron: str, day: To
) -> None:
    firm_with(app, world, reminder_days=[], invite_days=1)
    invite(world, byron, ADA)
    day(0)
    with app.app_context(), unit_of_work() as session:
        view_of(world)
        session.get_one(type(world.member), world.admin_id).active = False
    day(1.1)
    assert smtp.to(DANA) == []
    assert events(app, "invite_expired") == 1


def test_expiry_needs_no_job(
    app: Flask, world: World, byron: str, client: FlaskClient, time_machine: Any
) -> None:
    invite_id = invite(world, byron, ADA)
    path = link(app, ADA)
    time_machine.move_to(utc_now() + timedelta(days=30, minutes=1), tick=True)
    assert "This invite has expired" in words(client.get(path))
    assert client.post(path, data={"name": "Ada", "password": "violet harbour seventeen"}).status_code == 409
    assert "Invite expired" in Staff.of(app).open(f"/clients/{byron}").words
    with app.app_context():
        tasks.send_mail()
        assert [mail.state for mail in db.session.scalars(sa.select(Outbox))] == ["cancelled"]
    assert row(app, invite_id).expiry_noted_at is None


# Extend


def test_extending_lets_the_same_link_work_longer(
    app: Flask, smtp: MailServer, world: World, byron: str, day: To
) -> None:
    firm_with(app, world, reminder_days=[], invite_days=2)
    invite_id = invite(world, byron, ADA)
    path = link(app, ADA)
    day(0)
    day(2.1)
    assert "This invite has expired" in words(app.test_client().get(path))
    with app.app_context(), unit_of_work() as session:
        lifecycle.extend(session.get_one(Invite, invite_id), 10, view_of(world).member)
    after = row(app, invite_id)
    assert timedelta(days=9, hours=23) < after.expires_at - utc_now() <= timedelta(days=10)
    assert after.generation == 1
    smtp.clear()
    day(9)
    day(9.2)
    assert [text[: len(WARNED)] for text in subjects(smtp)] == [WARNED]  # of the new end
    day(13)
    assert events(app, "invite_expired") == 2
    assert "This invite has expired" in words(app.test_client().get(path))


def test_extending_never_shortens_and_refuses_what_is_no_number_of_days(
    app: Flask, world: World, byron: str
) -> None:
    invite_id = invite(world, byron, ADA)
    before = row(app, invite_id).expires_at
    with app.app_context():
        with unit_of_work() as session:
            lifecycle.extend(session.get_one(Invite, invite_id), 1, view_of(world).member)
        for days in (0, 91):
            with pytest.raises(Invalid), unit_of_work() as session:
                lifecycle.extend(session.get_one(Invite, invite_id), days, view_of(world).member)
        with unit_of_work() as session:
            lifecycle.revoke(session.get_one(Invite, invite_id), view_of(world).member)
        with pytest.raises(InviteNotPending), unit_of_work() as session:
            lifecycle.extend(session.get_one(Invite, invite_id), 5, view_of(world).member)
    assert row(app, invite_id).expires_at == before


@pytest.mark.one_database  # SQLite's planner; PostgreSQL's scans a table of one row
def test_the_look_uses_its_index(app: Flask, world: World, byron: str) -> None:
    invite(world, byron, ADA)
    with app.app_context():
        with statements() as seen, unit_of_work():
            reminders.remind_due()
            expiry.note_expired()
        for statement in seen:
            if "remind_at <=" in statement or "expiry_noted_at IS NULL" in statement:
                plan = db.session.connection().exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {statement}", _blanks(statement)
                )
                text = " ".join(str(line) for line in plan)
                assert "ix_invite_remind" in text or "ix_invite_expiry" in text, text


def _blanks(statement: str) -> tuple[Any, ...]:
    return tuple("pending" for _ in range(statement.count("?")))
