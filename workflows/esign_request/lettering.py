"""Fonts for the PDFs we draw: every name is legible, every glyph is embedded.

The fourteen fonts built into PDF know Western European letters only, and a CID font such as HeiseiMin is not embedded:
a reader without it shows boxes, which a certificate must not do in ten years' time. So all text is set in fonts that
come with installed packages and are embedded as subsets: FiraGO (Latin, Greek, Cyrillic, Hebrew, Arabic, Thai and
more), Dancing Script for a typed signature, Noto Sans CJK for Chinese, Japanese and Korean. What no font can show (an
emoji, say) is written out by name in brackets, since dropping it would change what a person typed. Characters that
can make text look like other text (control characters, direction overrides) are taken out.

ReportLab reads TrueType outlines only and Noto Sans CJK has PostScript ones: the few glyphs that a document needs are
converted for it. ReportLab's font table is one per process, so whoever draws holds `drawing()`.
"""

import io
import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

import fontpkg_dancing_script
from arabic_reshaper import ArabicReshaper
from bidi import get_display
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont as FontFile
from noto_cjk_sans_jp_regular import FONT_PATH as CJK_PATH
from pymupdf_fonts import FiraGO_Bold, FiraGO_Italic, FiraGO_Regular
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

REGULAR, BOLD, ITALIC, SCRIPT, CJK = (
    "Portal-Regular",
    "Portal-Bold",
    "Portal-Italic",
    "Portal-Script",
    "Portal-CJK",
)
_FALLBACKS = {REGULAR: (CJK,), BOLD: (REGULAR, CJK), ITALIC: (REGULAR, CJK), SCRIPT: (ITALIC, REGULAR, CJK)}
_ELLIPSIS = "…"
_DRAWING = threading.RLock()
_READY: dict[str, TTFont] = {}
_RESHAPER = ArabicReshaper({"support_ligatures": False})
# Emoji modifiers, joiners and tags: they only colour or join the sign before them.
_EMOJI_HELPERS = re.compile("[\u200d\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")


@cache
def _register() -> None:
    """Tell ReportLab about our fonts, once per process (about 0.2 s)."""
    for name, buffer in (
        (REGULAR, FiraGO_Regular.fontbuffer),
        (BOLD, FiraGO_Bold.fontbuffer),
        (ITALIC, FiraGO_Italic.fontbuffer),
    ):
        _keep(TTFont(name, io.BytesIO(buffer)))
    script = fontpkg_dancing_script.ROOT / "files" / "DancingScript[wght].ttf"
    _keep(TTFont(SCRIPT, str(script)))


def _keep(font: TTFont) -> None:
    pdfmetrics.registerFont(font)
    _READY[font.fontName] = font


def _forget(name: str) -> None:
    """Make room for another font of this name: ReportLab has no public way and keeps the first one without a word."""
    if font := _READY.pop(name, None):
        pdfmetrics._fonts.pop(name)
        pdfmetrics._dynFaceNames.pop(font.face.name)


@cache
def _cjk_letters() -> frozenset[int]:
    with FontFile(str(Path(str(CJK_PATH))), lazy=True) as file:
        return frozenset(file.getBestCmap())


def _cjk_font(letters: frozenset[str]) -> TTFont:
    """A TrueType font of these letters of Noto Sans CJK (0.4 s, so made only where one occurs)."""
    with FontFile(str(Path(str(CJK_PATH))), lazy=True) as file:
        cmap, outlines = file.getBestCmap(), file.getGlyphSet()
        mapping = {ord(letter): cmap[ord(letter)] for letter in sorted(letters) if ord(letter) in cmap}
        order = [".notdef", *sorted(set(mapping.values()) - {".notdef"})]
        glyphs, widths = {}, {}
        for name in order:
            pen = TTGlyphPen(None)
            outlines[name].draw(Cu2QuPen(pen, max_err=1.0, reverse_direction=True))
            glyphs[name], widths[name] = pen.glyph(), (round(outlines[name].width), 0)
        builder = FontBuilder(file["head"].unitsPerEm, isTTF=True)
        builder.setupGlyphOrder(order)
        builder.setupCharacterMap(mapping)
        builder.setupGlyf(glyphs)
        builder.setupHorizontalMetrics(widths)
        builder.setupHorizontalHeader(ascent=880, descent=-120)
        builder.setupNameTable({"familyName": CJK, "styleName": "Regular", "psName": CJK})
        builder.setupOS2(sTypoAscender=880, sTypoDescender=-120, sCapHeight=733)
        builder.setupPost()
        builder.font.recalcTimestamp = False
        builder.updateHead(created=0, modified=0)
        buffer = io.BytesIO()
        builder.save(buffer)
    buffer.seek(0)
    return TTFont(CJK, buffer)


@contextmanager
def drawing(*texts: str) -> Iterator[None]:
    """Hold this while drawing the given texts with ReportLab: fonts are ready, other threads wait.

    Texts not named here come out too; only their Chinese, Japanese and Korean letters may then be spelled out.
    """
    with _DRAWING:
        _register()
        missing = {letter for text in texts for letter in clean(text) if not _has(REGULAR, letter)}
        # Looking into the large font takes a moment, so only where a letter could be of these scripts.
        large = any(ord(letter) > 0x1100 for letter in missing)
        if cjk := frozenset(letter for letter in missing if large and ord(letter) in _cjk_letters()):
            _forget(CJK)
            _keep(_cjk_font(cjk | {" "}))
        yield


