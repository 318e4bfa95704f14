"""PDFs to sign, from the upload to the seal: what a person sees on the pages, and what a validator says of the file."""

import dataclasses
import hashlib
import io
import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import FreeText
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    RectangleObject,
    TextStringObject,
)
from reportlab.pdfgen.canvas import Canvas

from workflows.esign_request.certificate import (
    TITLE,
    Evidence,
    SignerEvidence,
    TimelineEvent,
    certificate_page,
)
from workflows.esign_request.lettering import REGULAR, SCRIPT, clean, drawing, runs, width_of, wrapped
from workflows.esign_request.pdf import WIDEST_PICTURE, BadPdf, inspect_pdf, page_frames, page_picture
from workflows.esign_request.sample import (
    CLIENT_DATE,
    CLIENT_SIGNATURE,
    engagement_letter,
    tax_return_summary,
)
from workflows.esign_request.sealing import (
    FIELD_NAME,
    BadSealingKey,
    BadStamp,
    SealingKey,
    Stamp,
    make_sealing_key,
    seal,
    verify,
)

pytestmark = pytest.mark.one_database

NOW = datetime(2026, 11, 12, 14, 3, 22, tzinfo=UTC)


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@cache
def sealing_key() -> SealingKey:
    return SealingKey.load(*make_sealing_key("Portal Invites, Byron & Co", NOW))


def drawn(pages: int = 1, size: tuple[float, float] = (600, 800)) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=size, invariant=1)
    for page in range(1, pages + 1):
        canvas.drawString(60, 60, f"Page {page}")
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def inner(holder: Any, *names: str | int) -> Any:
    """What lies inside a PDF object, step by step."""
    for name in names:
        holder = holder[name].get_object()
    return holder


