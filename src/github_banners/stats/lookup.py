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
    GitHubUnavailable,
    StillCounting,
    TooManyRequests,
    UnknownUser,
)
from github_banners.log_throttle import LogThrottle
from github_banners.model import Clock, Portfolio, Snapshot, Stats, microseconds
from github_banners.stats.charge import Charge, charge_pages, for_nothing
from github_banners.stats.counting import count
from github_banners.stats.deadline import Deadline
from github_banners.stats.freshness import Freshness, Ttls, later
from github_banners.stats.identity import Asks, AsksMany, ask_by_name
from github_banners.stats.known import Known
from github_banners.stats.saving import Saving
from github_banners.stats.stale import COLLECT_SECONDS, Refreshed, StaleRefresher
from github_banners.stats.trust import Trust
from github_banners.stats.turns import Turn, Turns

_log = structlog.get_logger(__name__)

Ask: TypeAlias = Callable[[], Awaitable[Snapshot]]


_UNKNOWN_FOR = timedelta(seconds=60)
_FAILED_FOR = timedelta(seconds=2)
_GONE_FOR = timedelta(minutes=5)
_SAVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Numbers, how old they are, and until when they need no second look."""

    snapshot: Snapshot
    freshness: Freshness
    good_until: datetime


class Lookup:
    """Finds numbers. Close it, and what it still saves is finished or given up within a second."""

    def __init__(
        self,
        *,
        database: Database,
        github: Asks,
        batch: AsksMany,
        ttls: Ttls,
        clock: Clock,
        trust: Trust | None = None,
        memory_bytes: int = 64 << 20,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        collect_seconds: float = COLLECT_SECONDS,
    ) -> None:
        self._database = database
        self._github = github
        self._clock = clock
        trust = trust or Trust(clock=clock)
        self._known = Known(ttls=ttls, trust=trust, clock=clock, limit_bytes=memory_bytes)
        self._throttle = LogThrottle(time.monotonic)
        self._flights: dict[str | int, asyncio.Task[Snapshot]] = {}
        self._late: WeakSet[asyncio.Task[Snapshot]] = WeakSet()
        self._saving = Saving(database=database, clock=clock, note=self._known.note)
        self._turns = Turns(database=database, clock=clock, sleep=sleep)
        self._stale = StaleRefresher(
            batch,
            turns=self._turns,
            finish=self._finish_batch,
            clock=clock,
            collect_seconds=collect_seconds,
        )

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
        ask = partial(self._ask_by_name, login, known, charge)
        return await self._answer(
            subject, ask, known, name=login, deadline=deadline, charge=charge, is_by_login=True
        )

    async def by_owner(self, known: Snapshot, *, deadline: Deadline, charge: Charge) -> Answer:
        """Find newer numbers of an owner whose last ones are given; those are the answer otherwise."""
        known = later(known, self._known.get(known.owner.id) or known)
        ask = partial(self._ask_by_id, known, charge)
        name, owner_id = known.owner.login, known.owner.id
        try:
            return await self._answer(
                owner_id, ask, known, name=name, deadline=deadline, charge=charge
            )
        except UnknownUser:
            return self._as_answer(known)

    def remembered(self, owner_id: int, *, settled: bool = True) -> Snapshot | None:
        """Give what memory has of an owner; `settled` if PostgreSQL need not be asked about it."""
        known = self._known.get(owner_id)
        return known if known is not None and (self._is_settled(known) or not settled) else None

    def note(self, snapshot: Snapshot, *, asked_at: datetime) -> None:
        """Remember what PostgreSQL has said to a question of that moment."""
        self._known.note(snapshot, compared_at=asked_at)

    async def ensure_kept(self, snapshot: Snapshot, *, deadline: Deadline) -> None:
        """
        See to it that PostgreSQL has an owner, saving anew what could not be saved.

        :raises DatabaseUnavailable: it has not within the deadline
        :raises Unavailable: GitHub has to be asked again, and does not answer within the deadline
        :raises UnknownUser: GitHub has to be asked again, and knows the owner no more
        """
        owner_id = snapshot.owner.id
        read = partial(users.select_snapshot_by_id, owner_id=owner_id, now=self._clock())
        again = partial(self._ask_by_id, snapshot, for_nothing)
        ask = partial(self._ask_in_turn, snapshot, again)
        for _ in range(2):
            await self._saving.wait(owner_id, seconds=deadline.grant(_SAVE_SECONDS))
            if await self._database.ask(read, within_seconds=deadline.grant_database()):
                return
            flight = self._flight(owner_id, ask, for_nothing)
            await self._wait(flight, snapshot.owner.login, deadline)
        raise DatabaseUnavailable

    async def close(self, *, seconds: float = 1.0) -> None:
        """End the questions, and give what is being saved `seconds` to finish."""
        flights = set(self._flights.values())
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights, timeout=seconds)
        await self._stale.close()
        await self._saving.close(seconds=seconds)

    async def _known_by_login(self, key: str, deadline: Deadline) -> Snapshot | None:
        known = self._known.by_name(key)
        if known is not None and self._is_settled(known):
            return known
        if known is None and self._known.refusal(key) is not None:
            return None
        stored, asked_at = None, self._clock()
        with suppress(DatabaseUnavailable):
            stored = await self._database.ask(
                partial(users.select_snapshot, login=key, now=asked_at),
                within_seconds=deadline.grant_database(),
            )
        # Meanwhile an answer may have come in; who read before it was saved must not ask again.
        known = self._known.by_name(key)
        if stored is None or (known is not None and later(known, stored) is known):
            if stored is not None:
                self._known.note(stored, compared_at=asked_at)
            return known
        self._known.note_name(key, stored.owner.id)
        return self._known.note(stored, compared_at=asked_at)

    def _is_settled(self, known: Snapshot) -> bool:
        """Tell whether PostgreSQL need not be asked: nothing newer can be there, or it is coming."""
        owner_id = known.owner.id
        if self._known.has_changed(owner_id):
            return False
        is_coming = owner_id in self._flights or self._saving.is_under_way(owner_id)
        has_failed = self._known.refusal(owner_id) is not None
        return is_coming or has_failed or self._known.is_settled(known)

    async def _answer(
        self,
        subject: str | int,
        ask: Ask,
        known: Snapshot | None,
        *,
        name: str,
        deadline: Deadline,
        charge: Charge,
        is_by_login: bool = False,
    ) -> Answer:
        freshness = Freshness.HARD_STALE
        if known is not None:
            freshness = self._known.judge(known, name=name)
        if known is not None and freshness is Freshness.FRESH:
            return self._as_answer(known)
        if known is not None and subject == known.owner.id:
            if freshness is Freshness.SOFT_STALE:
                ask = partial(
                    self._ask_in_batch, known, charge, login=name if is_by_login else None
                )
            else:
                ask = partial(self._ask_in_turn, known, ask)
        try:
            flight = self._flight(subject, ask, charge)
            # Who has old numbers need not wait for a question that others have waited for in vain.
            may_be_old = freshness is Freshness.SOFT_STALE or flight in self._late
            if known is not None and may_be_old:
                return self._as_answer(known)
            snapshot = await self._wait(flight, name, deadline)
        except (GitHubUnavailable, StillCounting, TooManyRequests):
            if known is None:
                raise
            return self._as_answer(known)
        return self._as_answer(snapshot)

    def _as_answer(self, snapshot: Snapshot) -> Answer:
        good_until = self._known.good_until(snapshot)
        return Answer(snapshot, self._known.judge(snapshot), good_until)

    async def _wait(
        self, flight: asyncio.Task[Snapshot], name: str, deadline: Deadline
    ) -> Snapshot:
        done, _ = await asyncio.wait({flight}, timeout=deadline.grant_github())
        if not done:
            self._late.add(flight)
            raise StillCounting(name)
        if flight.cancelled():
            raise GitHubUnavailable
        return flight.result()

    def _flight(self, subject: str | int, ask: Ask, charge: Charge) -> asyncio.Task[Snapshot]:
        """Join the question that is under way, or ask it."""
        flight = self._flights.get(subject)
        if flight is not None:
            return flight
        refusal = self._known.refusal(subject)
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
            self._known.refuse(subject, error, during=_UNKNOWN_FOR)
        elif isinstance(error, BannersError):
            self._known.refuse(subject, error, during=_FAILED_FOR)
        elif error is not None:
            # What we did not foresee must not be asked again with every request either.
            self._known.refuse(subject, GitHubUnavailable(), during=_FAILED_FOR)
            if self._throttle.allows((subject, type(error))):
                _log.error("lookup.flight_failed", subject=subject, exc_info=error)

    async def _ask_in_turn(self, known: Snapshot, ask: Ask) -> Snapshot:
        """Ask about an owner, unless another process has asked."""
        looked_at = self._clock()
        turn = await self._turns.take(known)
        if turn.newer is not None:
            return self._known.note(turn.newer, compared_at=looked_at)
        try:
            return await ask()
        finally:
            self._end_turn(known.owner.id, turn)

    def _end_turn(self, owner_id: int, turn: Turn) -> None:
        # What is saved ends the turn by itself.
        if turn.leased_until is not None and not self._saving.is_under_way(owner_id):
            end = self._turns.give_back(owner_id, leased_until=turn.leased_until)
            self._saving.begin([owner_id], end)

    async def _ask_in_batch(
        self, known: Snapshot, charge: Charge, *, login: str | None
    ) -> Snapshot:
        """Ask about an owner together with others, and then for who holds a login it gave up."""
        snapshot = await self._stale.refresh(known)
        charge_pages(snapshot.stats.total_repos, charge)
        has_login = not snapshot.is_gone and snapshot.owner.login.lower() == (login or "").lower()
        if login is None or has_login:
            return snapshot
        try:
            portfolio = await self._github.fetch(login, is_known=True)
        except UnknownUser:
            if snapshot.is_gone:
                raise
            return snapshot
        holder = self._keep(portfolio, known, charge)
        self._known.note_name(login, holder.owner.id, asked_at=holder.fetched_at)
        return holder

    def _finish_batch(self, refreshed: Sequence[Refreshed]) -> list[Snapshot | BannersError]:
        """Remember what came of a batch, and save it in one transaction."""
        results: list[Snapshot | BannersError] = []
        answers: list[tuple[Portfolio, Stats]] = []
        for item in refreshed:
            match item.answer:
                case Portfolio() as portfolio:
                    stats = count(portfolio.repositories)
                    answers.append((portfolio, stats))
                    results.append(self._remember(portfolio, stats, item.known))
                case UnknownUser():
                    results.append(self._bury(item.known))
                case BannersError() as error:
                    results.append(error)
                case None if item.turn.newer is not None:
                    newer = self._known.note(item.turn.newer, compared_at=item.looked_at)
                    results.append(newer)
                case None:
                    results.append(item.known)
        if answers:
            self._saving.keep(answers)
        for item in refreshed:
            self._end_turn(item.known.owner.id, item.turn)
        return results

    async def _ask_by_name(self, login: str, known: Snapshot | None, charge: Charge) -> Snapshot:
        try:
            portfolios = await ask_by_name(self._github, login, known)
        except UnknownUser:
            if known is not None:
                self._bury(known)
            raise
        learnt = [self._keep(portfolio, known, charge) for portfolio in portfolios]
        self._known.note_name(login, learnt[-1].owner.id, asked_at=learnt[-1].fetched_at)
        return learnt[-1]

    async def _ask_by_id(self, known: Snapshot, charge: Charge) -> Snapshot:
        try:
            portfolio = await self._github.fetch_again(known.owner, previous=known.stats)
            return self._keep(portfolio, known, charge)
        except UnknownUser:
            return self._bury(known)

    def _keep(self, portfolio: Portfolio, known: Snapshot | None, charge: Charge) -> Snapshot:
        """Remember an answer, charge what it took besides, and save it without waiting."""
        charge_pages(len(portfolio.repositories), charge)
        stats = count(portfolio.repositories)
        snapshot = self._remember(portfolio, stats, known)
        self._saving.keep([(portfolio, stats)])
        return snapshot

    def _remember(self, portfolio: Portfolio, stats: Stats, known: Snapshot | None) -> Snapshot:
        snapshot = Snapshot(portfolio.owner, stats, portfolio.fetched_at)
        snapshot = replace(snapshot, version=_version(snapshot, known))
        self._known.note(snapshot)
        return snapshot

    def _bury(self, known: Snapshot) -> Snapshot:
        """Note that GitHub no longer knows an owner, and keep the last numbers."""
        gone = replace(known, is_gone=True)
        self._known.note(gone)
        self._known.refuse(known.owner.id, UnknownUser(known.owner.login), during=_GONE_FOR)
        self._saving.bury(known.owner.id)
        return gone


async def _run(ask: Ask) -> Snapshot:
    return await ask()


def _version(snapshot: Snapshot, known: Snapshot | None) -> int:
    """Foresee the version that PostgreSQL will give: it stays while nothing visible changes."""
    asked_at = microseconds(snapshot.fetched_at)
    if known is None or known.owner.id != snapshot.owner.id or not known.version:
        return asked_at
    is_same = (known.owner.login, known.owner.display_name, known.stats) == (
        snapshot.owner.login,
        snapshot.owner.display_name,
        snapshot.stats,
    )
    return known.version if is_same else max(known.version + 1, asked_at)
