"""Bulk actions as asked for: what they would do (the preview), and the job with a row for each.

Rows come from a filter of the list or from chosen ids, and always from what the member may see. Writing a job is one
INSERT ... SELECT, so the request answers at once whatever the number; `bulk_run.py` carries it out in the worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import sqlalchemy as sa

import background
from invites import portals
from invites.portals import PortalQuery
from invites.scope import FirmView
from models import (
    Client,
    Contact,
    Invite,
    Job,
    JobAction,
    JobItem,
    JobState,
    PortalAccess,
    PortalPerson,
    RowOutcome,
    Stage,
    after_commit,
    db,
    new_id,
    utc_now,
)
from models.errors import Invalid

PERMISSION = "bulk"
SHOWN = 5  # running jobs above the list

INSIDE = (Stage.JOINED, Stage.LOGGED_IN)
OPEN = (Stage.INVITED, Stage.BOUNCED, Stage.MAIL_FAILED)
OVER = (Stage.DECLINED, Stage.REMOVED, Stage.REVOKED)
ENDED = "ended"  # inside by its stage, but the last day is over


@dataclass(frozen=True)
class Action:
    """One bulk action in words. `working` is said of a running job: "Resending 86 invites"."""

    key: JobAction
    label: str
    working: str
    without: bool = False  # offered on the tab of clients without portals


ACTIONS = {
    action.key: action
    for action in (
        Action(
            JobAction.INVITE,
            "Send Invite",
            "Inviting the primary contact of {n} client|Inviting the primary contacts of {n} clients",
            without=True,
        ),
        Action(JobAction.RESEND, "Resend invite", "Resending {n} invite|Resending {n} invites"),
        Action(JobAction.EXTEND, "Extend", "Extending {n} invite|Extending {n} invites"),
        Action(JobAction.REVOKE, "Revoke", "Revoking {n} invite|Revoking {n} invites"),
        Action(
            JobAction.REMOVE,
            "Remove access",
            "Removing the access of {n} person|Removing the access of {n} people",
        ),
        Action(JobAction.IMPORT, "Import", "Importing {n} line|Importing {n} lines"),
    )
}


def offered(without: bool) -> list[Action]:
    """The actions of a tab, the first one first."""
    return [one for one in ACTIONS.values() if one.without is without and one.key is not JobAction.IMPORT]


@dataclass(frozen=True)
class Target:
    """Which rows: all that match a query, or chosen ones.

    `ids` are the list's own (people, or clients of the tab without); `api_ids` are what the API knows: clients for
    invite, accesses for remove, invites for the rest.
    """

    query: PortalQuery = field(default_factory=PortalQuery)
    ids: tuple[str, ...] = ()
    api_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preview:
    """What an action would do, before anything is done."""

    action: Action
    total: int
    mails: int
    lines: tuple[tuple[int, str], ...]  # how many, and what happens to them or why not
    acts: int  # rows to which something happens


# What happens by standing: words (for one|for many), whether something happens, whether a mail goes out.
_WHAT: dict[JobAction, tuple[tuple[Sequence[str], str, bool, bool], ...]] = {
    JobAction.RESEND: (
        (OPEN, "mail with a fresh link|mails with a fresh link", True, True),
        (INSIDE, "mail that leads to sign-in|mails that lead to sign-in", True, True),
        ((Stage.SUSPENDED,), "suspended: restore their access first", False, False),
        ((ENDED,), "whose access ended: invite them again, or change the date", False, False),
        (OVER, "declined, removed or revoked: invite them again", False, False),
        ((Stage.NO_INVITE,), "never invited", False, False),
        ((Stage.NO_EMAIL,), "without e-mail", False, False),
    ),
    JobAction.REVOKE: (
        (OPEN, "open invite ends, its links stop working|open invites end, their links stop working", True, False),
    ),
    JobAction.EXTEND: (
        (OPEN, "open invite works longer, without a mail|open invites work longer, without a mail", True, False),
    ),
    JobAction.REMOVE: (
        ((*INSIDE, ENDED, Stage.SUSPENDED),
         "person loses access at once|people lose their access at once", True, False),
    ),
}  # fmt: skip
_REST = {
    JobAction.REVOKE: "has no open invite and stays as it is|have no open invite and stay as they are",
    JobAction.EXTEND: "has no open invite and stays as it is|have no open invite and stay as they are",
    JobAction.REMOVE: "has no access and stays as it is|have no access and stay as they are",
}


def preview(view: FirmView, action: JobAction, target: Target) -> Preview:
    """What the action would do to these rows, counted exactly in one query. Raises PermissionMissing, Invalid."""
    view.need_permission(PERMISSION)
    _check_ids(view, action, target)
    return _invite_preview(view, target) if action is JobAction.INVITE else _preview(view, action, target)


def said(words: str, number: int) -> str:
    """The words for this number, of `for one|for many`."""
    one, _, many = words.partition("|")
    return one if number == 1 or not many else many


def _preview(view: FirmView, action: JobAction, target: Target) -> Preview:
    rows = _stages(view, action, target)
    found = {row.stage: row.n for row in db.session.execute(rows)}
    total, lines, mails, acts = sum(found.values()), [], 0, 0
    for stages, words, happens, mailed in _WHAT[action]:
        number = sum(found.pop(str(stage), 0) for stage in stages)
        if number:
            lines.append((number, said(words, number)))
        acts += number if happens else 0
        mails += number if mailed else 0
    rest = sum(found.values())
    if rest:
        lines.append((rest, said(_REST.get(action, "can't be sent again"), rest)))
    return Preview(ACTIONS[action], total, mails, tuple(lines), acts)


def _stages(view: FirmView, action: JobAction, target: Target) -> Any:
    """How many rows of each stage as the clock has it."""
    now_stage = _stage_now().label("stage")
    if target.api_ids and action is JobAction.REMOVE:
        found = view.accesses().where(PortalAccess.id.in_(target.api_ids)).subquery()
        joined = sa.select(now_stage, sa.func.count().label("n")).select_from(PortalPerson)
        joined = joined.join(found, PortalPerson.access_id == found.c.id)
        return joined.where(PortalPerson.client_id == found.c.client_id).group_by(now_stage)
    if target.api_ids:
        found = view.invites().where(Invite.id.in_(target.api_ids)).subquery()
        stage = sa.func.coalesce(_stage_now(), Stage.REVOKED.value).label("stage")
        theirs = sa.and_(
            PortalPerson.client_id == found.c.client_id,
            PortalPerson.mailbox == found.c.email,
            PortalPerson.invite_id == found.c.id,
        )
        return (
            sa.select(stage, sa.func.count().label("n"))
            .select_from(found)
            .outerjoin(PortalPerson, theirs)
            .group_by(stage)
        )
    rows = _people(view, target).with_only_columns(now_stage, sa.func.count().label("n"))
    return rows.group_by(now_stage)


def _stage_now() -> Any:
    return sa.case((portals.access_ended(utc_now()), sa.literal(ENDED)), else_=PortalPerson.stage)


def _invite_preview(view: FirmView, target: Target) -> Preview:
    """Of the clients' primary contacts: mails, without e-mail, shared mailboxes, already inside."""
    clients = _clients(view, target).with_only_columns(Client.id).subquery()
    shared = sa.case((PortalPerson.contacts > 1, 1), else_=0)
    stage = _stage_now().label("stage")
    rows = db.session.execute(
        sa.select(stage, sa.func.count().label("n"), sa.func.sum(shared).label("shared"))
        .select_from(clients)
        .outerjoin(Contact, sa.and_(Contact.client_id == clients.c.id, Contact.is_primary))
        .outerjoin(
            PortalPerson,
            sa.and_(PortalPerson.client_id == clients.c.id, PortalPerson.mailbox == Contact.email),
        )
        .group_by(stage)
    ).all()
    mails = inside = suspended = silent = shared_mailboxes = 0
    for row in rows:
        if row.stage is None or row.stage == Stage.NO_EMAIL:
            silent += row.n
        elif row.stage in INSIDE:
            inside += row.n
        elif row.stage == Stage.SUSPENDED:
            suspended += row.n
        else:
            mails += row.n
            shared_mailboxes += row.shared
    lines = [
        (mails, said("mail|mails", mails)),
        (silent, "without e-mail"),
        (shared_mailboxes, said("shared mailbox|shared mailboxes", shared_mailboxes)),
        (inside, "with access already: no mail"),
        (suspended, "suspended: no mail"),
    ]
    total = mails + silent + inside + suspended
    kept = tuple((number, words) for number, words in lines if number)
    return Preview(ACTIONS[JobAction.INVITE], total, mails, kept, mails)


