"""A worker of the mail room alone, as a process: up in a second, for drills that kill many of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import sqlalchemy as sa

from mail.worker import send_due
from models import db
from tests.support.post import plain_app


def main() -> None:
    """Send what is due, until killed."""
    app = plain_app(Path(os.environ["PORTAL_DATA_DIR"]))
    with app.app_context():
        while True:
            try:
                send_due(app.config["PORTAL"])
            except sa.exc.OperationalError:  # the database restarts; the product's worker tries again as well
                db.session.rollback()
            time.sleep(0.1)


if __name__ == "__main__":
    main()
