"""
At most one fetch per key at a time, and none for a short time after a failure.

A fetch goes on when the requests that wait for it time out; its result serves the next one.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar
from weakref import WeakSet

import structlog

from github_banners.cache import ByteBoundedLru
from github_banners.errors import BannersError, FetchPending, GitHubUnavailable, NotFound
from github_banners.log_throttle import LogThrottle
from github_banners.models import Clock
from github_banners.stats.fetch import Charge, Deadline

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_NOT_FOUND_TTL = timedelta(seconds=60)
_FAILURE_TTL = timedelta(seconds=2)
_MAX_ERRORS_BYTES = 4 << 20
_ERROR_BYTES = 600
# Two for each new error: expired ones are evicted faster than new ones come.
_MAX_EVICTIONS_PER_PUT = 2


@dataclass(frozen=True, slots=True)
class _CachedError:
    """
    A recent failure, raised again for a short time so that GitHub is not requested in vain.

    `error` is a copy that was never raised: a traceback would keep 20 KB of frames alive.
    """

    error: BannersError
    expires_at: datetime


class ErrorCache:
    """Recent failures by key, bounded in bytes."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._errors: ByteBoundedLru[Hashable, _CachedError] = ByteBoundedLru(
            _MAX_ERRORS_BYTES, entry_bytes=_error_bytes
        )

    def __len__(self) -> int:
        return len(self._errors)

    @property
    def used_bytes(self) -> int:
        """The memory that the entries take, by estimate."""
        return self._errors.used_bytes

    def put(self, key: Hashable, error: BannersError, *, ttl: timedelta) -> None:
        """Cache a failure for `ttl`, and evict expired ones."""
        for _ in range(_MAX_EVICTIONS_PER_PUT):
            oldest = self._errors.oldest()
            if oldest is None or oldest[1].expires_at > self._clock():
                break
            self._errors.drop(oldest[0])
        self._errors.put(key, _CachedError(error.copy(), self._clock() + ttl))

    def get(self, key: Hashable) -> BannersError | None:
        """Return a copy of the recent failure of a key, to be raised."""
        cached = self._errors.get(key)
        if cached is None:
            return None
        if cached.expires_at <= self._clock():
            self._errors.drop(key)
            return None
        return cached.error.copy()

    def drop(self, key: Hashable) -> None:
        """Forget the failure of a key."""
        self._errors.drop(key)


def _error_bytes(_: Hashable, cached_error: _CachedError) -> int:
    return _ERROR_BYTES + sum(len(str(part)) for part in cached_error.error.args)


class SingleFlight(Generic[T]):
    """Runs fetches by key; `errors` has the recent failures, which are raised again."""

    def __init__(self, errors: ErrorCache) -> None:
        self._errors = errors
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}
        self._timed_out: WeakSet[asyncio.Task[T]] = WeakSet()
        self._throttle = LogThrottle(time.monotonic)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._tasks

    def join_or_start(
        self, key: Hashable, fetch: Callable[[], Coroutine[Any, Any, T]], *, charge: Charge
    ) -> asyncio.Task[T]:
        """
        Return the fetch in flight, or charge for one and start it.

        :raises BannersError: the last fetch has just failed
        :raises TooManyRequests: the client may not cause another request
        """
        if (task := self._tasks.get(key)) is not None:
            return task
        if (error := self._errors.get(key)) is not None:
            raise error
        charge()
        task = asyncio.create_task(fetch(), name=f"fetch {key} from GitHub")
        self._tasks[key] = task
        task.add_done_callback(partial(self._on_done, key))
        return task

    def has_timed_out(self, task: asyncio.Task[T]) -> bool:
        """Return whether a request has waited for a fetch in vain."""
        return task in self._timed_out

    async def wait(self, task: asyncio.Task[T], name: str, deadline: Deadline) -> T:
        """
        Wait for a fetch; `name` is the login to show in messages.

        :raises FetchPending: it goes on after the deadline
        :raises BannersError: it failed
        """
        done, _ = await asyncio.wait({task}, timeout=deadline.github_timeout_seconds())
        if not done:
            self._timed_out.add(task)
            raise FetchPending(name)
        if task.cancelled() or not isinstance(task.exception(), BannersError | None):
            raise GitHubUnavailable  # `_on_done` logs an unforeseen error
        return task.result()

    async def drain(self) -> None:
        """Wait until no fetch is running."""
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def close(self, *, timeout_seconds: float) -> None:
        """Cancel all fetches, and wait up to `timeout_seconds` for their end."""
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_seconds)

    def _on_done(self, key: Hashable, task: asyncio.Task[T]) -> None:
        del self._tasks[key]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, BannersError):
            ttl = _NOT_FOUND_TTL if isinstance(error, NotFound) else _FAILURE_TTL
            self._errors.put(key, error, ttl=ttl)
        elif error is not None:
            # A bug must not send every request to GitHub either.
            self._errors.put(key, GitHubUnavailable(), ttl=_FAILURE_TTL)
            if self._throttle.allows((key, type(error))):
                _log.error("lookup.fetch_failed", key=key, exc_info=error)
