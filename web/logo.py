"""The firm's logo: made anew from what was uploaded, shown on pages under an address that names its content.

What is served is never what somebody uploaded: the picture is decoded and written again as a small PNG, so that it
holds pixels and nothing else. Mails carry it as a small attachment (mail/logo.py): a linked picture would be loaded
from us at each look, which is tracking by another name.
"""

from __future__ import annotations

import hashlib
import io
from typing import IO, TYPE_CHECKING

import sqlalchemy as sa
from flask import Blueprint, Response, abort, url_for

from later import later
from models import Firm, FirmLogo, db
from models.errors import Invalid

if TYPE_CHECKING:
    from PIL import Image, ImageOps
else:
    Image, ImageOps = later("PIL.Image"), later("PIL.ImageOps")

LARGEST = 512 * 1024  # bytes of an upload
PIXELS_MOST = 20_000_000
SIZE = (480, 160)  # what pages show at most, at twice its size in CSS pixels
KINDS = ("PNG", "JPEG")

logo = Blueprint("logo", __name__)


# Called `static` because it is: the same bytes for everybody, named by their content (see web/look.py).
@logo.get("/look/logo/<firm_id>/<sha256>.png", endpoint="static")
def picture(firm_id: str, sha256: str) -> Response:
    """The logo of a firm. 404 for one it doesn't have (any more)."""
    png = db.session.scalar(
        sa.select(FirmLogo.png).where(FirmLogo.firm_id == firm_id, FirmLogo.sha256 == sha256)
    )
    if png is None:
        abort(404)
    answer = Response(png, mimetype="image/png")
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer.cache_control.public = True
    answer.cache_control.max_age = 31_536_000
    answer.cache_control.immutable = True
    return answer


def logo_url(firm: object) -> str:
    """Address of the firm's logo; empty where it has none."""
    sha256 = getattr(firm, "logo_sha256", None)
    return url_for("logo.static", firm_id=firm.id, sha256=sha256) if sha256 and isinstance(firm, Firm) else ""


def made_anew(stream: IO[bytes]) -> bytes:
    """The uploaded picture as a small PNG of ours. Raises Invalid (`logo`) for what is no PNG or JPEG of that size."""
    data = stream.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise Invalid({"logo": [f"This file is too large: at most {LARGEST // 1024} KB."]})
    try:
        with Image.open(io.BytesIO(data), formats=KINDS) as opened:
            if opened.width * opened.height > PIXELS_MOST:
                raise Invalid({"logo": ["This picture has too many pixels. Make it smaller first."]})
            drawn = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Invalid({"logo": ["This is not a picture we can read. Choose a PNG or JPEG file."]}) from error
    drawn.thumbnail(SIZE)
    clean = Image.new("RGBA", drawn.size)
    clean.paste(drawn)
    target = io.BytesIO()
    clean.save(target, "PNG", optimize=True)
    return target.getvalue()


def keep(firm: Firm, png: bytes | None) -> None:
    """Give the firm this logo, or none, within the open unit of work."""
    db.session.execute(sa.delete(FirmLogo).where(FirmLogo.firm_id == firm.id))
    firm.logo_sha256 = hashlib.sha256(png).hexdigest() if png else None
    if png and firm.logo_sha256:
        db.session.add(FirmLogo(firm_id=firm.id, sha256=firm.logo_sha256, png=png))
