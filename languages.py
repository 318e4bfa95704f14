"""The languages in which a client's person is written to: mails, the pages behind a mailed link, and the portal.

English is the source: a message is its own English text, with `%(name)s` where a value goes. The catalogues lie in
translations/ as gettext .po files and are read as they are, once a process; nothing has to be compiled. A message that
a catalogue doesn't have (a plug-in's words) stays English; tests/test_languages.py sees to it that ours are all there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_date, format_skeleton, format_time, get_timezone_location
from babel.messages.pofile import read_po

SOURCE = "en"
LANGUAGES: Mapping[str, str] = {
    SOURCE: "English (UK)",
    "en-US": "English (US)",
    "de": "Deutsch",
    "fr": "Français",
    "es": "Español",
}
FOLDER = Path(__file__).resolve().parent / "translations"
_DAYS = {"de": "d. MMM y"}  # Babel's own is 23.12.2026; a month's name is read without a doubt


class Words(str):
    """English words that remember how they were made, so that a page can say them in its reader's language."""

    message: str
    values: Mapping[str, object]


def worded(message: str, **values: object) -> Words:
    """English words with their values filled in; `say` and the pages' filter `said` translate them afterwards."""
    words = Words(message % values if values else message)
    words.message, words.values = message, values
    return words


def say(language: str, message: str, **values: object) -> str:
    """`message` in a language, its placeholders filled in."""
    if isinstance(message, Words):
        return say(language, message.message, **message.values)
    text = _catalogue(language).get(message, message)
    return text % values if values else text


def knows(language: str, message: str) -> bool:
    """Whether `say` has the words of this message in a language, and does not fall back to English."""
    text = message.message if isinstance(message, Words) else message
    return language.startswith(SOURCE) or text in _catalogue(language)


@lru_cache
def _catalogue(language: str) -> Mapping[str, str]:
    """English text -> text; empty for English, and for a language that isn't ours."""
    path = FOLDER / f"{language}.po"
    if language not in LANGUAGES or not path.exists():
        return {}
    with path.open("rb") as file:
        found = read_po(file, locale=language)
    return {
        str(message.id): str(message.string)
        for message in found
        if message.id and message.string and not message.fuzzy
    }


def jinja_callables(language: str) -> tuple[Any, Any]:
    """`gettext` and `ngettext` for a template environment of one language."""
    return (
        lambda message: say(language, message),
        lambda one, many, number: say(language, one if number == 1 else many),
    )


def day(value: date, language: str = SOURCE) -> str:
    """A day in words: 23 Dec 2026."""
    if _locale(language) is None:
        return f"{value.day} {value:%b} {value.year}"
    return format_date(value, _DAYS.get(language, "medium"), locale=_locale(language))


def short_day(value: date, language: str = SOURCE) -> str:
    """A day of this year: 23 Dec."""
    if _locale(language) is None:
        return f"{value.day} {value:%b}"
    return format_skeleton("MMMd", value, locale=_locale(language))


def weekday(value: date, language: str = SOURCE) -> str:
    """Friday."""
    return format_date(value, "EEEE", locale=_locale(language) or SOURCE)


def moment(value: datetime, zone: str, language: str = SOURCE) -> str:
    """A moment in words, with the zone it is told in: 23 Dec 2026, 17:00 (New York)."""
    local = value.astimezone(zone_of(zone))
    if _locale(language) is None:
        place = zone.rpartition("/")[2].replace("_", " ")
        return f"{day(local.date())}, {local:%H:%M} ({place})"
    place = get_timezone_location(zone_of(zone), locale=_locale(language), return_city=True)
    clock = format_time(local.time(), "short", locale=_locale(language)).replace("\u202f", " ")
    return f"{day(local.date(), language)}, {clock} ({place})"


def zone_of(name: str) -> ZoneInfo:
    """The zone of that name; UTC where this machine doesn't know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _locale(language: str) -> str | None:
    """Babel's name of a language whose dates differ from the source's."""
    return language.replace("-", "_") if language in LANGUAGES and language != SOURCE else None
