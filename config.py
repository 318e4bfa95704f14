"""Every setting, once: its environment variable, default, unit and meaning.

`load()` reads the environment (and overrides, which tests and the command line use) into one frozen
`Settings`. A wrong value raises `WrongSetting`, whose text is one line that names the setting and says what
to do; the start ends with that line instead of a traceback. Code in a request or a task asks `current()`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from environs import Env, EnvError
from flask import current_app


class WrongSetting(Exception):
    """A setting that can't be used; the text is the one line shown to the operator."""


@dataclass(frozen=True)
class Settings:
    """What the environment decided. Units are in the names or the comments."""

    data_dir: Path  # PORTAL_DATA_DIR: database, files, keys and built-in mailbox
    database_url: str  # DATABASE_URL: SQLAlchemy URL
    host: str  # PORTAL_HOST or --host: the address to listen on
    port: int  # PORTAL_PORT or --port
    base_url: str  # PORTAL_BASE_URL: the origin in every mailed link, without a slash at the end
    base_url_is_set: bool  # False: base_url follows --host and --port, and localhost is answered too
    secret_key: str  # SECRET_KEY: signs cookies, derives link tokens
    queue_url: str  # QUEUE_URL: wake-ups only; follows the database unless it is set
    files_url: str  # FILES_URL: fsspec URL of the files' folder
    plugins_dir: Path | None  # PORTAL_PLUGINS: a folder of hook and workflow modules
    mail_server: str | None  # MAIL_SERVER: None is the built-in mailbox
    mail_port: int
    mail_username: str | None
    mail_password: str | None
    mail_use_tls: bool  # STARTTLS, certificate verified
    mail_use_ssl: bool  # TLS from the first byte, certificate verified
    mail_default_sender: str  # address in From and in the envelope
    mail_connections: int  # SMTP connections per worker
    mail_deadline_seconds: float  # one whole SMTP exchange
    lease_seconds: float  # how long a claimed mail belongs to its worker
    retry_delays_seconds: tuple[int, ...]
    invite_days: int  # how long a link lives where firm and invite say nothing
    reminder_days: tuple[int, ...]
    accept_needs_code: bool  # a mailed six-digit code at the first accept
    item_mail_seconds: int  # item mails to one person within this time are one mail
    max_upload_bytes: int  # MAX_UPLOAD_MB
    trusted_proxies: int  # TRUSTED_PROXIES: how many proxies set X-Forwarded-* before us
    log_format: str  # text or json
    rate_limits: bool  # RATE_LIMITS: off only in load tests
    testing: bool = False

    @property
    def builtin_mailbox(self) -> bool:
        """Mail stays on this machine and is shown at /mailbox."""
        return self.mail_server is None

    @property
    def mailbox_dir(self) -> Path:
        """Folder of the built-in mailbox's .eml files."""
        return self.data_dir / "mailbox"

    @property
    def is_public(self) -> bool:
        """Whether PORTAL_BASE_URL names a host other than this machine (then no demo firm is made)."""
        host = urlsplit(self.base_url).hostname or ""
        return self.base_url_is_set and host not in {"localhost", "127.0.0.1", "::1"}

    @property
    def https(self) -> bool:
        """Whether people reach us by https; decides Secure cookies and HSTS."""
        return self.base_url.startswith("https://")

    def derived_key(self, purpose: str) -> bytes:
        """A key of its own for one purpose (RFC 5869's expand step with one block), 32 bytes.

        One leaked or misused key then tells nothing of the others.
        """
        return hmac.new(
            self.secret_key.encode(), f"portal-invites:{purpose}\x01".encode(), hashlib.sha256
        ).digest()


def current() -> Settings:
    """The settings of the running application (needs an application context)."""
    settings: Settings = current_app.config["PORTAL"]
    return settings


