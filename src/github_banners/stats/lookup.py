"""
Finds the numbers of one owner: cache, then database, then GitHub, then the stale answer.

Only one fetch per owner is in flight at a time, in this process (`SingleFlight`) and, by leases in the
database, in all processes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Self

from github_banners.database import users
from github_banners.database.connect import Database
from github_banners.errors import (
    DatabaseUnavailable,
    FetchPending,
    GitHubUnavailable,
    TooManyRequests,
    UnknownUser,
)
from github_banners.models import END_OF_TIME, Clock, OwnerRepositories, Snapshot
from github_banners.stats.fetch import (
    BatchOwnerFetcher,
    Charge,
    Deadline,
    OwnerFetcher,
    SingleFlight,
    charge_extra_pages,
    no_charge,
    resolve_login,
)
from github_banners.stats.fetch_leases import FetchLeases
from github_banners.stats.snapshots import (
    BackgroundWriter,
    Freshness,
    Invalidations,
    SnapshotCache,
    Ttls,
    select_newer,
)
from github_banners.stats.stale_refresher import COLLECT_SECONDS, StaleRefresher

_SAVE_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class LookupResult:
    """
    Numbers and their age class.

    They need no revalidation until `fresh_until`, and no new request to GitHub until `refresh_at`.
    """

    snapshot: Snapshot
    freshness: Freshness
    fresh_until: datetime
    refresh_at: datetime

    @classmethod
    def without_age(cls, snapshot: Snapshot) -> Self:
        """Build the result for a banner that shows only other data of the owner."""
        return cls(snapshot, Freshness.FRESH, END_OF_TIME, END_OF_TIME)


@dataclass(frozen=True, slots=True)
class _LookupRequest:
    """
    An owner to look up, by `login` or, if that is None, by the id of `known`.

    `known` are the last numbers of the owner, or of the last holder of the login.
    """

    login: str | None
    known: Snapshot | None
    charge: Charge

    @property
    def key(self) -> str | int:
        """The owner's id if `known` is surely the owner, else the login."""
        if self.known is None:
            return self.name.lower()
        is_holder = self.name.lower() == self.known.owner.login.lower()
        return self.known.owner.id if is_holder else self.name.lower()

    @property
    def name(self) -> str:
        """The login to show in messages."""
        if self.login is not None:
            return self.login
        return self.known.owner.login if self.known is not None else ""


