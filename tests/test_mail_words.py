"""The words of mails: links, placeholders, what is hidden until acceptance, and that text and HTML say the same."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import config
from languages import LANGUAGES
from mail import links, render, words
from mail.placeholders import LONGEST, PLACEHOLDERS, Values, check, fill
from mail.preview import preview
from mail.words import FirmFacts, ItemFacts
from models import Firm, Login, MailKind, TeamMember
from models.errors import Invalid
from tests.support.post import plain_app

FIRM = FirmFacts("Northwind Tax", "+1 555 0100", zone="America/New_York")
ITEM = ItemFacts("01ITEM", "Individual tax organizer 2026", "Byron Family", date(2026, 12, 15))
ENDS = datetime(2026, 12, 23, 22, 0, tzinfo=UTC)
LINK = "https://portal.example.com/portal/invite/" + "t" * 43


def invite(firm: FirmFacts = FIRM, **more: Any) -> render.Rendered:
    values: dict[str, Any] = {
        "sender": "Dana Reyes",
        "what": "sent you a survey",
        "name": "Charles Babbage",
        "address": "charles@engine-works.com",
        "client": "Byron Family",
        "item": ITEM,
        "message": "",
        "expires_at": ENDS,
        "link": LINK,
    }
    return render.render("invite", words.invite_values(firm, **(values | more)))


@pytest.fixture
def settings(tmp_path: Path) -> config.Settings:
    found: config.Settings = plain_app(tmp_path, PORTAL_BASE_URL="https://portal.example.com").config[
        "PORTAL"
    ]
    return found


# Links and codes


def test_a_link_is_derived_and_only_its_hash_is_for_keeping(settings: config.Settings) -> None:
    token = links.invite_token(settings, "01INVITE", 1)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    assert token == links.invite_token(settings, "01INVITE", 1)
    assert (
        len({token, links.invite_token(settings, "01INVITE", 2), links.invite_token(settings, "01OTHER", 1)})
        == 3
    )
    assert re.fullmatch(r"[0-9a-f]{64}", links.token_hash(token))
    assert links.token_hash("\ud800ü") != links.token_hash(token)
    assert links.invite_link(settings, "01INVITE", 1) == f"https://portal.example.com/portal/invite/{token}"
    assert links.invite_link(settings, "01INVITE", 1, "01ITEM").endswith(
        f"/portal/invite/{token}?item=01ITEM"
    )


def test_codes_and_portal_links(settings: config.Settings) -> None:
    codes = {links.accept_code(settings, str(number)) for number in range(200)}
    assert all(re.fullmatch(r"\d{6}", code) for code in codes)
    assert len(codes) > 190
    assert links.portal_link(settings) == "https://portal.example.com/portal/"
    assert links.portal_link(settings, "01ITEM") == "https://portal.example.com/portal/items/01ITEM"
    for path in ("https://evil.example", "//evil.example", "/\\evil.example", "clients"):
        with pytest.raises(ValueError, match="not a path of ours"):
            links.page_link(settings, path)


# The invite


def test_an_invite_says_who_what_until_when_and_whom_to_call() -> None:
    mail = invite()
    assert mail.subject == "Northwind Tax: Dana Reyes sent you a survey"
    for said in (
        "Hello Charles,",
        "Dana Reyes of Northwind Tax sent you a survey.",
        "This invite is for charles@engine-works.com and works until 23 Dec 2026, 17:00 (New York).",
        "Questions: +1 555 0100.",
        "Not you? Tell us",
        LINK,
    ):
        assert said in mail.text
    assert "!" not in mail.text


def test_until_acceptance_neither_client_nor_title_is_told() -> None:
    message = "Please do {{ item.title }} for {{ client.name }} by {{ item.due_on }}."
    mail = invite(message=message)
    for part in (mail.subject, mail.text, mail.html):
        assert "Byron Family" not in part
        assert "organizer" not in part
    assert "Please do what we sent you for you by 15 Dec 2026." in mail.text.replace(render.ZWNJ, "")


def test_a_firm_may_show_titles() -> None:
    mail = invite(
        FirmFacts("Northwind Tax", shows_titles=True), message="For {{ client.name }}: {{ item.title }}"
    )
    assert "sent you a survey: Individual tax organizer 2026, for Byron Family." in mail.text
    assert "For Byron Family: Individual tax organizer 2026" in mail.text
    assert "Questions" not in mail.text  # a firm without a telephone


def test_the_greeting_falls_back_and_gives_way_to_the_message_s_own() -> None:
    assert "\nHello,\n" in invite(name="").text
    assert invite(message="Hi {{ person.first_name }}, ten minutes should do.").text.count("Hello") == 0
    assert "Hello Charles,\n\nTen minutes should do." in invite(message="Ten minutes should do.").text


@pytest.mark.parametrize(
    "typed",
    [
        "https://evil.example/x",
        "www.evil.example",
        "evil.example",
        "mailto:a@evil.example",
        "a@evil.example",
        "//evil.example",
    ],
)
def test_an_address_in_the_message_is_no_link_and_none_is_made_of_it(typed: str) -> None:
    mail = invite(message=f"Look at {typed} please.")
    assert typed not in mail.text
    assert typed not in mail.html
    assert typed in mail.text.replace(render.ZWNJ, "")
    assert set(re.findall(r'href="([^"]*)"', mail.html)) == {LINK}


def test_what_people_type_is_text_in_html() -> None:
    mail = invite(
        FirmFacts("<b>Firm</b>"), message='<script>alert("x")</script>\n{{ person.name }}', name="<i>Al</i>"
    )
    assert "<script" not in mail.html
    assert "<b>Firm" not in mail.html
    assert "<i>" not in mail.html
    assert "&lt;script&gt;" in mail.html


def test_nothing_is_fetched_from_anywhere() -> None:
    for kind in MailKind:
        source = "".join(path.read_text() for path in (render.FOLDER / kind.value).iterdir())
        assert "<mj-image" not in source
    page = invite(message="Hello").html
    assert not re.search(r"<img|src=|url\(|@import|<link|fonts\.", page)


# Every kind: text and HTML say the same


def kinds(language: str) -> dict[str, dict[str, Any]]:
    """The values of one mail of each kind, in a language."""
    firm = replace(FIRM, language=language)
    open_firm = replace(firm, shows_titles=True)
    return {
        "invite": words.invite_values(
            open_firm, sender="Dana Reyes", what="sent you a survey",
            name="Charles", address="charles@engine-works.com", client="Byron Family", item=ITEM,
            message="Two paragraphs.\n\nAnd\nlines.", expires_at=ENDS, link=LINK,
        ),
        "accept_code": words.plain_values(firm, name="Charles", address="c@x.example", code="012345", until="today"),
        "item": words.item_values(
            firm, sender="Dana Reyes", what="shared a file with you", name="Ada", address="a@x.example", items=[ITEM, ITEM],
            message="Have a look.", link=LINK,
        ),
        "sign_in": words.plain_values(firm, name="Ada", address="a@x.example", sender="Dana Reyes", link=LINK),
        "staff_notice": words.plain_values(
            firm, name="Dana", address="d@x.example", headline="An invite ended", paragraphs=["One.", "Two."],
            button="Open the record", link=LINK,
        ),
        "reminder": words.reminder_values(
            open_firm, sender="Dana Reyes", what="sent you a survey",
            name="Charles", address="charles@engine-works.com", client="Byron Family", item=ITEM, expires_at=ENDS,
            link=LINK, stop_link=LINK + "/reminders",
        ),
        "expiry_warning": words.reminder_values(
            firm, sender="Dana Reyes", what="sent you a survey", name="", address="charles@engine-works.com", client="B",
            item=None, expires_at=ENDS, link=LINK, stop_link=LINK + "/reminders",
        ),
        "expiry_digest": words.digest_values(
            firm, name="Dana Reyes", address="d@x.example", lines=["Ada Byron, Byron Family: 3 Nov 2026, 17:00 (UTC)"],
            more=2, link=LINK,
        ),
        "security": words.plain_values(
            firm, name="Dana", address="d@x.example", headline="Choose a new password", paragraphs=["One."],
            button="Choose", link=LINK,
        ),
    }  # fmt: skip


def shown_words(page: str) -> list[str]:
    """What a reader of the HTML reads, in order; not the preview line that mail programs show in lists."""
    inside = page[page.index("<body") :]
    inside = re.sub(r"<!--.*?-->", " ", inside, flags=re.DOTALL)
    inside = re.sub(r'<div style="display:none.*?</div>', " ", inside, flags=re.DOTALL)
    inside = re.sub(r"<(/?(p|div|td|tr|h1|ul|li|br|table|a)\b[^>]*)>", " ", inside)
    return _words(html.unescape(re.sub(r"<[^>]*>", "", inside)))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\s.:,-]+", re.sub(r"https?://\S+", " ", text))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", [kind.value for kind in MailKind])
def test_text_and_html_say_the_same(kind: str, language: str) -> None:
    values = kinds(language)[kind]
    mail = render.render(kind, values)
    assert shown_words(mail.html) == _words(mail.text)
    assert "\n\n\n" not in mail.text
    assert "{{" not in mail.html + mail.text + mail.subject
    assert mail.html.count("<a ") <= 2
    assert f'lang="{values["language"]}"' in mail.html
    if "link" in values:
        assert LINK in mail.html
        assert LINK in mail.text


# Placeholders


def test_each_placeholder_is_filled() -> None:
    values = Values(
        "Ada Byron", "Byron Family", "Dana Reyes", "Northwind", "Organizer", "15 Dec 2026", "23 Dec 2026"
    )
    filled = [fill("{{ " + name + " }}", values.by_name(hides_names=False)) for name in PLACEHOLDERS]
    assert filled == [
        "Ada",
        "Ada Byron",
        "Byron Family",
        "Dana Reyes",
        "Northwind",
        "Organizer",
        "15 Dec 2026",
        "23 Dec 2026",
    ]


def test_an_empty_one_takes_its_blank_along() -> None:
    assert (
        fill("Hello {{ person.first_name }}, welcome", Values().by_name(hides_names=False))
        == "Hello, welcome"
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Hello\n {{ person.age }}", "Line 2, character 5"),
        ("{% for x in y %}", "Line 1, character 1"),
        ("Hello {{ person.name", "Line 1, character 7"),
        ("{{ person.name | upcase }}", "Line 1, character 18"),
        ("{{ person }}", "Line 1, character 4"),
        ("{{ config.secret_key }}", "Line 1, character 4"),
        ("{{ }}", "Line 1, character 1"),
    ],
)
def test_a_wrong_placeholder_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(Invalid) as raised:
        check(text)
    assert raised.value.fields["message"][0].startswith(place)
    assert "{{ person.first_name }}" in raised.value.fields["message"][0]


def test_what_was_filled_in_is_not_read_again() -> None:
    values = Values(person_name="{{firm.name}}", firm_name="Northwind").by_name(hides_names=False)
    assert fill("{{ person.name }}", values) == "{{firm.name}}"


def test_a_text_that_is_too_long_is_refused() -> None:
    assert check("x" * LONGEST)
    with pytest.raises(Invalid):
        check("x" * (LONGEST + 1))


# The window's preview


def team() -> tuple[Firm, TeamMember]:
    firm = Firm(name="Northwind Tax", phone="+1 555 0100", colour="#1f5f8b", shows_titles=False,
                time_zone="America/New_York", reply_to="")  # fmt: skip
    login = Login(name="Dana Reyes", email="dana@northwind.example", email_display="dana@northwind.example")
    return firm, TeamMember(login=login, firm=firm, active=True)


def test_the_preview_is_the_real_mail() -> None:
    firm, member = team()
    message = "Hello {{ person.first_name }}, here is this year's organizer.\n\nTen minutes should do."
    shown = preview(
        firm, member, what="sent you a survey", name="Charles Babbage", address="charles@engine-works.com",
        client_name="Byron Family", message=message, expires_at=ENDS, item_title="Organizer",
    )  # fmt: skip
    assert shown.subject == "Northwind Tax: Dana Reyes sent you a survey"
    assert (shown.from_line, shown.reply_to) == ("Northwind Tax", "dana@northwind.example")
    assert shown.paragraphs == [
        "Hello Charles, here is this year's organizer.",
        "Ten minutes should do.",
        "Dana Reyes of Northwind Tax sent you a survey.",
    ]
    assert shown.button == "Open the Client Portal"
    assert shown.footer == (
        "This invite is for charles@engine-works.com and works until 23 Dec 2026, 17:00 (New York)."
        " Questions: +1 555 0100. Not you? Tell us."
    )
    assert shown.problem == ""


def test_the_preview_names_what_is_wrong_with_the_message() -> None:
    firm, member = team()
    shown = preview(
        firm, member, what="sent you a survey", name="", address="c@x.example", client_name="B",
        message="{{ person.age }}", expires_at=ENDS,
    )  # fmt: skip
    assert shown.problem.startswith("Line 1, character 4")
    assert shown.paragraphs == ["Hello,", "Dana Reyes of Northwind Tax sent you a survey."]
