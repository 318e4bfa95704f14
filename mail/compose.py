"""From claimed rows to the bytes of the mails. The window's preview: `mail/preview.py`.

The words lie in templates/mail/<kind>/, what they are filled with comes from mail/words.py. A mail that can't be
written fails at its first attempt, with a reason staff can read, and takes no other mail with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jinja2
import structlog

from config import Settings
from languages import SOURCE, moment
from mail import addresses, facts, links, mime, render, words
from mail.claim import Claimed
from mail.facts import Facts, SenderFacts
from mail.letter import Letter
from mail.outcomes import Dropped, Permanent
from mail.relay import Ready
from mail.sealed import BrokenSeal, unseal
from mail.settle import Result
from mail.stencil import Person, Stencil, stand_in
from mail.words import FirmFacts
from models import MailKind, utc_now
from models.errors import Invalid
from models.outbox import INVITE_MAILS

log = structlog.get_logger(__name__)

NOBODY = SenderFacts("", "")
NO_FIRM = FirmFacts()


class NothingLeft(Exception):
    """What the mail was to speak of is gone; the text says what."""


def compose(settings: Settings, mails: Sequence[Claimed]) -> tuple[list[Ready], list[Result]]:
    """Write a batch: the mails that are ready, and the results of those that can't be written.

    Reads from the database; the caller ends that transaction before it sends.
    """
    known = facts.load(mails)
    writer = _Writer(settings, known)
    ready: list[Ready] = []
    results: list[Result] = []
    for mail in mails:
        try:
            ready.append(Ready(mail, writer.write(mail)))
        except NothingLeft as error:
            results.append(Result(mail, Dropped(str(error))))
        except BrokenSeal as error:
            results.append(Result(mail, Permanent(str(error))))
        except Invalid as error:
            sentences = " ".join(sentence for found in error.fields.values() for sentence in found)
            results.append(Result(mail, Permanent(f"The message can't be filled in. {sentences}")))
        except (addresses.BadHeader, jinja2.TemplateError, UnicodeError, LookupError, ValueError) as error:
            log.exception("a mail can't be written", mail_id=mail.id, kind=mail.kind.value)
            results.append(Result(mail, Permanent(f"The mail can't be written: {error}")))
    return ready, results


def write(settings: Settings, known: Facts, mail: Claimed) -> Letter:
    """One mail the plain way, by itself. What a stencil gives must equal this byte for byte."""
    values = _VALUES[mail.kind](settings, known, mail, _firm(known, mail), _sender(known, mail))
    rendered = render.render(mail.kind.value, values)
    envelope = _envelope(settings, known, mail, rendered.subject, values.get("stop_link", ""))
    return _letter(envelope, mime.build(envelope, rendered.text, rendered.html, _picture(_firm(known, mail))))


class _Writer:
    """Writes the mails of one batch: each distinct one once, as a stencil, and then the persons' parts."""

    def __init__(self, settings: Settings, known: Facts) -> None:
        self._settings, self._known = settings, known
        self._stencils: dict[tuple[object, ...], Stencil | None] = {}

    def write(self, mail: Claimed) -> Letter:
        """The letter. Raises what `write()` raises."""
        if mail.kind not in INVITE_MAILS:
            return write(self._settings, self._known, mail)
        person = _person(self._settings, self._known, mail)
        stencil = self._stencil(mail, person) if person.is_ordinary else None
        if stencil is None:
            return write(self._settings, self._known, mail)
        envelope = _envelope(self._settings, self._known, mail, stencil.subject, person.stop_link)
        picture = _picture(_firm(self._known, mail))
        return _letter(envelope, mime.assemble(envelope, *stencil.fill(person), picture))

    def _stencil(self, mail: Claimed, person: Person) -> Stencil | None:
        """The stencil of this mail, cut where it is the first of its kind; None where there can be none."""
        firm, invite = _firm(self._known, mail), self._known.invites[mail.invite_id or ""]
        key = (
            mail.kind,
            mail.firm_id,
            _sender_id(self._known, mail),
            mail.item_id,
            invite.client_id if firm.shows_titles else "",  # else no mail names the client
            mail.params.get("what"),
            mail.params.get("message"),
            invite.expires_at.replace(second=0, microsecond=0),
            person.has_rest,
        )
        if key not in self._stencils:
            self._stencils[key] = None
            sender = _sender(self._known, mail)
            values = _INVITE_VALUES[mail.kind](self._known, mail, firm, sender, stand_in(person.has_rest))
            rendered = render.render(mail.kind.value, values)
            if Stencil.fits(rendered, values["message"]):
                self._stencils[key] = Stencil(rendered)
        return self._stencils[key]


