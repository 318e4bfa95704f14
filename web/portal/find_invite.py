"""`I was invited but can't find the mail`: the same answer for everyone, and mail only ever to the typed address.

Nobody learns here who was invited: the words, the status and the time are the same whether anything was sent or not.
So each request does its work inside one unit of work, and is answered no sooner than after a fixed time.
"""

from __future__ import annotations

import time

from flask import Blueprint, render_template, request

from invites.lost_mail import send_again
from models import unit_of_work
from models.address import parse_address
from models.errors import Invalid
from web.access_rules import public_page
from web.language import speak_as_browser
from web.limits import hit
from web.portal.forms import AddressForm, read
from web.portal.invite_link import what_of

bp = Blueprint("portal_find", __name__, url_prefix="/portal/find-invite")

LEAST_SECONDS = 0.5  # what asking takes at least, whether there is an invite or not


@bp.get("")
@public_page("who lost the mail has no login yet")
def ask() -> str:
    """The form."""
    speak_as_browser()
    return render_template("portal/find_invite.html", errors={}, typed="", sent_to="")


@bp.post("")
@public_page("who lost the mail has no login yet")
def send() -> str | tuple[str, int]:
    """Send what waits for this address again. The answer is the same for every address."""
    started = time.monotonic()
    speak_as_browser()
    try:
        typed = read(AddressForm(), request.form)["email"]
    except Invalid as error:
        shown = request.form.get("email", "")
        return render_template("portal/find_invite.html", errors=error.fields, typed=shown, sent_to=""), 422
    hit("find_invite_source")
    key = parse_address(typed).key
    hit("find_invite", key)
    with unit_of_work():
        send_again(key, what_of)
    time.sleep(max(0.0, LEAST_SECONDS - (time.monotonic() - started)))
    return render_template("portal/find_invite.html", errors={}, typed="", sent_to=typed)
