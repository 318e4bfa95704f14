"""Why can't they see it? A chain of yes and no for one person and one item, with the one thing that mends the first no.

The rows are read once, in a fixed number of queries; the chain over them is pure, so that every link of it is a test.
It decides nothing of its own: that all links hold is the same as `invites.scope.can_see`, and a test holds the two
together. "Why can't they sign in?" is the same for a login; the caller looks up the counters of wrong passwords.
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
    Login,
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
    if access.state is AccessState.ACTIVE:
        return Step(check, True, "Access is active.")
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


# Why can't they sign in? --------------------------------------------------------------------------------------------


def sign_in_chain(
    known_as: str,
    login: Login | None,
    access: PortalAccess | None,
    locked_minutes: int,
    zone: str,
    invite: Invite | None = None,
) -> Explanation:
    """The chain for signing in: pure.

    `known_as` is the address on the record as people see it, `locked_minutes` how long wrong passwords keep it locked
    still (0: it isn't).
    """
    if login is None or access is None:
        pending = invite is not None and invite.state is InviteState.PENDING
        text = "There is no login yet: it is made when the invite is accepted."
        return Explanation((Step("has_login", False, text, Fix.RESEND if pending else Fix.INVITE),))
    return Explanation(
        (
            Step("has_login", True, f"Has a login since {day(login.created_at, zone)}."),
            _address(known_as, login),
            _lock(locked_minutes),
            _switched_on(login),
            _password(login),
            _may_enter(access),
        )
    )


def _address(known_as: str, login: Login) -> Step:
    signs = f"Signs in as {login.email_display}"
    if not known_as or known_as.casefold() in {login.email, login.email_display.casefold()}:
        return Step(
            "address", True, f"{signs}. Any other address is refused with the words of a wrong password."
        )
    text = f"{signs}, not as {known_as}. The sign-in mail goes to the right address and names it."
    return Step("address", False, text, Fix.SEND_SIGN_IN)


def _lock(minutes: int) -> Step:
    if not minutes:
        return Step("not_locked", True, "Not locked by wrong passwords.")
    still = "one more minute" if minutes == 1 else f"{minutes} more minutes"
    return Step("not_locked", False, f"Locked after too many wrong passwords, for {still}.", Fix.UNLOCK)


def _switched_on(login: Login) -> Step:
    if login.active:
        return Step("login_active", True, "The login is switched on.")
    return Step("login_active", False, "The login was switched off. Only the operator can switch it on.")


def _password(login: Login) -> Step:
    if not login.password:
        return Step("has_password", False, "Has no password yet.", Fix.SEND_SIGN_IN)
    forgot = "Who forgot it presses \u201cForgot your password?\u201d on the sign-in page."
    return Step("has_password", True, f"Has a password. {forgot}")


def _may_enter(access: PortalAccess) -> Step:
    if access.state is AccessState.ACTIVE:
        return Step("access_active", True, "Access to this client is active.")
    return Step("access_active", False, f"Access to this client is {access.state.value}.", Fix.RESTORE)
