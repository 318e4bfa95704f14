"""`Stop these reminders`: the page behind the link in each reminder. Looking changes nothing; the button stops them.

The link of any mail of the invite will do, older ones too: who wants no more mails is not sent looking for the newest.
"""

from __future__ import annotations

from flask import Blueprint, redirect
from werkzeug.wrappers import Response

from invites import accept, reminders
from invites.accept import Link
from models import InviteState, unit_of_work
from web.access_rules import public_page
from web.portal.invite_link import PREFIX, WHY, address, find, page, quiet

bp = Blueprint("portal_reminders", __name__, url_prefix=PREFIX)
quiet(bp)


@bp.get("/reminders")
@public_page(WHY, origin_checked=True)
def ask(token: str) -> tuple[str, int]:
    """Ask before they stop, or say that there are none any more."""
    return _page(token, find(token))


@bp.post("/reminders")
@public_page(WHY, origin_checked=True)
def stop(token: str) -> Response:
    """No more reminders of this invite."""
    find(token)
    with unit_of_work():
        link = accept.look_up(token)
        if link.invite is not None:
            reminders.stop(link.invite)
    return redirect(address(token, "portal_reminders.ask"), 303)


def _page(token: str, link: Link) -> tuple[str, int]:
    assert link.invite is not None  # noqa: S101 (find() raised otherwise)
    open_ = link.invite.state is InviteState.PENDING
    return page(
        "portal/invite_reminders.html", token, link.invite, reminds=open_ and link.invite.reminds, open=open_
    )
