"""From a claimed row to the mail's bytes, and the same for the window's preview.

The words lie in templates/mail/<kind>/, what they are filled with comes from mail/words.py. A mail that can't be
written fails at its first attempt, with a reason staff can read, and takes no other mail with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jinja2
import structlog

from config import Settings
from mail import addresses, facts, links, mime, render, words
from mail.claim import Claimed
from mail.facts import Facts, SenderFacts
from mail.outcomes import Dropped, Permanent
from mail.relay import Ready
from mail.sealed import BrokenSeal, unseal
from mail.settle import Result
from mail.transport import Letter
from mail.words import FirmFacts
from models import Firm, MailKind, TeamMember, WorkItem, utc_now
from models.errors import Invalid
from models.outbox import INVITE_MAILS

log = structlog.get_logger(__name__)

NOBODY = SenderFacts("", "")


class NothingLeft(Exception):
    """What the mail was to speak of is gone; the text says what."""


def compose(settings: Settings, mails: Sequence[Claimed]) -> tuple[list[Ready], list[Result]]:
    """Write a batch: the mails that are ready, and the results of those that can't be written.

    Reads from the database; the caller ends that transaction before it sends.
    """
    known = facts.load(mails)
    ready: list[Ready] = []
    results: list[Result] = []
    for mail in mails:
        try:
            ready.append(Ready(mail, _letter(settings, known, mail)))
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


def _letter(settings: Settings, known: Facts, mail: Claimed) -> Letter:
    firm = known.firms.get(mail.firm_id or "", FirmFacts())
    sender = known.senders.get(_sender_id(known, mail) or "", NOBODY)
    values = _VALUES[mail.kind](settings, known, mail, firm, sender)
    rendered = render.render(mail.kind.value, values)
    configured_name, from_address = addresses.sender(settings)
    reply_to = sender.email or firm.reply_to
    raw = mime.build(
        mime.Envelope(
            from_name=firm.name if mail.firm_id else configured_name or firm.name,
            from_address=from_address,
            to_name=mail.to_name,
            to_address=mail.to_email,
            reply_to_name=(sender.name if sender.email else firm.name) if reply_to else "",
            reply_to_address=reply_to or from_address,
            subject=rendered.subject,
            message_id=mail.message_id,
            date=mail.created_at,
            unsubscribe=values.get("stop_link", ""),
        ),
        rendered.text,
        rendered.html,
    )
    return Letter(
        sender=from_address,
        recipient=addresses.plain_address(mail.to_email),
        subject=rendered.subject,
        body=rendered.text,
        html=rendered.html,
        message_id=mail.message_id,
        raw=raw,
    )


def _sender_id(known: Facts, mail: Claimed) -> str | None:
    """Who sends: the row's, else for an invite's mail the one who invited."""
    if mail.sender_id is None and mail.kind in INVITE_MAILS and mail.invite_id in known.invites:
        inviter: str = known.invites[mail.invite_id].invited_by_id
        return inviter
    return mail.sender_id


# The values of each kind. A new kind is a folder of templates and one function here --------------------------------


def _invite(
    settings: Settings, known: Facts, mail: Claimed, firm: FirmFacts, sender: SenderFacts
) -> dict[str, Any]:
    invite = known.invites[mail.invite_id or ""]
    generation = mail.generation or invite.generation
    return words.invite_values(
        firm,
        sender=sender.name,
        what=mail.params.get("what", "invited you to the Client Portal"),
        name=mail.to_name,
        address=invite.email_display,
        client=known.clients[invite.client_id],
        item=known.items.get(mail.item_id or ""),
        message=mail.params.get("message", ""),
        expires_at=invite.expires_at,
        link=links.invite_link(settings, invite.id, generation, mail.item_id),
    )


def _reminder(
    settings: Settings, known: Facts, mail: Claimed, firm: FirmFacts, sender: SenderFacts
) -> dict[str, Any]:
    invite = known.invites[mail.invite_id or ""]
    generation = mail.generation or invite.generation
    return words.reminder_values(
        firm,
        sender=sender.name,
        what=mail.params["what"],
        name=mail.to_name,
        address=invite.email_display,
        client=known.clients[invite.client_id],
        item=known.items.get(mail.item_id or ""),
        expires_at=invite.expires_at,
        link=links.invite_link(settings, invite.id, generation, mail.item_id),
        stop_link=links.stop_link(settings, invite.id, generation),
    )


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
        firm,
        name=mail.to_name,
        address=mail.to_email,
        lines=[
            f"{invite.name or invite.email_display}, {known.clients[invite.client_id]}:"
            f" {words.moment(invite.expires_at, firm.zone)}"
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
        until=words.moment(code.expires_at, firm.zone),
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
        firm,
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
        firm,
        name=mail.to_name,
        address=mail.to_email,
        headline=text["subject"],
        paragraphs=text["paragraphs"],
        button=label,
        link=link,
    )


_VALUES: dict[MailKind, Callable[[Settings, Facts, Claimed, FirmFacts, SenderFacts], dict[str, Any]]] = {
    MailKind.INVITE: _invite,
    MailKind.ACCEPT_CODE: _accept_code,
    MailKind.ITEM: _item,
    MailKind.SIGN_IN: _sign_in,
    MailKind.STAFF_NOTICE: _notice,
    MailKind.REMINDER: _reminder,
    MailKind.EXPIRY_WARNING: _reminder,
    MailKind.EXPIRY_DIGEST: _digest,
    MailKind.SECURITY: _security,
}


# The Client Portal window's preview ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preview:
    """The real mail in parts, for the window."""

    subject: str
    from_line: str  # the firm's name; the address is the configured one
    reply_to: str
    paragraphs: list[str]  # line ends inside a paragraph are "\n"
    button: str
    footer: str
    problem: str = ""  # why the message can't be sent as it is; the parts are then without it


def preview(
    firm: Firm,
    sender: TeamMember,
    *,
    what: str,
    name: str,
    address: str,
    client_name: str,
    message: str,
    expires_at: datetime,
    item: WorkItem | None = None,
    item_title: str = "",
    item_due_on: Any = None,
) -> Preview:
    """The invite mail as this person will get it, made with the code that makes the mail.

    The item may exist already (`item`) or only be typed (`item_title`, `item_due_on`).
    """
    shown = facts.firm_facts(firm)
    title, due_on = (item.title, item.due_on) if item is not None else (item_title, item_due_on)

    def values(text: str) -> dict[str, Any]:
        return words.invite_values(
            shown,
            sender=sender.name,
            what=what,
            name=name,
            address=address,
            client=client_name,
            item=words.ItemFacts("", title, client_name, due_on) if title else None,
            message=text,
            expires_at=expires_at,
            link=_LINK,
        )

    problem = ""
    try:
        filled = values(message)
    except Invalid as error:
        problem = " ".join(sentence for found in error.fields.values() for sentence in found)
        filled = values("")
    rendered = render.render(MailKind.INVITE.value, filled)
    blocks = rendered.text.strip().split("\n\n")
    at = next(index for index, block in enumerate(blocks) if block.endswith(f":\n{_LINK}"))
    footer = " ".join(blocks[at + 1 :]).replace(f":\n{_LINK}", ".")
    return Preview(
        subject=rendered.subject,
        from_line=firm.name,
        reply_to=facts.sender_facts(sender).email or firm.reply_to,
        paragraphs=blocks[1:at],
        button=blocks[at].removesuffix(f":\n{_LINK}"),
        footer=footer,
        problem=problem,
    )


_LINK = "\x00link\x00"  # stands where the link will: no typed text can hold it
