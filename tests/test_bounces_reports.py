"""Reading delivery reports: every shape is told apart, and no bytes crash or stall the reader."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail import report_words, reports
from mail.reports import MOST_BYTES, Kind, Report, parse
from tests.support.bounce_samples import SAMPLES

MESSAGE_ID, TO = "<01hzzzzzzzzzzzzzzzzzzzzzzz@portal.example>", "gone@x.example"
SECONDS = 5.0  # of a processor, for the worst mail


@pytest.mark.parametrize("name", SAMPLES)
def test_each_shape_is_told_apart(name: str) -> None:
    sample = SAMPLES[name]
    report = parse(sample.raw(MESSAGE_ID, TO))
    failure = report.about(TO)
    assert (report.kind, failure.kind) == (sample.kind, sample.kind)
    assert report.message_ids, "it names our mail"
    assert MESSAGE_ID in report.message_ids[0]
    if sample.status:
        assert failure.status == sample.status
    if sample.named and sample.kind is not Kind.DELIVERED:
        assert TO in failure.addresses
    if sample.words and sample.kind is not Kind.COMPLAINT:
        assert sample.words in report_words.reason(failure.status, failure.said)


def test_the_line_that_names_our_address_counts() -> None:
    fields = (
        "Content-Type: multipart/report; boundary=B\n\n--B\nContent-Type: message/delivery-status\n\n"
        "Reporting-MTA: dns; a\n\nFinal-Recipient: rfc822; OTHER@x.example\nAction: failed\nStatus: 5.1.1\n\n"
        "Final-Recipient: rfc822; Gone@X.example\nAction: delayed\nStatus: 4.4.1\n\n--B--\n"
    )
    report = parse(fields.encode())
    assert report.kind is Kind.PERMANENT
    assert report.about("gone@x.example").kind is Kind.TEMPORARY
    assert report.about("other@x.example").status == "5.1.1"


def test_a_status_part_that_was_encoded_against_the_rules_is_read() -> None:
    encoded = "RmluYWwtUmVjaXBpZW50OiByZmM4MjI7IGdvbmVAeC5leGFtcGxlCkFjdGlvbjogZmFpbGVkClN0YXR1czogNS4xLjEK"
    raw = (
        "Content-Type: multipart/report; boundary=B\n\n--B\nContent-Type: message/delivery-status\n"
        f"Content-Transfer-Encoding: base64\n\n{encoded}\n\n--B--\n"
    )
    failure = parse(raw.encode()).about(TO)
    assert (failure.kind, failure.status, failure.addresses) == (Kind.PERMANENT, "5.1.1", frozenset({TO}))


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        ("5.1.1", "", "There is no such mailbox."),
        ("5.2.2", "", "The mailbox is full."),
        ("4.4.7", "", "The person's mail server could not be reached in time."),
        ("", "552 quota exceeded", "The mailbox is full. The mail server said: 552 quota exceeded"),
        (
            "5.7.1",
            "550 5.7.1 user unknown",
            "There is no such mailbox. The mail server said: 550 5.7.1 user unknown",
        ),
        ("", "", "The mail could not be delivered."),
        ("5.1.1", "a\r\nb\x00c\u202ed", "There is no such mailbox. The mail server said: a b cd"),
        ("5.1.1", "x" * 900, "There is no such mailbox. The mail server said: " + "x" * 199 + "…"),
    ],
)
def test_reasons_are_words_for_people(status: str, said: str, words: str) -> None:
    assert report_words.reason(status, said) == words


def test_too_large_is_no_report() -> None:
    assert parse(b"a" * (MOST_BYTES + 1)) == Report(Kind.UNREADABLE)


# What nobody would send by accident


def nested(depth: int) -> bytes:
    heads = [f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(depth)]
    return "".join(heads).encode() + b"x\n" * 10_000


def wrapped(depth: int) -> bytes:
    return b"Content-Type: message/rfc822\n\n" * depth + b"Subject: x\n\nx"


BOMBS = {
    "nested multiparts": nested(2000),
    "nested mails": wrapped(20_000),
    "many parts": b"Content-Type: multipart/report; boundary=b\n\n" + b"--b\n\nx\n" * 100_000,
    "many status blocks": b"Content-Type: message/delivery-status\n\n" + b"Action: failed\n\n" * 60_000,
    "one long header": b"Subject: " + b"a " * 500_000 + b"\n\nx",
    "one long parameter": b"Content-Type: text/plain; " + b'a";' * 300_000 + b"\n\nx",
    "folded for ever": b"Content-Type: text/plain;\n" + b' a="b;";\n' * 110_000 + b"\n\nx",
    "continued parameters": b"Content-Type: text/plain;\n"
    + b"".join(b" a*%d=b;\n" % n for n in range(80_000))
    + b"\n",
    "encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 70_000 + b"\n\nx",
    "empty lines": b"\n" * 1_000_000,
    "punycode": b"Content-Type: text/plain; charset=punycode\n\n" + b"\xff" + b"abc-9" * 200_000,
    "idna": b"Content-Type: text/plain; charset=idna\n\n" + b"\xff" + b"abc." * 200_000,
    "unknown charset": b"Content-Type: text/plain; charset=\xff\xfe\x00\n\n\xff\xfe",
    "charset in pieces": b"Content-Type: text/plain; charset*0*=''pu; charset*1*=nycode\n\n"
    + b"\xffa-b9" * 200_000,
    "utf-16 boundary": 'Content-Type: multipart/mixed; boundary="\ud83d"'.encode("utf-16", "surrogatepass"),
    "angle brackets": b"\n\n" + b"<" * 1_000_000,
    "at signs": b"From: mailer-daemon\n\n" + b"a@" * 500_000,
    "ids": b"References: " + b"<a@b>" * 200_000 + b"\n\n" + b"message-id: <a@b>\n" * 50_000,
    "tags": b"Content-Type: text/html\n\n" + b"<a " * 300_000,
    "codes": b"From: postmaster\nSubject: failure notice\n\n" + b"550 5.1.1 " * 100_000,
    "words": b"From: mailer-daemon\nSubject: failure\n\n" + b"user " * 200_000,
    "original": b"From: mailer-daemon\n\n" + b"\n-------- " * 100_000,
    "uuencoded": b"Content-Transfer-Encoding: x-uuencode\n\nbegin 666 a\n" + b"M" * 100_000,
    "base64": b"Content-Transfer-Encoding: base64\n\n" + b"=A" * 500_000,
    "status in base64": b"Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n"
    + b"A===" * 250_000,
    "nothing": b"",
    "one byte": b"\x00",
    "only a boundary": b"Content-Type: multipart/report; boundary=\n\n--\n--\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_little(name: str) -> None:
    begun = time.process_time()  # what it costs this process; the machine may pause as it likes
    report = parse(BOMBS[name][:MOST_BYTES])
    assert time.process_time() - begun < SECONDS
    assert isinstance(report.kind, Kind)


@given(st.binary(max_size=2000))
@settings(max_examples=50)
def test_any_bytes_are_read(raw: bytes) -> None:
    assert isinstance(parse(raw), Report)


HEADERS = st.sampled_from(
    ["Content-Type", "Content-Transfer-Encoding", "Subject", "From", "Action", "Status", "Final-Recipient",
     "Diagnostic-Code", "Feedback-Type", "References", "Message-ID", "Return-Path", "X-Failed-Recipients"]
)  # fmt: skip
VALUES = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["message/delivery-status", "message/rfc822", "multipart/report; boundary=b", "text/html; charset=utf-7",
         "base64", "quoted-printable", "failed", "delayed", "5.1.1", "rfc822; a@b.example", "<>", "<a@b>", "abuse",
         "message/feedback-report", "text/rfc822-headers", "=?utf-8?b?////?=", "=?x?q?=ff?="]
    ),
)  # fmt: skip
LINES = st.one_of(
    st.tuples(HEADERS, VALUES).map(lambda pair: f"{pair[0]}: {pair[1]}"),
    st.sampled_from(
        ["", "--b", "--b--", " folded", "550 5.1.1 no such user", "user@x.example", "begin 666 x"]
    ),
    st.text(max_size=40),
)


@given(st.lists(LINES, max_size=40).map("\n".join))
@settings(max_examples=80)
def test_any_mail_made_of_real_pieces_is_read(text: str) -> None:
    report = reports._parse(text.encode("utf-8", "surrogatepass"))  # past the net: nothing may even be caught
    assert isinstance(report.kind, Kind)
