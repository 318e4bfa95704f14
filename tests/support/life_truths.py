"""What stays true of a played life (`life_moves.py`), whatever happened: each truth compares the rows with what is believed.

What a later step could hide again is asked after every step, the rest once at the end of a life.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import pairwise

import pytest
import sqlalchemy as sa

from invites import accept, schedule
from invites.accept import LinkState
from invites.scope import FirmView, PortalView
from models import (
    Client,
    Contact,
    Event,
    Invite,
    InviteItem,
    InviteState,
    Login,
    Outbox,
    PortalAccess,
    TeamMember,
    WorkItem,
    db,
    utc_now,
)
from models.errors import Missing
from models.outbox import REMINDERS
from tests.support.life_stage import Stage

FACTS = (
    "invite_created",
    "invite_mailed",
    "invite_resent",
    "invite_accepted",
    "invite_declined",
    "invite_revoked",
    "invite_expired",
    "invite_bounced",
    "access_removed",
    "access_suspended",
    "access_restored",
)


def rows_are_as_told(stage: Stage) -> None:
    """Every invite and every access stands where its moves have put it; one pending per client and address.

    And nobody gets in after the last day of their access: the clock says so, no job.
    """
    rows = db.session.execute(
        sa.select(
            Invite.id, Invite.firm_id, Invite.client_id, Invite.email, Invite.state, Invite.generation, Invite.expires_at,
            Invite.access_ends_at,
        )
    ).all()  # fmt: skip
    believed = {
        (one.id, one.firm_id, one.client_id, one.email, one.state, one.generation, one.ends, one.access_ends)
        for one in stage.invites.values()
    }
    assert {tuple(row) for row in rows} == believed
    pending = Counter((row.client_id, row.email) for row in rows if row.state is InviteState.PENDING)
    assert all(number == 1 for number in pending.values()), pending
    places = db.session.execute(
        sa.select(
            PortalAccess.id, PortalAccess.firm_id, PortalAccess.client_id, PortalAccess.email, PortalAccess.state,
            PortalAccess.ends_at, PortalAccess.is_active(utc_now()),
        )
    )  # fmt: skip
    assert {tuple(row) for row in places} == {
        (key, one.firm_id, one.client_id, one.email, one.state, one.until, one.lets_in)
        for key, one in stage.places.items()
    }


def links_lead_where_told(stage: Stage) -> None:
    """Of the invite that was just touched: every link ever mailed; at most one of them is live."""
    told = stage.touched
    if told is None:
        return
    found = [
        accept.look_up(stage.token(told, generation)).state for generation in range(1, told.generation + 1)
    ]
    assert found == [told.stands(generation) for generation in range(1, told.generation + 1)]
    assert found.count(LinkState.LIVE) <= 1
    beyond = accept.look_up(stage.token(told, told.generation + 1))
    assert beyond.state is LinkState.UNKNOWN


def every_fact_has_its_event(stage: Stage) -> None:
    """What happened, as often as it happened, under the firm it happened to; nothing that was rolled back."""
    found = Counter(
        (firm_id, name, invite_id if name.startswith("invite") else access_id)
        for firm_id, name, invite_id, access_id in db.session.execute(
            sa.select(Event.firm_id, Event.name, Event.invite_id, Event.access_id).where(
                Event.name.in_(FACTS)
            )
        )
    )
    assert found == +stage.events
    accepted = Counter(subject for _, name, subject in found.elements() if name == "invite_accepted")
    assert all(number == 1 for number in accepted.values()), "a link is accepted once"


def reminders_keep_apart(stage: Stage) -> None:
    """No two of one invite within twenty hours."""
    times: dict[str, list[datetime]] = {}
    for invite_id, at in db.session.execute(
        sa.select(Outbox.invite_id, Outbox.created_at)
        .where(Outbox.kind.in_(REMINDERS))
        .order_by(Outbox.created_at)
    ):
        times.setdefault(invite_id, []).append(at)
    assert all(
        later - earlier >= schedule.APART for found in times.values() for earlier, later in pairwise(found)
    ), times


def firms_see_their_own(stage: Stage) -> None:
    """Lists of one firm hold no row of another; a person sees the items of clients that let them in."""
    parts = []
    for world in stage.worlds:
        view = FirmView(db.session.get_one(TeamMember, world.admin_id))
        for rows in (view.invites(), view.accesses(), view.items(), view.contacts(), view.clients()):
            found = rows.with_only_columns(rows.selected_columns.firm_id, maintain_column_froms=True)
            parts.append(found.with_only_columns(sa.literal(world.firm_id), rows.selected_columns.firm_id))
    seen = db.session.execute(sa.union(*parts)).all()
    assert all(mine == firm_id for mine, firm_id in seen), seen
    mixed = (
        sa.select(InviteItem.invite_id)
        .join(Invite, Invite.id == InviteItem.invite_id)
        .join(WorkItem, WorkItem.id == InviteItem.item_id)
        .where(Invite.client_id != WorkItem.client_id)
    )
    assert db.session.scalars(mixed).all() == []
    for login in db.session.scalars(sa.select(Login).where(Login.email.in_(stage.addresses))):
        open_to = {
            place.client_id for place in stage.places.values() if place.email == login.email and place.lets_in
        }
        assert {item.client_id for item in db.session.scalars(PortalView(login).items())} <= open_to


def foreign_ids_are_missing(stage: Stage) -> None:
    """By id: the newest of each kind, asked for by the firm next door. Once a life, as it needs a query for each."""
    for world in stage.worlds:
        view = FirmView(db.session.get_one(TeamMember, world.admin_id))
        for table, one in (
            (Invite, view.invite),
            (PortalAccess, view.access),
            (WorkItem, view.item),
            (Contact, view.contact),
            (Client, view.client),
        ):
            foreign = sa.select(table.id).where(table.firm_id != world.firm_id).order_by(table.id).limit(1)
            row_id = db.session.scalar(foreign)
            if row_id is not None:  # nobody may have joined in this life
                with pytest.raises(Missing):
                    one(row_id)


AFTER_EACH_STEP = (rows_are_as_told, links_lead_where_told)
AT_THE_END = (every_fact_has_its_event, reminders_keep_apart, firms_see_their_own, foreign_ids_are_missing)
