"""One person of a client: how they stand, why, and what can be done about it.

What ends something asks first, on a page that a script shows as a dialog, and says what hangs on the person. Everything
else is one button. `Invite again` is the Client Portal window with this one person ticked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, flash, redirect, url_for
from werkzeug.wrappers import Response

from invites import access as accesses
from invites import lifecycle, reminders
from invites.standing import Standing, StandingKey
from invites.timeline import timeline
from mail import outbox
from models import Invite, InviteState, PortalAccess, TeamMember, unit_of_work, utc_now
from models.errors import Missing
from web.access_rules import staff_page
from web.staff.actions import Action
from web.staff.activity import story_lines
from web.staff.common import firm_view, page
from web.staff.record import INVITED
from web.staff.rows import PersonLine, people_lines
from web.staff.way_back import came_from, carried
from workflows.registry import installed

bp = Blueprint("staff_people", __name__)


@dataclass(frozen=True)
class Ending:
    """What ends something, and how it asks."""

    button: str
    title: str
    text: str
    run: Callable[[PortalAccess, TeamMember], PortalAccess]
    done: str


ENDINGS = {
    "remove": Ending(
        "Remove access",
        "Remove access of {who}?",
        "{who} can no longer open the Client Portal of {client}, from this moment on. Other clients are not touched,"
        " and you can restore the access later.",
        accesses.remove,
        "{who} has no access to {client} any more.",
    ),
    "suspend": Ending(
        "Suspend",
        "Suspend access of {who}?",
        "{who} can't open the Client Portal of {client} until you restore the access. Other clients are not touched.",
        accesses.suspend,
        "The access of {who} to {client} is suspended.",
    ),
}


@bp.get("/clients/<client_id>/people/<key>")
@staff_page
def person(client_id: str, key: str) -> str:
    """One person's standing and what can be done."""
    view = firm_view()
    client = view.client(client_id)
    line = next((one for one in people_lines(view, client) if one.is_called(key)), None)
    if line is None:
        raise Missing()
    standing = line.standing
    mail = outbox.delivery_text(standing.mail, outbox.relay_pause()) if standing.mail else ""
    waiting = accesses.open_work(standing.access) if standing.access else []
    return page(
        "staff/person.html",
        client=client,
        line=line,
        standing=standing,
        mail=mail,
        waiting=waiting,
        actions=[replace(action, url=carried(action.url)) for action in _actions(line, client_id)],
        back=came_from(url_for("staff_record.record", client_id=client_id)),
        note=_note(line),
        until_url=carried(_until_url(line.standing)) if _until_url(line.standing) else "",
        story=story_lines(timeline(client, line.address, standing.access)),
    )


@bp.post("/invites/<invite_id>/resend")
@staff_page
def resend(invite_id: str) -> Response:
    """Mail a fresh link."""
    view = firm_view()
    with unit_of_work():
        invite = view.invite(invite_id)
        lifecycle.resend(invite, view.member, _what(invite))
        client_id, who = invite.client_id, invite.name or invite.email_display
    flash(f"{who} gets a fresh link. Older links say that a newer mail was sent.", "success")
    return _to_record(client_id)


@bp.post("/invites/<invite_id>/reminders/<any(on, off):on>")
@staff_page
def switch_reminders(invite_id: str, on: str) -> Response:
    """Whether this invite is followed by reminders."""
    view = firm_view()
    with unit_of_work():
        invite = reminders.switch(view.invite(invite_id), view.member, on=on == "on")
        client_id, who = invite.client_id, invite.name or invite.email_display
    flash(f"Reminders to {who} are switched {on}.", "success")
    return _to_record(client_id)


