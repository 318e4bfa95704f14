"""The mail of a played life (`life_moves.py`): workers that send, die and come back, and reports of what came back.

Each mail a worker takes is held against what is believed at that moment: none may be taken after its invite was
answered, revoked or replaced, or its time was over, and none may be in two hands.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from invites import accept
from invites.accept import LinkState
from mail import bounces, claim, settle
from mail.claim import Claimed
from mail.outcomes import Outcome, Permanent, Sent, Temporary
from mail.reports import Failure, Kind, Report
from mail.settle import Result
from models import InviteState, MailKind, MailState, Outbox, db, unit_of_work, utc_now
from models.outbox import INVITE_MAILS, REMINDERS
from tests.support.life_moves import Play
from tests.support.life_stage import Told
from tests.support.world import hashed

LEASE = timedelta(minutes=5)
FOREIGN = "<foreign@other.example>"
ANSWERS: dict[str, Outcome] = {
    "sent": Sent(),
    "later": Temporary("450 later"),
    "refused": Permanent("550 no"),
}


class Post:
    """The workers and the bounce mailbox of one life."""

    def __init__(self, stage: Play) -> None:
        self.stage = stage
        self.hands: dict[str, datetime] = {}  # mail -> until when a worker has it

    def take(self) -> list[Claimed]:
        """A worker takes what is due."""
        now = utc_now()
        with unit_of_work():
            mails = claim.claim(100, now, LEASE.total_seconds())
        for mail in mails:
            self._may_go(mail, now)
            self.hands[mail.id] = now + LEASE
        return mails

    def send(self, answer: str = "sent") -> None:
        """A worker takes what is due and the relay answers."""
        mails = self.take()
        with unit_of_work():
            settle.settle([Result(mail, ANSWERS[answer]) for mail in mails], utc_now())
        for mail in mails:
            del self.hands[mail.id]
            if answer == "sent" and mail.kind is MailKind.INVITE:
                self._mailed(mail.firm_id, mail.invite_id)

    def come_back(self, mails: list[Claimed]) -> None:
        """A worker that took these was only slow: what it sent counts where the mail is still its own."""
        with unit_of_work() as session:
            states = (
                sa.select(Outbox.id, Outbox.state, Outbox.lease)
                .where(Outbox.id.in_([mail.id for mail in mails]))
            )  # fmt: skip
            rows = {row.id: row for row in session.execute(states)}
            ours = [
                mail
                for mail in mails
                if (rows[mail.id].state, rows[mail.id].lease) == (MailState.SENDING, mail.lease)
            ]
            assert settle.settle([Result(mail, Sent()) for mail in mails], utc_now()) == len(ours)
        for mail in ours:
            self.hands.pop(mail.id, None)
            if mail.kind is MailKind.INVITE:
                self._mailed(mail.firm_id, mail.invite_id)

    def ask_for_a_code(self, told: Told) -> None:
        """A new person enters name and password; the code to end with is mailed."""
        link = self.stage.look(told, told.generation)
        if link.state is LinkState.LIVE:
            with unit_of_work():
                accept.begin(accept.look_up(self.stage.token(told, told.generation)), "Ada", hashed())

    def report(self, told: Told, kind: Kind, foreign: str = "") -> None:
        """A delivery report about the newest mail of an invite.

        `foreign`: "unknown" names no mail of ours, but the person's address; "row" names a mail of another firm that
        says it is about this invite. Neither may touch anything.
        """
        mail = self._newest(told)
        if mail is None:
            return
        message_id = mail.message_id
        if foreign == "unknown":
            message_id = "<nobody@elsewhere.example>"
        elif foreign == "row":
            message_id = self._foreign_row(told)
        failure = Failure(kind, frozenset({told.email}), "5.1.1", "no such person")
        was, touches = mail.state, told.state is InviteState.PENDING and not self._is_active(told)
        with unit_of_work():
            outcome = bounces.apply(Report(kind, (failure,), ((message_id,),)), utc_now())
        if foreign:
            assert outcome is bounces.Outcome.UNKNOWN
            with unit_of_work() as session:
                session.execute(sa.delete(Outbox).where(Outbox.message_id == FOREIGN))
            return
        if not touches:
            assert outcome is bounces.Outcome.LATE
        if kind is Kind.TEMPORARY or outcome not in {bounces.Outcome.BOUNCED, bounces.Outcome.NOTED}:
            return
        assert touches
        self.hands.pop(mail.id, None)
        if was is not MailState.SENT and mail.kind is MailKind.INVITE:
            self._mailed(told.firm_id, told.id)
        if outcome is bounces.Outcome.BOUNCED:
            self.stage.events[told.firm_id, "invite_bounced", told.id] += 1
        if kind is Kind.COMPLAINT:
            told.reminds = False

    def _may_go(self, mail: Claimed, now: datetime) -> None:
        assert self.hands.get(mail.id, now) <= now, "in two hands"
        if mail.kind in INVITE_MAILS or mail.kind is MailKind.ACCEPT_CODE:
            told = self.stage.invites[mail.invite_id]
            assert told.state is InviteState.PENDING, f"a {mail.kind} goes out though it was {told.state}"
            assert told.ends > now, f"a {mail.kind} goes out after the expiry"
            assert (mail.firm_id, mail.to_email) == (told.firm_id, told.email)
            if mail.kind in INVITE_MAILS:
                assert mail.generation == told.generation, "an older link goes out"
            if mail.kind in REMINDERS:
                assert told.reminds, "a reminder goes out though they were stopped"
        if mail.access_id is not None:
            place = self.stage.places[mail.access_id]
            assert place.lets_in, f"a {mail.kind} goes out to somebody {place.state} until {place.until}"

    def _mailed(self, firm_id: str | None, invite_id: str | None) -> None:
        self.stage.events[str(firm_id), "invite_mailed", invite_id] += 1

    def _is_active(self, told: Told) -> bool:
        return any(
            (place.client_id, place.email, place.lets_in) == (told.client_id, told.email, True)
            for place in self.stage.places.values()
        )

    def _newest(self, told: Told) -> Outbox | None:
        return db.session.scalars(
            sa.select(Outbox)
            .where(
                Outbox.invite_id == told.id,
                Outbox.kind.in_(INVITE_MAILS),
                Outbox.state.in_([MailState.SENDING, MailState.SENT, MailState.BOUNCED]),
            )
            .order_by(Outbox.created_at.desc(), Outbox.id.desc())
            .limit(1)
            .execution_options(populate_existing=True)
        ).one_or_none()

    def _foreign_row(self, told: Told) -> str:
        """A mail that the other firm sent, which by no door of the product could name this invite."""
        (other,) = (world for world in self.stage.worlds if world.firm_id != told.firm_id)
        with unit_of_work() as session:
            session.add(
                Outbox(
                    firm_id=other.firm_id, kind=MailKind.INVITE, to_email=told.email, invite_id=told.id,
                    generation=told.generation, sender_id=other.admin_id, state=MailState.SENT, sent_at=utc_now(),
                    message_id=FOREIGN,
                )
            )  # fmt: skip
        return FOREIGN
