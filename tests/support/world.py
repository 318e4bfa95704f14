"""A small world for tests: firms, team members, clients and people, as rows made without the product's own doors."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask

from models import (
    AccessState,
    ApiToken,
    Client,
    Contact,
    Firm,
    FirmLicence,
    Licence,
    Login,
    Outbox,
    PortalAccess,
    PortalUser,
    Role,
    Scope,
    Sees,
    TeamMember,
    db,
    unit_of_work,
    utc_now,
)
from models.address import parse_address
from models.api_token import hash_of_token

PASSWORD = "correct horse battery"


@cache
def hashed(password: str = PASSWORD) -> str:
    """A real argon2 hash, made once and as cheap as the library allows."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)


@dataclass(frozen=True)
class World:
    """One firm with an admin, a member who sees all, and one who sees assigned clients only: ids."""

    app: Flask
    firm_id: str
    admin_id: str
    staff_id: str
    assigned_id: str

    @property
    def member(self) -> TeamMember:
        """The admin's row (needs an application context)."""
        return db.session.get_one(TeamMember, self.admin_id)


def make_world(
    app: Flask, firm: str = "Northwind Tax", domain: str = "northwind.example", **columns: object
) -> World:
    """A firm with its team; the logins are dana, sam and mia at `domain`, all with PASSWORD."""
    with app.app_context():
        with unit_of_work() as session:
            row = Firm(name=firm, phone="+1 555 0100", **columns)
            session.add(row)
            session.flush()
            session.add_all(FirmLicence(firm_id=row.id, key=licence.value) for licence in Licence)
            ids = []
            for name, role, sees in (
                ("Dana Reyes", Role.ADMIN, Sees.ALL),
                ("Sam Okafor", Role.STAFF, Sees.ALL),
                ("Mia Lindqvist", Role.STAFF, Sees.ASSIGNED),
            ):
                login = make_login(f"{name.split()[0].lower()}@{domain}", name)
                member = TeamMember(firm=row, login=login, role=role, sees=sees)
                session.add(member)
                session.flush()
                ids.append(member.id)
            firm_id = row.id
        db.session.rollback()
    return World(app, firm_id, *ids)


def make_login(email: str, name: str = "", password: str = PASSWORD) -> Login:
    """A login row, within the open unit of work."""
    address = parse_address(email)
    login = Login(
        email=address.key,
        email_display=address.display,
        name=name,
        password=hashed(password),
        fs_uniquifier=secrets.token_hex(32),
        confirmed_at=utc_now(),
    )
    db.session.add(login)
    db.session.flush()
    return login


def make_client(
    world: World, name: str = "Byron Family", *people: tuple[str, str | None], **columns: object
) -> str:
    """A client with contacts (name, address); the first is the primary contact. Returns its id."""
    with world.app.app_context():
        with unit_of_work() as session:
            client = Client(firm_id=world.firm_id, name=name, **columns)
            for place, (person, email) in enumerate(people):
                address = parse_address(email) if email else None
                client.contacts.append(
                    Contact(
                        firm_id=world.firm_id,
                        name=person,
                        email=address.key if address else None,
                        email_display=address.display if address else None,
                        is_primary=place == 0,
                    )
                )
            session.add(client)
            session.flush()
            client_id = client.id
        return client_id


def give_access(
    world: World,
    client_id: str,
    email: str,
    name: str = "Ada Byron",
    *,
    scope: Scope = Scope.PORTAL,
    state: AccessState = AccessState.ACTIVE,
    last_login_at: datetime | None = None,
) -> str:
    """A person who has joined already (login with PASSWORD). Returns the access id."""
    with world.app.app_context():
        with unit_of_work() as session:
            address = parse_address(email)
            login = session.scalars(sa.select(Login).where(Login.email == address.key)).one_or_none()
            login = login or make_login(email, name)
            user = (
                session.scalars(sa.select(PortalUser).where(PortalUser.login_id == login.id))
                .unique()
                .one_or_none()
            )
            if user is None:
                user = PortalUser(login_id=login.id)
                session.add(user)
                session.flush()
            contact = session.scalars(
                sa.select(Contact).where(Contact.client_id == client_id, Contact.email == address.key)
            ).first()
            access = PortalAccess(
                firm_id=world.firm_id,
                client_id=client_id,
                portal_user_id=user.id,
                email=address.key,
                scope=scope,
                state=state,
                last_login_at=last_login_at,
                contact_id=contact.id if contact else None,
            )
            session.add(access)
            session.flush()
            access_id = access.id
        return access_id


def mails(app: Flask) -> list[tuple[str, str, str]]:
    """(address, kind, state) of every mail in the outbox, oldest first."""
    with app.app_context():
        rows = db.session.execute(
            sa.select(Outbox.to_email, Outbox.kind, Outbox.state).order_by(Outbox.created_at, Outbox.id)
        )
        return [(email, kind.value, state.value) for email, kind, state in rows]


def token_for(world: World, member_id: str, token: str) -> str:
    """An API token of that member; the token itself."""
    with world.app.app_context(), unit_of_work() as session:
        session.add(ApiToken(team_member_id=member_id, name="test", token_hash=hash_of_token(token)))
    return token
