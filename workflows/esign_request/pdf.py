"""What an uploaded PDF is, and pictures of its pages.

Everything that could stop a document from being signed is found at upload, where the person who chose the file is still
there, and said in one sentence. Two libraries look at it, since the two do the later work: pdfium draws the pages and
pypdf puts the signatures on. What both can read will also be sealed; a file that only a forgiving viewer can open is
refused here and not on the day the last signer signs.

pdfium may be used by one thread at a time in a process, so each call into it holds one lock and closes what it opened
before letting go. Nothing here knows the database or the web.
"""

import hashlib
import io
import math
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

import pypdfium2
import pypdfium2.raw as pdfium
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject

MOST_PAGES: Final = 500
WIDEST_PICTURE: Final = 3000
"""Pixels; wider pictures are made this wide."""
MOST_PIXELS: Final = 12_000_000
_PDFIUM = threading.Lock()
_FINE: Final = 100_000  # Steps across a page when asking pdfium how shown points map to the page's own.


class BadPdf(ValueError):
    """The bytes cannot be used as a document to sign.

    `sentence` says why and what to do, for people. `code` is for programs: `empty`, `not_pdf`, `damaged`, `encrypted`,
    `no_pages`, `xfa`, `too_many_pages`, `signed`, `no_such_page`.
    """

    def __init__(self, sentence: str, code: str = "damaged") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code


@dataclass(frozen=True)
class PdfFacts:
    """What is known about a PDF that can be signed.

    `sizes` are (width, height) of each page as shown (turned, cropped), in points of 1/72 inch. `sha256` is in hex.
    `has_form` says that it has form fields: what is filled in will be fixed on the page when the document is sealed.
    """

    pages: int
    sizes: tuple[tuple[float, float], ...]
    size_bytes: int
    sha256: str
    has_form: bool


@dataclass(frozen=True)
class Frame:
    """A page as shown: its width and height, and the matrix (PDF order) from there to the page's own coordinates.

    The origin as shown is the bottom-left corner, the unit the page's own, whatever its rotation and boxes are.
    """

    width: float
    height: float
    matrix: tuple[float, float, float, float, float, float]


_DAMAGED = "This PDF is damaged and can't be read. Open it in your PDF program, save it again and upload the new file."
_NO_PAGES = "This PDF has no pages. Save it again in the program that made it."
_ENCRYPTED = (
    "This PDF is protected by a password or encrypted, so signatures can't be put on it. "
    "Save a copy without protection and upload that."
)


def inspect_pdf(data: bytes, *, most_pages: int = MOST_PAGES) -> PdfFacts:
    """Check that these bytes are a PDF that can be signed, and say what is in it.

    Raises BadPdf, and nothing else whatever the bytes are.
    """
    if not data:
        raise BadPdf("This file is empty. Choose the PDF again.", "empty")
    if b"%PDF-" not in data[:1024]:
        raise BadPdf(
            "This file is not a PDF. Save or print the document as a PDF and upload that.", "not_pdf"
        )
    with _open(data) as document:
        if pdfium.FPDF_GetSecurityHandlerRevision(document) != -1:
            raise BadPdf(_ENCRYPTED, "encrypted")
        pages = len(document)
        _check_count(pages, most_pages)
        form = document.get_formtype()
        if form in (pdfium.FORMTYPE_XFA_FULL, pdfium.FORMTYPE_XFA_FOREGROUND):
            raise BadPdf(
                "This PDF is an XFA form. Its pages are made by a program each time it is opened, so they could look "
                "different after signing. Print it to a PDF and upload that.",
                "xfa",
            )
        if _is_signed(document):
            raise BadPdf(
                "This PDF already carries a digital signature, which more signatures would break. "
                "Upload the document as it was before it was signed.",
                "signed",
            )
        sizes = tuple(_size_of(document, index) for index in range(pages))
        if any(not (math.isfinite(width * height) and width >= 1 and height >= 1) for width, height in sizes):
            raise BadPdf(_DAMAGED)
    has_form = form == pdfium.FORMTYPE_ACRO_FORM
    _check_rewritable(with_form_fixed(data) if has_form else data, pages)
    return PdfFacts(pages, sizes, len(data), hashlib.sha256(data).hexdigest(), has_form)


