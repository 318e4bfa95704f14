"""The signed address for delivery reports: who may call, what becomes of the mails, and that nobody else gets in."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mail import outbox
from models import Contact, Event, Invite, LoginSession, MailState, Outbox, db, unit_of_work
from tests.doors import sign_in_as
from tests.support.bounce_samples import SAMPLES
from tests.support.post import invite_mail, make_invite
from tests.support.world import World, make_world
from web.reports import BytesWebhook

KEY = base64.b64encode(b"k" * 32).decode()
SECRET = f"whsec_{KEY}"
PATH = "/hooks/mail-reports"
CHARLES = "charles@engine-works.example"

pytestmark = [pytest.mark.one_database, pytest.mark.settings(BOUNCE_SECRET=SECRET)]


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


def sent(world: World, address: str = CHARLES) -> str:
    """The Message-ID of an invite's mail that was sent."""
    invite_id = make_invite(world, address)
    with world.app.app_context(), unit_of_work():
        row = outbox.enqueue(**invite_mail(db.session.get_one(Invite, invite_id)))
        row.state = MailState.SENT
        return row.message_id


def post(
    client: FlaskClient,
    body: bytes,
    kind: str = "message/rfc822",
    *,
    secret: str = SECRET,
    at: float | None = None,
    **headers: str,
) -> TestResponse:
    """A call signed by the Standard Webhooks spec."""
    moment = datetime.fromtimestamp(at or time.time(), UTC)
    signature = BytesWebhook(secret).sign("msg_1", moment, body.decode("latin-1"))
    signed = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }
    return client.post(PATH, data=body, content_type=kind, headers=signed | headers)


def state(app: Flask) -> str:
    with app.app_context():
        return db.session.scalars(sa.select(Outbox.state).order_by(Outbox.id)).first().value


def test_a_signed_report_counts(app: Flask, world: World, client: FlaskClient) -> None:
    answer = post(client, SAMPLES["gmail"].raw(sent(world), CHARLES))
    assert (answer.status_code, answer.json) == (200, {"results": [{"outcome": "bounced"}]})
    assert state(app) == "bounced"
    assert "Set-Cookie" not in answer.headers
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(LoginSession)) == 0


def test_a_mail_need_not_be_utf_8(app: Flask, world: World, client: FlaskClient) -> None:
    raw = SAMPLES["postfix"].raw(sent(world), CHARLES).replace(b"I'm sorry", b"\xff\xfe\x80 sorry")
    assert post(client, raw).json == {"results": [{"outcome": "bounced"}]}


def test_a_list_as_json(app: Flask, world: World, client: FlaskClient) -> None:
    first, second = sent(world), sent(world, "ada@x.example")
    mails: list[Any] = [
        SAMPLES["postfix"].raw(first, CHARLES).decode(),
        {"base64": base64.b64encode(SAMPLES["arf"].raw(second, "ada@x.example")).decode()},
        "nothing of the kind",
        SAMPLES["qmail"].raw(first, CHARLES).decode(),
    ]
    answer = post(client, json.dumps(mails).encode(), "application/json")
    outcomes = [result["outcome"] for result in answer.json["results"]]
    assert outcomes == ["bounced", "bounced", "unknown", "repeated"]


def test_the_same_call_again_changes_nothing(app: Flask, world: World, client: FlaskClient) -> None:
    raw, now = SAMPLES["postfix"].raw(sent(world), CHARLES), time.time()
    assert post(client, raw, at=now).json == {"results": [{"outcome": "bounced"}]}
    assert post(client, raw, at=now).json == {"results": [{"outcome": "repeated"}]}
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Event)) == 1


OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": OTHER},
        {"at": time.time() - 400},
        {"at": time.time() + 4000},
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e400"},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,a,b"},
        {"webhook-signature": "v1,***"},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,\xe9"},
    ],
)
def test_a_wrong_signature_is_refused(
    app: Flask, world: World, client: FlaskClient, wrong: dict[str, Any]
) -> None:
    answer = post(client, SAMPLES["postfix"].raw(sent(world), CHARLES), **wrong)
    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.json["code"] == "unauthorized"
    assert state(app) == "sent"


def test_an_unsigned_call_is_refused_whoever_is_signed_in(world: World, client: FlaskClient) -> None:
    for headers in (
        {},
        {"Authorization": f"Bearer {KEY}"},
        {"Cookie": "session=x"},
        {"Origin": "http://localhost"},
    ):
        assert client.post(PATH, data=b"x", content_type="message/rfc822", headers=headers).status_code == 401
    assert client.get(PATH).status_code == 405


def test_other_bytes_than_the_signed_ones_are_refused(app: Flask, world: World, client: FlaskClient) -> None:
    now = datetime.now(UTC)
    signature = BytesWebhook(SECRET).sign("msg_1", now, "something else")
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    raw = SAMPLES["postfix"].raw(sent(world), CHARLES)
    assert client.post(PATH, data=raw, content_type="message/rfc822", headers=headers).status_code == 401
    assert state(app) == "sent"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"a" * (1024 * 1024 + 1), "message/rfc822", 413),
        (b"<x/>", "text/xml", 415),
        (b"{", "application/json", 400),
        (b"{}", "application/json", 422),
        (b"[]", "application/json", 422),
        (b"[1]", "application/json", 422),
        (b'[{"base64": "***"}]', "application/json", 422),
        (json.dumps(["x"] * 101).encode(), "application/json", 422),
        (b'["\\ud800"]', "application/json", 200),
        (b"", "message/rfc822", 200),
    ],
)
def test_what_can_t_be_taken_says_so(client: FlaskClient, body: bytes, kind: str, status: int) -> None:
    answer = post(client, body, kind)
    assert answer.status_code == status
    assert answer.mimetype == ("application/json" if status == 200 else "application/problem+json")


@pytest.mark.settings(BOUNCE_SECRET="")
def test_without_a_secret_there_is_no_such_address(client: FlaskClient) -> None:
    assert post(client, b"x").status_code == 404
    assert client.post(PATH).status_code == 404


def test_the_signature_is_the_one_of_the_spec() -> None:
    """The example of the Standard Webhooks specification's own library tests."""
    webhook = BytesWebhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    moment = datetime.fromtimestamp(1614265330, UTC)
    assert (
        webhook.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", moment, '{"test": 2432232314}')
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_the_record_shows_the_bounce_as_text_and_offers_the_way_out(
    app: Flask, world: World, client: FlaskClient
) -> None:
    raw = (
        SAMPLES["postfix"].raw(sent(world), CHARLES)
        .replace(b"550 5.1.1 <charles@engine-works.example>: Recipient", b"550 5.1.1 <script>alert(1)</script>")
    )  # fmt: skip
    assert post(client, raw).json == {"results": [{"outcome": "bounced"}]}
    with app.app_context():
        contact = db.session.scalars(sa.select(Contact)).one()
        path = f"/clients/{contact.client_id}/people/{contact.id}"
    dana = app.test_client()
    assert sign_in_as(dana, "dana@northwind.example").status_code == 302
    page = dana.get(path).text
    assert "Mail bounced" in page
    assert "There is no such mailbox." in page
    assert "Change address" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
