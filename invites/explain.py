"""Why can't they see it? A chain of yes and no for one person and one item, with the one thing that mends the first no.

The rows are read once, in a fixed number of queries; the chain over them is pure, so that every link of it is a test.
It decides nothing of its own: that all links hold is the same as `invites.scope.can_see`, and a test holds the two
together. "Why can't they sign in?" is the same for a login: `explain_sign_in.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from invites.scope import FirmView
from invites.standing import day, latest_invites
from mail import outbox
from models import (
    AccessState,
    Audience,
    Client,
    Contact,
    Invite,
    InviteItem,
    InviteState,
    ItemGrant,
    MailState,
    Outbox,
    PortalAccess,
    Scope,
    Signer,
    WorkItem,
    db,
    utc_now,
)


class Fix(StrEnum):
    """What mends a no. The page shows it as a button, the API by this word."""

    INVITE = "invite"
    RESEND = "resend"
    CHANGE_ADDRESS = "change_address"
    RESTORE = "restore"
    MAKE_VISIBLE = "make_visible"
    GRANT = "grant"
    LICENCE = "licence"
    SEND_SIGN_IN = "send_sign_in"
    UNLOCK = "unlock"
    CHANGE_DATE = "change_date"


@dataclass(frozen=True)
class Step:
    """One link of the chain."""

    check: str
    ok: bool
    text: str
    fix: Fix | None = None


@dataclass(frozen=True)
class Explanation:
    """The whole chain."""

    steps: tuple[Step, ...]

    @property
    def can_see(self) -> bool:
        """Every link holds."""
        return all(step.ok for step in self.steps)

    @property
    def broken(self) -> Step | None:
        """The first no; the one whose fix is worth offering."""
        return next((step for step in self.steps if not step.ok), None)


@dataclass(frozen=True)
class Known:
    """What was read of one person and one item."""

    who: str
    item: WorkItem
    item_word: str  # "file", "client request"
    now: datetime
    zone: str
    access: PortalAccess | None = None
    invite: Invite | None = None
    mail: Outbox | None = None
    mail_words: str = ""
    comes_with_invite: bool = False  # the open invite leads to the item
    granted: bool = False
    signs: bool = False
    licensed: bool = True

    @property
    def joined(self) -> PortalAccess | None:
        """The access that counts: one that was removed counts no more once the person is invited again."""
        access = self.access
        if access is not None and access.state is AccessState.REMOVED and self._is_pending:
            return None
        return access

    @property
    def _is_pending(self) -> bool:
        return self.invite is not None and self.invite.state is InviteState.PENDING


def explain(
    view: FirmView, client: Client, email: str, item: WorkItem, item_word: str, licence: str
) -> Explanation:
    """The chain for a normalised address and an item of this client. Six queries, however much there is."""
    access = (
        db.session.scalars(
            view.accesses().where(PortalAccess.client_id == client.id, PortalAccess.email == email)
        )
        .unique()
        .one_or_none()
    )
    invite = latest_invites([client.id], [email]).get((client.id, email))
    mail = outbox.delivery_of([invite.id]).get(invite.id) if invite else None
    leads, granted, signs = db.session.execute(
        sa.select(
            sa.exists().where(
                InviteItem.item_id == item.id, InviteItem.invite_id == (invite.id if invite else None)
            ),
            sa.exists().where(
                ItemGrant.item_id == item.id, ItemGrant.access_id == (access.id if access else None)
            ),
            sa.exists().where(Signer.item_id == item.id, Signer.email == email),
        )
    ).one()
    contact = db.session.scalars(
        sa.select(Contact)
        .where(Contact.client_id == client.id, Contact.email == email)
        .order_by(Contact.id)
        .limit(1)
    ).one_or_none()
    name = (
        contact.name
        if contact
        else invite.name
        if invite
        else access.portal_user.login.name
        if access
        else ""
    )
    return Explanation(
        chain(
            Known(
                who=name or email,
                item=item,
                item_word=item_word,
                now=utc_now(),
                zone=view.member.firm.time_zone,
                access=access,
                invite=invite,
                mail=mail,
                mail_words=outbox.delivery_text(mail, outbox.relay_pause()) if mail else "",
                comes_with_invite=bool(leads),
                granted=bool(granted),
                signs=bool(signs),
                licensed=not licence or licence in view.licences(),
            )
        )
    )


def chain(known: Known) -> tuple[Step, ...]:
    """The links in their order: pure."""
    return (
        _invited(known),
        _delivered(known),
        _accepted(known),
        _active(known),
        _visible(known),
        _reaches(known),
        _licence(known),
    )


def _invited(known: Known) -> Step:
    check, who = "invited", known.who
    if known.joined is not None:
        return Step(check, True, f"{who} was invited and has joined.")
    if known.invite is None:
        return Step(check, False, f"{who} was never invited to this Client Portal.", Fix.INVITE)
    on = day(known.invite.created_at, known.zone)
    return Step(check, True, f"{who} was invited on {on} by {known.invite.invited_by.name}.")


def _delivered(known: Known) -> Step:
    check, mail, invite = "mail_delivered", known.mail, known.invite
    if known.joined is not None:
        return Step(check, True, "The mail is not needed any more.")
    if invite is None:
        return Step(check, False, "No mail was sent.")
    pending = invite.state is InviteState.PENDING
    if mail is None:
        return Step(check, False, "No mail with the link is known.", Fix.RESEND if pending else Fix.INVITE)
    if mail.state is MailState.SENT:
        sent = f" on {day(mail.sent_at, known.zone)}" if mail.sent_at else ""
        return Step(check, True, f"The mail server took the mail{sent}, and it did not come back.")
    words = f"{known.mail_words.rstrip('.')}."
    if not pending:
        return Step(check, False, words, Fix.INVITE)
    if mail.state is MailState.BOUNCED:
        return Step(check, False, words, Fix.CHANGE_ADDRESS)
    waits = mail.state in {MailState.QUEUED, MailState.SENDING, MailState.HELD}
    return Step(check, False, words, None if waits else Fix.RESEND)


def _accepted(known: Known) -> Step:
    check, invite = "accepted", known.invite
    if known.joined is not None:
        return Step(check, True, f"Joined on {day(known.joined.accepted_at, known.zone)}.")
    if invite is None:
        return Step(check, False, "There is nothing to accept yet.")
    if invite.state is InviteState.DECLINED:
        said = (
            "said that the invite reached the wrong person" if invite.ended_reason == "not_me" else "declined"
        )
        return Step(check, False, f"{known.who} {said}.", Fix.INVITE)
    if invite.state is InviteState.REVOKED:
        return Step(check, False, "The invite was revoked.", Fix.INVITE)
    if (
        invite.access_ends_at is not None
        and invite.is_expired(known.now)
        and invite.access_is_over(known.now)
    ):
        ended = day(invite.access_ends_at, known.zone)
        return Step(check, False, f"The access that was offered ended on {ended}.", Fix.CHANGE_DATE)
    if invite.is_expired(known.now):
        return Step(check, False, f"The invite ran out on {day(invite.expires_at, known.zone)}.", Fix.RESEND)
    if (
        invite.state is InviteState.ACCEPTED
    ):  # the access it led to is gone: nothing a person can do brings it about
        return Step(check, False, "The invite was accepted, but there is no access any more.", Fix.INVITE)
    until = day(invite.expires_at, known.zone)
    return Step(check, False, f"Not accepted yet. The link works until {until}.", Fix.RESEND)


def _active(known: Known) -> Step:
    check, access = "access_active", known.joined
    if access is None:
        return Step(check, False, "Access begins when the invite is accepted.")
    if access.is_active(known.now):
        until = f" until {day(access.ends_at, known.zone)}" if access.ends_at else ""
        return Step(check, True, f"Access is active{until}.")
    if access.ends_at is not None and access.has_ended(known.now):
        return Step(check, False, f"Access ended on {day(access.ends_at, known.zone)}.", Fix.RESTORE)
    word = "suspended" if access.state is AccessState.SUSPENDED else "removed"
    return Step(check, False, f"Access was {word} on {day(access.changed_at, known.zone)}.", Fix.RESTORE)


def _visible(known: Known) -> Step:
    check, word = "item_visible", known.item_word
    if known.item.visible:
        return Step(check, True, f"The {word} is visible to the client's side.")
    fix = Fix.MAKE_VISIBLE if known.licensed else Fix.LICENCE
    return Step(check, False, f"The {word} is not visible to the client's side.", fix)


def _reaches(known: Known) -> Step:
    """Whether it is visible to this very person: by scope and audience, by a grant, or as a signer."""
    check, access, word = "item_visible_to_them", known.joined, known.item_word
    scope = access.scope if access is not None else known.invite.scope if known.invite else Scope.PORTAL
    if known.signs:
        return Step(check, True, f"{known.who} is to sign it.")
    if known.granted if access is not None else known.comes_with_invite:
        return Step(check, True, f"The {word} was sent to {known.who}.")
    if scope is Scope.PORTAL and known.item.audience is Audience.PORTAL:
        return Step(check, True, "Sees the whole portal, and this is for the whole portal.")
    if known.item.audience is Audience.PEOPLE:
        text = f"The {word} is for chosen people only, and {known.who} is none of them."
    else:
        text = f"{known.who} sees only what was sent to them, and this was not."
    return Step(check, False, text, Fix.GRANT if known.item.visible else None)


def _licence(known: Known) -> Step:
    check = "licence"
    if known.licensed:
        return Step(check, True, "In your firm's licence.")
    if known.item.visible:
        return Step(
            check, True, "Not in your firm's licence any more; what was sent before stays to be seen."
        )
    return Step(check, False, "Not in your firm's licence, so it can't be made visible.", Fix.LICENCE)
