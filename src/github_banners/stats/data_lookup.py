"""
Finds the data that only some banners show: cache, then database, then GitHub, then the stale answer.

Each kind has its own age limits. Only one fetch per owner and kind is in flight in this process.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

import msgspec
import structlog

from github_banners.cache import ByteBoundedLru
from github_banners.database.connect import Connection, Database, error_text
from github_banners.database.owner_data import (
    OwnerData,
    StoredData,
    save_data,
    select_data,
    select_repository_need,
)
from github_banners.database.repositories import select_repositories
from github_banners.errors import (
    DatabaseUnavailable,
    NotFound,
    TokenRequired,
    TooManyRequests,
    Unavailable,
)
from github_banners.github.contributions import MAX_WINDOWS
from github_banners.github.credentials import Priority
from github_banners.github.protocol import PAGE_SIZE
from github_banners.log_throttle import LogThrottle
from github_banners.models import (
    Clock,
    ContributionAccess,
    Contributions,
    Owner,
    Repository,
    RepositoryDetails,
)
from github_banners.options import DataKind, repository_need
from github_banners.stats.activity import ActivitySummary
from github_banners.stats.banner_data import ShownData, to_shown_data
from github_banners.stats.fetch import Charge, DataFetcher, Deadline
from github_banners.stats.single_flight import ErrorCache, SingleFlight
from github_banners.stats.snapshots import (
    BackgroundWriter,
    Freshness,
    Invalidations,
    Ttls,
    classify_freshness,
)

_log = structlog.get_logger(__name__)

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_WITHOUT_TOKEN = Ttls(_MINUTE, _MINUTE, _MINUTE)
"""A token may be configured at any time, and asking without one costs no request."""
_MAX_BYTES = 24 << 20
_ENTRY_BYTES, _REPOSITORY_BYTES, _LANGUAGE_BYTES, _DAYS_BYTES = 700, 200, 80, 3_200
_SAVE_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class DataRequest:
    """
    The data to find: a kind, and for one repository its name or, if it is known, its id.

    A permanent banner knows the id, and so follows the repository when it is renamed.
    """

    owner: Owner
    kind: DataKind
    repository: str = ""
    repository_id: int | None = None

    @property
    def need(self) -> str | None:
        """The need as it is stored; None for a repository whose id is not known yet."""
        if self.kind is not DataKind.REPOSITORY:
            return self.kind
        return repository_need(self.repository_id) if self.repository_id is not None else None

    @property
    def key(self) -> "_Key":
        """The key in the cache."""
        return self.owner.id, self.need or f"{self.kind}:{self.repository.lower()}"


@dataclass(frozen=True, slots=True)
class FoundData:
    """Data and its age class; the times are those of `LookupResult`."""

    data: ShownData
    freshness: Freshness
    fresh_until: datetime
    refresh_at: datetime


_Key: TypeAlias = tuple[int, str]


class _Entry(msgspec.Struct, frozen=True, gc=False):
    """Cached data; `validated_at` is when the database was last known to have nothing newer."""

    data: ShownData
    validated_at: datetime


class DataLookup:
    """Finds data; `close` finishes or cancels what is still in flight within a second."""

    def __init__(
        self,
        *,
        database: Database,
        github: DataFetcher,
        writer: BackgroundWriter,
        ttls: Ttls,
        clock: Clock,
        invalidations: Invalidations,
    ) -> None:
        self._database = database
        self._github = github
        self._writer = writer
        self._clock = clock
        self._invalidations = invalidations
        self._ttls = {
            DataKind.CONTRIBUTIONS: Ttls(_HOUR, max(_DAY, ttls.hard), ttls.memory),
            DataKind.LANGUAGE_SIZES: Ttls(_DAY, 7 * _DAY, ttls.memory),
            DataKind.REPOSITORY: ttls,
        }
        self._entries: ByteBoundedLru[_Key, _Entry] = ByteBoundedLru(
            _MAX_BYTES, entry_bytes=_entry_bytes
        )
        self._errors = ErrorCache(clock=clock)
        self._fetches: SingleFlight[_Entry] = SingleFlight(self._errors)
        self._saving: set[asyncio.Task[None]] = set()
        self._throttle = LogThrottle(time.monotonic)

    async def find(self, request: DataRequest, *, deadline: Deadline, charge: Charge) -> FoundData:
        """
        Find data of an owner.

        :raises UnknownRepository: GitHub knows no such repository
        :raises Unavailable: nothing is known, and GitHub can't be asked in time
        """
        entry = self._entries.get(request.key)
        if entry is None or not self._is_current(request, entry):
            entry = await self._read(request, deadline) or entry
        freshness = self._classify(request, entry)
        if entry is not None and freshness is Freshness.FRESH:
            return self._to_found(request, entry)
        try:
            task = self._fetches.join_or_start(
                request.key, partial(self._fetch, request, charge), charge=charge
            )
            is_stale_enough = freshness is Freshness.SOFT_STALE or self._fetches.has_timed_out(task)
            if entry is None or not is_stale_enough:
                entry = await self._fetches.wait(task, request.owner.login, deadline)
        except (Unavailable, TooManyRequests):
            if entry is None:
                raise
        except NotFound:
            # What is gone keeps its last data; but another repository may have a name now.
            if entry is None or request.need is None:
                raise
        return self._to_found(request, entry)

    async def drain(self) -> None:
        """Wait until no fetch and no write is running."""
        await self._fetches.drain()
        while self._saving:
            await asyncio.wait(self._saving)

    async def close(self, *, timeout_seconds: float = 1.0) -> None:
        """Cancel all fetches, and give running writes `timeout_seconds` to finish."""
        await self._fetches.close(timeout_seconds=timeout_seconds)
        if self._saving:
            await asyncio.wait(self._saving, timeout=timeout_seconds)
        for task in self._saving:
            task.cancel()

    def _is_current(self, request: DataRequest, entry: _Entry) -> bool:
        """Return whether the database need not be read: not outdated, or GitHub has just failed."""
        if request.key in self._fetches or self._errors.get(request.key) is not None:
            return True
        if self._classify(request, entry) is not Freshness.FRESH:
            return False
        age = self._clock() - entry.validated_at
        return age < self._limits(request, entry).memory and self._invalidations.is_unchanged(
            request.owner.id, since=entry.validated_at
        )

    def _limits(self, request: DataRequest, entry: _Entry) -> Ttls:
        content = entry.data.content
        needs_token = ContributionAccess.NEEDS_TOKEN
        if isinstance(content, ActivitySummary) and content.access is needs_token:
            return _WITHOUT_TOKEN
        return self._ttls[request.kind]

    def _classify(self, request: DataRequest, entry: _Entry | None) -> Freshness:
        if entry is None:
            return Freshness.HARD_STALE
        ttls = self._limits(request, entry)
        return classify_freshness(entry.data.fetched_at, ttls, now=self._clock())

    def _to_found(self, request: DataRequest, entry: _Entry) -> FoundData:
        ttls = self._limits(request, entry)
        refresh_at = entry.data.fetched_at + ttls.soft
        return FoundData(
            entry.data,
            self._classify(request, entry),
            fresh_until=min(refresh_at, entry.validated_at + ttls.memory),
            refresh_at=refresh_at,
        )

    async def _read(self, request: DataRequest, deadline: Deadline) -> _Entry | None:
        """Read data from the database; None if it has none, or does not answer in time."""
        read_at = self._clock()
        try:
            stored = await self._database.run_within(
                partial(_select, request=request, now=read_at),
                timeout_seconds=deadline.database_timeout_seconds(),
            )
        except DatabaseUnavailable:
            return None
        if stored is None:
            return None
        return self._put(request, to_shown_data(stored.content, stored.fetched_at), read_at)

    def _put(self, request: DataRequest, data: ShownData, validated_at: datetime) -> _Entry:
        """Cache data, unless newer data is cached, and return the newest."""
        known = self._entries.get(request.key)
        if known is not None and known.data.fetched_at > data.fetched_at:
            data = known.data
        entry = _Entry(data, validated_at)
        self._entries.put(request.key, entry)
        return entry

    async def _fetch(self, request: DataRequest, charge: Charge) -> _Entry:
        fetched_at = self._clock()
        unsaved = self._writer.unsaved.get(request.owner.id)
        is_known = self._entries.get(request.key) is not None
        content = await fetch_stored(
            self._github,
            self._database,
            request,
            repositories=unsaved.repositories if unsaved is not None else None,
            clock=self._clock,
            priority=Priority.KNOWN if is_known else Priority.UNKNOWN,
        )
        if debt := _extra_requests(content, is_known=is_known):
            charge(debt=debt)
        task = asyncio.create_task(self._save(request, content, fetched_at), name="save data")
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)
        return self._put(request, to_shown_data(content, fetched_at), self._clock())

    async def _save(self, request: DataRequest, content: OwnerData, fetched_at: datetime) -> None:
        owner_id = request.owner.id
        # The row refers to that of the owner, who may just be saved for the first time.
        await self._writer.wait(owner_id, timeout_seconds=_SAVE_TIMEOUT_SECONDS)
        try:
            async with self._database.transaction() as connection:
                await save_data(
                    connection,
                    owner_id,
                    stored_need(request, content),
                    content,
                    fetched_at=fetched_at,
                    now=self._clock(),
                )
        except Exception as error:  # noqa: BLE001 - the data stays in the cache, and is fetched again
            if self._throttle.allows((owner_id, type(error))):
                _log.warning("data_lookup.save_failed", owner=owner_id, reason=error_text(error))


async def fetch_stored(
    github: DataFetcher,
    database: Database,
    request: DataRequest,
    *,
    clock: Clock,
    repositories: Sequence[Repository] | None = None,
    priority: Priority = Priority.KNOWN,
) -> OwnerData:
    """
    Fetch data of a stored owner, contributions only of the years that are not stored.

    `repositories` are those of the owner, by default the stored ones. Without the database, all years
    are fetched.

    :raises DatabaseUnavailable: what is needed for the request can't be read
    :raises BannersError: the errors of `fetch_data`
    """
    known, known_at = None, None
    if request.kind is DataKind.CONTRIBUTIONS:
        with suppress(DatabaseUnavailable):
            async with database.transaction() as connection:
                known, known_at = await _select_contributions(
                    connection, request.owner.id, now=clock()
                )
    elif request.kind is DataKind.LANGUAGE_SIZES and repositories is None:
        # Without them nothing would be requested: sizes of 0 bytes.
        async with database.transaction() as connection:
            repositories = await select_repositories(connection, request.owner.id)
    elif request.kind is DataKind.REPOSITORY and not request.repository:
        # Its last known name finds a repository that was deleted, and created again.
        async with database.transaction() as connection:
            stored = await _select(connection, request, clock())
        if stored is not None and isinstance(stored.content, RepositoryDetails):
            request = replace(request, repository=stored.content.name)
    return await fetch_data(
        github,
        request,
        known=known,
        known_at=known_at,
        repositories=repositories or (),
        priority=priority,
    )


async def fetch_data(
    github: DataFetcher,
    request: DataRequest,
    *,
    known: Contributions | None = None,
    known_at: datetime | None = None,
    repositories: Sequence[Repository] = (),
    priority: Priority = Priority.KNOWN,
) -> OwnerData:
    """
    Fetch data from GitHub; without a token, contributions that say so.

    :raises BannersError: the errors of `DataFetcher`
    """
    owner = request.owner
    if request.kind is DataKind.REPOSITORY:
        return await github.fetch_repository(
            owner, request.repository, repository_id=request.repository_id, priority=priority
        )
    if request.kind is DataKind.LANGUAGE_SIZES:
        return await github.fetch_language_sizes(owner, repositories, priority=priority)
    try:
        return await github.fetch_contributions(
            owner, known=known, known_at=known_at, priority=priority
        )
    except TokenRequired:
        if known is not None and known.access is ContributionAccess.VISIBLE:
            raise
        return Contributions(access=ContributionAccess.NEEDS_TOKEN)


def _extra_requests(content: OwnerData, *, is_known: bool) -> int:
    """Return how many requests beyond the first one data took; a known history takes one."""
    if isinstance(content, tuple):
        return max(0, len(content) - 1) // PAGE_SIZE
    if isinstance(content, Contributions) and not is_known:
        return len(content.years) // MAX_WINDOWS
    return 0


def stored_need(request: DataRequest, content: OwnerData) -> str:
    """
    Return the need under which fetched data is stored.

    For a known id it is that of the request: another repository may have got the name meanwhile.
    """
    if request.need is None and isinstance(content, RepositoryDetails):
        return repository_need(content.id)
    return request.need or request.kind


async def _select_contributions(
    connection: Connection, owner_id: int, *, now: datetime
) -> tuple[Contributions, datetime] | tuple[None, None]:
    """Select an owner's contributions, and when they were fetched."""
    data = await select_data(connection, owner_id, [DataKind.CONTRIBUTIONS], now=now)
    stored = data.get(DataKind.CONTRIBUTIONS)
    if stored is None or not isinstance(stored.content, Contributions):
        return None, None
    return stored.content, stored.fetched_at


async def _select(connection: Connection, request: DataRequest, now: datetime) -> StoredData | None:
    need = request.need
    if need is None:
        need = await select_repository_need(connection, request.owner.id, request.repository)
    if need is None:
        return None
    return (await select_data(connection, request.owner.id, [need], now=now)).get(need)


def _entry_bytes(_: _Key, entry: _Entry) -> int:
    content = entry.data.content
    if isinstance(content, ActivitySummary):
        return _ENTRY_BYTES + _DAYS_BYTES
    if isinstance(content, tuple):
        languages = sum(len(repository.sizes) for repository in content)
        return _ENTRY_BYTES + _REPOSITORY_BYTES * len(content) + _LANGUAGE_BYTES * languages
    return _ENTRY_BYTES
