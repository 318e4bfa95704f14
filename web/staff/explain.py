"""Why can't they see it, and why can't they sign in: the chain of yes and no, with the one button that mends it."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from invites import explain
from invites.explain import Explanation, Fix
from invites.explain_sign_in import sign_in_chain
from invites.inviting import invite_people
from invites.lifecycle import Occasion
from invites.orders import InviteOrder, Recipient
from invites.scope import FirmView
from invites.standing import StandingKey
from models import (
    Client,
    InviteState,
    Login,
    PortalAccess,
    WorkItem,
    append_event,
    db,
    unit_of_work,
    utc_now,
)
from models.address import BadAddress, parse_address
from models.errors import Missing, Refused
from web import limits
from web.access_rules import staff_page
from web.staff.actions import Action
from web.staff.common import firm_view, page
from web.staff.rows import PersonLine, people_lines
from workflows.registry import Workflow, installed

bp = Blueprint("staff_explain", __name__)

ITEMS_SHOWN = 200


@dataclass(frozen=True)
class Shown:
    """A chain as the page draws it."""

    explanation: Explanation
    action: Action | None


@bp.get("/clients/<client_id>/explain")
@staff_page
def see(client_id: str) -> str:
    """Why can't they see it? Asks for a person and an item, then shows the chain."""
    view = firm_view()
    client = view.client(client_id)
    people = people_lines(view, client)
    items = list(
        db.session.scalars(
            view.items()
            .where(WorkItem.client_id == client.id)
            .order_by(WorkItem.created_at.desc(), WorkItem.id.desc())
            .limit(ITEMS_SHOWN)
        )
    )
    line = _person(people, request.args.get("email", ""))
    item = next((one for one in items if one.id == request.args.get("item_id")), None)
    if item is None and request.args.get("item_id"):
        item = view.item(request.args["item_id"])
        if item.client_id != client.id:
            raise Missing
    shown = _see(view, client, line, item) if line is not None and item is not None else None
    return page(
        "staff/explain.html",
        client=client,
        people=[(one.email, one.label) for one in people if one.email],
        items=[(one.id, one.title) for one in items],
        line=line,
        item=item,
        shown=shown,
    )


@bp.post("/clients/<client_id>/explain/grant")
@staff_page
def grant(client_id: str) -> Response:
    """Send one item to one person: granted where they are in, joined to their open invite where they aren't yet."""
    view = firm_view()
    with unit_of_work():
        client = view.client(client_id)
        item = view.item(request.form.get("item_id", ""))
        workflow = installed().get(item.workflow)
        if workflow is None or item.client_id != client.id:
            raise Missing
        occasion = Occasion(client, view.member, workflow.slug, workflow.what, [item])
        (result,) = invite_people(occasion, InviteOrder((Recipient(email=request.form.get("email", "")),)))
        if not result.ok:
            raise Refused(result.reason)
        text = f"{result.who} gets {item.title}. {result.reason}"
    flash(text, "success")
    return redirect(
        url_for("staff_explain.see", client_id=client_id, email=result.email, item_id=item.id), 303
    )


