"""The firm's logo inside its mails: a small attached picture that the HTML shows by its Content-ID.

Nothing is fetched when somebody reads the mail, so the picture is no tracking pixel; the same bytes go to everybody.
The text beside it names the firm, so that a mail program that shows no pictures loses nothing.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from later import later

if TYPE_CHECKING:
    from PIL import Image
else:
    Image = later("PIL.Image")

WIDEST, HIGHEST = 200, 64  # as shown, in CSS pixels
LARGEST = 24 * 1024  # bytes of the picture; what is larger gets fewer colours, then fewer pixels
COLOURS = 64


@dataclass(frozen=True)
class MailLogo:
    """A logo as a mail carries it."""

    content_id: str
    width: int
    height: int
    part: bytes = field(repr=False)  # headers and body, as they stand between two boundaries


@lru_cache(maxsize=256)
def mail_logo(sha256: str, png: bytes) -> MailLogo:
    """The logo for mails; `png` is what pages show (made by web/logo.py), named by its hash."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as opened:
        picture = opened.convert("RGBA")
    shrink = min(WIDEST / picture.width, HIGHEST / picture.height, 1 / 2)
    width, height = (max(1, round(side * shrink)) for side in picture.size)
    small = _small(png, picture, (width, height))
    content_id = f"logo-{sha256[:24]}@portal"
    encoded = base64.b64encode(small)
    lines = b"\r\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76))
    head = (
        "\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n"
        f'Content-ID: <{content_id}>\r\nContent-Disposition: inline; filename="logo.png"\r\n\r\n'
    )
    return MailLogo(content_id, width, height, head.encode() + lines)


def _small(png: bytes, picture: Image.Image, shown: tuple[int, int]) -> bytes:
    """The picture's bytes, as sharp as a mail can afford."""
    if len(png) <= LARGEST:
        return png
    few = _written(picture.quantize(COLOURS, method=Image.Quantize.FASTOCTREE))
    if len(few) <= LARGEST:
        return few
    return _written(picture.resize(shown).quantize(COLOURS, method=Image.Quantize.FASTOCTREE))


def _written(picture: Image.Image) -> bytes:
    target = io.BytesIO()
    picture.save(target, "PNG", optimize=True)
    return target.getvalue()
