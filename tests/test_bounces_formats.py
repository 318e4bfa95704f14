"""Reports that follow no standard: every format flufl.bounce knows, by mails of our own and by its own collection."""

from __future__ import annotations

import email
import importlib
import os
import pkgutil
import random
from pathlib import Path
from typing import Any

import flufl.bounce._detectors
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail import report_words, reports
from mail.report_text import TooMuch
from mail.reports import Kind, Report, parse
from tests.support.bounce_formats import FORMATS
from tests.support.bounce_samples import SAMPLES

MESSAGE_ID, TO = "<01hzzzzzzzzzzzzzzzzzzzzzzz@portal.example>", "gone@x.example"
ENOUGH = 0.95  # of the reports must be told apart; we count those with the wrong address as missed


def detectors() -> dict[str, Any]:
    """Module -> the detector in it, as the installed version of flufl.bounce has them."""
    names = [module.name for module in pkgutil.iter_modules(flufl.bounce._detectors.__path__)]
    found = {}
    for name in names:
        module = importlib.import_module(f"flufl.bounce._detectors.{name}")
        (found[name],) = (
            one
            for one in vars(module).values()
            if isinstance(one, type) and hasattr(one, "process") and one.__module__ == module.__name__
        )
    return found


def test_every_detector_has_a_mail_that_it_recognizes() -> None:
    recognized = {
        name: [
            key
            for key, sample in FORMATS.items()
            if key.startswith(f"{name}:")
            and any(kind().process(email.message_from_bytes(sample.raw(MESSAGE_ID, TO))))
        ]
        for name, kind in detectors().items()
    }
    assert {key for keys in recognized.values() for key in keys} == set(FORMATS)
    assert all(recognized.values()), recognized


def test_at_least_95_of_100_of_our_own_are_told_apart() -> None:
    missed = []
    for key, sample in FORMATS.items():
        report = parse(sample.raw(MESSAGE_ID, TO))
        told = report.kind is report.about(TO).kind is sample.kind
        named = not sample.named or TO in report.about(TO).addresses
        ours = bool(report.message_ids) and MESSAGE_ID in report.message_ids[0]
        if not (told and named and ours):
            missed.append((key, report))
    assert len(missed) <= (1 - ENOUGH) * len(FORMATS), missed


def test_at_least_95_of_100_of_the_collection_of_flufl_bounce_are_told_apart() -> None:
    """BOUNCE_CORPUS is tests/data of flufl.bounce's source package (its wheel has none), which .ci/run fetches."""
    folder = os.environ.get("BOUNCE_CORPUS")
    if not folder:
        pytest.skip(
            "BOUNCE_CORPUS names no folder with flufl.bounce's test mails (docs/bounces.md says how to get them)"
        )
    files = sorted(Path(folder).glob("*.txt"))
    kinds = {path.stem: parse(path.read_bytes()).kind for path in files}
    told = [name for name, kind in kinds.items() if kind in {Kind.PERMANENT, Kind.TEMPORARY, Kind.COMPLAINT}]
    assert len(told) / len(files) >= ENOUGH, sorted(set(kinds) - set(told))


# What nobody would write: the reader may say that it can't read it, and nothing else

ALL = SAMPLES | FORMATS
CHARSETS = (
    "us-ascii",
    "utf-8",
    "utf-16",
    "utf-7",
    "idna",
    "punycode",
    "rot13",
    "x-unknown",
    "koi8-r",
    "",
    "\xff\x00",
)
ENCODINGS = ("7bit", "8bit", "base64", "quoted-printable", "x-uuencode", "bogus", "")
LEAVES = ("text/plain", "text/html", "message/delivery-status", "message/feedback-report", "text/rfc822-headers",
          "message/disposition-notification", "image/png", "text", "")  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=120), st.sampled_from(sorted(ALL)).map(lambda name: ALL[name].raw(MESSAGE_ID, TO))
)


def leaf(kind: str, charset: str, encoding: str, body: bytes) -> bytes:
    head = f"Content-Type: {kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode("utf-8", "surrogateescape") + body


def within(inner: list[bytes], boundary: str, kind: str) -> bytes:
    head = f'Content-Type: {kind}; boundary="{boundary}"\r\n\r\n'.encode()
    return head + b"".join(f"--{boundary}\r\n".encode() + one + b"\r\n" for one in inner)


NESTED = st.recursive(
    st.builds(leaf, *(st.sampled_from(some) for some in (LEAVES, CHARSETS, ENCODINGS)), BODIES),
    lambda inner: st.one_of(
        st.builds(
            within,
            st.lists(inner, max_size=4),
            st.sampled_from(("b", "BB", "b b", "")),
            st.sampled_from(
                ("multipart/mixed", "multipart/report; report-type=delivery-status", "multipart/digest")
            ),
        ),
        inner.map(lambda one: b"Content-Type: message/rfc822\r\n\r\n" + one),
    ),
    max_leaves=12,
)


@given(NESTED, st.integers(0, 40), st.integers(0, 3000))
@settings(max_examples=150)
def test_any_nesting_in_any_charset_is_read(mail: bytes, depth: int, length: int) -> None:
    head = (
        b"Subject: " + b"long " * length + b"\r\nX-Failed-Recipients: " + b"a@b.example, " * length + b"\r\n"
    )
    raw = head + b"Content-Type: message/rfc822\r\n\r\n" * depth + mail
    try:
        report = reports._parse(raw)  # past the net: nothing else may even be caught
    except TooMuch:
        report = parse(raw)
        assert report.kind is Kind.UNREADABLE
    assert_harmless(report)


@given(st.sampled_from(sorted(ALL)), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_damaged_reports_are_read(name: str, chance: random.Random) -> None:
    raw = bytearray(ALL[name].raw(MESSAGE_ID, TO))
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(len(raw))
        match chance.randrange(4):
            case 0:
                raw[at] = chance.randrange(256)
            case 1:
                del raw[at : at + chance.randint(1, 80)]
            case 2:
                raw[at:at] = raw[at : at + chance.randint(1, 200)]
            case _:
                raw[at:at] = bytes([chance.randrange(256)]) * chance.randint(1, 5)
        if not raw:
            return
    assert_harmless(parse(bytes(raw)))


def assert_harmless(report: Report) -> None:
    """Whatever it holds, staff read printable words of some length."""
    for failure in report.failures:
        words = report_words.reason(failure.status, failure.said)
        assert words.isprintable()
        assert len(words) <= report_words.MOST_WORDS
