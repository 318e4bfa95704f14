"""The table of standings in the product's words: each line, and which wins over which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from invites.standing import StandingKey, decide
from models import AccessState, Invite, InviteState, MailState, Outbox, PortalAccess

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ZONE = "America/New_York"


def access(state: AccessState = AccessState.ACTIVE, last: datetime | None = None) -> PortalAccess:
    return PortalAccess(state=state, last_login_at=last, email="ada@byron.example")


def invite(state: InviteState = InviteState.PENDING, days_ago: float = 3, lives: float = 30) -> Invite:
    asked = NOW - timedelta(days=days_ago)
    return Invite(
        state=state, created_at=asked, expires_at=asked + timedelta(days=lives), email="ada@byron.example"
    )


def mail(state: MailState) -> Outbox:
    return Outbox(state=state)


LAST = datetime(2026, 11, 13, 2, 0, tzinfo=UTC)  # still the 12th in New York

TABLE = [
    # (access, invite, mail) -> key, label, ticked, can be invited
    ((None, None, None), "no_invite", "No invite sent", True, True),
    (
        (access(last=LAST), invite(InviteState.ACCEPTED), None),
        "active",
        "Last login 12 Nov 2026",
        False,
        False,
    ),
    ((access(), invite(InviteState.ACCEPTED), None), "active", "Joined, not logged in since", False, False),
    ((access(AccessState.SUSPENDED, LAST), None, None), "suspended", "Suspended", False, False),
    ((None, invite(), mail(MailState.SENT)), "invited", "Invited 3 days ago, never logged in", True, True),
    ((None, invite(days_ago=1), None), "invited", "Invited yesterday, never logged in", True, True),
    ((None, invite(days_ago=0.1), None), "invited", "Invited today, never logged in", True, True),
    ((None, invite(days_ago=40), mail(MailState.SENT)), "expired", "Invite expired", True, True),
    ((None, invite(), mail(MailState.BOUNCED)), "bounced", "Mail bounced", False, True),
    ((None, invite(days_ago=40), mail(MailState.BOUNCED)), "bounced", "Mail bounced", False, True),
    ((None, invite(), mail(MailState.FAILED)), "mail_failed", "Mail not sent", True, True),
    ((None, invite(InviteState.DECLINED), None), "declined", "Declined", False, True),
    ((None, invite(InviteState.REVOKED), None), "revoked", "Invite revoked", False, True),
    (
        (access(AccessState.REMOVED), invite(InviteState.ACCEPTED), None),
        "removed",
        "Access removed",
        False,
        True,
    ),
    # removed, then invited again: the open invite is what counts
    (
        (access(AccessState.REMOVED), invite(), None),
        "invited",
        "Invited 3 days ago, never logged in",
        True,
        True,
    ),
    # removed, invited again, declined
    ((access(AccessState.REMOVED), invite(InviteState.DECLINED), None), "declined", "Declined", False, True),
    # removed, invited again, revoked: still removed
    (
        (access(AccessState.REMOVED), invite(InviteState.REVOKED), None),
        "removed",
        "Access removed",
        False,
        True,
    ),
    # an old bounce says nothing once the person is in
    (
        (access(last=LAST), invite(), mail(MailState.BOUNCED)),
        "active",
        "Last login 12 Nov 2026",
        False,
        False,
    ),
]


@pytest.mark.parametrize(("rows", "key", "label", "ticked", "can_invite"), TABLE)
def test_each_line_of_the_table(rows: Any, key: str, label: str, ticked: bool, can_invite: bool) -> None:
    access_row, invite_row, mail_row = rows
    standing = decide("ada@byron.example", access_row, invite_row, mail_row, NOW, ZONE)
    assert (standing.key, standing.label, standing.ticked, standing.can_invite) == (
        key,
        label,
        ticked,
        can_invite,
    )


def test_without_an_address_nobody_can_be_invited() -> None:
    standing = decide(None, None, None, None, NOW, ZONE)
    assert (standing.key, standing.label, standing.can_invite) == (StandingKey.NO_EMAIL, "No e-mail", False)


def test_every_standing_has_a_line() -> None:
    reached = {key for _, key, *_ in TABLE} | {"no_email"}
    assert reached == {key.value for key in StandingKey}
