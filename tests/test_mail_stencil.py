"""A mail from a stencil equals the mail written by itself, byte for byte, whatever stands in names and texts."""

from __future__ import annotations

import string
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import config
from languages import LANGUAGES
from mail import compose
from mail.claim import Claimed
from mail.facts import Facts, SenderFacts
from mail.letter import Letter
from mail.logo import MailLogo
from mail.stencil import Person
from mail.words import FirmFacts, ItemFacts
from models import MailKind
from models.errors import Invalid

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
KINDS = [MailKind.INVITE, MailKind.REMINDER, MailKind.EXPIRY_WARNING]
NAMES = [
    "Charles Babbage", "Ada", "Hello", "Good morning", "Zoë Müller-Lüdenscheidt", "O'Neil <b>", "Dr. No", "日本 太郎", "",
    "a\r\nBcc: thief@bank.example", "x" * 200, '"Q" \\ O\'Neil', "Smith, Jones & Co", "www.bank.example", "=3D =\n.", "Ada  Byron",
]  # fmt: skip
MESSAGES = [
    "",
    "Hello {{ person.first_name }}, ten minutes.\n\n.\n..dots\nThanks, {{sender.name}}",
    "{{ person.first_name }} morning",
    "{{ person.name }}.example and h{{ person.first_name }}: //x",
    "Good {{ person.first_name }}, &amp; <b>bold</b> {{ client.name }} {{ item.title }} {{ item.due_on }}",
    "Dear {{ person.name }} " + "x" * 300 + " {{ invite.expires_on }} \t\n\n\n\nend \n",
]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> config.Settings:
    folder = tmp_path_factory.mktemp("stencil")
    return config.load(
        {"PORTAL_DATA_DIR": folder, "SECRET_KEY": "k" * 40, "PORTAL_BASE_URL": "https://p.example"}
    )


def a_batch(
    names: list[str],
    message: str,
    kind: MailKind = MailKind.INVITE,
    firm: FirmFacts | None = None,
    what: str = "sent you a survey",
) -> tuple[Facts, list[Claimed]]:
    """Facts and claimed mails as they come out of the database, for people of these names."""
    mails, invites = [], {}
    for number, name in enumerate(names):
        invites[f"i{number}"] = SimpleNamespace(
            id=f"i{number}", email_display=f"p{number}@x.example", client_id=f"c{number % 2}", expires_at=NOW,
            generation=1, invited_by_id="s",
        )  # fmt: skip
        mails.append(
            Claimed(
                id=f"m{number}", kind=kind, firm_id="f", to_email=f"p{number}@x.example", to_name=name,
                invite_id=f"i{number}", generation=1, item_id="w", access_id=None, accept_code_id=None, sender_id="s",
                params={"what": what, "message": message}, attempts=1, crashes=0,
                message_id=f"<m{number}@portal.example>", created_at=NOW, lease="l", lease_until=NOW,
            )
        )  # fmt: skip
    facts: Any = Facts(
        invites=invites,
        clients={"c0": "Byron & Family", "c1": "Engine Works"},
        firms={"f": firm or FirmFacts(name="Northwind Tax", phone="+1 555")},
        senders={"s": SenderFacts("Dana Reyes", "dana@northwind.example")},
        items={"w": ItemFacts("w", "Secret.pdf", "Byron & Family", NOW.date())},
        codes={},
    )
    return facts, mails


def written(write: Callable[[], Letter]) -> Letter | dict[str, list[str]]:
    """The letter, or what is wrong with the message."""
    try:
        return write()
    except Invalid as error:
        return dict(error.fields)


def assert_same(settings: config.Settings, facts: Facts, mails: list[Claimed]) -> None:
    """Both ways give the same mail, or fail in the same way."""
    writer = compose._Writer(settings, facts)
    for mail in mails:
        plain = written(partial(compose.write, settings, facts, mail))
        quick = written(partial(writer.write, mail))
        if isinstance(plain, dict) or isinstance(quick, dict):
            assert plain == quick
            continue
        assert quick.raw == plain.raw
        assert (quick.subject, quick.body, quick.html) == (plain.subject, plain.body, plain.html)
        assert (quick.recipients, quick.sender, quick.msgId) == (plain.recipients, plain.sender, plain.msgId)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shows_titles", [False, True])
