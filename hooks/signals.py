"""The catalogue of signals: every place where other code may join in, declared once with its contract.

Three kinds, because one signal for veto and for jobs serves neither well:

* a *question* is asked before something is shown; receivers return an answer or nothing and write nothing;
* a *trigger* is fired inside the transaction of a work item; a receiver that raises refuses the whole action;
* a *fact* is made by the worker from a committed event, at least once; receivers are isolated from each other.

Blinker shares a signal silently when a name is used twice, holds receivers weakly and leaves the order undefined.
So names are refused a second time here, receivers are held strongly, and nobody may depend on order. Receivers take
keyword arguments and end in `**extra`, so that an argument added later breaks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import structlog
from blinker import NamedSignal
from sqlalchemy.exc import OperationalError

from models.errors import ProblemForPeople, Refused

__all__ = ["CATALOGUE", "DuplicateSignal", "Fact", "Question", "Refused", "Signal", "Trigger", "catalogue"]

log = structlog.get_logger(__name__)

Receiver = TypeVar("Receiver", bound=Callable[..., Any])


class DuplicateSignal(Exception):
    """A second signal of the same name: Blinker would share the first one silently."""


class HookFailed(Refused):
    """A trigger receiver broke; the action is refused because half of it would be worse."""


CATALOGUE: dict[str, Signal] = {}


class Signal(NamedSignal):
    """A signal with its contract; `doc` is composed of when, arguments and answer."""

    kind: ClassVar[str]

    def __init__(
        self, name: str, *, when: str, arguments: Mapping[str, str], answer: str = "Nothing."
    ) -> None:
        if name in CATALOGUE:
            raise DuplicateSignal(f"there is a signal {name!r} already: choose another name")
        self.when, self.arguments, self.answer = when, dict(arguments), answer
        lines = [f"When: {when}", "Sender: the workflow's slug.", "Arguments:"]
        lines += [f"  {key}: {meaning}" for key, meaning in self.arguments.items()]
        super().__init__(name, doc="\n".join([*lines, f"Answer: {answer}"]))
        CATALOGUE[name] = self

    def connect(self, receiver: Receiver, sender: Any = None, weak: bool = False) -> Receiver:
        """Connect strongly (`weak` is accepted for Blinker's sake and ignored); `sender` limits it to one slug."""
        if sender is None:
            return super().connect(receiver, weak=False)
        return super().connect(receiver, sender, weak=False)

    def send(self, *sender: Any, **kwargs: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Refused: each kind has its own verb (ask, fire, deliver)."""
        raise TypeError(f"{self.name} is a {self.kind}: use its own verb instead of send()")

    def _check(self, arguments: Mapping[str, Any]) -> None:
        """The contract holds for those who fire, too. Raises TypeError."""
        if arguments.keys() != self.arguments.keys():
            raise TypeError(f"{self.name} takes exactly {sorted(self.arguments)}, got {sorted(arguments)}")

    def _answers(self, sender: str, arguments: Mapping[str, Any]) -> Iterator[Any]:
        for receiver in self.receivers_for(sender):
            answer = receiver(sender, **arguments)
            if answer is not None:
                yield answer


class Question(Signal):
    """Asked before something is shown. No writing."""

    kind = "question"

    def ask(self, sender: str, **arguments: Any) -> list[Any]:
        """Ask all receivers; the answers that aren't None."""
        self._check(arguments)
        return list(self._answers(sender, arguments))


class Trigger(Signal):
    """Fired inside the transaction of the work item."""

    kind = "trigger"

    def fire(self, sender: str, **arguments: Any) -> list[Any]:
        """Fire inside the open unit of work; the answers that aren't None.

        Raises what the receiver raised if that is meant for people (`Refused` above all), else HookFailed: in both
        cases the edge rolls back and nothing is kept.
        """
        self._check(arguments)
        try:
            return list(self._answers(sender, arguments))
        except (ProblemForPeople, OperationalError):  # a database that is away is no extension's fault
            raise
        except Exception as error:
            log.exception("a receiver failed, the action was refused", trigger=self.name, sender=sender)
            raise HookFailed(
                "An extension of this installation failed, so nothing was sent or kept. Ask your administrator."
            ) from error


class Fact(Signal):
    """Something that is true and committed. Only the dispatcher delivers facts; to make one, append an event."""

    kind = "fact"

    def deliver(self, receiver: Callable[..., Any], sender: str, **arguments: Any) -> Any:
        """Call one receiver (the dispatcher isolates each)."""
        return receiver(sender, **arguments)


def catalogue(kind: type[Signal] | None = None) -> list[Signal]:
    """All declared signals, or those of one kind, in the order of declaration."""
    return [signal for signal in CATALOGUE.values() if kind is None or isinstance(signal, kind)]


_ITEMS = "list of WorkItem rows that become real together (mostly one)"
_CLIENT = "the Client row"
_MEMBER = "the TeamMember who sends"


def sending_question(name: str, what: str) -> Question:
    """The question of a workflow: who can get in, asked when staff open the send form."""
    return Question(
        name,
        when=f"staff are about to {what}; nothing is kept yet.",
        arguments={
            "client": _CLIENT,
            "member": _MEMBER,
            "title": "what the item will be called",
            "items": f"{_ITEMS}; empty where none exists yet",
            "must_see": "list of (name, address) who must see it, such as signers; empty: the client's usual ones",
        },
        answer="an invites.step.InviteStep, or nothing. Receivers must not write.",
    )


def sending_trigger(name: str, what: str) -> Trigger:
    """The trigger of a workflow: the item becomes real, inside its transaction."""
    return Trigger(
        name,
        when=f"staff {what}; inside the transaction, rows are flushed and not committed.",
        arguments={
            "items": _ITEMS,
            "client": _CLIENT,
            "member": _MEMBER,
            "invite": "the invites.orders.InviteOrder of the window, or None where staff send without inviting",
            "notify": "list of (name, address) who must see it, such as signers; empty: the client's usual ones",
        },
        answer="a list of invites.orders.InviteResult, or nothing. Raise hooks.Refused to refuse the whole action.",
    )


def fact(name: str, when: str, **data: str) -> Fact:
    """A fact; `data` names the plain values in its `data` argument."""
    extra = "; ".join(f"{key}: {meaning}" for key, meaning in data.items()) or "nothing more"
    return Fact(
        name,
        when=f"{when} Delivered by the worker after the commit, at least once.",
        arguments={
            "event_id": "id of the committed event; the same at each delivery, so that you can fold repeats",
            "occurred_at": "RFC 3339 text in UTC",
            "firm_id": "id",
            "client_id": "id or None",
            "item_id": "id or None",
            "invite_id": "id or None",
            "access_id": "id or None",
            "actor": "`member:ID`, `login:ID` or `system`",
            "data": f"plain values ({extra})",
        },
        answer="Ignored. A receiver that raises or hangs is logged and harms nobody.",
    )


client_request_sending = sending_question("client_request_sending", "send a client request")
file_visibility_changing = sending_question("file_visibility_changing", "make files visible")
esign_request_sending = sending_question("esign_request_sending", "send an eSign request")

client_request_sent = sending_trigger("client_request_sent", "send a client request")
file_made_visible = sending_trigger("file_made_visible", "make files visible")
esign_request_sent = sending_trigger("esign_request_sent", "send an eSign request")
file_uploaded = Trigger(
    "file_uploaded",
    when="a file was stored for a client, by staff or by the client; inside the transaction. It is not visible yet.",
    arguments={
        "items": _ITEMS,
        "client": _CLIENT,
        "member": "the TeamMember who uploaded, or None for the client",
    },
    answer="Nothing. Raise hooks.Refused to refuse the upload.",
)

invite_created = fact("invite_created", "A person was invited to a client's portal.")
invite_mailed = fact("invite_mailed", "The relay took the first mail of an invite.")
invite_bounced = fact(
    "invite_bounced",
    "A delivery report says that the invite's mail did not arrive.",
    reason="the report's words",
)
invite_resent = fact("invite_resent", "A fresh link was mailed; older links say so.")
invite_accepted = fact("invite_accepted", "The person accepted and has access.")
invite_declined = fact("invite_declined", "The person declined.", reason="`declined` or `not_me`")
invite_revoked = fact("invite_revoked", "Staff revoked a pending invite.")
invite_expired = fact("invite_expired", "A pending invite's time is over.")
access_removed = fact("access_removed", "Staff removed a person's access to a client.")
access_suspended = fact("access_suspended", "Staff suspended a person's access to a client.")
access_restored = fact("access_restored", "Staff restored a person's access to a client.")
client_request_viewed = fact(
    "client_request_viewed", "A portal user opened a client request for the first time."
)
client_request_submitted = fact("client_request_submitted", "The client submitted the answers.")
file_opened = fact("file_opened", "A portal user opened or downloaded a file for the first time.")
esign_request_signed = fact("esign_request_signed", "One signer signed.", signer_id="id")
esign_request_completed = fact(
    "esign_request_completed", "All signed and the document is sealed.", sha256="of the sealed PDF"
)
esign_request_declined = fact("esign_request_declined", "A signer declined.", signer_id="id")
