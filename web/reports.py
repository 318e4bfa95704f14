"""`POST /hooks/mail-reports`: delivery reports from a mail system that would rather call than write mail.

Signed by the Standard Webhooks spec with BOUNCE_SECRET: HMAC-SHA256 over id, time and body, in the headers
`webhook-id`, `webhook-timestamp` and `webhook-signature`, five minutes old at most. What is sent again within that
time changes nothing, as a report that was acted on is known. While no secret is set the address doesn't exist.

The body is one mail as it came (`message/rfc822`), or JSON: a list of mails, each as text or as `{"base64": ...}`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import datetime
from math import floor

from flask import Blueprint, Flask, jsonify, request
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from werkzeug.exceptions import BadRequest, Unauthorized, UnsupportedMediaType
from werkzeug.wrappers import Response

import config
from mail import report_reader, reports
from models.errors import Invalid, Missing, TooLarge
from web import limits
from web.access_rules import signed_call

bp = Blueprint("mail_reports", __name__)

MOST_AT_ONCE = 100  # mails in one call


class BytesWebhook(Webhook):
    """The library's check for bodies of any bytes: it knows texts in UTF-8 only, and mails need not be one.

    The body is handed over as latin-1, which maps each byte to one letter, and signed as the same bytes again.
    """

    def sign(self, msg_id: str, timestamp: datetime, data: str) -> str:
        """The signature of these bytes, as the spec has it: over `id.timestamp.body`."""
        to_sign = f"{msg_id}.{floor(timestamp.timestamp())}.".encode() + data.encode("latin-1")
        digest = hmac.digest(self._whsecret, to_sign, "sha256")
        return f"v1,{base64.b64encode(digest).decode()}"


def verify() -> None:
    """Check the call's signature. Raises Missing without BOUNCE_SECRET, TooLarge, or Unauthorized."""
    secret = config.current().bounce_secret
    if secret is None:
        raise Missing
    body = _body()
    try:
        BytesWebhook(secret).verify(body.decode("latin-1"), dict(request.headers), json_parse=False)
    except (
        WebhookVerificationError,
        ValueError,
    ) as error:  # a signature that is no base64, has no version...
        limits.hit("wrong_token")
        raise Unauthorized(
            "This call is not signed, or its signature is wrong or older than 5 minutes."
        ) from error


@bp.post("/hooks/mail-reports")
@signed_call(verify, "a mail system hands over delivery reports, signed with a secret of the operator's")
def take_reports() -> Response:
    """Act on the reports, each in a transaction of its own; what became of each, in the order they came."""
    outcomes = [report_reader.handle(raw).value for raw in _mails()]
    return jsonify(results=[{"outcome": outcome} for outcome in outcomes])


def init_app(app: Flask) -> None:
    """Register the address."""
    app.register_blueprint(bp)


def _body() -> bytes:
    """The body, at most as long as a report can be. Raises TooLarge."""
    sentence = f"Send at most {reports.MOST_BYTES // 1024 // 1024} MB in one call."
    if (request.content_length or 0) > reports.MOST_BYTES:
        raise TooLarge(sentence)
    request.max_content_length = reports.MOST_BYTES  # for a body without a length
    return request.get_data(cache=True)


def _mails() -> list[bytes]:
    """The mails of the call. Raises UnsupportedMediaType, BadRequest or Invalid."""
    if request.mimetype == "message/rfc822":
        return [_body()]
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    mails = request.get_json(silent=True)
    if mails is None:
        raise BadRequest
    if not isinstance(mails, list) or not 1 <= len(mails) <= MOST_AT_ONCE:
        raise Invalid({"messages": [f"Send a list of 1 to {MOST_AT_ONCE} mails."]})
    return [_bytes(place, one) for place, one in enumerate(mails)]


def _bytes(place: int, one: object) -> bytes:
    if isinstance(one, str):
        return one.encode("utf-8", "replace")
    encoded = one.get("base64") if isinstance(one, dict) else None
    if isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Invalid({f"messages.{place}": ["This is not base64."]}) from error
    raise Invalid({f"messages.{place}": ['Send each mail as text, or as {"base64": "..."}.']})
