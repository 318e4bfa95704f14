"""The certificate page: who signed what, when, from where, and how we knew them.

It is appended to the signed document and sealed with it, so it must be readable on its own, by a court clerk as well
as by a client, in ten years and without the product: plain words, all times with their zone, names in full however
long they are. It says only what it is given; nothing is looked up and no clock is read.
"""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from workflows.esign_request.evidence import Evidence, SignerEvidence, TimelineEvent
from workflows.esign_request.lettering import (
    BOLD,
    REGULAR,
    SCRIPT,
    clean,
    draw,
    drawing,
    fitting,
    markup,
    width_of,
)

__all__ = ["TITLE", "Evidence", "SignerEvidence", "TimelineEvent", "certificate_page"]

TITLE: Final = "Certificate of completion"
INK, SOFT, LINE, PAPER = HexColor("#1c2530"), HexColor("#57636f"), HexColor("#dfe4e9"), HexColor("#f5f7f9")
ACCENT, GOOD, BAD, WAIT = HexColor("#1f5f8b"), HexColor("#1d7a46"), HexColor("#b3261e"), HexColor("#8a5a00")
_SHADE = {"signed": GOOD, "completed": GOOD, "declined": BAD, "voided": BAD, "expired": BAD}
# Else a table names Helvetica, which is not embedded, though no letter of it is drawn.
_OURS = ("FONTNAME", (0, 0), (-1, -1), REGULAR)
_LONGEST = 2000  # Characters of one text; a longer one would fill pages and hide what matters.


def certificate_page(evidence: Evidence) -> bytes:
    """The certificate as a PDF of one or more pages, the same bytes for the same evidence.

    Raises ValueError for a naive time and zoneinfo.ZoneInfoNotFoundError for an unknown zone.
    """
    size = A4 if evidence.paper == "A4" else LETTER
    buffer = io.BytesIO()
    with drawing(*evidence.texts()):
        document = BaseDocTemplate(
            buffer,
            pagesize=size,
            title=TITLE,
            author=clean(evidence.firm),
            leftMargin=18 * mm,
            rightMargin=18 * mm,
            topMargin=18 * mm,
            bottomMargin=20 * mm,
            initialFontName=REGULAR,
            invariant=1,
        )
        frame = Frame(
            document.leftMargin,
            document.bottomMargin,
            document.width,
            document.height,
            leftPadding=0,
            rightPadding=0,
            topPadding=0,
            bottomPadding=0,
        )
        document.addPageTemplates(
            PageTemplate(
                frames=[frame], onPage=lambda canvas, doc: _foot(canvas, evidence, size[0], doc.page)
            )
        )
        document.build(_story(evidence, document.width))
    return buffer.getvalue()


class _Signature(Flowable):
    """A typed signature in script over a thin line, as large as its place allows."""

    def __init__(self, text: str, width: float) -> None:
        super().__init__()
        self.text, self.width, self.height = clean(text), width, 30.0

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        text, size = fitting(self.text, SCRIPT, 21, self.width - 4, smallest=7)
        self.canv.setFillColor(INK)
        draw(self.canv, 2, 9, text, SCRIPT, size)
        self.canv.setStrokeColor(SOFT)
        self.canv.setLineWidth(0.5)
        self.canv.line(0, 4, self.width, 4)


def _style(name: str, size: float, colour: Color = INK, **more: object) -> ParagraphStyle:
    return ParagraphStyle(
        name, fontName=REGULAR, fontSize=size, leading=size * 1.38, textColor=colour, splitLongWords=1, **more
    )


_HEAD = _style("head", 20, spaceAfter=2)
_UNDER = _style("under", 10.5, SOFT)
_SECTION = _style("section", 11.5, spaceBefore=13, spaceAfter=5, keepWithNext=1)
_LABEL = _style("label", 8, SOFT)
_TEXT = _style("text", 9)
_SMALL = _style("small", 8, SOFT)
_NAME = _style("name", 10.5)
_STATUS = _style("status", 9, alignment=TA_RIGHT)


def _say(text: str, style: ParagraphStyle, font: str = REGULAR) -> Paragraph:
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    return Paragraph(markup(text, font) or "&nbsp;", style)


def _moment(at: datetime, zone: str) -> list[str]:
    """The moment in UTC and, where the firm keeps another clock, in the firm's zone."""
    if at.tzinfo is None:
        raise ValueError("A time on the certificate needs a zone; this one is naive.")
    universal = format_datetime(at.astimezone(UTC), "d MMM y, HH:mm:ss 'UTC'", locale="en_GB")
    local = at.astimezone(ZoneInfo(zone))
    if zone in ("UTC", "Etc/UTC"):
        return [universal]
    offset = local.strftime("%z")
    told = format_datetime(local, "d MMM y, HH:mm:ss", locale="en_GB")
    return [universal, f"{told} in {zone.replace('_', ' ')} (UTC{offset[:3]}:{offset[3:5]})"]


def _when(at: datetime | None, zone: str) -> str:
    return "; ".join(_moment(at, zone)) if at else ""


