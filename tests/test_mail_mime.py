"""Headers and bytes: whatever stands in a name or a text, the mail says it and nothing else."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.addresses import BadHeader, mailbox_header, one_line, plain_address, text_header
from mail.mime import Envelope, build

ENVELOPE = Envelope(
    from_name="Northwind Tax",
    from_address="portal@example.com",
    to_name="Charles Babbage",
    to_address="charles@engine-works.example",
    reply_to_name="Dana Reyes",
    reply_to_address="dana@northwind.example",
    subject="Northwind Tax: Dana Reyes sent you a survey",
    message_id="<01hzzzzzzzzzzzzzzzzzzzzzzz@example.com>",
    date=datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
)
HOSTILE = [
    "Smith, Jones & Co",
    "Acme <ceo@bank.example>",
    '"Q" \\ O\'Neil',
    "日本税理士法人",
    "ü (comment) @ ; :",
    "x" * 200,
    "Long words, " * 16,
    "=?utf-8?q?Bank?=",
    "a\r\nBcc: thief@bank.example",
    "a\nb\x00c\u2028d\u2029e\x85f",
    "\u202egnp.exe",
    "",
]
ONE_EACH = ["From", "To", "Subject", "Date", "Message-ID", "Reply-To", "Auto-Submitted"]


def parsed(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")  # lines end with CRLF on the wire


def test_the_mail_says_what_it_was_given() -> None:
    mail = parsed(build(ENVELOPE, "Hello\n\nthere\n", "<p>Hello</p>"))
    assert str(mail["From"]) == "Northwind Tax <portal@example.com>"
    assert str(mail["To"]) == "Charles Babbage <charles@engine-works.example>"
    assert str(mail["Reply-To"]) == "Dana Reyes <dana@northwind.example>"
    assert str(mail["Subject"]) == "Northwind Tax: Dana Reyes sent you a survey"
    assert str(mail["Date"]) == "Mon, 23 Nov 2026 09:30:00 +0000"
    assert str(mail["Message-ID"]) == ENVELOPE.message_id
    assert str(mail["Auto-Submitted"]) == "auto-generated"
    assert all(len(mail.get_all(name, [])) == 1 for name in ONE_EACH)
    assert body(mail, "plain") == "Hello\n\nthere\n"
    assert body(mail, "html") == "<p>Hello</p>"
    assert not mail.defects


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_changes_no_address_and_makes_no_header(name: str) -> None:
    envelope = replace(ENVELOPE, from_name=name, to_name=name, reply_to_name=name, subject=name)
    raw = build(envelope, "text", "<p>html</p>")
    mail = parsed(raw)
    for header, address in (
        ("From", "portal@example.com"),
        ("To", "charles@engine-works.example"),
        ("Reply-To", "dana@northwind.example"),
    ):
        assert [found.addr_spec for found in mail[header].addresses] == [address]
        assert mail[header].addresses[0].display_name == one_line(name)
    assert mail["Subject"] == one_line(name)
    assert sorted(set(mail.keys())) == sorted([*ONE_EACH, "MIME-Version", "Content-Type"])
    assert len(mail.keys()) == len(set(mail.keys()))
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    raw.decode("ascii")
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_a_long_foreign_name_is_folded_into_encoded_words_of_legal_length() -> None:
    name = "日本会計事務所" * 25
    header = mailbox_header(name, "portal@example.com")
    words = header.split("\r\n ")
    assert all(len(word) <= 75 for word in words)
    assert words[-1] == "<portal@example.com>"
    assert str(make_header(decode_header("".join(words[:-1])))) == name


@given(st.text(max_size=300))
def test_any_subject_survives(text: str) -> None:
    raw = f"Subject: {text_header(text)}\r\n\r\n".encode("ascii")
    assert parsed(raw)["Subject"] == one_line(text)
    assert all(len(line) <= 600 for line in raw.split(b"\r\n"))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=2000))
def test_any_text_arrives_identical(text: str) -> None:
    assert body(parsed(build(ENVELOPE, text, "<p>x</p>")), "plain") == text


@pytest.mark.parametrize(
    "text",
    [
        "a\n.\n..\n.b\n",
        "x" * 5000 + "\n",
        "From here\nFrom there\n",
        "🎉 ok\n" * 3,
        "tail blanks  \n\t\n",
        "ä" * 500_000,
    ],
    ids=["dots", "long-line", "from", "emoji", "blanks", "megabyte"],
)
def test_awkward_bodies_arrive_identical(text: str) -> None:
    raw = build(ENVELOPE, text, f"<p>{text}</p>")
    assert body(parsed(raw), "plain") == text
    assert body(parsed(raw), "html") == f"<p>{text}</p>"
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_the_same_facts_make_the_same_bytes() -> None:
    assert build(ENVELOPE, "text", "<p>html</p>") == build(ENVELOPE, "text", "<p>html</p>")


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example\r\nBcc: x@y.example",
        "a b@c.example",
        "<a@b.example>",
        "a@b.example, c@d.example",
        "a@ü.example",
        "",
        "a",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(BadHeader):
        plain_address(address)
    with pytest.raises(BadHeader):
        build(replace(ENVELOPE, to_address=address), "text", "<p>html</p>")
