"""The language of a page: English for staff, the firm's for a client, the browser's where no firm is known yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, g, request
from markupsafe import Markup

from languages import LANGUAGES, SOURCE, say


def speak(language: str) -> None:
    """Answer this request in a language."""
    g.language = language


def speak_as_browser() -> None:
    """Answer in the language that the reader's browser asks for, where it is one of ours: sign-in and its sisters."""
    ours = {code.lower(): code for code in LANGUAGES}
    # Not best_match(): it takes a later "en" before a first "de-AT".
    asked = [tag.lower() for tag in request.accept_languages.values()]
    found = (ours.get(tag) or ours.get(tag.partition("-")[0]) for tag in asked)
    speak(next(filter(None, found), SOURCE))


def spoken() -> str:
    """The language of this request."""
    return str(g.get("language") or SOURCE)


def here(message: str, **values: object) -> str:
    """A message in the language of this request."""
    return say(spoken(), message, **values)


def sentences(errors: Mapping[str, Any]) -> dict[str, list[str]]:
    """Errors of a form in the language of this request, as far as its catalogue has them."""
    return {name: [here(sentence) for sentence in found] for name, found in errors.items()}


def in_bold(text: str) -> Markup:
    """A text in bold within a sentence; a long address may break."""
    return Markup('<b class="wrap">{}</b>').format(text)


def _said(text: Any) -> Any:
    """Words that aren't the template's own, in the language of this request; whatever is no text stays as it is."""
    return here(text) if isinstance(text, str) and not isinstance(text, Markup) else text


def init_app(app: Flask) -> None:
    """Give the templates `_()`, `spoken()` and the filter `said`."""
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(here, lambda one, many, number: here(one), newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.globals["spoken"] = spoken
    app.jinja_env.filters["in_bold"] = in_bold
    app.jinja_env.filters["said"] = _said
