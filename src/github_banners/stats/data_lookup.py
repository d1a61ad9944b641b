"""
Finds the data that only some banners show: cache, then database, then GitHub, then the stale answer.

Each kind has its own age limits. Only one fetch per owner and kind is in flight in this process.
"""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog

from github_banners.cache import ByteBoundedLru
from github_banners.database.connect import Database, error_text
from github_banners.database.owner_data import OwnerData, save_data
from github_banners.errors import DatabaseUnavailable, NotFound, TooManyRequests, Unavailable
from github_banners.github.credentials import Priority
from github_banners.log_throttle import LogThrottle
from github_banners.models import Clock, ContributionAccess
from github_banners.options import DataKind
from github_banners.stats.banner_data import ShownData, to_shown_data
from github_banners.stats.contribution_summary import ActivitySummary
from github_banners.stats.data_fetch import (
    MAX_SIZES_AGE,
    DataKey,
    DataRequest,
    count_extra_requests,
    fetch_stored,
    select_stored,
    stored_need,
)
from github_banners.stats.fetch import (
    CLOSE_TIMEOUT_SECONDS,
    Charge,
    DataSource,
    Deadline,
    ErrorCache,
    SingleFlight,
)
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
"""A token may be configured at any time, and without one no request is sent."""
_MAX_BYTES = 24 << 20
_ENTRY_BYTES, _REPOSITORY_BYTES, _LANGUAGE_BYTES, _DAYS_BYTES = 700, 200, 80, 3_200
_SAVE_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class FoundData:
    """Data and its age class; the times are those of `LookupResult`."""

    data: ShownData
    freshness: Freshness
    fresh_until: datetime
    refresh_at: datetime


class _CachedData(msgspec.Struct, frozen=True, gc=False):
    """Cached data; `validated_at` is when the database was last known to have nothing newer."""

    data: ShownData
    validated_at: datetime


class DataLookup:
    """Finds data; `close` finishes or cancels what is still in flight within a second."""

    def __init__(
        self,
        *,
        database: Database,
        github: DataSource,
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
            DataKind.LANGUAGE_SIZES: Ttls(_DAY, MAX_SIZES_AGE, ttls.memory),
            DataKind.REPOSITORY: ttls,
        }
        self._entries: ByteBoundedLru[DataKey, _CachedData] = ByteBoundedLru(
            _MAX_BYTES, entry_bytes=_entry_bytes
        )
        self._errors = ErrorCache(clock=clock)
        self._fetches: SingleFlight[_CachedData] = SingleFlight(self._errors)
        self._saving: set[asyncio.Task[None]] = set()
        self._throttle = LogThrottle(time.monotonic)

    async def find(self, request: DataRequest, *, deadline: Deadline, charge: Charge) -> FoundData:
        """
        Find data of an owner.

        :raises UnknownRepository: GitHub knows no such repository
        :raises Unavailable: nothing is known, and GitHub does not respond in time
        """
        entry = self._entries.get(request.key)
        if entry is not None and not request.is_answered_by(entry.data.content):
            entry = None
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

    def drop_owners(self, owner_ids: Collection[int]) -> None:
        """Remove everything cached of these owners."""
        self._entries.drop_where(lambda key, _: key[0] in owner_ids)

    async def drain(self) -> None:
        """Wait until no fetch and no write is running."""
        await self._fetches.drain()
        while self._saving:
            await asyncio.wait(self._saving)

    async def close(self) -> None:
        """Cancel all fetches, and give running writes a second to finish."""
        await self._fetches.close()
        if self._saving:
            await asyncio.wait(self._saving, timeout=CLOSE_TIMEOUT_SECONDS)
        for task in self._saving:
            task.cancel()

    def _is_current(self, request: DataRequest, entry: _CachedData) -> bool:
        """Return whether the database need not be read: not outdated, or GitHub has just failed."""
        if request.key in self._fetches or self._errors.get(request.key) is not None:
            return True
        if self._classify(request, entry) is not Freshness.FRESH:
            return False
        age = self._clock() - entry.validated_at
        return age < self._limits(request, entry).memory and self._invalidations.is_unchanged(
            request.owner.id, since=entry.validated_at
        )

    def _limits(self, request: DataRequest, entry: _CachedData) -> Ttls:
        content = entry.data.content
        needs_token = ContributionAccess.NEEDS_TOKEN
        if isinstance(content, ActivitySummary) and content.access is needs_token:
            return _WITHOUT_TOKEN
        return self._ttls[request.kind]

    def _classify(self, request: DataRequest, entry: _CachedData | None) -> Freshness:
        if entry is None:
            return Freshness.HARD_STALE
        ttls = self._limits(request, entry)
        return classify_freshness(entry.data.fetched_at, ttls, now=self._clock())

    def _to_found(self, request: DataRequest, entry: _CachedData) -> FoundData:
        ttls = self._limits(request, entry)
        refresh_at = entry.data.fetched_at + ttls.soft
        return FoundData(
            entry.data,
            self._classify(request, entry),
            fresh_until=min(refresh_at, entry.validated_at + ttls.memory),
            refresh_at=refresh_at,
        )

    async def _read(self, request: DataRequest, deadline: Deadline) -> _CachedData | None:
        """Read data from the database; None if it lacks what is needed, or does not answer in time."""
        read_at = self._clock()
        try:
            stored = await self._database.run_within(
                partial(select_stored, request=request, now=read_at),
                timeout_seconds=deadline.database_timeout_seconds(),
            )
        except DatabaseUnavailable:
            return None
        if stored is None or not request.is_answered_by(stored.content):
            return None
        return self._put(request, to_shown_data(stored.content, stored.fetched_at), read_at)

    def _put(self, request: DataRequest, data: ShownData, validated_at: datetime) -> _CachedData:
        """Cache data, unless newer data is cached, and return the newest."""
        known = self._entries.get(request.key)
        if known is not None and known.data.fetched_at > data.fetched_at:
            data = known.data
        entry = _CachedData(data, validated_at)
        self._entries.put(request.key, entry)
        return entry

    async def _fetch(self, request: DataRequest, charge: Charge) -> _CachedData:
        fetched_at = self._clock()
        unsaved = self._writer.unsaved.get(request.owner.id)
        is_known = self._entries.get(request.key) is not None
        content = await fetch_stored(
            self._github,
            self._database,
            request,
            repositories=unsaved.repositories if unsaved is not None else None,
            clock=self._clock,
            priority=Priority.KNOWN_OWNER if is_known else Priority.UNKNOWN_LOGIN,
        )
        if debt := count_extra_requests(content, is_known=is_known):
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


def _entry_bytes(_: DataKey, entry: _CachedData) -> int:
    content = entry.data.content
    if isinstance(content, ActivitySummary):
        return _ENTRY_BYTES + _DAYS_BYTES
    if isinstance(content, tuple):
        languages = sum(len(repository.sizes) for repository in content)
        return _ENTRY_BYTES + _REPOSITORY_BYTES * len(content) + _LANGUAGE_BYTES * languages
    return _ENTRY_BYTES
