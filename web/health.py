"""Whether the process lives, and whether it can serve: for load balancers and operators, under any host name."""

from __future__ import annotations

import logging
from collections.abc import Callable

import sqlalchemy as sa
from flask import Blueprint, Flask, current_app, jsonify
from werkzeug.wrappers import Response

import background
import config
import one_key
from models import db
from web.access_rules import public_page

logger = logging.getLogger(__name__)

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public_page("tells only that the process lives")
def healthz() -> Response:
    """The process lives; nothing else is asked."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
@public_page("tells load balancers whether to send people here")
def readyz() -> tuple[Response, int]:
    """503 with the failing part named where database or queue can't be used, or the key is another machine's."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    parts = {
        "database": _works(lambda: db.session.execute(sa.text("SELECT 1"))),
        "queue": _works(lambda: background.check(app)),
        "key": _works(_has_our_key),
    }
    ready = all(parts.values())
    answer = {
        "status": "ok" if ready else "unavailable",
        "parts": {k: "ok" if v else "down" for k, v in parts.items()},
    }
    return jsonify(answer), 200 if ready else 503


def _has_our_key() -> None:
    if not one_key.is_ours(config.current()):
        raise RuntimeError("this database was begun with another SECRET_KEY")


def _works(probe: Callable[[], object]) -> bool:
    try:
        probe()
    except Exception:  # whatever fails, the answer is "down"; the log has the rest
        logger.warning("a part is not ready", exc_info=True)
        return False
    return True


def init_app(app: Flask) -> None:
    """Register the health pages."""
    app.register_blueprint(blueprint)