def _envelope(
    settings: Settings, known: Facts, mail: Claimed, subject: str, unsubscribe: str
) -> mime.Envelope:
    firm, sender = _firm(known, mail), _sender(known, mail)
    configured_name, from_address = addresses.sender(settings)
    reply_to = sender.email or firm.reply_to
    return mime.Envelope(
        from_name=firm.name if mail.firm_id else configured_name or firm.name,
        from_address=from_address,
        to_name=mail.to_name,
        to_address=mail.to_email,
        reply_to_name=(sender.name if sender.email else firm.name) if reply_to else "",
        reply_to_address=reply_to or from_address,
        subject=subject,
        message_id=mail.message_id,
        date=mail.created_at,
        unsubscribe=unsubscribe,
    )


def _letter(envelope: mime.Envelope, raw: bytes) -> Letter:
    return Letter(
        sender=envelope.from_address,
        recipient=addresses.plain_address(envelope.to_address),
        subject=envelope.subject,
        message_id=envelope.message_id,
        raw=raw,
    )


def _picture(firm: FirmFacts) -> bytes:
    return firm.logo.part if firm.logo is not None else b""


def _firm(known: Facts, mail: Claimed) -> FirmFacts:
    return known.firms.get(mail.firm_id or "", NO_FIRM)


def _sender(known: Facts, mail: Claimed) -> SenderFacts:
    return known.senders.get(_sender_id(known, mail) or "", NOBODY)


def _sender_id(known: Facts, mail: Claimed) -> str | None:
    """Who sends: the row's, else for an invite's mail the one who invited."""
    if mail.sender_id is None and mail.kind in INVITE_MAILS and mail.invite_id in known.invites:
        inviter: str = known.invites[mail.invite_id].invited_by_id
        return inviter
    return mail.sender_id


# The values of each kind. A new kind is a folder of templates and one function here --------------------------------


def _person(settings: Settings, known: Facts, mail: Claimed) -> Person:
    """What of an invite's mail is the person's own."""
    invite = known.invites[mail.invite_id or ""]
    generation = mail.generation or invite.generation
    return Person(
        name=mail.to_name,
        address=invite.email_display,
        link=links.invite_link(settings, invite.id, generation, mail.item_id),
        stop_link="" if mail.kind is MailKind.INVITE else links.stop_link(settings, invite.id, generation),
    )


def _invite(
    known: Facts, mail: Claimed, firm: FirmFacts, sender: SenderFacts, person: Person
) -> dict[str, Any]:
    invite = known.invites[mail.invite_id or ""]
    return words.invite_values(
        firm,
        sender=sender.name,
        what=mail.params.get("what", "invited you to the Client Portal"),
        name=person.name,
        address=person.address,
        client=known.clients[invite.client_id],
        item=known.items.get(mail.item_id or ""),
        message=mail.params.get("message", ""),
        expires_at=invite.expires_at,
        link=person.link,
    )


def _reminder(
    known: Facts, mail: Claimed, firm: FirmFacts, sender: SenderFacts, person: Person
) -> dict[str, Any]:
    invite = known.invites[mail.invite_id or ""]
    return words.reminder_values(
        firm,
        sender=sender.name,
        what=mail.params["what"],
        name=person.name,
        address=person.address,
        client=known.clients[invite.client_id],
        item=known.items.get(mail.item_id or ""),
        expires_at=invite.expires_at,
        link=person.link,
        stop_link=person.stop_link,
    )


_INVITE_VALUES = {
    MailKind.INVITE: _invite,
    MailKind.REMINDER: _reminder,
    MailKind.EXPIRY_WARNING: _reminder,
}


