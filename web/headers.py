"""The headers of every answer, and which hosts are answered at all.

Flask-Talisman sets its headers last and over what a view chose, and knows HSTS by request and Referrer-Policy by
application only; we need a stricter policy on single answers (downloads in a sandbox), no referrer on pages whose
address holds a token, and no-store on all but static files. So one small function sets what isn't set yet.

The Host check stands before Flask: an address Flask can't build links for never reaches a page, while the health
paths answer under any Host, as load balancers ask by address.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

import config

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONTENT_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# For bytes that users uploaded: whatever they hold, it can neither run nor reach anything of ours.
SANDBOX_POLICY = "default-src 'none'; sandbox"
PERMISSIONS = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()"
HSTS = "max-age=31536000"  # not for subdomains: those are not ours to decide
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
ANY_HOST_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
TOKEN_PATHS = ("/portal/invite/", "/portal/sign/", "/reset/")
_FORM_ROOM = 1024 * 1024  # what a form may hold beside an upload of the largest size, in bytes


def init_app(app: Flask) -> None:
    """Set the headers, the Host check, trusted proxies and the upload limit. Call it before other extensions."""
    settings: config.Settings = app.config["PORTAL"]
    app.config.setdefault("MAX_CONTENT_LENGTH", None)
    if app.config["MAX_CONTENT_LENGTH"] is None:
        app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_bytes + _FORM_ROOM
    app.after_request(_set_headers)
    app.wsgi_app = HostCheck(app.wsgi_app, allowed_hosts(settings))  # type: ignore[method-assign]
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]


def allowed_hosts(settings: config.Settings) -> frozenset[str]:
    """The host names answered: PORTAL_BASE_URL's own, and this machine's while it is unset. Any port."""
    own = {(urlsplit(settings.base_url).hostname or "").lower()}
    return frozenset(own if settings.base_url_is_set else own | LOCAL_HOSTS)


class HostCheck:
    """Answers 400 to a request for a host that isn't ours (WSGI middleware)."""

    def __init__(self, inner: WSGIApplication, hosts: frozenset[str]) -> None:
        self.inner = inner
        self.hosts = hosts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass the request on, or answer 400."""
        path = environ.get("PATH_INFO", "")
        if path in ANY_HOST_PATHS or self._knows(environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")):
            return self.inner(environ, start_response)
        if path.startswith("/api/"):
            kind = "application/problem+json"
            body = json.dumps(
                {
                    "type": "urn:portal-invites:problem:unknown_host",
                    "title": "Unknown host",
                    "status": 400,
                    "code": "unknown_host",
                    "detail": "This server isn't known under that host name.",
                }
            )
        else:
            kind = "text/plain; charset=utf-8"
            body = "This server isn't known under that address. Please open the address you were given.\n"
        content = body.encode()
        start_response(
            "400 Bad Request",
            [
                ("Content-Type", kind),
                ("Content-Length", str(len(content))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
                ("Content-Security-Policy", "default-src 'none'"),
            ],
        )
        return [content]

    def _knows(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname, parts.port  # a port that is no number raises
        except ValueError:
            return False
        return bool(name) and parts.netloc == host and "@" not in host and name in self.hosts


def _set_headers(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
    if "frame-ancestors 'none'" in headers["Content-Security-Policy"]:
        headers.setdefault("X-Frame-Options", "DENY")
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault(
        "Referrer-Policy", "no-referrer" if request.path.startswith(TOKEN_PATHS) else "same-origin"
    )
    headers.setdefault("Permissions-Policy", PERMISSIONS)
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    if config.current().https:
        headers.setdefault("Strict-Transport-Security", HSTS)
    if not is_static(request.endpoint) and not response.cache_control.public:
        headers["Cache-Control"] = "no-store"
    return response


def is_static(endpoint: str | None) -> bool:
    """Whether an endpoint serves files that are the same for everybody."""
    return endpoint is not None and (endpoint == "static" or endpoint.endswith(".static"))
