"""THE shared Client Portal step: the only code that opens invites for a workflow.

It answers every workflow's question (who can get in, who can't) and acts on every workflow's trigger (invite those
who were ticked, tell those who are in already). No workflow imports it: `app` attaches it to the signals of whatever
workflows are installed, so a plugged-in workflow gets the same window and the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hooks.signals import Question, Trigger
from invites.access import active_accesses
from invites.grants import grant_items
from invites.inviting import invite_people
from invites.lifecycle import Occasion
from invites.orders import InviteOrder, InviteResult
from invites.remembered import remember_ticked
from invites.step import InviteStep, build_step
from mail import outbox
from mail.outbox import NewMail
from models import Client, MailKind, Scope, TeamMember, WorkItem
from models.address import parse_address


def attach(question: Question, trigger: Trigger, what: str) -> None:
    """Let the shared step serve one workflow; `what` is how its mails say it ("sent you a survey")."""
    _WORDS[trigger.name] = what

    if question.name not in _ATTACHED:
        question.connect(answer)
        _ATTACHED.add(question.name)
    if trigger.name not in _ATTACHED:

        def act_on_trigger(sender: str, **arguments: Any) -> list[InviteResult]:
            return act(sender, what=_WORDS[trigger.name], **arguments)

        trigger.connect(act_on_trigger)
        _ATTACHED.add(trigger.name)


_ATTACHED: set[str] = set()
_WORDS: dict[str, str] = {}


def answer(
    sender: str,
    *,
    client: Client,
    member: TeamMember,
    title: str,
    items: Sequence[WorkItem],
    must_see: Sequence[tuple[str, str]],
    **extra: Any,
) -> InviteStep:
    """The step for the window: reads only."""
    return build_step(client, member, sender, title=title, must_see=must_see, items=items)


def act(
    sender: str,
    *,
    items: Sequence[WorkItem],
    client: Client,
    member: TeamMember,
    invite: InviteOrder | None,
    notify: Sequence[tuple[str, str]],
    what: str,
    **extra: Any,
) -> list[InviteResult]:
    """Invite those who were ticked, and tell those who have access and may see the items."""
    occasion = Occasion(client, member, sender, what, items)
    results = invite_people(occasion, invite) if invite is not None else []
    remember_ticked(client, sender, (result.key for result in results if result.ok))
    _tell_those_inside(occasion, results, {parse_address(typed).key for _, typed in notify})
    return results


def _tell_those_inside(occasion: Occasion, results: Sequence[InviteResult], chosen: set[str]) -> None:
    """People with access who may see the items get an item mail; nobody gets two mails for one thing.

    With chosen people (signers) only those; else everybody with the whole portal. Scope `items` hears of an item
    only when it was granted, and a grant made just now came with its own mail.
    """
    served = {result.key for result in results if result.ok}
    told = [
        access
        for access in active_accesses(occasion.client)
        if access.email not in served
        and (access.email in chosen if chosen else access.scope is not Scope.ITEMS)
    ]
    if chosen:
        grant_items([access.id for access in told], occasion.items)
    outbox.enqueue_many(
        [
            NewMail(
                MailKind.ITEM,
                to_email=access.email,
                to_name=access.portal_user.login.name,
                firm_id=access.firm_id,
                access_id=access.id,
                item_id=occasion.items[0].id if occasion.items else None,
                sender_id=occasion.member.id,
                params={"what": occasion.what},
            )
            for access in told
        ]
    )
