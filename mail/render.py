"""A kind of mail is a folder of three files: subject.txt, body.txt, body.mjml.

The MJML is compiled once per process with its Jinja placeholders still in it; per mail only Jinja runs, which costs a
thirtieth of a millisecond. Values are escaped in HTML by Jinja. Only files of ours are templates here: what staff
write comes in as a value (see mail/placeholders.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from mjml import mjml2html

from languages import jinja_callables

FOLDER = Path(__file__).resolve().parent.parent / "templates" / "mail"
ZWNJ = "\u200c"

# What mail programs make links of on their own: addresses, anything with a scheme, names with a dot in them.
_LINKABLE = re.compile(
    r"(?<=[^\s])([.@\u3002\uff0e\uff61\uff20])(?=[^\s.])|(?<=\w)(:)(?=[^\s\d])|(?<=:)(//)(?=[^\s])"
)


_PIECE = re.compile(r'<mj-include path="(_[a-z]+\.mjml)" />')


@dataclass(frozen=True)
class Rendered:
    """One mail's words."""

    subject: str
    text: str
    html: str


def render(kind: str, values: dict[str, Any]) -> Rendered:
    """The words of one mail. Raises jinja2.UndefinedError where a value is missing."""
    subject, _, html = _templates(kind, values["language"])
    line = " ".join(subject.render(values).split())
    return Rendered(line, render_text(kind, values), html.render(values, subject=line))


def render_text(kind: str, values: dict[str, Any]) -> str:
    """The plain text alone, without blank lines in a row."""
    text = _templates(kind, values["language"])[1].render(values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def unlinked(text: str) -> str:
    """The text as people read it, but nothing in it becomes a link by itself.

    A personal message could carry a stranger's link under the firm's name. HTML from us has no link there, but mail
    programs make links of whatever looks like an address; a zero-width non-joiner inside it stops them, and is not
    seen.
    """
    return _LINKABLE.sub(lambda found: found.group(0) + ZWNJ, text)


def paragraphs(text: str) -> list[str]:
    """The text's paragraphs: what blank lines separate."""
    return [part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


def as_html(text: str) -> Markup:
    """Plain text as paragraphs, its line ends kept."""
    lines = [Markup("<br>").join(escape(line) for line in part.split("\n")) for part in paragraphs(text)]
    return Markup("").join(Markup("<p>{}</p>").format(line) for line in lines)


def bold(text: str) -> Markup:
    """The text in bold, to stand within a translated sentence."""
    return Markup("<b>{}</b>").format(text)


def _in_short_lines(html: str) -> str:
    """The page with its tags broken into lines, where blanks mean nothing.

    The compiler gives one line of 5,000 characters. In short ones, few bytes stand beside a person's part and have to
    be encoded anew with it (mail/stencil.py).
    """
    head, body, rest = html.partition("<body")
    return head + body + rest.replace('" style="', '"\nstyle="').replace('">', '"\n>')


@lru_cache
def _environments(language: str) -> tuple[jinja2.Environment, jinja2.Environment]:
    """For plain text and for HTML; `_()` in them speaks the language."""
    more: Any = {"undefined": jinja2.StrictUndefined, "extensions": ["jinja2.ext.i18n"]}
    plain = jinja2.Environment(autoescape=False, **more)  # noqa: S701 plain text
    html = jinja2.Environment(autoescape=True, **more)
    for environment in (plain, html):
        environment.filters |= {"unlinked": unlinked, "as_html": as_html, "bold": bold}
        environment.install_gettext_callables(*jinja_callables(language), newstyle=True)  # type: ignore[attr-defined]
    return plain, html


@lru_cache(maxsize=256)
def _templates(kind: str, language: str) -> tuple[jinja2.Template, jinja2.Template, jinja2.Template]:
    plain, html = _environments(language)
    folder = FOLDER / kind
    return (
        plain.from_string((folder / "subject.txt").read_text()),
        plain.from_string((folder / "body.txt").read_text()),
        html.from_string(_compiled(kind).replace('lang="en"', 'lang="{{ language }}"')),
    )


@lru_cache
def _compiled(kind: str) -> str:
    """The MJML as HTML, its placeholders still in it: one for all languages."""
    # Pieces are put in as text: the compiler renders an included one without the cell it needs around it. And no
    # fonts: MJML would fetch the ones it knows from elsewhere, and a mail of ours asks nobody for anything.
    source = (FOLDER / kind / "body.mjml").read_text()
    return _in_short_lines(
        mjml2html(_PIECE.sub(lambda found: (FOLDER / found[1]).read_text(), source), fonts={})
    )
