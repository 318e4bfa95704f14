"""What the templates need from Python: times for people, choices as pairs, fields to draw, the firm's colour.

The content security policy allows no inline style, so a firm's colour can't stand in a page. It is a stylesheet of
its own whose address is the colour itself: no query, and browsers may keep it for good.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask, Response, abort, g, url_for
from flask_bootstrap import Bootstrap5

import languages
from languages import SOURCE
from web import language
from web.drawn_fields import drawn_fields, pairs
from web.language import spoken
from web.logo import logo, logo_url

LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3: text on the firm's colour, and the firm's colour as text
STANDARD_COLOUR = "#1f5f8b"

look = Blueprint("look", __name__)


# The endpoint is called `static` because it is: the same bytes for everybody, so that access rules and caching treat it
# as the other static files.
@look.get("/look/colour-<colour>.css", endpoint="static")
def colour_css(colour: str) -> Response:
    """The stylesheet that sets one firm's colour. 404 unless `colour` is six hexadecimal digits."""
    if not re.fullmatch(r"[0-9a-f]{6}", colour):
        abort(404)
    answer = Response(f":root{{--firm-base:#{colour}}}\n", mimetype="text/css")
    answer.cache_control.public = True
    answer.cache_control.max_age = 31_536_000
    answer.cache_control.immutable = True
    return answer


def colour_url(firm: Any) -> str:
    """Address of the firm's colour stylesheet; the product's own colour where the firm has none we can use."""
    colour = str(getattr(firm, "colour", "") or "").lower()
    usable = colour if re.fullmatch(r"#[0-9a-f]{6}", colour) else STANDARD_COLOUR
    return url_for("look.static", colour=usable[1:])


def colour_problem(colour: str) -> str | None:
    """Why this can't be a firm's colour, as a sentence for the field; None when it can (4.5:1 on white)."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        return "Write the colour as # and six digits, such as #1f5f8b."
    contrast = 1.05 / (_luminance(colour) + 0.05)
    if contrast < LEAST_CONTRAST:
        return (
            f"White text on this colour is too hard to read ({contrast:.1f} to 1, at least 4.5 is needed)."
            " Choose a darker one."
        )
    return None


def _luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2), 0 to 1."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def machine_time(moment: date | datetime) -> str:
    """The `datetime` attribute of <time>: RFC 3339 in UTC for a moment, YYYY-MM-DD for a day."""
    if isinstance(moment, datetime):
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment.isoformat()


def when_text(moment: date | datetime, style: str = "date", zone: str | None = None) -> str:
    """A day or a moment for people, in `zone` (else `g.time_zone`, else UTC).

    Styles: "date" (12 Nov 2026), "full" (12 Nov 2026, 17:00), "deadline" (with the zone, as in 17:00 (New York)).
    The script shows moments in the reader's own zone; this is what stands there without it.
    """
    if spoken() != SOURCE:
        return _translated(moment, style, zone or str(g.get("time_zone") or "UTC"))
    if not isinstance(moment, datetime):
        return f"{moment.day} {moment:%b %Y}"
    name = zone or str(g.get("time_zone") or "UTC")
    local = moment.astimezone(ZoneInfo(name))
    day = f"{local.day} {local:%b %Y}"
    if style == "date":
        return day
    city = name.rsplit("/", 1)[-1].replace("_", " ")
    return f"{day}, {local:%H:%M}" + (f" ({city})" if style == "deadline" else "")


def _translated(moment: date | datetime, style: str, zone: str) -> str:
    if not isinstance(moment, datetime):
        return languages.day(moment, spoken())
    if style == "deadline":
        return languages.moment(moment, zone, spoken())
    if style == "full":
        return languages.moment(moment, zone, spoken()).rpartition(" (")[0]
    return languages.day(moment.astimezone(ZoneInfo(zone)).date(), spoken())


def init_app(app: Flask) -> None:
    """Hand the templates what they need, serve Bootstrap from this machine, and the colours."""
    app.config["BOOTSTRAP_SERVE_LOCAL"] = True
    if "bootstrap" not in app.extensions:
        Bootstrap5(app)
    language.init_app(app)
    app.register_blueprint(look)
    app.register_blueprint(logo)
    filters: Mapping[str, Any] = {"machine_time": machine_time, "when_text": when_text, "pairs": pairs}
    app.jinja_env.filters.update(filters)
    app.jinja_env.globals.update(drawn_fields=drawn_fields, colour_url=colour_url, logo_url=logo_url)
