"""One order of invites, or one accept, as a process of its own: for drills that kill it in the midst of its work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import sqlalchemy as sa
from flask import Flask

from invites.accept import accept_new, look_up
from mail.links import invite_token
from models import Invite, unit_of_work
from tests.support.drill import many_invites
from tests.support.post import plain_app
from tests.support.world import hashed


def accept(app: Flask) -> None:
    """Accept the only invite."""
    with app.app_context(), unit_of_work() as session:
        token = invite_token(app.config["PORTAL"], session.scalars(sa.select(Invite.id)).one(), 1)
        accept_new(look_up(token), "Ada", hashed())


def main() -> None:
    """Do what the command line says."""
    app = plain_app(Path(os.environ["PORTAL_DATA_DIR"]))
    if sys.argv[1] == "invite":
        many_invites(app, 3, "Second Firm", "second.example")
    else:
        accept(app)


if __name__ == "__main__":
    main()
