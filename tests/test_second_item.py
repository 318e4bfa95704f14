"""What several invites and items of one person promise together: whose link leads where, and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from lxml import html

from invites.lifecycle import resend
from mail import render, words
from mail.words import FirmFacts
from models import ApiToken, Firm, Invite, db, unit_of_work, utc_now
from models.api_token import hash_of_token
from tests import portal
from tests.portal import ADA, WILL, accept, link, survey, view_of
from tests.staff import Staff
from tests.support.world import World, give_access, mails, make_client, make_world

pytestmark = pytest.mark.settings(RATE_LIMITS="false")


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(
        world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL), ("Annabella Milbanke", None)
    )


def test_each_mail_lands_on_its_item_and_to_do_lists_the_rest(app: Flask, world: World, byron: str) -> None:
    first = survey(world, byron, ADA, title="Organizer")
    second = survey(world, byron, ADA, title="Estimates")
    assert mails(app) == [(ADA, "invite", "queued")] * 2
    to_first, to_second = link(app, ADA, first), link(app, ADA, second)
    assert to_first.partition("?")[0] == to_second.partition("?")[0]  # one invite, one live link
    ada = app.test_client()
    landed = accept(ada, app, to_first, follow=False)
    assert landed.location == f"/portal/items/{first}"
    to_do = portal.words(ada.get("/portal/todo"))
    assert "Organizer" in to_do
    assert "Estimates" in to_do
    assert ada.get(to_second).location == f"/portal/items/{second}"  # the other mail stays of use

    survey(world, byron, WILL)
    survey(world, byron, WILL)
    older = link(app, WILL)
    with app.app_context(), unit_of_work() as session:
        row = session.scalars(sa.select(Invite).where(Invite.email == WILL)).unique().one()
        assert row.generation == 1
        resend(row, view_of(world).member, "sent you a new link")
    assert link(app, WILL) != older
    assert "A newer mail was sent" in portal.words(app.test_client().get(older))


@pytest.mark.one_database
def test_the_window_says_who_sees_it_now_later_or_not_at_all(app: Flask, world: World, byron: str) -> None:
    give_access(world, byron, ADA)
    form = Staff.of(app).open(f"/clients/{byron}/send/client-request")
    said = form.press("do=people", title="Organizer").words
    assert "Ada Byron sees it now. William King sees it after accepting." in said
    assert "Not: Annabella Milbanke (no e-mail)." in said


@pytest.mark.one_database
def test_no_page_of_staff_offers_a_link_to_copy(app: Flask, world: World, byron: str) -> None:
    item_id = survey(world, byron, WILL)
    token = link(app, WILL).rpartition("/")[2]
    with app.app_context():
        invite_id = db.session.scalar(sa.select(Invite.id))
    dana = Staff.of(app)
    for path in (
        f"/clients/{byron}", f"/clients/{byron}/activity", f"/clients/{byron}/people/{invite_id}", "/portals", "/",
        f"/items/{item_id}", f"/clients/{byron}/invite",
    ):  # fmt: skip
        page = dana.open(path)
        assert page.status == 200, path
        assert token not in page.answer.text
        assert "copy link" not in page.answer.text.lower()


@pytest.mark.one_database
def test_an_invite_has_one_button() -> None:
    mail = render.render(
        "invite",
        words.invite_values(
            FirmFacts("Northwind Tax", "+1 555 0100"), sender="Dana Reyes", what="sent you a survey", name="Ada",
            address=ADA, client="Byron Family", item=None, message="", expires_at=utc_now(),
            link="https://portal.example.com/portal/invite/key",
        ),
    )  # fmt: skip
    anchors = [" ".join(one.text_content().split()) for one in html.fromstring(mail.html).iter("a")]
    assert anchors.count("Open the Client Portal") == 1
    assert [one for one in anchors if one not in {"Open the Client Portal", "Tell us"}] == []


@pytest.mark.one_database
def test_a_link_lives_one_to_ninety_days(app: Flask, world: World, byron: str) -> None:
    """For each invite as the API says it, else as the firm's settings do."""
    with app.app_context(), unit_of_work() as session:
        session.get_one(Firm, world.firm_id).invite_days = 45
        session.add(ApiToken(team_member_id=world.admin_id, name="t", token_hash=hash_of_token("ours")))
    browser = app.test_client()
    for days in (0, 91, 1, 90, None):
        sent = browser.post(
            f"/api/v1/clients/{byron}/invites",
            json={"recipients": [{"email": f"days{days}@x.example"}], "expires_in_days": days},
            headers={"Authorization": "Bearer ours"},
        )
        if days in (0, 91):
            assert sent.status_code == 422
            assert sent.get_json()["errors"] == {"expires_in_days": ["Choose 1 to 90 days."]}
    with app.app_context():
        rows = db.session.scalars(sa.select(Invite)).unique().all()
        lives = {row.email: row.expires_at - row.created_at for row in rows}
    assert {email: round(span / timedelta(days=1)) for email, span in lives.items()} == {
        "days1@x.example": 1, "days90@x.example": 90, "daysnone@x.example": 45,
    }  # fmt: skip
