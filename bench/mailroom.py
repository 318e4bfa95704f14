"""The mail room alone: what writing a mail costs, and what a worker carries against smtplib with ready-made bytes."""

from __future__ import annotations

import multiprocessing
import smtplib
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import psutil
import sqlalchemy as sa
from flask import Flask

import background
import config
from bench.sink import Sink, running_sink
from mail import compose, outbox
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
    """One worker against smtplib with ready bytes; eight slow connections against one; memory over ten times as many."""
    with _room(url, folder, 2) as room:
        ours, ready = [], []
        for _ in range(turns):
            ours.append(room.ours(number))
            ready.append(room.smtplib(number))
    yield (
        "one worker, 2 connections, relay 0 ms, mails/s",
        f"{median(rate for rate, _ in ours):.0f}",
        f"{median(ready):.0f} (smtplib)",
        f"{median(rate for rate, _ in ours) / median(ready):.2f} x",
        "0.5 x",
    )
    yield "the same, processor ms a mail", f"{median(cost for _, cost in ours):.2f}", "-", "-", ""
    slow = {"ours": ([], []), "smtplib": ([], [])}  # type: dict[str, tuple[list[float], list[float]]]
    with _room(url, folder, 8, 0.02) as eight, _room(url, folder, 1, 0.02) as one:
        for _ in range(turns):
            for which, room, mails in ((0, eight, number // 4), (1, one, number // 32)):
                slow["ours"][which].append(room.ours(mails)[0])
                slow["smtplib"][which].append(room.smtplib(mails))
    rates = {name: (median(many), median(few)) for name, (many, few) in slow.items()}
    yield (
        "one worker, relay 20 ms, 8 connections against 1, mails/s",
        "{:.0f} / {:.0f}".format(*rates["ours"]),
        "{:.0f} / {:.0f} (smtplib)".format(*rates["smtplib"]),
        f"{rates['ours'][0] / rates['ours'][1]:.1f} x (smtplib {rates['smtplib'][0] / rates['smtplib'][1]:.1f} x)",
        "7 x",
    )
    first, middle, last = _memory(url, folder, number)
    yield (
        f"memory of a worker after {number}, {number * 5} and {number * 10} mails, MB",
        f"{first:.0f} / {middle:.0f} / {last:.0f}", "-", f"{last / first:.2f} x", "flat",
    )  # fmt: skip


@dataclass
class _Room:
    """A mail room with so many connections to a sink of its own."""

    app: Flask
    sink: Sink
    connections: int

    def ours(self, mails: int) -> tuple[float, float]:
        """Mails a second of the worker, and processor milliseconds a mail."""
        fill(self.app, mails)
        begun, used = time.perf_counter(), time.process_time()
        with self.app.app_context():
            sent = send_due(self.app.config["PORTAL"])
        return sent / (time.perf_counter() - begun), (time.process_time() - used) * 1000 / sent

    def smtplib(self, mails: int) -> float:
        """Mails a second of smtplib over the same number of connections."""
        return _smtplib(self.sink.port, self.connections, mails)


@contextmanager
def _room(url: str, folder: Path, connections: int, delay: float = 0) -> Iterator[_Room]:
    folder.mkdir(parents=True, exist_ok=True)
    with running_sink(folder / f"taken-{connections}-{delay}", delay=delay, links=False) as sink:
        app = make_app(url, folder, sink.settings, connections)
        yield _Room(app, sink, connections)
        with app.app_context():
            db.engine.dispose()


def _memory(url: str, folder: Path, number: int) -> tuple[float, float, float]:
    """Resident megabytes of a worker's process after so many mails, five times and ten times as many."""
    spawn = multiprocessing.get_context("spawn")
    with _room(url, folder, 2) as room:
        process = spawn.Process(target=_work, args=(url, folder, room.sink.settings), daemon=True)
        process.start()
        found = []
        for tenth in range(1, 11):
            fill(room.app, number)
            while room.sink.count() < number * tenth:
                if not process.is_alive():
                    raise RuntimeError("the worker ended")
                time.sleep(0.1)
            found.append(psutil.Process(process.pid).memory_info().rss / 1e6)
        process.kill()
        process.join()
    return found[0], found[4], found[-1]


def _work(url: str, folder: Path, sink: dict[str, str]) -> None:
    app = make_app(url, folder, sink, 2)
    with app.app_context():
        while True:
            send_due(app.config["PORTAL"])
            time.sleep(0.1)


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


def make_app(url: str, folder: Path, sink: dict[str, str], connections: int) -> Flask:
    """The mail room as an application, on a database with a firm and a client."""
    app = Flask("mailroom")
    app.config["PORTAL"] = config.load(
        sink
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


def fill(app: Flask, number: int) -> None:
    """So many pending invites with their mails."""
    with app.app_context(), unit_of_work() as session:
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
