"""What is known about how a document was signed: the facts that the certificate page prints."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class SignerEvidence:
    """What is known about one signer. Times are aware; unknown ones are None, unknown texts empty.

    `status` is a word for people (`Signed`, `Declined`, `Waiting`). `identified` is a sentence or two saying how we
    knew the person (`Signed in to the Client Portal as ada@example.com; invited by mail to ada@example.com`).
    """

    name: str
    email: str
    status: str
    typed_signature: str = ""
    signed_at: datetime | None = None
    viewed_at: datetime | None = None
    ip: str = ""
    browser: str = ""
    identified: str = ""
    consent: str = ""


@dataclass(frozen=True)
class TimelineEvent:
    """One line of the history: when, what in a sentence, and from which IP address if that matters."""

    at: datetime
    what: str
    ip: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that the certificate says. Times are aware; `zone` is the firm's, by its IANA name.

    `sha256` is the hash in hex of the document as it was uploaded, byte by byte. `status` is the request's, for people.
    `events` are printed in the order of their times.
    """

    title: str
    firm: str
    sha256: str
    signers: Sequence[SignerEvidence]
    events: Sequence[TimelineEvent] = field(default=())
    file_name: str = ""
    pages: int | None = None
    request_id: str = ""
    sent_by: str = ""
    sent_at: datetime | None = None
    completed_at: datetime | None = None
    status: str = "Completed"
    zone: str = "UTC"
    paper: Literal["A4", "Letter"] = "A4"

    def texts(self) -> list[str]:
        """Every text that can carry letters of any script (for `lettering.drawing`)."""
        texts = [self.title, self.firm, self.file_name, self.request_id, self.sent_by, self.status]
        for signer in self.signers:
            texts += [
                signer.name,
                signer.email,
                signer.status,
                signer.typed_signature,
                signer.ip,
                signer.browser,
            ]
            texts += [signer.identified, signer.consent]
        return texts + [part for event in self.events for part in (event.what, event.ip)]
