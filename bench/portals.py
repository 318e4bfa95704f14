"""Manage Client Portals with many rows: fills a database, then times each filter, order, next page and search.

    python bench/portals.py 10000 1000000 [--database URL --database URL] [--job]

For each size a fresh SQLite file (or the database named, which must be empty) is filled: half of the invites belong to
one firm, the rest to two hundred. What is timed is the request of a signed-in admin of the large firm, the whole page
included; printed are the median and the 99th percentile in milliseconds, and the ratio of the last size to the first.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1]))

import tasks
from app import create_app
from invites import bulk
from invites.bulk import Target
from invites.portals import PortalQuery
from invites.scope import FirmView
from models import (
    Client,
    Contact,
    Firm,
    Invite,
    JobAction,
    Login,
    Outbox,
    PortalAccess,
    PortalUser,
    TeamMember,
    db,
    unit_of_work,
    utc_now,
)
from tests.staff import Staff
from tests.support.world import make_world

FIRST = [
    "ada",
    "grace",
    "emmy",
    "hedy",
    "sara",
    "alan",
    "kurt",
    "rosa",
    "lise",
    "maria",
    "otto",
    "paul",
    "vera",
    "zoe",
    "iris",
    "noah",
    "liam",
]
LAST = [
    "byron",
    "hopper",
    "noether",
    "lamarr",
    "turing",
    "goedel",
    "franklin",
    "meitner",
    "curie",
    "hahn",
    "erdos",
    "rubin",
    "quinn",
    "stone",
    "wood",
]
PATHS = {
    "show all": "/portals",
    "by client": "/portals?sort=client",
    "invited": "/portals?show=invited",
    "invited, by expiry": "/portals?show=invited&sort=expires",
    "logged in": "/portals?show=logged-in",
    "expiring": "/portals?show=expiring",
    "expired": "/portals?show=expired",
    "bounced": "/portals?show=bounced",
    "declined": "/portals?show=declined",
    "removed": "/portals?show=removed",
    "no e-mail": "/portals?show=no-email",
    "without": "/portals?tab=without",
    "search, one letter": "/portals?q=a",
    "search, a name": "/portals?q=hop",
    "search, two words": "/portals?q=ada+quinn",
    "search, one person": "/portals?q=p77x",
    "search, rare filter": "/portals?show=bounced&q=a",
    "search, without": "/portals?tab=without&q=gr",
}


def fill(app: Any, many: int) -> str:
    """Rows for `many` invites; the id of the large firm's admin."""
    world = make_world(app)
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
            firm_id, member_id = (world.firm_id, world.admin_id) if number % 2 else firms[number // 2 % 200]
            add(rows, number, firm_id, member_id, chance, now)
        with app.app_context(), unit_of_work() as session:
            for table, values in rows.items():
                if values:
                    session.execute(sa.insert(table), values)
    with app.app_context(), db.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")
    return world.admin_id


def add(rows: Any, number: int, firm_id: str, member_id: str, chance: random.Random, now: Any) -> None:
    """A client with one contact; most are invited, two thirds of those are inside."""
    key = f"{number:025}"
    first, last = chance.choice(FIRST), chance.choice(LAST)
    email = f"{first}.p{number}x@{last}.example"
    made = now - timedelta(minutes=number)
    kind = chance.random()
    shown = None if kind < 0.005 else email
    rows[Client].append(
        {"id": "c" + key, "firm_id": firm_id, "name": f"{last.title()} {number}", "name_key": f"{last} {number}",
         "is_person": False, "created_at": made}
    )  # fmt: skip
    rows[Contact].append(
        {"id": "k" + key, "firm_id": firm_id, "client_id": "c" + key, "name": f"{first} {last}", "is_primary": True,
         "name_key": f"{first} {last}", "email": shown, "email_display": shown, "created_at": made}
    )  # fmt: skip
    if shown is None or kind < 0.02:
        return
    state = "accepted" if kind < 0.7 else "declined" if kind < 0.71 else "pending"
    rows[Invite].append(
        {"id": "i" + key, "firm_id": firm_id, "client_id": "c" + key, "contact_id": "k" + key, "email": email,
         "email_display": email, "name": f"{first} {last}", "state": state, "scope": "portal", "message": "",
         "workflow": "client-record", "invited_by_id": member_id, "created_at": made, "last_asked_at": now,
         "expires_at": now + timedelta(hours=chance.randrange(-2000, 700)), "expires_in_days": 30, "generation": 1,
         "sends": 1, "ended_reason": "", "extra": {}}
    )  # fmt: skip
    mail = "bounced" if state == "pending" and chance.random() < 0.005 else "sent"
    rows[Outbox].append(
        {"id": "o" + key, "firm_id": firm_id, "kind": "invite", "to_email": email, "invite_id": "i" + key,
         "generation": 1, "state": mail, "due_at": now, "created_at": made, "params": {}}
    )  # fmt: skip
    if state == "accepted":
        gone = chance.random() < 0.01
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
             "accepted_at": made, "changed_at": made, "last_login_at": made if chance.random() < 0.9 else None}
        )  # fmt: skip


