"""Tables and their legal values. Importing this package makes every table known to the metadata."""

from models.answer import Answer
from models.api_token import ApiToken, IdempotentCall
from models.base import Base, new_id, utc_now
from models.client import Client, ClientAssignment, Contact, TickedLastTime
from models.database import after_commit, db, unit_of_work
from models.event import Event, append_event, append_events
from models.firm import Firm, FirmLicence, FirmLogo, Licence
from models.invite import AcceptCode, Invite, InviteItem, InviteState, InviteToken
from models.job import Job, JobAction, JobItem, JobState, RowOutcome
from models.login import Login, Role, Sees, TeamMember
from models.login_session import LoginSession
from models.outbox import MailKind, MailState, Outbox
from models.portal import AccessState, ItemGrant, PortalAccess, PortalUser, Scope
from models.portal_list import Part, PortalClient, PortalPerson, PortalTally, SearchWord, Stage
from models.rate_limit import RateLimit
from models.rows import insert_rows
from models.signer import Signer, SignerState
from models.stored_file import StoredFile
from models.switch import Switch
from models.template import MessageTemplate, SurveyTemplate
from models.work_item import Audience, ItemView, WorkItem

__all__ = [
    "AcceptCode",
    "AccessState",
    "Answer",
    "ApiToken",
    "Audience",
    "Base",
    "Client",
    "ClientAssignment",
    "Contact",
    "Event",
    "Firm",
    "FirmLicence",
    "FirmLogo",
    "IdempotentCall",
    "Invite",
    "InviteItem",
    "InviteState",
    "InviteToken",
    "ItemGrant",
    "ItemView",
    "Job",
    "JobAction",
    "JobItem",
    "JobState",
    "Licence",
    "Login",
    "LoginSession",
    "MailKind",
    "MailState",
    "MessageTemplate",
    "Outbox",
    "Part",
    "PortalAccess",
    "PortalClient",
    "PortalPerson",
    "PortalTally",
    "PortalUser",
    "RateLimit",
    "Role",
    "RowOutcome",
    "Scope",
    "SearchWord",
    "Sees",
    "Signer",
    "SignerState",
    "Stage",
    "StoredFile",
    "SurveyTemplate",
    "Switch",
    "TeamMember",
    "TickedLastTime",
    "WorkItem",
    "after_commit",
    "append_event",
    "append_events",
    "db",
    "insert_rows",
    "new_id",
    "unit_of_work",
    "utc_now",
]
