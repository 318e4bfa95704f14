"""The operator's commands for mail: `outbox list | retry | hold | release` and `mail test`. Edges: they commit."""

from __future__ import annotations

from collections.abc import Callable

import click
from flask import Flask

from config import Settings
from mail import outbox
from mail.addresses import BadHeader
from mail.check import send_test
from mail.outcomes import Sent
from models import MailState, unit_of_work
from models.address import BadAddress, parse_address
from models.errors import ProblemForPeople


def add_commands(cli: click.Group, app_of: Callable[[click.Context], Flask]) -> None:
    """Add the groups to the command line; `app_of` builds the application for a command."""

    @cli.group("outbox")
    def outbox_group() -> None:
        """The mail queue."""

    @outbox_group.command("list")
    @click.option("--state", type=click.Choice([state.value for state in MailState]), help="Only this state.")
    @click.option("--limit", default=50, show_default=True, help="How many, newest first.")
    @click.pass_context
    def list_command(context: click.Context, state: str | None, limit: int) -> None:
        """The newest mails: id, state, kind, tries, address, and why one waits or failed."""
        with app_of(context).app_context():
            for mail in outbox.list_mails(MailState(state) if state else None, limit):
                line = f"{mail.id}  {mail.state.value:<9} {mail.kind.value:<12} {mail.attempts:>2}  {mail.to_email}"
                click.echo(f"{line}  {mail.error}".rstrip())
            pause = outbox.relay_pause()
            if pause is not None:
                since = f"{pause.since:%Y-%m-%d %H:%M} UTC"
                click.echo(f"The mail server can't be used since {since}: {pause.reason}", err=True)
            if outbox.is_held():
                click.echo("Mail is held: nothing leaves until `outbox release`.", err=True)

    @outbox_group.command("retry")
    @click.argument("mail_id", metavar="ID")
    @click.pass_context
    def retry_command(context: click.Context, mail_id: str) -> None:
        """Try one mail again now."""
        with app_of(context).app_context():
            try:
                with unit_of_work():
                    outbox.retry(mail_id)
            except ProblemForPeople as error:
                raise click.ClickException(error.sentence) from error
        click.echo("It is queued again.", err=True)

    @outbox_group.command("hold")
    @click.pass_context
    def hold_command(context: click.Context) -> None:
        """Let nothing leave until `release`."""
        with app_of(context).app_context(), unit_of_work():
            number = outbox.hold()
        click.echo(f"Held: {number} waiting now, and what comes.", err=True)

    @outbox_group.command("release")
    @click.pass_context
    def release_command(context: click.Context) -> None:
        """Let held mails go."""
        with app_of(context).app_context(), unit_of_work():
            number = outbox.release()
        click.echo(f"Released: {number}.", err=True)

    @cli.group("mail")
    def mail_group() -> None:
        """The mail relay."""

    @mail_group.command("test")
    @click.argument("address")
    @click.pass_context
    def test_command(context: click.Context, address: str) -> None:
        """One mail to ADDRESS through the configured relay, each SMTP step shown."""
        app = app_of(context)
        settings: Settings = app.config["PORTAL"]
        try:
            key = parse_address(address).key
            outcome = send_test(app, settings, key, click.echo)
        except (BadAddress, BadHeader) as error:
            raise click.ClickException(str(error)) from error
        if not isinstance(outcome, Sent):
            raise click.ClickException(f"not sent: {getattr(outcome, 'reason', outcome)}")
        click.echo("The mail server took it.", err=True)
