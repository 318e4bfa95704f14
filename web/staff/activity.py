"""The event log in words, for the record's Activity section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from invites.timeline import MAIL_NAMES, Entry
from mail import outbox
from models import Event, Invite, Login, MailState, PortalAccess, PortalUser, TeamMember, WorkItem, db

# What happened, in words. {who} acted, {person} it was about, {title} of the item.
_WORDS = {
    "client_added": "{who} added this client",
    "contact_added": "{who} added a contact",
    "invite_created": "{who} invited {person}",
    "invite_mailed": "The invite to {person} was mailed",
    "invite_bounced": "The invite to {person} bounced",
    "mail_bounced": "A mail to {person} came back",
    "mail_delayed": "A mail to {person} is delayed; the mail servers keep trying",
    "invite_failed": "The invite to {person} could not be mailed",
    "invite_resent": "{who} sent {person} a fresh link",
    "invite_accepted": "{person} accepted the invite",
    "invite_declined": "{person} declined the invite",
    "invite_revoked": "{who} revoked the invite to {person}",
    "invite_expired": "The invite to {person} expired",
    "invite_reminded": "{person} was reminded",
    "invite_expiry_warned": "{person} was told that the invite ends soon",
    "invite_extended": "{who} let the invite to {person} work longer",
    "invite_reminders_stopped": "The reminders to {person} were switched off",
    "invite_reminders_started": "{who} switched the reminders to {person} on",
    "address_changed": "{who} changed the address of {person}",
    "client_assigned": "{who} changed who looks after this client",
    "signed_in": "{who} signed in",
    "sign_in_unlocked": "{who} unlocked the sign-in of {person}",
    "portal_viewed": "{who} looked at the Client Portal as {person} sees it",
    "whole_portal_viewed": "{who} looked at the whole Client Portal",
    "access_removed": "{who} removed {person}'s access",
    "access_suspended": "{who} suspended {person}'s access",
    "access_until_changed": "{who} changed until when {person} has access",
    "access_ended": "{person}'s access had ended by its date",
    "access_restored": "{who} restored {person}'s access",
    "client_request_sent": "{who} sent the client request {title}",
    "client_request_viewed": "{who} opened the client request {title}",
    "client_request_submitted": "{who} submitted the client request {title}",
    "client_request_reopened": "{who} reopened the client request {title}",
    "client_request_cancelled": "{who} cancelled the client request {title}",
    "item_reminded": "{who} reminded {person} of {title}",
    "file_uploaded": "{who} uploaded {title}",
    "file_made_visible": "{who} made {title} visible",
    "file_made_invisible": "{who} made {title} invisible",
    "file_opened": "{who} opened {title}",
    "esign_request_sent": "{who} sent {title} for signing",
    "esign_request_viewed": "{who} opened {title} for signing",
    "esign_request_signed": "{who} signed {title}",
    "esign_request_completed": "{title} is signed by everybody and sealed",
    "esign_request_declined": "{who} declined to sign {title}",
    "esign_request_voided": "{who} voided {title}",
    "esign_request_extended": "{who} gave the signers of {title} more time",
}


@dataclass(frozen=True)
class ActivityLine:
    """One thing that happened."""

    text: str
    at: datetime
    item_id: str | None


def lines_of(events: Sequence[Event]) -> list[ActivityLine]:
    """Events in words, in a fixed number of queries."""
    members, logins = _names(events)
    titles = _by_id(sa.select(WorkItem.id, WorkItem.title), WorkItem.id, [event.item_id for event in events])
    people = _people(events)
    lines = []
    for event in events:
        kind, _, actor_id = event.actor.partition(":")
        who = {"member": members, "login": logins}.get(kind, {}).get(actor_id, "The system")
        title = titles.get(event.item_id or "") or str(event.data.get("title") or "")
        person = people.get(event.invite_id or "") or people.get(event.access_id or "") or "a person"
        pattern = _WORDS.get(
            event.name, "{who}: " + event.name.replace("_", " ") + (" {title}" if title else "")
        )
        quoted = f"\u201c{title}\u201d" if title else "an item"
        lines.append(
            ActivityLine(
                pattern.format(who=who, person=person, title=quoted), event.created_at, event.item_id
            )
        )
    return lines


@dataclass(frozen=True)
class StoryLine:
    """One line of a person's story."""

    text: str
    at: datetime
    tone: str = ""
    item_id: str | None = None


_MAIL_TONES = {MailState.BOUNCED: "bad", MailState.FAILED: "bad", MailState.SENT: "good"}


def story_lines(entries: Sequence[Entry]) -> list[StoryLine]:
    """A person's story in words, in a fixed number of queries."""
    paused = outbox.relay_pause()
    events = [entry.event for entry in entries if entry.event is not None]
    told = dict(zip((event.id for event in events), lines_of(events), strict=True))
    lines = []
    for entry in entries:
        if entry.mail is not None:
            name = MAIL_NAMES.get(entry.mail.kind, "Mail")
            words = f"{name}: {outbox.delivery_text(entry.mail, paused)}"
            lines.append(StoryLine(words, entry.at, _MAIL_TONES.get(entry.mail.state, "idle")))
        elif entry.event is not None:
            line = told[entry.event.id]
            lines.append(StoryLine(line.text, line.at, item_id=line.item_id))
    return lines


def _names(events: Sequence[Event]) -> tuple[dict[str, str], dict[str, str]]:
    """Names of team members and of logins that acted."""
    acted: dict[str, set[str]] = {"member": set(), "login": set()}
    for event in events:
        kind, _, actor_id = event.actor.partition(":")
        if kind in acted:
            acted[kind].add(actor_id)
    shown = sa.func.coalesce(sa.func.nullif(Login.name, ""), Login.email_display)
    members = db.session.execute(
        sa.select(TeamMember.id, shown)
        .join(Login, Login.id == TeamMember.login_id)
        .where(TeamMember.id.in_(acted["member"]))
    )
    return (
        {row[0]: row[1] for row in members},
        _by_id(sa.select(Login.id, shown), Login.id, list(acted["login"])),
    )


def _people(events: Sequence[Event]) -> dict[str, str]:
    """Who an invite or an access is about, by its id."""
    named = sa.func.coalesce(sa.func.nullif(Invite.name, ""), Invite.email_display)
    found = _by_id(sa.select(Invite.id, named), Invite.id, [event.invite_id for event in events])
    shown = sa.func.coalesce(sa.func.nullif(Login.name, ""), Login.email_display)
    inside = (
        sa.select(PortalAccess.id, shown)
        .join(PortalUser, PortalUser.id == PortalAccess.portal_user_id)
        .join(Login, Login.id == PortalUser.login_id)
    )
    return found | _by_id(inside, PortalAccess.id, [event.access_id for event in events])


def _by_id(statement: Any, column: Any, ids: Sequence[str | None]) -> dict[str, str]:
    """The second column of `statement` by its first, for the rows whose `column` is among `ids`."""
    wanted = {one for one in ids if one}
    if not wanted:
        return {}
    return {row[0]: row[1] for row in db.session.execute(statement.where(column.in_(wanted)))}
