"""The one place that knows whose rows are whose.

Every query for a firm's rows starts from a `FirmView`, which knows the firm and what the team member may see; every
query of the client's side starts from a `PortalView`. A foreign id is as a missing one: both raise `Missing`, so
that nobody learns by guessing ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from models import (
    Audience,
    Client,
    ClientAssignment,
    Contact,
    FirmLicence,
    Invite,
    ItemGrant,
    Job,
    Login,
    MessageTemplate,
    PortalAccess,
    PortalClient,
    PortalPerson,
    PortalUser,
    Scope,
    Sees,
    Signer,
    StoredFile,
    SurveyTemplate,
    TeamMember,
    WorkItem,
    db,
    utc_now,
)
from models.errors import LicenceMissing, Missing, PermissionMissing

Row = TypeVar("Row")

# Built once, since nearly every request asks it.
_ONE_CLIENT = sa.select(Client).where(
    Client.firm_id == sa.bindparam("firm_id"), Client.id == sa.bindparam("client_id")
)


def _one(statement: sa.Select[Row], parameters: Mapping[str, Any] | None = None) -> Row:
    row = db.session.scalars(statement, parameters).unique().one_or_none()
    if row is None:
        raise Missing
    return row


@dataclass(frozen=True)
class FirmView:
    """A team member's view on the firm's rows."""

    member: TeamMember

    @property
    def firm_id(self) -> str:
        """The firm whose rows these are."""
        return self.member.firm_id

    def _mine(self, statement: Any, client_id: Any) -> Any:
        """Narrow `statement` to clients this member may see."""
        if self.member.sees is Sees.ALL:
            return statement
        assigned = sa.select(ClientAssignment.client_id).where(
            ClientAssignment.team_member_id == self.member.id
        )
        return statement.where(client_id.in_(assigned))

    def clients(self) -> sa.Select[Client]:
        """The clients this member may see."""
        return self._mine(sa.select(Client).where(Client.firm_id == self.firm_id), Client.id)

    def client(self, client_id: str) -> Client:
        """One client. Raises Missing."""
        statement = self._mine(_ONE_CLIENT, Client.id)
        return _one(statement, {"firm_id": self.firm_id, "client_id": client_id})

    def contacts(self) -> sa.Select[Contact]:
        """The contacts of the clients this member may see."""
        return self._mine(sa.select(Contact).where(Contact.firm_id == self.firm_id), Contact.client_id)

    def contact(self, contact_id: str) -> Contact:
        """One contact. Raises Missing."""
        return _one(self.contacts().where(Contact.id == contact_id))

    def invites(self) -> sa.Select[Invite]:
        """The invites to the clients this member may see."""
        return self._mine(sa.select(Invite).where(Invite.firm_id == self.firm_id), Invite.client_id)

    def invite(self, invite_id: str) -> Invite:
        """One invite. Raises Missing."""
        return _one(self.invites().where(Invite.id == invite_id))

    def accesses(self) -> sa.Select[PortalAccess]:
        """Who has, or had, access to the clients this member may see."""
        return self._mine(
            sa.select(PortalAccess).where(PortalAccess.firm_id == self.firm_id), PortalAccess.client_id
        )

    def access(self, access_id: str) -> PortalAccess:
        """One access. Raises Missing."""
        return _one(self.accesses().where(PortalAccess.id == access_id))

    def portal_people(self) -> sa.Select[PortalPerson]:
        """The rows of Manage Client Portals: the people of the clients this member may see."""
        return self._mine(
            sa.select(PortalPerson).where(PortalPerson.firm_id == self.firm_id), PortalPerson.client_id
        )

    def portal_clients(self) -> sa.Select[PortalClient]:
        """The clients this member may see, as Manage Client Portals lists them."""
        return self._mine(
            sa.select(PortalClient).where(PortalClient.firm_id == self.firm_id), PortalClient.client_id
        )

    def job(self, job_id: str) -> Job:
        """A job this member asked for. Raises Missing."""
        return _one(sa.select(Job).where(Job.id == job_id, Job.member_id == self.member.id))

    def items(self, workflow: str | None = None) -> sa.Select[WorkItem]:
        """Work items of the clients this member may see, of one workflow or of all."""
        statement = self._mine(
            sa.select(WorkItem).where(WorkItem.firm_id == self.firm_id), WorkItem.client_id
        )
        return statement if workflow is None else statement.where(WorkItem.workflow == workflow)

    def item(self, item_id: str, workflow: str | None = None) -> WorkItem:
        """One work item. Raises Missing."""
        return _one(self.items(workflow).where(WorkItem.id == item_id))

    def files(self) -> sa.Select[StoredFile]:
        """Stored bytes of the clients this member may see."""
        return self._mine(
            sa.select(StoredFile).where(StoredFile.firm_id == self.firm_id), StoredFile.client_id
        )

    def file(self, file_id: str) -> StoredFile:
        """One stored file. Raises Missing."""
        return _one(self.files().where(StoredFile.id == file_id))

    def message_templates(self, workflow: str | None = None) -> sa.Select[MessageTemplate]:
        """The firm's message templates and the member's own; for one workflow also those for any."""
        mine = sa.or_(MessageTemplate.owner_id.is_(None), MessageTemplate.owner_id == self.member.id)
        statement = sa.select(MessageTemplate).where(MessageTemplate.firm_id == self.firm_id, mine)
        if workflow is not None:
            statement = statement.where(
                sa.or_(MessageTemplate.workflow.is_(None), MessageTemplate.workflow == workflow)
            )
        return statement.order_by(MessageTemplate.name)

    def survey_templates(self) -> sa.Select[SurveyTemplate]:
        """The firm's survey templates."""
        return (
            sa.select(SurveyTemplate)
            .where(SurveyTemplate.firm_id == self.firm_id)
            .order_by(SurveyTemplate.title)
        )

    def licences(self) -> set[str]:
        """The keys of the licences that the firm holds."""
        return set(db.session.scalars(sa.select(FirmLicence.key).where(FirmLicence.firm_id == self.firm_id)))

    def need_licence(self, key: str, what: str) -> None:
        """Raises LicenceMissing with a clear sentence unless the firm holds `key`."""
        if key and key not in self.licences():
            raise LicenceMissing(
                f"{what} are not in your firm's licence. An administrator can see licences under Settings."
                " Inviting people from the client record works all the same."
            )

    def need_permission(self, permission: str) -> None:
        """Raises PermissionMissing unless the member has it."""
        if not self.member.may(permission):
            raise PermissionMissing(
                f"You need the permission {permission!r} for this. Ask an administrator of your firm."
            )


