"""
Owners' numbers: how old they may be, their cache in memory, and their writes to PostgreSQL.

Age is counted from the time GitHub was requested, not from the time the result was stored.
`SnapshotCache` is the cache of one process, `Invalidations` records the changes of other processes.
Neither does I/O: `lookup` reads the database and GitHub. `BackgroundWriter` caches what GitHub
returned, and writes it in one task per owner. Requests never wait for a write. A write that fails loses
nothing: the numbers stay in the cache, and `Lookup.ensure_persisted` writes them again when they have
to be in the database.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

import msgspec
import structlog

from github_banners.cache import ByteBoundedLru
from github_banners.database import users
from github_banners.database.batches import save_separately
from github_banners.database.connect import Database
from github_banners.database.session import Connection
from github_banners.errors import DatabaseUnavailable, UnknownUser
from github_banners.log_throttle import LogThrottle
from github_banners.models import (
    LONG_AGO,
    Clock,
    OwnerRepositories,
    Snapshot,
    Stats,
    aggregate,
    to_epoch_microseconds,
    without_implausible_times,
)
from github_banners.stats.fetch import CLOSE_TIMEOUT_SECONDS, ErrorCache

_log = structlog.get_logger(__name__)

_MAX_LOGINS_BYTES = 4 << 20
_MAX_INVALIDATIONS_BYTES = 4 << 20
_SNAPSHOT_BYTES = 600
_LANGUAGE_BYTES = 80
_MAX_UNSAVED_BYTES, _REPOSITORY_BYTES = 32 << 20, 400
_DELETED_TTL = timedelta(minutes=5)


class Freshness(StrEnum):
    """What the age of numbers allows."""

    FRESH = "fresh"
    """Serve as they are."""
    SOFT_STALE = "soft-stale"
    """Serve at once, and refresh in the background."""
    HARD_STALE = "hard-stale"
    """Wait for GitHub; serve them with their date if that fails."""


@dataclass(frozen=True, slots=True)
class Ttls:
    """The age limits, and how long the cache is used before the database is compared."""

    soft: timedelta = timedelta(minutes=10)
    hard: timedelta = timedelta(hours=24)
    memory: timedelta = timedelta(minutes=5)


def classify_freshness(fetched_at: datetime, ttls: Ttls, *, now: datetime) -> Freshness:
    """Classify numbers by their age; a time far in the future, from a wrong clock, is hard-stale."""
    age = now - fetched_at
    if abs(age) < ttls.soft:
        return Freshness.FRESH
    return Freshness.SOFT_STALE if timedelta(0) < age < ttls.hard else Freshness.HARD_STALE


def select_newer(first: Snapshot, second: Snapshot) -> Snapshot:
    """Return the snapshot fetched later, then the one of the higher version, then the second."""
    is_older = (second.fetched_at, second.version) < (first.fetched_at, first.version)
    return first if is_older else second


class Invalidations:
    """
    Record of changes that other processes made to the database.

    `is_listening` is False while changes can't be received: then no cache entry is valid.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._changed_at: ByteBoundedLru[int, datetime] = ByteBoundedLru(
            _MAX_INVALIDATIONS_BYTES, entry_bytes=lambda *_: 0, on_evict=self._forget_change
        )
        self._all_changed_at = LONG_AGO
        self._is_listening = True
        self.on_change: Callable[[], None] = lambda: None
        """Called whenever the result of `is_unchanged` may have changed."""

    @property
    def is_listening(self) -> bool:
        """Return whether changes are received."""
        return self._is_listening

    @is_listening.setter
    def is_listening(self, is_listening: bool) -> None:
        if is_listening != self._is_listening:
            self._is_listening = is_listening
            self.on_change()

    def invalidate(self, owner_ids: Collection[int] | None) -> None:
        """Invalidate everything known of these owners so far, or of all owners if None."""
        if owner_ids is None:
            self._all_changed_at = self._clock()
        for owner_id in owner_ids or ():
            self._changed_at.put(owner_id, self._clock())
        self.on_change()

    def is_unchanged(self, owner_id: int, *, since: datetime) -> bool:
        """Return whether no other process has changed an owner since a time."""
        changed_at = self._changed_at.get(owner_id) or LONG_AGO
        return self._is_listening and since > self._all_changed_at and since > changed_at

    def _forget_change(self, _: int, changed_at: datetime) -> None:
        """Count every owner as changed at the time of a change whose owner is forgotten."""
        self._all_changed_at = max(self._all_changed_at, changed_at)


