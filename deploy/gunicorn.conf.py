"""The web part under gunicorn: `gunicorn --config deploy/gunicorn.conf.py "app:create_app()"`.

WEB_CONCURRENCY says how many processes. There is no access log, since paths hold links (docs/security.md); the proxy in
front keeps one without them. What else gunicorn can do is set by GUNICORN_CMD_ARGS.
"""

from __future__ import annotations

import os

bind = f"{os.environ.get('PORTAL_HOST', '127.0.0.1')}:{os.environ.get('PORTAL_PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 8  # a request waits for the database most of its time
timeout = 120  # seconds without a sign of life from a process; a request may take longer
graceful_timeout = 20  # seconds for the requests under way when told to stop
preload_app = (
    True  # loaded once for all processes, which then share a third of their memory; new code wants a restart
)
control_socket_disable = True  # systemd or compose tells it what to do
