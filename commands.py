"""The command line: serve, work, migrate, and the few things an operator does by hand (contract: Commands)."""

from __future__ import annotations

import csv
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from flask import Flask, current_app
from flask_security.utils import hash_password
from waitress.server import create_server

import background
import config
import demo
from mail.commands import add_commands as add_mail_commands
from models import (
    ApiToken,
    Client,
    Contact,
    Firm,
    FirmLicence,
    Licence,
    Login,
    Role,
    TeamMember,
    db,
    unit_of_work,
    utc_now,
)
from models.address import BadAddress, parse_address
from models.api_token import hash_of_token

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
    with app.app_context():
        upgrade()
        firms = db.session.scalar(sa.select(sa.func.count()).select_from(Firm)) or 0
        wants_demo = not no_demo and not settings.is_public and settings.host in LOOPBACK
        if not firms and wants_demo:
            click.echo("Making the demo firm (a few seconds)", err=True)
            demo.make_demo()
        db.session.rollback()
        lines = _welcome(settings)
    _serve(app, settings, lines, with_worker=True)


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
    _serve(app, settings, [f"Portal Invites, web part: {settings.base_url}"], with_worker=False)


@cli.command()
@click.pass_context
def worker(context: click.Context) -> None:
    """Only the worker: mail, facts and periodic work. Run any number of them on PostgreSQL."""
    app = _app(context)
    signal.signal(signal.SIGTERM, _end)
    click.echo("Portal Invites, worker: running", err=True)
    background.start(app)
    try:
        background.wait()
    except KeyboardInterrupt:
        click.echo("Stopping", err=True)
    finally:
        background.stop()


def _serve(app: Flask, settings: config.Settings, lines: list[str], *, with_worker: bool) -> None:
    try:
        server = create_server(
            app, host=settings.host, port=settings.port, threads=16, ident=None, channel_timeout=60,
            max_request_body_size=settings.max_upload_bytes + 2 * 1024 * 1024, clear_untrusted_proxy_headers=False,
        )  # fmt: skip
    except OSError as error:
        raise CannotStart(
            f"can't listen on {settings.host}:{settings.port} ({error.strerror}): choose another with --port"
        ) from error
    signal.signal(signal.SIGTERM, _end)
    if with_worker:
        background.start(app)
    for line in lines:
        click.echo(line)
    sys.stdout.flush()
    try:
        server.run()
    finally:
        server.close()
        if with_worker:
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
    """Migrate to head; two processes starting at once wait for each other."""
    alembic = current_app.extensions["alembic"]
    if db.engine.dialect.name != "postgresql":
        alembic.upgrade()
        return
    with db.engine.connect() as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(7216001)"))
        try:
            alembic.upgrade()
        finally:
            connection.execute(sa.text("SELECT pg_advisory_unlock(7216001)"))


def _need_head() -> None:
    alembic = current_app.extensions["alembic"]
    try:
        heads = {script.revision for script in alembic.heads()}
        there = {script.revision for script in alembic.current()}
    except sa.exc.OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise CannotStart(f"the database can't be reached ({reason}): check DATABASE_URL") from error
    if heads != there:
        raise CannotStart("the database is not up to date: run `python app.py db upgrade` first")


@cli.group("db")
def db_group() -> None:
    """The database's tables."""


@db_group.command("upgrade")
@click.pass_context
def db_upgrade(context: click.Context) -> None:
    """Migrate to head."""
    app = _build(context, PORTAL_DATA_DIR=context.find_root().params.get("data"))
    with app.app_context():
        upgrade()
    click.echo("The database is up to date.", err=True)


@cli.command("create-firm")
@click.option("--name", required=True)
@click.option("--email", required=True)
@click.option("--password", required=True)
@click.option("--person", default="", help="The first admin's name.")
@click.pass_context
def create_firm(context: click.Context, name: str, email: str, password: str, person: str) -> None:
    """Make a firm with its first admin; it has all three licences."""
    if len(password) < 12:
        raise click.ClickException("the password needs at least 12 characters")
    try:
        address = parse_address(email)
    except BadAddress as error:
        raise click.ClickException(str(error)) from error
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
            .where(Login.email == email.strip().lower(), TeamMember.active.is_(True))
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
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if rows and not {"client", "contact", "email"} <= rows[0].keys():
        raise click.ClickException("the first line must name the columns client,contact,email[,external_id]")
    counts = {"added": 0, "there already": 0, "refused": 0}
    with _app(context).app_context(), unit_of_work():
        row = _firm_named(firm)
        clients = {
            client.external_id or client.name: client
            for client in db.session.scalars(
                sa.select(Client)
                .where(Client.firm_id == row.id)
                .options(sa.orm.selectinload(Client.contacts))
            )
        }
        for number, entry in enumerate(rows, start=2):
            outcome = _import_row(row, clients, entry)
            counts[
                "added"
                if outcome == "added"
                else "there already"
                if outcome == "there already"
                else "refused"
            ] += 1
            click.echo(f"line {number}: {outcome}")
    click.echo(", ".join(f"{count} {word}" for word, count in counts.items()), err=True)


def _import_row(firm: Firm, clients: dict[str, Client], entry: Mapping[str, str | None]) -> str:
    """Add one line of the file; what happened, in words."""
    name, person, typed = ((entry.get(key) or "").strip() for key in ("client", "contact", "email"))
    external = (entry.get("external_id") or "").strip() or None
    if not name:
        return "refused: the client has no name"
    try:
        address = parse_address(typed) if typed else None
    except BadAddress as error:
        return f"refused: {error}"
    client = clients.get(external or name)
    if client is None:
        client = Client(firm_id=firm.id, name=name[:200], external_id=external)
        db.session.add(client)
        clients[external or name] = client
    for known in client.contacts:
        if known.name == person and known.email == (address.key if address else None):
            return "there already"
    client.contacts.append(
        Contact(
            firm_id=firm.id,
            name=person[:200],
            email=address.key if address else None,
            email_display=address.display if address else None,
            is_primary=not client.contacts,
        )
    )
    return "added"


add_mail_commands(cli, _app)
