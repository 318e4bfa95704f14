"""A person's access to a client: remove, suspend, restore. Other clients of the same person stay untouched."""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa

from invites.scope import seen_by
from mail import outbox
from models import (
    AccessState,
    Client,
    MailKind,
    PortalAccess,
    Signer,
    SignerState,
    TeamMember,
    WorkItem,
    append_event,
    db,
    utc_now,
)
from models.errors import WrongState

_FACTS = {
    AccessState.REMOVED: "access_removed",
    AccessState.SUSPENDED: "access_suspended",
    AccessState.ACTIVE: "access_restored",
}
_FROM = {
    AccessState.REMOVED: (AccessState.ACTIVE, AccessState.SUSPENDED),
    AccessState.SUSPENDED: (AccessState.ACTIVE,),
    AccessState.ACTIVE: (AccessState.SUSPENDED, AccessState.REMOVED),
}


def remove(access: PortalAccess, member: TeamMember) -> PortalAccess:
    """Remove this person's access to this client; every page of it answers 404 at once. Raises WrongState."""
    return _move(access, AccessState.REMOVED, member)


def suspend(access: PortalAccess, member: TeamMember) -> PortalAccess:
    """Suspend it for a while. Raises WrongState unless it is active."""
    return _move(access, AccessState.SUSPENDED, member)


def restore(access: PortalAccess, member: TeamMember) -> PortalAccess:
    """Bring back an access that is suspended, removed, or over by its date, with its scope and grants.

    A date that is over goes, or nobody would get in. Raises WrongState.
    """
    return _move(access, AccessState.ACTIVE, member)


def send_sign_in(access: PortalAccess, member: TeamMember) -> None:
    """Mail an active person the way to sign-in and to the next open item. Raises WrongState."""
    if not access.is_active(utc_now()):
        raise WrongState(f"This access is {word(access)}. Restore it first.")
    outbox.enqueue(
        MailKind.SIGN_IN,
        to_email=access.email,
        to_name=access.portal_user.login.name,
        firm_id=access.firm_id,
        access_id=access.id,
        sender_id=member.id,
        params={"what": "sent you the way to the Client Portal"},
    )


def open_work(access: PortalAccess) -> list[str]:
    """What hangs on this person, in words for the confirmation: `2 open signatures`, `1 open survey`."""
    signatures = db.session.scalar(
        sa.select(sa.func.count())
        .select_from(Signer)
        .join(WorkItem, WorkItem.id == Signer.item_id)
        .where(
            WorkItem.client_id == access.client_id,
            WorkItem.open.is_(True),
            Signer.email == access.email,
            Signer.state.in_([SignerState.WAITING, SignerState.VIEWED]),
        )
    )
    surveys = db.session.scalar(
        sa.select(sa.func.count()).where(
            WorkItem.id.in_(seen_by(access)), WorkItem.open.is_(True), WorkItem.workflow == "client-request"
        )
    )
    words = []
    if signatures:
        words.append(f"{signatures} open signature{'s' if signatures > 1 else ''}")
    if surveys:
        words.append(f"{surveys} open survey{'s' if surveys > 1 else ''}")
    return words


def word(access: PortalAccess) -> str:
    """How it stands, after "This access is"."""
    return "over" if access.has_ended(utc_now()) else access.state.value


def _move(access: PortalAccess, state: AccessState, member: TeamMember) -> PortalAccess:
    now = utc_now()
    fits: sa.ColumnElement[bool] = PortalAccess.state.in_(_FROM[state])
    values: dict[str, Any] = {"state": state, "changed_at": now}
    if state is AccessState.ACTIVE:
        fits = sa.or_(fits, PortalAccess.has_ended(now))
        values["ends_at"] = sa.case((PortalAccess.ends_at > now, PortalAccess.ends_at), else_=sa.null())
    statement = (
        sa.update(PortalAccess)
        .where(PortalAccess.id == access.id, fits)
        .values(values)
        .execution_options(synchronize_session=False)
    )
    moved = cast("sa.CursorResult[object]", db.session.execute(statement)).rowcount == 1
    db.session.refresh(access)
    if not moved:
        raise WrongState(f"This access is {access.state.value} already.")
    append_event(
        _FACTS[state],
        firm_id=access.firm_id,
        workflow="client-record",
        actor=f"member:{member.id}",
        client_id=access.client_id,
        access_id=access.id,
    )
    return access


def active_accesses(client: Client) -> list[PortalAccess]:
    """Who gets into this client's portal now."""
    return list(
        db.session.scalars(
            sa.select(PortalAccess).where(
                PortalAccess.client_id == client.id, PortalAccess.is_active(utc_now())
            )
        ).unique()
    )
