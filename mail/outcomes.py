"""What can become of one attempt to send one mail. The transport says which, the outbox decides what follows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Sent:
    """The relay said 250 to the mail. Whatever went wrong afterwards doesn't matter."""


@dataclass(frozen=True)
class Temporary:
    """Not now: tried again later. `in_doubt`: the line broke after the final dot, so it may have been taken."""

    reason: str
    in_doubt: bool = False
    connection: bool = False  # the relay could not be reached at all, or sent us away (421)
    give_up_after: timedelta | None = None  # shorter than usual: a full mailbox gets a day


@dataclass(frozen=True)
class Permanent:
    """Never: this mail to this address can't be sent. The reason is shown to staff."""

    reason: str


@dataclass(frozen=True)
class RelayBroken:
    """The relay refuses us (sign-in, certificate, sender): no mail's fault, so none fails and all wait."""

    reason: str


@dataclass(frozen=True)
class Dropped:
    """What the mail speaks of is gone, so it isn't sent."""

    reason: str


@dataclass(frozen=True)
class Untouched:
    """Claimed but not begun: given back as it was."""


Outcome = Sent | Temporary | Permanent | RelayBroken | Dropped | Untouched
