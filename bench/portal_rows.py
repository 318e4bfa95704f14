"""Rows for the lists: clients with a contact, most invited, two thirds of those inside; half of them of one firm.

Each filter and search that is measured finds more than a page already at 10,000 invites: what is compared are two pages
of fifty lines, not a full page with a short one.
"""

from __future__ import annotations

import random
import sys
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from app import create_app
from models import (
    Client,
    Contact,
    Firm,
    Invite,
    Login,
    Outbox,
    PortalAccess,
    PortalUser,
    TeamMember,
    db,
    unit_of_work,
    utc_now,
)
from tests.support.world import make_world

FIRST = ["ada", "grace", "emmy", "hedy", "alan", "kurt", "rosa", "otto"]
LAST = ["byron", "hopper", "noether", "turing", "franklin", "meitner", "quinn", "stone"]


def fill(app: Any, many: int, *, invited: bool = True, owner: tuple[str, str] | None = None) -> str:
    """Rows for `many` invites (or people who are not invited yet); the id of the large firm's admin.

    `owner` is the large firm's id and its admin's; unset: a firm of its own.
    """
    if owner is None:
        world = make_world(app)
        owner = world.firm_id, world.admin_id
    chance = random.Random(5)
    now = utc_now()
    firms = []
    with app.app_context(), unit_of_work() as session:
        for number in range(200):
            firm = Firm(name=f"Firm {number}")
            login = Login(email=f"m{number}@f.example", email_display="m", fs_uniquifier=f"u{number}")
            session.add_all([firm, login])
            session.flush()
            member = TeamMember(firm=firm, login=login)
            session.add(member)
            session.flush()
            firms.append((firm.id, member.id))
    for start in range(0, many, 2000):
        rows: dict[Any, list[dict[str, Any]]] = {
            table: [] for table in (Client, Contact, Login, PortalUser, PortalAccess, Invite, Outbox)
        }
        for number in range(start, min(start + 2000, many)):
            firm_id, member_id = owner if number % 2 or not invited else firms[number // 2 % 200]
            add(rows, number, firm_id, member_id, chance, now, invited)
        with app.app_context(), unit_of_work() as session:
            for table, values in rows.items():
                if values:
                    session.execute(sa.insert(table), values)
    with app.app_context(), db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":  # as it does by itself a minute later
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")
    return owner[1]


def add(
    rows: Any, number: int, firm_id: str, member_id: str, chance: random.Random, now: Any, invited: bool
) -> None:
    """A client with one contact; most are invited, two thirds of those are inside."""
    key = f"{number:025}"
    first, last = chance.choice(FIRST), chance.choice(LAST)
    email = f"{first}.p{number}x@{last}.example"
    made = now - timedelta(minutes=number)
    kind = chance.random()
    shown = None if kind < 0.03 else email
    rows[Client].append(
        {"id": "c" + key, "firm_id": firm_id, "name": f"{last.title()} {number}", "name_key": f"{last} {number}",
         "is_person": False, "created_at": made}
    )  # fmt: skip
    rows[Contact].append(
        {"id": "k" + key, "firm_id": firm_id, "client_id": "c" + key, "name": f"{first} {last}", "is_primary": True,
         "name_key": f"{first} {last}", "email": shown, "email_display": shown, "created_at": made}
    )  # fmt: skip
    if shown is None or kind < 0.15 or not invited:
        return
    state = "accepted" if kind < 0.7 else "declined" if kind < 0.73 else "pending"
    rows[Invite].append(
        {"id": "i" + key, "firm_id": firm_id, "client_id": "c" + key, "contact_id": "k" + key, "email": email,
         "email_display": email, "name": f"{first} {last}", "state": state, "scope": "portal", "message": "",
         "workflow": "client-record", "invited_by_id": member_id, "created_at": made, "last_asked_at": now,
         "expires_at": now + timedelta(hours=chance.randrange(-2000, 700)), "expires_in_days": 30, "generation": 1,
         "sends": 1, "ended_reason": "", "extra": {}}
    )  # fmt: skip
    mail = "bounced" if state == "pending" and chance.random() < 0.12 else "sent"
    rows[Outbox].append(
        {"id": "o" + key, "firm_id": firm_id, "kind": "invite", "to_email": email, "invite_id": "i" + key,
         "generation": 1, "state": mail, "due_at": now, "created_at": made, "params": {}}
    )  # fmt: skip
    if state == "accepted":
        gone = chance.random() < 0.04
        rows[Login].append(
            {
                "id": "l" + key,
                "email": email,
                "email_display": email,
                "fs_uniquifier": key,
                "created_at": made,
            }
        )
        rows[PortalUser].append({"id": "u" + key, "login_id": "l" + key, "created_at": made})
        rows[PortalAccess].append(
            {"id": "a" + key, "firm_id": firm_id, "client_id": "c" + key, "portal_user_id": "u" + key,
             "contact_id": "k" + key, "email": email, "state": "removed" if gone else "active", "scope": "portal",
             "accepted_at": made, "changed_at": made, "last_login_at": made if chance.random() < 0.9 else None,
             "ends_at": now - timedelta(days=number % 300) if chance.random() < 0.04 else None}
        )  # fmt: skip


def main() -> None:
    """Fill the database that the settings name, for its first firm: `python -m bench.portal_rows 1000000`."""
    app = create_app()
    with app.app_context():
        member = db.session.scalars(sa.select(TeamMember).order_by(TeamMember.id)).unique().first()
        assert member is not None
        owner = member.firm_id, member.id
        db.session.rollback()
    fill(app, int(sys.argv[1]), owner=owner)


if __name__ == "__main__":
    main()
