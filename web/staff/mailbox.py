"""The built-in mailbox's page: what was mailed, while no mail server is set.

It is the one place where an invite's link may be seen by staff, so it answers only on this machine itself or to an
administrator, and not at all once a mail server is set. A mail's HTML is shown in a frame without scripts, forms or
cookies of ours; its links open in a new tab.
"""

from __future__ import annotations

import ipaddress

from flask import Blueprint, Response, render_template, request

import config
from mail import mailbox as kept
from models import Role
from models.errors import Missing, PermissionMissing
from web.access_rules import public_page
from web.staff.common import page
from web.who import current_member, is_signed_in, memberships

bp = Blueprint("staff_mailbox", __name__)

FRAME_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; form-action 'none';"
    " sandbox allow-popups allow-popups-to-escape-sandbox"
)

_REASON = "answers only on this machine itself, or to an administrator; checked in the view"


@bp.get("/mailbox")
@public_page(_REASON)
def mailbox() -> str:
    """The newest mails."""
    settings = _allowed()
    return _shown("staff/mailbox.html", mails=kept.list_mails(settings))


@bp.get("/mailbox/<mail_id>")
@public_page(_REASON)
def mail(mail_id: str) -> str:
    """One mail, as text and as HTML."""
    settings = _allowed()
    return _shown("staff/mailbox_mail.html", mail=kept.read_mail(settings, mail_id))


@bp.get("/mailbox/<mail_id>/html")
@public_page(_REASON)
def mail_html(mail_id: str) -> Response:
    """A mail's HTML for the frame: a document of its own, in a sandbox."""
    found = kept.read_mail(_allowed(), mail_id)
    # The links were written for a mail program; here they open in a tab of their own.
    html = found.html.replace("<head>", '<head><base target="_blank">', 1)
    answer = Response(html, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = FRAME_POLICY
    return answer


def _allowed() -> config.Settings:
    """The settings, where this request may see the mailbox. Raises Missing, PermissionMissing."""
    settings = config.current()
    if not settings.builtin_mailbox:
        raise Missing()
    if not settings.is_public and _from_this_machine():
        return settings
    if not is_signed_in() or not memberships():
        raise Missing()
    if current_member().role is not Role.ADMIN:
        raise PermissionMissing("Only an administrator sees the built-in mailbox from another machine.")
    return settings


def _from_this_machine() -> bool:
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def _shown(template: str, **context: object) -> str:
    """For staff a page of theirs; a client who tries the product on this machine gets it without the menu."""
    if is_signed_in() and memberships():
        return page(template, nav="mailbox", **context)
    return render_template(template, **context)