@bp.get("/invites/<invite_id>/revoke")
@staff_page
def ask_revoke(invite_id: str) -> str:
    """Ask before an invite is revoked."""
    invite = firm_view().invite(invite_id)
    who = invite.name or invite.email_display
    titles = [item.title for item in lifecycle.items_of(invite)]
    return page(
        "staff/confirm.html",
        title=f"Revoke the invite to {who}?",
        text=f"Every link in the mails to {invite.email_display} stops working now. Mails that wait are not sent."
        " You can invite again at any time.",
        points=[f"Waiting for {who}: {title}" for title in titles],
        action=carried(url_for("staff_people.revoke", invite_id=invite_id)),
        button="Revoke invite",
        cancel_url=came_from(url_for("staff_record.record", client_id=invite.client_id)),
    )


@bp.post("/invites/<invite_id>/revoke")
@staff_page
def revoke(invite_id: str) -> Response:
    """End a pending invite."""
    view = firm_view()
    with unit_of_work():
        invite = view.invite(invite_id)
        lifecycle.revoke(invite, view.member)
        client_id, who = invite.client_id, invite.name or invite.email_display
    flash(f"The invite to {who} is revoked.", "success")
    return _to_record(client_id)


@bp.get("/access/<access_id>/<any(remove, suspend):what>")
@staff_page
def ask_end(access_id: str, what: str) -> str:
    """Ask before access ends, and say what hangs on the person."""
    access, ending = firm_view().access(access_id), ENDINGS[what]
    words = _words(access)
    waiting = accesses.open_work(access)
    return page(
        "staff/confirm.html",
        title=ending.title.format(**words),
        text=ending.text.format(**words),
        points=[f"Waiting for {words['who']}: {work}" for work in waiting],
        action=carried(url_for("staff_people.end", access_id=access_id, what=what)),
        button=ending.button,
        cancel_url=came_from(url_for("staff_record.record", client_id=access.client_id)),
    )


@bp.post("/access/<access_id>/<any(remove, suspend):what>")
@staff_page
def end(access_id: str, what: str) -> Response:
    """Remove or suspend access."""
    view, ending = firm_view(), ENDINGS[what]
    with unit_of_work():
        access = view.access(access_id)
        ending.run(access, view.member)
        words, client_id = _words(access), access.client_id
    flash(ending.done.format(**words), "success")
    return _to_record(client_id)


@bp.post("/access/<access_id>/restore")
@staff_page
def restore(access_id: str) -> Response:
    """Bring a suspended or removed access back."""
    view = firm_view()
    with unit_of_work():
        access = view.access(access_id)
        accesses.restore(access, view.member)
        words, client_id = _words(access), access.client_id
    flash("{who} has access to {client} again.".format(**words), "success")
    return _to_record(client_id)


@bp.post("/access/<access_id>/send-sign-in")
@staff_page
def send_sign_in(access_id: str) -> Response:
    """Mail the way to sign-in and to the next open item."""
    view = firm_view()
    with unit_of_work():
        access = view.access(access_id)
        accesses.send_sign_in(access, view.member)
        words, client_id = _words(access), access.client_id
    flash("{who} gets a mail that leads to sign-in and to what is waiting.".format(**words), "success")
    return _to_record(client_id)


def _actions(line: PersonLine, client_id: str) -> list[Action]:
    """What fits this person's standing, the most useful first."""
    standing, key = line.standing, line.standing.key
    again = Action(
        "Invite again", url_for("staff_record.invite", client_id=client_id, person=line.key), "window"
    )
    edit = []
    if line.contact is not None:
        edit = [
            Action(
                "Change address", url_for("staff_contacts.edit_contact", contact_id=line.contact.id), "link"
            )
        ]
    if key is StandingKey.NO_EMAIL and line.contact is not None:
        return [Action("Add an address", edit[0].url, "link", "primary")]
    if key is StandingKey.NO_INVITE:
        return [Action("Invite", again.url, "window", "primary"), *edit]
    if standing.access is not None and key in {
        StandingKey.ACTIVE,
        StandingKey.SUSPENDED,
        StandingKey.REMOVED,
    }:
        return _access_actions(standing.access, key, again if line.contact else None)
    if key in {StandingKey.DECLINED, StandingKey.REVOKED}:
        return [again, *edit] if line.contact else []
    if standing.invite is None:
        return edit
    edit = [
        Action(
            "Change address", url_for("staff_change_address.of_invite", invite_id=standing.invite.id), "link"
        )
    ]
    ask = Action("Revoke invite", url_for("staff_people.ask_revoke", invite_id=standing.invite.id), "ask")
    mend = Action("Resend invite", url_for("staff_people.resend", invite_id=standing.invite.id))
    if standing.invite.access_is_over(utc_now()):
        mend = Action("Change the date", _until_url(standing), "link")
    if key is StandingKey.BOUNCED:
        return [*edit, mend, ask]
    return [mend, *edit, ask, _reminders(standing.invite)]


