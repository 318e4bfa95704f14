"""The command line as an operator meets it: what each command does, and the one line it says where it can't."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from click.testing import CliRunner, Result
from flask import Flask

import app as product
import commands
import config
import tasks
from invites.importing import import_rows
from models import Client, Firm, FirmLicence, Invite, Login, MailState, Outbox, db, unit_of_work
from models.database import statements
from tests.portal import invite
from tests.support.live import Live, _environment, link_in, one_process, run
from tests.support.smtp import MailServer, free_port
from tests.support.world import World, mails, make_client, make_world

PASSWORD = "violet harbour seventeen"


# A whole installation, made by commands alone -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, str]]:
    """A running server without a demo firm, its own firm made by commands, and the token that was printed."""
    data = tmp_path_factory.mktemp("installation") / "data"
    for arguments in (
        ["db", "upgrade"],
        ["create-firm", "--name", "Ledger & Sons", "--email", "Nora@ledger.example", "--password", PASSWORD],
    ):
        done = run(data, *arguments)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert len(done.stderr.splitlines()) == 1
    made = run(data, "create-token", "--email", "nora@LEDGER.example", "--name", "tests")
    assert (made.returncode, made.stderr) == (0, ""), made.stderr
    with one_process(data, "--no-demo") as live:
        yield live, made.stdout


def call(live: Live, token: str, method: str, path: str, **options: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {token.strip()}"}
    return requests.request(method, f"{live.url}/api/v1{path}", headers=headers, timeout=30, **options)


def test_the_token_stands_alone_and_works(installation: tuple[Live, str]) -> None:
    live, printed = installation
    assert re.fullmatch(r"\S{20,}\n", printed)
    answer = call(live, printed, "GET", "/clients")
    assert (answer.status_code, answer.json()) == (200, {"items": [], "next_cursor": None})
    assert call(live, printed.strip() + "x", "GET", "/clients").status_code == 401


def test_the_start_says_where_to_go_and_makes_no_demo_firm(installation: tuple[Live, str]) -> None:
    live, _ = installation
    said = live.log("server").read_text()
    assert live.url in said
    assert f"{live.url}/mailbox" in said
    assert "Northwind" not in said
    assert "demo" not in said.lower()


def test_a_mail_leaves_at_once_after_the_send(installation: tuple[Live, str]) -> None:
    live, token = installation
    client = call(live, token, "POST", "/clients", json={"name": "Byron Family"}).json()
    call(
        live,
        token,
        "POST",
        f"/clients/{client['id']}/invites",
        json={"recipients": [{"email": "warm@up.example"}]},
    )
    live.wait_for_mail("warm@up.example")
    body = {"recipients": [{"email": "ada@byron.example"}]}
    assert call(live, token, "POST", f"/clients/{client['id']}/invites", json=body).status_code == 201
    mail = live.wait_for_mail("ada@byron.example")
    assert link_in(mail).startswith(f"{live.url}/portal/invite/")


def test_a_taken_port_is_one_line(installation: tuple[Live, str], tmp_path: Path) -> None:
    live, _ = installation
    port = live.url.rpartition(":")[2]
    done = run(tmp_path / "other", "--port", port)
    [line] = one_line(done)
    assert port in line
    assert "--port" in line
    assert not (tmp_path / "other" / "portal.sqlite3").exists(), "nothing is made before the port is there"


def test_sigterm_ends_the_server_and_gives_nothing_up(installation: tuple[Live, str]) -> None:
    """Runs last: it ends the installation's server. A request on its way is answered."""
    live, _ = installation
    process = live.processes["server"]
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) in {0, 1, -signal.SIGTERM, 128 + signal.SIGTERM}
    assert "Traceback" not in live.log("server").read_text()


def one_line(done: Any) -> list[str]:
    """The line an operator reads where a start was refused."""
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("portal-invites: ")
    return lines


@pytest.mark.parametrize("part", ["web", "worker"])
def test_a_part_on_a_database_that_is_not_migrated(part: str, tmp_path: Path) -> None:
    [line] = one_line(run(tmp_path / "data", part))
    assert "db upgrade" in line


def test_an_unreachable_postgresql_is_one_line(tmp_path: Path) -> None:
    url = f"postgresql://portal:secret@127.0.0.1:{free_port()}/portal"
    [line] = one_line(run(tmp_path / "data", settings={"DATABASE_URL": url}))
    assert "DATABASE_URL" in line
    assert "secret" not in line


def test_a_data_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    [line] = one_line(run(tmp_path / "file" / "data"))
    assert str(tmp_path / "file" / "data") in line
    assert "--data" in line


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    wrong = {"LEASE_SECONDS": "30", "MAIL_DEADLINE_SECONDS": "30"}
    [line] = one_line(run(tmp_path / "data", settings=wrong))
    assert "LEASE_SECONDS" in line
    assert "MAIL_DEADLINE_SECONDS" in line


