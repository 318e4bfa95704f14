"""The mail room alone: what writing a mail costs, and what a worker carries against smtplib with ready-made bytes."""

from __future__ import annotations

import smtplib
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from flask import Flask

import background
import config
from bench.sink import Sink, running_sink
from mail import claim, compose, outbox
from mail.claim import Claimed
from mail.facts import Facts, SenderFacts
from mail.words import FirmFacts
from mail.worker import send_due
from models import (
    Client,
    Firm,
    Invite,
    Login,
    MailKind,
    MailState,
    Outbox,
    TeamMember,
    db,
    unit_of_work,
    utc_now,
)
from models.database import init_database
from tests.support.tables import create_tables

Line = tuple[str, str, str, str, str]
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def writing(turns: int = 5, mails: int = 300) -> Line:
    """Writing a mail from a stencil against `EmailMessage` and `as_bytes`, processor time."""
    with tempfile.TemporaryDirectory() as folder:
        settings = config.load(
            {"PORTAL_DATA_DIR": folder, "SECRET_KEY": "k" * 40, "PORTAL_BASE_URL": "https://p.example"}
        )
        known, claimed = _batch(mails)
        letter = compose.write(settings, known, claimed[0])
        ours, usual = [], []
        for _ in range(turns):
            begun = time.process_time()
            writer = compose._Writer(settings, known)
            for mail in claimed:
                writer.write(mail)
            ours.append((time.process_time() - begun) / mails)
            begun = time.process_time()
            for _ in range(30):
                _usual(letter.subject, letter.body, letter.html)
            usual.append((time.process_time() - begun) / 30)
    a, b = median(ours) * 1e6, median(usual) * 1e6
    return "writing a mail, processor us", f"{a:.0f}", f"{b:.0f} (EmailMessage)", f"1/{b / a:.0f}", "1/30"


def _usual(subject: str, text: str, html: str) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"] = "Northwind Tax <portal@example.com>", "Charles Babbage <p1@x.example>"
    mail["Reply-To"], mail["Subject"] = "Dana Reyes <dana@northwind.example>", subject
    mail["Message-ID"], mail["Date"] = "<01@example.com>", NOW
    mail.set_content(text)
    mail.add_alternative(html, subtype="html")
    return mail.as_bytes()


def _batch(number: int) -> tuple[Facts, list[Claimed]]:
    invites: Any = {
        f"i{n}": SimpleNamespace(
            id=f"i{n}",
            email_display=f"p{n}@x.example",
            client_id="c",
            expires_at=NOW,
            generation=1,
            invited_by_id="s",
        )
        for n in range(number)
    }
    facts = Facts(
        invites,
        {"c": "Byron"},
        {"f": FirmFacts(name="Northwind Tax")},
        {"s": SenderFacts("Dana Reyes", "d@n.example")},
        {},
        {},
    )
    mails = [
        Claimed(
            id=f"m{n}", kind=MailKind.INVITE, firm_id="f", to_email=f"p{n}@x.example", to_name=f"Charles {'abcde'[n % 5]}",
            invite_id=f"i{n}", generation=1, item_id=None, access_id=None, accept_code_id=None, sender_id="s",
            params={"what": "sent you a survey", "message": "Hello {{ person.first_name }}, ten minutes."}, attempts=1,
            crashes=0, message_id=f"<m{n}@example.com>", created_at=NOW, lease="l", lease_until=NOW,
        )
        for n in range(number)
    ]  # fmt: skip
    return facts, mails


def worker(url: str, folder: Path, number: int, turns: int = 3) -> Iterator[Line]:
    """Mails a second of one worker against smtplib with ready bytes; eight slow connections against one."""
    for connections, delay, mails in ((2, 0.0, number), (8, 0.02, number // 4), (1, 0.02, number // 16)):
        folder.mkdir(parents=True, exist_ok=True)
        with running_sink(folder / f"taken-{connections}-{delay}", delay=delay, links=False) as sink:
            app = _app(url, folder, sink, connections)
            ours, ready = [], []
            for _ in range(turns):
                _fill(app, mails)
                begun = time.perf_counter()
                with app.app_context():
                    sent = send_due(app.config["PORTAL"])
                ours.append(sent / (time.perf_counter() - begun))
                ready.append(_smtplib(sink.port, connections, mails))
            with app.app_context():
                db.engine.dispose()
        name = f"one worker, {connections} connections, relay {delay * 1000:.0f} ms, mails/s"
        goal = "0.5 x" if connections == 2 else "7 x of one connection" if connections == 8 else ""
        yield (
            name,
            f"{median(ours):.0f}",
            f"{median(ready):.0f} (smtplib)",
            f"{median(ours) / median(ready):.2f} x",
            goal,
        )


def _smtplib(port: int, connections: int, mails: int) -> float:
    raw = _usual("Hello", "Hello " * 60, "<p>Hello</p>" * 500)

    def run() -> None:
        with smtplib.SMTP("127.0.0.1", port) as line:
            for n in range(mails // connections):
                line.sendmail("portal@example.com", [f"p{n}@x.example"], raw)

    threads = [threading.Thread(target=run) for _ in range(connections)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return mails / (time.perf_counter() - begun)


def _app(url: str, folder: Path, sink: Sink, connections: int) -> Flask:
    app = Flask("mailroom")
    app.config["PORTAL"] = config.load(
        sink.settings
        | {
            "PORTAL_DATA_DIR": folder,
            "DATABASE_URL": url,
            "SECRET_KEY": "k" * 40,
            "MAIL_CONNECTIONS": connections,
        }
    )
    init_database(app, app.config["PORTAL"].database_url)
    background.init_app(app)
    with app.app_context():
        create_tables(db.engine)
        if db.session.scalar(sa.select(Firm.id)) is None:
            db.session.rollback()
            with unit_of_work() as session:
                firm = Firm(name="Northwind Tax")
                login = Login(
                    email="d@n.example", email_display="d@n.example", name="Dana Reyes", fs_uniquifier="x"
                )
                session.add_all([firm, login])
                session.flush()
                session.add_all(
                    [TeamMember(firm=firm, login=login, role="admin"), Client(firm_id=firm.id, name="Byron")]
                )
        db.session.rollback()
    return app


def _fill(app: Flask, number: int) -> None:
    """So many pending invites with their mails."""
    with app.app_context():
        with unit_of_work() as session:
            member, client = (
                session.scalars(sa.select(TeamMember)).unique().one(),
                session.scalars(sa.select(Client)).one(),
            )
            beyond = utc_now().replace(year=utc_now().year + 1)
            known = session.scalar(sa.select(sa.func.count()).select_from(Invite)) or 0
            invites = [
                Invite(
                    firm_id=member.firm_id, client_id=client.id, email=f"p{n}@x.example", email_display=f"p{n}@x.example",
                    name=f"Charles {'abcde'[n % 5]}", workflow="client-record", invited_by_id=member.id, expires_at=beyond,
                )
                for n in range(known, known + number)
            ]  # fmt: skip
            session.add_all(invites)
            session.flush()
            outbox.enqueue_many(
                [
                    outbox.NewMail(
                        MailKind.INVITE, to_email=invite.email, to_name=invite.name, firm_id=invite.firm_id,
                        invite_id=invite.id, generation=1, sender_id=member.id, params={"what": "sent you a survey"},
                    )
                    for invite in invites
                ]
            )  # fmt: skip
        assert claim.anything_due(utc_now())
        waiting = db.session.scalar(sa.select(sa.func.count()).where(Outbox.state == MailState.QUEUED))
        assert waiting == number, waiting
        db.session.rollback()
