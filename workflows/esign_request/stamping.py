"""What signers typed, drawn on the pages at the places the sender chose.

Places are fractions of the page as shown, from its top-left corner, since that is what a person clicks on. pdfium
says how the shown page maps to the page's own coordinates (rotation, boxes that don't start at 0), so a stamp lands
where it was placed on the picture. Stamps are page content and not notes: a reader can't hide or move them.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pypdf import PageObject, PdfReader
from reportlab.lib.colors import HexColor
from reportlab.pdfgen.canvas import Canvas

from workflows.esign_request.lettering import (
    REGULAR,
    SCRIPT,
    clean,
    draw,
    drawing,
    fitting,
    width_of,
    wrapped,
)
from workflows.esign_request.pdf import Frame

INK, SOFT = HexColor("#12233f"), HexColor("#57636f")
_MARGIN: Final = 0.001  # A field drawn to the very edge of the picture may be off by rounding.


class StampType(StrEnum):
    """What a stamp is; the same words as the field types of an eSign request."""

    SIGNATURE = "signature"  # A typed name in script, a caption below it.
    INITIALS = "initials"  # Script alone.
    DATE = "date"  # One line of plain text.
    TEXT = "text"  # Plain text, as many lines as the place holds.
    CHECKBOX = "checkbox"  # A box: ticked if the text is not empty.


class BadStamp(ValueError):
    """A stamp that can't be placed; `sentence` says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class Stamp:
    """One thing to draw on a page.

    `page` counts from 1; `x`, `y`, `width`, `height` are fractions (0 to 1) of the page as shown, from its top-left
    corner. `text` is what is drawn. `caption` is a small line under a signature (who and when), left out where the
    place is too low for it. Raises BadStamp for a place that is not on a page.
    """

    page: int
    x: float
    y: float
    width: float
    height: float
    type: StampType | str
    text: str
    caption: str = ""

    def __post_init__(self) -> None:
        if self.type not in StampType.__members__.values():
            raise BadStamp(f"There is no field type {self.type!r}. Use one of {', '.join(StampType)}.")
        numbers = (self.x, self.y, self.width, self.height)
        if self.page < 1 or not all(math.isfinite(number) for number in numbers):
            raise BadStamp("A field needs a page from 1 on, and a place in numbers.")
        across, down = self.x + self.width, self.y + self.height
        if (
            min(self.x, self.y) < -_MARGIN
            or min(self.width, self.height) <= 0
            or max(across, down) > 1 + _MARGIN
        ):
            raise BadStamp(
                "A field must lie inside its page: all of x, y, x + width and y + height from 0 to 1."
            )


@dataclass(frozen=True)
class Layer:
    """What is drawn over one page (`page` from 1): a PDF page of its own, as large as that page is shown."""

    page: int
    frame: Frame
    drawing: PageObject


def draw_stamps(stamps: Sequence[Stamp], frames: dict[int, Frame]) -> list[Layer]:
    """One layer for each page that has stamps; `frames` says how those pages are shown (`pdf.page_frames`)."""
    by_page: dict[int, list[Stamp]] = {}
    for stamp in stamps:
        by_page.setdefault(stamp.page, []).append(stamp)
    if not by_page:
        return []
    pages = sorted(by_page)
    buffer = io.BytesIO()
    with drawing(*(part for stamp in stamps for part in (stamp.text, stamp.caption))):
        canvas = Canvas(buffer, invariant=1, initialFontName=REGULAR)
        for page in pages:
            canvas.setPageSize((frames[page].width, frames[page].height))
            for stamp in by_page[page]:
                _draw(canvas, stamp, frames[page])
            canvas.showPage()
        canvas.save()
    drawn = PdfReader(buffer)
    return [Layer(page, frames[page], drawn.pages[index]) for index, page in enumerate(pages)]


