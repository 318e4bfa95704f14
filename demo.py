"""The demo firm of the first start: enough to try everything, in every standing, without typing anything.

Made once, only where the installation is this machine's own (see `commands.serve`). History is written as rows with
their past dates; no mail is sent for it. All names are invented and all addresses end in `.example`, which nobody
can own (RFC 2606).
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask_security.utils import hash_password

from invites import accept
from invites.scope import FirmView
from later import later
from models import (
    AccessState,
    Client,
    ClientAssignment,
    Contact,
    Firm,
    FirmLicence,
    Invite,
    InviteState,
    Licence,
    Login,
    MailKind,
    MailState,
    MessageTemplate,
    Outbox,
    Role,
    Sees,
    SurveyTemplate,
    TeamMember,
    append_event,
    db,
    new_id,
    unit_of_work,
    utc_now,
)
from models.address import parse_address
from workflows import storage
from workflows.file_visibility import uploads

if TYPE_CHECKING:
    from workflows.esign_request import sample
else:
    sample = later("workflows.esign_request.sample")

PASSWORD = "northwind-demo"  # noqa: S105  # printed at the start, and only ever valid on one's own machine
FIRM = "Northwind Tax"
ZONE = "America/New_York"
TEAM = (
    ("Dana Reyes", "dana@northwind.example", Role.ADMIN, Sees.ALL),
    ("Sam Okafor", "sam@northwind.example", Role.STAFF, Sees.ALL),
    ("Mia Lindqvist", "mia@northwind.example", Role.STAFF, Sees.ASSIGNED),
)


@dataclass(frozen=True)
class Person:
    """A contact of the demo: `standing` says which history it gets, `days` how long ago."""

    name: str
    email: str | None = None
    standing: str = "no_invite"
    days: int = 3


# (client, is a person, external id, people; the first is the primary contact)
CLIENTS: Sequence[tuple[str, bool, Sequence[Person]]] = (
    ("Byron Family", True, (
        Person("Ada Byron", "ada@byron.example", "active", 40),
        Person("William King", "will@byron.example", "bounced", 4),
        Person("Annabella Milbanke"),
    )),
    ("Hopper Compilers Inc.", False, (
        Person("Grace Hopper", "grace@hopper.example", "invited", 3),
        Person("Howard Aiken", "howard@hopper.example", "declined", 12),
    )),
    ("John and Jane Turner", True, (
        Person("John Turner", "turners@household.example"),
        Person("Jane Turner", "turners@household.example"),
    )),
    ("Turing Estate", True, (Person("Sara Turing", "sara@turing.example", "expired", 42),)),
    ("Lamarr Design Studio", False, (
        Person("Hedy Lamarr", "hedy@lamarr.example", "mail_failed", 1),
        Person("George Antheil", "george@lamarr.example", "removed", 60),
    )),
    ("Babbage Engine Works", False, (
        Person("Charles Babbage", "charles@engine.example", "active_never", 9),
        Person("Georgiana Whitmore", "georgiana@engine.example", "revoked", 20),
    )),
    ("Noether Advisory", False, (
        Person("Emmy Noether", "emmy@noether.example", "suspended", 90),
        Person("Otto Fischer", "otto@noether.example", "access_ended", 120),
        Person("Fritz Noether"),
    )),
    ("Curie Laboratories", False, (
        Person("Marie Curie", "marie@curie.example"),
        Person("Irene Curie", "irene@curie.example"),
    )),
    ("Marie Curie", True, (Person("Marie Curie", "marie@curie.example"),)),
    ("Franklin Photography", False, (Person("Rosalind Franklin", "rosalind@franklin.example"),)),
    ("Johnson Trajectories", False, (Person("Katherine Johnson", "katherine@johnson.example"),)),
    ("Hamilton Guidance", False, (Person("Margaret Hamilton", "margaret@hamilton.example"),)),
)  # fmt: skip
ASSIGNED = ("Byron Family", "Turing Estate", "Franklin Photography", "John and Jane Turner")

QUESTIONS = (
    [
        {"key": "moved", "type": "yes_no", "label": "Did you move in 2026?", "required": True},
        {"key": "address", "type": "long_text", "label": "Your address on 31 December 2026", "required": True},
        {"key": "filing", "type": "single_choice", "label": "How will you file?", "required": True,
         "choices": ["Single", "Married, together", "Married, separately", "Head of household"]},
        {"key": "employer", "type": "short_text", "label": "Your employer", "required": False},
        {"key": "since", "type": "date", "label": "Employed there since", "required": False},
        {"key": "other", "type": "long_text", "label": "Anything else we should know", "required": False},
    ],
    [
        {"key": "legal_name", "type": "short_text", "label": "Legal name of the business", "required": True},
        {"key": "form", "type": "single_choice", "label": "Legal form", "required": True,
         "choices": ["Sole proprietor", "Partnership", "Corporation", "Non-profit"]},
        {"key": "year_end", "type": "date", "label": "End of the business year", "required": True},
        {"key": "payroll", "type": "yes_no", "label": "Do you run a payroll?", "required": True},
        {"key": "bookkeeping", "type": "long_text", "label": "Who keeps the books, and with what?", "required": False},
    ],
)  # fmt: skip


def make_demo() -> None:
    """Make the demo firm unless any firm exists. An edge: its own units of work."""
    if db.session.scalar(sa.select(sa.func.count()).select_from(Firm)):
        return
    password = hash_password(PASSWORD)
    with unit_of_work():
        firm, members = _firm(password)
        clients = [_client(firm, members[0], *entry) for entry in CLIENTS]
        welcome = _templates(firm)
        db.session.flush()
        for client, (_, _, people) in zip(clients, CLIENTS, strict=True):
            for contact, person in zip(list(client.contacts), people, strict=True):
                _history(client, contact, person, members[0], password, welcome)
        db.session.add_all(
            ClientAssignment(client_id=client.id, team_member_id=members[2].id)
            for client in clients
            if client.name in ASSIGNED
        )
        dana, byron, hopper = members[0], clients[0].id, clients[1].id
        dana_id = dana.id
    _files(dana_id, byron, hopper)


def _firm(password: str) -> tuple[Firm, list[TeamMember]]:
    firm = Firm(
        name=FIRM,
        phone="+1 555 0100",
        reply_to="office@northwind.example",
        time_zone=ZONE,
        is_demo=True,
    )
    db.session.add(firm)
    db.session.flush()
    db.session.add_all(FirmLicence(firm_id=firm.id, key=licence.value) for licence in Licence)
    members = []
    for name, email, role, sees in TEAM:
        member = TeamMember(firm=firm, login=_login(name, email, password), role=role, sees=sees)
        db.session.add(member)
        members.append(member)
    db.session.flush()
    return firm, members


def _login(name: str, email: str, password: str) -> Login:
    address = parse_address(email)
    known = db.session.scalars(sa.select(Login).where(Login.email == address.key)).one_or_none()
    if known is not None:
        return known
    login = Login(
        email=address.key,
        email_display=address.display,
        name=name,
        password=password,
        fs_uniquifier=secrets.token_hex(32),
        confirmed_at=utc_now(),
    )
    db.session.add(login)
    db.session.flush()
    return login


def _client(firm: Firm, member: TeamMember, name: str, is_person: bool, people: Sequence[Person]) -> Client:
    now = utc_now()
    client = Client(id=new_id(), firm_id=firm.id, name=name, is_person=is_person, created_by_id=member.id)
    for place, person in enumerate(people):
        client.contacts.append(
            Contact(
                firm_id=firm.id,
                name=person.name,
                email=person.email,
                email_display=person.email,
                is_primary=place == 0,
                created_at=now - timedelta(days=100) + timedelta(seconds=place),
            )
        )
    db.session.add(client)
    return client


_INVITES = {
    "active": InviteState.ACCEPTED,
    "active_never": InviteState.ACCEPTED,
    "suspended": InviteState.ACCEPTED,
    "removed": InviteState.ACCEPTED,
    "access_ended": InviteState.ACCEPTED,
    "bounced": InviteState.PENDING,
    "mail_failed": InviteState.PENDING,
    "expired": InviteState.PENDING,
    "invited": InviteState.PENDING,
    "declined": InviteState.DECLINED,
    "revoked": InviteState.REVOKED,
}
_MAILS = {
    "bounced": (MailState.BOUNCED, "550 5.1.1 No such mailbox"),
    "mail_failed": (MailState.FAILED, "The mail server refused the address: 550 5.7.1"),
}
_ACCESSES = {"removed": AccessState.REMOVED, "suspended": AccessState.SUSPENDED}


def _history(
    client: Client,
    contact: Contact,
    person: Person,
    member: TeamMember,
    password: str,
    welcome: MessageTemplate,
) -> None:
    """The rows that put one person into one standing."""
    state = _INVITES.get(person.standing)
    if state is None or contact.email is None:
        return
    asked = utc_now() - timedelta(days=person.days)
    invite = Invite(
        id=new_id(),
        firm_id=client.firm_id,
        client_id=client.id,
        contact_id=contact.id,
        email=contact.email,
        email_display=contact.email,
        name=contact.name,
        state=state,
        workflow="client-record",
        template_id=welcome.id if contact.is_primary else None,
        template_name=welcome.name if contact.is_primary else "",
        invited_by_id=member.id,
        created_at=asked,
        last_asked_at=asked,
        expires_at=asked + timedelta(days=30),
        sends=1,
        ended_at=None if state is InviteState.PENDING else asked + timedelta(hours=5),
    )
    db.session.add(invite)
    db.session.flush()
    mail_state, error = _MAILS.get(person.standing, (MailState.SENT, ""))
    db.session.add(
        Outbox(
            firm_id=client.firm_id,
            kind=MailKind.INVITE,
            to_email=contact.email,
            to_name=contact.name,
            invite_id=invite.id,
            generation=1,
            sender_id=member.id,
            state=mail_state,
            error=error,
            attempts=1,
            due_at=asked,
            created_at=asked,
            sent_at=None if mail_state is MailState.FAILED else asked,
            message_id=f"<{invite.id}@demo.example>",
        )
    )
    _event("invite_created", invite, asked, f"member:{member.id}")
    if state is InviteState.ACCEPTED:
        _joined(person, invite, password)
    elif state is not InviteState.PENDING:
        _event(f"invite_{state.value}", invite, asked + timedelta(hours=5), "system")


def _joined(person: Person, invite: Invite, password: str) -> None:
    """The person accepted back then, and what became of the access since."""
    login = _login(invite.name, invite.email, password)
    joined = invite.ended_at or utc_now()
    access = accept.let_in(invite, login, joined)
    access.state = _ACCESSES.get(person.standing, AccessState.ACTIVE)
    access.last_login_at = None if person.standing == "active_never" else joined + timedelta(days=2)
    _event("invite_accepted", invite, joined, f"login:{login.id}")
    if person.standing == "access_ended":
        last_day = (joined + timedelta(days=30)).astimezone(ZoneInfo(ZONE))
        access.ends_at = last_day.replace(hour=23, minute=59, second=59, microsecond=0)


def _event(name: str, invite: Invite, when: datetime, actor: str) -> None:
    """An event of the past: no fact is made of it."""
    event = append_event(
        name,
        firm_id=invite.firm_id,
        workflow=invite.workflow,
        actor=actor,
        client_id=invite.client_id,
        invite_id=invite.id,
    )
    event.created_at = event.dispatched_at = when


def _templates(firm: Firm) -> MessageTemplate:
    """Surveys and messages to begin with; the message that most invites of the demo began with."""
    welcome = MessageTemplate(
        id=new_id(),
        firm_id=firm.id,
        name="Welcome to the Client Portal",
        body="Hello {{ person.first_name }}, from now on you find everything from {{ firm.name }} in one place."
        " The link works until {{ invite.expires_on }}.",
    )
    db.session.add_all(
        [
            SurveyTemplate(
                firm_id=firm.id,
                title="Individual tax organizer 2026",
                introduction="These questions help us prepare your return. Ten minutes should do.",
                questions=QUESTIONS[0],
            ),
            SurveyTemplate(
                firm_id=firm.id,
                title="New business client",
                introduction="A few facts about your business, so that we can set up your file.",
                questions=QUESTIONS[1],
            ),
            MessageTemplate(
                firm_id=firm.id,
                name="Yearly organizer",
                body="Hello {{ person.first_name }}, here is this year's organizer. Ten minutes should do."
                "\n\n{{ sender.name }}",
            ),
            welcome,
        ]
    )
    return welcome


def _files(member_id: str, byron_id: str, hopper_id: str) -> None:
    """A return that Ada can open already, and engagement letters that are not visible yet."""
    for client_id, name, data, visible in (
        (byron_id, "2025 return.pdf", sample.tax_return_summary(FIRM, "Byron Family", 2025), True),
        (byron_id, "Engagement letter 2026.pdf", sample.engagement_letter(FIRM, "Byron Family", 2026), False),
        (
            hopper_id,
            "Engagement letter 2026.pdf",
            sample.engagement_letter(FIRM, "Hopper Compilers Inc.", 2026),
            False,
        ),
    ):
        with storage.received((io.BytesIO(data), name)) as received, unit_of_work():
            view = FirmView(db.session.get_one(TeamMember, member_id))
            item = uploads.upload(view, view.client(client_id), received)[0]
            if visible:  # as a row, not by sending: the demo mails nobody
                item.visible, item.sent_at = True, utc_now()