class Lookup:
    """
    Finds numbers; `close` finishes or cancels what is still in flight within a second.

    `cache` is its cache, `writer` saves what was fetched, in the background.
    """

    def __init__(
        self,
        *,
        database: Database,
        github: OwnerFetcher,
        batch_fetcher: BatchOwnerFetcher,
        ttls: Ttls,
        clock: Clock,
        invalidations: Invalidations | None = None,
        memory_bytes: int = 64 << 20,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        collect_seconds: float = COLLECT_SECONDS,
    ) -> None:
        self._database = database
        self._github = github
        self._clock = clock
        self._soft_ttl = ttls.soft
        self.cache = SnapshotCache(
            ttls=ttls,
            invalidations=invalidations or Invalidations(clock=clock),
            clock=clock,
            max_bytes=memory_bytes,
        )
        self._fetches: SingleFlight[Snapshot] = SingleFlight(self.cache.errors)
        self.writer = BackgroundWriter(database=database, cache=self.cache, clock=clock)
        self._leases = FetchLeases(database=database, writer=self.writer, clock=clock, sleep=sleep)
        self._refresher = StaleRefresher(
            batch_fetcher,
            cache=self.cache,
            writer=self.writer,
            leases=self._leases,
            clock=clock,
            collect_seconds=collect_seconds,
        )

    async def find_by_login(
        self, login: str, *, deadline: Deadline, charge: Charge
    ) -> LookupResult:
        """
        Find the numbers of the account that holds a login now, or held it last.

        :raises UnknownUser: GitHub knows no account with this login
        :raises FetchPending: nothing is known, and the fetch exceeds the deadline
        :raises GitHubUnavailable: nothing is known, and GitHub can't be reached
        :raises TooManyRequests: nothing is known, and `charge` refused the request
        """
        known = await self.find_known(login, deadline)
        if known is not None and known.is_deleted:
            known = None
        return await self._fetch_unless_fresh(_LookupRequest(login, known, charge), deadline)

    async def find_known(self, login: str, deadline: Deadline) -> Snapshot | None:
        """Find the last numbers of the holder of a login, however old, without a request to GitHub."""
        known = self.cache.get_by_login(login)
        if known is None:
            # A login that has just failed needs no database: the fetch raises the cached error.
            is_settled = self.cache.errors.get(login.lower()) is not None
        else:
            is_settled = self._can_skip_database(known)
        return known if is_settled else await self._read_by_login(login.lower(), deadline)

    async def find_for_owner(
        self, known: Snapshot, *, deadline: Deadline, charge: Charge
    ) -> LookupResult:
        """Return the numbers of a known owner, newer ones if due; the `known` ones if none come."""
        known = select_newer(known, self.cache.get(known.owner.id) or known)
        try:
            return await self._fetch_unless_fresh(_LookupRequest(None, known, charge), deadline)
        except UnknownUser:
            if not known.has_numbers:
                raise
            return self._to_result(known)

    def get_cached(self, owner_id: int, *, must_be_current: bool = True) -> Snapshot | None:
        """Return cached numbers, by default only if the database need not be read."""
        known = self.cache.get(owner_id)
        if known is None or (must_be_current and not self._can_skip_database(known)):
            return None
        return known

    def drop_owners(self, owner_ids: Collection[int]) -> None:
        """Remove everything cached of these owners, who were forgotten."""
        self.cache.drop_owners(owner_ids)
        for owner_id in owner_ids:
            self.writer.unsaved.drop(owner_id)

    async def ensure_persisted(self, snapshot: Snapshot, *, deadline: Deadline) -> None:
        """
        Wait until the database has an owner, with numbers if the snapshot has some.

        If a write has failed, the owner is fetched and saved again.

        :raises DatabaseUnavailable: the database does not have it within the deadline
        :raises Unavailable: the owner has to be fetched again, and the deadline passes
        :raises UnknownUser: the owner has to be fetched again, and no longer exists
        """
        owner_id = snapshot.owner.id
        select = partial(users.select_snapshot_by_id, owner_id=owner_id, now=self._clock())
        request = _LookupRequest(None, snapshot, no_charge)
        for _ in range(2):
            await self.writer.wait(
                owner_id, timeout_seconds=deadline.timeout_seconds(_SAVE_TIMEOUT_SECONDS)
            )
            stored = await self._database.run_within(
                select, timeout_seconds=deadline.database_timeout_seconds()
            )
            if stored is not None and (stored.has_numbers or not snapshot.has_numbers):
                return
            await self._fetches.wait(self._join_or_start(request), request.name, deadline)
        raise DatabaseUnavailable

    async def drain(self) -> None:
        """Wait until no fetch and no write is running."""
        await self._fetches.drain()
        await self.writer.drain()

    async def close(self) -> None:
        """Cancel all fetches, and give running writes a second to finish."""
        await self._fetches.close()
        await self._refresher.close()
        await self.writer.close()

    def _can_skip_database(self, known: Snapshot) -> bool:
        """
        Return whether the database need not be read before `known` is used.

        True unless another process may have changed the owner, if `known` is fresh and was validated
        lately, if this process is fetching or saving the owner, or if a fetch has just failed.
        """
        owner_id = known.owner.id
        if self.cache.is_invalidated(owner_id):
            return False
        is_pending = owner_id in self._fetches or self.writer.is_saving(owner_id)
        has_failed = self.cache.errors.get(owner_id) is not None
        return is_pending or has_failed or self.cache.is_current(known)

    async def _read_by_login(self, login: str, deadline: Deadline) -> Snapshot | None:
        """Read the holder of a login from the database, and return the newest known numbers."""
        stored, read_at = None, self._clock()
        with suppress(DatabaseUnavailable):
            stored = await self._database.run_within(
                partial(users.select_snapshot, login=login, now=read_at),
                timeout_seconds=deadline.database_timeout_seconds(),
            )
        # A fetch may have ended meanwhile. Its result counts, even if it was not saved in time to be
        # read: the owner must not be fetched again.
        cached = self.cache.get_by_login(login)
        if stored is None:
            return cached
        if cached is not None and select_newer(cached, stored) is cached:
            self.cache.put(stored, validated_at=read_at)
            return cached
        self.cache.put_login(login, stored.owner.id)
        return self.cache.put(stored, validated_at=read_at)

    async def _fetch_unless_fresh(
        self, request: _LookupRequest, deadline: Deadline
    ) -> LookupResult:
        """Return the known numbers if they are fresh, else new ones, else the known ones, stale."""
        known, freshness = request.known, Freshness.HARD_STALE
        if known is not None:
            freshness = self.cache.classify(known, login=request.name)
            if freshness is Freshness.FRESH:
                return self._to_result(known)
        try:
            task = self._join_or_start(request, in_batch=freshness is Freshness.SOFT_STALE)
            # A request that has stale numbers does not wait for a fetch that another one has
            # already waited for in vain.
            is_stale_enough = freshness is Freshness.SOFT_STALE or self._fetches.has_timed_out(task)
            if known is not None and known.has_numbers and is_stale_enough:
                return self._to_result(known)
            return self._to_result(await self._fetches.wait(task, request.name, deadline))
        except (GitHubUnavailable, FetchPending, TooManyRequests):
            if known is None or not known.has_numbers:
                raise
            return self._to_result(known)

    def _to_result(self, snapshot: Snapshot) -> LookupResult:
        return LookupResult(
            snapshot,
            self.cache.classify(snapshot),
            fresh_until=self.cache.fresh_until(snapshot),
            refresh_at=snapshot.fetched_at + self._soft_ttl,
        )

    def _join_or_start(
        self, request: _LookupRequest, *, in_batch: bool = False
    ) -> asyncio.Task[Snapshot]:
        """Return the fetch in flight, or start one; `in_batch` lets it wait for other owners."""
        fetch = partial(self._fetch, request, in_batch=in_batch)
        return self._fetches.join_or_start(request.key, fetch, charge=request.charge)

    async def _fetch(self, request: _LookupRequest, *, in_batch: bool) -> Snapshot:
        """Fetch an owner, alone or in a batch, unless another process has just done so."""
        known = request.known
        if known is None or request.key != known.owner.id:
            # A login without a known holder has no row that could be leased.
            return await self._fetch_alone(request)
        if in_batch:
            return await self._fetch_in_batch(request, known)
        read_at = self._clock()
        lease = await self._leases.acquire(known)
        if lease.newer_snapshot is not None:
            return self.cache.put(lease.newer_snapshot, validated_at=read_at)
        try:
            return await self._fetch_alone(request)
        finally:
            self._leases.release(known.owner.id, lease)

    async def _fetch_alone(self, request: _LookupRequest) -> Snapshot:
        known, login = request.known, request.login
        try:
            if login is not None:
                fetched = await resolve_login(self._github, login, known)
            else:
                assert known is not None
                fetched = [await self._github.fetch_by_id(known.owner, previous=known.stats)]
        except UnknownUser:
            deleted = self.writer.record_deleted(known) if known is not None else None
            if login is None and deleted is not None:
                return deleted
            raise
        snapshots = [self._record(repositories, request) for repositories in fetched]
        if login is not None:
            holder = snapshots[-1]
            self.cache.put_login(login, holder.owner.id, requested_at=holder.fetched_at)
        return snapshots[-1]

    async def _fetch_in_batch(self, request: _LookupRequest, known: Snapshot) -> Snapshot:
        """Fetch an owner with others; then, if it has given up the login, the login's new holder."""
        login = request.login
        snapshot = await self._refresher.refresh(known)
        charge_extra_pages(snapshot.stats.total_repos, request.charge)
        if login is None:
            return snapshot
        if not snapshot.is_deleted and snapshot.owner.login.lower() == login.lower():
            return snapshot
        try:
            repositories = await self._github.fetch(login, is_known=True)
        except UnknownUser:
            if snapshot.is_deleted:
                raise
            return snapshot
        holder = self._record(repositories, request)
        self.cache.put_login(login, holder.owner.id, requested_at=holder.fetched_at)
        return holder

    def _record(self, repositories: OwnerRepositories, request: _LookupRequest) -> Snapshot:
        """Charge the extra pages of a fetched list, cache the numbers, and save them in background."""
        charge_extra_pages(len(repositories.repositories), request.charge)
        [snapshot] = self.writer.record([(repositories, request.known)])
        return snapshot
