"""API v1: the same schemas and the same domain as the pages, as JSON with OpenAPI 3.1 and an offline docs page."""

from __future__ import annotations

from flask import Flask
from flask_smorest import Api

from web.access_rules import PUBLIC, declare
from web.api import access, bulk, clients, docs, explain, files, invites, items, steps
from web.api.idempotency import init_idempotency
from workflows.registry import Registry

PREFIX = "/api/v1"


def register(app: Flask) -> None:
    """Give the application its API: fixed calls, and those of every installed workflow."""
    app.config.update(
        API_TITLE="Portal Invites",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=PREFIX,
        OPENAPI_JSON_PATH="openapi.json",
    )
    api = Api(
        app,
        spec_kwargs={
            "info": {"description": docs.INTRODUCTION},
            "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
            "security": [{"token": []}],
            "servers": [{"url": "/"}],
        },
    )
    registry: Registry = app.extensions["workflows"]
    for blueprint in (
        clients.blp,
        steps.blp,
        invites.blp,
        bulk.blp,
        access.blp,
        explain.blp,
        files.blp,
        items.blueprint(registry),
    ):
        api.register_blueprint(blueprint, url_prefix=PREFIX)
    declare(app, "api-docs.openapi_json", PUBLIC("the description of the API holds no data"))
    docs.register(app)
    init_idempotency(app)
