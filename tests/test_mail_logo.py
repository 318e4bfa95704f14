"""The firm's logo in its mails: attached, shown by the HTML, fetched from nowhere, the same at every attempt."""

from __future__ import annotations

import email
import email.policy
import hashlib
import io
import random
import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image

from mail import mailbox
from mail.logo import HIGHEST, LARGEST, WIDEST, MailLogo, mail_logo
from mail.mime import build
from mail.outbox import enqueue
from mail.worker import send_due
from models import Firm, FirmLogo, Invite, db, unit_of_work, utc_now
from models.database import statements
from tests.support.post import both_kinds, invite_mail, make_invite, post_office
from tests.support.smtp import MailServer
from tests.support.world import World, make_world
from tests.test_mail_mime import ENVELOPE


def png(size: tuple[int, int], noisy: bool = False) -> bytes:
    picture = Image.new("RGBA", size, "#7a1f4bcc")
    if noisy:
        picture = Image.frombytes("RGBA", size, random.Random(1).randbytes(4 * size[0] * size[1]))
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


def logo_of(data: bytes) -> MailLogo:
    return mail_logo(hashlib.sha256(data).hexdigest(), data)


def parsed(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)


def pictures(mail: EmailMessage) -> dict[str, bytes]:
    """What is attached, by Content-ID."""
    return {
        str(part["Content-ID"]).strip("<>"): bytes(part.get_content())
        for part in mail.walk()
        if part.get_content_maintype() == "image"
    }


def give_logo(world: World, data: bytes) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    with world.app.app_context(), unit_of_work() as session:
        db.session.get_one(Firm, world.firm_id).logo_sha256 = sha256
        session.add(FirmLogo(firm_id=world.firm_id, sha256=sha256, png=data))
    return f"logo-{sha256[:24]}@portal"


@pytest.mark.parametrize(
    ("size", "noisy"), [((480, 160), False), ((480, 160), True), ((40, 160), True), ((3, 1), False)]
)
def test_it_is_small_in_bytes_and_on_the_page(size: tuple[int, int], noisy: bool) -> None:
    logo = logo_of(png(size, noisy))
    assert logo.width <= WIDEST
    assert logo.height <= HIGHEST
    assert min(logo.width, logo.height) >= 1
    mail = parsed(build(ENVELOPE, "Hello", "<p>Hello</p>", logo.part))
    (data,) = pictures(mail).values()
    assert len(data) <= LARGEST
    with Image.open(io.BytesIO(data)) as made:
        assert made.format == "PNG"


def test_the_mail_is_an_alternative_of_text_and_of_html_with_its_picture() -> None:
    logo = logo_of(png((480, 160)))
    raw = build(ENVELOPE, "Hello\n", "<p>Hello</p>", logo.part)
    mail = parsed(raw)
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]
    assert not any(part.defects for part in mail.walk())
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert (plain.get_content().strip(), html.get_content().strip()) == ("Hello", "<p>Hello</p>")
    assert pictures(mail) == {logo.content_id: png((480, 160))}
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert raw == build(ENVELOPE, "Hello\n", "<p>Hello</p>", logo.part)


@pytest.fixture
def post(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    with both_kinds(backend, tmp_path, request) as app:
        yield app


def send(app: Flask) -> list[str]:
    with app.app_context(), statements() as asked:
        send_due(app.config["PORTAL"], utc_now())
    return asked


def put(world: World) -> None:
    invite_id = make_invite(world)
    with world.app.app_context(), unit_of_work():
        enqueue(**invite_mail(db.session.get_one(Invite, invite_id)))


def test_invites_carry_it_and_load_nothing(post: Flask, smtp: MailServer) -> None:
    world = make_world(post)
    put(world)
    assert not any("firm_logo" in one for one in send(post))  # who has none pays nothing for it
    assert pictures(smtp.mails[0].message) == {}
    assert "<img" not in smtp.mails[0].html
    content_id = give_logo(world, png((480, 160)))
    put(world)
    send(post)
    mail = smtp.mails[1]
    assert list(pictures(mail.message)) == [content_id]
    assert re.findall(r'src="([^"]*)"', mail.html) == [f"cid:{content_id}"]
    assert "Northwind Tax" in mail.html
    assert "cid:" not in mail.text


@pytest.mark.one_database
def test_the_built_in_mailbox_shows_it(tmp_path: Path) -> None:
    with post_office(tmp_path) as app:
        world = make_world(app)
        content_id = give_logo(world, png((480, 160)))
        put(world)
        send(app)
        settings = app.config["PORTAL"]
        (kept,) = mailbox.list_mails(settings)
        html = mailbox.read_mail(settings, kept.id).html
        assert f"cid:{content_id}" not in html
        assert 'src="data:image/png;base64,iVBOR' in html