def page_picture(data: bytes, page: int, width_px: int) -> bytes:
    """A picture (PNG) of one page as a reader shows it, form fields and notes included.

    `page` counts from 1. The picture is `width_px` wide (1 to WIDEST_PICTURE), smaller where it would otherwise have
    more than MOST_PIXELS. Raises BadPdf for a missing page or a PDF that can't be drawn.
    """
    with _open(data) as document:
        document.init_forms()
        if not 1 <= page <= len(document):
            raise BadPdf(f"This document has {len(document)} pages; there is no page {page}.", "no_such_page")
        sheet = document[page - 1]
        try:
            width, height = sheet.get_size()
            if not (math.isfinite(width * height) and width > 0 and height > 0):
                raise BadPdf(_DAMAGED)
            scale = min(
                max(1, min(width_px, WIDEST_PICTURE)) / width, math.sqrt(MOST_PIXELS / (width * height))
            )
            bitmap = sheet.render(scale=scale)
            try:
                picture = bitmap.to_pil().convert("RGB")
            finally:
                bitmap.close()
        finally:
            sheet.close()
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def page_frames(data: bytes, pages: Collection[int]) -> dict[int, Frame]:
    """How each of these pages (from 1) is shown. Asked of pdfium, so it agrees with `page_picture` on any page.

    Raises BadPdf for a missing page.
    """
    frames: dict[int, Frame] = {}
    with _open(data) as document:
        for page in sorted(set(pages)):
            if not 1 <= page <= len(document):
                raise BadPdf(
                    f"This document has {len(document)} pages; there is no page {page}.", "no_such_page"
                )
            sheet = document[page - 1]
            try:
                frames[page] = _frame(sheet)
            finally:
                sheet.close()
    return frames


def with_form_fixed(data: bytes) -> bytes:
    """The same document with form fields and notes drawn into the pages, so that nobody can change them any more.

    Raises BadPdf.
    """
    with _open(data) as document:
        document.init_forms()
        for index in range(len(document)):
            sheet = document[index]
            try:
                sheet.flatten(pdfium.FLAT_PRINT)
            finally:
                sheet.close()
        buffer = io.BytesIO()
        document.save(buffer)
    return buffer.getvalue()


@contextmanager
def _open(data: bytes) -> Iterator[pypdfium2.PdfDocument]:
    """The document by pdfium, under its lock; every trouble that pdfium has with it becomes a BadPdf."""
    with _PDFIUM:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            raise _why_unreadable(data) from error
        try:
            yield document
        except pypdfium2.PdfiumError as error:
            raise BadPdf(_DAMAGED) from error
        finally:
            document.close()


def _size_of(document: pypdfium2.PdfDocument, index: int) -> tuple[float, float]:
    """How large the page is shown; opening it, since a page that can't be opened can't be shown to a signer."""
    sheet = document[index]
    try:
        return sheet.get_size()
    finally:
        sheet.close()


def _why_unreadable(data: bytes) -> BadPdf:
    """Why pdfium would not open these bytes. Its own error code won't do: a document without pages sets none."""
    try:
        reader = PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted:
            return BadPdf(_ENCRYPTED, "encrypted")
        if not reader.pages:
            return BadPdf(_NO_PAGES, "no_pages")
    # As in _check_rewritable: an open list, and each of them the same answer.
    except Exception as error:  # noqa: BLE001
        damaged = BadPdf(_DAMAGED)
        damaged.__cause__ = error
        return damaged
    return BadPdf(_DAMAGED)


