"""The Client Portal window's preview: the real invite mail in parts, made with the code that makes the mail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mail import facts, render, words
from models import Firm, MailKind, TeamMember, WorkItem
from models.errors import Invalid


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
