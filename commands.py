"""The command line: serve, work, migrate, and the few things an operator does by hand (contract: Commands)."""

from __future__ import annotations

import contextlib
import csv
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from flask import Flask
from waitress.server import create_server

import background
import config
import demo
import one_key
from backup import add_commands as add_backup_commands
from invites.importing import ADDED, NEEDED, REFUSED, THERE, import_rows
from mail.commands import add_commands as add_mail_commands
from mail.worker import catch_up
from models import (
    ApiToken,
    Firm,
    FirmLicence,
    Licence,
    Login,
    Role,
    TeamMember,
    db,
    migrating,
    unit_of_work,
    utc_now,
)
from models.address import Address, BadAddress, parse_address
from models.api_token import hash_of_token
from web.passwords import SHORTEST, hash_password

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class CannotStart(Exception):
    """Something outside the product is in the way; the text is one line that says what to do."""


Build = Callable[[Mapping[str, Any]], Flask]


def _build(context: click.Context, **overrides: Any) -> Flask:
    build: Build = context.find_root().obj
    return build({name: value for name, value in overrides.items() if value is not None})


def _app(context: click.Context) -> Flask:
    """The application for a command that writes rows: its database must be migrated."""
    app = _build(context, PORTAL_DATA_DIR=context.find_root().params.get("data"))
    with app.app_context():
        _need_head()
    return app


@click.group(invoke_without_command=True)
@click.option("--host", help="Address to listen on (default 127.0.0.1).")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on (default 8000).")
@click.option("--data", metavar="DIR", help="Folder for database, files and keys (default instance).")
@click.option("--no-demo", is_flag=True, help="Don't make the demo firm on the first start.")
@click.pass_context
def cli(context: click.Context, host: str | None, port: int | None, data: str | None, no_demo: bool) -> None:
    """Portal Invites: without a command, the whole product in one process."""
    if context.invoked_subcommand is not None:
        return
    app = _build(context, PORTAL_HOST=host, PORTAL_PORT=port, PORTAL_DATA_DIR=data)
    settings: config.Settings = app.config["PORTAL"]
    server = _listen(app, settings)  # first of all: a taken port is told before anything is made
    with app.app_context():
        upgrade()
        need_our_key(settings)
        firms = db.session.scalar(sa.select(sa.func.count()).select_from(Firm)) or 0
        wants_demo = not no_demo and not settings.is_public and settings.host in LOOPBACK
        if not firms and wants_demo:
            click.echo("Making the demo firm (a few seconds)", err=True)
            demo.make_demo()
        db.session.rollback()
        lines = _welcome(settings)
    _serve(app, server, lines, with_worker=True)


@cli.command("web")
@click.option("--host")
@click.option("--port", type=click.IntRange(1, 65535))
@click.pass_context
def web_command(context: click.Context, host: str | None, port: int | None) -> None:
    """Only the web part; run any number of them."""
    app = _build(
        context, PORTAL_HOST=host, PORTAL_PORT=port, PORTAL_DATA_DIR=context.find_root().params.get("data")
    )
    with app.app_context():
        _need_head()
    settings: config.Settings = app.config["PORTAL"]
    lines = [f"Portal Invites, web part: {settings.base_url}"]
    _serve(app, _listen(app, settings), lines, with_worker=False)


@cli.command()
@click.pass_context
def worker(context: click.Context) -> None:
    """Only the worker: mail, facts and periodic work. Run any number of them on PostgreSQL."""
    app = _app(context)
    signal.signal(signal.SIGTERM, _end)
    with _until_stopped():
        start_worker(app)
        click.echo("Portal Invites, worker: running", err=True)
        background.wait()


def start_worker(app: Flask) -> None:
    """The worker's threads in this process, once what this machine's last worker left is settled."""
    with app.app_context():
        catch_up(app.config["PORTAL"])
    background.start(app)


def _listen(app: Flask, settings: config.Settings) -> Any:
    """The server, its port taken; who connects waits until `_serve` runs it. Raises CannotStart."""
    try:
        return create_server(
            app, host=settings.host, port=settings.port, threads=16, ident=None, channel_timeout=60,
            max_request_body_size=settings.max_upload_bytes + 2 * 1024 * 1024, clear_untrusted_proxy_headers=False,
        )  # fmt: skip
    except OSError as error:
        raise CannotStart(
            f"can't listen on {settings.host}:{settings.port} ({error.strerror}): choose another with --port"
        ) from error


def _serve(app: Flask, server: Any, lines: list[str], *, with_worker: bool) -> None:
    signal.signal(signal.SIGTERM, _end)
    with contextlib.closing(server), _until_stopped():
        if with_worker:
            start_worker(app)
        for line in lines:
            click.echo(line)
        sys.stdout.flush()
        server.run()


