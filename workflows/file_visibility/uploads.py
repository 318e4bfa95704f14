"""A file comes in, from staff or from the client. Its bytes are in the store before the transaction begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from hooks.signals import file_uploaded
from invites.grants import grant_items
from invites.scope import FirmView, PortalView
from languages import worded
from models import (
    Audience,
    Client,
    FirmLicence,
    PortalAccess,
    Scope,
    TeamMember,
    WorkItem,
    db,
    new_id,
    utc_now,
)
from models.errors import LicenceMissing, Missing
from workflows.moves import note
from workflows.storage import Upload, keep

SLUG: Final = "file"
LICENCE: Final = "files"
SAME_PRESS = timedelta(minutes=1)


def upload(view: FirmView, client: Client, uploads: Sequence[Upload]) -> list[WorkItem]:
    """Staff's upload, within the open unit of work: an item each, not visible yet. Fires `file_uploaded` once.

    Raises LicenceMissing, and what a receiver refuses.
    """
    view.need_licence(LICENCE, "Files")
    items = [_item(client, one, member=view.member) for one in uploads]
    _fire(client, items, view.member, f"member:{view.member.id}")
    return items


def upload_by_client(person: PortalView, access: PortalAccess, uploads: Sequence[Upload]) -> list[WorkItem]:
    """The client's upload, within the open unit of work: staff see it, and on the client's side who may.

    Somebody with the whole portal shares it with the others who have it; somebody with scope `items` sees what they
    sent and shows it to nobody else. Raises Missing for an access of somebody else, LicenceMissing, and what a
    receiver refuses.
    """
    mine = person.accesses().where(PortalAccess.id == access.id)
    if db.session.scalars(mine).unique().one_or_none() is None:
        raise Missing
    held = sa.select(FirmLicence).where(FirmLicence.firm_id == access.firm_id, FirmLicence.key == LICENCE)
    if db.session.scalars(held).one_or_none() is None:
        raise LicenceMissing(
            worded("Files can't be sent here. Please ask your contact how to send this one.")
        )
    client: Client = access.client
    audience = Audience.PORTAL if access.scope is Scope.PORTAL else Audience.PEOPLE
    there = _just_sent(access)
    items, fresh = [], []
    for one in uploads:
        item = there.get((one.name, one.sha256))
        if item is None:
            item = there[one.name, one.sha256] = _item(client, one, access=access, audience=audience)
            fresh.append(item)
        items.append(item)
    if fresh:
        grant_items([access.id], fresh)
        _fire(client, fresh, None, f"login:{person.login.id}", access.id)
    return items


def _just_sent(access: PortalAccess) -> dict[tuple[str, str], WorkItem]:
    """What this person sent within the last minute, by name and content: the same again is a button pressed twice."""
    # Two presses at once: the second waits here until the first one's rows can be seen.
    db.session.execute(sa.select(PortalAccess.id).where(PortalAccess.id == access.id).with_for_update())
    recent = sa.select(WorkItem).where(
        WorkItem.client_id == access.client_id,
        WorkItem.workflow == SLUG,
        WorkItem.created_at >= utc_now() - SAME_PRESS,
    )
    return {
        (item.title, (item.details or {}).get("sha256", "")): item
        for item in db.session.scalars(recent.execution_options(populate_existing=True))
        if (item.details or {}).get("from_access_id") == access.id
    }


def is_from_client(item: WorkItem) -> bool:
    """Whether the client's side sent this file."""
    return bool((item.details or {}).get("from_access_id"))


def _item(
    client: Client,
    one: Upload,
    *,
    member: TeamMember | None = None,
    access: PortalAccess | None = None,
    audience: Audience = Audience.PORTAL,
) -> WorkItem:
    now = utc_now()
    details = {"size": one.size, "sha256": one.sha256, "content_type": one.content_type}
    if access is not None:
        details["from_access_id"] = access.id
    item = WorkItem(
        id=new_id(),
        firm_id=client.firm_id,
        client_id=client.id,
        workflow=SLUG,
        title=one.name,
        status="uploaded",
        visible=access is not None,
        open=False,
        audience=audience,
        details=details,
        created_by_id=member.id if member else None,
        created_at=now,
        sent_at=now if access is not None else None,
    )
    db.session.add(item)
    db.session.flush()
    keep(one, client, item_id=item.id)
    return item


def _fire(
    client: Client,
    items: list[WorkItem],
    member: TeamMember | None,
    actor: str,
    access_id: str | None = None,
) -> None:
    for item in items:
        note(item, file_uploaded.name, actor=actor, access_id=access_id)
    file_uploaded.fire(SLUG, items=items, client=client, member=member)