def rewritten(data: bytes, change: Callable[[PdfWriter], object]) -> bytes:
    """The document after `change(writer)`."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    change(writer)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def evidence_for(data: bytes, **more: Any) -> Evidence:
    signer = SignerEvidence(
        name="Ada Lovelace",
        email="ada@example.com",
        status="Signed",
        typed_signature="Ada Lovelace",
        signed_at=NOW - timedelta(hours=1),
        viewed_at=NOW - timedelta(hours=2),
        ip="203.0.113.7",
        browser="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
        identified="Signed in to the Client Portal as ada@example.com; invited by mail to ada@example.com",
    )
    facts: dict[str, Any] = {
        "title": "Engagement letter 2026",
        "firm": "Byron & Co",
        "sha256": hashlib.sha256(data).hexdigest(),
        "signers": [signer],
        "events": [TimelineEvent(NOW - timedelta(hours=1), "Ada Lovelace signed.", "203.0.113.7")],
        "file_name": "letter.pdf",
        "pages": 2,
        "sent_by": "Grace Hopper",
        "sent_at": NOW - timedelta(days=1),
        "completed_at": NOW,
        "zone": "America/New_York",
    }
    return Evidence(**(facts | more))


def sealed(data: bytes, *stamps: Stamp) -> bytes:
    return seal(data, evidence_for(data), sealing_key(), stamps, NOW).data


@cache
def sealed_letter() -> bytes:
    return sealed(
        engagement_letter("Byron & Co", "Ada Lovelace", 2026), Stamp(*CLIENT_SIGNATURE, "signature", "Ada")
    )


def text_of(data: bytes) -> str:
    pages = PdfReader(io.BytesIO(data)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def picture(data: bytes, page: int = 1, width: int = 600) -> Image.Image:
    return Image.open(io.BytesIO(page_picture(data, page, width)))


def form_pdf(value: str = "Filled in by Ada") -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(600, 800), invariant=1)
    canvas.acroForm.textfield(name="who", value=value, x=100, y=400, width=300, height=30)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def code_of(data: bytes) -> str:
    with pytest.raises(BadPdf) as caught:
        inspect_pdf(data)
    assert caught.value.sentence.endswith(".")
    return caught.value.code


# What may be signed


def test_facts_of_a_good_document():
    data = drawn(3)
    facts = inspect_pdf(data)
    assert (facts.pages, facts.sizes[2], facts.size_bytes) == (3, (600, 800), len(data))
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert not facts.has_form
    assert inspect_pdf(form_pdf()).has_form


@pytest.mark.parametrize(
    "data, code",
    [
        (b"", "empty"),
        (b"PK\x03\x04 a spreadsheet", "not_pdf"),
        (b"\x00" * 5000, "not_pdf"),
        (b"%PDF-1.7", "damaged"),
        (b"%PDF-1.7\n%%EOF", "damaged"),
        (b"<html>%PDF-1.7</html>", "damaged"),
    ],
)
def test_what_is_no_pdf_is_told_apart(data, code):
    assert code_of(data) == code


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_off_documents_are_damaged(share):
    data = engagement_letter("Byron & Co", "Ada", 2026)
    assert code_of(data[: int(len(data) * share)]) == "damaged"


@pytest.mark.parametrize("password", ["", "secret"])
@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_protected_documents(password, algorithm):
    data = rewritten(drawn(), lambda writer: writer.encrypt(password, "owner", algorithm=algorithm))
    assert code_of(data) == "encrypted"


def test_no_pages_and_too_many_pages():
    assert code_of(rewritten(drawn(), lambda writer: writer.remove_page(0))) == "no_pages"
    assert inspect_pdf(drawn(500)).pages == 500
    with pytest.raises(BadPdf, match="501 pages; at most 500") as caught:
        inspect_pdf(drawn(501))
    assert caught.value.code == "too_many_pages"


def test_xfa_forms_are_refused_with_the_reason():
    def add_xfa(writer: PdfWriter) -> None:
        xml = DecodedStreamObject()
        xml.set_data(b"<xdp:xdp xmlns:xdp='http://ns.adobe.com/xdp/'/>")
        inner(writer.root_object, "/AcroForm")[NameObject("/XFA")] = writer._add_object(xml)

    with pytest.raises(BadPdf, match="made by a program each time") as caught:
        inspect_pdf(rewritten(form_pdf(), add_xfa))
    assert caught.value.code == "xfa"


def test_an_already_signed_document_is_refused():
    assert code_of(sealed_letter()) == "signed"


@examples(100)
@given(st.binary(max_size=2000))
@example(b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 1 0 R>>endobj trailer<</Root 1 0 R>>")
@example(b"%PDF-1.4\n" + b"[" * 5000)
@example(b"%PDF-1.4\n1 0 obj" + b"<</A" * 3000)
def test_any_bytes_are_good_or_bad_and_nothing_else(data):
    for candidate in (data, b"%PDF-1.7\n" + data):
        try:
            inspect_pdf(candidate)
        except BadPdf as error:
            assert error.sentence  # noqa: PT017


def damaged(data: bytes, seed: int) -> bytes:
    """The document with a few bytes changed, cut out or doubled."""
    chance = random.Random(seed)
    result = bytearray(data)
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(len(result))
        match chance.randrange(4):
            case 0:
                result[at] = chance.randrange(256)
            case 1:
                del result[at : at + chance.randrange(1, 200)]
            case 2:
                result[at:at] = result[at : at + chance.randrange(1, 200)]
            case _:
                result[at : at + 1] = str(chance.choice([-1, 0, 2**31, 2**63, 9, 1e30])).encode()
    return bytes(result)


@examples(30)
@given(st.sampled_from(["plain", "form", "letter"]), st.integers(0, 2**32))
def test_damaged_documents_are_refused_or_can_be_signed(kind, seed):
    source = {"plain": drawn(2), "form": form_pdf(), "letter": engagement_letter("B", "A", 2026)}[kind]
    data = damaged(source, seed)
    try:
        facts = inspect_pdf(data)
    except BadPdf:
        return
    # What was let in at upload must not fail later: not for the first signer, and not after the last one.
    assert page_picture(data, facts.pages, 80)
    result = sealed(data, Stamp(1, 0.1, 0.1, 0.3, 0.1, "signature", "Ada"))
    assert verify(result, sealing_key().certificate_pem).ok


# Pictures of pages


def test_a_picture_is_a_png_of_the_asked_width():
    assert picture(drawn(2), 2, 300).size == (300, 400)
    assert picture(drawn(1, (800, 600)), 1, 400).size == (400, 300)
    assert picture(drawn(), 1, 10**9).size[0] <= WIDEST_PICTURE
    assert picture(drawn(), 1, -5).size[0] >= 1


@pytest.mark.parametrize("page", [0, 3, -1])
def test_a_page_that_is_not_there(page):
    with pytest.raises(BadPdf, match="2 pages; there is no page") as caught:
        page_picture(drawn(2), page, 300)
    assert caught.value.code == "no_such_page"


def test_a_page_like_a_thread_stays_a_small_picture():
    thin = picture(drawn(1, (1, 14_000)), 1, 3000)
    assert thin.size[0] * thin.size[1] < 13_000_000


def test_pictures_by_many_threads_are_the_same():
    data = engagement_letter("Byron & Co", "Ada", 2026)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: page_picture(data, 1 + number % 2, 200), range(40)))
    assert len(set(results)) == 2


def test_form_values_show_on_the_picture():
    assert picture(form_pdf("A long value filled in")).tobytes() != picture(form_pdf("")).tobytes()


# Stamps on pages


def ink(before: Image.Image, after: Image.Image) -> tuple[float, float, float, float]:
    """Where the two differ, as fractions: left, top, right, bottom."""
    box = ImageChops.difference(before, after).convert("L").point(lambda v: 255 * (v > 40)).getbbox()
    assert box is not None, "nothing was drawn"
    left, top, right, bottom = box
    width, height = before.size
    return left / width, top / height, right / width, bottom / height


BOXES = {
    "plain": ((0, 0, 600, 800), None),
    "moved": ((-100, 50, 500, 850), None),
    "cropped": ((0, 0, 800, 1000), (100, 150, 700, 850)),
    "crop beyond media": ((50, 60, 650, 860), (0, 0, 500, 900)),
}


@pytest.mark.parametrize("rotation", [0, 90, 180, 270, -90, 450])
@pytest.mark.parametrize("boxes", BOXES)
def test_stamps_land_where_they_were_placed_on_the_picture(boxes, rotation):
    media, crop = BOXES[boxes]

    def turn(writer: PdfWriter) -> None:
        page = writer.pages[0]
        page.mediabox = RectangleObject(media)
        if crop:
            page.cropbox = RectangleObject(crop)
        page[NameObject("/Rotate")] = NumberObject(rotation)

    data = rewritten(drawn(), turn)
    # A check box is upright and fills its place when that is square: it shows place, size and direction.
    width, height = inspect_pdf(data).sizes[0]
    side = 14.0
    box = Stamp(1, 0.7, 0.2, side / width, side / height, "checkbox", "yes")
    words = Stamp(1, 0.2, 0.55, 0.4, 0.05, "text", "upright words")
    after = picture(sealed(data, box, words), 1, 1200)
    before = picture(data, 1, 1200)
    assert before.size == after.size
    upper = (0, 0, before.width, int(before.height * 0.4))
    left, top, right, bottom = ink(before.crop(upper), after.crop(upper))
    assert left == pytest.approx(0.7, abs=0.004)
    assert top * 0.4 == pytest.approx(0.2, abs=0.004)
    assert right == pytest.approx(0.7 + side / width, abs=0.004)
    assert bottom * 0.4 == pytest.approx(0.2 + side / height, abs=0.004)
    lower = (0, upper[3], before.width, before.height)
    left, top, right, bottom = ink(before.crop(lower), after.crop(lower))
    assert left == pytest.approx(0.2, abs=0.01)
    assert (right - left) * width > 4 * (bottom - top) * height * 0.6  # The words lie on their line.


def test_each_type_is_drawn_in_its_place_and_readable():
    data = drawn(2)
    stamps = [
        Stamp(1, 0.1, 0.1, 0.4, 0.06, "signature", "Ada Lovelace", "Ada Lovelace, 12 November 2026"),
        Stamp(1, 0.1, 0.3, 0.1, 0.05, "initials", "AL"),
        Stamp(2, 0.1, 0.1, 0.3, 0.04, "date", "12 November 2026"),
        Stamp(2, 0.1, 0.3, 0.3, 0.1, "text", "Trading as\nEngine Works"),
        Stamp(2, 0.1, 0.6, 0.05, 0.05, "checkbox", ""),
    ]
    result = sealed(data, *stamps)
    first, second = (page.extract_text() for page in PdfReader(io.BytesIO(result)).pages[:2])
    assert "Ada Lovelace, 12 November 2026" in first
    assert "AL" in first
    assert "12 November 2026" in second
    assert "Engine Works" in second
    for stamp in stamps:
        left, top, right, bottom = (stamp.x, stamp.y, stamp.x + stamp.width, stamp.y + stamp.height)
        before, after = picture(data, stamp.page), picture(result, stamp.page)
        width, height = before.size
        area = (int(left * width), int(top * height), int(right * width), int(bottom * height))
        assert ImageChops.difference(before.crop(area), after.crop(area)).getbbox()


@pytest.mark.parametrize("kind", ["signature", "initials", "date", "text"])
def test_long_and_hostile_texts_stay_in_their_place(kind):
    data = drawn()
    before = picture(data)
    for text in (
        "W" * 3000,
        "very long words " * 300,
        "\u202eevil\x00 (\\) <b>&amp;\n" * 20,
        "山田太郎" * 50,
    ):
        result = sealed(data, Stamp(1, 0.3, 0.4, 0.3, 0.08, kind, text))
        left, top, right, bottom = ink(before, picture(result))
        assert left >= 0.29
        assert right <= 0.61
        assert top >= 0.38
        assert bottom <= 0.5


@pytest.mark.parametrize(
    "place",
    [
        (0, 0.1, 0.1, 0.1, 0.1),
        (1, -0.1, 0.1, 0.1, 0.1),
        (1, 0.95, 0.1, 0.1, 0.1),
        (1, 0.1, 0.1, 0, 0.1),
        (1, 0.1, 0.1, float("nan"), 0.1),
        (1, 0.1, float("inf"), 0.1, 0.1),
    ],
)
def test_places_off_the_page_are_refused(place):
    page, x, y, width, height = place
    with pytest.raises(BadStamp):
        Stamp(page, x, y, width, height, "text", "x")


def test_an_unknown_type_and_a_missing_page_are_refused():
    with pytest.raises(BadStamp, match="signature, initials, date, text, checkbox"):
        Stamp(1, 0.1, 0.1, 0.1, 0.1, "stamp", "x")
    with pytest.raises(BadPdf, match="no page 2"):
        sealed(drawn(1), Stamp(2, 0.1, 0.1, 0.1, 0.1, "text", "x"))


CARELESS = {
    "leaves its scale": b"q 0.2 0 0 0.2 300 10 cm q q",
    "closes too much": b"Q Q Q 1 0 0 1 0 0 cm",
    "clips": b"q 0 0 10 10 re W n",
    "leaves a text open": b"BT 3 Tr (x) Tj",
    "leaves a hidden layer open": b"/OC << /Type /OCG >> BDC",
    "breaks off in a string": b"BT (never closed",
    "breaks off in an image": b"BI /W 1 /H 1 /BPC 8 /CS /G ID x",
    "ends in a comment": b"q Q % the end",
    "is empty": b"",
}


@pytest.mark.parametrize("content", CARELESS)
@pytest.mark.parametrize("parts", [1, 2])
def test_careless_content_does_not_move_hide_or_swallow_the_signature(content, parts):
    def replace(writer: PdfWriter) -> None:
        streams = []
        for _ in range(parts):
            stream = DecodedStreamObject()
            stream.set_data(CARELESS[content])
            streams.append(writer._add_object(stream))
        writer.pages[0][NameObject("/Contents")] = ArrayObject(streams) if parts > 1 else streams[0]

    check_signature_shows(rewritten(drawn(), replace))


def check_signature_shows(data: bytes) -> None:
    inspect_pdf(data)
    result = sealed(data, Stamp(1, 0.25, 0.25, 0.5, 0.06, "signature", "Ada Lovelace"))
    left, top, right, bottom = ink(picture(data), picture(result))
    assert 0.25 <= left <= 0.28
    assert right - left > 0.2
    assert 0.24 <= top < bottom <= 0.33


def test_pages_without_content_or_with_content_nobody_can_read():
    def remove(writer: PdfWriter) -> None:
        del writer.pages[0]["/Contents"]

    def garble(writer: PdfWriter) -> None:
        inner(writer.pages[0], "/Contents")._data = b"\x00 no deflated data \xff"

    def unknown(writer: PdfWriter) -> None:
        inner(writer.pages[0], "/Contents")[NameObject("/Filter")] = NameObject("/Secret")

    for change in (remove, garble, unknown):
        check_signature_shows(rewritten(drawn(), change))


def test_content_taken_into_a_form_still_shows():
    def spoil(writer: PdfWriter) -> None:
        stream = DecodedStreamObject()
        stream.set_data(inner(writer.pages[0], "/Contents").get_data() + b" q 2 0 0 2 0 0 cm")
        writer.pages[0][NameObject("/Contents")] = writer._add_object(stream)

    data = rewritten(drawn(), spoil)
    box = ink(picture(data), picture(sealed(data, Stamp(1, 0.25, 0.25, 0.5, 0.06, "signature", "Ada"))))
    assert box[1] > 0.2
    assert box[3] < 0.4  # The words at the foot of the page are unchanged.
    assert "Page 1" in text_of(sealed(data, Stamp(1, 0.25, 0.25, 0.5, 0.06, "signature", "Ada")))


def test_pages_that_share_their_resources_keep_their_own_stamps():
    def share(writer: PdfWriter) -> None:
        tree = inner(writer.root_object, "/Pages")
        tree[NameObject("/Resources")] = writer.pages[0]["/Resources"]
        for page in writer.pages:
            del page["/Resources"]

    data = rewritten(drawn(2), share)
    result = sealed(
        data, Stamp(1, 0.1, 0.1, 0.5, 0.1, "text", "First"), Stamp(2, 0.1, 0.1, 0.5, 0.1, "text", "Second")
    )
    first, second = (page.extract_text() for page in PdfReader(io.BytesIO(result)).pages[:2])
    assert "First" in first
    assert "Second" not in first
    assert "Page 1" in first
    assert "Second" in second
    assert "Page 2" in second


def test_a_page_tree_in_disorder_keeps_its_pages_and_what_they_inherit():
    def disorder(writer: PdfWriter) -> None:
        top = inner(writer.root_object, "/Pages")
        middle = DictionaryObject(
            {NameObject("/Count"): NumberObject(7), NameObject("/Rotate"): NumberObject(90)}
        )
        reference = writer._add_object(middle)
        middle[NameObject("/Kids")], middle[NameObject("/Parent")] = top["/Kids"], top.indirect_reference
        for page in writer.pages:
            page[NameObject("/Parent")] = reference
            page.pop("/Rotate", None)
        top[NameObject("/Kids")] = ArrayObject([reference])

    data = rewritten(drawn(2), disorder)
    assert inspect_pdf(data).sizes == ((800, 600), (800, 600))
    result = sealed(data, Stamp(2, 0.25, 0.25, 0.5, 0.06, "signature", "Ada"))
    assert picture(result, 1).tobytes() == picture(data, 1).tobytes()
    assert ink(picture(data, 2), picture(result, 2))[1] == pytest.approx(0.25, abs=0.03)


def test_frames_follow_the_shown_page():
    frame = page_frames(drawn(1, (300, 200)), [1])[1]
    assert (frame.width, frame.height) == pytest.approx((300, 200), abs=0.01)


# The sealed document


def test_the_seal_is_pades_and_allows_no_changes():
    data = drawn(2)
    result = seal(data, evidence_for(data), sealing_key(), [], NOW)
    assert result.sha256 == hashlib.sha256(result.data).hexdigest()
    (signature,) = PdfFileReader(io.BytesIO(result.data)).embedded_regular_signatures
    assert signature.field_name == FIELD_NAME
    assert signature.sig_object["/SubFilter"] == "/ETSI.CAdES.detached"
    (reference,) = signature.sig_object["/Reference"]
    assert reference.get_object()["/TransformParams"]["/P"] == 1
    assert signature.self_reported_timestamp == NOW
    report = verify(result.data, sealing_key().certificate_pem)
    assert report.ok
    assert (report.intact, report.covers_whole_file, report.signer) == (
        True,
        True,
        "Portal Invites, Byron & Co",
    )
    assert report.signed_at == NOW
    assert report.sentence == (
        "Sealed by Portal Invites, Byron & Co on 12 November 2026, 14:03 UTC. Nothing was changed since."
    )


def test_without_stamps_only_the_certificate_is_added():
    data = drawn(2)
    result = sealed(data)
    assert len(PdfReader(io.BytesIO(result)).pages) == 3
    assert picture(result, 1).tobytes() == picture(data, 1).tobytes()
    last = PdfReader(io.BytesIO(result)).pages[2].extract_text()
    assert TITLE in last
    assert hashlib.sha256(data).hexdigest() in "".join(last.split())


def test_any_byte_changed_is_noticed():
    good, pem = sealed_letter(), sealing_key().certificate_pem
    chance = random.Random(7)
    _, start, end, _ = PdfFileReader(io.BytesIO(good)).embedded_regular_signatures[0].byte_range
    covered = [at for at in (chance.randrange(len(good)) for _ in range(120)) if not start <= at < end]
    # The place of the signature is the one that no hash covers: its brackets, the certificate, the filling behind it.
    beside = [start, end - 1, *range(end - 300, end - 100, 7), *range(start + 500, start + 1500, 13)]
    for at in [0, 5, 9, len(good) - 3, *covered, *beside]:
        bad = bytearray(good)
        bad[at] ^= 1
        assert not verify(bytes(bad), pem).ok, at


@pytest.mark.parametrize("added", [b"\n", b"% nothing\n", b"\x00" * 100])
def test_anything_appended_is_noticed(added):
    report = verify(sealed_letter() + added, sealing_key().certificate_pem)
    assert not report.ok
    assert not report.covers_whole_file


def test_cut_off_seals_are_noticed():
    good = sealed_letter()
    for share in (0, 0.2, 0.7, 0.99):
        assert not verify(good[: int(len(good) * share)], sealing_key().certificate_pem).ok


def appended(data: bytes, change) -> bytes:
    """The document with an incremental update, as a PDF editor saves it: the signed bytes all stay."""
    writer = IncrementalPdfFileWriter(io.BytesIO(data))
    change(writer)
    buffer = io.BytesIO()
    writer.write(buffer)
    assert buffer.getvalue().startswith(data)
    return buffer.getvalue()


def test_a_shadow_edit_is_noticed_though_the_signed_bytes_are_intact():
    def cover(writer: IncrementalPdfFileWriter) -> None:
        paint = writer.add_object(generic.StreamObject(stream_data=b"1 1 1 rg 0 0 600 800 re f"))
        writer.add_stream_to_page(0, paint)

    forged = appended(sealed_letter(), cover)
    assert picture(forged, 1).tobytes() != picture(sealed_letter(), 1).tobytes()
    report = verify(forged, sealing_key().certificate_pem)
    assert (report.ok, report.intact, report.covers_whole_file) == (False, True, False)
    assert "added to this file after it was sealed" in report.sentence


def test_a_note_or_a_second_signature_added_later_is_noticed():
    def note(writer: IncrementalPdfFileWriter) -> None:
        page = writer.root["/Pages"]["/Kids"][0]
        page["/Annots"] = generic.ArrayObject(
            [
                writer.add_object(
                    generic.DictionaryObject(
                        {
                            generic.pdf_name("/Type"): generic.pdf_name("/Annot"),
                            generic.pdf_name("/Subtype"): generic.pdf_name("/Text"),
                            generic.pdf_name("/Rect"): generic.ArrayObject(
                                generic.NumberObject(number) for number in (10, 10, 30, 30)
                            ),
                            generic.pdf_name("/Contents"): generic.pdf_string("I never agreed to this"),
                        }
                    )
                )
            ]
        )
        writer.update_container(page)

    assert not verify(appended(sealed_letter(), note), sealing_key().certificate_pem).ok


def test_somebody_elses_seal_is_not_ours():
    private, other = make_sealing_key("Portal Invites, Byron & Co", NOW)
    report = verify(sealed_letter(), other)
    assert (report.ok, report.intact, report.covers_whole_file) == (False, True, True)
    assert "not ours" in report.sentence
    data = drawn()
    theirs = seal(data, evidence_for(data), SealingKey.load(private, other), [], NOW).data
    assert not verify(theirs, sealing_key().certificate_pem).ok
    assert verify(theirs, sealing_key().certificate_pem + other).ok  # After a change of keys both are known.


@examples(60)
@given(st.binary(max_size=500))
def test_verify_answers_for_any_bytes(data):
    for candidate in (data, b"%PDF-1.7\n" + data, sealed_letter()[:3000] + data):
        assert not verify(candidate, sealing_key().certificate_pem).ok


def test_files_without_a_seal():
    assert verify(drawn(), sealing_key().certificate_pem).sentence == "This file carries no seal."
    assert "damaged" in verify(b"", sealing_key().certificate_pem).sentence


def test_a_filled_form_is_fixed_on_the_page():
    data = form_pdf("Filled in by Ada")
    result = sealed(data)
    assert verify(result, sealing_key().certificate_pem).ok
    reader = PdfReader(io.BytesIO(result))
    assert [field["/T"] for field in inner(reader.root_object, "/AcroForm", "/Fields")] == [FIELD_NAME]
    assert "Filled in by Ada" in reader.pages[0].extract_text()


def test_scripts_and_actions_do_not_survive():
    def arm(writer: PdfWriter) -> None:
        action = {
            NameObject("/S"): NameObject("/JavaScript"),
            NameObject("/JS"): TextStringObject("this.print()"),
        }
        script = writer._add_object(DictionaryObject(action))
        scripts = DictionaryObject({NameObject("/Names"): ArrayObject([TextStringObject("start"), script])})
        writer.root_object[NameObject("/Names")] = DictionaryObject({NameObject("/JavaScript"): scripts})
        writer.root_object[NameObject("/OpenAction")] = script
        writer.root_object[NameObject("/AA")] = DictionaryObject({NameObject("/WC"): script})
        writer.pages[0][NameObject("/AA")] = DictionaryObject({NameObject("/O"): script})
        note = FreeText(text="A note that stays", rect=(50, 50, 200, 100))
        note[NameObject("/A")] = script
        writer.add_annotation(0, note)

    data = rewritten(drawn(), arm)
    assert b"JavaScript" in data
    result = sealed(data)
    assert b"JavaScript" not in result
    assert not re.search(rb"/AA\b", result)
    assert "A note that stays" in str(inner(PdfReader(io.BytesIO(result)).pages[0], "/Annots", 0))


def test_nothing_of_an_earlier_version_stays_inside():
    def hide(writer: IncrementalPdfFileWriter) -> None:
        page = writer.root["/Pages"]["/Kids"][0]
        page["/Contents"] = writer.add_object(generic.StreamObject(stream_data=b"% new page"))
        writer.update_container(page)

    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(600, 800), pageCompression=0, invariant=1)
    canvas.drawString(60, 60, "Secret clause")
    canvas.save()
    data = appended(buffer.getvalue(), hide)
    assert b"Secret clause" in data
    assert b"Secret clause" not in sealed(data)


def test_evidence_of_another_document_is_refused():
    with pytest.raises(ValueError, match="another document"):
        seal(drawn(1), evidence_for(drawn(2)), sealing_key(), [], NOW)


def test_broken_links_in_a_page_do_not_stop_the_seal():
    def breakup(writer: PdfWriter) -> None:
        writer.pages[0][NameObject("/Annots")] = NumberObject(3)
        writer.pages[1][NameObject("/Annots")] = ArrayObject([NumberObject(1), NameObject("/x")])

    assert verify(sealed(rewritten(drawn(2), breakup)), sealing_key().certificate_pem).ok


# Keys


def test_keys_are_checked_when_loaded():
    private, certificate = make_sealing_key("One", NOW)
    _, other = make_sealing_key("Two", NOW)
    key = SealingKey.load(private, certificate)
    assert key.name == "One"
    assert key.valid_until > NOW + timedelta(days=3650)
    assert b"PRIVATE" not in repr(key).encode()
    with pytest.raises(BadSealingKey, match="don't belong together"):
        SealingKey.load(private, other)
    with pytest.raises(BadSealingKey, match="can't be read"):
        SealingKey.load(b"nonsense", certificate)
    with pytest.raises(BadSealingKey, match="can't be read"):
        verify(drawn(), b"nonsense")


def test_long_and_strange_common_names():
    for name in ("山田" * 60, "", "a\x00b\n", "é" * 200):
        private, certificate = make_sealing_key(name, NOW)
        assert 1 <= len(SealingKey.load(private, certificate).name) <= 64


def test_a_seal_outlives_its_certificate_but_none_is_made_after():
    long_ago = NOW - timedelta(days=365 * 12)
    key = SealingKey.load(*make_sealing_key("Old", long_ago))
    data = drawn()
    old = seal(data, evidence_for(data), key, [], long_ago + timedelta(days=5)).data
    assert verify(old, key.certificate_pem).ok
    with pytest.raises(BadSealingKey, match="has ended"):
        seal(data, evidence_for(data), key, [], NOW)


# The certificate page


def test_the_certificate_says_who_when_from_where_and_how_identified():
    data = drawn()
    text = text_of(certificate_page(evidence_for(data)))
    for part in (
        TITLE,
        "Byron & Co",
        "Engagement letter 2026",
        "letter.pdf, 2 pages",
        "Grace Hopper, Byron & Co",
        hashlib.sha256(data).hexdigest(),
        "Ada Lovelace",
        "ada@example.com",
        "12 Nov 2026, 13:03:22 UTC",
        "12 Nov 2026, 08:03:22 in America/New York (UTC-05:00)",
        "203.0.113.7",
        "Firefox/140.0",
        "Signed in to the Client Portal as ada@example.com; invited by mail to ada@example.com",
        "Ada Lovelace signed (IP address 203.0.113.7).",
    ):
        assert part in text, part


def test_the_same_evidence_gives_the_same_certificate():
    one = evidence_for(b"x", title="山田太郎 契約")
    assert certificate_page(one) == certificate_page(one)


@pytest.mark.parametrize(
    "name, shown",
    [
        ("Łukasz Őry-Ćosić", "Łukasz Őry-Ćosić"),
        ("Αλέξανδρος", "Αλέξανδρος"),
        ("Анна Ковалевская", "Анна Ковалевская"),
        ("山田 太郎", "山田 太郎"),
        ("김철수", "김철수"),
        ("王小明", "王小明"),
        ("สมชาย", "สมชาย"),
        ("Zoë 😀", "Zoë [grinning face]"),
        ("Bob\u202egnp.exe", "Bobgnp.exe"),
        ("<b>Bobby</b> & 'Tables'; --", "<b>Bobby</b> & 'Tables'; --"),
    ],
)
def test_names_of_all_scripts_are_legible(name, shown):
    signer = SignerEvidence(name, "x@example.com", "Signed", name, NOW)
    data = certificate_page(evidence_for(b"x", signers=[signer], zone="UTC"))
    assert shown.replace(" ", "") in text_of(data).replace(" ", "")


def test_names_from_right_to_left_are_shaped_and_ordered():
    with drawing("שלום", "محمد"):
        assert "".join(piece for _, piece in runs("שלום", REGULAR)) == "םולש"
        assert runs("محمد", REGULAR) != [(REGULAR, "محمد")]


def test_every_font_in_a_sealed_file_is_embedded():
    data = engagement_letter("Byron & Co", "山田 太郎", 2026)
    result = seal(
        data,
        evidence_for(data, title="契約書 😀 Ω"),
        sealing_key(),
        [Stamp(1, 0.1, 0.1, 0.5, 0.1, "signature", "山田 太郎 Ω Ж")],
        NOW,
    ).data
    objects = [
        found for found in PdfWriter(clone_from=io.BytesIO(result))._objects if isinstance(found, dict)
    ]
    fonts = [found for found in objects if found.get("/Type") == "/Font"]
    assert len(fonts) > 3
    for font in fonts:
        assert "/FontFile2" in inner(font, "/FontDescriptor"), font


def test_long_texts_wrap_and_run_on_to_more_pages():
    signers = [
        SignerEvidence(
            "N" * 300,
            "e" * 250 + "@example.com",
            "Signed",
            "W" * 200,
            NOW,
            NOW,
            "::1",
            "b" * 5000,
            "i " * 3000,
        )
        for _ in range(20)
    ]
    data = certificate_page(
        evidence_for(
            b"x", title="T " * 400, firm="F" * 500, signers=signers, zone="Asia/Kathmandu", paper="Letter"
        )
    )
    assert 5 < inspect_pdf(data).pages < 100
    assert inspect_pdf(data).sizes[0] == (612, 792)


@examples(40)
@given(st.text(st.characters(), max_size=60), st.text(max_size=60))
@example("\ud800", "\x00\x0b\x85\u2028")
@example("&nbsp;<para>", "</font>")
@example("e" + "\u0301" * 50, "\u200d\ufe0f\U0001f469\u200d\U0001f4bb")
def test_no_text_stops_the_certificate(one, two):
    signer = SignerEvidence(one, two, two, one, NOW, None, one, two, one, two)
    data = certificate_page(
        evidence_for(b"x", title=one, firm=two, signers=[signer], events=[TimelineEvent(NOW, one, two)])
    )
    assert inspect_pdf(data).pages >= 1


def test_a_time_without_a_zone_is_refused():
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(ValueError, match="needs a zone"):
        certificate_page(dataclasses.replace(evidence_for(b"x"), completed_at=naive))


# Letters


def test_clean_takes_out_what_deceives_and_keeps_the_rest():
    assert clean("  Ada\t\nLove\u200blace\u202e\x00 ") == "Ada Lovelace"
    assert clean("Zoe\u0308") == "Zoë"
    assert clean("\ud800") == "\ufffd"


@pytest.mark.parametrize("text", ["two words", "x" * 500, "many words " * 60, "山田太郎" * 40, ""])
def test_wrapped_lines_fit(text):
    with drawing(text):
        lines = wrapped(text, REGULAR, 10, 100)
        assert all(width_of(line, REGULAR, 10) <= 100.01 for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert width_of("Ada", SCRIPT, 20) > 0


def test_threads_may_draw_at_once():
    def one(name: str) -> bytes:
        return certificate_page(evidence_for(b"x", title=name))

    names = ["山田太郎", "김철수", "Ada", "王小明"] * 2
    alone = {name: one(name) for name in set(names)}
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, names)) == [alone[name] for name in names]


# The demo's documents


def test_the_demo_documents_are_good_and_the_places_lie_on_their_lines():
    letter = engagement_letter("Byron & Co", "Ada Lovelace", 2026)
    assert inspect_pdf(letter).pages == 2
    assert "Engagement letter 2026" in text_of(letter)
    assert letter == engagement_letter("Byron & Co", "Ada Lovelace", 2026)
    summary = tax_return_summary("Byron & Co", "Ada Lovelace", 2025)
    assert inspect_pdf(summary).pages == 1
    assert "Prepared for Ada Lovelace" in text_of(summary)
    page = picture(letter, 2, 1000).convert("L")
    for place in (CLIENT_SIGNATURE, CLIENT_DATE):
        bottom = (place.y + place.height) * page.height
        row = page.crop(
            (
                int(place.x * 1000) + 5,
                int(bottom) - 2,
                int((place.x + place.width) * 1000) - 5,
                int(bottom) + 3,
            )
        )
        assert min(row.tobytes()) < 190  # The line to sign on.


def test_demo_documents_take_any_name():
    for name in ("N" * 400, "山田 太郎", "", "<b>&", "😀"):
        assert inspect_pdf(engagement_letter(name, name, 2026)).pages == 2
        assert inspect_pdf(tax_return_summary(name, name, 2026)).pages == 1


def test_the_example_of_the_docs_runs():
    text = (Path(__file__).parent.parent / "docs" / "esign.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(example, "docs/esign.md", "exec"), {})  # noqa: S102
