"""The page behind a mailed link, and Accept.

Looking changes nothing: no row, no session, no cookie, however often a scanner presses the link. Accepting makes a
login (with the code mailed to the invited address, so that a forwarded link is not enough), or takes the one that is
signed in; a login of another address never consumes the invite. The code belongs to the browser that began: whoever
begins later with the same link gets a code of their own, and an earlier page doesn't take it. So nobody can put their
password under somebody else's code.
"""

from __future__ import annotations

from flask import Blueprint, flash, redirect, request, url_for
from sqlalchemy.exc import IntegrityError
from werkzeug.wrappers import Response

from invites import accept
from invites.accept import Link, LinkState, WrongCode
from invites.scope import PortalView
from models import AcceptCode, Invite, Login, PortalAccess, WorkItem, db, unit_of_work, utc_now
from models.errors import Invalid, InviteNotPending, WrongState
from web.access_rules import public_page
from web.language import here
from web.limits import hit
from web.passwords import hash_password, password_problems
from web.portal.forms import CodeForm, NameForm, read
from web.portal.invite_link import PREFIX, WHY, address, find, page, quiet, state_page, wanted_item
from web.security import sign_in
from web.sessions import rotate
from web.who import current_login, is_signed_in

bp = Blueprint("portal_invite", __name__, url_prefix=PREFIX)
quiet(bp)

Answer = Response | tuple[str, int]


@bp.get("")
@public_page(WHY, origin_checked=True)
def show(token: str) -> Answer:
    """Who invites to what, and the way in. Changes nothing."""
    return _show(token, find(token))


def _show(token: str, link: Link, status: int = 200) -> Answer:
    assert link.invite is not None  # noqa: S101 (find() raised otherwise)
    invite = link.invite
    if link.state is LinkState.ACCEPTED and is_signed_in() and current_login().email == invite.email:
        access = db.session.get(PortalAccess, invite.access_id) if invite.access_id else None
        if access is not None and access.is_active(utc_now()):
            return redirect(_landing(invite, access, current_login()), 303)
    if link.state is not LinkState.LIVE:
        return state_page(token, link, status)
    if is_signed_in():
        login = current_login()
        mine = login.email == invite.email
        way = "signed_in" if mine else "other"
        return page("portal/invite.html", token, invite, status, way=way, signed_in=login.email_display)
    way = "sign_in" if accept.login_of(invite.email) is not None else "new"
    return page("portal/invite.html", token, invite, status, way=way, notice=here(_NOTICES.get(_note(), "")))


_NOTICES = {
    "begin": "Enter your name and password again, and we send a new code. The code before no longer counts.",
}


def _note() -> str:
    return request.args.get("note", "")


@bp.post("")
@public_page(WHY, origin_checked=True)
def accept_invite(token: str) -> Answer:
    """Accept: with the login that is signed in, or with a new one (name, password, then the mailed code)."""
    link = find(token)
    if link.invite is None or link.state is not LinkState.LIVE:
        return _show(token, link, 409)
    if is_signed_in():
        return _accept_signed_in(token)
    if accept.login_of(link.invite.email) is not None:
        return _show(token, link, 409)
    try:
        name, password = _name_and_password(link.invite)
    except Invalid as error:
        typed = request.form.get("name", "")
        return page(
            "portal/invite.html", token, link.invite, 422, way="new", errors=error.fields, typed_name=typed
        )
    password_hash = hash_password(password)
    if accept.needs_code(link.invite):
        hit("accept_code", link.invite.id)
        return _begin(token, name, password_hash)
    return _accept_new(token, name, password_hash)


def _name_and_password(invite: Invite) -> tuple[str, str]:
    """The form's two fields, each with its sentences. Raises Invalid."""
    errors: dict[str, list[str]] = {}
    name = ""
    try:
        name = read(NameForm(), request.form)["name"]
    except Invalid as error:
        errors |= error.fields
    password = request.form.get("password", "")
    problems = password_problems(password, name, invite.email, invite.invited_by.firm.name)
    if problems:
        errors["password"] = problems
    if errors:
        raise Invalid(errors)
    return name, password


def _begin(token: str, name: str, password_hash: str) -> Answer:
    try:
        with unit_of_work():
            start = accept.begin(accept.look_up(token), name, password_hash).id
    except InviteNotPending:
        return _show(token, find(token), 409)
    except IntegrityError:
        # Pressed twice at the same instant: the other request's code is on its way, and this page asks anew.
        return redirect(address(token, note="begin"), 303)
    return redirect(address(token, "portal_invite.code", start=start), 303)


def _accept_new(token: str, name: str, password_hash: str) -> Answer:
    try:
        with unit_of_work():
            link = accept.look_up(token)
            login, access = accept.accept_new(link, name, password_hash)
            target = _landing_of(link, access, login)
    except (InviteNotPending, WrongState, IntegrityError):
        # Somebody was faster, or the address has a login since this instant: the page says which.
        return _show(token, find(token), 409)
    return _welcome(login, target)


