"""The docs page at /api/docs: Swagger UI from the installed package, nothing from outside, no inline script."""

from __future__ import annotations

from importlib.resources import files

from flask import Blueprint, Flask, render_template, send_from_directory
from werkzeug.wrappers import Response

from web.access_rules import public_page

INTRODUCTION = (
    "Send `Authorization: Bearer TOKEN`; make a token with `python app.py create-token --email E`. Ids are opaque"
    " strings, times are RFC 3339 in UTC. Errors are problem details (RFC 9457) with one sentence per field. Every POST"
    " takes `Idempotency-Key`; sending calls take `?dry_run=true`: the plan, nothing kept, nothing mailed."
)
ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js")

blueprint = Blueprint("api-page", __name__)


@blueprint.get("/api/docs")
@public_page("the description of the API holds no data")
def page() -> str:
    """The docs page."""
    return render_template("api_docs.html")


@blueprint.get("/api/docs/<any('swagger-ui.css', 'swagger-ui-bundle.js'):name>")
@public_page("the same files for everybody")
def asset(name: str) -> Response:
    """Swagger UI's own files."""
    return send_from_directory(str(files("flask_swagger_ui") / "dist"), name, max_age=86400)


def register(app: Flask) -> None:
    """Serve the docs page."""
    app.register_blueprint(blueprint)
