"""What all pages behind a mailed link share: the link itself, what it may say, and the page for each of its states.

Until acceptance no page names the client, a title or a file (a mistyped address must learn nothing), unless the firm
chose to show titles. No page here makes a session or needs its form token: the link is the key, and Origin is checked.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, g, render_template, request, url_for

from invites import accept
from invites.accept import Link, LinkState
from invites.lifecycle import items_of
from languages import worded
from models import Invite, InviteToken, WorkItem, db, utc_now
from models.errors import Missing
from web.language import here, sentences, speak, speak_as_browser
from web.limits import check, miss
from web.who import current_login, is_signed_in
from workflows.registry import installed

WHY = "the mailed link is the key"
PREFIX = "/portal/invite/<token>"


def quiet(bp: Blueprint) -> None:
    """No address of these pages reaches another site, and no copy of them stays in a cache."""

    @bp.after_request
    def _headers(response: Response) -> Response:
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response


def find(token: str) -> Link:
    """The link of a token. An unknown one raises Missing and counts towards the limit of wrong links."""
    check("link")
    link = accept.look_up(token)
    if link.invite is None:
        miss("link")
        speak_as_browser()
        raise Missing(
            worded(
                "This link leads nowhere. Copy the whole link from the mail, or ask for the mail again"
                " with “I was invited but can't find the mail”."
            )
        )
    g.time_zone = link.invite.invited_by.firm.time_zone
    speak(link.invite.invited_by.firm.language)
    return link


def wanted_item() -> str | None:
    """The item that the mail was about, as the link says it."""
    return request.values.get("item") or None


def address(token: str, endpoint: str = "portal_invite.show", **more: Any) -> str:
    """A page of this link, with the item it leads to."""
    return url_for(endpoint, token=token, item=wanted_item(), **more)


def about(invite: Invite) -> dict[str, Any]:
    """Who invites to what: what every page of a link may say."""
    items = items_of(invite)
    item = next((item for item in items if item.id == wanted_item()), items[-1] if items else None)
    firm = invite.invited_by.firm
    return {
        "firm": firm,
        "inviter": invite.invited_by.name,
        "what": here(what_of(invite, item)),
        "invited": invite.email_display,
        "until": invite.expires_at,
        "message": invite.message,
        "item_title": item.title if item is not None and firm.shows_titles else "",
    }


def what_of(invite: Invite, item: WorkItem | None = None) -> str:
    """As after the sender's name: "sent you a survey"."""
    workflow = installed().get(item.workflow if item is not None else invite.workflow)
    return workflow.what if workflow is not None else "invited you to the Client Portal"


def page(template: str, token: str, invite: Invite, status: int = 200, **more: Any) -> tuple[str, int]:
    """Render a page of this link."""
    if "errors" in more:
        more["errors"] = sentences(more["errors"])
    context = {"token": token, "item": wanted_item(), "here": address(token), **about(invite), **more}
    return render_template(template, **context), status


def state_page(token: str, link: Link, status: int = 200) -> tuple[str, int]:
    """Where a link stands that can't be accepted any more, and what to do about it."""
    assert link.invite is not None  # noqa: S101 (find() raised otherwise)
    signed_in = current_login().email_display if is_signed_in() else ""
    return page(
        "portal/invite_state.html",
        token,
        link.invite,
        status,
        state=link.state.value,
        newer_sent_at=_newest(link.invite) if link.state is LinkState.SUPERSEDED else None,
        ended_at=link.invite.ended_at,
        over=link.invite.access_is_over(utc_now()),
        not_me=link.invite.ended_reason == "not_me",
        signed_in=signed_in,
    )


def _newest(invite: Invite) -> datetime | None:
    """When the newest mail with a link was asked for."""
    return db.session.scalar(
        sa.select(InviteToken.created_at).where(
            InviteToken.invite_id == invite.id, InviteToken.generation == invite.generation
        )
    )
