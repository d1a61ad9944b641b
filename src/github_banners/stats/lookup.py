"""
The numbers of one owner: memory -> database -> GitHub -> the old answer.

One question to GitHub per owner is under way at a time, however many wait for it; it goes on when
they give up, and serves the next request. Nothing here draws or knows HTTP.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

import structlog

from github_banners.database import users
from github_banners.database.connect import Database
from github_banners.errors import (
    BannersError,
    DatabaseUnavailable,
    GitHubUnavailable,
    StillCounting,
    TooManyRequests,
    UnknownUser,
)
from github_banners.model import Clock, Portfolio, Snapshot, Stats, microseconds
from github_banners.stats.counting import count
from github_banners.stats.deadline import Deadline
from github_banners.stats.freshness import Freshness, Ttls, judge, later
from github_banners.stats.identity import Asks, ask_by_name
from github_banners.stats.memory import Memory

_log = structlog.get_logger(__name__)

Charge: TypeAlias = Callable[[], None]
"""Counts a question to GitHub against whoever causes it; raises TooManyRequests."""

_UNKNOWN_FOR = timedelta(seconds=60)
_FAILED_FOR = timedelta(seconds=2)
_GONE_FOR = timedelta(days=7)
_NEVER = datetime.min.replace(tzinfo=UTC)
_NAMES_BYTES = 4 << 20
_SNAPSHOT_BYTES = 600
_LANGUAGE_BYTES = 80


@dataclass(frozen=True, slots=True)
class Answer:
    """Numbers, how old they are, and until when they need no second look."""

    snapshot: Snapshot
    freshness: Freshness
    good_until: datetime


@dataclass(frozen=True, slots=True)
class _Entry:
    """A snapshot in memory; `compared_at` is when PostgreSQL was last known to agree."""

    snapshot: Snapshot
    compared_at: datetime


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who holds a name, or held it last; `asked_at` is when GitHub was asked by this very name."""

    owner_id: int
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A failure that is remembered for a short while, so that nobody hammers at GitHub."""

    error: BannersError
    until: datetime


class Lookup:
    """Finds numbers. Close it, and what it still saves is finished or given up within a second."""

    def __init__(
        self,
        *,
        database: Database,
        github: Asks,
        ttls: Ttls,
        clock: Clock,
        memory_bytes: int = 64 << 20,
    ) -> None:
        self._database = database
        self._github = github
        self._ttls = ttls
        self._clock = clock
        self._entries: Memory[int, _Entry] = Memory(memory_bytes, bytes_of=_entry_bytes)
        self._holders: Memory[str, _Holder] = Memory(_NAMES_BYTES, bytes_of=lambda _: 0)
        self._refusals: Memory[str | int, _Refusal] = Memory(_NAMES_BYTES, bytes_of=lambda _: 0)
        self._flights: dict[str | int, asyncio.Task[Snapshot]] = {}
        self._saves: dict[int, asyncio.Task[None]] = {}

    async def by_login(self, login: str, *, deadline: Deadline, charge: Charge) -> Answer:
        """
        Find the numbers of whoever holds a login now, or held it last.

        :raises UnknownUser: GitHub knows nobody of this name
        :raises StillCounting: the first answer takes longer than the deadline
        :raises GitHubUnavailable: nothing is known, and GitHub can't be asked
        :raises TooManyRequests: nothing is known, and `charge` refused the question
        """
        key = login.lower()
        known = await self._known_by_login(key, deadline)
        if known is not None and known.is_gone:
            known = None
        subject: str | int = key
        if known is not None and known.owner.login.lower() == key:
            subject = known.owner.id
        ask = partial(self._ask_by_name, login, known)
        return await self._answer(subject, ask, known, name=login, deadline=deadline, charge=charge)

    async def by_owner(self, known: Snapshot, *, deadline: Deadline, charge: Charge) -> Answer:
        """Find newer numbers of an owner whose last ones are given; those are the answer otherwise."""
        entry = self._entries.get(known.owner.id)
        if entry is not None:
            known = later(known, entry.snapshot)
        self._remember(known)
        ask = partial(self._ask_by_id, known)
        name, owner_id = known.owner.login, known.owner.id
        try:
            return await self._answer(
                owner_id, ask, known, name=name, deadline=deadline, charge=charge
            )
        except UnknownUser:
            return self._as_answer(known)

    def remembered(self, owner_id: int, *, settled: bool = True) -> Snapshot | None:
        """Give what memory has of an owner; `settled` if PostgreSQL need not be asked about it."""
        entry = self._entries.get(owner_id)
        if entry is None or (settled and not self._is_settled(entry)):
            return None
        return entry.snapshot

    async def ensure_kept(self, snapshot: Snapshot, *, deadline: Deadline) -> None:
        """
        See to it that PostgreSQL has an owner, saving anew what could not be saved.

        :raises DatabaseUnavailable: it has not within the deadline
        """
        owner_id = snapshot.owner.id
        read = partial(users.select_snapshot_by_id, owner_id=owner_id)
        for _ in range(2):
            if owner_id in self._saves:
                await asyncio.wait({self._saves[owner_id]}, timeout=deadline.grant_database())
            if await self._database.ask(read, within_seconds=deadline.grant_database()):
                return
            self._keep(await self._github.fetch_again(snapshot.owner), snapshot)
        raise DatabaseUnavailable

    async def close(self, *, seconds: float = 1.0) -> None:
        """End the questions, and give what is being saved `seconds` to finish."""
        for flight in self._flights.values():
            flight.cancel()
        pending = {*self._flights.values(), *self._saves.values()}
        if pending:
            _, late = await asyncio.wait(pending, timeout=seconds)
            for task in late:
                task.cancel()

    async def _known_by_login(self, key: str, deadline: Deadline) -> Snapshot | None:
        entry = self._entry_of(key)
        if entry is not None and self._is_settled(entry):
            return entry.snapshot
        if entry is None and self._refusal(key) is not None:
            return None
        stored = None
        with suppress(DatabaseUnavailable):
            stored = await self._database.ask(
                partial(users.select_snapshot, login=key), within_seconds=deadline.grant_database()
            )
        # Meanwhile an answer may have come in; who read before it was saved must not ask again.
        entry = self._entry_of(key)
        if stored is None:
            return entry.snapshot if entry is not None else None
        known = later(entry.snapshot, stored) if entry is not None else stored
        self._remember(known)
        self._name(key, known, asked_at=_NEVER)
        return known

    def _entry_of(self, key: str) -> _Entry | None:
        holder = self._holders.get(key)
        return self._entries.get(holder.owner_id) if holder is not None else None

    def _is_settled(self, entry: _Entry) -> bool:
        """Tell whether PostgreSQL need not be asked: compared lately, and fresh or being refreshed."""
        now = self._clock()
        owner_id = entry.snapshot.owner.id
        if owner_id in self._flights or owner_id in self._saves or self._refusal(owner_id):
            return True
        if now - entry.compared_at >= self._ttls.memory:
            return False
        return self._judge(entry.snapshot) is Freshness.FRESH

    async def _answer(
        self,
        subject: str | int,
        ask: Callable[[], Awaitable[Snapshot]],
        known: Snapshot | None,
        *,
        name: str,
        deadline: Deadline,
        charge: Charge,
    ) -> Answer:
        freshness = self._judge(known, name) if known is not None else Freshness.HARD_STALE
        if known is not None and freshness is Freshness.FRESH:
            return self._as_answer(known)
        try:
            flight = self._flight(subject, ask, charge)
            if known is not None and freshness is Freshness.SOFT_STALE:
                return self._as_answer(known)
            snapshot = await self._wait(flight, name, deadline)
        except (GitHubUnavailable, StillCounting, TooManyRequests):
            if known is None:
                raise
            return self._as_answer(known)
        return self._as_answer(snapshot)

    def _as_answer(self, snapshot: Snapshot) -> Answer:
        freshness, good_until = self._judge(snapshot), self._clock()
        entry = self._entries.get(snapshot.owner.id)
        if freshness is Freshness.FRESH and entry is not None:
            good_until = min(
                snapshot.fetched_at + self._ttls.soft, entry.compared_at + self._ttls.memory
            )
        return Answer(snapshot, freshness, good_until)

    def _judge(self, snapshot: Snapshot, name: str | None = None) -> Freshness:
        """Judge numbers by their age; fresh ones by a name given up only if that was asked for too."""
        if snapshot.is_gone:
            return Freshness.HARD_STALE
        now = self._clock()
        freshness = judge(snapshot.fetched_at, self._ttls, now=now)
        if freshness is not Freshness.FRESH or name is None:
            return freshness
        holder = self._holders.get(name.lower())
        is_former = name.lower() != snapshot.owner.login.lower()
        if is_former and (holder is None or now - holder.asked_at >= self._ttls.soft):
            return Freshness.SOFT_STALE
        return freshness

    async def _wait(
        self, flight: asyncio.Task[Snapshot], name: str, deadline: Deadline
    ) -> Snapshot:
        done, _ = await asyncio.wait({flight}, timeout=deadline.grant_github())
        if not done:
            raise StillCounting(name)
        if flight.cancelled():
            raise GitHubUnavailable
        return flight.result()

    def _flight(
        self, subject: str | int, ask: Callable[[], Awaitable[Snapshot]], charge: Charge
    ) -> asyncio.Task[Snapshot]:
        """Join the question that is under way, or ask it."""
        flight = self._flights.get(subject)
        if flight is not None:
            return flight
        refusal = self._refusal(subject)
        if refusal is not None:
            raise refusal
        charge()
        flight = asyncio.create_task(_run(ask), name=f"ask GitHub about {subject}")
        self._flights[subject] = flight
        flight.add_done_callback(partial(self._land, subject))
        return flight

    def _land(self, subject: str | int, flight: asyncio.Task[Snapshot]) -> None:
        del self._flights[subject]
        if flight.cancelled():
            return
        error = flight.exception()
        if isinstance(error, UnknownUser):
            self._refusals.put(subject, _Refusal(error, self._clock() + _UNKNOWN_FOR))
        elif isinstance(error, BannersError):
            self._refusals.put(subject, _Refusal(error, self._clock() + _FAILED_FOR))
        elif error is not None:
            _log.error("lookup.flight_failed", subject=subject, exc_info=error)

    def _refusal(self, subject: str | int) -> BannersError | None:
        refusal = self._refusals.get(subject)
        if refusal is None or refusal.until <= self._clock():
            return None
        # A raised exception collects the tracebacks of all who raise it.
        return refusal.error.with_traceback(None)

    async def _ask_by_name(self, login: str, known: Snapshot | None) -> Snapshot:
        try:
            portfolios = await ask_by_name(self._github, login, known)
        except UnknownUser:
            if known is not None:
                self._bury(known)
            raise
        learnt = [self._keep(portfolio, known) for portfolio in portfolios]
        self._name(login.lower(), learnt[-1], asked_at=learnt[-1].fetched_at)
        return learnt[-1]

    async def _ask_by_id(self, known: Snapshot) -> Snapshot:
        try:
            return self._keep(await self._github.fetch_again(known.owner), known)
        except UnknownUser:
            return self._bury(known)

    def _keep(self, portfolio: Portfolio, known: Snapshot | None) -> Snapshot:
        """Remember an answer, and save it without waiting."""
        stats = count(portfolio.repositories)
        snapshot = Snapshot(portfolio.owner, stats, portfolio.fetched_at)
        snapshot = replace(snapshot, version=_version(snapshot, known))
        self._remember(snapshot)
        self._save_later(portfolio.owner.id, self._save(portfolio, stats))
        return snapshot

    def _bury(self, known: Snapshot) -> Snapshot:
        """Note that GitHub no longer knows an owner, and keep the last numbers."""
        gone = replace(known, is_gone=True)
        owner_id = known.owner.id
        self._remember(gone)
        refusal = _Refusal(UnknownUser(known.owner.login), self._clock() + _GONE_FOR)
        self._refusals.put(owner_id, refusal)
        self._save_later(owner_id, self._mark_gone(owner_id))
        return gone

    def _remember(self, snapshot: Snapshot) -> None:
        self._entries.put(snapshot.owner.id, _Entry(snapshot, self._clock()))
        self._name(snapshot.owner.login.lower(), snapshot, asked_at=snapshot.fetched_at)

    def _name(self, key: str, snapshot: Snapshot, *, asked_at: datetime) -> None:
        holder = self._holders.get(key)
        if holder is not None and holder.owner_id == snapshot.owner.id:
            asked_at = max(asked_at, holder.asked_at)
        self._holders.put(key, _Holder(snapshot.owner.id, asked_at))

    async def _save(self, portfolio: Portfolio, stats: Stats) -> None:
        async with self._database.transaction() as connection:
            saved = await users.upsert_portfolios(connection, [(portfolio, stats)])
        for snapshot in saved:
            self._remember(snapshot)

    async def _mark_gone(self, owner_id: int) -> None:
        async with self._database.transaction() as connection:
            await users.mark_gone(connection, owner_id, asked_at=self._clock())

    def _save_later(self, owner_id: int, saving: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(saving, name=f"save {owner_id}")
        self._saves[owner_id] = task
        task.add_done_callback(partial(self._saved, owner_id))

    def _saved(self, owner_id: int, save: asyncio.Task[None]) -> None:
        if self._saves.get(owner_id) is save:
            del self._saves[owner_id]
        error = None if save.cancelled() else save.exception()
        if isinstance(error, DatabaseUnavailable):
            _log.warning("lookup.not_saved", owner=owner_id)
        elif error is not None:
            _log.error("lookup.save_failed", owner=owner_id, exc_info=error)


async def _run(ask: Callable[[], Awaitable[Snapshot]]) -> Snapshot:
    return await ask()


def _version(snapshot: Snapshot, known: Snapshot | None) -> int:
    """Foresee the version that PostgreSQL will give: it stays while nothing visible changes."""
    asked_at = microseconds(snapshot.fetched_at)
    if known is None or known.owner.id != snapshot.owner.id:
        return asked_at
    is_same = (known.owner.login, known.owner.display_name, known.stats) == (
        snapshot.owner.login,
        snapshot.owner.display_name,
        snapshot.stats,
    )
    return known.version if is_same else max(known.version + 1, asked_at)


def _entry_bytes(entry: _Entry) -> int:
    return _SNAPSHOT_BYTES + _LANGUAGE_BYTES * len(entry.snapshot.stats.languages)
