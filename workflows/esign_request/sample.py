"""Documents for the demo firm that look like what a firm sends: an engagement letter to sign, a tax summary to share.

Drawn and not stored, so that they carry the demo's own names; the same call gives the same bytes.
"""

import io
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from workflows.esign_request.lettering import BOLD, REGULAR, clean, draw, drawing, fitting, markup, width_of

_INK, _SOFT, _LINE, _PAPER = (
    HexColor("#1c2530"),
    HexColor("#57636f"),
    HexColor("#dfe4e9"),
    HexColor("#f5f7f9"),
)
_ACCENT: Final = HexColor("#1f5f8b")
_WIDTH, _HEIGHT = A4
_SIDE: Final = 24 * mm


class Place(NamedTuple):
    """Where a field goes: page from 1, the rest in fractions of the page from its top-left corner."""

    page: int
    x: float
    y: float
    width: float
    height: float


# The lines at the end of the engagement letter; fields placed here sit exactly on them.
CLIENT_SIGNATURE: Final = Place(2, 0.53, 0.60, 0.35, 0.045)
CLIENT_DATE: Final = Place(2, 0.53, 0.685, 0.35, 0.025)
FIRM_SIGNATURE: Final = Place(2, 0.115, 0.60, 0.35, 0.045)
FIRM_DATE: Final = Place(2, 0.115, 0.685, 0.35, 0.025)


def engagement_letter(firm: str, client: str, year: int) -> bytes:
    """A two-page engagement letter of the firm to the client for the year (PDF, A4).

    `CLIENT_SIGNATURE`, `CLIENT_DATE`, `FIRM_SIGNATURE` and `FIRM_DATE` are the places of its lines.
    """
    firm, client = _name(firm), _name(client)
    with drawing(firm, client):
        story: list[Flowable] = [
            _say(client, _TEXT, BOLD),
            _say(f"2 January {year}", _NOTE),
            Spacer(0, 16),
            _say(f"Engagement letter {year}", _TITLE, BOLD),
            _say(f"Dear {client},", _TEXT),
            _say(
                f"Thank you for choosing {firm}. This letter says what we will do for you in {year}, what we need from "
                "you, and what it costs. Please read it, ask us about anything that is unclear, and sign on page 2.",
                _TEXT,
            ),
            _say("1. What we will do", _HEAD, BOLD),
            _say(
                f"We will prepare your annual accounts and your income tax return for the year ended 31 December "
                f"{year - 1}, file the return in time, and answer questions of the tax office about it. We will tell "
                "you of reliefs and deadlines that we see on the way.",
                _TEXT,
            ),
            _say("2. What we need from you", _HEAD, BOLD),
            _say(
                "Complete records by the dates below, sent through the Client Portal. You remain responsible for what "
                "the records say; we do not audit them.",
                _TEXT,
            ),
            Spacer(0, 4),
            _table(
                [
                    ("What", "By", "How"),
                    ("Bank statements and receipts", f"28 February {year}", "Client Portal, Files"),
                    ("Answers to the yearly survey", f"15 March {year}", "Client Portal, To-do"),
                    ("Approval of the draft return", f"30 April {year}", "eSign request"),
                ],
                [0.44, 0.25, 0.31],
            ),
            _say("3. Fees", _HEAD, BOLD),
            _say(
                "The fee is fixed. It covers all calls and letters on the work above. We agree a price with you before "
                "we begin anything else.",
                _TEXT,
            ),
            Spacer(0, 4),
            _table(
                [
                    ("Work", "Fee"),
                    ("Annual accounts", "1,450.00"),
                    ("Income tax return", "620.00"),
                    ("Total", "2,070.00"),
                ],
                [0.72, 0.28],
                money=1,
                total=True,
            ),
            PageBreak(),
            _say("4. Confidentiality and data", _HEAD, BOLD),
            _say(
                "What you tell us stays with us. We pass it on only where the law demands it or you ask us to. "
                "Papers are exchanged through the Client Portal and not by e-mail. We keep our working papers for "
                "seven years.",
                _TEXT,
            ),
            _say("5. Limits", _HEAD, BOLD),
            _say(
                "Our work relies on complete and true records. It is not meant to find fraud or mistakes in them, and "
                "our advice is for you alone. Our liability for the work is limited to ten times the fee, save where "
                "the law does not allow a limit.",
                _TEXT,
            ),
            _say("6. Ending the engagement", _HEAD, BOLD),
            _say(
                "Either of us may end it in writing with 30 days' notice. You pay for what was done until then, and we "
                "hand over your records at once.",
                _TEXT,
            ),
            _say("7. Signing", _HEAD, BOLD),
            _say(
                "You may sign on paper or electronically; both count the same. The letter takes effect on the day the "
                "last of us has signed it.",
                _TEXT,
            ),
        ]
        return _build(
            f"Engagement letter {year}", firm, story, lambda canvas: _signature_lines(canvas, firm, client)
        )


