"""Errors for people: each has a code, an HTTP status and a sentence that says what to do.

Any room may raise one; `web/errors.py` turns it into a page or into problem details. Everything else that is
raised is a bug and logged as one.
"""

from __future__ import annotations

from collections.abc import Mapping


class ProblemForPeople(Exception):
    """The base. `sentence` is shown as it is; `fields` maps a field's name to its sentences."""

    status = 400
    code = "bad_request"
    title = "This can't be done"

    def __init__(self, sentence: str, fields: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.fields: dict[str, list[str]] = dict(fields or {})


class Missing(ProblemForPeople):
    """No such row, or one of another firm, or one this person may not see: always the same answer."""

    status = 404
    code = "not_found"
    title = "Not found"

    def __init__(self, sentence: str = "There is nothing here, or it isn't yours to see.") -> None:
        super().__init__(sentence)


class Refused(ProblemForPeople):
    """The action as a whole is refused and nothing was kept. Trigger receivers raise it."""

    status = 409
    code = "refused"
    title = "Refused"


class LicenceMissing(ProblemForPeople):
    """The firm has no licence for this workflow."""

    status = 402
    code = "licence_missing"
    title = "Not in your licence"


class PermissionMissing(ProblemForPeople):
    """The team member lacks the named permission."""

    status = 403
    code = "permission_missing"
    title = "Not permitted"


class InviteNotPending(ProblemForPeople):
    """The invite was accepted, declined or revoked in the meantime."""

    status = 409
    code = "invite_not_pending"
    title = "This invite is no longer open"


class WrongState(ProblemForPeople):
    """The thing moved on, so this action doesn't fit any more."""

    status = 409
    code = "wrong_state"
    title = "No longer possible"


class TooLarge(ProblemForPeople):
    """An upload over the limit."""

    status = 413
    code = "too_large"
    title = "Too large"


class Invalid(ProblemForPeople):
    """Fields that can't be taken as they are."""

    status = 422
    code = "invalid"
    title = "Please check the fields"

    def __init__(
        self, fields: Mapping[str, list[str]], sentence: str = "Some fields need another look."
    ) -> None:
        super().__init__(sentence, fields)
