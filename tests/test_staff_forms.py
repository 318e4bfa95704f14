"""HTML forms and schemas: names with dashes to nested data, and back."""

from __future__ import annotations

import marshmallow as ma
import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import fields
from werkzeug.datastructures import MultiDict

from models.errors import Invalid
from schemas.base import DueDate, Strict, Text
from schemas.client_request import ClientRequestSchema
from schemas.esign import EsignRequestSchema
from web.forms import field_errors, hidden_pairs, load_form, read_form, read_rows


class Colours(Strict):
    """Every kind of field a plug-in may have."""

    title = Text(required=True)
    amount = fields.Integer(load_default=None, allow_none=True)
    due_on = DueDate(load_default=None, allow_none=True)
    gift = fields.Boolean(load_default=True)
    lines = fields.List(Text(), load_default=list)
    picks = fields.List(fields.String(validate=ma.validate.OneOf(["a", "b", "c"])), load_default=list)


def test_rows_are_read_in_their_order_and_empty_ones_left_out() -> None:
    form = MultiDict([
        ("title", "Organizer"), ("questions-7-label", "Second"), ("questions-7-type", "date"),
        ("questions-2-label", "First"), ("questions-2-type", "single_choice"),
        ("questions-2-choices", "Yes\r\n\r\n No \r\n"), ("questions-2-required", "true"),
        ("questions-9-label", "  "), ("questions-9-type", "short_text"), ("questions-9-required", "true"),
    ])  # fmt: skip
    data = load_form(ClientRequestSchema(), form)
    assert [(one["label"], one.get("choices"), one["required"]) for one in data["questions"]] == [
        ("First", ["Yes", "No"], True),
        ("Second", None, False),
    ]
    assert len(read_rows(ClientRequestSchema(), form, "questions")) == 3  # the buttons keep empty rows


def test_errors_stand_beside_their_inputs() -> None:
    form = MultiDict([
        ("file_id", "x"), ("signers-0-name", "Ada"), ("signers-0-email", "ada@byron.example"),
        ("signers-4-name", "Will"), ("signers-4-email", "will@"),
    ])  # fmt: skip
    with pytest.raises(Invalid) as caught:
        load_form(EsignRequestSchema(), form)
    assert list(field_errors(caught.value.fields)) == ["signers-1-email"]


def test_an_absent_box_is_off_and_an_empty_number_or_date_is_none() -> None:
    data = load_form(
        Colours(), MultiDict([("title", "T"), ("amount", ""), ("due_on", ""), ("lines", "a\nb")])
    )
    assert data == {
        "title": "T",
        "amount": None,
        "due_on": None,
        "gift": False,
        "lines": ["a", "b"],
        "picks": [],
    }


def test_an_empty_required_text_gets_its_sentence() -> None:
    with pytest.raises(Invalid) as caught:
        load_form(Colours(), MultiDict([("title", "  ")]))
    assert caught.value.fields == {"title": ["Please fill this in."]}


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=30)


@given(
    title=texts, gift=st.booleans(), lines=st.lists(texts, max_size=4),
    picks=st.lists(st.sampled_from("abc"), unique=True), amount=st.none() | st.integers(),
)  # fmt: skip
def test_hidden_inputs_read_back_to_the_same_data(
    title: str, gift: bool, lines: list[str], picks: list[str], amount: int | None
) -> None:
    form = MultiDict([("title", title), ("lines", "\n".join(lines)), *(("picks", pick) for pick in picks)])
    form.update({"gift": "true"} if gift else {})
    form.update({} if amount is None else {"amount": str(amount)})
    data = read_form(Colours(), form)
    assert read_form(Colours(), MultiDict(hidden_pairs(Colours(), data))) == data


def test_hidden_inputs_of_a_whole_survey_load_to_the_same() -> None:
    form = MultiDict([
        ("title", "Organizer"), ("introduction", "Two\nlines"), ("due_on", "2027-03-01"),
        ("questions-0-label", "Kind?"), ("questions-0-type", "single_choice"), ("questions-0-choices", "A\nB"),
        ("questions-1-label", "When?"), ("questions-1-type", "date"), ("questions-1-required", "on"),
    ])  # fmt: skip
    schema = ClientRequestSchema()
    data = read_form(schema, form)
    carried = MultiDict(hidden_pairs(schema, data))
    assert load_form(schema, carried) == load_form(schema, form)