@contextlib.contextmanager
def _until_stopped() -> Iterator[None]:
    """Run until Ctrl+C or SIGTERM, which may come during the start too; then end what the worker is doing."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Stopping", err=True)
    finally:
        background.stop()


def _end(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _welcome(settings: config.Settings) -> list[str]:
    """What a person sees after the start: where to go and with which login."""
    lines = ["", f"  Portal Invites is ready: {settings.base_url}"]
    firm = db.session.scalars(sa.select(Firm).where(Firm.is_demo.is_(True))).first()
    if firm is not None:
        lines += [
            "",
            f"  Sign in as staff of {firm.name}, password {demo.PASSWORD}",
            *(f"    {email:<28} {name}, {_about(role, sees)}" for name, email, role, sees in demo.TEAM),
            "  or as a client who has joined already, with the same password",
            "    ada@byron.example            Ada Byron, Byron Family",
        ]
    if settings.builtin_mailbox:
        lines += ["", f"  Mail stays on this machine; read it at {settings.base_url}/mailbox"]
    if firm is None:
        lines += ["", "  No firm yet? python app.py create-firm --name N --email E --password P"]
    return [*lines, "", "  Stop with Ctrl+C", ""]


def _about(role: Role, sees: object) -> str:
    return "administrator" if role is Role.ADMIN else f"staff, sees {sees} clients"


def upgrade() -> None:
    """Migrate to head; two processes starting at once wait for each other. Raises CannotStart."""
    with _reachable():
        if migrating.is_at_head(db.engine):
            return
        if db.engine.dialect.name != "postgresql":
            migrating.upgrade()
            return
        with db.engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_advisory_lock(7216001)"))
            try:
                migrating.upgrade()
            finally:
                connection.execute(sa.text("SELECT pg_advisory_unlock(7216001)"))


def _need_head() -> None:
    with _reachable():
        at_head = migrating.is_at_head(db.engine)
    if not at_head:
        raise CannotStart("the database is not up to date: run `python app.py db upgrade` first")
    need_our_key(config.current())


def need_our_key(settings: config.Settings, *, anew: bool = False) -> None:
    """Raises CannotStart where this database was begun with another SECRET_KEY, and ours is not to count `anew`."""
    if not one_key.settle(settings, anew=anew):
        raise CannotStart(
            "this database was begun with another SECRET_KEY: give every machine the same (unset, it is in the first"
            " machine's data folder); is it lost, `python app.py db upgrade --new-key` goes on with this one"
        )


@contextlib.contextmanager
def _reachable() -> Iterator[None]:
    """Turn a database that can't be used into one line for the operator."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise CannotStart(f"the database can't be used ({reason}): check DATABASE_URL") from error


@cli.group("db")
def db_group() -> None:
    """The database's tables."""


@db_group.command("upgrade")
@click.option("--new-key", is_flag=True, help="Go on with another SECRET_KEY: links not mailed yet are dead.")
@click.pass_context
def db_upgrade(context: click.Context, new_key: bool) -> None:
    """Migrate to head."""
    app = _build(context, PORTAL_DATA_DIR=context.find_root().params.get("data"))
    with app.app_context():
        upgrade()
        need_our_key(app.config["PORTAL"], anew=new_key)
    click.echo("The database is up to date.", err=True)


@cli.command("create-firm")
@click.option("--name", required=True)
@click.option("--email", required=True)
@click.option("--password", required=True)
@click.option("--person", default="", help="The first admin's name.")
@click.pass_context
def create_firm(context: click.Context, name: str, email: str, password: str, person: str) -> None:
    """Make a firm with its first admin; it has all three licences."""
    if not 1 <= len(name := name.strip()) <= 200:
        raise click.ClickException("the firm needs a name of 1 to 200 characters")
    if len(password) < SHORTEST:
        raise click.ClickException(f"the password needs at least {SHORTEST} characters")
    address = _address(email)
    with _app(context).app_context():
        hashed = hash_password(password)
        with unit_of_work() as session:
            if session.scalars(sa.select(Firm).where(Firm.name == name)).first():
                raise click.ClickException(f"there is a firm named {name!r} already")
            firm = Firm(name=name, reply_to=address.display)
            session.add(firm)
            session.flush()
            session.add_all(FirmLicence(firm_id=firm.id, key=licence.value) for licence in Licence)
            login = session.scalars(sa.select(Login).where(Login.email == address.key)).one_or_none()
            if login is None:
                login = Login(
                    email=address.key,
                    email_display=address.display,
                    name=person,
                    password=hashed,
                    fs_uniquifier=secrets.token_hex(32),
                    confirmed_at=utc_now(),
                )
                session.add(login)
            session.add(TeamMember(firm=firm, login=login, role=Role.ADMIN))
    click.echo(f"{name} is ready; {address.display} can sign in.", err=True)