def _has(font: str, letter: str) -> bool:
    return font in _READY and ord(letter) in _READY[font].face.charToGlyph


def _home(letter: str, font: str) -> str | None:
    return next((name for name in (font, *_FALLBACKS[font]) if _has(name, letter)), None)


def clean(text: str) -> str:
    """The text composed (NFC), each run of white space one blank, without invisible and direction-changing characters.

    Zero-width joiners and emoji skin tones go too. Lone surrogates (never valid text) become U+FFFD.
    """
    text = unicodedata.normalize("NFC", _EMOJI_HELPERS.sub("", text))
    kept = []
    for letter in text:
        category = unicodedata.category(letter)
        if letter.isspace() or category in ("Zl", "Zp"):
            kept.append(" ")
        elif category == "Cs":
            kept.append("\ufffd")
        elif category not in ("Cc", "Cf"):
            kept.append(letter)
    return " ".join("".join(kept).split())


def clean_lines(text: str) -> list[str]:
    """The lines of a text, each through `clean`."""
    return [clean(line) for line in re.split(r"\r\n|[\r\n\u2028\u2029\x0b\x0c\x85]", text)]


def runs(text: str, font: str) -> list[tuple[str, str]]:
    """The cleaned text as (font, piece) in the order they stand on the line, from left to right.

    Call inside `drawing`. A letter that no font has is spelled out: `[grinning face]`, or `[U+E000]`.
    """
    text = clean(text)
    if any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text):
        text = get_display(_RESHAPER.reshape(text))
    pieces: list[tuple[str, str]] = []
    for letter in text:
        home = _home(letter, font)
        if home is None and len(plain := unicodedata.normalize("NFKC", letter)) == 1:
            # Shaping asks for a form of an Arabic letter that the font lacks: its plain form is still right.
            letter, home = plain, _home(plain, font)
        if home is None:
            home = REGULAR if font == SCRIPT else font
            letter = f"[{unicodedata.name(letter, '').lower() or f'U+{ord(letter):04X}'}]"
        elif letter == " " and pieces:
            home = pieces[-1][0] if _has(pieces[-1][0], " ") else home
        if pieces and pieces[-1][0] == home:
            pieces[-1] = (home, pieces[-1][1] + letter)
        else:
            pieces.append((home, letter))
    return pieces


def markup(text: str, font: str = REGULAR) -> str:
    """The text as the inside of a ReportLab `Paragraph`: escaped, each piece in a font that has it."""
    return "".join(f'<font name="{name}">{escape(piece)}</font>' for name, piece in runs(text, font))


def width_of(text: str, font: str, size: float) -> float:
    """How wide the text is in points when set at this size."""
    return float(sum(pdfmetrics.stringWidth(piece, name, size) for name, piece in runs(text, font)))


def draw(canvas: Canvas, x: float, y: float, text: str, font: str, size: float) -> None:
    """Draw one line with its baseline at y, starting at x (points)."""
    line = canvas.beginText(x, y)
    for name, piece in runs(text, font):
        line.setFont(name, size)
        line.textOut(piece)
    canvas.drawText(line)


def fitting(text: str, font: str, size: float, width: float, smallest: float = 4.0) -> tuple[str, float]:
    """The text and the size, at most `size` points, at which it is no wider than `width`.

    Below `smallest` it is cut and ends with an ellipsis: the whole of it stands on the certificate page.
    """
    text = clean(text)
    natural = width_of(text, font, 1.0)
    if natural * smallest <= width:
        return text, min(size, width / natural) if natural else size
    kept = text[: max(1, int(len(text) * width / (natural * smallest)))]
    while len(kept) > 1 and width_of(kept + _ELLIPSIS, font, smallest) > width:
        kept = kept[:-1]
    return kept + _ELLIPSIS, smallest


def wrapped(text: str, font: str, size: float, width: float) -> list[str]:
    """The text broken into lines no wider than `width`: at blanks, and inside a word that is wider by itself."""
    blank = width_of("a a", font, size) - width_of("aa", font, size)
    lines: list[str] = []
    for paragraph in clean_lines(text):
        line, used = "", 0.0
        for word in paragraph.split(" "):
            pieces = _pieces(word, font, size, width)
            for number, (piece, long) in enumerate(pieces):
                if line and (number > 0 or used + blank + long > width):
                    lines.append(line)
                    line, used = "", 0.0
                line, used = (f"{line} {piece}", used + blank + long) if line else (piece, long)
        lines.append(line)
    return lines


def _pieces(word: str, font: str, size: float, width: float) -> list[tuple[str, float]]:
    """The word, or as many parts of it as are needed for each to fit, with their widths."""
    whole = width_of(word, font, size)
    if whole <= width:
        return [(word, whole)]
    pieces = [("", 0.0)]
    for letter in word:
        part, used = pieces[-1]
        long = width_of(letter, font, size)
        if part and used + long > width:
            pieces.append((letter, long))
        else:
            pieces[-1] = (part + letter, used + long)
    return pieces
