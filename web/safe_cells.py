"""Cells of tables that people open in a spreadsheet: nothing anybody typed becomes a formula there."""

from __future__ import annotations

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(text: str) -> str:
    """The text with an apostrophe before what a spreadsheet would take for a formula (OWASP: CSV injection)."""
    return "'" + text if text.startswith(DANGEROUS) or text.lstrip().startswith(DANGEROUS[:4]) else text
