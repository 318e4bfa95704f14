"""Bulk actions: the preview counts, the job does, a row each; who may, twice, and after a fall."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

import tasks
from invites import bulk, bulk_run
from invites.bulk import Target
from invites.portals import PortalQuery
from models import (
    AccessState,
    ApiToken,
    Client,
    ClientAssignment,
    Contact,
    Event,
    Invite,
    InviteToken,
    Job,
    JobAction,
    JobItem,
    Outbox,
    PortalAccess,
    TeamMember,
    db,
    unit_of_work,
    utc_now,
)
from models.api_token import hash_of_token
from models.database import statements
from tests.portal import invite, view_of
from tests.staff import Shown, Staff
from tests.support.many import many_clients
from tests.support.world import World, give_access, mails, make_client, make_world


@pytest.fixture
def world(app: Flask) -> World:
    return make_world(app)


@pytest.fixture
def dana(app: Flask, world: World) -> Staff:
    return Staff.of(app)


def work(app: Flask) -> None:
    """What the worker does."""
    with app.app_context():
        tasks.run_jobs()


def aged(app: Flask) -> None:
    """Everything was mailed ten minutes ago."""
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(Invite).values(last_asked_at=utc_now() - timedelta(minutes=10)))


def results(app: Flask) -> dict[str, tuple[str, str]]:
    """Who -> (outcome, reason) of the latest job."""
    with app.app_context():
        job = db.session.scalars(sa.select(Job).order_by(Job.id.desc())).first()
        rows = db.session.scalars(sa.select(JobItem).where(JobItem.job_id == job.id))
        return {row.who: (row.outcome.value, row.reason) for row in rows}


def states(app: Flask, model: type[Any]) -> dict[str, str]:
    with app.app_context():
        return {row.email: row.state.value for row in db.session.scalars(sa.select(model)).unique()}


@pytest.fixture
def clients(world: World) -> dict[str, str]:
    """Clients without portals, of every kind, and one where somebody is inside."""
    ids = {
        "Ready": make_client(world, "Ready", ("Ann Ready", "ann@x.example"), ("Other", "other@x.example")),
        "Silent": make_client(world, "Silent", ("Sid Silent", None), ("Sue", "sue@x.example")),
        "Couple": make_client(world, "Couple", ("John", "two@x.example"), ("Jane", "two@x.example")),
        "Nobody": make_client(world, "Nobody"),
        "Again": make_client(world, "Again", ("Al Again", "al@x.example")),
        "Inside": make_client(world, "Inside", ("Ida Inside", "ida@x.example")),
    }
    give_access(world, ids["Again"], "al@x.example", "Al", state=AccessState.REMOVED)
    give_access(world, ids["Inside"], "ida@x.example", "Ida")
    return ids


def test_inviting_all_clients_without_portals(
    app: Flask, dana: Staff, world: World, clients: dict[str, str]
) -> None:
    asked = dana.open("/portals/bulk?tab=without&action=invite&all=1")
    assert "Invite the primary contacts?" in asked.words
    assert "Of 5 selected: 3 mails 2 without e-mail 1 shared mailbox" in asked.words
    assert mails(app) == []
    done = asked.press("do=start", "/portals/bulk", message="Hello {{ person.first_name }}", days="10")
    assert "/portals/jobs/" in done.path
    assert "Inviting the primary contacts of 5 clients" in done.words
    assert "0 of 5 done" in done.words
    assert mails(app) == []  # the request wrote the job alone
    assert "Inviting the primary contacts of 5 clients" in dana.open("/portals").words
    work(app)
    assert sorted(mails(app)) == [
        ("al@x.example", "invite", "queued"),
        ("ann@x.example", "invite", "queued"),
        ("two@x.example", "invite", "queued"),
    ]
    assert results(app) == {
        "Ready": ("done", "Ann Ready is invited."),
        "Couple": ("done", "John is invited."),
        "Again": ("done", "Al Again is invited."),
        "Silent": ("refused", "Sid Silent has no e-mail address."),
        "Nobody": ("refused", "Nobody on the record. Add a contact first."),
    }
    shown = dana.open(done.path)
    assert "Finished 3 of 5 done, 2 not done" in shown.words
    assert "Ann Ready is invited." not in dana.open(f"{done.path}?only=not-done").words
    table = dana.client.get(f"{done.path}/results.csv")
    rows = list(csv.reader(io.StringIO(table.get_data(as_text=True).lstrip("\ufeff"))))
    assert rows[0] == ["Row", "Who", "Result", "Why"]
    assert ["1", "Ready", "Done", "Ann Ready is invited."] in rows
    with app.app_context():
        made = db.session.scalars(sa.select(Invite)).unique().all()
        assert {one.message for one in made} == {"Hello {{ person.first_name }}"}
        assert {(one.expires_at - one.created_at).days for one in made} == {10}
        assert db.session.scalar(sa.select(sa.func.count()).select_from(InviteToken)) == 3
        events = db.session.scalars(sa.select(Event.name).where(Event.name == "invite_created")).all()
        assert len(events) == 3


def test_twice_does_nothing_the_second_time(
    app: Flask, dana: Staff, world: World, clients: dict[str, str]
) -> None:
    target = Target(PortalQuery(without=True))
    with app.app_context(), unit_of_work():
        bulk.start(view_of(world), JobAction.INVITE, target, {"message": "", "days": None})
        bulk.start(view_of(world), JobAction.INVITE, target, {"message": "", "days": None})
    work(app)
    work(app)
    assert len(mails(app)) == 3
    assert results(app)["Ready"] == ("skipped", "Ann Ready was invited a moment ago: no second mail.")


@pytest.fixture
def people(app: Flask, world: World) -> dict[str, str]:
    """People with an open, a bounced, a declined invite, and three with access."""
    ids = {}
    for name in ("open", "bounced", "declined", "in", "held", "out"):
        ids[name] = make_client(world, f"Client {name}", (f"Pat {name}", f"{name}@x.example"))
    for name in ("open", "bounced", "declined"):
        invite(world, ids[name], f"{name}@x.example", "Please join")
    for name, state in (("in", "active"), ("held", "suspended"), ("out", "removed")):
        give_access(world, ids[name], f"{name}@x.example", f"Pat {name}", state=AccessState(state))
    with app.app_context(), unit_of_work() as session:
        session.execute(
            sa.update(Invite).where(Invite.email == "declined@x.example").values(state="declined")
        )
        session.execute(
            sa.update(Outbox).where(Outbox.to_email == "bounced@x.example").values(state="bounced")
        )
        session.execute(sa.update(Outbox).where(Outbox.to_email != "bounced@x.example").values(state="sent"))
    aged(app)
    return ids


def start(dana: Staff, action: str, **fields: str) -> Shown:
    return dana.open(f"/portals/bulk?action={action}&all=1").press("do=start", "/portals/bulk", **fields)


def test_resending_mails_links_and_the_way_in(app: Flask, dana: Staff, people: dict[str, str]) -> None:
    words = dana.open("/portals/bulk?action=resend&all=1").words
    assert "2 mails with a fresh link 1 mail that leads to sign-in" in words
    assert (
        "1 suspended: restore their access first 2 declined, removed or revoked: invite them again" in words
    )
    before = len(mails(app))
    start(dana, "resend")
    work(app)
    assert sorted(mails(app)[before:]) == [
        ("bounced@x.example", "invite", "queued"),
        ("in@x.example", "sign_in", "queued"),
        ("open@x.example", "invite", "queued"),
    ]
    found = {who: outcome for who, (outcome, _) in results(app).items()}
    assert found == {
        "Pat open": "done", "Pat bounced": "done", "Pat in": "done",
        "Pat held": "refused", "Pat out": "refused", "Pat declined": "refused",
    }  # fmt: skip
    with app.app_context():
        generations = {one.email: one.generation for one in db.session.scalars(sa.select(Invite)).unique()}
        assert generations == {"open@x.example": 2, "bounced@x.example": 2, "declined@x.example": 1}
    assert "Nobody fits" in dana.open("/portals?show=bounced").words


def test_whose_access_ended_by_its_date(
    app: Flask, dana: Staff, world: World, people: dict[str, str]
) -> None:
    """What the preview says is what the job does: no way in is mailed, inviting again and removing work."""
    with app.app_context(), unit_of_work() as session:
        over = utc_now() - timedelta(minutes=1)
        session.execute(
            sa.update(PortalAccess).where(PortalAccess.email == "in@x.example").values(ends_at=over)
        )
    words = dana.open("/portals/bulk?action=resend&show=ended&all=1").words
    assert "1 whose access ended: invite them again, or change the date" in words
    start(dana, "resend")
    work(app)
    assert results(app)["Pat in"] == ("refused", "The access ended. Invite again, or change its date.")
    assert "1 person loses access at once" in dana.open("/portals/bulk?action=remove&show=ended&all=1").words
    (listed,) = dana.client.get("/portals/export.csv?show=ended").text.strip().splitlines()[1:]
    assert "Access ended" in listed
    assert "in@x.example" in listed
    with app.app_context(), unit_of_work():
        target = Target(PortalQuery(show="ended"))
        assert bulk.preview(view_of(world), JobAction.INVITE, target).mails == 1


def test_revoking(app: Flask, dana: Staff, people: dict[str, str]) -> None:
    words = dana.open("/portals/bulk?action=revoke&all=1").words
    assert "2 open invites end, their links stop working 4 have no open invite and stay as they are" in words
    start(dana, "revoke")
    work(app)
    assert states(app, Invite) == {
        "open@x.example": "revoked", "bounced@x.example": "revoked", "declined@x.example": "declined",
    }  # fmt: skip
    assert results(app)["Pat declined"] == ("refused", "The invite was declined already.")


def test_extending_is_without_a_mail_and_never_shorter(
    app: Flask, dana: Staff, people: dict[str, str]
) -> None:
    before = len(mails(app))
    with app.app_context(), unit_of_work() as session:
        late = utc_now() - timedelta(days=1)
        session.execute(sa.update(Invite).where(Invite.email == "open@x.example").values(expires_at=late))
    start(dana, "extend", days="14")
    work(app)
    assert len(mails(app)) == before
    with app.app_context():
        ends = {
            one.email: (one.expires_at - utc_now()).days
            for one in db.session.scalars(sa.select(Invite)).unique()
        }
    assert ends["open@x.example"] == 13
    assert ends["bounced@x.example"] >= 28


def test_removing_access(app: Flask, dana: Staff, people: dict[str, str]) -> None:
    assert "2 people lose their access at once" in dana.open("/portals/bulk?action=remove&all=1").words
    start(dana, "remove")
    work(app)
    assert set(states(app, PortalAccess).values()) == {"removed"}
    assert results(app)["Pat out"] == ("skipped", "The access was removed already.")
    with app.app_context():
        assert len(db.session.scalars(sa.select(Event).where(Event.name == "access_removed")).all()) == 2


def test_chosen_rows_alone(app: Flask, dana: Staff, people: dict[str, str]) -> None:
    shown = dana.open("/portals?show=invited")
    box = shown.tree.xpath("//tr[contains(., 'Pat open')]//input[@name='pick']/@value")[0]
    asked = dana.open(f"/portals/bulk?show=invited&action=revoke&pick={box}")
    assert "Of 1 selected: 1 open invite ends" in asked.words
    asked.press("do=start", "/portals/bulk")
    work(app)
    assert states(app, Invite)["open@x.example"] == "revoked"
    assert states(app, Invite)["bounced@x.example"] == "pending"
    nobody = dana.open("/portals/bulk?show=invited&action=revoke")
    assert "Select somebody first, or choose all that match." in nobody.words
    assert nobody.path == "/portals?show=invited"


def test_a_test_mail_goes_to_oneself_alone(app: Flask, dana: Staff, people: dict[str, str]) -> None:
    before = mails(app)
    asked = dana.open("/portals/bulk?action=resend&all=1")
    done = asked.press("do=test", "/portals/bulk", message="See you")
    assert "A test is on its way to dana@northwind.example." in done.words
    assert mails(app)[len(before) :] == [("dana@northwind.example", "staff_notice", "queued")]
    with app.app_context():
        mail = db.session.scalars(sa.select(Outbox).where(Outbox.kind == "staff_notice")).one()
        assert mail.params["subject"].startswith("Test: ")
        assert any("See you" in paragraph for paragraph in mail.params["paragraphs"])
    assert done.fields("/portals/bulk")["message"] == "See you"


def test_what_cannot_be_taken_is_said(dana: Staff, people: dict[str, str]) -> None:
    asked = dana.open("/portals/bulk?action=resend&all=1")
    wrong = asked.press("do=start", "/portals/bulk", message="{{ person.age }}", days="400")
    assert wrong.status == 422
    assert "Choose 1 to 90 days." in wrong.words
    wrong = asked.press("do=start", "/portals/bulk", message="{{ person.age }}")
    assert "person.age" in wrong.words
    assert dana.open("/portals/bulk?action=import&all=1").status == 404
    assert dana.open("/portals/bulk?action=nonsense&all=1").status == 404


def test_the_permission_and_whose_rows(app: Flask, world: World, dana: Staff, people: dict[str, str]) -> None:
    sam, mia = Staff.of(app, "sam@northwind.example"), Staff.of(app, "mia@northwind.example")
    refused = sam.open("/portals/bulk?action=revoke&all=1")
    assert refused.status == 403
    assert "“Invite, resend, revoke, extend and remove for many people at once”" in refused.words
    assert sam.open("/portals/export.csv").status == 403
    assert sam.open("/portals/import").status == 403
    with app.app_context(), unit_of_work() as session:
        session.execute(
            sa.update(TeamMember).where(TeamMember.id == world.assigned_id).values(permissions=["bulk"])
        )
        session.add(ClientAssignment(client_id=people["open"], team_member_id=world.assigned_id))
    started = mia.open("/portals/bulk?action=revoke&all=1").press("do=start", "/portals/bulk")
    assert "Revoking 1 invite" in started.words
    work(app)
    assert states(app, Invite)["bounced@x.example"] == "pending"
    assert states(app, Invite)["open@x.example"] == "revoked"
    assert dana.open(started.path).status == 404  # a job is its owner's


def test_who_lost_the_permission_or_the_client_meanwhile(
    app: Flask, world: World, people: dict[str, str]
) -> None:
    with app.app_context(), unit_of_work() as session:
        mia = session.get_one(TeamMember, world.assigned_id)
        mia.permissions = ["bulk"]
        session.add(ClientAssignment(client_id=people["open"], team_member_id=mia.id))
    staff = Staff.of(app, "mia@northwind.example")
    staff.open("/portals/bulk?action=revoke&all=1").press("do=start", "/portals/bulk")
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.delete(ClientAssignment))
    work(app)
    assert results(app) == {"Pat open": ("refused", "Not on the record any more, or not yours to see.")}
    with app.app_context(), unit_of_work() as session:
        session.add(ClientAssignment(client_id=people["open"], team_member_id=world.assigned_id))
    staff.open("/portals/bulk?action=revoke&all=1").press("do=start", "/portals/bulk")
    with app.app_context(), unit_of_work() as session:
        session.execute(sa.update(TeamMember).values(permissions=[]))
    work(app)
    assert results(app) == {"Pat open": ("refused", "Who asked for this may not do it any more.")}
    assert states(app, Invite)["open@x.example"] == "pending"


def test_one_bad_row_stops_no_other(
    app: Flask, dana: Staff, people: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(session: Any, context: Any, instances: Any) -> None:
        for row in session.dirty:
            if isinstance(row, Invite) and row.email == "bounced@x.example":
                raise RuntimeError("this row can't be written")

    start(dana, "revoke")
    sa.event.listen(sa.orm.Session, "before_flush", burst)
    try:
        work(app)
    finally:
        sa.event.remove(sa.orm.Session, "before_flush", burst)
    found = {who: outcome for who, (outcome, _) in results(app).items()}
    assert found["Pat bounced"] == "failed"
    assert found["Pat open"] == "done"
    assert states(app, Invite)["bounced@x.example"] == "pending"
    with app.app_context():
        job = db.session.scalars(sa.select(Job)).one()
        assert (job.state.value, job.done, job.refused) == ("done", 6, 5)


def test_a_large_job_costs_the_same_statements_and_the_request_one(app: Flask, world: World) -> None:
    def cost(many: int) -> int:
        for number in range(many):
            make_client(world, f"C{many}-{number}", ("P", f"p{many}-{number}@x.example"))
        with app.app_context():
            with statements() as asked, unit_of_work():
                bulk.start(view_of(world), JobAction.INVITE, Target(PortalQuery(without=True)), {})
            assert len(asked) < 10
            with statements() as seen, unit_of_work():
                bulk_run.step()
        return len([one for one in seen if not one.startswith(("SAVEPOINT", "RELEASE"))])

    assert cost(3) == cost(30)


@pytest.mark.settings(PORTAL_BASE_URL="http://localhost")
def test_the_api_starts_previews_and_tells(app: Flask, world: World, people: dict[str, str]) -> None:
    token = api_token(app, world.admin_id)
    client = app.test_client()
    headers = {"Authorization": f"Bearer {token}"}
    body = {"action": "revoke", "filter": {"show": "invited"}}
    plan = client.post("/api/v1/invites/bulk?dry_run=true", json=body, headers=headers)
    assert plan.status_code == 200
    assert plan.get_json() == {
        "total": 2, "mails": 0, "acts": 2,
        "lines": [{"count": 2, "text": "open invites end, their links stop working"}],
    }  # fmt: skip
    answer = client.post("/api/v1/invites/bulk", json=body, headers=headers)
    assert answer.status_code == 202
    job = answer.get_json()
    assert (job["state"], job["total"], job["done"]) == ("queued", 2, 0)
    work(app)
    job = client.get(f"/api/v1/jobs/{job['id']}", headers=headers).get_json()
    assert (job["state"], job["total"], job["done"], job["not_done"]) == ("done", 2, 2, 0)
    rows = client.get(job["results_url"] + "?limit=1", headers=headers).get_json()
    assert rows["items"][0]["outcome"] == "done"
    more = client.get(f"{job['results_url']}?cursor={rows['next_cursor']}", headers=headers).get_json()
    assert more["next_cursor"] is None
    with app.app_context():
        access = db.session.scalars(
            sa.select(PortalAccess.id).where(PortalAccess.email == "in@x.example")
        ).one()
    removed = client.post("/api/v1/invites/bulk", json={"action": "remove", "ids": [access]}, headers=headers)
    assert removed.status_code == 202
    work(app)
    assert states(app, PortalAccess)["in@x.example"] == "removed"
    for wrong, field in (
        ({"action": "revoke"}, "filter"),
        ({"action": "revoke", "ids": ["nothing"]}, "ids"),
        ({"action": "fly", "ids": ["x"]}, "action"),
        ({"action": "revoke", "filter": {"show": "purple"}}, "filter.show"),
        ({"action": "revoke", "filter": {"nonsense": 1}}, "filter.nonsense"),
    ):
        bad = client.post("/api/v1/invites/bulk", json=wrong, headers=headers)
        assert bad.status_code == 422, wrong
        assert field in bad.get_json()["errors"], bad.get_json()
    sams = {"Authorization": f"Bearer {api_token(app, world.staff_id)}"}
    assert client.post("/api/v1/invites/bulk", json=body, headers=sams).status_code == 403
    assert client.get(f"/api/v1/jobs/{job['id']}", headers=sams).status_code == 404


def api_token(app: Flask, member_id: str) -> str:
    token = f"pi_{member_id}"
    with app.app_context(), unit_of_work() as session:
        session.add(ApiToken(team_member_id=member_id, name="test", token_hash=hash_of_token(token)))
    return token


def test_thousands_of_rows_are_asked_for_in_the_statements_of_a_few(app: Flask, world: World) -> None:
    """How long the request and the worker take is measured in bench/."""
    asked = []
    for number in (3, 2000):
        with app.app_context(), unit_of_work() as session:
            session.execute(sa.delete(JobItem))
            session.execute(sa.delete(Contact))
            session.execute(sa.delete(Client))
        many_clients(world, number)
        with app.app_context(), statements() as seen, unit_of_work():
            job = bulk.start(view_of(world), JobAction.INVITE, Target(PortalQuery(without=True)), {})
            assert job.total == number
        asked.append(len(seen))
    assert asked[0] == asked[1] < 12
