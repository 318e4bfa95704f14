"""Flask-Security's writing, done at our edge.

It commits by itself, in the middle of a transaction that began by reading; on SQLite such a transaction can't become
a writer once somebody else wrote. So `EdgeDatastore.commit()` repeats its changes inside one unit of work, together
with the mails it sends and what else waits: a changed password and its notice are kept together or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Response, after_this_request, current_app, has_request_context
from flask_security import FSQLALiteUserDatastore, MailUtil, RoleMixin
from flask_security.mail_util import EmailValidateException

import config
from invites.spoken import language_of
from languages import say
from mail import outbox
from mail.links import page_link
from models import Login, db, unit_of_work
from models.address import BadAddress, parse_address

RESET_WITHIN = timedelta(hours=4)
_PENDING = "portal_security_pending"


class NoRole(RoleMixin):
    """Flask-Security asks for a role model; what a login may do follows from its places at firms and clients."""


class EdgeDatastore(FSQLALiteUserDatastore):
    """Flask-Security's commit as one unit of work."""

    def commit(self) -> None:
        """Repeat what was changed so far, and what waits for it (mails, notes), inside one unit of work."""
        session = db.session
        changes = [
            (row, {attr.key: attr.value for attr in sa.inspect(row).attrs if attr.history.has_changes()})
            for row in session.dirty
        ]
        new = list(session.new)
        waiting: list[Callable[[], None]] = session.info.pop(_PENDING, [])
        if not (changes or new or waiting):
            return
        for row in new:
            session.expunge(row)
        session.rollback()
        with unit_of_work():
            session.add_all(new)
            for row, values in changes:
                for name, value in values.items():
                    setattr(row, name, value)
            for act in waiting:
                act()


class Mails(MailUtil):
    """Flask-Security's addresses by our parser, its mails through our outbox."""

    def normalize(self, email: str) -> str:
        """The looked-up form of an address. Raises EmailValidateException with the sentence for the field."""
        try:
            return parse_address(email).key
        except BadAddress as error:
            raise EmailValidateException(str(error)) from error

    def validate(self, email: str) -> str:
        """The same: whether a mail arrives is seen when it is sent."""
        return self.normalize(email)

    def send_mail(
        self, template: str, subject: str, recipient: Any, sender: Any, *rest: Any, **kwargs: Any
    ) -> None:
        """Put the mail into the outbox with this request's changes. Raises KeyError for a mail without a text."""
        login: Login = kwargs["user"]
        address, name = login.email, login.name
        settings, language = config.current(), language_of(login)
        if template == "security/email/reset_instructions":
            link = page_link(settings, f"/reset/{kwargs['reset_token']}")
            hours = int(RESET_WITHIN.total_seconds() // 3600)
            text: dict[str, Any] = {
                "subject": say(language, "Choose a new password"),
                "paragraphs": [
                    say(language, "Somebody, most likely you, asked for a new password for this address."),
                    say(language, "The button below works for %(hours)s hours and once.", hours=hours),
                    say(language, "If it wasn't you, there is nothing to do: your password stays as it is."),
                ],
                "button": (say(language, "Choose a new password"), link),
            }
        elif template == "security/email/reset_notice":
            text = {
                "subject": say(language, "Your password was changed"),
                "paragraphs": [
                    say(language, "Your password was changed just now, and all your sessions were ended."),
                    say(
                        language,
                        "If it wasn't you, choose a new one at once, and tell the firm you work with.",
                    ),
                ],
                "button": (say(language, "Choose a new password"), page_link(settings, "/reset")),
            }
        else:
            raise KeyError(f"no text for the mail {template}")
        text["language"] = language
        at_commit(lambda: _enqueue(address, name, text))
        if has_request_context():
            after_this_request(_commit_response)


def at_commit(act: Callable[[], None]) -> None:
    """Do `act` in the unit of work of Flask-Security's next commit."""
    db.session.info.setdefault(_PENDING, []).append(act)


def datastore() -> EdgeDatastore:
    """The application's datastore."""
    found: EdgeDatastore = current_app.extensions["security"].datastore
    return found


def looked_up(identity: object) -> str | None:
    """The form of an address that is looked up, or None for what is no address."""
    try:
        return parse_address(identity).key
    except BadAddress:
        return None


def _enqueue(address: str, name: str, text: dict[str, Any]) -> None:
    outbox.enqueue_security(to_email=address, to_name=name, **text)


def _commit_response(response: Response) -> Response:
    datastore().commit()
    return response
