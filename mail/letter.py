"""A mail ready to be sent, as Flask-Mail's `Message`."""

from __future__ import annotations

import email.policy

import flask_mail


class Letter(flask_mail.Message):
    """A mail whose bytes are ready. Receivers of `email_dispatched` see what they know from Flask-Mail."""

    def __init__(self, *, sender: str, recipient: str, subject: str, message_id: str, raw: bytes) -> None:
        # Message.__init__ asks the resolver for this machine's name on each call (make_msgid), which may take
        # seconds; so its attributes are set here.
        self.recipients = [recipient]
        self.subject, self.sender = subject, sender
        self.msgId = message_id
        self.reply_to = self.date = self.charset = self.extra_headers = None
        self.cc, self.bcc, self.attachments = [], [], []
        self.mail_options, self.rcpt_options = [], []
        self.raw = raw

    # Text and HTML are read from the bytes when somebody asks, which is nearly never: a batch holds each mail once.

    @property
    def body(self) -> str:  # type: ignore[override]
        """The plain text."""
        return self._part("plain")

    @property
    def alts(self) -> dict[str, str]:  # type: ignore[override]
        """The HTML, where there is one."""
        html = self._part("html")
        return {"html": html} if html else {}

    def _part(self, subtype: str) -> str:
        found = email.message_from_bytes(self.raw, policy=email.policy.default).get_body((subtype,))
        return "" if found is None else str(found.get_content()).replace("\r\n", "\n")

    def as_bytes(self) -> bytes:
        """The bytes as they go over the wire."""
        return self.raw
