"""Failpoints: named places where a drill lets a process die, fail or wait, chosen by the environment alone.

    PORTAL_FAILPOINT=delivery.after_accept:kill
    PORTAL_FAILPOINT=delivery.before_settle:sleep=2,invite.after_insert:raise

Read once, when the process starts: no setting, row or request can reach one, and where the variable is unset a place
costs one look at an empty dictionary. They lie in the lowest room because every room above has such places.
"""

from __future__ import annotations

import os
import signal
import time

POINTS = frozenset(
    {
        "delivery.before_claim",
        "delivery.after_claim",
        "delivery.after_connect",
        "delivery.after_data_sent",  # the text is sent, the final dot is not
        "delivery.after_accept",  # the relay said 250, nothing of ours knows it yet
        "delivery.before_settle",
        "delivery.after_settle",
        "invite.after_insert",
        "accept.after_update",
        "job.after_batch",  # the batch is worked and marked, its commit is not
    }
)


class FailpointReached(RuntimeError):
    """Raised where PORTAL_FAILPOINT asks for `raise`."""


def read(text: str) -> dict[str, str]:
    """Point -> action. Raises ValueError with one line for what is no point or no action."""
    chosen: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        point, _, action = part.partition(":")
        if point not in POINTS:
            raise ValueError(
                f"PORTAL_FAILPOINT: there is no point {point!r}; there are {', '.join(sorted(POINTS))}"
            )
        seconds = action.removeprefix("sleep=")
        if action not in {"kill", "raise"} and (
            seconds == action or not seconds.replace(".", "", 1).isdigit()
        ):
            raise ValueError(f"PORTAL_FAILPOINT: {part!r} must end in :kill, :raise or :sleep=SECONDS")
        chosen[point] = action
    return chosen


_CHOSEN = read(os.environ.get("PORTAL_FAILPOINT", ""))


def reach(point: str) -> None:
    """Say that this place is reached. Raises FailpointReached, sleeps, or never returns, where a drill asks for it."""
    if _CHOSEN and point in _CHOSEN:
        _act(point, _CHOSEN[point])


def stops_at(point: str) -> bool:
    """Whether a drill chose this place: for a place that lies within what is otherwise one step."""
    return point in _CHOSEN


def _act(point: str, action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "raise":
        raise FailpointReached(point)
    else:
        time.sleep(float(action.removeprefix("sleep=")))
