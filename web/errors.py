"""What people and programs read when something can't be done.

Under `/api/` problem details (RFC 9457) as JSON, everywhere else a page with a plain sentence, what to do next and a
way home. What nobody foresaw is logged with its traceback and a short reference; the page shows the reference alone.

flask-smorest registers a handler for every HTTP error of the application, which would turn pages into JSON and drop
`Allow` from a 405; `init_app` is called after it and takes its place.
"""

from __future__ import annotations

import errno
import logging
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import sqlalchemy as sa
from flask import Flask, Response, current_app, g, jsonify, render_template, request
from flask_wtf.csrf import CSRFError
from jinja2 import TemplateError
from markupsafe import escape
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BuildError

import config
from invites.spoken import language_of
from languages import SOURCE, knows, worded
from models import db
from models.errors import ProblemForPeople
from web.language import speak
from web.redirects import safe_next
from web.who import current_login, home_url, is_signed_in

logger = logging.getLogger(__name__)

_MEGABYTE = 1024 * 1024

# status: (code, title, sentence, what to do next)
WORDS = {
    400: (
        "bad_request",
        "This could not be read",
        "Something in what was sent was missing or damaged.",
        "Go back, load the page again and send it once more.",
    ),
    401: (
        "unauthorized",
        "Please sign in",
        "This is only for people who are signed in.",
        "Sign in and try again.",
    ),
    403: (
        "forbidden",
        "Not permitted",
        "Your login may not do this.",
        "Ask an admin of your firm if you think it should.",
    ),
    404: (
        "not_found",
        "Not found",
        "There is nothing here, or it isn't yours to see.",
        "Check the address, or begin again from your start page.",
    ),
    405: (
        "method_not_allowed",
        "This can't be opened like that",
        "This address only takes what a form sends to it.",
        "Go back and use the button on the page.",
    ),
    413: ("too_large", "Too large", "", "Choose a smaller file, or send it in parts."),
    415: (
        "unsupported_media_type",
        "Wrong kind of content",
        "This kind of content can't be taken here.",
        "Send it in the form the documentation names.",
    ),
    422: (
        "invalid",
        "Please check the fields",
        "Some fields need another look.",
        "Go back, correct them and send the form again.",
    ),
    429: (
        "too_many_requests",
        "Too many tries",
        "That was tried too often.",
        "Wait a while, then try again.",
    ),
    500: (
        "internal_error",
        "Something went wrong on our side",
        "It was noted and nothing of it was kept.",
        "Please try again. If it happens again, tell us the reference below.",
    ),
    503: (
        "unavailable",
        "We can't answer right now",
        "Something we depend on gives no answer. Nothing you did is lost.",
        "Please try again in a minute.",
    ),
    507: (
        "no_room",
        "There is no room left",
        "The server's disk is full, so nothing of this was kept.",
        "Tell whoever looks after the server. Once there is room, try again.",
    ),
}
# Where marshmallow's messages say a value came from; people know the field alone.
_PLACES = frozenset({"json", "query", "querystring", "form", "files", "json_or_form", "headers", "path"})
_STALE_FORM = (
    "stale_form",
    "Please send it again",
    "The form was no longer valid: you signed in or out meanwhile, or the browser keeps no cookies.",
    "Go back, load the page again and send it once more.",
)


def init_app(app: Flask) -> None:
    """Answer every error. Call it last, after the API's set-up."""
    # Tests read what people read; the traceback is in the log.
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.register_error_handler(ProblemForPeople, _problem)
    app.register_error_handler(CSRFError, _stale_form)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def answer(
    status: int,
    code: str,
    title: str,
    sentence: str,
    next_step: str = "",
    fields: Mapping[str, list[str]] | None = None,
    reference: str | None = None,
) -> Response:
    """An error as problem details where programs call (`/api/`, `/hooks/`), as a page elsewhere."""
    if request.path.startswith(("/api/", "/hooks/")):
        return problem_details(status, code, title, sentence, fields, reference)
    try:
        signed_in = is_signed_in()
        home = home_url()
        speak(_language([title, sentence, *([next_step] if next_step else []), *_all(fields or {})]))
        page = render_template(
            "error.html",
            status=status,
            code=code,
            title=title,
            sentence=sentence,
            next_step=next_step,
            fields=dict(fields or {}),
            reference=reference,
            back_url=home,
            back_label="To your start page" if signed_in else "To the sign-in page",
            came_from=_came_from(home) if signed_in else None,
        )
    except (sa.exc.SQLAlchemyError, TemplateError, BuildError, RuntimeError):
        # The page itself needs the database and the templates; without them the words stand alone.
        logger.exception("the error page could not be made")
        page = _plain_page(title, sentence, next_step, reference)
    return Response(page, status, mimetype="text/html")


def _language(texts: Sequence[str]) -> str:
    """That of the page which broke, or of the client who is signed in, where all of these texts are known in it."""
    language = g.get("language")
    if language is None and request.path.startswith("/portal/") and is_signed_in():
        language = language_of(current_login())
    return language if language and all(knows(language, text) for text in texts) else SOURCE


