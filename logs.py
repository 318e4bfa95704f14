"""Logging: structlog over the standard library, as text for people or JSON for machines. Ids, never addresses."""

from __future__ import annotations

import logging

import structlog

from config import Settings


def init_logs(settings: Settings) -> None:
    """Set up the process's log in the form the settings ask for."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.types.Processor]
    if settings.log_format == "json":
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # The default shows the local variables of every frame: addresses and tokens have no place in a log.
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    for old in [known for known in root.handlers if getattr(known, "portal_invites", False)]:
        root.removeHandler(old)
    handler.portal_invites = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for noisy in (
        "huey",
        "alembic",
        "aiobotocore",
        "botocore",
        "mail.log",
        "waitress.queue",
        "fontTools",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for alarmed in (
        "pyhanko",
        "pyhanko_certvalidator",
        "pypdf",
    ):  # tracebacks for a hostile upload we refuse anyway
        logging.getLogger(alarmed).setLevel(logging.CRITICAL)
