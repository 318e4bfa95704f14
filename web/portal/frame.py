"""What stands around each page of the client's side: whose places these are, which one is shown, how much is to do.

A person may be at several clients of several firms. `?client=` narrows a page to one of them; every link of the page
keeps the choice. A client that isn't theirs is as a missing one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from flask import g, request

import languages
from invites.eyes import WholePortal
from invites.scope import PortalView
from invites.spoken import language_of
from models import Client, Firm, Login, PortalAccess, WorkItem, db
from models.errors import Missing
from web.language import here, speak, spoken
from web.portal.to_do import to_do
from web.who import current_login, memberships


@dataclass(frozen=True)
class Place:
    """One client that lets this person in."""

    access_id: str
    client: Client
    firm: Firm
    ends_at: datetime | None = None  # when this access ends, where it ends


@dataclass(frozen=True)
class Looking:
    """Staff look at the client's side: through whose eyes, what the bar on top says, and the way back."""

    eyes: PortalView
    sentence: str
    back_url: str


@dataclass(frozen=True)
class Frame:
    """The person's places, and the one chosen on this page (None: all of them)."""

    person: PortalView
    places: tuple[Place, ...]
    chosen: Place | None

    @property
    def login(self) -> Login:
        """Whose page this is."""
        return self.person.login

    @property
    def access_ids(self) -> list[str]:
        """The accesses through which this person sees what is shown."""
        return [place.access_id for place in ([self.chosen] if self.chosen else self.places)]

    def items(self) -> sa.Select[WorkItem]:
        """The visible items of what is chosen."""
        statement = self.person.items()
        return statement.where(WorkItem.client_id == self.chosen.client.id) if self.chosen else statement

    def to_do(self) -> sa.Select[WorkItem]:
        """Items that wait for this very person: who has signed already has nothing left to do."""
        return to_do(self.items(), self.login, {place.firm.id: place.firm for place in self.places}.values())

    def label(self, item: WorkItem) -> str:
        """Which client an item belongs to, where this person has several; empty where it goes without saying."""
        if len(self.places) < 2:
            return ""
        place = next((place for place in self.places if place.client.id == item.client_id), None)
        if place is None:
            return ""
        several_firms = len({place.firm.id for place in self.places}) > 1
        return f"{place.client.name}, {place.firm.name}" if several_firms else place.client.name

    def endings(self) -> list[str]:
        """Until when this person has access to what is shown, a sentence for each place whose access ends."""
        found = []
        for place in [self.chosen] if self.chosen else self.places:
            if place.ends_at is None:
                continue
            local = place.ends_at.astimezone(languages.zone_of(place.firm.time_zone))
            day = languages.day(local.date(), spoken())
            if len(self.places) == 1:
                found.append(here("Your access ends on %(day)s.", day=day))
            else:
                found.append(
                    here("Your access to %(client)s ends on %(day)s.", client=place.client.name, day=day)
                )
        return found

    @property
    def language(self) -> str:
        """That of the firm shown; where firms of several languages are, the one of who let this person in last."""
        spoken_here = {place.firm.language for place in ([self.chosen] if self.chosen else self.places)}
        return spoken_here.pop() if len(spoken_here) == 1 else language_of(self.login)

    def context(self, **more: Any) -> dict[str, Any]:
        """What templates/portal/_layout.html needs, and `more`."""
        staff = looking()
        shown = self.chosen or (self.places[0] if len(self.places) == 1 else None)
        firms = {place.firm.id: place.firm for place in self.places}
        firm = shown.firm if shown else next(iter(firms.values())) if len(firms) == 1 else None
        g.time_zone = self.login.time_zone or (firm.time_zone if firm else None) or _first_zone(self.places)
        return {
            "firm": firm,
            "client": shown.client if shown else None,
            "switches": self._switches(),
            "portal_query": f"?{urlencode({'client': self.chosen.client.id})}" if self.chosen else "",
            "login_name": self.login.name or self.login.email_display,
            "todo_count": db.session.scalar(
                sa.select(sa.func.count()).select_from(self.to_do().with_only_columns(WorkItem.id).subquery())
            ),
            "is_team_member": bool(memberships()),
            "several": len(self.places) > 1,
            "frame": self,
            "staff_view": staff.sentence if staff else "",
            "staff_back": staff.back_url if staff else "",
            **more,
        }

    def _switches(self) -> list[dict[str, Any]]:
        if len(self.places) < 2:
            return []
        path = request.path if request.path in _LISTS else "/portal/"
        everything = {
            "name": here("All clients"),
            "firm_name": "",
            "url": path,
            "current": self.chosen is None,
        }
        return [everything] + [
            {
                "name": place.client.name,
                "firm_name": place.firm.name,
                "url": f"{path}?{urlencode({'client': place.client.id})}",
                "current": place == self.chosen,
            }
            for place in self.places
        ]


_LISTS = frozenset({"/portal/", "/portal/todo", "/portal/files"})


def looking() -> Looking | None:
    """How staff look at this page; None where it is the person's own."""
    found: Looking | None = g.get("portal_looking")
    return found


def viewer() -> PortalView:
    """Whose rows this page shows: the login's that is signed in, or the person's whose eyes staff look through."""
    staff = looking()
    return staff.eyes if staff is not None else PortalView(current_login())


def frame(item: WorkItem | None = None) -> Frame:
    """The frame of this request; on an item's page its client is the one shown. Raises Missing for a foreign client."""
    person = viewer()
    if isinstance(person, WholePortal):
        firm = db.session.get_one(Firm, person.client.firm_id)
        places: tuple[Place, ...] = (Place("", person.client, firm),)
        return _spoken(Frame(person, places, _chosen(places, item)))
    ids = person.accesses().with_only_columns(PortalAccess.id)
    rows = db.session.execute(
        sa.select(PortalAccess.id, Client, Firm, PortalAccess.ends_at)
        .select_from(PortalAccess)
        .join(Client, Client.id == PortalAccess.client_id)
        .join(Firm, Firm.id == PortalAccess.firm_id)
        .where(PortalAccess.id.in_(ids))
        .order_by(Firm.name, Client.name_key, Client.id)
    )
    places = tuple(Place(*row) for row in rows)
    return _spoken(Frame(person, places, _chosen(places, item)))


def _spoken(shown: Frame) -> Frame:
    """From now on this request speaks the language of what is shown."""
    speak(shown.language)
    return shown


def _chosen(places: tuple[Place, ...], item: WorkItem | None) -> Place | None:
    wanted = item.client_id if item is not None else request.args.get("client") or None
    chosen = next((place for place in places if place.client.id == wanted), None)
    if wanted is not None and chosen is None:
        raise Missing
    return chosen


def _first_zone(places: tuple[Place, ...]) -> str:
    return str(places[0].firm.time_zone) if places else "UTC"
