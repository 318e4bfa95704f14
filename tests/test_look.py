"""The look's promises: colours that can be read, forms drawn from any schema, the window's exact words."""

from __future__ import annotations

import enum
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import marshmallow as ma
import pytest
from flask import Flask, g, render_template, render_template_string
from marshmallow import fields, validate
from werkzeug.datastructures import MultiDict

from web import look
from web.drawn_fields import CannotDraw, drawn_fields

HOME = Path(__file__).parent.parent


@pytest.fixture
def pages():
    """An application with nothing but the look."""
    app = Flask("look", root_path=str(HOME))
    app.config.update(SECRET_KEY="only for this test")
    look.init_app(app)
    with app.test_request_context():
        yield app


class Rhythm(enum.Enum):
    MONTHLY = "monthly"
    ONCE_A_YEAR = "yearly"


class InvoiceSchema(ma.Schema):
    id = fields.String(dump_only=True)
    title = fields.String(required=True, validate=validate.Length(max=300))
    notes = fields.String(metadata={"widget": "textarea", "hint": "Shown above the amount."})
    amount = fields.Decimal(required=True)
    due_on = fields.Date()
    paid = fields.Boolean(metadata={"label": "Paid already"})
    rhythm = fields.Enum(Rhythm, by_value=True, required=True)
    currency = fields.String(validate=validate.OneOf(["EUR", "USD", "GBP", "CHF", "SEK"]))
    contact = fields.Email(metadata={"autocomplete": "email"})
    tags = fields.List(fields.String())
    parts = fields.List(fields.String(validate=validate.OneOf(["tax", "books"])))


def test_each_kind_of_field_gets_its_widget():
    drawn = {field.name: field for field in drawn_fields(InvoiceSchema)}
    assert "id" not in drawn
    assert {name: field.widget for name, field in drawn.items()} == {
        "title": "text", "notes": "textarea", "amount": "number", "due_on": "date", "paid": "checkbox",
        "rhythm": "radios", "currency": "select", "contact": "email", "tags": "lines", "parts": "checks",
    }  # fmt: skip
    assert drawn["rhythm"].choices == [("monthly", "Monthly"), ("yearly", "Once a year")]
    assert drawn["title"].attrs["maxlength"] == 300
    assert drawn["due_on"].label == "Due"


def test_typed_and_loaded_values_are_shown_alike():
    loaded = {
        "title": "Q3", "amount": Decimal("12.50"), "due_on": date(2026, 12, 1), "paid": True,
        "rhythm": Rhythm.ONCE_A_YEAR, "tags": ["a", "b"], "parts": ["tax"],
    }  # fmt: skip
    typed = MultiDict([
        ("title", "Q3"), ("amount", "12.50"), ("due_on", "2026-12-01"), ("paid", "true"), ("rhythm", "yearly"),
        ("tags", "a\nb"), ("parts", "tax"),
    ])  # fmt: skip
    assert [field.value for field in drawn_fields(InvoiceSchema, loaded)] == [
        field.value for field in drawn_fields(InvoiceSchema, typed)
    ]


def test_a_field_nobody_can_draw_names_itself():
    with pytest.raises(CannotDraw, match="rows"):
        drawn_fields({"rows": fields.List(fields.Dict())})
    assert drawn_fields({"rows": fields.List(fields.Dict(), metadata={"widget": "none"})}) == []


def test_a_form_that_comes_back_keeps_the_input_and_points_at_the_fields(pages):
    html = render_template_string(
        '{% from "_form.html" import render_form %}{{ render_form(schema, values, errors, "/send") }}',
        schema=InvoiceSchema, values={"title": "<b>Q3</b>"}, errors={"due_on": ["Choose today or later."]},
    )  # fmt: skip
    assert 'value="&lt;b&gt;Q3&lt;/b&gt;"' in html
    assert '<a href="#due_on">Choose today or later.</a>' in html
    assert 'aria-describedby="due_on-error" aria-invalid="true"' in html
    assert "style=" not in html


@pytest.mark.parametrize(
    "colour, good", [("#1f5f8b", True), ("#000000", True), ("#767676", True), ("#777777", False), ("#ffcc00", False),
                     ("red", False), ("#12345", False), ("#1f5f8b;}", False)],
)  # fmt: skip
def test_a_firms_colour_must_be_readable(colour, good):
    assert (look.colour_problem(colour) is None) is good


def test_the_colour_is_a_stylesheet_and_nothing_else_can_be_written_into_it(pages):
    client = pages.test_client()
    answer = client.get(look.colour_url(SimpleNamespace(colour="#AA0000")))
    assert answer.text == ":root{--firm-base:#aa0000}\n"
    assert answer.mimetype == "text/css"
    assert client.get("/look/colour-}body{.css").status_code == 404
    assert look.colour_url(SimpleNamespace(colour="red;}")) == look.colour_url(None)


