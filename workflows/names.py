"""Names of files as people gave them, made fit to be shown, stored and sent in a header.

A name from outside is a claim. It may hold a path, control characters, or letters that turn the reading direction
round, so that `gpj.exe` reads as `exe.jpg`. What is kept is the last part of the path without any of these.
"""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from typing import Final

import filetype

LONGEST: Final = 200  # characters; file systems take 255 bytes
UNNAMED: Final = "file"
UNKNOWN_TYPE: Final = "application/octet-stream"
HEAD: Final = 8192  # bytes that tell what a file is

# Shown as what they are when a browser trusts the name: never taken from the extension.
_ACTIVE: Final = {"text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml"}
_BY_EXTENSION: Final = {
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".md": "text/plain",
    ".ofx": "application/x-ofx",
    ".qfx": "application/x-ofx",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
}
_ZIPPED: Final = {".docx", ".xlsx", ".pptx", ".odt", ".ods"}  # zip files by their first bytes
_HARMLESS_MARKS: Final = {"\u200c", "\u200d"}  # joiners: Persian and Indic names, emoji


def safe_name(name: str | None) -> str:
    """The name as it may be shown and stored: no path, no control or direction characters, at most LONGEST long."""
    text = unicodedata.normalize("NFC", name or "")
    text = re.split(r"[/\\]", text)[-1]
    text = "".join(
        char
        for char in text
        if char in _HARMLESS_MARKS
        or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    )
    text = re.sub(r'[<>:"|?*]', "_", " ".join(text.split())).strip(". ")
    if not text:
        return UNNAMED
    if len(text) <= LONGEST:
        return text
    stem, dot, extension = text.rpartition(".")
    if dot and len(extension) <= 10:
        return f"{stem[: LONGEST - len(extension) - 1].rstrip()}.{extension}"
    return text[:LONGEST].rstrip()


def stem_of(name: str) -> str:
    """The name without its extension, for titles."""
    stem, dot, extension = name.rpartition(".")
    return stem if dot and stem and len(extension) <= 10 else name


def content_type_of(head: bytes, name: str) -> str:
    """What the first bytes say; where they say nothing, what the extension of `name` says, if that is harmless.

    The browser's own word is never asked. Pages and pictures with script in them stay `application/octet-stream`.
    """
    extension = "." + name.rpartition(".")[2].lower() if "." in name else ""
    kind = filetype.guess(head)
    if kind is not None:
        found = str(kind.mime)
        if found == "application/zip" and extension in _ZIPPED:
            return _BY_EXTENSION[extension]
        return UNKNOWN_TYPE if found in _ACTIVE else found
    if extension in _ZIPPED:
        return UNKNOWN_TYPE  # says it is an office document and isn't
    guessed = _BY_EXTENSION.get(extension) or mimetypes.types_map.get(extension, UNKNOWN_TYPE)
    if guessed.startswith("text/") and guessed not in _ACTIVE and b"\x00" not in head:
        return guessed if guessed in {"text/csv", "text/plain"} else "text/plain"
    if guessed in _ACTIVE or guessed.startswith(("text/", "image/", "video/", "audio/")):
        return UNKNOWN_TYPE  # the bytes of a real picture would have said so
    return UNKNOWN_TYPE if guessed == "application/pdf" or "script" in guessed else guessed


def size_text(size: int) -> str:
    """A number of bytes for people: 812 bytes, 1.2 MB (a kB is 1024 bytes, as MAX_UPLOAD_MB counts)."""
    if size < 1024:
        return f"{size} byte{'' if size == 1 else 's'}"
    amount = size / 1024
    units = ["kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    return (
        f"{amount:.0f} {units[0]}" if amount >= 99.5 else f"{amount:.1f}".removesuffix(".0") + f" {units[0]}"
    )