def _accept_signed_in(token: str) -> Answer:
    login = current_login()
    try:
        with unit_of_work():
            link = accept.look_up(token)
            access = accept.accept_as(link, login)
            target = _landing_of(link, access, login)
    except (InviteNotPending, WrongState, IntegrityError):
        return _show(token, find(token), 409)
    rotate()
    return redirect(target, 303)


@bp.get("/code")
@public_page(WHY, origin_checked=True)
def code(token: str) -> Answer:
    """Where the mailed code is typed."""
    link = find(token)
    if link.invite is None or link.state is not LinkState.LIVE:
        return _show(token, link)
    if _waiting(link) is None:
        return redirect(address(token, note="begin"), 303)
    return _code_page(token, link.invite)


@bp.post("/code")
@public_page(WHY, origin_checked=True)
def check_code(token: str) -> Answer:
    """Check the code and enter. Each try counts."""
    link = find(token)
    if link.invite is None or link.state is not LinkState.LIVE:
        return _show(token, link, 409)
    try:
        typed = read(CodeForm(), request.form)["code"]
    except Invalid as error:
        return _code_page(token, link.invite, 422, error.fields)
    hit("accept_code", link.invite.id)
    wrong: WrongCode | None
    try:
        with unit_of_work():
            link = accept.look_up(token)
            waiting = _waiting(link)
            if waiting is None:
                return redirect(address(token, note="begin"), 303)
            wrong = accept.check_code(link, typed)
            if wrong is None:
                login, access = accept.accept_new(link, waiting.name, waiting.password)
                target = _landing_of(link, access, login)
    except InviteNotPending:
        return _show(token, find(token), 409)
    except (WrongState, IntegrityError) as error:
        link = find(token)
        if link.invite is None or accept.login_of(link.invite.email) is not None:
            return _show(token, link, 409)
        sentence = error.sentence if isinstance(error, WrongState) else "Please press the button once more."
        return _code_page(token, link.invite, 409, {"code": [sentence]})
    if wrong is not None:
        return _code_page(token, find(token).invite, 422, wrong.fields)
    return _welcome(login, target)


@bp.post("/code/again")
@public_page(WHY, origin_checked=True)
def send_code_again(token: str) -> Answer:
    """Mail a fresh code to the invited address; the one before no longer counts."""
    link = find(token)
    if link.invite is None or link.state is not LinkState.LIVE:
        return _show(token, link, 409)
    hit("accept_code", link.invite.id)
    try:
        with unit_of_work():
            link = accept.look_up(token)
            waiting = _waiting(link)
            if waiting is None:
                return redirect(address(token, note="begin"), 303)
            name, password_hash = waiting.name, waiting.password
            start = accept.begin(link, name, password_hash).id
    except InviteNotPending:
        return _show(token, find(token), 409)
    except IntegrityError:
        return redirect(address(token, note="begin"), 303)
    return redirect(address(token, "portal_invite.code", start=start, again=1), 303)


def _waiting(link: Link) -> AcceptCode | None:
    """The beginning that this page belongs to, while it still counts."""
    waiting = accept.code_waiting(link)
    return waiting if waiting is not None and waiting.id == request.values.get("start") else None


def _code_page(
    token: str, invite: Invite | None, status: int = 200, errors: dict[str, list[str]] | None = None
) -> tuple[str, int]:
    assert invite is not None  # noqa: S101 (find() raised otherwise)
    return page(
        "portal/invite_code.html",
        token,
        invite,
        status,
        start=request.values.get("start"),
        again="again" in request.args,
        minutes=int(accept.CODE_LIFETIME.total_seconds() // 60),
        errors=errors or {},
    )


def _landing_of(link: Link, access: PortalAccess, login: Login) -> str:
    assert link.invite is not None  # noqa: S101 (accepting raised otherwise)
    return _landing(link.invite, access, login)


def _landing(invite: Invite, access: PortalAccess, login: Login) -> str:
    """The very item where this person can see it; else Home."""
    item = accept.landing(invite, access, wanted_item())
    if item is None:
        return url_for("portal_home.home")
    seen = db.session.scalar(PortalView(login).items().where(WorkItem.id == item.id).limit(1))
    return url_for("portal_items.show", item_id=item.id) if seen is not None else url_for("portal_home.home")


def _welcome(login: Login, target: str) -> Response:
    """Sign the new login in (which gives the session a new id) and stand in front of the item."""
    sign_in(login)
    sentence = here(
        "You're in. From now on sign in with %(address)s and your password.", address=login.email_display
    )
    flash(sentence, "success")
    return redirect(target, 303)