def test_times_say_their_zone_where_it_counts(pages):
    moment = datetime(2026, 12, 23, 22, 0, tzinfo=UTC)
    assert look.when_text(moment, "deadline") == "23 Dec 2026, 22:00 (UTC)"
    g.time_zone = "America/New_York"
    assert look.when_text(moment, "deadline") == "23 Dec 2026, 17:00 (New York)"
    assert look.when_text(moment, "full") == "23 Dec 2026, 17:00"
    assert look.when_text(date(2026, 12, 23)) == "23 Dec 2026"
    assert look.machine_time(moment) == "2026-12-23T22:00:00Z"


def person(**values):
    known = {
        "key": "c1", "contact_id": "c1", "name": "Ada Byron", "email": "ada@byron-estate.com",
        "standing": SimpleNamespace(key="no_invite", label="No invite sent", tone="idle"), "shared_mailbox_with": "",
        "can_invite": True, "has_access": False, "needs_address": False, "ticked": False, "can_see": "portal",
        "added": False, "typo": None, "error": "",
    }  # fmt: skip
    return SimpleNamespace(**{**known, **values})


def window(**values):
    step = {
        "people": [],
        "action": "/send",
        "item_choice": True,
        "can_skip": True,
        "errors": {},
        "hidden": [],
    }
    return render_template("staff/_window.html", step=SimpleNamespace(**{**step, **values}))


def found(pattern, html):
    match = re.search(pattern, html, re.S)
    assert match, pattern
    return match[0]


def row(html, key):
    return found(rf'<li class="person"[^>]*data-key="{re.escape(key)}".*?</li>', html)


def test_the_window_has_the_products_words(pages):
    html = window(people=[person(shared_mailbox_with="John")])
    for words in (
        "Client Portal", "Add another person", "Enter the Email of a New Person", ">Add<", "Can see", "Whole portal",
        "Only this item", "Include a personalized message", "Templates", ">Send<", "Send without inviting",
        "Shared mailbox with John", "No invite sent",
    ):  # fmt: skip
        assert words in html, words
    assert "style=" not in html


def test_who_has_access_needs_no_invite_and_who_is_suspended_gets_none(pages):
    html = window(people=[
        person(key="in", has_access=True, can_invite=False), person(key="out", can_invite=False),
        person(key="yes", ticked=True), person(key="no", needs_address=True, can_invite=False, email=""),
    ])  # fmt: skip
    box = {
        key: found(r'<input class="form-check-input"[^>]*>', row(html, key))
        for key in ("in", "out", "yes", "no")
    }
    assert " checked" in box["in"]
    assert " disabled" in box["in"]
    assert " checked" not in box["out"]
    assert " disabled" in box["out"]
    assert " checked" in box["yes"]
    assert " disabled" not in box["yes"]
    assert " checked" not in box["no"]
    assert 'name="people-3-email" type="text"' in row(html, "no")


def test_from_the_record_there_is_no_item_to_choose(pages):
    html = window(people=[person(ticked=True)], item_choice=False, can_skip=False)
    assert "Only this item" not in html
    assert 'name="people-0-can_see" value="portal"' in html
    assert "Send without inviting" not in html


def test_what_people_typed_stays_text(pages):
    html = window(
        people=[person(name="<img src=x>", typo='"><script>')], new_email='"><b>', message="</textarea><b>",
        hidden=[("title", '"><b>')], heading="Sending <b>",
    )  # fmt: skip
    assert "<b>" not in html
    assert "<script>" not in html
    assert "<img" not in html


def test_the_pop_up_names_each_person_and_what_happened(pages):
    results = [
        {"name": "Ada Byron", "email": "ada@byron-estate.com", "outcome": "invited", "reason": ""},
        {
            "name": "",
            "email": "x@y.example",
            "outcome": "blocked",
            "reason": "This address refused our mails.",
        },
    ]
    html = render_template_string(
        '{% from "_components.html" import invite_sent %}{{ invite_sent(results, "waiting") }}',
        results=results,
    )
    for words in (
        "Invite sent",
        "Waiting for the mail server",
        "Ada Byron",
        "Invited",
        "x@y.example",
        "refused our",
    ):
        assert words in html, words


def test_no_template_or_script_leaves_the_house_or_writes_inline():
    for path in [*HOME.glob("templates/**/*.html"), *HOME.glob("static/js/*.js")]:
        if "mail" in path.parts:
            continue  # mails are read in mail programs, which know inline styles only
        text = re.sub(
            r"{[%{#].*?[%}#]}", "", path.read_text(), flags=re.S
        )  # a macro may call an argument `style`
        assert not re.search(r"\sstyle=[\"']|<style|\son(click|load|submit|change)=", text), path
        assert not re.search(r"(src|href)=[\"']https?:|from [\"']https?:|@import", text), path
