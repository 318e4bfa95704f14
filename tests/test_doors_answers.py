"""Headers, hosts, errors and the log."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from models import ApiToken, Base, db, unit_of_work
from tests.doors import open_doors, sign_in_as
from tests.support.world import World, make_world
from web.errors import field_errors
from web.redaction import install, redact, redact_event

pytestmark = pytest.mark.one_database


@pytest.fixture
def doors(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    yield from open_doors(backend, tmp_path, request)


@pytest.fixture
def world(doors: Flask) -> World:
    return make_world(doors)


def behind(request: pytest.FixtureRequest, tmp_path: Path, **settings: str) -> Iterator[Flask]:
    folder = tmp_path / "other"
    folder.mkdir()
    yield from open_doors("sqlite", folder, request, **settings)


@pytest.mark.parametrize(
    "path", ["/login", "/", "/portal/invite/good", "/nowhere", "/broken", "/refused", "/healthz"]
)
def test_every_answer_carries_the_headers(doors: Flask, path: str) -> None:
    headers = doors.test_client().get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    expected = "no-referrer" if path.startswith("/portal/invite/") else "same-origin"
    assert headers["Referrer-Policy"] == expected
    assert "Strict-Transport-Security" not in headers


def test_files_for_everybody_may_be_kept(doors: Flask) -> None:
    answer = doors.test_client().get("/static/portal.css")
    assert answer.status_code == 200
    assert "no-store" not in answer.headers.get("Cache-Control", "")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_https_is_insisted_on_where_the_address_says_so(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for app in behind(request, tmp_path, PORTAL_BASE_URL="https://portal.example.com"):
        answer = app.test_client().get("/login", base_url="https://portal.example.com")
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")


# Hosts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "localhost:8123", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_this_machine_is_answered_while_no_address_is_set(doors: Flask, host: str) -> None:
    assert doors.test_client().get("/login", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "localhost:abc",
        "a b",
        "[::1",
        "10.0.0.5",
    ],
)
def test_other_hosts_get_400(doors: Flask, host: str) -> None:
    client = doors.test_client()
    assert client.get("/login", headers={"Host": host}).status_code == 400
    problem = client.get("/api/v1/whoami", headers={"Host": host})
    assert problem.status_code == 400
    assert problem.get_json()["code"] == "unknown_host"
    assert client.get("/healthz", headers={"Host": host}).status_code == 200
    assert client.get("/readyz", headers={"Host": host}).status_code == 200


def test_only_the_own_address_is_answered_once_it_is_set(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for app in behind(request, tmp_path, PORTAL_BASE_URL="https://portal.example.com"):
        client = app.test_client()
        assert client.get("/login", headers={"Host": "portal.example.com"}).status_code == 200
        assert client.get("/login", headers={"Host": "localhost"}).status_code == 400
        spoofed = {"Host": "portal.example.com", "X-Forwarded-Host": "evil.example"}
        assert client.get("/login", headers=spoofed).status_code == 200, (
            "no proxy is trusted, so it isn't heard"
        )


def test_a_trusted_proxy_says_who_asks_and_how(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for app in behind(request, tmp_path, PORTAL_BASE_URL="https://portal.example.com", TRUSTED_PROXIES="1"):
        make_world(app)
        seen = {
            "X-Forwarded-Host": "portal.example.com",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-For": "192.0.2.9",
        }
        assert app.test_client().get("/login", headers={"Host": "inner:8000", **seen}).status_code == 200
        assert app.test_client().get("/login", headers={"Host": "inner:8000"}).status_code == 400


# Errors -------------------------------------------------------------------------------------------------------------


def test_a_missing_page_says_so_and_leads_home(doors: Flask, world: World) -> None:
    client = doors.test_client()
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "There is nothing here, or it isn&#39;t yours to see." in answer.text
    assert 'href="/login"' in answer.text
    sign_in_as(client, "dana@northwind.example")
    assert 'href="/"' in client.get("/nowhere").text


def test_a_wrong_method_names_the_right_ones(doors: Flask) -> None:
    answer = doors.test_client().post("/refused")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert answer.mimetype == "text/html"


def test_a_refusal_reads_as_its_sentence(doors: Flask) -> None:
    answer = doors.test_client().get("/refused")
    assert answer.status_code == 409
    assert "The item was cancelled a moment ago." in answer.text


def test_what_nobody_foresaw_is_logged_and_shown_as_a_reference(
    doors: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    answer = doors.test_client().get("/broken")
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert "secret detail" not in answer.text
    [record] = [record for record in caplog.records if "unexpected error" in record.getMessage()]
    reference = record.getMessage().split()[2]
    assert reference in answer.text
    assert "Traceback" in caplog.text


def test_the_error_page_stands_without_the_database(doors: Flask, world: World) -> None:
    client = doors.test_client()
    sign_in_as(client, "dana@northwind.example")
    with doors.app_context():
        Base.metadata.drop_all(db.engine)
    answer = client.get("/")
    assert answer.status_code == 503
    assert "We can&#39;t answer right now" in answer.text
    assert answer.headers["Retry-After"] == "30"
    assert client.get("/healthz").status_code == 200


def test_problems_of_the_api(doors: Flask, world: World, token: str) -> None:
    client = doors.test_client()
    call = {"Authorization": f"Bearer {token}"}
    problem = client.post("/api/v1/things", headers=call)
    assert problem.status_code == 422
    assert problem.content_type == "application/problem+json"
    assert problem.get_json() == {
        "type": "urn:portal-invites:problem:invalid", "title": "Please check the fields", "status": 422,
        "code": "invalid", "detail": "Some fields need another look.",
        "errors": {"recipients.0.email": ["Enter an e-mail address."]},
    }  # fmt: skip
    assert client.get("/api/v1/nothing", headers=call).get_json()["code"] == "not_found"
    assert "POST" in client.get("/api/v1/things", headers=call).headers["Allow"]
    broken = client.get("/api/v1/broken", headers=call)
    assert broken.status_code == 500
    assert broken.get_json()["code"] == "internal_error"
    assert broken.get_json()["reference"]
    anonymous = client.get("/api/v1/whoami")
    assert anonymous.status_code == 401
    assert anonymous.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.fixture
def token(doors: Flask, world: World) -> str:
    with doors.app_context(), unit_of_work():
        db.session.add(
            ApiToken(team_member_id=world.admin_id, token_hash=hashlib.sha256(b"the token").hexdigest())
        )
    return "the token"


def test_an_upload_over_the_limit_names_the_limit(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for app in behind(request, tmp_path, MAX_UPLOAD_MB="1"):
        answer = app.test_client().post("/remember", data={"word": "x" * 3_000_000})
        assert answer.status_code == 413
        assert "at most 1 MB" in answer.text


def test_marshmallows_messages_become_fields() -> None:
    nested = {"json": {"name": ["Missing."], "recipients": {0: {"email": ["Bad."]}}, "_schema": ["Odd."]}}
    assert field_errors(nested) == {"name": ["Missing."], "recipients.0.email": ["Bad."], "body": ["Odd."]}
    assert field_errors({"json": ["Invalid JSON body."]}) == {"body": ["Invalid JSON body."]}


# The log ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, clean",
    [
        ("GET /portal/invite/AbC-_123?item=01X HTTP/1.1", "GET /portal/invite/<redacted>?item=01X HTTP/1.1"),
        (
            "/login?next=%2Fportal%2Finvite%2FAbC-_123%3Fitem%3D1",
            "/login?next=%2Fportal%2Finvite%2F<redacted>",
        ),
        ("/portal/sign/abc/done", "/portal/sign/<redacted>/done"),
        ("https://x.example/reset/eyJh.b-c_d", "https://x.example/reset/<redacted>"),
        ("/x?token=abc&y=1", "/x?token=<redacted>&y=1"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer <redacted>"),
        ("/portal/items/01ABC", "/portal/items/01ABC"),
    ],
)
def test_tokens_are_redacted(text: str, clean: str) -> None:
    assert redact(text) == clean
    assert redact_event(None, "info", {"event": text, "count": 1}) == {"event": clean, "count": 1}


def test_structlogs_events_are_redacted_too(caplog: pytest.LogCaptureFixture) -> None:
    install()
    logging.getLogger("ours").warning({"event": "looked at", "path": "/portal/invite/SECRET", "count": 2})
    assert "SECRET" not in caplog.text
    assert "'count': 2" in caplog.text


def test_no_log_line_holds_a_token_whoever_writes_it(caplog: pytest.LogCaptureFixture) -> None:
    install()
    install()
    logging.getLogger("waitress.access").warning('"%s %s" %d', "GET", "/portal/invite/SECRET?item=1", 200)
    try:
        raise RuntimeError("no answer from /portal/sign/SECRET")
    except RuntimeError:
        logging.getLogger("some.library").exception("failed at /reset/SECRET")
    assert "SECRET" not in caplog.text
    assert caplog.text.count("<redacted>") == 4
    assert "Traceback" in caplog.text
