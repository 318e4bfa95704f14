"""A person's story on the panel: every mail with its delivery, and what happened, newest first."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from invites.scope import FirmView
from invites.timeline import timeline
from models import Contact, Invite, MailState, Outbox, PortalAccess, TeamMember, db, unit_of_work, utc_now
from models.database import statements
from tests.portal import accept, file, invite, link
from tests.staff import Shown, Staff
from tests.support.world import World, give_access, make_client, make_world
from web.staff.activity import story_lines

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


def panel(app: Flask, dana: Staff, client_id: str, email: str) -> Shown:
    with app.app_context():
        key = db.session.scalars(sa.select(Contact.id).where(Contact.email == email)).one()
    return dana.open(f"/clients/{client_id}/people/{key}")


def story(shown: Shown) -> list[str]:
    return [
        " ".join(one.text_content().split())
        for one in shown.tree.xpath("//ol[@class='story']//*[@class='what']")
    ]


def test_from_invite_to_removal(app: Flask, dana: Staff, world: World, byron: str) -> None:
    assert "Nothing yet." in panel(app, dana, byron, ADA).words
    invite_id = invite(world, byron, ADA)
    with app.app_context(), unit_of_work():
        db.session.execute(sa.update(Outbox).values(state=MailState.BOUNCED, error="mailbox full"))
    dana.open(f"/clients/{byron}/people/{_key(app, ADA)}").press(action=f"/invites/{invite_id}/resend")
    accept(app.test_client(), app, link(app, ADA))
    with app.app_context():
        access_id = db.session.scalars(sa.select(PortalAccess.id)).one()
    dana.open(f"/access/{access_id}/remove").press(action="/remove")
    told = story(panel(app, dana, byron, ADA))
    assert told == [
        "Dana Reyes removed Ada Byron's access",
        "Ada Byron signed in",
        "Ada Byron accepted the invite",
        "Six-digit code: Mail on its way",
        "Invite: Mail on its way",
        "Dana Reyes sent Ada Byron a fresh link",
        "Invite: Mail bounced: mailbox full",
        "Dana Reyes invited Ada Byron",
    ]


def test_only_this_person_and_this_client(app: Flask, dana: Staff, world: World, byron: str) -> None:
    other = make_client(world, "Ada's Company", ("Ada", ADA))
    invite(world, other, ADA)
    invite(world, byron, WILL)
    assert story(panel(app, dana, byron, WILL)) == [
        "Invite: Mail on its way",
        "Dana Reyes invited William King",
    ]
    with app.app_context():
        mine = db.session.scalars(
            sa.select(Contact.id).where(Contact.email == ADA, Contact.client_id == byron)
        ).one()
    assert story(dana.open(f"/clients/{byron}/people/{mine}")) == []


def test_the_same_number_of_queries_however_long_the_story(app: Flask, world: World, byron: str) -> None:
    access_id = give_access(world, byron, ADA)
    file(world, byron, ADA)

    def count() -> tuple[int, int]:
        with app.app_context():
            view = FirmView(db.session.get_one(TeamMember, world.admin_id))
            client, access = view.client(byron), view.access(access_id)
            with statements() as seen:
                lines = story_lines(timeline(client, ADA, access))
            return len(seen), len(lines)

    few, short = count()
    for number in range(8):
        file(world, byron, ADA, name=f"{number}.pdf")
    with app.app_context(), unit_of_work() as session:
        for number in range(200):
            session.add(
                Outbox(
                    kind="item",
                    firm_id=world.firm_id,
                    to_email=ADA,
                    access_id=access_id,
                    message_id=str(number),
                )
            )
    many, long = count()
    assert many == few <= 10
    assert short < long == 60


def test_the_links_of_the_panel(app: Flask, dana: Staff, world: World, byron: str) -> None:
    give_access(world, byron, ADA, last_login_at=utc_now())
    shown = panel(app, dana, byron, ADA)
    links = {
        one.text_content(): one.get("href") for one in shown.tree.xpath("//ul[@class='plain-list mt-3']//a")
    }
    assert list(links) == ["Why can't they see it?", "Why can't they sign in?", "View Client Portal"]
    for address in links.values():
        assert dana.open(address).status == 200
    record = dana.open(f"/clients/{byron}")
    rows = record.tree.xpath("//section[@id='client-portal']//li//a")
    assert all(row.get("data-opens-dialog") is not None for row in rows)
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Invite)) == 0


def _key(app: Flask, email: str) -> str:
    with app.app_context():
        return db.session.scalars(sa.select(Contact.id).where(Contact.email == email)).one()
