"""Every setting, once: its environment variable, default, unit and meaning.

Each may come from a file instead, as secrets do: SECRET_KEY_FILE names the file that holds SECRET_KEY's text.
`load()` reads the environment (and overrides, which tests and the command line use) into one frozen
`Settings`. A wrong value raises `WrongSetting`, whose text is one line that names the setting and says what
to do; the start ends with that line instead of a traceback. Code in a request or a task asks `current()`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
from environs import Env, EnvError, FileAwareEnv
from flask import current_app
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

PORTS = 65535  # the highest


class WrongSetting(Exception):
    """A setting that can't be used; the text is the one line shown to the operator."""


@dataclass(frozen=True)
class ImapFolder:
    """A folder on a mail server, read over TLS. The password never shows in a text made of it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    folder: str


@dataclass(frozen=True)
class Settings:
    """What the environment decided. Units are in the names or the comments."""

    data_dir: Path  # PORTAL_DATA_DIR: database, files, keys and built-in mailbox
    database_url: str  # DATABASE_URL: SQLAlchemy URL
    host: str  # PORTAL_HOST or --host: the address to listen on
    port: int  # PORTAL_PORT or --port
    base_url: str  # PORTAL_BASE_URL: the origin in every mailed link, without a slash at the end
    base_url_is_set: bool  # False: base_url follows --host and --port, and localhost is answered too
    secret_key: str  # SECRET_KEY: signs cookies, derives link tokens; the same on every machine (one_key.py)
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
    bounce_dir: Path | None  # BOUNCE_DIR: drop folder of delivery reports (.eml); None: none is read
    bounce_imap: ImapFolder | None  # BOUNCE_IMAP_URL: mailbox of delivery reports; None: none is read
    bounce_secret: str | None  # BOUNCE_SECRET: whsec_...; None: /hooks/mail-reports answers 404
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
        return hmac.digest(self.secret_key.encode(), f"portal-invites:{purpose}\x01".encode(), "sha256")


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
        return _read(FileAwareEnv(strip_whitespace=True))
    except (EnvError, ValueError) as error:  # the latter for a file that can't be read
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
    if base_url and not _is_origin(base_url):
        raise WrongSetting(
            f"PORTAL_BASE_URL={base_url!r} is not an address: write it as https://portal.example.com"
        )
    host, port = env.str("PORTAL_HOST", "127.0.0.1"), _whole(env, "PORTAL_PORT", 8000, 1, PORTS)
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
    invite_days = _whole(env, "INVITE_DAYS", 30, 1, 90)
    retry_delays = _whole_numbers(
        env, "RETRY_DELAYS_SECONDS", "60,300,900,1800,3600,7200,14400,28800,43200,86400"
    )
    if not retry_delays:
        raise WrongSetting("RETRY_DELAYS_SECONDS must hold at least one number of seconds, such as 60,300")
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
        files_url=_files_url(env.str("FILES_URL", "")) or (data_dir / "files").as_uri(),
        plugins_dir=_optional_folder(env.str("PORTAL_PLUGINS", ""), "PORTAL_PLUGINS"),
        mail_server=env.str("MAIL_SERVER", "") or None,
        mail_port=_whole(env, "MAIL_PORT", 465 if ssl else 587 if tls else 25, 1, PORTS),
        mail_username=env.str("MAIL_USERNAME", "") or None,
        mail_password=env.str("MAIL_PASSWORD", "") or None,
        mail_use_tls=tls,
        mail_use_ssl=ssl,
        mail_default_sender=env.str("MAIL_DEFAULT_SENDER", "portal@localhost.localdomain"),
        mail_connections=_whole(env, "MAIL_CONNECTIONS", 2, 1, 100),
        mail_deadline_seconds=deadline,
        lease_seconds=lease,
        retry_delays_seconds=retry_delays,
        invite_days=invite_days,
        reminder_days=_whole_numbers(env, "REMINDER_DAYS", "3,7,14"),
        accept_needs_code=env.bool("ACCEPT_NEEDS_CODE", True),
        item_mail_seconds=_whole(env, "ITEM_MAIL_SECONDS", 600, 0, 86_400),
        max_upload_bytes=int(_positive(env, "MAX_UPLOAD_MB", 50) * 1024 * 1024),
        trusted_proxies=_whole(env, "TRUSTED_PROXIES", 0, 0, 10),
        log_format=log_format,
        rate_limits=env.bool("RATE_LIMITS", True),
        bounce_dir=_optional_folder(env.str("BOUNCE_DIR", ""), "BOUNCE_DIR", written=True),
        bounce_imap=_imap_folder(env.str("BOUNCE_IMAP_URL", "")),
        bounce_secret=_webhook_secret(env.str("BOUNCE_SECRET", "")),
        testing=env.bool("PORTAL_TESTING", False),
    )


def _sentence(error: Exception) -> str:
    return "wrong setting: " + str(error).replace("\n", " ")


def _positive(env: Env, name: str, default: float) -> float:
    value = float(env.float(name, default))
    if value <= 0:
        raise WrongSetting(f"{name}={value:g} must be more than 0")
    return value


def _whole(env: Env, name: str, default: int, least: int, most: int) -> int:
    value = int(env.int(name, default))
    if not least <= value <= most:
        raise WrongSetting(f"{name}={value} must lie between {least} and {most}")
    return value


def _is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0) and not (
            parts.path or parts.query or parts.fragment or "@" in parts.netloc
        )
    except ValueError:  # a broken IPv6 address, a port that is no number
        return False


def _files_url(url: str) -> str:
    if url:
        protocol = fsspec.utils.get_protocol(url)
        try:
            fsspec.get_filesystem_class(protocol)
        except ValueError as error:
            raise WrongSetting(
                f"FILES_URL: there is no file store named {protocol!r}; use file:///FOLDER or s3://BUCKET/PREFIX"
            ) from error
        except ImportError as error:
            raise WrongSetting(
                f"FILES_URL: {protocol}:// needs another library first: {error} (s3fs is in requirements-deploy.txt)"
            ) from error
    return url


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
            url = "postgresql+psycopg://" + url.removeprefix(prefix)
    if not url.startswith(("sqlite://", "postgresql+psycopg://")):
        raise WrongSetting("DATABASE_URL must begin with postgresql:// or sqlite://")
    try:
        make_url(url)
    except (ArgumentError, ValueError) as error:
        raise WrongSetting(
            "DATABASE_URL can't be read: write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from error
    return url


def _optional_folder(path: str, name: str, *, written: bool = False) -> Path | None:
    if not path:
        return None
    folder = Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise WrongSetting(f"{name}={path!r} is not a folder")
    if written and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise WrongSetting(f"{name}={path!r} must be a folder that this process can read and write")
    return folder


def _imap_folder(url: str) -> ImapFolder | None:
    """imaps://user:password@host:port/folder, user and password percent-encoded. No sentence shows the password."""
    if not url:
        return None
    form = "BOUNCE_IMAP_URL must look like imaps://user:password@host/folder"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 993
    except ValueError as error:
        raise WrongSetting(f"{form}: its host or port can't be read") from error
    if parts.scheme != "imaps":
        raise WrongSetting(f"{form}: only imaps:// (TLS from the first byte) is read")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not host or not user or not password:
        raise WrongSetting(f"{form}: host, user and password are needed")
    if parts.query or parts.fragment:
        raise WrongSetting(f"{form}: write ?, # and @ within user or password as %3F, %23 and %40")
    folder = unquote(parts.path.strip("/")) or "INBOX"
    if not all(" " <= letter <= "~" for letter in user + password + folder):
        raise WrongSetting(f"{form}: user, password and folder must be plain ASCII")
    return ImapFolder(host, port, user, password, folder)


def _webhook_secret(secret: str) -> str | None:
    """A Standard Webhooks secret: whsec_ and at least 24 random bytes in base64. No sentence shows it."""
    if not secret:
        return None
    form = "BOUNCE_SECRET must be whsec_ and 24 to 64 random bytes in base64"
    try:
        length = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except (binascii.Error, ValueError) as error:
        raise WrongSetting(form) from error
    if not secret.startswith("whsec_") or not 24 <= length <= 64:
        raise WrongSetting(form)
    return secret


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # no name of its own: others may start at this moment, too
            pass
    except OSError as error:
        raise WrongSetting(
            f"the data folder {folder} can't be written ({error.strerror}): give another with --data or PORTAL_DATA_DIR"
        ) from error


def _kept_secret(data_dir: Path) -> str:
    """The secret made at the first start. Two processes starting at once agree: the first file wins."""
    path = data_dir / "secret_key"
    if not path.exists():
        with tempfile.NamedTemporaryFile(mode="w", dir=data_dir) as file:  # for our eyes only
            file.write(secrets.token_urlsafe(48))
            file.flush()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)  # whole, or not at all
    return path.read_text().strip()