@bp.get("/clients/<client_id>/people/<key>/sign-in")
@staff_page
def sign_in(client_id: str, key: str) -> str:
    """Why can't they sign in? One person's login, from the address to the access."""
    view = firm_view()
    client = view.client(client_id)
    line = next((one for one in people_lines(view, client) if one.is_called(key)), None)
    if line is None:
        raise Missing
    access = line.standing.access
    login: Login | None = access.portal_user.login if access else None
    seconds = limits.locked_seconds("login", login.email) if login else 0
    zone, minutes = view.member.firm.time_zone, -(-seconds // 60)
    bounced = line.standing.key is StandingKey.BOUNCED
    found = sign_in_chain(
        line.email, login, access, minutes, zone, utc_now(), line.standing.invite, bounced=bounced
    )
    step = found.broken
    action = _action(step.fix, client, line, None, None) if step and step.fix else None
    return page(
        "staff/explain_sign_in.html",
        client=client,
        line=line,
        shown=Shown(found, action),
        access=access,
        send_url=_send_sign_in(access) if found.can_see and access else None,
    )


@bp.post("/access/<access_id>/unlock")
@staff_page
def unlock(access_id: str) -> Response:
    """Forget the wrong passwords that were counted for this person's address."""
    view = firm_view()
    access = view.access(access_id)
    email, client_id = access.portal_user.login.email, access.client_id
    limits.unlock("login", email)  # before the unit of work: the counters have a connection of their own
    with unit_of_work():
        row = view.access(access_id)
        append_event(
            "sign_in_unlocked",
            firm_id=row.firm_id,
            workflow="client-record",
            actor=f"member:{view.member.id}",
            client_id=row.client_id,
            access_id=row.id,
        )
        who = row.portal_user.login.name or row.portal_user.login.email_display
    flash(f"{who} can try to sign in again at once.", "success")
    return redirect(url_for("staff_record.record", client_id=client_id), 303)


def _person(people: list[PersonLine], typed: str) -> PersonLine | None:
    if not typed:
        return None
    try:
        key = parse_address(typed).key
    except BadAddress as error:
        raise Missing from error
    for line in people:
        if line.email and parse_address(line.email).key == key:
            return line
    raise Missing


def _see(view: FirmView, client: Client, line: PersonLine, item: WorkItem) -> Shown:
    workflow = installed().get(item.workflow)
    if workflow is None:
        raise Missing
    email = parse_address(line.email).key
    found = explain.explain(view, client, email, item, workflow.singular.lower(), workflow.licence)
    step = found.broken
    return Shown(found, _action(step.fix, client, line, item, workflow) if step and step.fix else None)


def _action(
    fix: Fix, client: Client, line: PersonLine, item: WorkItem | None, workflow: Workflow | None
) -> Action | None:
    """The button for a fix."""
    invite, access = line.standing.invite, line.standing.access
    match fix:
        case Fix.INVITE:
            return Action(
                "Invite again" if invite else "Invite",
                url_for("staff_record.invite", client_id=client.id, person=line.key),
                "window",
            )
        case Fix.RESEND if invite and invite.state is InviteState.PENDING:
            return Action("Resend invite", url_for("staff_people.resend", invite_id=invite.id))
        case Fix.CHANGE_ADDRESS if invite:
            return Action(
                "Change address", url_for("staff_change_address.of_invite", invite_id=invite.id), "link"
            )
        case Fix.CHANGE_DATE if invite and invite.state is InviteState.PENDING:
            url = url_for("staff_access_until.of_invite", invite_id=invite.id)
            return Action("Change the date", url, "link")
        case Fix.RESTORE if access:
            return Action("Restore access", url_for("staff_people.restore", access_id=access.id))
        case Fix.SEND_SIGN_IN if access and access.is_active(utc_now()):
            return Action("Send sign-in mail", _send_sign_in(access))
        case Fix.UNLOCK if access:
            return Action("Unlock", url_for("staff_explain.unlock", access_id=access.id))
        case Fix.LICENCE:
            return Action("See licences", url_for("staff_settings.settings", _anchor="licences"), "link")
        case Fix.GRANT if item:
            hidden = {"email": line.email, "item_id": item.id}
            return Action(
                f"Send it to {line.label}", url_for("staff_explain.grant", client_id=client.id), hidden=hidden
            )
        case Fix.MAKE_VISIBLE if item and workflow:
            if workflow.slug == "file":
                url = url_for("staff_files.switch", client_id=client.id, item=item.id)
                return Action("Make visible", url, "window")
            return Action(
                f"Open the {workflow.singular.lower()}", url_for("staff_items.item", item_id=item.id), "link"
            )
    return None


def _send_sign_in(access: PortalAccess) -> str:
    return url_for("staff_people.send_sign_in", access_id=access.id)