def load(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings from the environment; `overrides` (same names) win.

    Raises WrongSetting with one line for the operator.
    """
    # The overrides are handed to environs through the process's environment for the time of reading, so that
    # one parser and one set of error sentences serves both.
    values = {name: str(value) for name, value in (overrides or {}).items() if value is not None}
    saved = {name: os.environ.get(name) for name in (overrides or {})}
    try:
        for name in overrides or {}:
            os.environ.pop(name, None)
        os.environ.update(values)
        return _read(Env())
    except EnvError as error:
        raise WrongSetting(_sentence(error)) from error
    finally:
        for name, value in saved.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _read(env: Env) -> Settings:
    data_dir = Path(env.str("PORTAL_DATA_DIR", "instance")).expanduser().resolve()
    _make_folder(data_dir)
    database_url = _database_url(env.str("DATABASE_URL", ""), data_dir)
    base_url = env.str("PORTAL_BASE_URL", "").rstrip("/")
    if base_url:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
            raise WrongSetting(
                f"PORTAL_BASE_URL={base_url!r} is not an address: write it as https://portal.example.com"
            )
    host, port = env.str("PORTAL_HOST", "127.0.0.1"), env.int("PORTAL_PORT", 8000)
    shown_host = "localhost" if host in {"127.0.0.1", "::1", "0.0.0.0", "::", ""} else host  # noqa: S104
    deadline = _positive(env, "MAIL_DEADLINE_SECONDS", 60.0)
    lease = _positive(env, "LEASE_SECONDS", 300.0)
    if lease <= deadline:
        raise WrongSetting(
            f"LEASE_SECONDS={lease:g} must be longer than MAIL_DEADLINE_SECONDS={deadline:g}:"
            " otherwise a slow mail would be sent twice"
        )
    tls, ssl = env.bool("MAIL_USE_TLS", False), env.bool("MAIL_USE_SSL", False)
    if tls and ssl:
        raise WrongSetting(
            "MAIL_USE_TLS and MAIL_USE_SSL are both on: STARTTLS (587) is one, TLS from the start (465) the other"
        )
    invite_days = env.int("INVITE_DAYS", 30)
    if not 1 <= invite_days <= 90:
        raise WrongSetting(f"INVITE_DAYS={invite_days} must lie between 1 and 90")
    log_format = env.str("LOG_FORMAT", "text")
    if log_format not in {"text", "json"}:
        raise WrongSetting(f"LOG_FORMAT={log_format!r} must be text or json")
    return Settings(
        data_dir=data_dir,
        database_url=database_url,
        host=host,
        port=port,
        base_url=base_url or f"http://{shown_host}:{port}",
        base_url_is_set=bool(base_url),
        secret_key=env.str("SECRET_KEY", "") or _kept_secret(data_dir),
        queue_url=env.str("QUEUE_URL", ""),
        files_url=env.str("FILES_URL", "") or (data_dir / "files").as_uri(),
        plugins_dir=_optional_folder(env.str("PORTAL_PLUGINS", "")),
        mail_server=env.str("MAIL_SERVER", "") or None,
        mail_port=env.int("MAIL_PORT", 465 if ssl else 587 if tls else 25),
        mail_username=env.str("MAIL_USERNAME", "") or None,
        mail_password=env.str("MAIL_PASSWORD", "") or None,
        mail_use_tls=tls,
        mail_use_ssl=ssl,
        mail_default_sender=env.str("MAIL_DEFAULT_SENDER", "portal@localhost.localdomain"),
        mail_connections=int(_positive(env, "MAIL_CONNECTIONS", 2)),
        mail_deadline_seconds=deadline,
        lease_seconds=lease,
        retry_delays_seconds=_whole_numbers(
            env, "RETRY_DELAYS_SECONDS", "60,300,900,1800,3600,7200,14400,28800,43200,86400"
        ),
        invite_days=invite_days,
        reminder_days=_whole_numbers(env, "REMINDER_DAYS", "3,7,14"),
        accept_needs_code=env.bool("ACCEPT_NEEDS_CODE", True),
        item_mail_seconds=env.int("ITEM_MAIL_SECONDS", 600),
        max_upload_bytes=int(_positive(env, "MAX_UPLOAD_MB", 50) * 1024 * 1024),
        trusted_proxies=env.int("TRUSTED_PROXIES", 0),
        log_format=log_format,
        rate_limits=env.bool("RATE_LIMITS", True),
        testing=env.bool("PORTAL_TESTING", False),
    )


def _sentence(error: EnvError) -> str:
    return "wrong setting: " + str(error).replace("\n", " ")


def _positive(env: Env, name: str, default: float) -> float:
    value = float(env.float(name, default))
    if value <= 0:
        raise WrongSetting(f"{name}={value:g} must be more than 0")
    return value


def _whole_numbers(env: Env, name: str, default: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in env.str(name, default).split(",") if part.strip())
    except ValueError as error:
        raise WrongSetting(
            f"{name} must be whole numbers with commas between, such as {default[:9]}"
        ) from error
    if any(number <= 0 for number in numbers):
        raise WrongSetting(f"{name} must hold numbers above 0 only")
    return numbers


def _database_url(url: str, data_dir: Path) -> str:
    if not url:
        return f"sqlite:///{data_dir / 'portal.sqlite3'}"
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    if not url.startswith(("sqlite://", "postgresql+psycopg://")):
        raise WrongSetting("DATABASE_URL must begin with postgresql:// or sqlite://")
    return url


def _optional_folder(path: str) -> Path | None:
    if not path:
        return None
    folder = Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise WrongSetting(f"PORTAL_PLUGINS={path!r} is not a folder")
    return folder


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise WrongSetting(
            f"the data folder {folder} can't be written ({error.strerror}): give another with --data or PORTAL_DATA_DIR"
        ) from error


def _kept_secret(data_dir: Path) -> str:
    """The secret made at the first start. Two processes starting at once agree: the first file wins."""
    path = data_dir / "secret_key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()