def _story(evidence: Evidence, width: float) -> list[Flowable]:
    story: list[Flowable] = [
        _say(evidence.firm, _UNDER),
        _say(TITLE, _HEAD, BOLD),
        _Rule(width),
        Spacer(0, 8),
        _facts(_document_facts(evidence), width),
        _say("Signers", _SECTION, BOLD),
    ]
    for signer in evidence.signers:
        story += _signer(signer, evidence, width)
    if evidence.events:
        story += [_say("What happened", _SECTION, BOLD), _timeline(evidence, width)]
    story += [
        _say("How to check this document", _SECTION, BOLD),
        _say(
            "This file is sealed with a digital signature over every page, this one included. Open it in a PDF reader "
            "that shows signatures: it reports any change made after sealing. The reader may not know the certificate "
            "of the seal; the firm confirms it. The hash above belongs to the document as it was sent, before the "
            "signatures were placed. The hash of this sealed file can't stand inside it; the firm keeps it with the "
            "request.",
            _SMALL,
        ),
    ]
    return story


class _Rule(Flowable):
    """A short line in the accent colour under the title."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.width, self.height = width, 7.0

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        self.canv.setFillColor(ACCENT)
        self.canv.rect(0, 2, 42, 2.2, stroke=0, fill=1)


def _document_facts(evidence: Evidence) -> list[tuple[str, str]]:
    pages = "" if evidence.pages is None else f"{evidence.pages} page{'' if evidence.pages == 1 else 's'}"
    file_name = ", ".join(part for part in (evidence.file_name, pages) if part)
    return [
        ("Document", evidence.title),
        ("File", file_name),
        ("Status", evidence.status),
        ("Requested by", ", ".join(part for part in (evidence.sent_by, evidence.firm) if part)),
        ("Sent", _when(evidence.sent_at, evidence.zone)),
        ("Completed", _when(evidence.completed_at, evidence.zone)),
        ("Request", evidence.request_id),
        ("SHA-256 before signing", evidence.sha256),
    ]


def _facts(facts: Sequence[tuple[str, str]], width: float, label_width: float = 104) -> Table:
    rows = [[_say(label, _LABEL), _say(value, _TEXT)] for label, value in facts if value]
    table = Table(rows, colWidths=[label_width, width - label_width], splitInRow=1)
    table.setStyle(
        TableStyle(
            [
                _OURS,
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (0, -1), 2.4),
                ("TOPPADDING", (1, 0), (1, -1), 1.4),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.4),
            ]
        )
    )
    return table


def _signer(signer: SignerEvidence, evidence: Evidence, width: float) -> list[Flowable]:
    """One signer as a sheet: name and standing on top, below it the signature and what is known."""
    inside = width - 20
    shade = _SHADE.get(signer.status.strip().lower(), WAIT)
    status = ParagraphStyle("status-of", parent=_STATUS, textColor=shade)
    head = Table(
        [[_say(signer.name or signer.email, _NAME, BOLD), _say(signer.status, status, BOLD)]],
        colWidths=[inside - 90, 90],
    )
    bare = [
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 0),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        _OURS,
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    head.setStyle(TableStyle(bare))
    facts = [
        ("E-mail", signer.email),
        ("First viewed", _when(signer.viewed_at, evidence.zone)),
        (
            "Signed" if signer.status.strip().lower() == "signed" else "Answered",
            _when(signer.signed_at, evidence.zone),
        ),
        ("IP address", signer.ip),
        ("Browser", signer.browser),
        ("Identified by", signer.identified),
        ("Agreed to", signer.consent),
    ]
    rows: list[list[Flowable]] = [[head]]
    if signer.typed_signature:
        place = min(inside, max(190.0, width_of(signer.typed_signature, SCRIPT, 21) + 10))
        rows.append([_Signature(signer.typed_signature, place)])
        # The script font may be shrunk to fit and it joins letters: the plain text is the evidence.
        facts.insert(0, ("Typed signature", signer.typed_signature))
    rows.append([_facts(facts, inside, 92)])
    sheet = Table(rows, colWidths=[width], splitInRow=1)
    sheet.setStyle(
        TableStyle(
            [
                _OURS,
                ("BACKGROUND", (0, 0), (-1, -1), PAPER),
                ("LINEBEFORE", (0, 0), (0, -1), 2, shade),
                ("LEFTPADDING", (0, 0), (-1, -1), 10),
                ("RIGHTPADDING", (0, 0), (-1, -1), 10),
                ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("TOPPADDING", (0, 0), (-1, 0), 7),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, -1), (-1, -1), 7),
            ]
        )
    )
    return [KeepTogether([sheet, Spacer(0, 6)])]


def _timeline(evidence: Evidence, width: float) -> Table:
    rows = []
    for event in sorted(evidence.events, key=lambda event: event.at):
        what = f"{event.what.rstrip('.')} (IP address {event.ip})." if event.ip else event.what
        rows.append([[_say(line, _SMALL) for line in _moment(event.at, evidence.zone)], _say(what, _TEXT)])
    table = Table(rows, colWidths=[222, width - 222], splitInRow=1)
    table.setStyle(
        TableStyle(
            [
                _OURS,
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (0, -1), 10),
                ("RIGHTPADDING", (1, 0), (1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 3),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
                ("LINEBELOW", (0, 0), (-1, -2), 0.5, LINE),
            ]
        )
    )
    return table


def _foot(canvas: Canvas, evidence: Evidence, width: float, page: int) -> None:
    canvas.saveState()
    canvas.setFillColor(SOFT)
    number = f"Certificate, page {page}"
    taken = width_of(number, REGULAR, 7.5)
    about, size = fitting(
        f"{TITLE}: {evidence.title}", REGULAR, 7.5, width - 36 * mm - taken - 20, smallest=7.5
    )
    draw(canvas, 18 * mm, 11 * mm, about, REGULAR, size)
    draw(canvas, width - 18 * mm - taken, 11 * mm, number, REGULAR, 7.5)
    canvas.restoreState()