def start(view: FirmView, action: JobAction, target: Target, params: Mapping[str, Any]) -> Job:
    """Write the job and its rows within the caller's unit of work; the worker is woken after the commit.

    `params`: `message`, `days`. Raises PermissionMissing, or Invalid where nothing is selected.
    """
    view.need_permission(PERMISSION)
    _check_ids(view, action, target)
    job = Job(
        id=new_id(),
        firm_id=view.firm_id,
        member_id=view.member.id,
        action=action,
        state=JobState.QUEUED,
        params=dict(params),
        created_at=utc_now(),
    )
    db.session.add(job)
    db.session.flush()
    source = _source(view, action, target).subquery()
    number = sa.func.row_number().over(order_by=(source.c.client_id, source.c.part, source.c.who))
    rows = sa.select(
        sa.literal(job.id), number, source.c.client_id, source.c.invite_id, source.c.access_id, source.c.who,
        sa.literal(RowOutcome.WAITING.value), sa.literal(""),
    )  # fmt: skip
    columns = ["job_id", "number", "client_id", "invite_id", "access_id", "who", "outcome", "reason"]
    statement = sa.insert(JobItem).from_select(columns, rows, include_defaults=False)
    statement = statement.execution_options(preserve_rowcount=True)
    job.total = cast("sa.CursorResult[Any]", db.session.execute(statement)).rowcount
    if not job.total:
        raise Invalid({"ids": ["Select somebody first."]}, "Nobody is selected.")
    after_commit(background.wake, "jobs")
    return job