@dataclass(frozen=True)
class PortalView:
    """A login's view on the client's side: all clients, of all firms, that let it in."""

    login: Login

    def accesses(self) -> sa.Select[PortalAccess]:
        """The active accesses of this login."""
        return (
            sa.select(PortalAccess)
            .join(PortalUser, PortalUser.id == PortalAccess.portal_user_id)
            .where(PortalUser.login_id == self.login.id, PortalAccess.is_active(utc_now()))
        )

    def items(self) -> sa.Select[WorkItem]:
        """The visible items this login may see, over all its clients, each once."""
        return sa.select(WorkItem).where(
            WorkItem.id.in_(self._visible(PortalUser.login_id == self.login.id)), WorkItem.visible.is_(True)
        )

    @staticmethod
    def _visible(whose: sa.ColumnElement[bool]) -> sa.Select[str]:
        return PortalView._reached(sa.and_(whose, PortalAccess.is_active(utc_now())))

    @staticmethod
    def _reached(whose: sa.ColumnElement[bool]) -> sa.Select[str]:
        return (
            sa.select(WorkItem.id)
            .join(PortalAccess, PortalAccess.client_id == WorkItem.client_id)
            .join(PortalUser, PortalUser.id == PortalAccess.portal_user_id)
            .where(whose, reaches())
        )

    def item(self, item_id: str, workflow: str | None = None) -> WorkItem:
        """One item. Raises Missing, also for those of other clients and those not granted."""
        statement = self.items().where(WorkItem.id == item_id)
        if workflow is not None:
            statement = statement.where(WorkItem.workflow == workflow)
        return _one(statement)

    def access_for(self, item: WorkItem) -> PortalAccess:
        """The access through which this login sees `item`. Raises Missing."""
        return _one(self.accesses().where(PortalAccess.client_id == item.client_id))


def reaches() -> sa.ColumnElement[bool]:
    """The item is visible to this access of its client, were it active: over `work_item` and `portal_access`."""
    granted = sa.exists().where(ItemGrant.item_id == WorkItem.id, ItemGrant.access_id == PortalAccess.id)
    whole = sa.and_(PortalAccess.scope == Scope.PORTAL, WorkItem.audience == Audience.PORTAL)
    # Who is to sign sees what is to be signed, however this person came in (invited later, from the record).
    signs = sa.exists().where(Signer.item_id == WorkItem.id, Signer.email == PortalAccess.email)
    return sa.and_(WorkItem.visible.is_(True), sa.or_(whole, granted, signs))


def seen_by(access: PortalAccess) -> sa.Select[str]:
    """The ids of the items that hang on this access: what it sees, or would see once it is restored."""
    return PortalView._reached(PortalAccess.id == access.id)


def can_see(access: PortalAccess, item: WorkItem) -> bool:
    """Whether this access sees this item now (one query; for lists use the views)."""
    statement = PortalView._visible(PortalAccess.id == access.id).where(WorkItem.id == item.id)
    return db.session.scalar(statement) is not None