def _draw(canvas: Canvas, stamp: Stamp, frame: Frame) -> None:
    width, height = stamp.width * frame.width, stamp.height * frame.height
    x, y = stamp.x * frame.width, frame.height - stamp.y * frame.height - height
    canvas.saveState()
    canvas.setFillColor(INK)
    canvas.setStrokeColor(INK)
    match StampType(stamp.type):
        case StampType.SIGNATURE:
            _signature(canvas, stamp, x, y, width, height)
        case StampType.INITIALS:
            text, size = fitting(stamp.text, SCRIPT, height * 0.78, width * 0.96)
            draw(
                canvas,
                x + (width - width_of(text, SCRIPT, size)) / 2,
                y + height * 0.5 - size * 0.28,
                text,
                SCRIPT,
                size,
            )
        case StampType.DATE:
            text, size = fitting(stamp.text, REGULAR, min(height * 0.72, 11), width - 2)
            draw(canvas, x + 1, y + height * 0.5 - size * 0.34, text, REGULAR, size)
        case StampType.TEXT:
            _text(canvas, stamp, x, y, width, height)
        case StampType.CHECKBOX:
            _checkbox(canvas, bool(clean(stamp.text)), x, y, width, height)
    canvas.restoreState()


def _signature(canvas: Canvas, stamp: Stamp, x: float, y: float, width: float, height: float) -> None:
    """A name in script, under it the caption if there is room for both. The document brings the line to sign on."""
    small = min(6.5, height * 0.2)
    captioned = bool(clean(stamp.caption)) and height >= 20
    ground = y + (small * 1.5 if captioned else 0) + height * 0.04
    text, size = fitting(stamp.text, SCRIPT, min((y + height - ground) * 0.82, 34), width * 0.96)
    draw(canvas, x + width * 0.02, ground + size * 0.3, text, SCRIPT, size)
    if captioned:
        canvas.setFillColor(SOFT)
        text, size = fitting(stamp.caption, REGULAR, small, width, smallest=3.5)
        draw(canvas, x, ground - small * 0.9, text, REGULAR, size)


def _text(canvas: Canvas, stamp: Stamp, x: float, y: float, width: float, height: float) -> None:
    """Lines from the top, in the largest size up to 10.5 points at which all of them fit, else as many as fit."""
    size = min(10.5, height * 0.72)
    # No letter is narrower than a point at the smallest size: what lies beyond could not be shown in any case.
    words = stamp.text[: max(10, int(width * (height / 5 + 1)))]
    lines = wrapped(words, REGULAR, size, width - 2)
    while len(lines) * size * 1.25 > height and size > 4:
        size = max(4.0, size * 0.9)
        lines = wrapped(words, REGULAR, size, width - 2)
    room = max(1, int(height / (size * 1.25)))
    if len(lines) > room:
        lines = [*lines[: room - 1], lines[room - 1] + " …"]
    top = y + height - size if len(lines) > 1 else y + height * 0.5 - size * 0.34
    for number, line in enumerate(lines):
        text, fits = fitting(line, REGULAR, size, width - 2)
        draw(canvas, x + 1, top - number * size * 1.25, text, REGULAR, fits)


def _checkbox(canvas: Canvas, ticked: bool, x: float, y: float, width: float, height: float) -> None:
    side = min(width, height, 16.0) * 0.9
    left, bottom = x + (width - side) / 2, y + (height - side) / 2
    canvas.setLineWidth(max(0.5, side * 0.07))
    canvas.rect(left, bottom, side, side, stroke=1, fill=0)
    if ticked:
        canvas.setLineWidth(max(0.8, side * 0.13))
        canvas.setLineCap(1)
        tick = canvas.beginPath()
        tick.moveTo(left + side * 0.22, bottom + side * 0.5)
        tick.lineTo(left + side * 0.42, bottom + side * 0.27)
        tick.lineTo(left + side * 0.8, bottom + side * 0.76)
        canvas.drawPath(tick)
