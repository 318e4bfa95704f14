"""The calm line that staff read while mail does not leave: nothing is lost, and what an admin can make of it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from mail import outbox
from models import TeamMember

HELD = "Mail is held until the operator releases it. Nothing is lost, and what you send waits with it."
WAITING = "Waiting for the mail server. Nothing is lost: mails leave by themselves once it answers."


def mail_note(member: TeamMember) -> str:
    """One or two sentences, or nothing while mail flows; who may change the settings also reads what the relay says."""
    if outbox.is_held():
        return HELD
    pause = outbox.relay_pause()
    if pause is None:
        return ""
    if not member.may("settings"):
        return WAITING
    since = pause.since.astimezone(ZoneInfo(member.firm.time_zone))
    said = pause.reason.strip().rstrip(".")
    return f"{WAITING} Since {since.day} {since:%b %Y, %H:%M}: {said}. It is asked again every minute."