def times(app: Any, rounds: int = 60) -> dict[str, tuple[float, float]]:
    """Median and p99 of each page, in milliseconds."""
    staff = Staff.of(app)
    found = {}
    for name, path in PATHS.items():
        for which, address in ((name, path), (f"{name}, next page", None)):
            if address is None:
                link = staff.open(path).tree.xpath("//a[@rel='next']/@href")
                if not link:
                    continue
                address = link[0]
            took = []
            for _ in range(rounds):
                began = time.perf_counter()
                answer = staff.client.get(address)
                took.append((time.perf_counter() - began) * 1000)
                if answer.status_code != 200:
                    raise RuntimeError(f"{address}: {answer.status_code}")
            took = sorted(took[2:])
            found[which] = (statistics.median(took), took[int(len(took) * 0.99) - 1])
    return found


def job(app: Any, member_id: str) -> None:
    """How long resending all open invites takes, from asking to the last row."""
    with app.app_context():
        began = time.perf_counter()
        with unit_of_work():
            view = FirmView(db.session.get_one(TeamMember, member_id))
            db.session.execute(sa.update(Invite).values(last_asked_at=utc_now() - timedelta(hours=1)))
            asked = bulk.start(view, JobAction.RESEND, Target(PortalQuery(show="invited")), {})
            total = asked.total
        started = time.perf_counter()
        tasks.run_jobs()
        took = time.perf_counter() - started
        print(f"{total:,} resends: asked for in {started - began:.2f} s, carried out in {took:.1f} s")


def main() -> None:
    """Fill, time, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("--database", action="append", default=[])
    parser.add_argument("--job", action="store_true", help="also carry out a job of resends")
    parser.add_argument("--rounds", type=int, default=60, help="how often each page is asked for")
    chosen = parser.parse_args()
    runs = []
    for place, size in enumerate(chosen.sizes):
        with tempfile.TemporaryDirectory() as folder:
            overrides = {"PORTAL_DATA_DIR": folder, "PORTAL_TESTING": "true", "RATE_LIMITS": "false"}
            if chosen.database:
                overrides["DATABASE_URL"] = chosen.database[place]
            app = create_app(overrides)
            with app.app_context():
                app.extensions["alembic"].upgrade()
            began = time.perf_counter()
            member_id = fill(app, size)
            print(f"{size:,} invites filled in {time.perf_counter() - began:.0f} s")
            runs.append(times(app, chosen.rounds))
            if chosen.job:
                job(app, member_id)
    for name, first in runs[0].items():
        last = runs[-1].get(name)
        if last:
            print(
                f"{name:32} p50 {first[0]:6.1f} -> {last[0]:6.1f} ms   p99 {first[1]:6.1f} -> {last[1]:6.1f} ms"
                f"   x {last[1] / first[1]:.2f}"
            )


if __name__ == "__main__":
    main()
