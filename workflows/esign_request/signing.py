"""Signing: a typed name, a consent, and the evidence of both.

One signature counts once: the signer's row is moved by one guarded UPDATE, after the request's own row is held, so
that two tabs, two people or a decline at the same moment come one after the other. The last signature only closes the
request; the seal is made after the commit (`completion.py`), since it takes a second that no lock should last.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final, cast

import sqlalchemy as sa
from flask import request
from marshmallow import ValidationError

import background
from invites.access import active_accesses
from invites.lifecycle import expiry
from invites.scope import FirmView, PortalView
from languages import worded
from mail import outbox
from models import (
    Invite,
    InviteItem,
    InviteState,
    MailKind,
    PortalAccess,
    Signer,
    SignerState,
    WorkItem,
    after_commit,
    db,
    utc_now,
)
from models.errors import Invalid, Missing, WrongState
from schemas.base import Text
from workflows.esign_request.signers import (
    SIGNABLE,
    UNSIGNED,
    SignerView,
    SignState,
    blockers,
    is_expired,
    is_ordered,
    sign_state,
    signers_of,
)
from workflows.moves import move, note

__all__ = [
    "CONSENT",
    "WHAT",
    "SignState",
    "SignerView",
    "Trace",
    "decline",
    "extend",
    "look",
    "sign",
    "sign_state",
    "void",
]

WHAT: Final = "sent you a document to sign"
CONSENT: Final = (
    "I have read this document, I agree to sign it electronically,"
    " and I want my typed name to count as my signature."
)
_TYPED_NAME = Text(most=200, required=True)
_REASON = Text(most=500, long=True)


@dataclass(frozen=True)
class Trace:
    """From where somebody signs."""

    ip: str = ""
    user_agent: str = ""

    @classmethod
    def of_request(cls) -> Trace:
        """The trace of the request that is being answered."""
        return cls((request.remote_addr or "")[:64], (request.user_agent.string or "")[:300])


def sign(
    item: WorkItem, person: PortalView, signer_id: str, typed_name: str, consent: bool, trace: Trace
) -> None:
    """Sign for one of this person's names, within the open unit of work.

    Call `completion.seal_pending(item.id)` after the commit: it seals when this was the last one. Raises Invalid
    (typed_name, consent), WrongState (signed already, not this one's turn, expired, ended), Missing for a signer who
    isn't this person.
    """
    name = _checked(typed_name, consent)
    access = person.access_for(item)
    signers = _hold(item)
    signer = _mine(signers, signer_id, access)
    before = blockers(item, signer, signers)
    if before:
        raise WrongState(worded("It is not your turn yet: %(who)s signs first.", who=before[0].name))
    _move_signer(
        signer,
        state=SignerState.SIGNED,
        typed_name=name,
        signed_at=utc_now(),
        login_id=person.login.id,
        ip=trace.ip,
        user_agent=trace.user_agent,
    )
    left = [other for other in signers if other.id != signer.id and other.state is not SignerState.SIGNED]
    move(item, SIGNABLE, "partially_signed", open=bool(left))
    note(
        item,
        "esign_request_signed",
        actor=f"login:{person.login.id}",
        access_id=access.id,
        signer_id=signer.id,
    )
    if left:
        _tell_next(item, signer, left)
    else:
        after_commit(background.wake, "seals")


def decline(item: WorkItem, person: PortalView, signer_id: str, reason: str, trace: Trace) -> None:
    """Decline to sign, which ends the request, within the open unit of work.

    Raises Invalid (reason), WrongState, Missing.
    """
    try:
        words = str(_REASON.deserialize(reason))
    except ValidationError as error:
        raise Invalid({"reason": [str(sentence) for sentence in error.messages]}) from error
    access = person.access_for(item)
    signer = _mine(_hold(item), signer_id, access)
    _move_signer(
        signer,
        state=SignerState.DECLINED,
        decline_reason=words,
        login_id=person.login.id,
        ip=trace.ip,
        user_agent=trace.user_agent,
    )
    move(item, SIGNABLE, "declined", open=False, done_at=utc_now())
    note(
        item,
        "esign_request_declined",
        actor=f"login:{person.login.id}",
        access_id=access.id,
        signer_id=signer.id,
    )


def look(item: WorkItem, person: PortalView) -> None:
    """A person looks at the document for the first time, within the open unit of work."""
    access = person.access_for(item)
    db.session.flush()
    db.session.execute(
        sa.update(Signer)
        .where(Signer.item_id == item.id, Signer.email == access.email, Signer.state == SignerState.WAITING)
        .values(state=SignerState.VIEWED, viewed_at=utc_now())
        .execution_options(synchronize_session=False)
    )
    move(item, ["sent"], "viewed")
    note(item, "esign_request_viewed", actor=f"login:{person.login.id}", access_id=access.id)


def void(view: FirmView, item: WorkItem, reason: str = "") -> None:
    """Staff end a request that isn't signed by all, within the open unit of work; signatures so far count no more.

    Raises WrongState where it is over already, Invalid (reason).
    """
    try:
        words = str(_REASON.deserialize(reason))
    except ValidationError as error:
        raise Invalid({"reason": [str(sentence) for sentence in error.messages]}) from error
    _hold_open(item)
    details = dict(item.details or {}) | {"void_reason": words}
    move(item, SIGNABLE, "voided", open=False, done_at=utc_now(), details=details)
    note(item, "esign_request_voided", actor=f"member:{view.member.id}")


def extend(view: FirmView, item: WorkItem, due_on: date) -> None:
    """Give the signers time until `due_on`, also when it has expired, within the open unit of work.

    Invites that lead to the request live at least as long. Raises WrongState where the request is over.
    """
    _hold_open(item)
    item.due_on = due_on
    end = expiry(utc_now(), 0, [item], view.member.firm.time_zone)
    db.session.execute(
        sa.update(Invite)
        .where(
            Invite.id.in_(sa.select(InviteItem.invite_id).where(InviteItem.item_id == item.id)),
            Invite.state == InviteState.PENDING,
            Invite.expires_at < end,
        )
        .values(expires_at=end)
        .execution_options(synchronize_session="fetch")
    )
    note(item, "esign_request_extended", actor=f"member:{view.member.id}", due_on=due_on.isoformat())


def _checked(typed_name: str, consent: bool) -> str:
    """The typed name, cleaned. Raises Invalid."""
    errors: dict[str, list[str]] = {}
    name = ""
    try:
        name = str(_TYPED_NAME.deserialize(typed_name))
    except ValidationError as error:
        said = list(error.messages)
        errors["typed_name"] = (
            said if str(typed_name or "").strip() else [worded("Type your full name to sign.")]
        )
    if not consent:
        errors["consent"] = [worded("Tick the box to agree. Without it the signature does not count.")]
    if errors:
        raise Invalid(errors)
    return name


def _hold_open(item: WorkItem) -> None:
    """Hold the request for this transaction. Raises WrongState where nobody can sign it any more."""
    db.session.flush()
    held = db.session.scalars(
        sa.select(WorkItem)
        .where(WorkItem.id == item.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    if held.status in SIGNABLE and held.open:
        return
    ended = {
        "declined": worded("One of the signers declined, so this document is not signed any more."),
        "voided": worded("This request was taken back, so there is nothing to sign any more."),
    }
    raise WrongState(ended.get(held.status, worded("This document is signed by everybody already.")))


def _hold(item: WorkItem) -> list[Signer]:
    """The signers as they are now, while nobody else changes them. Raises WrongState, also after the due day."""
    _hold_open(item)
    if is_expired(item):
        raise WrongState(worded("The time to sign this document is over. Ask your contact for more time."))
    return signers_of([item])[item.id]


def _mine(signers: list[Signer], signer_id: str, access: PortalAccess) -> Signer:
    for signer in signers:
        if signer.id == signer_id and signer.email == access.email:
            return signer
    raise Missing


def _move_signer(signer: Signer, **values: Any) -> None:
    statement = (
        sa.update(Signer)
        .where(Signer.id == signer.id, Signer.state.in_(UNSIGNED))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    moved = cast("sa.CursorResult[object]", db.session.execute(statement)).rowcount == 1
    db.session.refresh(signer)
    if not moved:
        raise WrongState(f"{signer.name} has signed already.")


def _tell_next(item: WorkItem, signed: Signer, left: list[Signer]) -> None:
    """In order: a mail to those whose turn it is now, if they have access; others hold their invite already."""
    if not is_ordered(item) or item.created_by_id is None:
        return
    place = min(other.position for other in left)
    if place <= signed.position:
        return
    turn = {other.email for other in left if other.position == place} - {signed.email}
    outbox.enqueue_many(
        [
            outbox.NewMail(
                MailKind.ITEM,
                to_email=access.email,
                to_name=access.portal_user.login.name,
                firm_id=access.firm_id,
                access_id=access.id,
                item_id=item.id,
                sender_id=item.created_by_id,
                params={"what": WHAT},
            )
            for access in active_accesses(item.client)
            if access.email in turn
        ]
    )
