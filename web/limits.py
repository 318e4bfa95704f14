"""How often somebody may try: counters per address and per source, shared by all processes.

The counters lie in one table, are counted up in one statement on a connection of their own, and are thus exact however
many try at once and whatever becomes of the request's own transaction. Their keys are hashed with a key of ours, so
that the table names neither people nor their network addresses. They stay there where the queue is a Redis: it may be
lost at any time, and then nobody could sign in.

A try at signing in is counted before it is checked and given back when it was right: an office behind one network
address never locks itself out by signing in properly. API calls are counted in memory, per process: a write for
every call would cost more than the limit protects.

Count outside a unit of work only: on SQLite the counter would wait for the very transaction it is called in.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import threading
import time
from functools import cache

import sqlalchemy as sa
from flask import Flask, current_app, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, Storage
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy.dialects import postgresql, sqlite
from werkzeug.exceptions import TooManyRequests

import config
from languages import worded
from models import RateLimit, db

LIMITS = {
    "login": "10 per 15 minutes",  # wrong passwords for one address from one source
    "login_source": "100 per 15 minutes",  # wrong passwords from one source
    "forgot": "5 per hour",  # reset mails asked for one address
    "forgot_source": "30 per hour",
    "reset": "20 per hour",  # wrong or old reset links from one source
    "link": "30 per 10 minutes",  # unknown invite and signing links from one source
    "accept_code": "20 per hour",  # tries at, and requests for, the codes of one invite
    "new_link": "5 per hour",  # fresh links asked for one invite
    "find_invite": "5 per hour",  # `I was invited but can't find the mail` for one address
    "find_invite_source": "30 per hour",
    "wrong_token": "60 per 10 minutes",  # unknown API tokens from one source
    "api": "1200 per minute",  # calls with one API token, in each process
}
_IN_MEMORY = frozenset({"api"})
_EXTENSION = "portal_limits"


class SqlStorage(Storage):
    """Counters in the table `rate_limit`, for the `limits` library."""

    STORAGE_SCHEME = ["portal-sql"]

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the database may raise."""
        return sa.exc.SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `key` up (or down) by `amount` and return the count; a window that is over begins anew."""
        now = time.time()
        kind = postgresql if db.engine.dialect.name == "postgresql" else sqlite
        over, fresh = RateLimit.expires_at <= now, max(amount, 0)
        insert = kind.insert(RateLimit).values(key=_blind(key), hits=fresh, expires_at=now + expiry)
        counted = insert.on_conflict_do_update(
            index_elements=[RateLimit.key],
            set_={
                "hits": sa.case(
                    (over, fresh), (RateLimit.hits + amount < 0, 0), else_=RateLimit.hits + amount
                ),
                "expires_at": sa.case((over, now + expiry), else_=RateLimit.expires_at),
            },
        ).returning(RateLimit.hits)
        with db.engine.begin() as connection:
            hits = connection.execute(counted).scalar_one()
        if hits == 1 and amount == 1:
            self._sweep(now)
        return int(hits)

    def get(self, key: str) -> int:
        """The count of `key` in its window; 0 where there is none."""
        row = self._row(key)
        return int(row.hits) if row is not None else 0

    def get_expiry(self, key: str) -> float:
        """When the window of `key` ends, in seconds since the epoch; now where there is none."""
        row = self._row(key)
        return float(row.expires_at) if row is not None else time.time()

    def check(self) -> bool:
        """Whether the table can be read."""
        with db.engine.connect() as connection:
            connection.execute(sa.select(RateLimit.key).limit(1))
        return True

    def reset(self) -> int:
        """Forget all counters and return how many there were."""
        with db.engine.begin() as connection:
            return int(connection.execute(sa.delete(RateLimit)).rowcount)

    def clear(self, key: str) -> None:
        """Forget one counter."""
        with db.engine.begin() as connection:
            connection.execute(sa.delete(RateLimit).where(RateLimit.key == _blind(key)))

    def used_up_until(self, limit: RateLimitItem, name: str, first: str) -> float:
        """When the last used-up window of this beginning ends, in seconds since the epoch; 0 where none is used up."""
        found = sa.select(sa.func.max(RateLimit.expires_at)).where(
            self._begins(limit, name, first),
            RateLimit.hits >= limit.amount,
            RateLimit.expires_at > time.time(),
        )
        with db.engine.connect() as connection:
            return float(connection.execute(found).scalar() or 0)

    def forget(self, limit: RateLimitItem, name: str, first: str) -> None:
        """Forget every counter of this beginning."""
        with db.engine.begin() as connection:
            connection.execute(sa.delete(RateLimit).where(self._begins(limit, name, first)))

    @staticmethod
    def _begins(limit: RateLimitItem, name: str, first: str) -> sa.ColumnElement[bool]:
        return RateLimit.key.startswith(_blind_beginning(limit.key_for(name, first)))

    def _row(self, key: str) -> sa.Row[int, float] | None:
        with db.engine.connect() as connection:
            return connection.execute(
                sa.select(RateLimit.hits, RateLimit.expires_at).where(
                    RateLimit.key == _blind(key), RateLimit.expires_at > time.time()
                )
            ).one_or_none()

    def _sweep(self, now: float) -> None:
        # Rows that another process sweeps or counts right now are skipped: nobody waits for a clean-up.
        old = sa.select(RateLimit.key).where(RateLimit.expires_at <= now - 1).limit(100)
        with db.engine.begin() as connection:
            connection.execute(
                sa.delete(RateLimit).where(RateLimit.key.in_(old.with_for_update(skip_locked=True)))
            )


def init_app(app: Flask) -> None:
    """Set the limits up. RATE_LIMITS=false turns them off."""
    settings: config.Settings = app.config["PORTAL"]
    limiter = Limiter(
        get_remote_address,
        app=app,
        storage_uri="portal-sql://",
        strategy="fixed-window",
        enabled=settings.rate_limits,
    )
    in_memory = MemoryStorage()
    # It clears old counters away on a thread, begun anew for each hundredth of a second with a call. There is one
    # counter a token, which begins anew by itself; given a thread that never ends, it begins none.
    in_memory.timer = threading.main_thread()  # type: ignore[assignment]
    app.extensions[_EXTENSION] = (limiter, FixedWindowRateLimiter(in_memory))


def hit(name: str, *who: str) -> None:
    """Count one try of the limit `name` by `who` (the request's source where nobody is given).

    Raises TooManyRequests (429 with Retry-After) where there were too many.
    """
    if _is_on() and not _strategy(name).hit(_limit(name), name, *_whom(who)):
        raise _too_many(name, who)


def check(name: str, *who: str) -> None:
    """Raise TooManyRequests where the limit is used up; counts nothing."""
    if _is_on() and not _strategy(name).test(_limit(name), name, *_whom(who)):
        raise _too_many(name, who)


def miss(name: str, *who: str) -> None:
    """Count one miss without refusing it; `check()` refuses the next ones."""
    if _is_on():
        _strategy(name).hit(_limit(name), name, *_whom(who))


def give_back(name: str, *who: str) -> None:
    """Take one counted try back, as it was right."""
    if _is_on():
        limit = _limit(name)
        storage = _strategy(name).storage
        storage.incr(limit.key_for(name, *_whom(who)), limit.get_expiry(), amount=-1)


def locked_seconds(name: str, first: str) -> int:
    """How long the limit `name` is used up still for `first` (an address) from any source; 0 where it isn't."""
    if not _is_on():
        return 0
    ends = _counters(name).used_up_until(_limit(name), name, _safe(first))
    return max(0, math.ceil(ends - time.time()))


def unlock(name: str, first: str) -> None:
    """Forget all counters of the limit `name` for `first` (an address), from whatever source they were counted."""
    if _is_on():
        _counters(name).forget(_limit(name), name, _safe(first))


def _counters(name: str) -> SqlStorage:
    storage = _strategy(name).storage
    assert isinstance(storage, SqlStorage)  # noqa: S101  # nobody asks this of what is counted in memory
    return storage


def _is_on() -> bool:
    return bool(config.current().rate_limits)


def _strategy(name: str) -> FixedWindowRateLimiter:
    limiter, in_memory = current_app.extensions[_EXTENSION]
    strategy: FixedWindowRateLimiter = in_memory if name in _IN_MEMORY else limiter.limiter
    return strategy


@cache
def _limit(name: str) -> RateLimitItem:
    return parse(LIMITS[name])


def _whom(who: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_safe(part) for part in who or (request.remote_addr or "unknown",))


def _safe(part: str) -> str:
    """One part of a counter's key; the library joins the parts by a slash."""
    return part.replace("/", "%2F")


def _too_many(name: str, who: tuple[str, ...]) -> TooManyRequests:
    ends = _strategy(name).get_window_stats(_limit(name), name, *_whom(who)).reset_time
    seconds = max(1, math.ceil(ends - time.time()))
    minutes = math.ceil(seconds / 60)
    sentence = worded("That was tried too often. Please try again in %(minutes)s minutes.", minutes=minutes)
    if minutes == 1:
        sentence = worded("That was tried too often. Please try again in a minute.")
    return TooManyRequests(sentence, retry_after=seconds)


def _blind(key: str) -> str:
    """What the table holds of a key: one part for its limit and first name, so that they can be found, one for all."""
    return f"{_blind_beginning(key)}{_hmac(key)}"


def _blind_beginning(key: str) -> str:
    return _hmac("/".join(key.split("/")[:3]))[:32] + "."


def _hmac(text: str) -> str:
    return hmac.new(config.current().derived_key("rate-limits"), text.encode(), hashlib.sha256).hexdigest()
