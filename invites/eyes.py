"""The client's side through somebody's eyes, for staff who look at it.

Never more than this client: a person may be a client of other firms, too, whose work is no business of these staff. The
rows are chosen by the same conditions as for the person, so staff see what the person sees and not what we think of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from invites.scope import PortalView
from models import Audience, Client, Login, PortalAccess, WorkItem


@dataclass(frozen=True)
class PersonsEyes(PortalView):
    """What one person sees of one client."""

    access: PortalAccess

    @classmethod
    def of(cls, access: PortalAccess) -> PersonsEyes:
        """The eyes of the person behind an access."""
        return cls(access.portal_user.login, access)

    def accesses(self) -> sa.Select[PortalAccess]:
        """This access alone, while it is active."""
        return super().accesses().where(PortalAccess.id == self.access.id)

    def items(self) -> sa.Select[WorkItem]:
        """The visible items of this client that the person may see."""
        seen = self._visible(PortalAccess.id == self.access.id)
        return sa.select(WorkItem).where(WorkItem.id.in_(seen), WorkItem.visible.is_(True))


@dataclass(frozen=True)
class WholePortal(PortalView):
    """What everybody with the whole portal of a client sees; nobody's own, so without what is for chosen people."""

    client: Client

    @classmethod
    def of(cls, client: Client) -> WholePortal:
        """The whole portal of a client; the login is nobody's and never kept."""
        return cls(Login(id="", email="", email_display="", name="", active=False), client)

    def accesses(self) -> sa.Select[PortalAccess]:
        """None: nobody is looking."""
        return sa.select(PortalAccess).where(sa.false())

    def items(self) -> sa.Select[WorkItem]:
        """What was made visible to the client's whole portal."""
        return sa.select(WorkItem).where(
            WorkItem.client_id == self.client.id,
            WorkItem.visible.is_(True),
            WorkItem.audience == Audience.PORTAL,
        )