def tax_return_summary(firm: str, client: str, year: int, currency: str = "$") -> bytes:
    """A one-page summary of the client's tax return for the year (PDF, A4). The figures are made up."""
    firm, client, currency = _name(firm), _name(client), clean(currency)
    with drawing(firm, client, currency):
        story: list[Flowable] = [
            _say(f"Tax return summary {year}", _TITLE, BOLD),
            _say(f"Prepared for {client}", _TEXT),
            _say("Figures for your records. Nothing needs to be paid before the assessment arrives.", _NOTE),
            Spacer(0, 14),
            _Tiles(
                [
                    ("Total income", f"{currency}148,230"),
                    ("Tax for the year", f"{currency}31,874"),
                    ("Refund", f"{currency}1,126"),
                ],
                _WIDTH - 2 * _SIDE,
            ),
            _say("Income", _HEAD, BOLD),
            _table(
                [
                    ("Source", f"{year - 1} ({currency})", f"{year} ({currency})"),
                    ("Employment", "96,400.00", "99,850.00"),
                    ("Business profit", "34,120.00", "41,780.00"),
                    ("Interest and dividends", "5,310.00", "6,600.00"),
                    ("Total income", "135,830.00", "148,230.00"),
                ],
                [0.5, 0.25, 0.25],
                money=2,
                total=True,
            ),
            _say("Deductions", _HEAD, BOLD),
            _table(
                [
                    ("Kind", f"{year - 1} ({currency})", f"{year} ({currency})"),
                    ("Pension contributions", "12,000.00", "12,600.00"),
                    ("Gifts to charity", "850.00", "1,200.00"),
                    ("Home office", "1,260.00", "1,260.00"),
                    ("Total deductions", "14,110.00", "15,060.00"),
                ],
                [0.5, 0.25, 0.25],
                money=2,
                total=True,
            ),
            _say("Tax", _HEAD, BOLD),
            _table(
                [
                    ("Step", f"{year} ({currency})"),
                    ("Taxable income", "133,170.00"),
                    ("Tax for the year", "31,874.00"),
                    ("Paid in advance", "33,000.00"),
                    ("Refund", "1,126.00"),
                ],
                [0.72, 0.28],
                money=1,
                total=True,
            ),
        ]
        return _build(f"Tax return summary {year}", firm, story, None)


def _name(text: str) -> str:
    """A name short enough for a letterhead and a table."""
    text = clean(text)
    return text if len(text) <= 80 else text[:79] + "…"


def _style(name: str, size: float, colour: Color = _INK, **more: object) -> ParagraphStyle:
    return ParagraphStyle(
        name, fontName=REGULAR, fontSize=size, leading=size * 1.45, textColor=colour, **more
    )


_TITLE = _style("title", 19, spaceAfter=10)
_HEAD = _style("head", 11.5, _ACCENT, spaceBefore=13, spaceAfter=4, keepWithNext=1)
_TEXT = _style("text", 10.2, spaceAfter=5)
_NOTE = _style("note", 9.5, _SOFT)
_CELL = _style("cell", 9.3)
_MONEY = _style("money", 9.3, alignment=TA_RIGHT)


def _say(text: str, style: ParagraphStyle, font: str = REGULAR) -> Paragraph:
    return Paragraph(markup(text, font), style)


def _table(
    rows: Sequence[Sequence[str]], shares: Sequence[float], *, money: int = 0, total: bool = False
) -> Table:
    """Rows under a head; the last `money` columns are amounts, the last row a total."""
    width = _WIDTH - 2 * _SIDE
    cells = []
    for number, row in enumerate(rows):
        font = BOLD if number == 0 or (total and number == len(rows) - 1) else REGULAR
        cells.append(
            [
                _say(value, _MONEY if column >= len(row) - money else _CELL, font)
                for column, value in enumerate(row)
            ]
        )
    table = Table(cells, colWidths=[share * width for share in shares])
    style: list[tuple[object, ...]] = [
        ("FONTNAME", (0, 0), (-1, -1), REGULAR),  # Else the file names Helvetica, which is not embedded.
        ("BACKGROUND", (0, 0), (-1, 0), _PAPER),
        ("LINEBELOW", (0, 0), (-1, -2), 0.5, _LINE),
        ("TOPPADDING", (0, 0), (-1, -1), 3.2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 4.2),
        ("LEFTPADDING", (0, 0), (-1, -1), 6),
        ("RIGHTPADDING", (0, 0), (-1, -1), 6),
    ]
    if total:
        style.append(("LINEABOVE", (0, -1), (-1, -1), 0.9, _INK))
    table.setStyle(TableStyle(style))
    return table


