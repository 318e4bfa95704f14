"""From a mailed link to a place in the portal.

Looking at a link changes nothing: scanners press links. Accepting is one conditional UPDATE (`claim_for_accept`), so
that a link is accepted once however many press the button. A new login needs, by default, a six-digit code mailed to
the invited address, so that a forwarded link is not enough; name and password hash wait in `accept_code` meanwhile.
Somebody who has a login signs in and accepts with it; a login of another address never consumes the invite.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

import config
from invites.grants import grant_items
from invites.lifecycle import claim_for_accept, items_of, resend
from languages import SOURCE, say, worded
from mail import links, outbox
from models import (
    AcceptCode,
    AccessState,
    Contact,
    Invite,
    InviteState,
    InviteToken,
    Login,
    MailKind,
    PortalAccess,
    PortalUser,
    WorkItem,
    append_event,
    db,
    new_id,
    utc_now,
)
from models.errors import Invalid, InviteNotPending, Refused, WrongState

CODE_LIFETIME = timedelta(minutes=15)
CODE_TRIES = 5


class LinkState(StrEnum):
    """What a link leads to."""

    UNKNOWN = "unknown"
    LIVE = "live"
    SUPERSEDED = "superseded"  # a newer mail was sent
    EXPIRED = "expired"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    REVOKED = "revoked"


@dataclass(frozen=True)
class Link:
    """A link as it was found: its state, its invite and generation."""

    state: LinkState
    invite: Invite | None = None
    generation: int = 0


def look_up(token: str) -> Link:
    """What a token leads to. Reads only; an unknown token is an answer too."""
    found = db.session.execute(
        sa.select(Invite, InviteToken.generation)
        .join(InviteToken, InviteToken.invite_id == Invite.id)
        .where(InviteToken.token_hash == links.token_hash(token))
        .options(joinedload(Invite.invited_by), joinedload(Invite.client))
    ).one_or_none()
    if found is None or outbox.links_rest():
        return Link(LinkState.UNKNOWN)
    invite, generation = found
    if invite.state is not InviteState.PENDING:
        return Link(LinkState(invite.state.value), invite, generation)
    if invite.is_expired(utc_now()):  # of any generation: what helps is a new link, not an older mail
        return Link(LinkState.EXPIRED, invite, generation)
    if generation != invite.generation:
        return Link(LinkState.SUPERSEDED, invite, generation)
    return Link(LinkState.LIVE, invite, generation)


def login_of(email: str) -> Login | None:
    """The login of a normalised address."""
    return db.session.scalars(sa.select(Login).where(Login.email == email)).one_or_none()


def needs_code(invite: Invite) -> bool:
    """Whether a new login must also enter a mailed code: the firm's choice, else ACCEPT_NEEDS_CODE."""
    chosen = invite.invited_by.firm.accept_needs_code
    return config.current().accept_needs_code if chosen is None else bool(chosen)


def begin(link: Link, name: str, password_hash: str) -> AcceptCode:
    """Keep name and password hash, and mail a fresh code to the invited address. Raises InviteNotPending."""
    invite = _live(link)
    db.session.execute(sa.delete(AcceptCode).where(AcceptCode.invite_id == invite.id))
    now = utc_now()
    code = AcceptCode(
        id=new_id(),
        invite_id=invite.id,
        name=name,
        password=password_hash,
        created_at=now,
        expires_at=now + CODE_LIFETIME,
    )
    db.session.add(code)
    outbox.enqueue(
        MailKind.ACCEPT_CODE,
        to_email=invite.email,
        to_name=name,
        firm_id=invite.firm_id,
        invite_id=invite.id,
        generation=invite.generation,
        accept_code_id=code.id,
        params={"what": "sent you a code"},
    )
    return code


def code_waiting(link: Link) -> AcceptCode | None:
    """The first half of an accept that waits for its code, if its time is not over."""
    if link.invite is None:
        return None
    code = db.session.scalars(
        sa.select(AcceptCode).where(AcceptCode.invite_id == link.invite.id)
    ).one_or_none()
    return code if code is not None and code.expires_at > utc_now() else None


class WrongCode(Invalid):
    """The code doesn't match. The try is counted, so the edge commits before it shows the sentence."""


def check_code(link: Link, typed: str) -> WrongCode | None:
    """None where the code matches; else the error to show. Counts the try (commit it either way).

    Raises WrongState where no code is waiting or its tries are used up.
    """
    code = code_waiting(link)
    tries = _count_try(code.id) if code is not None else None
    if code is None or tries is None:
        raise WrongState("This code is no longer valid. Enter your name and password again to get a new one.")
    expected = links.accept_code(config.current(), code.id)
    if hmac.compare_digest("".join(typed.split()).encode(), expected.encode()):
        return None
    left = CODE_TRIES - tries
    language = link.invite.invited_by.firm.language if link.invite is not None else SOURCE
    if left:
        again = (
            say(language, "1 more try.") if left == 1 else say(language, "%(left)s more tries.", left=left)
        )
    else:
        again = say(language, "Please start again to get a new code.")
    wrong = say(language, "This is not the code from the mail.")
    return WrongCode({"code": [f"{wrong} {again}"]})


def _count_try(code_id: str) -> int | None:
    """Count a try in one guarded statement; which one it was, or None where there are no more, or no code any more.

    Read first and written later, sixteen guesses at the same moment would count as one.
    """
    return db.session.scalar(
        sa.update(AcceptCode)
        .where(AcceptCode.id == code_id, AcceptCode.tries < CODE_TRIES)
        .values(tries=AcceptCode.tries + 1)
        .returning(AcceptCode.tries)
        .execution_options(synchronize_session=False)
    )


