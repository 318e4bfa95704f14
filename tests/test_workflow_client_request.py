"""Client requests: what staff may ask, what clients may answer, and who comes second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from hooks import Refused, client_request_sent
from models import Answer, Event, FirmLicence, Invite, Outbox, WorkItem, db, unit_of_work
from models.database import statements
from models.errors import Invalid, LicenceMissing, Missing, WrongState
from schemas.base import load
from schemas.client_request import ClientRequestSchema
from tests.workflows import Desk, make_desk, order_for, receiver, together
from workflows import viewing
from workflows.client_request import answers, drafts, templates
from workflows.client_request.declaration import CLIENT_REQUEST

SURVEY: dict[str, Any] = {
    "title": "Organizer 2026",
    "introduction": "Ten minutes.",
    "questions": [
        {"type": "short_text", "label": "Full name", "key": "name", "required": True},
        {"type": "long_text", "label": "What changed?", "key": "changes"},
        {"type": "yes_no", "label": "Moved house?", "key": "moved", "required": True},
        {"type": "single_choice", "label": "Filing", "key": "filing", "choices": ["Single", "Joint"]},
        {"type": "date", "label": "Married on", "key": "married"},
    ],
}


@pytest.fixture
def desk(app: Flask) -> Iterator[Desk]:
    with app.app_context():
        yield make_desk(app)


def sent(desk: Desk, data: dict[str, Any] | None = None) -> WorkItem:
    return desk.send("client-request", data or SURVEY).items[0]


def save(
    desk: Desk, item: WorkItem, values: dict[str, Any], email: str = "ada@byron.example"
) -> dict[str, list[str]]:
    with unit_of_work():
        return answers.save(item, desk.person(email), values)


def submit(desk: Desk, item: WorkItem) -> str:
    with unit_of_work():
        return answers.submit(item, desk.person())


# What staff ask -----------------------------------------------------------------------------------------------------


@pytest.mark.one_database
@pytest.mark.parametrize(
    "question, field, sentence",
    [
        (
            {"type": "money", "label": "x"},
            "type",
            "Use short_text, long_text, yes_no, single_choice or date.",
        ),
        ({"type": ["date"], "label": "x"}, "type", "Choose a type."),
        ({"label": "x"}, "type", "Choose a type."),
        ({"type": "date"}, "label", "Please fill this in."),
        ({"type": "date", "label": "   "}, "label", "Please fill this in."),
        ({"type": "date", "label": "x" * 501}, "label", "At most 500 characters"),
        ({"type": "date", "label": "x", "choices": ["a", "b"]}, "choices", "takes no choices"),
        ({"type": "single_choice", "label": "x"}, "choices", "Give 2 to 50 choices; there are none."),
        ({"type": "single_choice", "label": "x", "choices": ["a"]}, "choices", "there is 1"),
        ({"type": "single_choice", "label": "x", "choices": ["Yes", "YES"]}, "choices", "once only"),
        ({"type": "single_choice", "label": "x", "choices": ["a", " "]}, "choices.1", "Please fill this in."),
        (
            {"type": "single_choice", "label": "x", "choices": [str(n) for n in range(51)]},
            "choices",
            "there are 51",
        ),
        ({"type": "date", "label": "x", "key": "Not a key"}, "key", "small letters"),
        ({"type": "date", "label": "x", "required": "perhaps"}, "required", "true or false"),
        ({"type": "date", "label": "x", "hint": "?"}, "hint", "no such field"),
    ],
)
def test_what_a_question_may_not_be(question: dict[str, Any], field: str, sentence: str) -> None:
    with pytest.raises(Invalid) as raised:
        load(ClientRequestSchema(), {"title": "T", "questions": [question]})
    assert sentence in raised.value.fields[f"questions.0.{field}"][0]


@pytest.mark.one_database
@pytest.mark.parametrize(
    "data, field",
    [
        ({}, "title"),
        ({"title": ""}, "title"),
        ({"title": ["x"]}, "title"),
        ({"title": "x\x00y"}, "title"),
        ({"title": "x", "due_on": "2020-02-02"}, "due_on"),
        ({"title": "x", "due_on": "soon"}, "due_on"),
        ({"title": "x", "questions": "none"}, "questions"),
        ({"title": "x", "questions": None}, "questions"),
        ({"title": "x", "questions": [{"type": "date", "label": "d"}] * 201}, "questions"),
        ({"title": "x", "unknown": 1}, "unknown"),
    ],
)
def test_what_a_request_may_not_be(data: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as raised:
        load(ClientRequestSchema(), data)
    assert set(raised.value.fields) == {field}


@pytest.mark.one_database
def test_keys_are_made_from_labels_and_never_twice() -> None:
    data = load(
        ClientRequestSchema(),
        {
            "title": "T",
            "questions": [
                {"type": "date", "label": "Wann & wo? Ähm!"},
                {"type": "date", "label": "Name"},
                {"type": "date", "label": "Name"},
                {"type": "date", "label": "名前"},
                {"type": "date", "label": "x", "key": "name"},
            ],
        },
    )
    assert [q["key"] for q in data["questions"]] == ["wann_wo_ahm", "name_2", "name_3", "question_4", "name"]
    with pytest.raises(Invalid) as raised:
        load(
            ClientRequestSchema(),
            {"title": "T", "questions": [{"type": "date", "label": "x", "key": "a"}] * 2},
        )
    assert "questions.1.key" in raised.value.fields


# Sending ------------------------------------------------------------------------------------------------------------


def test_sent_with_an_invite_everything_becomes_real_together(desk: Desk) -> None:
    result = desk.send("client-request", SURVEY, order_for("will@byron.example"))
    item = desk.item(result.items[0].id)
    assert (item.status, item.visible, item.open, item.workflow) == ("sent", True, True, "client-request")
    assert item.details["questions"][3]["choices"] == ["Single", "Joint"]
    assert [(r.email, r.outcome.value) for r in result.results] == [("will@byron.example", "invited")]
    # Ada has access and gets an item mail; nobody else gets anything.
    assert sorted(db.session.scalars(sa.select(Outbox.to_email))) == [
        "ada@byron.example",
        "will@byron.example",
    ]
    assert "client_request_sent" in desk.events()


def test_a_refusing_receiver_keeps_nothing(desk: Desk) -> None:
    def refuse(sender: str, **extra: Any) -> None:
        raise Refused("Closed on Sundays.")

    with receiver(client_request_sent, refuse), pytest.raises(Refused, match="Sundays"):
        desk.send("client-request", SURVEY, order_for("new@person.example"))
    for table in (WorkItem, Invite, Outbox, Event):
        assert db.session.scalar(sa.select(sa.func.count()).select_from(table)) == 0


def test_a_broken_receiver_refuses_too(desk: Desk) -> None:
    def broken(sender: str, **extra: Any) -> None:
        raise ZeroDivisionError

    with receiver(client_request_sent, broken), pytest.raises(Refused, match="nothing was sent or kept"):
        desk.send("client-request", SURVEY)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(WorkItem)) == 0


def test_without_a_licence_nothing_is_sent(desk: Desk) -> None:
    with unit_of_work():
        db.session.execute(sa.delete(FirmLicence).where(FirmLicence.key == "client-requests"))
    with pytest.raises(LicenceMissing):
        desk.send("client-request", SURVEY)
    with pytest.raises(LicenceMissing), unit_of_work():
        drafts.keep(desk.view, desk.client, load(ClientRequestSchema(), SURVEY))


# Answering ----------------------------------------------------------------------------------------------------------


def test_from_sent_to_submitted_and_back(desk: Desk) -> None:
    item = sent(desk)
    person = desk.person()
    assert viewing.due(person, item)
    with unit_of_work():
        viewing.record(person, item)
    assert desk.item(item.id).status == "viewed"
    assert not viewing.due(person, item)
    assert save(desk, item, {"name": " Ada "}) == {}
    assert desk.item(item.id).status == "in_progress"
    assert CLIENT_REQUEST.progress(item) == "1 of 5 answered"
    with pytest.raises(Invalid) as raised:
        submit(desk, item)
    assert set(raised.value.fields) == {"q-moved"}
    assert save(desk, item, {"moved": "no", "filing": "Joint", "married": "1835-07-08"})["q-married"]
    assert save(desk, item, {"married": "2011-07-08"}) == {}
    assert "submitted" in submit(desk, item)
    item = desk.item(item.id)
    assert (item.status, item.open) == ("submitted", False)
    assert item.done_at is not None
    assert answers.values_of([item])[item.id] == {
        "name": "Ada",
        "moved": False,
        "filing": "Joint",
        "married": "2011-07-08",
    }
    with pytest.raises(WrongState, match="submitted already"):
        save(desk, item, {"name": "Eve"})
    with unit_of_work():
        answers.reopen(desk.view, item)
    assert (desk.item(item.id).status, item.open) == ("in_progress", True)
    assert save(desk, item, {"name": "Augusta Ada"}) == {}
    submit(desk, item)
    names = desk.events()
    assert names.count("client_request_viewed") == 1
    assert names.count("client_request_submitted") == 2
    assert names.count("client_request_reopened") == 1


@pytest.mark.parametrize(
    "key, raw, kept",
    [
        ("name", "  Ada\u00a0Byron ", "Ada\u00a0Byron"),
        ("name", "", None),
        ("name", "   ", None),
        ("changes", "one\r\ntwo", "one\ntwo"),
        ("moved", "yes", True),
        ("moved", True, True),
        ("moved", "NO", False),
        ("filing", "Joint", "Joint"),
        ("married", "2020-02-29", "2020-02-29"),
    ],
)
def test_answers_that_are_kept(desk: Desk, key: str, raw: Any, kept: Any) -> None:
    item = sent(desk)
    assert save(desk, item, {key: raw}) == {}
    assert answers.values_of([item])[item.id].get(key) == kept


@pytest.mark.parametrize(
    "key, raw, sentence",
    [
        ("name", "x" * 501, "At most 500 characters"),
        ("name", "two\nlines", "can't be shown"),
        ("name", ["Ada"], "Enter text."),
        ("changes", "x" * 10_001, "At most 10000 characters"),
        ("moved", "perhaps", "Choose Yes or No."),
        ("moved", 1, "Choose Yes or No."),
        ("filing", "joint", "Choose one of the answers."),
        ("filing", {"a": 1}, "Choose one of the answers."),
        ("married", "2021-02-29", "Enter a date such as"),
        ("married", "0021-02-20", "Check the year"),
        ("married", 20210220, "Enter a date such as"),
    ],
)
def test_answers_that_are_not(desk: Desk, key: str, raw: Any, sentence: str) -> None:
    item = sent(desk)
    errors = save(desk, item, {key: raw})
    assert sentence in errors[f"q-{key}"][0]
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Answer)) == 0


def test_one_bad_answer_does_not_lose_the_others_and_empty_clears(desk: Desk) -> None:
    item = sent(desk)
    errors = save(desk, item, {"name": "Ada", "married": "yesterday"})
    assert set(errors) == {"q-married"}
    assert answers.values_of([item])[item.id] == {"name": "Ada"}
    save(desk, item, {"name": ""})
    assert answers.values_of([item])[item.id] == {}
    with pytest.raises(Invalid):
        save(desk, item, {"no_such_key": "x"})


def test_a_stale_tab_does_not_put_old_answers_over_new_ones(desk: Desk) -> None:
    item = sent(desk)
    stale = {"q-name": "", "was-name": "", "q-changes": "from the stale tab", "was-changes": ""}
    save(desk, item, {"name": "typed in the other tab"})
    save(desk, item, answers.from_form(item, stale))
    assert answers.values_of([item])[item.id] == {
        "name": "typed in the other tab",
        "changes": "from the stale tab",
    }
    assert answers.from_form(item, {"q-changes": "a\r\nb", "was-changes": "a\nb"}) == {}
    assert answers.from_form(item, {"q-name": "", "was-name": "Ada"}) == {"name": ""}


def test_two_people_of_one_client_answer_and_each_is_named(desk: Desk) -> None:
    item = sent(desk)
    desk.joins("will@byron.example", "Will King")
    save(desk, item, {"name": "Ada"})
    save(desk, item, {"moved": "yes"}, "will@byron.example")
    shown = {view.key: (view.text, view.saved_by) for view in answers.views_of(item) if view.answered}
    assert shown == {"name": ("Ada", "Ada Byron"), "moved": ("Yes", "Will King")}


def test_without_questions_the_client_marks_it_as_complete(desk: Desk) -> None:
    item = sent(desk, {"title": "Bring your papers"})
    assert CLIENT_REQUEST.page(item, desk.person())["done_label"] == "Mark as complete"
    assert CLIENT_REQUEST.progress(item) == ""
    with unit_of_work():
        sentence = CLIENT_REQUEST.respond(item, desk.person(), {})
    assert sentence == "Thank you. Bring your papers is marked as complete."
    assert desk.item(item.id).status == "submitted"


def test_respond_saves_or_submits(desk: Desk) -> None:
    item = sent(desk)
    with unit_of_work():
        CLIENT_REQUEST.respond(item, desk.person(), {"q-name": "Ada", "action": "save"})
    assert desk.item(item.id).status == "in_progress"
    with unit_of_work():
        CLIENT_REQUEST.respond(item, desk.person(), {"q-moved": "yes", "action": "submit"})
    assert desk.item(item.id).status == "submitted"


def test_cancelled_takes_no_answers_and_keeps_those_it_has(desk: Desk) -> None:
    item = sent(desk)
    save(desk, item, {"name": "Ada"})
    with unit_of_work():
        answers.cancel(desk.view, item)
    for action in (lambda: save(desk, item, {"name": "B"}), lambda: submit(desk, item)):
        with pytest.raises(WrongState, match="taken back"):
            action()
    with pytest.raises(WrongState), unit_of_work():
        answers.reopen(desk.view, item)
    assert answers.values_of([item])[item.id] == {"name": "Ada"}
    assert (desk.item(item.id).status, item.open) == ("cancelled", False)


def test_submitted_twice_at_once_counts_once(desk: Desk) -> None:
    item = sent(desk)
    save(desk, item, {"name": "Ada", "moved": "yes"})
    item_id = item.id
    db.session.rollback()

    def press() -> str:
        mine = db.session.get_one(WorkItem, item_id)
        with unit_of_work():
            return answers.submit(mine, desk.person())

    results = together(desk.app, press, press, press, press)
    assert sum(isinstance(result, str) for result in results) == 1, results
    assert sum(isinstance(result, WrongState) for result in results) == 3, results
    assert desk.events().count("client_request_submitted") == 1


def test_looked_at_twice_at_once_is_one_first_look(desk: Desk) -> None:
    item_id = sent(desk).id
    db.session.rollback()

    def look() -> None:
        item = db.session.get_one(WorkItem, item_id)
        with unit_of_work():
            viewing.record(desk.person(), item)

    assert together(desk.app, look, look, look) == [None, None, None]
    assert desk.events().count("client_request_viewed") == 1
    (opening,) = viewing.opened_by([desk.item(item_id)])[item_id]
    assert (opening.name, opening.email) == ("Ada Byron", "ada@byron.example")


def test_lists_ask_once_for_any_number(desk: Desk) -> None:
    items = [sent(desk) for _ in range(5)]
    save(desk, items[2], {"name": "Ada"})
    items = [desk.item(item.id) for item in items]
    for item in items:
        _ = item.details
    with statements() as seen:
        words = CLIENT_REQUEST.progress_of(items)
        CLIENT_REQUEST.api_fields_of(items)
        viewing.opened_by(items)
    assert sorted(words.values()) == ["0 of 5 answered"] * 4 + ["1 of 5 answered"]
    assert len([text for text in seen if text.startswith("SELECT")]) == 3


# Drafts and templates -----------------------------------------------------------------------------------------------


def test_a_draft_is_seen_by_nobody_until_it_is_sent_once(desk: Desk) -> None:
    data = load(ClientRequestSchema(), SURVEY)
    with unit_of_work():
        item = drafts.keep(desk.view, desk.client, data)
    assert (item.status, item.visible) == ("draft", False)
    with pytest.raises(Missing):
        desk.person().item(item.id)
    assert desk.events() == []
    with unit_of_work():
        result = drafts.send_draft(
            desk.view, item, {**data, "title": "Second thought"}, order_for("will@byron.example")
        )
    assert desk.person().item(item.id).title == "Second thought"
    assert result.results[0].outcome.value == "invited"
    with pytest.raises(WrongState), unit_of_work():
        drafts.send_draft(desk.view, item, data, None)


def test_a_survey_is_kept_as_a_template_and_started_from_one(desk: Desk) -> None:
    with unit_of_work():
        kept = templates.keep(desk.view, {**SURVEY, "due_on": None})
    found = templates.one(desk.view, kept.id)
    again = load(ClientRequestSchema(), templates.as_data(found))
    assert [q["key"] for q in again["questions"]] == ["name", "changes", "moved", "filing", "married"]
    other = desk.other_firm()
    with pytest.raises(Missing):
        templates.one(other, kept.id)


def test_ids_of_another_firm_are_as_missing_ones(desk: Desk) -> None:
    item_id = sent(desk).id
    other = desk.other_firm()
    for wrong in (item_id, "01ARZ3NDEKTSV4RRFFQ69G5FAV", ""):
        with pytest.raises(Missing):
            other.item(wrong)
    stranger = desk.person("dana@other.example")
    with pytest.raises(Missing):
        stranger.item(item_id)
