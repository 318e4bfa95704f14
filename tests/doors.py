"""A small application behind the real doors, with one page of each kind. For the tests of the doors alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, request, session
from flask.testing import FlaskClient
from flask_bootstrap import Bootstrap5
from werkzeug.test import TestResponse

import background
import config
from models import Login, db
from models.database import init_database
from models.errors import Invalid, Refused
from tests.support.quick import quick
from tests.support.tables import create_tables
from tests.support.world import PASSWORD
from web import doors, health, language, look
from web.access_rules import admin_page, api_call, permission, portal_page, public_page, staff_page
from web.limits import check, hit, miss
from web.security import sign_in, sign_out
from web.who import current_login, current_member

HOME = Path(__file__).parent.parent


def open_doors(backend: str, folder: Path, request: pytest.FixtureRequest, **more: Any) -> Iterator[Flask]:
    """The test application on an empty database of the kind `backend`, for a fixture."""
    settings = {"PORTAL_DATA_DIR": folder, "PORTAL_TESTING": "true", "SECRET_KEY": "a key for tests"} | more
    if backend == "sqlite":
        app = quick(make_doors(settings))
    else:
        cluster = request.getfixturevalue("cluster")
        name = f"doors_{cluster.worker}"
        app = quick(make_doors(settings | {"DATABASE_URL": cluster.create(name)}))
    yield app
    with app.app_context():
        db.engine.dispose()
    if backend != "sqlite":
        cluster.drop(name)


def make_doors(settings: Mapping[str, Any]) -> Flask:
    """The doors on a database of their own, around test pages."""
    app = Flask("doors", root_path=str(HOME), template_folder="templates", static_folder="static")
    app.config["PORTAL"] = config.load(settings)
    app.config["TESTING"] = True
    init_database(app, app.config["PORTAL"].database_url)
    background.init_app(app)
    doors.init_app(app, _add_pages)
    with app.app_context():
        create_tables(db.engine)
    return app


def _add_pages(app: Flask) -> None:
    app.config["BOOTSTRAP_SERVE_LOCAL"] = True
    Bootstrap5(app)
    health.init_app(app)
    language.init_app(app)
    look.init_app(app)

    @app.get("/")
    @staff_page
    def start() -> str:
        return f"staff of {current_member().firm.name}"

    @app.route("/clients", methods=["GET", "POST"])
    @staff_page
    def clients() -> str:
        return "clients"

    @app.get("/portals")
    @permission("portals")
    def portals() -> str:
        return "portals"

    @app.get("/settings")
    @admin_page
    @staff_page
    def settings() -> str:
        return "settings"

    @app.get("/portal/")
    @portal_page
    def portal() -> str:
        return f"portal of {current_login().name}"

    @app.route("/portal/invite/<token>", methods=["GET", "POST"])
    @public_page("the link is the key", origin_checked=True)
    def invite(token: str) -> str:
        check("link")
        if token != "good":
            miss("link")
            return "unknown"
        if request.method == "POST":
            hit("accept_code", token)
            sign_in(_login("nina@clients.example"))
        return "invite"

    @app.post("/leave")
    @public_page("anybody may leave")
    def leave() -> str:
        sign_out()
        return "left"

    @app.post("/remember")
    @public_page("keeps a word in the session")
    def remember() -> str:
        session["word"] = request.form["word"]
        return session["word"]

    @app.get("/form")
    @public_page("shows a form token")
    def form() -> str:
        return app.jinja_env.from_string('<input name="csrf_token" value="{{ csrf_token() }}">').render()

    @app.get("/forgotten-mark")
    def forgotten_mark() -> str:
        return "nobody should read this"

    @app.get("/broken")
    @public_page("breaks")
    def broken() -> str:
        raise ZeroDivisionError("secret detail of ada@clients.example")

    @app.get("/half-done")
    @staff_page
    def half_done() -> str:
        current_member().login.name = "Changed outside of a unit of work"
        session["word"] = "kept"
        return "half done"

    @app.get("/refused")
    @public_page("refuses")
    def refused() -> str:
        raise Refused("The item was cancelled a moment ago.")

    @app.get("/api/v1/whoami")
    @api_call
    def whoami() -> dict[str, str]:
        return {"member": current_member().id}

    @app.post("/api/v1/things")
    @api_call
    def things() -> str:
        raise Invalid({"recipients.0.email": ["Enter an e-mail address."]})

    @app.get("/api/v1/broken")
    @api_call
    def api_broken() -> str:
        raise ZeroDivisionError


def _login(email: str) -> Login:
    return db.session.scalars(sa.select(Login).where(Login.email == email)).one()


def token_in(page: TestResponse) -> str:
    """The form token of a page."""
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert found, page.text
    return found.group(1)


def sign_in_as(
    client: FlaskClient, email: str, password: str = PASSWORD, url: str = "/login", **fields: str
) -> TestResponse:
    """Fill in the sign-in page and send it."""
    token = token_in(client.get(url))
    return client.post(url, data={"email": email, "password": password, "csrf_token": token, **fields})


def cookie_of(client: FlaskClient) -> str:
    """The session cookie's value; empty without one."""
    found = client.get_cookie("portal_session")
    return found.value if found is not None else ""