def accept_new(link: Link, name: str, password_hash: str) -> tuple[Login, PortalAccess]:
    """Accept by making a login for the invited address. Raises InviteNotPending, or WrongState if a login exists."""
    invite = _live(link)
    _claim(invite, link)
    if login_of(invite.email) is not None:
        raise WrongState(worded("There is a login for this address already. Sign in to accept."))
    login = Login(
        id=new_id(),
        email=invite.email,
        email_display=invite.email_display,
        name=name,
        password=password_hash,
        fs_uniquifier=secrets.token_hex(32),
        active=True,
        confirmed_at=utc_now(),
        login_count=0,
        created_at=utc_now(),
    )
    db.session.add(login)
    db.session.flush()
    return login, _enter(invite, login)


def accept_as(link: Link, login: Login) -> PortalAccess:
    """Accept with the login that is signed in.

    Raises InviteNotPending; WrongState for another address's login; Refused while the access is suspended.
    """
    invite = _live(link)
    if login.email != invite.email:
        raise WrongState(
            worded(
                "You are signed in as %(mine)s, but this invite is for %(address)s."
                " Nothing was used up: sign in with that address.",
                mine=login.email_display,
                address=invite.email_display,
            )
        )
    _claim(invite, link)
    return _enter(invite, login)


def landing(invite: Invite, access: PortalAccess, item_id: str | None) -> WorkItem | None:
    """The item to stand in front of: the one the mail was about, else the newest of the invite's."""
    items = [item for item in items_of(invite) if item.visible]
    return next((item for item in items if item.id == item_id), items[-1] if items else None)


def _live(link: Link) -> Invite:
    if link.invite is None or link.state is not LinkState.LIVE:
        raise InviteNotPending(worded("This link can't be used any more. Open it again to see why."))
    return link.invite


def _claim(invite: Invite, link: Link) -> None:
    if not claim_for_accept(invite, link.generation, utc_now()):
        raise InviteNotPending(
            worded("This invite was used or changed a moment ago. Open the link again to see how it stands.")
        )


def _enter(invite: Invite, login: Login) -> PortalAccess:
    """Let `login` in, and write down that it accepted."""
    access = let_in(invite, login, utc_now())
    _name_contact(invite, login)
    db.session.execute(sa.delete(AcceptCode).where(AcceptCode.invite_id == invite.id))
    append_event(
        "invite_accepted",
        firm_id=invite.firm_id,
        workflow=invite.workflow,
        actor=f"login:{login.id}",
        client_id=invite.client_id,
        invite_id=invite.id,
        access_id=access.id,
    )
    return access


def let_in(invite: Invite, login: Login, at: datetime) -> PortalAccess:
    """Give `login` its place at the client, with the invite's scope and items.

    Raises Refused where what staff did after they invited shuts it: suspended, or restored with a date that is over.
    """
    user = db.session.scalars(sa.select(PortalUser).where(PortalUser.login_id == login.id)).one_or_none()
    if user is None:
        user = PortalUser(id=new_id(), login_id=login.id, created_at=at)
        db.session.add(user)
        db.session.flush()
    access = (
        db.session.scalars(
            sa.select(PortalAccess)
            .where(PortalAccess.client_id == invite.client_id, PortalAccess.portal_user_id == user.id)
            .with_for_update(of=PortalAccess, key_share=True)
            .execution_options(populate_existing=True)
        )
        .unique()
        .one_or_none()
    )
    if access is None:
        access = PortalAccess(
            id=new_id(),
            firm_id=invite.firm_id,
            client_id=invite.client_id,
            portal_user_id=user.id,
            contact_id=invite.contact_id,
            email=invite.email,
            scope=invite.scope,
            state=AccessState.ACTIVE,
            ends_at=invite.access_ends_at,
            accepted_at=at,
        )
        db.session.add(access)
    # Invited again before it was restored: an open link must not undo what staff did on purpose afterwards.
    elif access.state is AccessState.SUSPENDED:
        firm = invite.invited_by.firm.name
        raise Refused(
            worded(
                "Your access is suspended at the moment. Nothing was used up: please ask %(firm)s.", firm=firm
            )
        )
    elif access.has_ended(at):
        firm = invite.invited_by.firm.name
        raise Refused(worded("Your access has ended. Nothing was used up: please ask %(firm)s.", firm=firm))
    else:
        if access.state is AccessState.REMOVED:
            access.ends_at = invite.access_ends_at
        # Invited again after a removal: what the person may see is what this invite says, not what was once.
        access.scope, access.state, access.accepted_at = invite.scope, AccessState.ACTIVE, at
    access.changed_at = at
    db.session.flush()
    invite.access_id = access.id
    grant_items([access.id], items_of(invite))
    return access


def _name_contact(invite: Invite, login: Login) -> None:
    """A contact that was only an address gets the name the person gave."""
    if invite.contact_id and login.name:
        contact = db.session.get(Contact, invite.contact_id)
        if contact is not None and not contact.name:
            contact.name = login.name
        if not invite.name:
            invite.name = login.name


def send_new_link(link: Link) -> Invite:
    """`Send me a new link` on an expired one: only ever to the invited address. Raises InviteNotPending."""
    if link.invite is None or link.state is not LinkState.EXPIRED:
        raise InviteNotPending(
            worded("A new link can be sent for an expired invite only. Open the link again.")
        )
    return resend(link.invite, link.invite.invited_by, "sent you a new link")
