"""The mail that tells the inviter that an invite came back: who, why in plain words, and the way to mend it."""

from __future__ import annotations

import sqlalchemy as sa
import structlog

from mail import outbox, report_words
from mail.render import unlinked
from mail.reports import Failure, Kind
from models import ClientAssignment, Contact, Invite, MailKind, Outbox, Sees, TeamMember, db

log = structlog.get_logger(__name__)


def tell_inviter(invite: Invite, mail: Outbox, failure: Failure) -> Outbox | None:
    """Put the notice into the outbox, within the open unit of work; None where nobody is left to be told.

    It goes to who invited, else to who sent this very mail, if they still work there and still see the client.
    """
    member = _whom(invite, mail)
    if member is None:
        log.warning("nobody is left to be told of a bounced invite", invite_id=invite.id)
        return None
    who = invite.name or invite.email_display
    address = f" ({invite.email_display})" if invite.name else ""
    complaint = failure.kind is Kind.COMPLAINT
    paragraphs = [f"The invite to {who}{address} for {invite.client.name} did not arrive."]
    if complaint:
        paragraphs = [f"The invite to {who}{address} for {invite.client.name} was turned away."]
        paragraphs += [
            report_words.COMPLAINT,
            "They get no more reminders. Please ask them before you invite again.",
        ]
    else:
        paragraphs.append(report_words.plain_reason(failure.status, failure.said))
        said = report_words.quoted(failure.said)
        if said:
            # A stranger wrote these words: nothing in them may become a link in a mail under the firm's name.
            paragraphs.append(f"In the words of the mail server: {unlinked(said)}")
        paragraphs.append(
            "Reminders to this address have stopped. Change the address, and the invite goes out again."
        )
    return outbox.enqueue(
        MailKind.STAFF_NOTICE,
        to_email=member.login.email,
        to_name=member.login.name,
        firm_id=invite.firm_id,
        invite_id=invite.id,
        params={
            "subject": f"The mail to {who} came back",
            "paragraphs": paragraphs,
            "button": ["Change address", _person_path(invite)],
        },
    )


def _whom(invite: Invite, mail: Outbox) -> TeamMember | None:
    sender = db.session.get(TeamMember, mail.sender_id) if mail.sender_id else None
    for member in (invite.invited_by, sender):
        if member is not None and member.firm_id == invite.firm_id and _sees(member, invite.client_id):
            return member
    return None


def _sees(member: TeamMember, client_id: str) -> bool:
    if not member.active or not member.login.active:
        return False
    if member.sees is Sees.ALL:
        return True
    assigned = sa.exists().where(
        ClientAssignment.client_id == client_id, ClientAssignment.team_member_id == member.id
    )
    return bool(db.session.scalar(sa.select(assigned)))


def _person_path(invite: Invite) -> str:
    """The person's page on the client record: by the contact with this address, else by the invite."""
    contact_id = db.session.scalar(
        sa.select(Contact.id)
        .where(Contact.client_id == invite.client_id, Contact.email == invite.email)
        .order_by(Contact.is_primary.desc(), Contact.created_at, Contact.id)
        .limit(1)
    )
    return f"/clients/{invite.client_id}/people/{contact_id or invite.id}"
