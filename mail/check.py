"""`mail test ADDRESS`: one mail through the configured relay, each SMTP step told as it happens.

It goes past the outbox on purpose: it answers whether the relay takes our mail, at this moment, and says where not.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from config import Settings
from mail import addresses, mime, render
from mail.letter import Letter
from mail.outcomes import Outcome
from mail.relay import Watchdog
from mail.transport import HardenedConnection
from mail.words import FirmFacts, plain_values
from models import MailKind, new_id, utc_now


def send_test(app: Flask, settings: Settings, address: str, said: Callable[[str], None]) -> Outcome:
    """Send one mail to `address` (its normalised form); `said` is told each step. Raises addresses.BadHeader."""
    name, from_address = addresses.sender(settings)
    values = plain_values(
        FirmFacts(),
        name="",
        address=address,
        headline="A test from Portal Invites",
        paragraphs=[
            "This mail was asked for with `mail test`. That it arrived means that the mail relay works."
        ],
        button="",
        link="",
    )
    rendered = render.render(MailKind.SECURITY.value, values)
    message_id = f"<{new_id().lower()}@{addresses.sender_domain(settings)}>"
    envelope = mime.Envelope(
        from_name=name or "Portal Invites",
        from_address=from_address,
        to_name="",
        to_address=address,
        reply_to_name="",
        reply_to_address=from_address,
        subject=rendered.subject,
        message_id=message_id,
        date=utc_now(),
    )
    letter = Letter(
        sender=from_address,
        recipient=address,
        subject=rendered.subject,
        message_id=message_id,
        raw=mime.build(envelope, rendered.text, rendered.html),
    )
    connection = HardenedConnection(app, settings)
    connection.said = said
    with app.app_context(), Watchdog([connection]), connection:
        return connection.send(letter)