@pytest.mark.parametrize("message", MESSAGES)
def test_hostile_names_and_messages(
    settings: config.Settings, kind: MailKind, shows_titles: bool, message: str
) -> None:
    firm = FirmFacts(name="Acme <ceo@bank.example> " + "é" * 60, phone="1 & 2", shows_titles=shows_titles)
    assert_same(settings, *a_batch(NAMES, message, kind, firm))


letters = st.text(
    st.characters(categories=["L", "Zs", "Po", "Pd"], include_characters="'. \n@:/=\x00"), max_size=40
)
plain_words = st.text(string.ascii_letters + " -'é", min_size=1, max_size=30)
placed = st.sampled_from(["{{ person.first_name }}", "{{ person.name }}", "{{client.name}}", "{{ nobody }}"])


@given(
    names=st.lists(st.one_of(letters, plain_words), min_size=1, max_size=4),
    pieces=st.lists(st.one_of(st.text(max_size=60), placed), max_size=6),
    firm=st.text(min_size=1, max_size=60),
    what=st.text(max_size=60),
    kind=st.sampled_from(KINDS),
    language=st.sampled_from(list(LANGUAGES)),
)
def test_anything_typed(
    settings: config.Settings,
    names: list[str],
    pieces: list[str],
    firm: str,
    what: str,
    kind: MailKind,
    language: str,
) -> None:
    facts = FirmFacts(name=firm.replace("\ud800", ""), language=language)
    assert_same(settings, *a_batch(names, "".join(pieces), kind, facts, what))


@pytest.mark.parametrize("kind", KINDS)
def test_a_firm_with_a_logo(settings: config.Settings, kind: MailKind) -> None:
    logo = MailLogo("logo-1@portal", 120, 40, b"\r\nContent-Type: image/png\r\n\r\niVBORw0KGgo=")
    facts, mails = a_batch(NAMES, "Hello", kind, FirmFacts(name="Northwind Tax", logo=logo))
    assert_same(settings, facts, mails)
    assert logo.part in compose.write(settings, facts, mails[0]).raw


def test_ordinary_people_share_one_stencil(settings: config.Settings) -> None:
    facts, mails = a_batch(["Charles Babbage", "Ada Byron", "Mary Ann O'Neil"], MESSAGES[1])
    writer = compose._Writer(settings, facts)
    for mail in mails:
        writer.write(mail)
    assert len(writer._stencils) == 1
    assert None not in writer._stencils.values()
    assert not Person("", "a@b.example", "l").is_ordinary


def test_writing_costs_a_thirtieth_of_the_email_package(settings: config.Settings) -> None:
    """Processor time, medians in turns; half of the goal is asked for here, as a test shares its machine."""
    facts, mails = a_batch([f"Charles Babbage {'x' * (n % 7 + 1)}" for n in range(300)], MESSAGES[1])
    letter = compose.write(settings, facts, mails[0])

    def usual() -> None:
        mail = EmailMessage()
        mail["From"], mail["To"] = "Northwind Tax <portal@example.com>", "Charles Babbage <p1@x.example>"
        mail["Reply-To"], mail["Subject"] = "Dana Reyes <dana@northwind.example>", letter.subject
        mail["Message-ID"], mail["Date"] = letter.msgId, NOW
        mail.set_content(letter.body)
        mail.add_alternative(letter.html, subtype="html")
        mail.as_bytes()

    ratios = []
    for turn in range(5):
        writer, begun = compose._Writer(settings, facts), time.process_time()
        for mail in mails:
            writer.write(replace(mail, to_email=f"p{turn}{mail.to_email}"))
        ours, begun = (time.process_time() - begun) / len(mails), time.process_time()
        for _ in range(20):
            usual()
        ratios.append((time.process_time() - begun) / 20 / ours)
    print(f"a mail from a stencil costs 1/{median(ratios):.0f} of EmailMessage and as_bytes")  # noqa: T201
    assert median(ratios) > 15
