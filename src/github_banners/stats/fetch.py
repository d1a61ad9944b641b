"""
What all lookups that fetch from GitHub share: deadlines, charges, one fetch per key, owners of logins.

GitHub's numeric id is the identity: a login can be given up and taken by another account. An owner seen
before is fetched by id, so that a rename is followed; the login is fetched where it may have changed
hands. `SingleFlight` runs at most one fetch per key at a time, and none for a short time after a failure. A
fetch goes on when the requests that wait for it time out; its result serves the next one.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

import structlog

from github_banners.cache import ByteBoundedLru
from github_banners.errors import (
    BannersError,
    FetchPending,
    GitHubUnavailable,
    NotFound,
    UnknownUser,
)
from github_banners.github.credentials import Priority
from github_banners.github.protocol import PAGE_SIZE
from github_banners.log_throttle import LogThrottle
from github_banners.models import (
    Clock,
    Contributions,
    Owner,
    OwnerRepositories,
    Repository,
    RepositoryDetails,
    RepositoryLanguages,
    Snapshot,
    Stats,
)

T = TypeVar("T")

_log = structlog.get_logger(__name__)

DATABASE_TIMEOUT_SECONDS = 0.3
CLOSE_TIMEOUT_SECONDS = 1.0
PICTURE_TIMEOUT_SECONDS = 3.0
PICTURE_GITHUB_TIMEOUT_SECONDS = 1.8
_RENDER_RESERVE_SECONDS = 0.2

_NOT_FOUND_TTL = timedelta(seconds=60)
_FAILURE_TTL = timedelta(seconds=2)
_MAX_ERRORS_BYTES = 4 << 20
_ERROR_BYTES = 600
# Two for each new error: expired ones are evicted faster than new ones come.
_MAX_EVICTIONS_PER_PUT = 2


class OwnerFetcher(Protocol):
    """Fetches single owners; both methods raise UnknownUser or GitHubUnavailable."""

    async def fetch(self, login: str, *, is_known: bool = False) -> OwnerRepositories:
        """Fetch the current holder of a login; `is_known` if the login has, or had, a holder here."""

    async def fetch_by_id(
        self, owner: Owner, *, previous: Stats | None = None
    ) -> OwnerRepositories:
        """Fetch an owner seen before; a steep fall from `previous` numbers is confirmed first."""


class BatchOwnerFetcher(Protocol):
    """Fetches many owners at once, for background work."""

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> list[OwnerRepositories | BannersError]:
        """
        Fetch owners seen before; return a result or an error for each, in their order.

        `previous` maps owner ids to the last known numbers: a steep fall is confirmed first.
        """


class DataSource(Protocol):
    """
    Fetches data that only some banners show; all methods raise GitHubUnavailable.

    Those for known owners raise UnknownUser if the owner no longer exists.
    """

    async def identify(self, login: str) -> Owner:
        """
        Fetch the identity of a login's current holder.

        :raises UnknownUser: GitHub knows no account with this login
        """

    async def fetch_contributions(
        self,
        owner: Owner,
        *,
        known: Contributions | None = None,
        known_at: datetime | None = None,
        priority: Priority = Priority.KNOWN_OWNER,
    ) -> Contributions:
        """
        Fetch an owner's contributions; years that were past at `known_at` are taken from `known`.

        :raises TokenRequired: there is no token
        """

    async def fetch_language_sizes(
        self,
        owner: Owner,
        repositories: Sequence[Repository],
        *,
        priority: Priority = Priority.KNOWN_OWNER,
    ) -> tuple[RepositoryLanguages, ...]:
        """
        Fetch the sizes of languages in an owner's repositories.

        :raises TokenRequired: there is no token, and these are too many repositories without one
        """

    async def fetch_repository(
        self,
        owner: Owner,
        name: str,
        *,
        repository_id: int | None = None,
        priority: Priority = Priority.KNOWN_OWNER,
    ) -> RepositoryDetails:
        """
        Fetch a repository by its id if that is known, else by its name.

        :raises UnknownRepository: the owner has no public repository of this name or id
        """


class Charge(Protocol):
    """Charges requests to GitHub to the client that causes them."""

    def __call__(self, *, debt: int = 0) -> None:
        """
        Charge one request before it is sent, or `debt` requests after the fact.

        :raises TooManyRequests: the client has no requests left; never raised for a debt
        """


@dataclass(frozen=True, slots=True)
class Deadline:
    """
    A request ends `total_seconds` after this object was made; GitHub gets at most `github_seconds`.

    0.2 seconds are reserved for rendering, so that a picture can be drawn whatever else times out.
    """

    total_seconds: float
    github_seconds: float
    monotonic: Callable[[], float] = time.monotonic
    started_at: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "started_at", self.monotonic())

    def timeout_seconds(self, limit_seconds: float) -> float:
        """Return the time limit of a step: its own, or the remaining time if that is less."""
        remaining = (
            self.started_at + self.total_seconds - _RENDER_RESERVE_SECONDS - self.monotonic()
        )
        return max(0.0, min(limit_seconds, remaining))

    def database_timeout_seconds(self) -> float:
        """Return the time limit of a database query."""
        return self.timeout_seconds(DATABASE_TIMEOUT_SECONDS)

    def github_timeout_seconds(self) -> float:
        """Return the time limit of waiting for GitHub."""
        return self.timeout_seconds(self.github_seconds)


def picture_deadline() -> Deadline:
    """Start the deadline of a picture; image proxies give up after about 4 seconds."""
    return Deadline(PICTURE_TIMEOUT_SECONDS, PICTURE_GITHUB_TIMEOUT_SECONDS)


def charge_extra_pages(repository_count: int, charge: Charge) -> None:
    """Charge the requests that a list of repositories took beyond its first page."""
    if extra_pages := max(0, repository_count - 1) // PAGE_SIZE:
        charge(debt=extra_pages)


def no_charge(*, debt: int = 0) -> None:
    """Charge nothing."""


async def resolve_login(
    github: OwnerFetcher, login: str, known: Snapshot | None
) -> list[OwnerRepositories]:
    """
    Fetch the account that a login refers to now; `known` is the last account that held it.

    Return one or two owners: the last is the result, the one before it was fetched on the way.

    :raises UnknownUser: neither the login nor its last holder exists
    """
    if known is None:
        return [await github.fetch(login)]
    fetched: list[OwnerRepositories] = []
    if known.owner.login.lower() == login.lower():
        try:
            fetched = [await github.fetch_by_id(known.owner, previous=known.stats)]
        except UnknownUser:
            return [await github.fetch(login, is_known=True)]
        if fetched[0].owner.login.lower() == login.lower():
            return fetched
    # The holder gave up this login: it belongs to another account now, or still leads to the holder.
    try:
        return [*fetched, await github.fetch(login, is_known=True)]
    except UnknownUser:
        return fetched or [await github.fetch_by_id(known.owner, previous=known.stats)]


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

    async def close(self) -> None:
        """Cancel all fetches, and wait up to a second for their end."""
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT_SECONDS)

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
