"""Staff's home: each line of Waiting on clients has the one action that moves it on; Remind asks once a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from invites import access_until, nudge
from models import Event, Invite, InviteState, MailState, Outbox, Scope, WorkItem, db, unit_of_work, utc_now
from models.errors import WrongState
from tests.portal import ADA, OUTSIDER, WILL, esign, file, invite, survey, view_of
from tests.staff import Staff
from tests.support.world import World, give_access, mails, make_client, make_world

pytestmark = pytest.mark.settings(RATE_LIMITS="false")


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


def forget_mails(app: Flask) -> None:
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.delete(Outbox))


def remind(world: World, item_id: str) -> nudge.Reminded:
    with world.app.app_context(), unit_of_work() as session:
        view = view_of(world)
        return nudge.remind(view, session.get_one(WorkItem, item_id))


def aged(app: Flask, item_id: str, days: int = 3, **columns: Any) -> None:
    with app.app_context(), unit_of_work() as session:
        values = {"sent_at": utc_now() - timedelta(days=days), **columns}
        session.execute(sa.update(WorkItem).where(WorkItem.id == item_id).values(values))


def test_remind_reaches_whom_it_waits_for_and_once_a_day(
    app: Flask, world: World, byron: str, time_machine: Any
) -> None:
    time_machine.move_to(datetime(2030, 5, 6, 12, tzinfo=UTC), tick=True)
    give_access(world, byron, ADA)
    item_id = survey(world, byron, WILL)
    narrow = give_access(world, byron, OUTSIDER, "Eve", scope=Scope.ITEMS)
    invite(world, byron, "gone@byron.example")
    forget_mails(app)
    with app.app_context(), unit_of_work() as session:
        gone = session.scalars(sa.select(Invite).where(Invite.email == "gone@byron.example")).unique().one()
        before = {row.email: row.generation for row in session.scalars(sa.select(Invite)).unique()}
        session.add(
            Outbox(
                id="0" * 26, firm_id=world.firm_id, kind="invite", to_email=gone.email, invite_id=gone.id,
                generation=1, state=MailState.BOUNCED, due_at=utc_now(), message_id="<x@y>",
            )
        )  # fmt: skip
    found = remind(world, item_id)
    assert set(found.now) == {
        "Ada Byron",
        "William King",
    }  # not the outsider, and not an address that bounces
    assert found.sentence == "Ada Byron and William King are reminded."
    sent = [mail for mail in mails(app) if mail[2] == "queued"]
    assert sent == [(ADA, "item", "queued"), (WILL, "invite", "queued")]
    with app.app_context():
        will = db.session.scalars(sa.select(Invite).where(Invite.email == WILL)).unique().one()
        assert will.generation == before[WILL] + 1
        item_mail = db.session.scalars(sa.select(Outbox).where(Outbox.to_email == ADA)).one()
        assert item_mail.due_at <= utc_now()  # not gathered: somebody pressed a button for it
        told = db.session.scalars(sa.select(Event).where(Event.name == "item_reminded")).all()
        assert {(row.access_id is None, row.invite_id is None) for row in told} == {
            (True, False),
            (False, True),
        }
    again = remind(world, item_id)
    assert again.now == ()
    assert again.sentence == "Ada Byron and William King were reminded within the last day already."
    time_machine.move_to(datetime(2030, 5, 7, 12, 0, 30, tzinfo=UTC), tick=True)
    with app.app_context(), unit_of_work() as session:
        access_until.of_access(
            view_of(world).access(narrow), utc_now().date() + timedelta(days=1), view_of(world).member
        )
    assert set(remind(world, item_id).now) == {"Ada Byron", "William King"}


def test_of_signers_those_whose_turn_it_is(app: Flask, world: World, byron: str) -> None:
    for email, name in ((ADA, "Ada Byron"), (WILL, "William King")):
        give_access(world, byron, email, name)
    item_id = esign(world, byron, ("Ada Byron", ADA), ("William King", WILL), ordered=True)
    assert remind(world, item_id).now == ("Ada Byron",)
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(WorkItem).values(open=False))
    with pytest.raises(WrongState, match="nothing to remind of"):
        remind(world, item_id)


@pytest.mark.one_database
def test_every_kind_has_one_fitting_action(app: Flask, world: World, byron: str) -> None:
    give_access(world, byron, ADA)
    unopened = survey(world, byron, title="Unopened")
    overdue = survey(world, byron, title="Overdue")
    king = make_client(world, "King Ltd", ("Kim King", "kim@king.example"))
    nobody = survey(world, king, title="Nobody there")
    aged(app, unopened)
    aged(app, overdue, due_on=(utc_now() - timedelta(days=2)).date())
    aged(app, nobody)
    sent = {
        name: invite(world, king, f"{name}@king.example")
        for name in ("bounced", "expired", "declined", "over")
    }
    with app.app_context(), unit_of_work() as session:
        rows = {name: session.get_one(Invite, invite_id) for name, invite_id in sent.items()}
        for name in ("expired", "over"):
            rows[name].expires_at = utc_now() - timedelta(hours=1)
        rows["over"].access_ends_at = rows["over"].expires_at
        rows["declined"].state, rows["declined"].ended_at = InviteState.DECLINED, utc_now()
        session.execute(sa.update(Outbox).where(Outbox.invite_id == sent["bounced"]).values(state="bounced"))
    with app.app_context(), unit_of_work() as session:  # the item of the unreachable one is for chosen people
        session.execute(sa.update(WorkItem).where(WorkItem.id == nobody).values(audience="people"))
    dana = Staff.of(app)
    home = dana.open("/")
    offered = {
        " ".join(line.xpath(".//*[contains(@class, 'strong')]")[0].text_content().split()): [
            " ".join(one.xpath("string()").split()) for one in line.xpath("./form//button | ./a")
        ]
        for line in home.tree.xpath("//li[contains(@class, 'waiting')]")
    }
    titles = {"Unopened (survey)", "Overdue (survey)"}
    assert {title: len(actions) for title, actions in offered.items()} == dict.fromkeys(offered, 1)
    assert {title: offered[title][0].split()[0] for title in titles} == dict.fromkeys(titles, "Remind")
    assert offered["Nobody there (survey)"] == ["Invite people Nobody there (survey)"]
    assert offered["bounced@king.example"] == ["Change address bounced@king.example"]
    assert offered["expired@king.example"] == ["Resend invite expired@king.example"]
    assert offered["over@king.example"] == ["Change the date over@king.example"]
    assert offered["declined@king.example"] == ["Invite again declined@king.example"]
    done = home.press(action=f"/items/{unopened}/remind")
    assert done.path == "/"
    assert "Ada Byron is reminded." in done.words
    assert "· reminded" in done.words
    assert not done.tree.xpath(f"//form[contains(@action, '{unopened}/remind')]")  # said in words instead
    resent = dana.open("/").press(action=f"/invites/{sent['expired']}/resend")
    assert resent.path == "/"  # one stays where one was
    assert file(world, king)


@pytest.mark.one_database
def test_the_way_back_leads_to_where_one_came_from(app: Flask, world: World, byron: str) -> None:
    invite_id = invite(world, byron, ADA)
    dana = Staff.of(app)
    listed = dana.open("/portals?show=invited")
    (panel,) = listed.tree.xpath("//td[contains(@class, 'who')]/a/@href")
    shown = dana.open(panel)
    (change,) = shown.tree.xpath("//a[normalize-space()='Change address']/@href")
    form = dana.open(change)
    assert form.tree.xpath("//a[normalize-space()='Cancel']/@href") == ["/portals?show=invited"]
    assert form.press(email="not an address").status == 422
    done = form.press(email="ada@new-home.example")
    assert done.path == "/portals?show=invited"
    assert "ada@new-home.example" in done.words
    from_record = dana.open(f"/invites/{invite_id}/access-until")
    assert from_record.status == 409  # revoked by the change
    hostile = dana.open(f"{change.split('?')[0]}?back=https://evil.example/")
    assert "evil.example" not in hostile.answer.text