class _Tiles(Flowable):
    """The few numbers that matter, side by side."""

    def __init__(self, tiles: Sequence[tuple[str, str]], width: float) -> None:
        super().__init__()
        self.tiles, self.width, self.height = tiles, width, 54.0

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        gap = 10.0
        each = (self.width - gap * (len(self.tiles) - 1)) / len(self.tiles)
        for number, (label, value) in enumerate(self.tiles):
            x = number * (each + gap)
            self.canv.setFillColor(_PAPER)
            self.canv.roundRect(x, 0, each, self.height, 5, stroke=0, fill=1)
            self.canv.setFillColor(_SOFT)
            draw(self.canv, x + 12, 36, label, REGULAR, 8.5)
            self.canv.setFillColor(_INK)
            text, size = fitting(value, BOLD, 17, each - 24)
            draw(self.canv, x + 12, 13, text, BOLD, size)


def _build(title: str, firm: str, story: list[Flowable], finish: Callable[[Canvas], None] | None) -> bytes:
    """The pages with the firm's letterhead; `finish` draws on page 2 in absolute places."""

    def on_page(canvas: Canvas, document: BaseDocTemplate) -> None:
        canvas.saveState()
        _letterhead(canvas, firm, f"{title}, page {document.page}")
        if finish is not None and document.page == 2:
            finish(canvas)
        canvas.restoreState()

    buffer = io.BytesIO()
    document = BaseDocTemplate(
        buffer, pagesize=A4, title=title, author=firm, initialFontName=REGULAR, invariant=1, lang="en-GB"
    )
    frame = Frame(_SIDE, 24 * mm, _WIDTH - 2 * _SIDE, _HEIGHT - 66 * mm, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=on_page))
    document.build(story)
    return buffer.getvalue()


def _letterhead(canvas: Canvas, firm: str, foot: str) -> None:
    canvas.setFillColor(_ACCENT)
    canvas.rect(0, _HEIGHT - 5 * mm, _WIDTH, 5 * mm, stroke=0, fill=1)
    canvas.roundRect(_SIDE, _HEIGHT - 28 * mm, 10 * mm, 10 * mm, 4, stroke=0, fill=1)
    initial = firm[:1].upper() or "·"
    canvas.setFillColor(white)
    draw(canvas, _SIDE + 5 * mm - width_of(initial, BOLD, 15) / 2, _HEIGHT - 24.9 * mm, initial, BOLD, 15)
    canvas.setFillColor(_INK)
    text, size = fitting(firm, BOLD, 13, _WIDTH - 2 * _SIDE - 14 * mm, smallest=8)
    draw(canvas, _SIDE + 14 * mm, _HEIGHT - 22 * mm, text, BOLD, size)
    canvas.setFillColor(_SOFT)
    draw(canvas, _SIDE + 14 * mm, _HEIGHT - 27 * mm, "Accountants and tax advisers", REGULAR, 8.5)
    canvas.setStrokeColor(_LINE)
    canvas.line(_SIDE, 19 * mm, _WIDTH - _SIDE, 19 * mm)
    draw(canvas, _SIDE, 14 * mm, foot, REGULAR, 8)


def _signature_lines(canvas: Canvas, firm: str, client: str) -> None:
    for who, signature, date in ((firm, FIRM_SIGNATURE, FIRM_DATE), (client, CLIENT_SIGNATURE, CLIENT_DATE)):
        x, width = signature.x * _WIDTH, signature.width * _WIDTH
        canvas.setFillColor(_INK)
        text, size = fitting(f"For {who}", BOLD, 10.2, width, smallest=7)
        draw(canvas, x, _HEIGHT - signature.y * _HEIGHT + 8, text, BOLD, size)
        for place, label in ((signature, "Signature"), (date, "Date")):
            line = _HEIGHT - (place.y + place.height) * _HEIGHT
            canvas.setStrokeColor(_SOFT)
            canvas.setLineWidth(0.6)
            canvas.line(x, line, x + width, line)
            canvas.setFillColor(_SOFT)
            draw(canvas, x, line - 10, label, REGULAR, 8)