def _until_url(standing: Standing) -> str:
    """Where the date of this person's access is set; empty where there is no access and no open invite."""
    access, invite = standing.access, standing.invite
    if access is not None and standing.key in {StandingKey.ACTIVE, StandingKey.SUSPENDED}:
        return url_for("staff_access_until.of_access", access_id=access.id)
    if invite is not None and invite.state is InviteState.PENDING:
        return url_for("staff_access_until.of_invite", invite_id=invite.id)
    if access is not None and access.has_ended(utc_now()):
        return url_for("staff_access_until.of_access", access_id=access.id)
    return ""


def _reminders(invite: Invite) -> Action:
    on = "off" if invite.reminds else "on"
    url = url_for("staff_people.switch_reminders", invite_id=invite.id, on=on)
    return Action(f"Switch reminders {on}", url)


def _access_actions(access: PortalAccess, key: StandingKey, again: Action | None) -> list[Action]:
    def url(endpoint: str, **values: Any) -> str:
        return url_for(f"staff_people.{endpoint}", access_id=access.id, **values)

    remove = Action("Remove access", url("ask_end", what="remove"), "ask")
    if key is StandingKey.ACTIVE:
        suspend = Action("Suspend", url("ask_end", what="suspend"), "ask")
        change = Action(
            "Change address", url_for("staff_change_address.of_access", access_id=access.id), "link"
        )
        return [Action("Resend invite", url("send_sign_in")), change, suspend, remove]
    restore = Action("Restore access", url("restore"))
    if key is StandingKey.SUSPENDED:
        return [restore, remove]
    return [restore, *([again] if again else [])]


def _note(line: PersonLine) -> str:
    """One sentence that explains what the buttons do here."""
    invite, access, now = line.standing.invite, line.standing.access, utc_now()
    if line.standing.key is StandingKey.REMOVED and access is not None and access.has_ended(now):
        return "The last day of this access is over. Restore it, or choose a later day."
    if line.standing.key is StandingKey.EXPIRED and invite is not None and invite.access_is_over(now):
        return "The access that was offered is over. Choose a later day, then send a fresh link."
    match line.standing.key:
        case StandingKey.ACTIVE:
            return "Has joined. Resend invite sends a mail that leads to sign-in and to what is waiting."
        case StandingKey.BOUNCED:
            return "The mail came back. Correct the address, then invite again."
        case StandingKey.MAIL_FAILED:
            return "The mail server did not take the mail. Resend invite tries again with a fresh link."
        case StandingKey.EXPIRED:
            return "The link has run out. Resend invite sends a fresh one."
        case StandingKey.NO_EMAIL:
            return "Without an e-mail address nobody can be invited."
        case StandingKey.SUSPENDED:
            return "Can't get in until you restore the access."
        case _:
            return ""


def _what(invite: Invite) -> str:
    """How the mail says what the invite is for."""
    workflow = installed().get(invite.workflow)
    return workflow.what if workflow else INVITED


def _words(access: PortalAccess) -> dict[str, str]:
    login = access.portal_user.login
    return {"who": login.name or login.email_display, "client": access.client.name}


def _to_record(client_id: str) -> Response:
    return redirect(came_from(url_for("staff_record.record", client_id=client_id)), 303)