class _CachedSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A snapshot; `validated_at` is when the database was last known to have nothing newer."""

    snapshot: Snapshot
    validated_at: datetime


class _LoginOwner(msgspec.Struct, frozen=True, gc=False):
    """Last known holder of a login; `requested_at` is when this login was last sent to GitHub."""

    owner_id: int
    requested_at: datetime


class SnapshotCache:
    """
    Cache of one process.

    `errors` are recent failures, by owner id, or by login if the owner is unknown.
    """

    def __init__(
        self, *, ttls: Ttls, invalidations: Invalidations, clock: Clock, max_bytes: int
    ) -> None:
        self._ttls = ttls
        self._invalidations = invalidations
        self._clock = clock
        self._entries: ByteBoundedLru[int, _CachedSnapshot] = ByteBoundedLru(
            max_bytes, entry_bytes=_entry_bytes
        )
        self._login_owners: ByteBoundedLru[str, _LoginOwner] = ByteBoundedLru(
            _MAX_LOGINS_BYTES, entry_bytes=lambda *_: 0
        )
        self.errors = ErrorCache(clock=clock)

    def get(self, owner_id: int) -> Snapshot | None:
        """Return the last numbers of an owner, however old."""
        entry = self._entries.get(owner_id)
        if entry is None:
            return None
        return without_implausible_times(entry.snapshot, now=self._clock())

    def get_by_login(self, login: str) -> Snapshot | None:
        """Return the last numbers of the last known holder of a login."""
        login_owner = self._login_owners.get(login.lower())
        return self.get(login_owner.owner_id) if login_owner is not None else None

    def put(self, snapshot: Snapshot, *, validated_at: datetime | None = None) -> Snapshot:
        """
        Cache a snapshot from the database or GitHub; return the newest one known then.

        `validated_at` is when the database was read, by default now: a change that is received while
        the query runs has to invalidate its result.
        """
        known = self.get(snapshot.owner.id)
        newest = select_newer(known, snapshot) if known is not None else snapshot
        self._entries.put(newest.owner.id, _CachedSnapshot(newest, validated_at or self._clock()))
        self.put_login(newest.owner.login, newest.owner.id, requested_at=newest.fetched_at)
        if not newest.is_deleted and isinstance(self.errors.get(newest.owner.id), UnknownUser):
            self.errors.drop(newest.owner.id)
        return newest

    def put_login(self, login: str, owner_id: int, *, requested_at: datetime = LONG_AGO) -> None:
        """Cache the holder of a login, and when this login was sent to GitHub."""
        login_owner = self._login_owners.get(login.lower())
        if login_owner is not None and login_owner.owner_id == owner_id:
            requested_at = max(requested_at, login_owner.requested_at)
        self._login_owners.put(login.lower(), _LoginOwner(owner_id, requested_at))

    def drop_owners(self, owner_ids: Collection[int]) -> None:
        """Remove everything cached of these owners."""
        for owner_id in owner_ids:
            self._entries.drop(owner_id)
            self.errors.drop(owner_id)
        self._login_owners.drop_where(lambda _, holder: holder.owner_id in owner_ids)

    def login_requested_at(self, login: str) -> datetime:
        """Return when a login was last sent to GitHub; long ago if that is unknown."""
        login_owner = self._login_owners.get(login.lower())
        return login_owner.requested_at if login_owner is not None else LONG_AGO

    def is_current(self, snapshot: Snapshot) -> bool:
        """Return whether a snapshot needs neither the database nor GitHub."""
        return self._clock() < self.fresh_until(snapshot)

    def fresh_until(self, snapshot: Snapshot) -> datetime:
        """Return the time until which a snapshot is current; in the past if it is not."""
        entry = self._entries.get(snapshot.owner.id)
        if entry is None or self.classify(snapshot) is not Freshness.FRESH:
            return LONG_AGO
        if self.is_invalidated(snapshot.owner.id):
            return LONG_AGO
        return min(snapshot.fetched_at + self._ttls.soft, entry.validated_at + self._ttls.memory)

    def is_invalidated(self, owner_id: int) -> bool:
        """Return whether another process may have changed an owner since the database was read."""
        entry = self._entries.get(owner_id)
        return entry is None or not self._invalidations.is_unchanged(
            owner_id, since=entry.validated_at
        )

    def classify(self, snapshot: Snapshot, *, login: str | None = None) -> Freshness:
        """Classify a snapshot by its age and, if `login` is a former one, by when GitHub confirmed that."""
        if snapshot.is_deleted or not snapshot.has_numbers:
            return Freshness.HARD_STALE
        now = self._clock()
        freshness = classify_freshness(snapshot.fetched_at, self._ttls, now=now)
        if freshness is not Freshness.FRESH or login is None:
            return freshness
        login_owner = self._login_owners.get(login.lower())
        is_former = login.lower() != snapshot.owner.login.lower()
        if is_former and (login_owner is None or now - login_owner.requested_at >= self._ttls.soft):
            return Freshness.SOFT_STALE
        return freshness


def _entry_bytes(_: int, entry: _CachedSnapshot) -> int:
    return _SNAPSHOT_BYTES + _LANGUAGE_BYTES * len(entry.snapshot.stats.languages)


def _unsaved_bytes(_: int, unsaved: OwnerRepositories) -> int:
    return _SNAPSHOT_BYTES + _REPOSITORY_BYTES * len(unsaved.repositories)


class BackgroundWriter:
    """Records results of GitHub in the cache at once, and in PostgreSQL soon after."""

    def __init__(self, *, database: Database, cache: SnapshotCache, clock: Clock) -> None:
        self._database = database
        self._cache = cache
        self._clock = clock
        self._throttle = LogThrottle(time.monotonic)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.unsaved: ByteBoundedLru[int, OwnerRepositories] = ByteBoundedLru(
            _MAX_UNSAVED_BYTES, entry_bytes=_unsaved_bytes
        )

    def record(
        self, fetched: Sequence[tuple[OwnerRepositories, Snapshot | None]]
    ) -> list[Snapshot]:
        """Cache fetched owners, each with its last known snapshot, and save them together."""
        rows = []
        snapshots = []
        for repositories, known in fetched:
            stats = aggregate(repositories.repositories)
            snapshot = Snapshot(
                repositories.owner,
                stats,
                repositories.fetched_at,
                followers=repositories.followers,
            )
            snapshot = msgspec.structs.replace(snapshot, version=_predict_version(snapshot, known))
            self._cache.put(snapshot)
            self.unsaved.put(repositories.owner.id, repositories)
            snapshots.append(snapshot)
            rows.append((repositories, stats))
        if rows:
            owner_ids = [snapshot.owner.id for snapshot in snapshots]
            self.schedule(owner_ids, self._upsert(rows))
        return snapshots

    def record_deleted(self, known: Snapshot) -> Snapshot:
        """Cache and save that GitHub no longer knows an owner; return the last numbers, so marked."""
        deleted = msgspec.structs.replace(known, is_deleted=True)
        self._cache.put(deleted)
        self._cache.errors.put(known.owner.id, UnknownUser(known.owner.login), ttl=_DELETED_TTL)
        self.schedule([known.owner.id], self._mark_deleted(known.owner.id))
        return deleted

    def schedule(self, owner_ids: Sequence[int], job: Coroutine[Any, Any, None]) -> None:
        """Run a job that writes the rows of these owners in a task of its own."""
        task = asyncio.create_task(job, name=f"save {owner_ids}")
        self._tasks |= dict.fromkeys(owner_ids, task)
        task.add_done_callback(partial(self._on_done, owner_ids))

    def is_saving(self, owner_id: int) -> bool:
        """Return whether a write of this owner's row is running."""
        return owner_id in self._tasks

    async def wait(self, owner_id: int, *, timeout_seconds: float) -> None:
        """Wait until the current write of this owner's row ends, or the time is over."""
        if owner_id in self._tasks:
            await asyncio.wait({self._tasks[owner_id]}, timeout=timeout_seconds)

    async def drain(self) -> None:
        """Wait until no write is running."""
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def close(self) -> None:
        """Give running writes a second to finish, then cancel them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self.drain()
        for task in self._tasks.values():
            task.cancel()

    async def _upsert(self, rows: Sequence[tuple[OwnerRepositories, Stats]]) -> None:
        saved: list[Snapshot] = []

        async def upsert(
            connection: Connection, part: Sequence[tuple[OwnerRepositories, Stats]]
        ) -> None:
            saved.extend(await users.upsert_owners(connection, part, now=self._clock()))

        # Rows that can't be stored fail alone; the others of the batch are saved.
        for (repositories, _), error in await save_separately(self._database, rows, upsert):
            self._log_failure([repositories.owner.id], error)
        for snapshot in saved:
            self._cache.put(snapshot)
            unsaved = self.unsaved.get(snapshot.owner.id)
            if unsaved is not None and unsaved.fetched_at <= snapshot.fetched_at:
                self.unsaved.drop(snapshot.owner.id)

    async def _mark_deleted(self, owner_id: int) -> None:
        async with self._database.transaction() as connection:
            now = self._clock()
            await users.mark_user_deleted(connection, owner_id, requested_at=now, now=now)

    def _on_done(self, owner_ids: Sequence[int], task: asyncio.Task[None]) -> None:
        for owner_id in owner_ids:
            # A later write of the same owner may have taken the place of this one.
            if self._tasks.get(owner_id) is task:
                del self._tasks[owner_id]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._log_failure(owner_ids, error)

    def _log_failure(self, owner_ids: Sequence[int], error: BaseException) -> None:
        if not self._throttle.allows((owner_ids[0], type(error))):
            return
        if isinstance(error, DatabaseUnavailable):
            _log.warning("background_writer.save_failed", owners=owner_ids, reason=str(error))
        else:
            _log.error("background_writer.save_broken", owners=owner_ids, exc_info=error)


def _predict_version(snapshot: Snapshot, known: Snapshot | None) -> int:
    """
    Predict the version that PostgreSQL will assign: it rises only when something visible changes.

    A picture drawn before the write has finished then carries the same version as one drawn later.
    """
    fetched_at = to_epoch_microseconds(snapshot.fetched_at)
    if known is None or known.owner.id != snapshot.owner.id or not known.version:
        return fetched_at
    is_same = (known.owner.login, known.owner.display_name, known.stats) == (
        snapshot.owner.login,
        snapshot.owner.display_name,
        snapshot.stats,
    )
    return known.version if is_same else max(known.version + 1, fetched_at)
