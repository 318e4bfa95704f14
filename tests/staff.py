"""Staff at their pages without a script: open a page, fill in a form as it stands there, press a button."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from lxml import html
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from tests.support.world import PASSWORD


@dataclass
class Shown:
    """A page as it came: status, its words, its forms."""

    staff: Staff
    answer: TestResponse
    tree: Any = field(init=False)

    def __post_init__(self) -> None:
        text = self.answer.get_data(as_text=True)
        self.tree = html.fromstring(text) if text.strip() else html.fromstring("<html></html>")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.answer.status_code

    @property
    def path(self) -> str:
        """Where one stands after redirects."""
        return self.answer.request.full_path.rstrip("?")

    @property
    def words(self) -> str:
        """What a person reads in the page's main part, blanks folded."""
        main = self.tree.xpath("//main") or [self.tree]
        texts = main[0].xpath(".//text()[not(ancestor::template) and not(ancestor::script)]")
        return re.sub(r"\s+", " ", " ".join(texts)).strip()

    def form(self, action: str = "") -> Any:
        """The first form of the main part whose address holds `action`."""
        for form in self.tree.xpath("//main//form"):
            if action in (form.get("action") or "") and form.get("method", "").lower() == "post":
                return form
        raise AssertionError(f"no form for {action!r} on {self.path}: {self.words[:300]}")

    def fields(self, action: str = "") -> MultiDict[str, Any]:
        """What that form would post as it stands, without its buttons."""
        return _values(self.form(action))

    def fields_of_fragment(self) -> MultiDict[str, Any]:
        """What the form of a fragment (no page around it) would post."""
        return _values(self.tree.xpath("//form[@data-window-form]")[0])

    def press(self, button: str = "", action: str = "", **changes: Any) -> Shown:
        """Post that form with changes (None takes a field away); `button` is `name=value`."""
        data = self.fields(action)
        for name, value in changes.items():
            key = name.replace("__", "-")
            data.poplist(key)
            for one in value if isinstance(value, list) else [value] if value is not None else []:
                data.add(key, one)
        if button:
            name, _, value = button.partition("=")
            data.setlist(name, [value, *data.getlist(name)])
        return self.staff.post(self.form(action).get("action") or self.path, data)

    def row(self, text: str) -> int:
        """The number of the window's row that holds `text`."""
        for number, row in enumerate(self.tree.xpath("//li[@data-person]")):
            if text in " ".join(row.itertext()) or text in row.get("data-key", ""):
                return number
        raise AssertionError(f"nobody {text!r} in {self.words[:400]}")

    def ticked(self) -> list[str]:
        """The names of the window's rows that Send would invite."""
        return [
            row.xpath(".//*[@data-name]")[0].text_content()
            for row in self.tree.xpath("//li[@data-person]")
            if row.xpath("./input[@type='checkbox'][@checked][not(@disabled)]")
        ]

    def errors(self) -> list[str]:
        """The sentences beside the fields."""
        return [
            " ".join(one.text_content().split())
            for one in self.tree.xpath("//*[contains(@class, 'field-error')]")
        ]


@dataclass
class Staff:
    """One team member's browser."""

    client: FlaskClient

    @classmethod
    def of(cls, app: Flask, email: str = "dana@northwind.example") -> Staff:
        """Sign in."""
        staff = cls(app.test_client())
        staff.open("/login").press(email=email, password=PASSWORD)
        return staff

    def open(self, path: str) -> Shown:
        """GET, following redirects."""
        return Shown(self, self.client.get(path, follow_redirects=True))

    def post(self, path: str, data: Any, headers: dict[str, str] | None = None) -> Shown:
        """POST from our own page, following redirects."""
        kind = (
            {"content_type": "multipart/form-data"} if any(_is_file(value) for value in data.values()) else {}
        )
        answer = self.client.post(
            path,
            data=data,
            headers={"Origin": "http://localhost", **(headers or {})},
            follow_redirects=True,
            **kind,
        )
        return Shown(self, answer)


def _values(form: Any) -> MultiDict[str, Any]:
    """A form's values as a browser would post them: no rows of templates, no line break that begins a text area."""
    return MultiDict(
        (name, value.removeprefix("\n")) for name, value in form.form_values() if "__n__" not in name
    )


def _is_file(value: Any) -> bool:
    return isinstance(value, tuple)