def _frame(sheet: pypdfium2.PdfPage) -> Frame:
    def own(x: int, y: int) -> tuple[float, float]:
        point_x, point_y = pdfium.c_double(), pdfium.c_double()
        if not pdfium.FPDF_DeviceToPage(sheet, 0, 0, _FINE, _FINE, 0, x, y, point_x, point_y):
            raise BadPdf(_DAMAGED)
        return point_x.value, point_y.value

    # Device coordinates start at the top-left corner; ours at the bottom-left one.
    (left, bottom), (right_x, right_y), (top_x, top_y) = own(0, _FINE), own(_FINE, _FINE), own(0, 0)
    width = math.hypot(right_x - left, right_y - bottom)
    height = math.hypot(top_x - left, top_y - bottom)
    if not (math.isfinite(width * height) and width > 0 and height > 0):
        raise BadPdf(_DAMAGED)
    along = ((right_x - left) / width, (right_y - bottom) / width)
    up = ((top_x - left) / height, (top_y - bottom) / height)
    return Frame(width, height, (*along, *up, left, bottom))


def _is_signed(document: pypdfium2.PdfDocument) -> bool:
    """True if a signature field is filled; an empty place for a signature does no harm."""
    for index in range(max(0, pdfium.FPDF_GetSignatureCount(document))):
        if pdfium.FPDFSignatureObj_GetContents(pdfium.FPDF_GetSignatureObject(document, index), None, 0) > 0:
            return True
    return False


def _check_count(pages: int, most_pages: int) -> None:
    if pages < 1:
        raise BadPdf(_NO_PAGES, "no_pages")
    if pages > most_pages:
        raise BadPdf(
            f"This PDF has {pages} pages; at most {most_pages} can be sent for signing. Split it.",
            "too_many_pages",
        )


_INHERITED: Final = ("/Resources", "/MediaBox", "/CropBox", "/Rotate")


def editable(data: bytes) -> PdfWriter:
    """The document in pypdf, all pages under one node (a tree with wrong counts or types is forgiven by some readers).

    Raises whatever pypdf raises at broken documents: the callers turn that into a BadPdf.
    """
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data), strict=False))
    pages = list(writer.pages)
    for page in pages:
        page[NameObject("/Type")] = NameObject("/Page")
        above, seen = page.get("/Parent", DictionaryObject()).get_object(), set[int]()
        while isinstance(above, DictionaryObject) and id(above) not in seen:
            seen.add(id(above))
            for name in _INHERITED:
                if name in above and name not in page:
                    page[NameObject(name)] = above.raw_get(name)
            above = above.get("/Parent", DictionaryObject()).get_object()
    top_reference = writer.root_object.raw_get("/Pages")
    top = cast(DictionaryObject, top_reference.get_object())
    top[NameObject("/Type")], top[NameObject("/Count")] = NameObject("/Pages"), NumberObject(len(pages))
    top[NameObject("/Kids")] = ArrayObject(page.indirect_reference for page in pages)
    for page in pages:
        page[NameObject("/Parent")] = top_reference
    return writer


def _check_rewritable(data: bytes, pages: int) -> None:
    """Read, write and prepare the document once as sealing will: what passes does not fail after the last signature."""
    try:
        encrypted = PdfReader(io.BytesIO(data), strict=False).is_encrypted
        damaged = False
        if not encrypted:
            writer = editable(data)
            form = writer.root_object.get("/AcroForm", DictionaryObject())
            damaged = len(writer.pages) != pages or not isinstance(form.get_object(), DictionaryObject)
            buffer = io.BytesIO()
            writer.write(buffer)
            # The seal hangs on the first page, so pyHanko must find its way there.
            IncrementalPdfFileWriter(buffer).find_page_for_modification(0)
    # The libraries meet hostile bytes with whatever comes up (KeyError, RecursionError, errors of their own and more,
    # by version): the list can't be closed, and each of them means the same to the person who chose the file.
    except Exception as error:
        raise BadPdf(_DAMAGED) from error
    if encrypted:
        raise BadPdf(_ENCRYPTED, "encrypted")
    if damaged:
        raise BadPdf(_DAMAGED)