def _source(view: FirmView, action: JobAction, target: Target) -> Any:
    """client_id, invite_id, access_id, who and part (for the order) of each row."""
    nothing = sa.null().cast(sa.String(26))
    if action is JobAction.INVITE:
        return _clients(view, target).with_only_columns(
            Client.id.label("client_id"), nothing.label("invite_id"), nothing.label("access_id"),
            Client.name.label("who"), sa.literal("").label("part"),
        )  # fmt: skip
    if target.api_ids and action is JobAction.REMOVE:
        return (
            view.accesses()
            .where(PortalAccess.id.in_(target.api_ids))
            .with_only_columns(
                PortalAccess.client_id, nothing.label("invite_id"), PortalAccess.id.label("access_id"),
                PortalAccess.email.label("who"), sa.literal("").label("part"),
            )
        )  # fmt: skip
    if target.api_ids:
        who = sa.func.coalesce(sa.func.nullif(Invite.name, ""), Invite.email_display)
        return (
            view.invites()
            .where(Invite.id.in_(target.api_ids))
            .with_only_columns(
                Invite.client_id, Invite.id.label("invite_id"), Invite.access_id,
                who.label("who"), sa.literal("").label("part"),
            )
        )  # fmt: skip
    name = sa.func.coalesce(sa.func.nullif(PortalPerson.name, ""), PortalPerson.email_display, "")
    return _people(view, target).with_only_columns(
        PortalPerson.client_id, PortalPerson.invite_id, PortalPerson.access_id,
        sa.func.substr(name, 1, 320).label("who"), PortalPerson.part,
    )  # fmt: skip


def _people(view: FirmView, target: Target) -> Any:
    if target.ids:
        return portals.people_by_ids(view, target.ids)
    return portals.rows_of(view, target.query)


def _clients(view: FirmView, target: Target) -> Any:
    """The clients whose primary contacts are invited, also where people were chosen."""
    chosen = target.api_ids or target.ids
    if chosen and (target.api_ids or target.query.without):
        return portals.clients_by_ids(view, chosen)
    if target.query.without:
        found = portals.rows_of(view, target.query)
        return view.clients().where(Client.id.in_(found.with_only_columns(found.selected_columns.client_id)))
    people = _people(view, target).with_only_columns(PortalPerson.client_id)
    return view.clients().where(Client.id.in_(people))


def _check_ids(view: FirmView, action: JobAction, target: Target) -> None:
    """Ids of the API that aren't there, or aren't this member's, are named instead of silently left out."""
    if not target.api_ids:
        return
    statement: Any
    match action:
        case JobAction.INVITE:
            statement, column = view.clients(), Client.id
        case JobAction.REMOVE:
            statement, column = view.accesses(), PortalAccess.id
        case _:
            statement, column = view.invites(), Invite.id
    known = set(db.session.scalars(statement.where(column.in_(target.api_ids)).with_only_columns(column)))
    missing = [wanted for wanted in target.api_ids if wanted not in known]
    if missing:
        what = {JobAction.INVITE: "clients", JobAction.REMOVE: "accesses"}.get(action, "invites")
        raise Invalid({"ids": [f"There are no such {what}: {', '.join(missing[:5])}."]})


# Jobs as pages show them --------------------------------------------------------------------------------------------


def running(view: FirmView) -> list[Job]:
    """The member's jobs that are at work, the newest first."""
    statement = (
        sa.select(Job)
        .where(
            Job.member_id == view.member.id,
            sa.text("job.state IN ('queued', 'running')"),
        )
        .order_by(Job.id.desc())
        .limit(SHOWN)
    )
    return list(db.session.scalars(statement))


def title(job: Job) -> str:
    """What a job does, in words: Resending 86 invites."""
    return said(ACTIONS[job.action].working, job.total).format(n=f"{job.total:,}")


def note(job: Job) -> str:
    """How far it is: 52 done, 1 not done."""
    went = f"{job.done - job.refused:,} of {job.total:,} done"
    return f"{went}, {job.refused:,} not done" if job.refused else went