def test_no_demo_firm_behind_a_public_address_or_for_other_machines(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for settings, flags in (
        ({"PORTAL_BASE_URL": "https://portal.example.com"}, []),
        ({}, ["--host", "0.0.0.0"]),  # noqa: S104
    ):
        port = free_port()
        live = Live(f"http://127.0.0.1:{port}", data, _environment(data, settings))
        live.start("server", "--port", str(port), "--data", str(data), *flags)
        try:
            live.wait_until_up("server")
        finally:
            live.stop("server")
        assert "northwind" not in live.log("server").read_text().lower()
    made = product.create_app({"PORTAL_DATA_DIR": data, "PORTAL_TESTING": "true"})
    with made.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Firm)) == 0
        db.engine.dispose()


def test_a_worker_ends_on_sigterm(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with_tables(data)
    live = Live("", data, _environment(data, None))
    process = live.start("worker", "worker")
    until(lambda: "running" in live.log("worker").read_text())
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 0
    assert "Traceback" not in live.log("worker").read_text()


def with_tables(data: Path) -> None:
    """What `db upgrade` does, in this process."""
    made = product.create_app({"PORTAL_DATA_DIR": data, "PORTAL_TESTING": "true"})
    with made.app_context():
        commands.upgrade()
        db.engine.dispose()


def until(there: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


# Wrong settings -------------------------------------------------------------------------------------------------------

WRONG = [
    {"LEASE_SECONDS": "60", "MAIL_DEADLINE_SECONDS": "90"},
    {"INVITE_DAYS": "0"},
    {"INVITE_DAYS": "91"},
    {"INVITE_DAYS": "soon"},
    {"PORTAL_PORT": "99999"},
    {"PORTAL_PORT": "http"},
    {"MAIL_PORT": "0"},
    {"MAIL_CONNECTIONS": "0.5"},
    {"MAIL_CONNECTIONS": "0"},
    {"MAIL_DEADLINE_SECONDS": "-1"},
    {"LEASE_SECONDS": "nan"},
    {"RETRY_DELAYS_SECONDS": "60;300"},
    {"RETRY_DELAYS_SECONDS": ","},
    {"REMINDER_DAYS": "3,seven"},
    {"ITEM_MAIL_SECONDS": "-5"},
    {"MAX_UPLOAD_MB": "0"},
    {"TRUSTED_PROXIES": "-1"},
    {"ACCEPT_NEEDS_CODE": "perhaps"},
    {"MAIL_USE_TLS": "true", "MAIL_USE_SSL": "true"},
    {"MAIL_DEFAULT_SENDER": "nobody"},
    {"LOG_FORMAT": "xml"},
    {"PORTAL_BASE_URL": "portal.example.com"},
    {"PORTAL_BASE_URL": "https://portal.example.com/sub"},
    {"PORTAL_BASE_URL": "http://[::1"},
    {"PORTAL_BASE_URL": "http://portal.example.com:port"},
    {"DATABASE_URL": "mysql://db.example/portal"},
    {"DATABASE_URL": "postgresql://db.example:port/portal"},
    {"QUEUE_URL": "ftp://queue.example"},
    {"FILES_URL": "nonsense://files.example"},
    {"PORTAL_PLUGINS": "/no/such/folder"},
]


@pytest.mark.parametrize(
    "wrong", WRONG, ids=lambda wrong: " ".join(f"{name}={value}" for name, value in wrong.items())
)
def test_a_wrong_setting_stops_the_start_and_is_named(wrong: Mapping[str, str], tmp_path: Path) -> None:
    with pytest.raises(config.WrongSetting) as refused:
        product.create_app({"PORTAL_DATA_DIR": tmp_path, "PORTAL_TESTING": "true", **wrong})
    line = str(refused.value)
    assert "\n" not in line
    assert next(iter(wrong)) in line


# The single commands, on both databases -------------------------------------------------------------------------------


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def command(
    app: Flask, settings: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """`command("outbox", "list")` on this test's database."""
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(commands.cli, list(arguments), obj=product.create_app)

    return invoke


def refused(result: Result, *words: str) -> None:
    """One line of error, no traceback."""
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit), result.exception
    lines = [line for line in result.stderr.splitlines() if line and not line.startswith(("Usage:", "Try "))]
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]


def test_create_firm(app: Flask, command: Callable[..., Result]) -> None:
    good = ("--email", "Nora@ledger.example", "--password", PASSWORD)
    assert command("create-firm", "--name", "Ledger", *good).exit_code == 0
    refused(command("create-firm", "--name", "Ledger", *good), "Ledger", "already")
    refused(command("create-firm", "--name", " ", *good), "name")
    refused(command("create-firm", "--name", "B", "--email", "nora@", "--password", PASSWORD))
    refused(
        command("create-firm", "--name", "B", "--email", "nora@ledger.example", "--password", "short"), "12"
    )
    refused(command("create-firm", "--name", "B"), "--email")
    # A second firm of the same person: one login, two places. The password stays what it was.
    assert command("create-firm", "--name", "Second", *good[:3], "another long password").exit_code == 0
    with app.app_context():
        assert db.session.scalars(sa.select(Login.email)).all() == ["nora@ledger.example"]
        assert sorted(db.session.scalars(sa.select(Firm.name))) == ["Ledger", "Second"]
        assert db.session.scalar(sa.select(sa.func.count()).select_from(FirmLicence)) == 6
    refused(command("create-token", "--email", "nora@ledger.example"), "--firm")
    assert command("create-token", "--email", "nora@ledger.example", "--firm", "Second").stdout.strip()
    person = app.test_client()
    csrf = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', person.get("/login").text)
    assert csrf
    fields = {"email": "nora@ledger.example", "password": PASSWORD, "csrf_token": csrf[1]}
    assert person.post("/login", data=fields).status_code == 302


def test_create_token_for_nobody(world: World, command: Callable[..., Result]) -> None:
    refused(command("create-token", "--email", "nobody@northwind.example"), "no team member")
    refused(command("create-token", "--email", "nobody"))


def test_set_licence(app: Flask, world: World, command: Callable[..., Result]) -> None:
    def held() -> list[str]:
        with app.app_context():
            return sorted(db.session.scalars(sa.select(FirmLicence.key)))

    assert held() == ["client-requests", "esign", "files"]
    assert (
        command("set-licence", "--firm", "Northwind Tax", "--remove", "esign", "--remove", "files").exit_code
        == 0
    )
    assert held() == ["client-requests"]
    assert (
        command("set-licence", "--firm", "Northwind Tax", "--add", "esign", "--add", "esign").exit_code == 0
    )
    assert held() == ["client-requests", "esign"]
    refused(command("set-licence", "--firm", "Northwind Tax", "--add", "everything"), "'everything'", "esign")
    refused(command("set-licence", "--firm", "Nobody", "--add", "esign"), "Nobody")
    assert held() == ["client-requests", "esign"]


TABLE = """client,contact,email,external_id
Byron Family,Ada Byron,Ada@byron.example,B-1
Byron Family,William King,,B-1
Turners,John Turner,turners@home.example,
Turners,Jane Turner,turners@home.example,
"Hopper, Inc.",Grace Hopper,grace@hopper.example
No Contact,,,
,Nobody,nobody@home.example,
Bad Address,Someone,someone@,
"""


def test_import_clients_twice(
    app: Flask, world: World, command: Callable[..., Result], tmp_path: Path
) -> None:
    path = tmp_path / "clients.csv"
    path.write_text("\ufeff" + TABLE, encoding="utf-8")  # as Excel writes it
    first = command("import-clients", str(path), "--firm", "Northwind Tax")
    assert first.exit_code == 0, first.output
    lines = first.stdout.splitlines()
    assert lines[:6] == [f"line {number}: added" for number in range(2, 8)]
    assert lines[6].startswith("line 8: refused: ")
    assert lines[7].startswith("line 9: refused: ")
    assert first.stderr.strip() == "6 added, 0 there already, 2 refused"
    people = contacts(app)
    assert people == {
        "Byron Family": [("Ada Byron", "ada@byron.example", True), ("William King", None, False)],
        "Turners": [
            ("John Turner", "turners@home.example", True),
            ("Jane Turner", "turners@home.example", False),
        ],
        "Hopper, Inc.": [("Grace Hopper", "grace@hopper.example", True)],
        "No Contact": [],
    }
    again = command("import-clients", str(path), "--firm", "Northwind Tax")
    assert again.stderr.strip() == "0 added, 6 there already, 2 refused"
    assert contacts(app) == people
    assert mails(app) == []


def contacts(app: Flask) -> dict[str, list[tuple[str, str | None, bool]]]:
    with app.app_context():
        clients = db.session.scalars(sa.select(Client).order_by(Client.id))
        return {
            client.name: [(one.name, one.email, one.is_primary) for one in client.contacts]
            for client in clients
        }


def test_a_large_import_asks_as_often_as_a_small_one(app: Flask, world: World) -> None:
    asked = []
    for many in (3, 600):
        rows = [
            {"client": f"Client {many}-{place}", "contact": "Ada", "email": f"ada{place}@home.example"}
            for place in range(many)
        ]
        with app.app_context(), unit_of_work() as session, statements() as seen:
            firm = session.get_one(Firm, world.firm_id)
            assert {line.outcome for line in import_rows(firm, rows)} == {"added"}
            session.flush()
            asked.append(len(seen))
    assert asked[1] <= asked[0] + 4, asked  # rows are inserted in a few batches


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"client;contact;email\nA;B;c@home.example\n", "columns"),
        (b"", "columns"),
        (b"name,mail\nA,c@home.example\n", "columns"),
        ("client,contact,email\nMüller,Ä,c@home.example\n".encode("latin-1"), "UTF-8"),
        (b'client,contact,email\n"' + b"x" * 200_000 + b'",b,c@home.example\n', "CSV"),
    ],
    ids=["semicolons", "empty", "other-columns", "latin-1", "endless-field"],
)
def test_import_clients_of_what_is_no_such_file(
    world: World, command: Callable[..., Result], tmp_path: Path, content: bytes, word: str
) -> None:
    path = tmp_path / "clients.csv"
    path.write_bytes(content)
    refused(command("import-clients", str(path), "--firm", "Northwind Tax"), word)
    refused(
        command("import-clients", str(tmp_path / "missing.csv"), "--firm", "Northwind Tax"), "missing.csv"
    )


