"""The firm's team: who is in it, what each may do, which clients each looks after.

Whoever may manage the team can't make themselves more than they are: admins alone make admins and change them, nobody
changes their own place, and a firm never loses its last active admin. All functions work inside the caller's unit of
work.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from models import (
    Client,
    ClientAssignment,
    Firm,
    Login,
    Role,
    Sees,
    TeamMember,
    append_event,
    db,
    new_id,
    utc_now,
)
from models.address import BadAddress, parse_address
from models.errors import Invalid, Missing, Refused

# What can be given to a team member who is no admin, and what it is for.
PERMISSIONS: dict[str, str] = {
    "bulk": "Invite, resend, revoke, extend and remove for many people at once",
    "export": "Export lists",
    "import": "Import clients and contacts",
    "templates": "Change the firm's templates",
    "team": "Add team members and say what they may do",
    "settings": "Change the firm's settings",
    "developer": "Developer tools",
    "audit": "Read the audit log",
}
WORKFLOW = "client-record"  # the sender of events that belong to no workflow


@dataclass(frozen=True)
class Place:
    """What a member is in the firm."""

    role: Role
    sees: Sees
    permissions: tuple[str, ...] = ()


def team_of(firm_id: str) -> list[TeamMember]:
    """Everybody who is or was in the team, active ones first."""
    return list(
        db.session.scalars(
            sa.select(TeamMember)
            .where(TeamMember.firm_id == firm_id)
            .order_by(TeamMember.active.desc(), TeamMember.created_at, TeamMember.id)
        )
    )


def one(actor: TeamMember, member_id: str) -> TeamMember:
    """A member of the actor's firm. Raises Missing."""
    found = db.session.scalars(
        sa.select(TeamMember).where(TeamMember.id == member_id, TeamMember.firm_id == actor.firm_id)
    ).one_or_none()
    if found is None:
        raise Missing
    return found


def add(actor: TeamMember, typed: str, name: str, place: Place) -> tuple[TeamMember, bool]:
    """Bring an address into the team; the member, and whether the login is new (and needs a password).

    Who was in the team before is active again. Raises Invalid (`email`), Refused.
    """
    _may_give(actor, place)
    try:
        address = parse_address(typed)
    except BadAddress as error:
        raise Invalid({"email": [str(error)]}) from error
    login = db.session.scalars(sa.select(Login).where(Login.email == address.key)).one_or_none()
    fresh = login is None
    if login is None:
        login = Login(
            id=new_id(),
            email=address.key,
            email_display=address.display,
            name=name,
            fs_uniquifier=secrets.token_hex(32),
            confirmed_at=utc_now(),
        )
        db.session.add(login)
        db.session.flush()
    member = db.session.scalars(
        sa.select(TeamMember).where(TeamMember.firm_id == actor.firm_id, TeamMember.login_id == login.id)
    ).one_or_none()
    if member is not None and member.active:
        raise Invalid({"email": [f"{member.name} is in the team already."]})
    if member is None:
        firm = db.session.get_one(Firm, actor.firm_id)
        member = TeamMember(id=new_id(), firm=firm, login=login, created_at=utc_now())
        db.session.add(member)
    member.active = True
    _put(member, place)
    db.session.flush()
    _note("team_member_added", actor, member)
    return member, fresh or not login.password


def change(actor: TeamMember, member: TeamMember, place: Place) -> None:
    """Change what a member is. Raises Refused."""
    _may_change(actor, member)
    _may_give(actor, place)
    if place.role is not Role.ADMIN:
        _keeps_an_admin(member)
    _put(member, place)
    _note("team_member_changed", actor, member)


def deactivate(actor: TeamMember, member: TeamMember) -> None:
    """Take a member out of the team; what they did stays. The caller ends their sessions. Raises Refused."""
    _may_change(actor, member)
    _keeps_an_admin(member)
    member.active = False
    _note("team_member_deactivated", actor, member)


def activate(actor: TeamMember, member: TeamMember) -> None:
    """Bring a member back as they were. Raises Refused."""
    _may_change(actor, member)
    member.active = True
    _note("team_member_activated", actor, member)


def assigned_to(client: Client) -> set[str]:
    """Ids of the members this client is assigned to."""
    return set(
        db.session.scalars(
            sa.select(ClientAssignment.team_member_id).where(ClientAssignment.client_id == client.id)
        )
    )


def assign(actor: TeamMember, client: Client, member_ids: Collection[str]) -> None:
    """Assign a client to exactly these members of the firm. Raises Missing for somebody of another firm."""
    wanted = set(member_ids)
    known = set(
        db.session.scalars(
            sa.select(TeamMember.id).where(TeamMember.firm_id == actor.firm_id, TeamMember.id.in_(wanted))
        )
    )
    if known != wanted:
        raise Missing
    there = assigned_to(client)
    db.session.execute(
        sa.delete(ClientAssignment).where(
            ClientAssignment.client_id == client.id, ClientAssignment.team_member_id.in_(there - wanted)
        )
    )
    db.session.add_all(
        ClientAssignment(client_id=client.id, team_member_id=member_id, created_at=utc_now())
        for member_id in sorted(wanted - there)
    )
    append_event(
        "client_assigned",
        firm_id=client.firm_id,
        workflow=WORKFLOW,
        actor=f"member:{actor.id}",
        client_id=client.id,
        members=sorted(wanted),
    )


def _put(member: TeamMember, place: Place) -> None:
    member.role, member.sees = place.role, place.sees
    member.permissions = [name for name in PERMISSIONS if name in place.permissions]


def _may_give(actor: TeamMember, place: Place) -> None:
    if actor.role is Role.ADMIN:
        return
    if place.role is Role.ADMIN:
        raise Refused("Only an administrator can make somebody an administrator.")
    beyond = [PERMISSIONS[name] for name in place.permissions if name in PERMISSIONS and not actor.may(name)]
    if beyond:
        raise Refused(f"You can't give what you may not do yourself: {beyond[0].lower()}.")


def _may_change(actor: TeamMember, member: TeamMember) -> None:
    if member.id == actor.id:
        raise Refused("You can't change your own place in the team. Ask another administrator.")
    if member.role is Role.ADMIN and actor.role is not Role.ADMIN:
        raise Refused("Only an administrator can change an administrator.")


def _keeps_an_admin(member: TeamMember) -> None:
    """Raises Refused where the firm would be without an active admin. The firm's row is locked against two at once."""
    db.session.execute(sa.select(Firm.id).where(Firm.id == member.firm_id).with_for_update(key_share=True))
    others = db.session.scalar(
        sa.select(sa.func.count()).where(
            TeamMember.firm_id == member.firm_id,
            TeamMember.role == Role.ADMIN,
            TeamMember.active.is_(True),
            TeamMember.id != member.id,
        )
    )
    if member.role is Role.ADMIN and not others:
        raise Refused("A firm needs an administrator. Make somebody else one first.")


def _note(name: str, actor: TeamMember, member: TeamMember) -> None:
    append_event(
        name,
        firm_id=member.firm_id,
        workflow=WORKFLOW,
        actor=f"member:{actor.id}",
        member_id=member.id,
        role=member.role.value,
        sees=member.sees.value,
        permissions=list(member.permissions),
    )
