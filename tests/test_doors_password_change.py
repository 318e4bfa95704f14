"""A password changed in User settings ends what was opened with the old one."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

import config
from mail.sealed import unseal
from models import Outbox, db
from tests.doors import cookie_of, sign_in_as, token_in
from tests.support.world import PASSWORD, give_access, make_client, make_world

NINA = "nina@clients.example"
NEW_PASSWORD = "violet harbour seventeen"


@pytest.mark.settings(RATE_LIMITS="false")
def test_other_sessions_and_older_reset_links_end_and_this_browser_stays(app: Flask) -> None:
    world = make_world(app)
    give_access(world, make_client(world, "Byron Family", ("Nina", NINA)), NINA, "Nina")
    stranger = app.test_client()
    stranger.post("/reset", data={"email": NINA, "csrf_token": token_in(stranger.get("/reset"))})
    with app.app_context():
        sealed = db.session.scalars(sa.select(Outbox.params).where(Outbox.to_email == NINA)).one()["sealed"]
        link = unseal(config.current(), sealed)["button"][1].removeprefix("http://localhost:8000")

    here, there = app.test_client(), app.test_client()
    sign_in_as(here, NINA)
    sign_in_as(there, NINA)
    before = cookie_of(here)
    answer = here.post(
        "/portal/settings/password",
        data={
            "current_password": PASSWORD,
            "new_password": NEW_PASSWORD,
            "csrf_token": token_in(here.get("/portal/settings")),
        },
    )
    assert answer.status_code == 303
    assert here.get("/portal/settings").status_code == 200
    assert cookie_of(here) != before
    assert there.get("/portal/settings").status_code == 302
    assert app.test_client().get(link).location == "/reset"
    assert sign_in_as(app.test_client(), NINA, PASSWORD).status_code == 200
    assert sign_in_as(app.test_client(), NINA, NEW_PASSWORD).location == "/portal/"