def _of_invite(
    settings: Settings, known: Facts, mail: Claimed, firm: FirmFacts, sender: SenderFacts
) -> dict[str, Any]:
    return _INVITE_VALUES[mail.kind](known, mail, firm, sender, _person(settings, known, mail))


def _digest(
    settings: Settings, known: Facts, mail: Claimed, firm: FirmFacts, sender: SenderFacts
) -> dict[str, Any]:
    named = facts.invite_ids_of(mail)
    now = utc_now()
    # Who was sent a fresh link or accepted meanwhile is no news any more.
    invites = [known.invites[invite_id] for invite_id in named if known.invites[invite_id].is_expired(now)]
    if not invites:
        raise NothingLeft("None of these invites is expired any more.")
    return words.digest_values(
        words.in_english(firm),
        name=mail.to_name,
        address=mail.to_email,
        lines=[
            f"{invite.name or invite.email_display}, {known.clients[invite.client_id]}:"
            f" {moment(invite.expires_at, firm.zone)}"
            for invite in invites
        ],
        more=mail.params["count"] - len(named),
        link=links.page_link(settings, mail.params["page"]),
    )


def _accept_code(
    settings: Settings, known: Facts, mail: Claimed, firm: FirmFacts, sender: SenderFacts
) -> dict[str, Any]:
    code = known.codes.get(mail.accept_code_id or "")
    if code is None:
        raise NothingLeft("The code is not valid any more.")
    return words.plain_values(
        firm,
        name=mail.to_name,
        address=mail.to_email,
        code=links.accept_code(settings, code.id),
        until=moment(code.expires_at, firm.zone, firm.language),
    )


def _item(
    settings: Settings, known: Facts, mail: Claimed, firm: FirmFacts, sender: SenderFacts
) -> dict[str, Any]:
    wanted = facts.item_ids_of(mail)
    items = [known.items[item_id] for item_id in wanted if item_id in known.items]
    if wanted and not items:
        raise NothingLeft("The client can't see the item any more.")
    return words.item_values(
        firm,
        sender=sender.name or firm.name,
        what=mail.params.get("what", "has something new for you"),
        name=mail.to_name,
        address=mail.to_email,
        items=items,
        message=mail.params.get("message", ""),
        link=links.portal_link(settings, items[0].id if len(items) == 1 else None),
    )


def _sign_in(
    settings: Settings, known: Facts, mail: Claimed, firm: FirmFacts, sender: SenderFacts
) -> dict[str, Any]:
    return words.plain_values(
        firm,
        name=mail.to_name,
        address=mail.to_email,
        sender=sender.name,
        link=links.portal_link(settings, mail.item_id),
    )


def _notice(
    settings: Settings, known: Facts, mail: Claimed, firm: FirmFacts, sender: SenderFacts
) -> dict[str, Any]:
    button = mail.params.get("button")
    return words.plain_values(
        words.in_english(firm),
        name=mail.to_name,
        address=mail.to_email,
        headline=mail.params["subject"],
        paragraphs=list(mail.params["paragraphs"]),
        button=button[0] if button else "",
        link=links.page_link(settings, button[1]) if button else "",
    )


def _security(
    settings: Settings, known: Facts, mail: Claimed, firm: FirmFacts, sender: SenderFacts
) -> dict[str, Any]:
    text = unseal(settings, mail.params["sealed"])
    label, link = text["button"] or ("", "")
    return words.plain_values(
        replace(firm, language=text.get("language", SOURCE)),
        name=mail.to_name,
        address=mail.to_email,
        headline=text["subject"],
        paragraphs=text["paragraphs"],
        button=label,
        link=link,
    )


_VALUES: dict[MailKind, Callable[[Settings, Facts, Claimed, FirmFacts, SenderFacts], dict[str, Any]]] = {
    MailKind.INVITE: _of_invite,
    MailKind.ACCEPT_CODE: _accept_code,
    MailKind.ITEM: _item,
    MailKind.SIGN_IN: _sign_in,
    MailKind.STAFF_NOTICE: _notice,
    MailKind.REMINDER: _of_invite,
    MailKind.EXPIRY_WARNING: _of_invite,
    MailKind.EXPIRY_DIGEST: _digest,
    MailKind.SECURITY: _security,
}