@cli.command("create-token")
@click.option("--email", required=True)
@click.option("--name", default="")
@click.option("--firm", default=None, help="Needed where the person is in several firms.")
@click.pass_context
def create_token(context: click.Context, email: str, name: str, firm: str | None) -> None:
    """An API token of a team member, printed once, alone on standard output."""
    with _app(context).app_context(), unit_of_work() as session:
        wanted = (
            sa.select(TeamMember)
            .join(Login)
            .where(Login.email == _address(email).key, TeamMember.active.is_(True))
        )
        if firm is not None:
            wanted = wanted.join(Firm, Firm.id == TeamMember.firm_id).where(Firm.name == firm)
        members = session.scalars(wanted).unique().all()
        if len(members) != 1:
            reason = (
                "no team member has this address"
                if not members
                else "this person is in several firms: name one with --firm"
            )
            raise click.ClickException(reason)
        token = "pi_" + secrets.token_urlsafe(32)
        session.add(ApiToken(team_member_id=members[0].id, name=name, token_hash=hash_of_token(token)))
    click.echo(token)


@cli.command("set-licence")
@click.option("--firm", required=True)
@click.option("--add", multiple=True)
@click.option("--remove", multiple=True)
@click.pass_context
def set_licence(context: click.Context, firm: str, add: tuple[str, ...], remove: tuple[str, ...]) -> None:
    """Give a firm licences, or take them away: client-requests, files, esign, or a plugged-in workflow's."""
    app = _app(context)
    known = {licence.value for licence in Licence} | {
        workflow.licence for workflow in app.extensions["workflows"]
    }
    for key in (*add, *remove):
        if key not in known:
            raise click.ClickException(
                f"there is no licence {key!r}: choose from {', '.join(sorted(known - {''}))}"
            )
    with app.app_context(), unit_of_work() as session:
        row = _firm_named(firm)
        session.execute(
            sa.delete(FirmLicence).where(FirmLicence.firm_id == row.id, FirmLicence.key.in_([*add, *remove]))
        )
        session.add_all(FirmLicence(firm_id=row.id, key=key) for key in dict.fromkeys(add))
        session.flush()
        held = sorted(session.scalars(sa.select(FirmLicence.key).where(FirmLicence.firm_id == row.id)))
    click.echo(f"{firm} holds: {', '.join(held) or 'none'}", err=True)


def _address(typed: str) -> Address:
    try:
        return parse_address(typed)
    except BadAddress as error:
        raise click.ClickException(str(error)) from error


def _firm_named(name: str) -> Firm:
    firm = db.session.scalars(sa.select(Firm).where(Firm.name == name)).one_or_none()
    if firm is None:
        raise click.ClickException(f"there is no firm named {name!r}")
    return firm


@cli.command("import-clients")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--firm", required=True)
@click.pass_context
def import_clients(context: click.Context, path: Path, firm: str) -> None:
    """Clients and contacts from a CSV with the columns client,contact,email[,external_id]. Safe to run twice."""
    rows = _rows_of(path)
    counts = dict.fromkeys((ADDED, THERE, REFUSED), 0)
    with _app(context).app_context(), unit_of_work():
        for number, line in enumerate(import_rows(_firm_named(firm), rows), start=2):
            counts[line.outcome] += 1
            click.echo(f"line {number}: {line}")
    click.echo(", ".join(f"{count} {word}" for word, count in counts.items()), err=True)


def _rows_of(path: Path) -> list[dict[str, str | None]]:
    """The rows of a CSV file. Raises click.ClickException with what to do."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
            rows = list(reader)
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{path.name} is not in UTF-8: save it as CSV UTF-8") from error
    except csv.Error as error:
        raise click.ClickException(f"{path.name} can't be read as CSV: {error}") from error
    if not set(NEEDED) <= set(reader.fieldnames or ()):
        raise click.ClickException("the first line must name the columns client,contact,email[,external_id]")
    return rows


def _app_with_tables(context: click.Context) -> Flask:
    """The application for `restore`, which may begin on an empty database."""
    app = _build(context, PORTAL_DATA_DIR=context.find_root().params.get("data"))
    with app.app_context():
        upgrade()
    return app


add_mail_commands(cli, _app)
add_backup_commands(cli, _app, _app_with_tables)
