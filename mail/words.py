"""What each kind of mail says: the values its templates need, from plain facts.

Until acceptance neither the client, nor a title, nor a file's name is told, unless the firm shows titles: a mistyped
address must learn nothing. Only this module decides that for mails.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from languages import SOURCE, day, moment, say, zone_of
from mail.logo import MailLogo
from mail.placeholders import Values, fill
from mail.render import unlinked

NEUTRAL_FIRM = "Client Portal"


@dataclass(frozen=True)
class FirmFacts:
    """What mails show of a firm."""

    name: str = NEUTRAL_FIRM
    phone: str = ""
    colour: str = "#1f5f8b"
    zone: str = "UTC"
    shows_titles: bool = False
    language: str = SOURCE
    reply_to: str = ""
    logo: MailLogo | None = None


@dataclass(frozen=True)
class ItemFacts:
    """What mails may say of a work item."""

    id: str
    title: str
    client: str
    due_on: date | None = None

    def line(self, language: str = SOURCE) -> str:
        """The item in half a sentence."""
        due = say(language, ", due %(day)s", day=day(self.due_on, language)) if self.due_on else ""
        return f"{self.title}{say(language, ', for %(client)s', client=self.client)}{due}"


def invite_values(
    firm: FirmFacts,
    *,
    sender: str,
    what: str,
    name: str,
    address: str,
    client: str,
    item: ItemFacts | None,
    message: str,
    expires_at: datetime,
    link: str,
) -> dict[str, Any]:
    """The values of an invite mail. Raises Invalid for a message with a placeholder that doesn't exist."""
    shown = item if firm.shows_titles else None
    values = Values(
        person_name=name,
        client_name=client,
        sender_name=sender,
        firm_name=firm.name,
        item_title=item.title if item else "",
        item_due_on=day(item.due_on, firm.language) if item and item.due_on else "",
        invite_expires_on=day(expires_at.astimezone(zone_of(firm.zone)).date(), firm.language),
    )
    return {
        **_common(firm, address, message, values, hides_names=not firm.shows_titles),
        "sender": sender,
        "what": say(firm.language, what),
        "title": shown.title if shown else "",
        "client": client if firm.shows_titles else "",
        "until": moment(expires_at, firm.zone, firm.language),
        "link": link,
    }


def reminder_values(
    firm: FirmFacts,
    *,
    sender: str,
    what: str,
    name: str,
    address: str,
    client: str,
    item: ItemFacts | None,
    expires_at: datetime,
    link: str,
    stop_link: str,
) -> dict[str, Any]:
    """The values of a reminder, and of the warning before an invite ends: as the invite, without its message."""
    values = invite_values(
        firm, sender=sender, what=what, name=name, address=address, client=client, item=item, message="",
        expires_at=expires_at, link=link,
    )  # fmt: skip
    ends_on = day(expires_at.astimezone(zone_of(firm.zone)).date(), firm.language)
    return {**values, "ends_on": ends_on, "stop_link": stop_link}


def digest_values(
    firm: FirmFacts, *, name: str, address: str, lines: Sequence[str], more: int, link: str
) -> dict[str, Any]:
    """The values of the inviter's mail about invites that ran out: a line for each, and how many more."""
    total = len(lines) + more
    headline = "An invite has expired" if total == 1 else f"{total} invites have expired"
    return plain_values(
        firm,
        name=name,
        address=address,
        headline=headline,
        lines=list(lines),
        more=more,
        total=total,
        link=link,
    )


def item_values(
    firm: FirmFacts,
    *,
    sender: str,
    what: str,
    name: str,
    address: str,
    items: Sequence[ItemFacts],
    message: str,
    link: str,
) -> dict[str, Any]:
    """The values of a mail about items to a person who has access."""
    first = items[0] if items else None
    values = Values(
        person_name=name,
        client_name=first.client if first else "",
        sender_name=sender,
        firm_name=firm.name,
        item_title=first.title if first else "",
        item_due_on=day(first.due_on, firm.language) if first and first.due_on else "",
    )
    return {
        **_common(firm, address, message, values, hides_names=False),
        "sender": sender,
        "what": say(firm.language, what),
        "things": [item.line(firm.language) for item in items],
        "link": link,
    }


def in_english(firm: FirmFacts) -> FirmFacts:
    """The firm as mails to its own team speak of it."""
    return replace(firm, language=SOURCE)


def plain_values(firm: FirmFacts, *, name: str, address: str, **more: Any) -> dict[str, Any]:
    """The values of the kinds without a personal message."""
    return {**_common(firm, address, "", Values(person_name=name), hides_names=True), **more}


def _common(
    firm: FirmFacts, address: str, message: str, values: Values, *, hides_names: bool
) -> dict[str, Any]:
    filled, language = "", firm.language
    if message.strip():
        plain = "\n".join(line.rstrip() for line in message.strip().splitlines())
        filled = unlinked(fill(plain, values.by_name(hides_names=hides_names, language=language)))
    first = values.person_name.split(" ")[0]
    greeting = say(language, "Hello %(name)s,", name=first) if first else say(language, "Hello,")
    return {
        "language": language,
        "firm": firm.name,
        "phone": firm.phone,
        "colour": firm.colour,
        "logo": firm.logo,
        "address": address,
        "message": filled,
        # A message that begins with a greeting of its own gets none of ours before it.
        "greeting": "" if greets(filled) else greeting,
    }


def greets(message: str) -> bool:
    """Whether the message begins with a greeting of its own."""
    return bool(_GREETS.match(message))


_GREETS = re.compile(
    r"\s*(hello|hi|hey|dear|good (morning|afternoon|evening|day)|greetings"
    r"|hallo|guten (tag|morgen|abend)|grüß gott|sehr geehrter?|lieber?"
    r"|bonjour|bonsoir|salut|chère?|cher(e?s)?|madame|monsieur"
    r"|hola|buen(os|as) (días|tardes|noches)|estimad[oa]s?|querid[oa]s?)\b",
    re.IGNORECASE,
)
