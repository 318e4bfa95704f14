"""The language of a page: English, but for the pages behind a mailed link, which speak the firm's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, g
from markupsafe import Markup

from languages import SOURCE, say


def speak(language: str) -> None:
    """Answer this request in a language."""
    g.language = language


def spoken() -> str:
    """The language of this request."""
    return str(g.get("language") or SOURCE)


def here(message: str, **values: object) -> str:
    """A message in the language of this request."""
    return say(spoken(), message, **values)


def sentences(errors: Mapping[str, Any]) -> dict[str, list[str]]:
    """Errors of a form in the language of this request, as far as its catalogue has them."""
    return {name: [here(str(sentence)) for sentence in found] for name, found in errors.items()}


def in_bold(text: str) -> Markup:
    """A text in bold within a sentence; a long address may break."""
    return Markup('<b class="wrap">{}</b>').format(text)


def init_app(app: Flask) -> None:
    """Give the templates `_()` and `spoken()`."""
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(here, lambda one, many, number: here(one), newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.globals["spoken"] = spoken
    app.jinja_env.filters["in_bold"] = in_bold
