"""Failpoints: what PORTAL_FAILPOINT may say, and that it reaches a process through its environment alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from models import failpoints


def test_several_points_with_their_actions() -> None:
    text = " delivery.after_accept:kill, invite.after_insert:raise ,delivery.before_settle:sleep=0.5,"
    assert failpoints.read(text) == {
        "delivery.after_accept": "kill",
        "invite.after_insert": "raise",
        "delivery.before_settle": "sleep=0.5",
    }
    assert failpoints.read("") == {}


@pytest.mark.parametrize(
    "text",
    [
        "delivery.nowhere:kill",
        "delivery.after_accept",
        "delivery.after_accept:sleep",
        "delivery.after_accept:sleep=x",
    ],
)
def test_what_is_no_failpoint_is_told_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="PORTAL_FAILPOINT"):
        failpoints.read(text)


def process(value: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that reaches two points."""
    code = "from models.failpoints import reach; reach('invite.after_insert'); reach('accept.after_update'); print('alive')"
    environment = {**os.environ, "PORTAL_FAILPOINT": value}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_each_action() -> None:
    assert process("").stdout == "alive\n"
    assert process("delivery.after_accept:kill,accept.after_update:sleep=0.01").stdout == "alive\n"
    assert process("accept.after_update:kill").returncode == -signal.SIGKILL
    assert "FailpointReached: invite.after_insert" in process("invite.after_insert:raise").stderr
