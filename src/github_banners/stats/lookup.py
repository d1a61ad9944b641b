"""
The numbers of one owner: memory -> database -> GitHub -> the old answer.

One question to GitHub per owner is under way at a time, however many wait for it and in however many
processes; it goes on when they give up, and serves the next request. Nothing here draws or knows HTTP.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias
from weakref import WeakSet

import structlog
from msgspec.structs import replace

from github_banners.database import users
from github_banners.database.connect import Database
from github_banners.errors import (
    BannersError,
    DatabaseUnavailable,
    FirstFetchPending,
    GitHubUnavailable,
    TooManyRequests,
    UnknownUser,
)
from github_banners.log_throttle import LogThrottle
from github_banners.models import Clock, OwnerRepositories, Snapshot, Stats, to_epoch_microseconds
from github_banners.stats.aggregation import aggregate
from github_banners.stats.background_writer import BackgroundWriter
from github_banners.stats.charge import Charge, charge_pages, no_charge
from github_banners.stats.deadline import Deadline
from github_banners.stats.fetch import BatchOwnerFetcher, OwnerFetcher, resolve_login
from github_banners.stats.fetch_leases import FetchLeases, LeaseResult
from github_banners.stats.freshness import Freshness, Ttls, select_newer
from github_banners.stats.invalidations import Invalidations
from github_banners.stats.snapshots import SnapshotCache
from github_banners.stats.stale_refresher import COLLECT_SECONDS, RefreshResult, StaleRefresher

_log = structlog.get_logger(__name__)

FetchSnapshot: TypeAlias = Callable[[], Awaitable[Snapshot]]


_UNKNOWN_USER_TTL = timedelta(seconds=60)
_FAILURE_TTL = timedelta(seconds=2)
_DELETED_TTL = timedelta(minutes=5)
_SAVE_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class LookupResult:
    """Numbers, how old they are, and until when they need no second look."""

    snapshot: Snapshot
    freshness: Freshness
    fresh_until: datetime


class Lookup:
    """Finds numbers. Close it, and what it still saves is finished or given up within a second."""

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
        invalidations = invalidations or Invalidations(clock=clock)
        self._cache = SnapshotCache(
            ttls=ttls, invalidations=invalidations, clock=clock, max_bytes=memory_bytes
        )
        self._throttle = LogThrottle(time.monotonic)
        self._in_flight: dict[str | int, asyncio.Task[Snapshot]] = {}
        self._timed_out: WeakSet[asyncio.Task[Snapshot]] = WeakSet()
        self._writer = BackgroundWriter(database=database, clock=clock, on_saved=self._cache.put)
        self._leases = FetchLeases(database=database, clock=clock, sleep=sleep)
        self._refresher = StaleRefresher(
            batch_fetcher,
            leases=self._leases,
            on_batch=self._process_batch,
            clock=clock,
            collect_seconds=collect_seconds,
        )

    async def find_by_login(
        self, login: str, *, deadline: Deadline, charge: Charge
    ) -> LookupResult:
        """
        Find the numbers of whoever holds a login now, or held it last.

        :raises UnknownUser: GitHub knows nobody of this name
        :raises FirstFetchPending: the first answer takes longer than the deadline
        :raises GitHubUnavailable: nothing is known, and GitHub can't be asked
        :raises TooManyRequests: nothing is known, and `charge` refused the question
        """
        key = login.lower()
        known = await self._load_by_login(key, deadline)
        if known is not None and known.is_deleted:
            known = None
        subject: str | int = key
        if known is not None and known.owner.login.lower() == key:
            subject = known.owner.id
        ask = partial(self._fetch_by_login, login, known, charge)
        return await self._find_or_fetch(
            subject, ask, known, name=login, deadline=deadline, charge=charge, is_by_login=True
        )

    async def refresh_owner(
        self, known: Snapshot, *, deadline: Deadline, charge: Charge
    ) -> LookupResult:
        """Find newer numbers of an owner whose last ones are given; those are the answer otherwise."""
        known = select_newer(known, self._cache.get(known.owner.id) or known)
        ask = partial(self._fetch_by_id, known, charge)
        name, owner_id = known.owner.login, known.owner.id
        try:
            return await self._find_or_fetch(
                owner_id, ask, known, name=name, deadline=deadline, charge=charge
            )
        except UnknownUser:
            return self._to_result(known)

    def get_cached(self, owner_id: int, *, must_be_current: bool = True) -> Snapshot | None:
        """Give what memory has of an owner; `settled` if PostgreSQL need not be asked about it."""
        known = self._cache.get(owner_id)
        return (
            known
            if known is not None and (self._is_current(known) or not must_be_current)
            else None
        )

    def put_cached(self, snapshot: Snapshot, *, read_at: datetime) -> None:
        """Remember what PostgreSQL has said to a question of that moment."""
        self._cache.put(snapshot, validated_at=read_at)

    async def ensure_persisted(self, snapshot: Snapshot, *, deadline: Deadline) -> None:
        """
        See to it that PostgreSQL has an owner, saving anew what could not be saved.

        :raises DatabaseUnavailable: it has not within the deadline
        :raises Unavailable: GitHub has to be asked again, and does not answer within the deadline
        :raises UnknownUser: GitHub has to be asked again, and knows the owner no more
        """
        owner_id = snapshot.owner.id
        read = partial(users.select_snapshot_by_id, owner_id=owner_id, now=self._clock())
        again = partial(self._fetch_by_id, snapshot, no_charge)
        ask = partial(self._fetch_with_lease, snapshot, again)
        for _ in range(2):
            await self._writer.wait(
                owner_id, timeout_seconds=deadline.timeout_seconds(_SAVE_TIMEOUT_SECONDS)
            )
            if await self._database.run_within(
                read, timeout_seconds=deadline.database_timeout_seconds()
            ):
                return
            flight = self._join_or_start(owner_id, ask, no_charge)
            await self._wait(flight, snapshot.owner.login, deadline)
        raise DatabaseUnavailable

    async def close(self, *, timeout_seconds: float = 1.0) -> None:
        """End the questions, and give what is being saved `seconds` to finish."""
        flights = set(self._in_flight.values())
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights, timeout=timeout_seconds)
        await self._refresher.close()
        await self._writer.close(timeout_seconds=timeout_seconds)

    async def _load_by_login(self, key: str, deadline: Deadline) -> Snapshot | None:
        known = self._cache.get_by_login(key)
        if known is not None and self._is_current(known):
            return known
        if known is None and self._cache.cached_error(key) is not None:
            return None
        stored, asked_at = None, self._clock()
        with suppress(DatabaseUnavailable):
            stored = await self._database.run_within(
                partial(users.select_snapshot, login=key, now=asked_at),
                timeout_seconds=deadline.database_timeout_seconds(),
            )
        # Meanwhile an answer may have come in; who read before it was saved must not ask again.
        known = self._cache.get_by_login(key)
        if stored is None or (known is not None and select_newer(known, stored) is known):
            if stored is not None:
                self._cache.put(stored, validated_at=asked_at)
            return known
        self._cache.put_login(key, stored.owner.id)
        return self._cache.put(stored, validated_at=asked_at)

    def _is_current(self, known: Snapshot) -> bool:
        """Tell whether PostgreSQL need not be asked: nothing newer can be there, or it is coming."""
        owner_id = known.owner.id
        if self._cache.is_invalidated(owner_id):
            return False
        is_coming = owner_id in self._in_flight or self._writer.is_saving(owner_id)
        has_failed = self._cache.cached_error(owner_id) is not None
        return is_coming or has_failed or self._cache.is_current(known)

    async def _find_or_fetch(
        self,
        key: str | int,
        fetch: FetchSnapshot,
        known: Snapshot | None,
        *,
        name: str,
        deadline: Deadline,
        charge: Charge,
        is_by_login: bool = False,
    ) -> LookupResult:
        freshness = Freshness.HARD_STALE
        if known is not None:
            freshness = self._cache.classify(known, login=name)
        if known is not None and freshness is Freshness.FRESH:
            return self._to_result(known)
        if known is not None and key == known.owner.id:
            if freshness is Freshness.SOFT_STALE:
                fetch = partial(
                    self._fetch_in_batch, known, charge, login=name if is_by_login else None
                )
            else:
                fetch = partial(self._fetch_with_lease, known, fetch)
        try:
            flight = self._join_or_start(key, fetch, charge)
            # Who has old numbers need not wait for a question that others have waited for in vain.
            may_be_old = freshness is Freshness.SOFT_STALE or flight in self._timed_out
            if known is not None and may_be_old:
                return self._to_result(known)
            snapshot = await self._wait(flight, name, deadline)
        except (GitHubUnavailable, FirstFetchPending, TooManyRequests):
            if known is None:
                raise
            return self._to_result(known)
        return self._to_result(snapshot)

    def _to_result(self, snapshot: Snapshot) -> LookupResult:
        good_until = self._cache.fresh_until(snapshot)
        return LookupResult(snapshot, self._cache.classify(snapshot), good_until)

    async def _wait(self, task: asyncio.Task[Snapshot], name: str, deadline: Deadline) -> Snapshot:
        done, _ = await asyncio.wait({task}, timeout=deadline.github_timeout_seconds())
        if not done:
            self._timed_out.add(task)
            raise FirstFetchPending(name)
        if task.cancelled():
            raise GitHubUnavailable
        return task.result()

    def _join_or_start(
        self, key: str | int, fetch: FetchSnapshot, charge: Charge
    ) -> asyncio.Task[Snapshot]:
        """Join the question that is under way, or ask it."""
        flight = self._in_flight.get(key)
        if flight is not None:
            return flight
        refusal = self._cache.cached_error(key)
        if refusal is not None:
            raise refusal
        charge()
        flight = asyncio.create_task(_run(fetch), name=f"ask GitHub about {key}")
        self._in_flight[key] = flight
        flight.add_done_callback(partial(self._on_done, key))
        return flight

    def _on_done(self, key: str | int, task: asyncio.Task[Snapshot]) -> None:
        del self._in_flight[key]
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, UnknownUser):
            self._cache.cache_error(key, error, ttl=_UNKNOWN_USER_TTL)
        elif isinstance(error, BannersError):
            self._cache.cache_error(key, error, ttl=_FAILURE_TTL)
        elif error is not None:
            # What we did not foresee must not be asked again with every request either.
            self._cache.cache_error(key, GitHubUnavailable(), ttl=_FAILURE_TTL)
            if self._throttle.allows((key, type(error))):
                _log.error("lookup.flight_failed", subject=key, exc_info=error)

    async def _fetch_with_lease(self, known: Snapshot, fetch: FetchSnapshot) -> Snapshot:
        """Ask about an owner, unless another process has asked."""
        looked_at = self._clock()
        turn = await self._leases.acquire(known)
        if turn.newer_snapshot is not None:
            return self._cache.put(turn.newer_snapshot, validated_at=looked_at)
        try:
            return await fetch()
        finally:
            self._release_lease(known.owner.id, turn)

    def _release_lease(self, owner_id: int, lease: LeaseResult) -> None:
        # What is saved ends the turn by itself.
        if lease.leased_until is not None and not self._writer.is_saving(owner_id):
            end = self._leases.release(owner_id, leased_until=lease.leased_until)
            self._writer.schedule([owner_id], end)

    async def _fetch_in_batch(
        self, known: Snapshot, charge: Charge, *, login: str | None
    ) -> Snapshot:
        """Ask about an owner together with others, and then for who holds a login it gave up."""
        snapshot = await self._refresher.refresh(known)
        charge_pages(snapshot.stats.total_repos, charge)
        has_login = (
            not snapshot.is_deleted and snapshot.owner.login.lower() == (login or "").lower()
        )
        if login is None or has_login:
            return snapshot
        try:
            portfolio = await self._github.fetch(login, is_known=True)
        except UnknownUser:
            if snapshot.is_deleted:
                raise
            return snapshot
        holder = self._accept(portfolio, known, charge)
        self._cache.put_login(login, holder.owner.id, requested_at=holder.fetched_at)
        return holder

    def _process_batch(self, refreshed: Sequence[RefreshResult]) -> list[Snapshot | BannersError]:
        """Remember what came of a batch, and save it in one transaction."""
        results: list[Snapshot | BannersError] = []
        answers: list[tuple[OwnerRepositories, Stats]] = []
        for item in refreshed:
            match item.outcome:
                case OwnerRepositories() as portfolio:
                    stats = aggregate(portfolio.repositories)
                    answers.append((portfolio, stats))
                    results.append(self._cache_snapshot(portfolio, stats, item.known))
                case UnknownUser():
                    results.append(self._mark_deleted(item.known))
                case BannersError() as error:
                    results.append(error)
                case None if item.lease.newer_snapshot is not None:
                    newer = self._cache.put(item.lease.newer_snapshot, validated_at=item.read_at)
                    results.append(newer)
                case None:
                    results.append(item.known)
        if answers:
            self._writer.save(answers)
        for item in refreshed:
            self._release_lease(item.known.owner.id, item.lease)
        return results

    async def _fetch_by_login(self, login: str, known: Snapshot | None, charge: Charge) -> Snapshot:
        try:
            portfolios = await resolve_login(self._github, login, known)
        except UnknownUser:
            if known is not None:
                self._mark_deleted(known)
            raise
        learnt = [self._accept(portfolio, known, charge) for portfolio in portfolios]
        self._cache.put_login(login, learnt[-1].owner.id, requested_at=learnt[-1].fetched_at)
        return learnt[-1]

    async def _fetch_by_id(self, known: Snapshot, charge: Charge) -> Snapshot:
        try:
            portfolio = await self._github.fetch_by_id(known.owner, previous=known.stats)
            return self._accept(portfolio, known, charge)
        except UnknownUser:
            return self._mark_deleted(known)

    def _accept(
        self, portfolio: OwnerRepositories, known: Snapshot | None, charge: Charge
    ) -> Snapshot:
        """Remember an answer, charge what it took besides, and save it without waiting."""
        charge_pages(len(portfolio.repositories), charge)
        stats = aggregate(portfolio.repositories)
        snapshot = self._cache_snapshot(portfolio, stats, known)
        self._writer.save([(portfolio, stats)])
        return snapshot

    def _cache_snapshot(
        self, portfolio: OwnerRepositories, stats: Stats, known: Snapshot | None
    ) -> Snapshot:
        snapshot = Snapshot(portfolio.owner, stats, portfolio.fetched_at)
        snapshot = replace(snapshot, version=_predict_version(snapshot, known))
        self._cache.put(snapshot)
        return snapshot

    def _mark_deleted(self, known: Snapshot) -> Snapshot:
        """Note that GitHub no longer knows an owner, and keep the last numbers."""
        gone = replace(known, is_gone=True)
        self._cache.put(gone)
        self._cache.cache_error(known.owner.id, UnknownUser(known.owner.login), ttl=_DELETED_TTL)
        self._writer.mark_deleted(known.owner.id)
        return gone


async def _run(fetch: FetchSnapshot) -> Snapshot:
    return await fetch()


def _predict_version(snapshot: Snapshot, known: Snapshot | None) -> int:
    """Foresee the version that PostgreSQL will give: it stays while nothing visible changes."""
    asked_at = to_epoch_microseconds(snapshot.fetched_at)
    if known is None or known.owner.id != snapshot.owner.id or not known.version:
        return asked_at
    is_same = (known.owner.login, known.owner.display_name, known.stats) == (
        snapshot.owner.login,
        snapshot.owner.display_name,
        snapshot.stats,
    )
    return known.version if is_same else max(known.version + 1, asked_at)
