"""The Client Portal window as pages without a script: what staff see, press and get."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.datastructures import MultiDict

from hooks import Refused, client_request_sent
from models import (
    AccessState,
    Contact,
    Invite,
    InviteItem,
    ItemGrant,
    MailState,
    MessageTemplate,
    Outbox,
    Scope,
    WorkItem,
    db,
    unit_of_work,
    utc_now,
)
from models.database import statements
from tests.portal import invite
from tests.staff import Shown, Staff
from tests.support.world import World, give_access, mails, make_client, make_world

ADA, WILL, ANNA = "ada@byron.example", "will@byron.example", "anna@books.example"
SURVEY = {
    "title": "Organizer 2026",
    "questions-0-label": "Where do you live?",
    "questions-0-type": "short_text",
}


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    return make_client(
        world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL), ("Annabella Milbanke", None)
    )


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


def window(dana: Staff, client_id: str, **more: str) -> Shown:
    """The window after the form of a client request was filled in."""
    return dana.open(f"/clients/{client_id}/send/client-request").press(
        **{
            **{name.replace("-", "__"): value for name, value in SURVEY.items()},
            **more,
        }
    )


def rows(app: Flask, model: type) -> int:
    with app.app_context():
        return int(db.session.scalar(sa.select(sa.func.count()).select_from(model)) or 0)


def invites(app: Flask) -> dict[str, Invite]:
    with app.app_context():
        return {one.email: one for one in db.session.scalars(sa.select(Invite)).unique()}


def test_the_window_opens_before_anything_is_kept(app: Flask, dana: Staff, byron: str) -> None:
    shown = window(dana, byron)
    assert shown.status == 200
    assert "Client Portal Sending “Organizer 2026” to Byron Family" in shown.words
    assert shown.ticked() == ["Ada Byron", "William King"]
    assert "Ada Byron and William King see it after accepting." in shown.words
    assert "What Ada will get" in shown.words
    assert "Northwind Tax: Dana Reyes sent you a survey" in shown.words
    assert "Add another person" in shown.words
    assert "Enter the Email of a New Person" in shown.words
    assert "Include a personalized message" in shown.words
    assert rows(app, WorkItem) == rows(app, Invite) == rows(app, Outbox) == 0


def test_send_makes_item_invites_and_mails_together(app: Flask, dana: Staff, byron: str) -> None:
    shown = window(dana, byron)
    done = shown.press("do=send", **{f"people__{shown.row('William')}__tick": None})
    assert done.status == 200
    assert done.path.startswith(f"/clients/{byron}/client-requests?sent=")
    assert "Invite sent Mail on its way Ada Byron ada@byron.example Invited Done" in done.words
    assert "Organizer 2026" in done.words
    assert mails(app) == [(ADA, "invite", "queued")]
    with app.app_context():
        item = db.session.scalars(sa.select(WorkItem)).one()
        assert (item.title, item.status, item.visible) == ("Organizer 2026", "sent", True)
        assert [question["label"] for question in item.details["questions"]] == ["Where do you live?"]
        assert db.session.scalars(sa.select(InviteItem.item_id)).all() == [item.id]
    assert "Invite sent" in dana.open(done.path).words  # a reload shows the same, and sends nothing again
    assert mails(app) == [(ADA, "invite", "queued")]


def test_send_with_nobody_ticked_is_refused_beside(app: Flask, dana: Staff, byron: str) -> None:
    shown = window(dana, byron)
    again = shown.press(
        "do=send", **{f"people__{shown.row(name)}__tick": None for name in ("Ada", "William")}
    )
    assert again.status == 422
    assert "Tick at least one person." in again.words
    assert rows(app, WorkItem) == rows(app, Invite) == 0
    assert again.press("do=skip").status == 200
    assert (rows(app, WorkItem), rows(app, Invite)) == (1, 0)


def test_send_without_inviting_sends_the_item_alone(app: Flask, dana: Staff, byron: str) -> None:
    done = window(dana, byron).press("do=skip")
    assert "“Organizer 2026” is sent to Byron Family." in done.words
    assert "Invite sent" not in done.words
    assert (rows(app, WorkItem), rows(app, Invite), mails(app)) == (1, 0, [])


def test_no_window_where_everybody_can_see_it(app: Flask, dana: Staff, byron: str, world: World) -> None:
    give_access(world, byron, ADA)
    done = window(dana, byron)
    assert done.path == f"/clients/{byron}/client-requests"
    assert "“Organizer 2026” is sent to Byron Family." in done.words
    assert mails(app) == [(ADA, "item", "queued")]


def test_a_typed_address_is_never_lost(app: Flask, dana: Staff, byron: str) -> None:
    typed = "Anna Books <anna@books.example>, ADA@byron.example; nobody@"
    shown = window(dana, byron).press("do=send", new_email=typed)
    assert shown.status == 422
    assert shown.tree.xpath("//input[@name='new_email']")[0].get("value") == "nobody@"
    assert any("'nobody@' is not an e-mail address" in error for error in shown.errors())
    assert shown.ticked() == ["Ada Byron", "William King", "Anna Books"]  # Ada was folded into her own row
    assert rows(app, WorkItem) == 0
    done = shown.press("do=send", new_email="will@BYRON.example")
    assert done.status == 200
    assert sorted(invites(app)) == sorted([ADA, WILL, ANNA])
    with app.app_context():
        anna = db.session.scalars(sa.select(Contact).where(Contact.email == ANNA)).one()
        assert (anna.name, anna.client_id) == ("Anna Books", byron)
    assert {one.email: one.scope for one in invites(app).values()} == {
        ADA: Scope.PORTAL, WILL: Scope.PORTAL, ANNA: Scope.ITEMS,
    }  # fmt: skip


def test_what_staff_chose_stays_while_the_window_is_shown_again(dana: Staff, byron: str) -> None:
    shown = window(dana, byron)
    ada, will = shown.row("Ada"), shown.row("William")
    again = shown.press(
        "do=add",
        **{f"people__{will}__tick": None, f"people__{ada}__can_see": "item"},
        new_email="anna@gmial.com",
        message_on="1",
        message="Ten minutes should do.",
    )
    assert again.ticked() == ["Ada Byron", "anna@gmial.com"]
    assert "Did you mean anna@gmail.com ?" in again.words
    assert "Ten minutes should do." in again.words
    fields = again.fields()
    assert fields[f"people-{again.row('Ada')}-can_see"] == "item"
    assert fields["title"] == "Organizer 2026"
    mended = again.press(f"people-{again.row('gmial')}-email=anna@gmail.com")
    assert mended.ticked() == ["Ada Byron", "anna@gmail.com"]
    assert "Did you mean" not in mended.words


def test_one_goes_back_to_the_form_with_everything_typed(dana: Staff, byron: str) -> None:
    form = window(dana, byron).press("do=edit")
    assert form.status == 200
    assert form.fields()["title"] == "Organizer 2026"
    assert form.fields()["questions-0-label"] == "Where do you live?"


def test_a_contact_without_address_gets_one_in_the_window(app: Flask, dana: Staff, byron: str) -> None:
    shown = window(dana, byron)
    row = shown.row("Annabella")
    wrong = shown.press("do=send", **{f"people__{row}__tick": "1", f"people__{row}__email": "annabella@"})
    assert wrong.status == 422
    assert any("'annabella@' is not an e-mail address" in error for error in wrong.errors())
    assert rows(app, WorkItem) == 0
    done = wrong.press(
        "do=send", **{f"people__{row}__tick": "1", f"people__{row}__email": "bella@byron.example"}
    )
    assert done.status == 200
    with app.app_context():
        contact = db.session.scalars(sa.select(Contact).where(Contact.name == "Annabella Milbanke")).one()
        assert contact.email == "bella@byron.example"
    assert "bella@byron.example" in invites(app)


def test_the_message_is_checked_and_kept(app: Flask, dana: Staff, byron: str) -> None:
    shown = window(dana, byron).press("do=send", message_on="1", message="Hello {{ person.age }}")
    assert shown.status == 422
    assert any("there is no placeholder 'person.age'" in error for error in shown.errors())
    assert rows(app, Invite) == 0
    shown = shown.press("do=send", message_on="1", message="x" * 2001)
    assert any("At most 2000 characters" in error for error in shown.errors())
    shown.press("do=send", message_on=None, message="Not sent, the switch is off")
    assert {one.message for one in invites(app).values()} == {""}


def test_a_template_is_inserted_and_previewed(app: Flask, dana: Staff, byron: str, world: World) -> None:
    with app.app_context(), unit_of_work() as session:
        template = MessageTemplate(
            firm_id=world.firm_id, name="Friendly", body="Hello {{ person.first_name }}, soon?"
        )
        other = MessageTemplate(firm_id=world.firm_id, name="Signing", body="Sign.", workflow="esign-request")
        session.add_all([template, other])
        session.flush()
        template_id = template.id
    shown = window(dana, byron)
    assert "Friendly" in shown.words
    assert "Signing" not in shown.words
    again = shown.press(f"insert_template={template_id}")
    assert again.fields()["message"] == "Hello {{ person.first_name }}, soon?"
    assert "Hello Ada, soon?" in again.words


def test_a_receiver_that_refuses_leaves_nothing_and_loses_nothing(
    app: Flask, dana: Staff, byron: str
) -> None:
    def no(sender: str, **extra: object) -> None:
        raise Refused("The year is closed for this client.")

    client_request_sent.connect(no)
    try:
        shown = window(dana, byron).press("do=send", new_email=ANNA)
    finally:
        client_request_sent.disconnect(no)
    assert shown.status == 409
    assert "The year is closed for this client." in shown.words
    assert rows(app, WorkItem) == rows(app, Invite) == rows(app, Outbox) == 0
    assert shown.ticked() == ["Ada Byron", "William King", ANNA]
    assert shown.press("do=send").status == 200
    assert rows(app, Invite) == 3


def test_the_plus_of_the_record_invites_without_an_item(app: Flask, dana: Staff, byron: str) -> None:
    shown = dana.open(f"/clients/{byron}").staff.open(f"/clients/{byron}/invite")
    assert "Send without inviting" not in shown.words
    assert "Only this item" not in shown.words
    done = shown.press("do=send")
    assert "Invite sent" in done.words
    assert {one.workflow for one in invites(app).values()} == {"client-record"}
    again = dana.open(f"/clients/{byron}/invite").press("do=send")
    assert "Invited a moment ago: no second mail." in again.words
    assert len(mails(app)) == 2


def test_who_is_suspended_or_inside_cannot_be_ticked(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    give_access(world, byron, WILL, "William King", state=AccessState.SUSPENDED)
    shown = window(dana, byron)
    assert shown.ticked() == ["Ada Byron"]
    assert "Suspended" in shown.words
    shown.press("do=send", **{f"people__{shown.row('William')}__tick": "1"})  # a forged tick changes nothing
    assert list(invites(app)) == [ADA]


def test_somebody_with_single_items_can_be_given_this_one(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    access_id = give_access(world, byron, ANNA, "Anna Books", scope=Scope.ITEMS)
    make_contact(world, byron, "Anna Books", ANNA)
    shown = window(dana, byron)
    assert "Anna Books" not in shown.ticked()
    assert "Anna Books (sees other items only)" in shown.words
    done = shown.press("do=send", **{f"people__{shown.row('Anna Books')}__tick": "1"})
    assert "Has access already and gets a mail about this." in done.words
    with app.app_context():
        grants = db.session.execute(sa.select(ItemGrant.access_id)).scalars().all()
        assert grants == [access_id]
    assert ANNA not in invites(app)


def test_people_are_read_as_address_books_copy_them(dana: Staff, byron: str) -> None:
    pasted = 'one@books.example, "Books, Anna" <anna@books.example>; Otto <otto@books.example> <last@books.example>'
    shown = window(dana, byron).press("do=add", new_email=pasted)
    names = ["Ada Byron", "William King", "one@books.example", "Books, Anna", "Otto", "last@books.example"]
    assert shown.ticked() == names
    assert shown.errors() == []


def test_an_added_person_may_be_given_a_name(app: Flask, dana: Staff, byron: str) -> None:
    shown = window(dana, byron).press("do=add", new_email=ANNA)
    row = shown.row(ANNA)
    named = shown.press("do=preview", **{f"people__{row}__name": "Anna Books"})
    assert "Anna Books" in named.ticked()
    assert named.row(ANNA) == row
    named.press("do=send")
    with app.app_context():
        anna = db.session.scalars(sa.select(Contact).where(Contact.email == ANNA)).one()
        assert (anna.name, invites(app)[ANNA].name) == ("Anna Books", "Anna Books")


def test_many_people_are_named_shortly_and_bad_words_are_refused_together(
    app: Flask, dana: Staff, world: World
) -> None:
    many = make_client(world, "Many", *((f"Person {n}", f"p{n}@many.example") for n in range(1, 9)))
    shown = dana.open(f"/clients/{many}/invite")
    assert (
        "Person 1, Person 2, Person 3, Person 4 and 4 more see the Client Portal after accepting."
        in shown.words
    )
    again = shown.press("do=add", new_email="Anna Books, anna@@books.example, good@fine.example")
    (sentence,) = again.errors()
    assert sentence.startswith("These are no e-mail addresses: Anna, Books. 'anna@@books.example' is not")
    assert again.fields("/invite")["new_email"] == "Anna, Books, anna@@books.example"
    assert "good@fine.example" in again.ticked()


def test_a_bounced_address_can_be_changed_from_the_window(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    invite_id = invite(world, byron, WILL)
    with app.app_context(), unit_of_work() as session:
        session.execute(
            sa.update(Outbox).where(Outbox.invite_id == invite_id).values(state=MailState.BOUNCED, attempts=1)
        )
    shown = window(dana, byron)
    assert "William King" not in shown.ticked()
    (link,) = shown.tree.xpath("//li[@data-person]//a[contains(., 'Change address')]/@href")
    assert link == f"/invites/{invite_id}/change-address"


def test_who_was_invited_to_one_item_is_not_given_the_whole_portal_by_the_next_one(
    app: Flask, dana: Staff, byron: str
) -> None:
    window(dana, byron).press("do=send", new_email=ANNA)
    assert invites(app)[ANNA].scope is Scope.ITEMS  # and Anna is a contact of the record from now on
    again = window(dana, byron, title="Second")
    select = again.tree.xpath(f"//select[@name='people-{again.row(ANNA)}-can_see']")[0]
    assert select.value == "item"
    again.press("do=send")
    assert invites(app)[ANNA].scope is Scope.ITEMS
    record = dana.open(f"/clients/{byron}/invite")
    assert record.tree.xpath(f"//select[@name='people-{record.row(ANNA)}-can_see']")[0].value == "item"
    record.press("do=send")
    assert {one.scope for one in invites(app).values() if one.email == ANNA} == {Scope.ITEMS}
    window(dana, byron, title="Third").press("do=send", **{f"people__{again.row(ANNA)}__can_see": "portal"})
    assert invites(app)[ANNA].scope is Scope.PORTAL  # on purpose


def test_who_is_added_from_the_record_gets_the_whole_portal(app: Flask, dana: Staff, byron: str) -> None:
    shown = dana.open(f"/clients/{byron}/invite").press("do=add", new_email=ANNA)
    assert not shown.tree.xpath(f"//select[@name='people-{shown.row(ANNA)}-can_see']")
    shown.press("do=send")
    assert invites(app)[ANNA].scope is Scope.PORTAL


def test_expired_and_declined_show_and_are_ticked_as_the_table_says(
    app: Flask, dana: Staff, byron: str, world: World
) -> None:
    invite(world, byron, ADA)
    declined = invite(world, byron, WILL)
    with app.app_context(), unit_of_work() as session:
        past = utc_now() - timedelta(days=1)
        session.execute(sa.update(Invite).where(Invite.email == ADA).values(expires_at=past))
        session.execute(
            sa.update(Invite).where(Invite.id == declined).values(state="declined", ended_at=utc_now())
        )
    shown = window(dana, byron)
    assert shown.ticked() == ["Ada Byron"]
    assert "Invite expired" in shown.words
    assert "Declined" in shown.words


def test_a_script_gets_the_fragment_and_an_address(dana: Staff, byron: str) -> None:
    page = dana.open(f"/clients/{byron}/send/client-request")
    data = MultiDict({**page.fields(), **SURVEY})
    headers = {"X-Fragment": "window"}
    shown = dana.post(f"/clients/{byron}/send/client-request", data, headers)
    text = shown.answer.get_data(as_text=True)
    assert text.lstrip().startswith("<section")
    assert "<html" not in text
    data = shown.fields_of_fragment()
    data["do"] = "send"
    done = dana.post(f"/clients/{byron}/send/client-request", data, headers)
    assert done.answer.status_code == 200
    assert done.answer.headers["X-Location"] == done.answer.json["location"]
    assert done.answer.headers["X-Location"].startswith(f"/clients/{byron}/client-requests?sent=")


def test_many_pasted_people_cost_no_more_queries(app: Flask, dana: Staff, byron: str) -> None:
    shown = window(dana, byron)

    def cost(people: int) -> int:
        pasted = ", ".join(f"person{number}@many.example" for number in range(people))
        with app.app_context(), statements() as seen:
            assert shown.press("do=add", new_email=pasted).status == 200
        return len(seen)

    cost(1)
    assert cost(40) == cost(2)


def make_contact(world: World, client_id: str, name: str, email: str) -> None:
    with world.app.app_context(), unit_of_work() as session:
        session.add(
            Contact(firm_id=world.firm_id, client_id=client_id, name=name, email=email, email_display=email)
        )