def test_import_clients_refuses_what_no_column_can_hold(
    app: Flask, world: World, command: Callable[..., Result], tmp_path: Path
) -> None:
    path = tmp_path / "clients.csv"
    path.write_text(f"client,contact,email\n{'x' * 201},A,\nB,{'y' * 201},\nC\x07,D,\nFine,E,\n")
    result = command("import-clients", str(path), "--firm", "Northwind Tax")
    assert result.exit_code == 0, result.output
    assert result.stderr.strip() == "1 added, 0 there already, 3 refused"
    assert list(contacts(app)) == ["Fine"]


def test_the_mail_queue(app: Flask, world: World, command: Callable[..., Result], smtp: MailServer) -> None:
    assert command("outbox", "hold").exit_code == 0
    byron = make_client(world, "Byron Family", ("Ada Byron", "ada@byron.example"))
    invite(world, byron, "ada@byron.example")
    with app.app_context():
        mail_id = db.session.scalars(sa.select(Outbox.id)).one()
    listed = command("outbox", "list")
    assert mail_id in listed.stdout
    assert "invite" in listed.stdout
    assert "held" in listed.stderr
    worker(app)
    assert smtp.everyone() == []
    assert mails(app) == [("ada@byron.example", "invite", "held")]
    assert command("outbox", "release").exit_code == 0
    worker(app)
    assert smtp.everyone() == ["ada@byron.example"]
    assert "sent" in command("outbox", "list", "--state", "sent").stdout
    refused(command("outbox", "retry", mail_id), "sent already")
    refused(command("outbox", "retry", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    # A mail that failed goes out once it is retried.
    smtp.at_rcpt = lambda address: "550 5.1.1 no such person"
    invite(world, byron, "will@byron.example")
    worker(app)
    with app.app_context():
        failed = db.session.scalars(sa.select(Outbox.id).where(Outbox.state == MailState.FAILED)).one()
    assert "no such person" in command("outbox", "list", "--state", "failed").stdout
    smtp.at_rcpt = None
    assert command("outbox", "retry", failed).exit_code == 0
    worker(app)
    assert smtp.everyone() == ["ada@byron.example", "will@byron.example"]


def worker(app: Flask) -> None:
    with app.app_context():
        tasks.send_mail()


@pytest.mark.one_database
def test_mail_test_shows_each_step(world: World, command: Callable[..., Result], smtp: MailServer) -> None:
    good = command("mail", "test", "Operator@firm.example")
    assert good.exit_code == 0, good.output
    for step in ("EHLO", "MAIL FROM", "RCPT TO", "250"):
        assert step.lower() in good.stdout.lower(), good.stdout
    assert smtp.everyone() == ["operator@firm.example"]
    smtp.at_rcpt = lambda address: "550 5.7.1 relaying denied"
    bad = command("mail", "test", "operator@firm.example")
    refused(bad, "relaying denied")
    assert "550" in bad.stdout
    refused(command("mail", "test", "nobody"))
    with world.app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Invite)) == 0


@pytest.mark.one_database
def test_mail_test_with_no_server_there(
    world: World, command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MAIL_SERVER", "127.0.0.1")
        monkeypatch.setenv("MAIL_PORT", str(closed.getsockname()[1]))
        refused(command("mail", "test", "operator@firm.example"), "not sent")
