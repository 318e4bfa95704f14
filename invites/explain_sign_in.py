"""Why can't they sign in? The same chain of yes and no as in `explain.py`, for a login: pure.

The caller looks up the counters of wrong passwords.
"""

from __future__ import annotations

from datetime import datetime

from invites.explain import Explanation, Fix, Step
from invites.standing import day
from models import Invite, InviteState, Login, PortalAccess


def sign_in_chain(
    known_as: str,
    login: Login | None,
    access: PortalAccess | None,
    locked_minutes: int,
    zone: str,
    now: datetime,
    invite: Invite | None = None,
    bounced: bool = False,
) -> Explanation:
    """The chain for signing in: pure.

    `known_as` is the address on the record as people see it, `locked_minutes` how long wrong passwords keep it locked
    still (0: it isn't); `bounced`: the invite's mail came back.
    """
    if login is None or access is None:
        return Explanation((_no_login(invite, bounced, now),))
    return Explanation(
        (
            Step("has_login", True, f"Has a login since {day(login.created_at, zone)}."),
            _address(known_as, login),
            _lock(locked_minutes),
            _switched_on(login),
            _password(login),
            _may_enter(access, now, zone),
        )
    )


def _no_login(invite: Invite | None, bounced: bool, now: datetime) -> Step:
    text, fix = "There is no login yet: it is made when the invite is accepted.", Fix.RESEND
    if invite is None or invite.state is not InviteState.PENDING:
        fix = Fix.INVITE
    elif bounced:
        text, fix = (
            "There is no login yet: the invite's mail came back from this address.",
            Fix.CHANGE_ADDRESS,
        )
    elif invite.access_is_over(now):
        text, fix = "There is no login yet, and the access that was offered has ended.", Fix.CHANGE_DATE
    return Step("has_login", False, text, fix)


def _address(known_as: str, login: Login) -> Step:
    signs = f"Signs in as {login.email_display}"
    if not known_as or known_as.casefold() in {login.email, login.email_display.casefold()}:
        return Step(
            "address", True, f"{signs}. Any other address is refused with the words of a wrong password."
        )
    text = f"{signs}, not as {known_as}. The sign-in mail goes to the right address and names it."
    return Step("address", False, text, Fix.SEND_SIGN_IN)


def _lock(minutes: int) -> Step:
    if not minutes:
        return Step("not_locked", True, "Not locked by wrong passwords.")
    still = "one more minute" if minutes == 1 else f"{minutes} more minutes"
    return Step("not_locked", False, f"Locked after too many wrong passwords, for {still}.", Fix.UNLOCK)


def _switched_on(login: Login) -> Step:
    if login.active:
        return Step("login_active", True, "The login is switched on.")
    return Step("login_active", False, "The login was switched off. Only the operator can switch it on.")


def _password(login: Login) -> Step:
    if not login.password:
        return Step("has_password", False, "Has no password yet.", Fix.SEND_SIGN_IN)
    forgot = "Who forgot it presses \u201cForgot your password?\u201d on the sign-in page."
    return Step("has_password", True, f"Has a password. {forgot}")


def _may_enter(access: PortalAccess, now: datetime, zone: str) -> Step:
    if access.is_active(now):
        return Step("access_active", True, "Access to this client is active.")
    if access.ends_at is not None and access.has_ended(now):
        ended = day(access.ends_at, zone)
        return Step("access_active", False, f"Access to this client ended on {ended}.", Fix.RESTORE)
    return Step("access_active", False, f"Access to this client is {access.state.value}.", Fix.RESTORE)
