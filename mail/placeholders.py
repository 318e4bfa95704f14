"""Placeholders in what staff write: `{{ person.first_name }}` and eight others, and nothing else.

python-liquid reads the text, never Jinja (its sandbox rendered 30 million characters). Filters and tags are refused,
so a text can't be longer than what stands in it. Until the invite is accepted a client's name and an item's title
are replaced by neutral words: a mistyped address must learn nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import liquid
from liquid.exceptions import LiquidError

from languages import SOURCE, say
from models.errors import Invalid

LONGEST = 2000  # characters, as product.md says

# Name -> what it stands for, as the window's help shows it.
PLACEHOLDERS: dict[str, str] = {
    "person.first_name": "the person's first name",
    "person.name": "the person's full name",
    "client.name": "the client's name",
    "sender.name": "your name",
    "firm.name": "the firm's name",
    "item.title": "the title of what you send",
    "item.due_on": "the day it is due",
    "invite.expires_on": "the day the invite ends",
}
NEUTRAL: dict[str, str] = {"client.name": "you", "item.title": "what we sent you"}


@dataclass(frozen=True)
class Values:
    """What the placeholders of one mail become; empty where nothing is known."""

    person_name: str = ""
    client_name: str = ""
    sender_name: str = ""
    firm_name: str = ""
    item_title: str = ""
    item_due_on: str = ""
    invite_expires_on: str = ""

    def by_name(self, *, hides_names: bool, language: str = SOURCE) -> dict[str, str]:
        """Placeholder -> text; with neutral words for client and title where they are hidden."""
        values = {
            "person.first_name": self.person_name.split(" ")[0],
            "person.name": self.person_name,
            "client.name": self.client_name,
            "sender.name": self.sender_name,
            "firm.name": self.firm_name,
            "item.title": self.item_title,
            "item.due_on": self.item_due_on,
            "invite.expires_on": self.invite_expires_on,
        }
        neutral = {name: say(language, words) for name, words in NEUTRAL.items()}
        return values | neutral if hides_names else values


def check(text: str, field: str = "message") -> str:
    """The text, if it can be mailed; raises Invalid that names the place of what can't."""
    if len(text) > LONGEST:
        raise Invalid({field: [f"This is {len(text):,} characters long; {LONGEST:,} are possible."]})
    sentences = list(_problems(text))
    if sentences:
        raise Invalid({field: sentences})
    return text


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders filled in; `values` as from `Values.by_name()`. Raises Invalid as `check()` does.

    A placeholder that is empty takes the blank before it along: "Hello {{ person.first_name }}," becomes "Hello,".
    """
    check(text)
    for name, value in values.items():
        if not value:
            text = re.sub(r"[ \t]*\{\{-?\s*" + re.escape(name) + r"\s*-?\}\}", "", text)
    tree: dict[str, dict[str, str]] = {}
    for name, value in values.items():
        whole, _, part = name.partition(".")
        tree.setdefault(whole, {})[part] = value
    return _template(text).render(**tree)


class _Environment(liquid.Environment):
    """Liquid without a single tag or filter, and with an end to everything."""

    output_stream_limit = 100_000
    context_depth_limit = 5
    loop_iteration_limit = 1
    local_namespace_limit = 1_000


def _plain_liquid() -> liquid.Environment:
    """Only what makes text and `{{ }}` work."""
    environment = _Environment(undefined=liquid.StrictUndefined)
    environment.filters.clear()
    for name in [name for name in environment.tags if name not in {"content", "output", "illegal"}]:
        del environment.tags[name]
    return environment


_LIQUID = _plain_liquid()
_TAG = re.compile(r"\{%-?\s*(\w*)")
_KNOWN = "Possible are " + ", ".join("{{ " + name + " }}" for name in PLACEHOLDERS) + "."


@lru_cache(maxsize=256)  # one message goes to many people
def _problems(text: str) -> tuple[str, ...]:
    tag = _TAG.search(text)
    if tag:
        return (f"{_place(text, tag.start())}: '{{% %}}' can't be used in a message. {_KNOWN}",)
    try:
        analysis = _LIQUID.from_string(text).analyze()
    except LiquidError as error:
        index = max(error.token.start_index, 0) if error.token is not None else 0
        opened = text.rfind("{{", 0, index + 2)
        shown = text[opened if opened >= 0 else index :][:40].split("\n")[0]
        where = _place(text, max(opened, 0))
        return (f"{where}: '{shown}' is not a placeholder that can be filled in. {_KNOWN}",)
    found = [
        (variable.span.index, ".".join(str(segment) for segment in variable.segments))
        for variables in analysis.globals.values()
        for variable in variables
    ]
    found += [(span.index, f"| {name}") for name, spans in analysis.filters.items() for span in spans]
    unknown = sorted((index, name) for index, name in found if name not in PLACEHOLDERS)
    return tuple(
        f"{_place(text, index)}: there is no placeholder '{name}'. {_KNOWN}" for index, name in unknown[:3]
    )


@lru_cache(maxsize=256)
def _template(text: str) -> liquid.BoundTemplate:
    return _LIQUID.from_string(text)


def _place(text: str, index: int) -> str:
    before = text[:index]
    return f"Line {before.count(chr(10)) + 1}, character {index - before.rfind(chr(10))}"