def _all(fields: Mapping[str, list[str]]) -> list[str]:
    return [sentence for sentences in fields.values() for sentence in sentences]


def _came_from(home: str) -> str | None:
    """The page of ours that led here, to go back to; None where it is this very address or the start page."""
    page = safe_next(request.referrer)
    return None if page in {None, home, request.full_path, request.path} else page


def problem_details(
    status: int,
    code: str,
    title: str,
    detail: str,
    fields: Mapping[str, list[str]] | None = None,
    reference: str | None = None,
) -> Response:
    """`{type, title, status, code, detail}`, with `errors` per field and a `reference` where there are some."""
    body: dict[str, Any] = {
        "type": f"urn:portal-invites:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
    }
    if fields or status == 422:
        body["errors"] = {field: list(sentences) for field, sentences in (fields or {}).items()}
    if reference is not None:
        body["reference"] = reference
    response = jsonify(body)
    response.status_code = status
    response.mimetype = "application/problem+json"
    return response


def field_errors(messages: Any, path: str = "") -> dict[str, list[str]]:
    """marshmallow's nested messages as `{"recipients.0.email": [sentence]}`; the place they came from is left out."""
    if isinstance(messages, str):
        return {path or "body": [messages]}
    if isinstance(messages, list | tuple):
        return {path or "body": [str(message) for message in messages]}
    found: dict[str, list[str]] = {}
    for key, value in dict(messages or {}).items():
        inner = (
            path
            if key == "_schema" or (not path and key in _PLACES)
            else f"{path}.{key}"
            if path
            else str(key)
        )
        for field, sentences in field_errors(value, inner).items():
            found.setdefault(field, []).extend(sentences)
    return found


def _problem(error: ProblemForPeople) -> Response:
    return answer(error.status, error.code, error.title, error.sentence, fields=error.fields)


def _stale_form(error: CSRFError) -> Response:
    return answer(400, *_STALE_FORM)


def _http_error(error: HTTPException) -> Response | HTTPException:
    if error.response is not None or error.code is None or error.code < 400:
        return error  # a redirect, or an answer a view made itself
    status = error.code
    code, title, sentence, next_step = WORDS.get(status) or _other_words(status)
    fields: dict[str, list[str]] = {}
    data: Mapping[str, Any] = getattr(error, "data", None) or {}
    if status == 413:
        sentence = _largest_upload()
    elif status in {401, 429} and error.description:
        sentence = error.description
    elif data.get("messages"):
        fields = field_errors(data["messages"])
    if data.get("message"):
        sentence = str(data["message"])
    reference = _note(error) if status == 500 else None
    response = answer(status, code, title, sentence, next_step, fields, reference)
    for name, value in error.get_headers():
        if name not in {"Content-Type", "Content-Length"}:
            response.headers[name] = value  # Allow, Retry-After, WWW-Authenticate
    for name, value in (data.get("headers") or {}).items():
        response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    reference = _note(error)
    status = 507 if _says_no_room(error) else 503 if _says_no_answer(error) else 500
    code, title, sentence, next_step = WORDS[status]
    return answer(status, code, title, sentence, next_step, reference=reference)


def _says_no_room(error: Exception) -> bool:
    """Whether the disk is full, as SQLite, PostgreSQL or the files tell it."""
    cause = getattr(error, "orig", error)
    return (
        getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        or getattr(cause, "sqlstate", None) == "53100"
        or getattr(cause, "errno", None) == errno.ENOSPC
    )


def _says_no_answer(error: Exception) -> bool:
    """Whether the file store can't be reached, as Amazon's library tells it (which few have installed)."""
    return type(error).__module__.startswith("botocore.")


def _note(error: Exception) -> str:
    """Log an error with its traceback and end what it left half done; the reference that finds it in the log."""
    reference = secrets.token_hex(4)
    cause = getattr(error, "original_exception", None) or error
    logger.error(
        "unexpected error %s at %s %s",
        reference,
        request.method,
        request.endpoint or "no endpoint",
        exc_info=cause,
    )
    db.session.rollback()
    return reference


def _other_words(status: int) -> tuple[str, str, str, str]:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Not possible"
    return (
        phrase.lower().replace(" ", "_").replace("-", "_"),
        phrase,
        f"{phrase}.",
        "Go back and try another way.",
    )


def _largest_upload() -> str:
    settings: config.Settings = current_app.config["PORTAL"]
    most = settings.max_upload_bytes // _MEGABYTE
    return worded("This is too large: at most %(most)s MB can be sent at once.", most=most)


def _plain_page(title: str, sentence: str, next_step: str, reference: str | None) -> str:
    shown = f"<p>Reference: {escape(reference)}</p>" if reference else ""
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title></head><body><main><h1>{escape(title)}</h1><p>{escape(sentence)}</p>"
        f"<p>{escape(next_step)}</p>{shown}<p><a href='/'>To the start</a></p></main></body></html>"
    )
