"""The firm's language: every message is in every catalogue, dates are told in it, and what a person reads first speaks it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir, extract_from_file
from babel.messages.pofile import read_po
from flask import Flask
from lxml import html

import languages
import tasks
from invites import access_until, bulk_run, change_address, nudge
from mail.placeholders import NEUTRAL
from models import AccessState, Firm, PortalAccess, db, unit_of_work
from models.errors import ProblemForPeople
from schemas.base import Email, Text
from tests.portal import ADA, NEW_PASSWORD, WILL, accept, invite, link, post, sign_in, survey, view_of
from tests.staff import Staff
from tests.support.live import PROJECT
from tests.support.smtp import MailServer
from tests.support.world import World, give_access, make_client, make_world
from web import errors, passwords, security
from web.api.invites import AGAIN
from web.language import speak
from web.portal import forms
from web.portal import invite as invite_pages
from workflows.builtin import builtin
from workflows.esign_request import signers

TRANSLATED = [code for code in languages.LANGUAGES if not code.startswith("en")]

# Said by Python, and translated where it is shown.
SAID = {
    *NEUTRAL.values(),
    change_address.WHAT, bulk_run.AGAIN, bulk_run.WAY_IN, AGAIN, nudge.WHAT, "sent you a code",
    "has something new for you", *forms._NAME.values(), *forms._CODE.values(), *invite_pages._NOTICES.values(),
    *passwords.password_problems("short"), *passwords.password_problems("aaaaaaaaaaaaaa"),
    "This code is no longer valid. Enter your name and password again to get a new one.",
    "Please press the button once more.", "To your start page", "To the sign-in page", "To the start",
    *signers._LABELS.values(), "Open", "Continue", "Answer", "Submit", "Yes", "No",  # what a workflow says by itself
    "Choose Yes or No.", "Choose one of the answers.", "Enter a date such as 2026-12-15.",
    "Check the year of this date.", "Choose one of the time zones from the list.",
    *(str(Text.default_error_messages[key]) for key in ("required", "invalid", "control")),
    *(str(Email.default_error_messages[key]) for key in ("required", "invalid")),
}  # fmt: skip


def messages() -> Iterator[str]:
    """Everything that is said through a catalogue."""
    templates = [
        path for end in ("html", "txt", "mjml") for path in (PROJECT / "templates").rglob(f"*.{end}")
    ]
    for path in sorted(templates):
        for _, message, *_ in extract_from_file("jinja2.ext.babel_extract", path, keywords={"_": None}):
            yield str(message)
    for room in ("mail", "invites", "schemas", "web", "workflows"):
        for _, _, message, *_ in extract_from_dir(
            PROJECT / room,
            method_map=[("**.py", "python")],
            keywords={"say": (2,), "here": None, "worded": None},
        ):
            yield str(message)
    yield from SAID
    yield from (sentence for sentence, _ in security.MESSAGES.values())
    for status in (400, 404, 405, 413, 422, 429, 500, 503):
        yield from filter(None, errors.WORDS[status][1:])
    yield from errors._STALE_FORM[1:]
    yield from (one.title for one in ProblemForPeople.__subclasses__() if one.__module__ == "models.errors")
    for workflow in builtin():
        yield from (workflow.what, workflow.kind_label, workflow.action_label, workflow.done_label)
        yield from workflow.statuses.values()


def slots(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)s", text))


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_catalogue_has_every_message_and_no_other(language: str) -> None:
    with (languages.FOLDER / f"{language}.po").open("rb") as file:
        found = {str(one.id): str(one.string) for one in read_po(file, locale=language) if one.id}
    wanted = set(messages())
    assert wanted - found.keys() == set(), "not translated"
    assert found.keys() - wanted == set(), "said nowhere any more"
    assert [text for text, said in found.items() if not said.strip()] == []
    assert [text for text, said in found.items() if slots(text) != slots(said)] == []
    assert [
        text for text, said in found.items() if said.count("%") != len(re.findall(r"%\(\w+\)s", said))
    ] == []


def test_dates_are_told_as_people_of_the_language_do() -> None:
    at = datetime(2026, 12, 23, 22, 5, tzinfo=UTC)
    assert {code: languages.moment(at, "Europe/Vienna", code) for code in languages.LANGUAGES} == {
        "en": "23 Dec 2026, 23:05 (Vienna)",
        "en-US": "Dec 23, 2026, 11:05 PM (Vienna)",
        "de": "23. Dez. 2026, 23:05 (Wien)",
        "fr": "23 déc. 2026, 23:05 (Vienne)",
        "es": "23 dic 2026, 23:05 (Viena)",
    }
    assert languages.day(date(2026, 3, 1), "de") == "1. März 2026"
    assert languages.moment(at, "Mars/Base", "fr") == "23 déc. 2026, 22:05 (UTC)"
    assert languages.say("xx", "Hello,") == "Hello,"  # a language that isn't ours


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def byron(world: World) -> str:
    with world.app.app_context(), unit_of_work() as session:
        session.get_one(Firm, world.firm_id).language = "de"
    return make_client(world, "Byron Family", ("Ada Byron", ADA), ("William King", WILL))


@pytest.mark.settings(RATE_LIMITS="false")
def test_a_person_of_a_german_firm_reads_german_all_the_way(
    app: Flask, world: World, byron: str, smtp: MailServer
) -> None:
    give_access(world, byron, WILL)
    survey(world, byron, ADA, WILL, message="Hallo {{ person.first_name }}, {{ item.title }} ist da.")
    with app.app_context():
        tasks.send_mail()
    (mail,) = smtp.to(ADA)
    assert mail.message["Subject"] == "Northwind Tax: Dana Reyes hat Ihnen einen Fragebogen geschickt"
    assert "Dana Reyes von Northwind Tax hat Ihnen einen Fragebogen geschickt." in mail.text
    assert "Guten Tag" not in mail.text  # the message greets
    assert "was wir Ihnen geschickt haben ist da." in mail.text
    assert "Nicht Sie? Sagen Sie es uns" in mail.text
    ada = app.test_client()
    path = link(app, ADA)
    page = ada.get(path)
    assert '<html lang="de">' in page.text
    assert '<h1 class="mb-2">Dana Reyes hat Ihnen einen Fragebogen geschickt</h1>' in page.text
    assert ">Annehmen<" in page.text
    assert re.search(r"Sie funktioniert bis <time[^>]*>\d+\. \S+ \d{4}, \d\d:\d\d", page.text)
    refused = ada.post(path, data={"name": " ", "password": "short"})
    assert "Geben Sie Ihren Vor- und Nachnamen ein." in refused.text
    assert "Verwenden Sie mindestens 12 Zeichen." in refused.text
    begun = ada.post(path, data={"name": "Ada Byron", "password": NEW_PASSWORD})
    asked = ada.get(begun.location)
    assert "Geben Sie den Code ein, den wir Ihnen geschickt haben" in asked.text
    start = re.search(r"start=(\w+)", begun.location)
    assert start is not None
    bare, _, query = path.partition("?")
    wrong = ada.post(f"{bare}/code?{query}", data={"code": "0", "start": start[1]})
    assert "Das ist nicht der Code aus der Mail. Noch 4 Versuche." in wrong.text
    with app.app_context():
        tasks.send_mail()
    assert smtp.to(ADA)[-1].message["Subject"] == "Northwind Tax: Ihr Code für das Kundenportal"
    landed = accept(ada, app, path)
    assert '<html lang="de">' in landed.text
    assert "Willkommen. Von jetzt an melden Sie sich mit ada@byron.example" in landed.text
    assert "</span> von 5 beantwortet" in landed.text
    for email in (ADA, "dana@northwind.example"):
        stranger = app.test_client()
        post(stranger, "/reset", "/reset", email=email)
    with app.app_context():
        tasks.send_mail()
    assert smtp.to(ADA)[-1].message["Subject"] == "Neues Passwort wählen"
    assert "Jemand, vermutlich Sie, hat für diese Adresse" in smtp.to(ADA)[-1].text
    assert smtp.to("dana@northwind.example")[-1].message["Subject"] == "Choose a new password"  # staff


@pytest.mark.settings(RATE_LIMITS="false")
def test_the_portal_speaks_the_firms_language(
    app: Flask, world: World, byron: str, time_machine: Any
) -> None:
    time_machine.move_to(datetime(2030, 12, 1, 12, tzinfo=UTC), tick=True)
    access_id = give_access(world, byron, ADA)
    item_id = survey(world, byron, ADA, due_on="2030-12-20")
    with app.app_context(), unit_of_work() as session:
        access = session.get_one(PortalAccess, access_id)
        access_until.of_access(access, date(2030, 12, 31), view_of(world).member)
    ada = app.test_client()
    sign_in(ada, ADA)
    home = ada.get("/portal/")
    assert '<html lang="de">' in home.text
    for words in ("1 Aufgabe", "Ihr Zugang endet am 31. Dez. 2030.", "Fragebogen", "fällig am 20. Dez."):
        assert words in home.text, words
    english = re.compile("To-do|Files|User settings|Sign out|Download|Nothing|answered|due ")
    for path in ("/portal/", "/portal/todo", "/portal/files", "/portal/settings", f"/portal/items/{item_id}"):
        read = " ".join(html.fromstring(ada.get(path).text).text_content().split())
        assert english.findall(read) == [], path
    saved = post(ada, "/portal/settings", "/portal/settings", name=" ", time_zone="")
    assert "Geben Sie Ihren Vor- und Nachnamen ein." in saved.text


@pytest.mark.one_database
def test_where_no_firm_is_known_the_browser_says_the_language(app: Flask, world: World) -> None:
    stranger = app.test_client()
    for wanted, lang, words in (
        ("de-AT,en;q=0.5", "de", "Passwort vergessen?"),
        ("pt, fr;q=0.8", "fr", "Mot de passe oublié ?"),
        ("pt", "en", "Forgot your password?"),
        ("", "en", "Forgot your password?"),
    ):
        page = stranger.get("/login", headers={"Accept-Language": wanted})
        assert f'<html lang="{lang}">' in page.text
        assert words in page.text
    asked = stranger.get("/portal/find-invite", headers={"Accept-Language": "es"})
    assert "Me invitaron, pero no encuentro el correo" in asked.text
    stranger.environ_base["HTTP_ACCEPT_LANGUAGE"] = "de"
    refused = post(stranger, "/login", "/login", email=ADA, password="no such password")
    assert "Die Adresse oder das Passwort stimmt nicht." in refused.text


@pytest.mark.one_database
@pytest.mark.settings(RATE_LIMITS="false")
def test_an_error_says_its_language(app: Flask, world: World, byron: str) -> None:
    invite(world, byron, ADA)
    give_access(world, byron, ADA, state=AccessState.SUSPENDED)
    ada = app.test_client()
    sign_in(ada, ADA)
    path = link(app, ADA)
    assert '<html lang="de">' in ada.get(path).text
    refused = ada.post(path)
    assert "Ihr Zugang ist zurzeit gesperrt." in refused.text
    assert '<html lang="de">' in refused.text
    gone = ada.get("/portal/items/nothing")
    assert "Nicht gefunden" in gone.text
    assert "Zur Startseite" in gone.text
    assert '<html lang="de">' in gone.text
    other = app.test_client().get("/portal/invite/nothing", headers={"Accept-Language": "fr"})
    assert '<html lang="fr">' in other.text
    # Where one of its sentences isn't in the catalogue, a plug-in's say, the whole page is English.
    with app.test_request_context("/portal/"):
        speak("de")
        assert '<html lang="en">' in errors.answer(409, "x", "Refused", "Not on Sundays.").get_data(
            as_text=True
        )


@pytest.mark.one_database
def test_staff_choose_the_language_and_see_the_mail_in_it(app: Flask, world: World) -> None:
    client_id = make_client(world, "Byron Family", ("Ada Byron", ADA))
    dana = Staff.of(app)
    dana.open("/settings/firm").press(language="fr")
    assert "Français" in dana.open("/settings").words
    window = dana.open(f"/clients/{client_id}/invite")
    assert '<html lang="en">' in window.answer.text
    assert "Northwind Tax : Dana Reyes vous a invité à rejoindre l'espace client" in window.words
    assert "Cette invitation est destinée à" in window.words
    invite(world, client_id, ADA)
    with app.app_context():
        assert db.session.get_one(Firm, world.firm_id).language == "fr"
    assert Path(languages.FOLDER / "fr.po").exists()
