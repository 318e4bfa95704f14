"""The only module that knows everybody: it builds the application and starts the commands.

`create_app()` is what a WSGI server imports (`gunicorn "app:create_app()"`); `python app.py` serves the whole product
in one process; `python app.py COMMAND` is the rest (see `commands.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

import background
import commands
import config
import memory
import tasks
from hooks import invite_step, plugins
from logs import init_logs
from mail import addresses
from models.database import init_database
from web import api, doors, health, look, portal, reports, staff
from workflows.builtin import builtin
from workflows.registry import BadWorkflow, Registry, Workflow

HOME = Path(__file__).parent


def create_app(overrides: Mapping[str, Any] | None = None) -> Flask:
    """Build the application. `overrides` are settings by their environment names and win over the environment.

    Raises config.WrongSetting or hooks.plugins.BrokenPlugin, each with one line for the operator.
    """
    memory.keep_little()
    settings = config.load(overrides)
    _check_sender(settings)
    init_logs(settings)
    app = Flask("portal_invites", root_path=str(HOME), template_folder="templates", static_folder="static")
    app.config["PORTAL"] = settings
    app.config["SECRET_KEY"] = settings.derived_key("cookies")
    app.config["TESTING"] = settings.testing
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_bytes + 1024 * 1024
    init_database(app, settings.database_url)
    app.extensions["workflows"] = _workflows(settings)
    background.init_app(app)
    tasks.register(app)
    doors.init_app(app, _add_pages)
    memory.look_past_what_stays()
    return app


def _check_sender(settings: config.Settings) -> None:
    try:
        addresses.sender(settings)
    except addresses.BadHeader as error:
        raise config.WrongSetting(f"MAIL_DEFAULT_SENDER can't send mail: {error}") from error


def _add_pages(app: Flask) -> None:
    look.init_app(app)
    health.init_app(app)
    staff.register(app)
    portal.register(app)
    api.register(app)
    reports.init_app(app)


def _workflows(settings: config.Settings) -> Registry:
    """The built-in workflows and the plugged-in ones, each attached to the shared Client Portal step."""
    registry = Registry()
    found = plugins.load(settings.plugins_dir)
    for workflow in builtin():
        registry.add(workflow)
    for kind in plugins.subclasses(found, Workflow):
        try:
            registry.add(kind())
        except BadWorkflow as error:
            raise plugins.BrokenPlugin(
                f"the workflow {kind.__name__} of {plugins.home_of(kind)} can't be installed: {error}"
            ) from error
    for workflow in registry:
        invite_step.attach(workflow.question, workflow.trigger, workflow.what)
    return registry


def main() -> None:
    """The command line. A wrong setting, a taken port or an unwritable folder is one line, never a traceback."""
    try:
        commands.cli(obj=create_app, prog_name="app.py")
    except (config.WrongSetting, plugins.BrokenPlugin, commands.CannotStart) as error:
        sys.exit(f"portal-invites: {error}")


if __name__ == "__main__":
    main()
