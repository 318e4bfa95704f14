"""What an answer of the relay means, by the step at which it came. The one place that decides it."""

from __future__ import annotations

from datetime import timedelta

from mail.addresses import one_line
from mail.outcomes import Outcome, Permanent, RelayBroken, Temporary

FULL_MAILBOX_GETS = timedelta(days=1)


def verdict(step: str, code: int, text: bytes | str) -> Outcome:
    """What an answer that isn't the wanted one means, by where it came."""
    said = f"{code} {readable(text)}"
    if code == 421 or code < 400 or code >= 600:
        return Temporary(f"it said {said}", connection=True)
    if code < 500:
        return Temporary(f"it said {said}", connection=step in {"greeting", "sign-in"})
    if step in {"greeting", "sign-in", "sender"} or code in {530, 535, 538}:
        return RelayBroken(f"it refused us ({step}): {said}")
    if code == 552 or "5.2.2" in said:
        return Temporary(f"the mailbox is full: {said}", give_up_after=FULL_MAILBOX_GETS)
    return Permanent(f"The mail server refused the {step}: {said}")


def readable(text: bytes | str) -> str:
    """What the relay said, as one line for people."""
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return one_line(shown)[:300]
