"""The switch: visible to the client or not.

Making visible is one guarded UPDATE, and the trigger is fired for the files that it turned on, so that a second click
mails nobody twice. Making invisible cuts access at once: whoever has the page open gets nothing any more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from invites.orders import InviteOrder, InviteResult
from invites.scope import FirmView
from models import (
    Audience,
    Client,
    Invite,
    InviteItem,
    InviteState,
    ItemGrant,
    PortalAccess,
    WorkItem,
    db,
    utc_now,
)
from models.address import BadAddress, parse_address
from models.errors import Invalid, Missing
from workflows.file_visibility.declaration import FILE_VISIBILITY
from workflows.sending import fire

SLUG = FILE_VISIBILITY.slug


def make_visible(
    view: FirmView,
    client: Client,
    items: Sequence[WorkItem],
    order: InviteOrder | None,
    people: Sequence[tuple[str, str]] | None = None,
) -> list[InviteResult]:
    """Make files of one client visible, within the open unit of work; the invites' results.

    `people` None: visible to the whole client portal. A list of (name, address): to those of them who have access, and
    to those whom `order` invites, and to nobody else. Of files that are visible already only those hear whom `order`
    names or who weren't chosen before. Raises LicenceMissing, Missing for files of another client, Invalid where
    nobody is chosen, and what a receiver refuses.
    """
    view.need_licence(FILE_VISIBILITY.licence, FILE_VISIBILITY.plural)
    if any(item.client_id != client.id or item.workflow != SLUG for item in items):
        raise Missing
    if not items:
        return []
    invited = _addresses_of(client, order)
    chosen = None if people is None else [*people, *invited]
    if chosen is not None and not chosen:
        raise Invalid({"people": ["Choose at least one person."]})
    fresh = _turn_on(items, Audience.PORTAL if chosen is None else Audience.PEOPLE)
    if chosen is not None:
        _only_for(items, {parse_address(typed).key for _, typed in chosen})
    if fresh:
        return fire(FILE_VISIBILITY, view, client, fresh, order, chosen or ())
    newly = invited if chosen is None else [*_without_grant(items, people or ()), *invited]
    if newly:
        return fire(FILE_VISIBILITY, view, client, list(items), order, newly)
    return []


def make_invisible(view: FirmView, items: Sequence[WorkItem]) -> None:
    """Cut access to files at once, within the open unit of work. Invisible ones stay so."""
    cut = _switch(items, WorkItem.visible.is_(True), visible=False)
    for item in items:
        if item.id in cut:
            FILE_VISIBILITY.note(item, "file_made_invisible", actor=f"member:{view.member.id}")


def _turn_on(items: Sequence[WorkItem], audience: Audience) -> list[WorkItem]:
    """Turn them on; those that were off until now. A change of audience alone reaches visible ones too."""
    fresh = _switch(items, WorkItem.visible.is_(False), visible=True, sent_at=utc_now(), audience=audience)
    _switch(items, WorkItem.audience != audience, audience=audience)
    return [item for item in items if item.id in fresh]


def _switch(items: Sequence[WorkItem], where: sa.ColumnElement[bool], **values: object) -> set[str]:
    """One guarded UPDATE; the ids of the rows it changed."""
    db.session.flush()
    changed = set(
        db.session.scalars(
            sa.update(WorkItem)
            .where(WorkItem.id.in_([item.id for item in items]), WorkItem.workflow == SLUG, where)
            .values(**values)
            .returning(WorkItem.id)
            .execution_options(synchronize_session=False)
        )
    )
    for item in items:
        db.session.expire(item)
    return changed


def _addresses_of(client: Client, order: InviteOrder | None) -> list[tuple[str, str]]:
    """(name, address) of those whom the order names by a usable address; the others get their outcome from it."""
    if order is None:
        return []
    contacts = {contact.id: contact for contact in client.contacts}
    found = []
    for recipient in order.recipients:
        contact = contacts.get(recipient.contact_id or "")
        typed = (contact.email_display if contact else None) or recipient.email
        try:
            found.append((recipient.name, parse_address(typed).display))
        except BadAddress:
            continue  # its own outcome, in the order's results
    return found


def _without_grant(items: Sequence[WorkItem], people: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of `people` who don't see all of the files by a grant yet."""
    grants = db.session.execute(
        sa.select(PortalAccess.email, sa.func.count())
        .join(ItemGrant, ItemGrant.access_id == PortalAccess.id)
        .where(ItemGrant.item_id.in_([item.id for item in items]))
        .group_by(PortalAccess.email)
    )
    complete = {email for email, count in grants if count == len(items)}
    return [(name, typed) for name, typed in people if parse_address(typed).key not in complete]


def _only_for(items: Sequence[WorkItem], addresses: Collection[str]) -> None:
    """Take away what others were given before: grants, and the place in invites that aren't accepted yet."""
    ids = [item.id for item in items]
    others = sa.select(PortalAccess.id).where(
        PortalAccess.client_id == items[0].client_id, PortalAccess.email.not_in(addresses)
    )
    db.session.execute(
        sa.delete(ItemGrant).where(ItemGrant.item_id.in_(ids), ItemGrant.access_id.in_(others))
    )
    pending = sa.select(Invite.id).where(
        Invite.client_id == items[0].client_id,
        Invite.state == InviteState.PENDING,
        Invite.email.not_in(addresses),
    )
    db.session.execute(
        sa.delete(InviteItem).where(InviteItem.item_id.in_(ids), InviteItem.invite_id.in_(pending))
    )
