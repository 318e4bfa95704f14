"""While mail does not leave, staff read one calm line; who may change the settings reads why."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask import Flask

from mail import outbox
from models import unit_of_work
from tests.staff import Staff
from tests.support.world import make_client, make_world

pytestmark = [pytest.mark.one_database]

CALM = "Waiting for the mail server. Nothing is lost"


def test_the_line_says_what_each_can_use_and_goes_when_mail_flows_again(app: Flask) -> None:
    world = make_world(app)
    byron = make_client(world, "Byron Family", ("Ada Byron", "ada@byron.example"))
    paths = ("/", f"/clients/{byron}", "/portals", "/settings")
    dana, sam = Staff.of(app), Staff.of(app, "sam@northwind.example")
    assert not any("mail server" in dana.open(path).words for path in paths[:3])
    with app.app_context(), unit_of_work():
        outbox.pause_relay("Connection refused", datetime(2026, 11, 23, 9, 10, tzinfo=UTC))
    for path in paths:
        assert CALM in sam.open(path).words
        assert "refused" not in sam.open(path).words
        assert "Nov 2026" in dana.open(path).words
        assert "Connection refused. It is asked again every minute." in dana.open(path).words
    sent = dana.open(f"/clients/{byron}/invite").press("do=send", "/invite")
    assert "Invite sent Waiting for the mail server" in sent.words
    with app.app_context(), unit_of_work():
        outbox.resume_relay()
    assert "mail server" not in dana.open("/").words
    with app.app_context(), unit_of_work():
        outbox.hold()
    assert "Mail is held until the operator releases it." in sam.open("/").words
