"""Why a mail came back, in words for staff: from the enhanced status code (RFC 3463), else from what was said.

Everything here is plain text. What a stranger's server said is cut, has no control characters, and is shown as text
alone; whoever puts it into a mail must keep addresses in it from becoming links (`mail.render.unlinked`).
"""

from __future__ import annotations

import re

from mail.addresses import one_line

MOST_SAID = 200  # letters of the server's own words
MOST_WORDS = 500  # the outbox keeps that many

COMPLAINT = "The mail was reported as unwanted (spam), by the person or by their mail provider."

_ANY = r"[245]\."
_BY_STATUS = [
    (r"1\.(2|4)|4\.4", "The part of the address after the @ can't be found."),
    (r"1\.6", "The mailbox has moved and left no new address."),
    (r"1\.(0|1|3|10)", "There is no such mailbox."),
    (r"2\.1", "The mailbox is switched off."),
    (r"2\.2", "The mailbox is full."),
    (r"(2\.3|3\.4)", "The mail is larger than the mailbox takes."),
    (r"(4\.\d+|3\.\d+)", "The person's mail server could not be reached in time."),
    (r"7\.\d+", "The person's mail server refused the mail: its rules or its spam filter did not let it in."),
]
_STATUS = [(re.compile(_ANY + pattern + r"\Z"), words) for pattern, words in _BY_STATUS]

_BY_TEXT = [
    (r"mailbox (is |was )?full|over ?quota|quota exceeded|exceed\w* .{0,20}(quota|storage)|out of space",
     "The mailbox is full."),
    (r"host (or domain )?(name )?(unknown|not found)|domain not found|no such (domain|host)|unroute?able|nxdomain"
     r"|couldn't find any host",
     "The part of the address after the @ can't be found."),
    (r"(mailbox|account|user) .{0,30}(disabled|inactive|suspended|deactivated)",
     "The mailbox is switched off."),
    (r"user unknown|unknown (user|recipient|local)|no such (user|person|recipient|mailbox|address|account)"
     r"|does(n't| not) exist|(user|mailbox|recipient|address|account)\b.{0,40}\bnot (found|listed|be found|exist|known)"
     r"|invalid (recipient|mailbox|address|user)|not a (valid|known) user|no mailbox|doesn't have an? .{0,30}account"
     r"|not our customer|unknown to|not listed in",
     "There is no such mailbox."),
    (r"spam|blocked|blacklist|block list|policy|not allowed|access denied|relaying|rejected|administratively",
     "The person's mail server refused the mail: its rules or its spam filter did not let it in."),
    (r"timed? ?out|connection refused|retry time|too long|expired|could not be (reached|contacted)|unreachable",
     "The person's mail server could not be reached in time."),
]  # fmt: skip
_TEXT = [(re.compile(pattern, re.IGNORECASE), words) for pattern, words in _BY_TEXT]

GENERAL = "The mail could not be delivered."
DELAYED = "The mail has not arrived yet; the mail servers keep trying."


def reason(status: str, said: str) -> str:
    """One or two sentences: what is wrong, then the server's own words where there are some."""
    words = _words(status, said)
    own = quoted(said)
    return f"{words} The mail server said: {own}"[:MOST_WORDS] if own else words


def plain_reason(status: str, said: str) -> str:
    """The same in our own words alone, without anything a stranger wrote."""
    return _words(status, said)


def quoted(said: str) -> str:
    """What the server said, on one line and cut to MOST_SAID letters."""
    line = one_line(said)
    return line if len(line) <= MOST_SAID else line[: MOST_SAID - 1].rstrip() + "…"


def _words(status: str, said: str) -> str:
    # 5.0.0 and 5.1.0 say next to nothing, and 5.7.1 is said for unknown mailboxes too: the text is asked first there.
    vague = status.endswith((".0.0", ".1.0", ".5.0", ".7.1")) or not status
    by_status = next((words for pattern, words in _STATUS if pattern.match(status)), "")
    by_text = next((words for pattern, words in _TEXT if pattern.search(said[:2000])), "")
    return (by_text or by_status if vague else by_status or by_text) or GENERAL
