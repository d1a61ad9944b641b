"""
Which account may pay for a question, and with which key: pure bookkeeping, no I/O.

GitHub's budget belongs to the account, not to the token, and REST and GraphQL are counted apart. A
limit concerns the whole account, a refused token only itself.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from github_banners.github.pace import Pace
from github_banners.github.protocol import Failure, FailureKind, Resource, Room
from github_banners.settings import Secret

_ANONYMOUS_LIMITS = {Resource.CORE: 60, Resource.GRAPHQL: 0}
_TOKEN_LIMIT = 5000
_STRIKES = 3
_REFUSED_PAUSE = timedelta(seconds=30)
_SECONDARY_PAUSE = timedelta(seconds=60)
_LONGEST_PAUSE = timedelta(minutes=15)
_HOPELESS_PAUSE = timedelta(hours=1)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Priority(StrEnum):
    """Who needs an answer; those who need it less leave a share of every account's hour to others."""

    KNOWN = "known"
    """Somebody waits for an owner who has, or had, a banner here."""
    UNKNOWN = "unknown"
    """Somebody waits for a name never seen: invented ones must not spend what others need."""
    STALE = "stale"
    """Somebody has looked at old numbers and does not wait for newer ones."""
    BACKGROUND = "background"
    """Nobody has looked."""

    @property
    def reserved_share(self) -> float:
        """Tell which share of an account's hour is left to those who come first, 0 to 1."""
        return _RESERVED_SHARES[self]


_RESERVED_SHARES = {
    Priority.KNOWN: 0.0,
    Priority.UNKNOWN: 0.1,
    Priority.STALE: 0.1,
    Priority.BACKGROUND: 0.3,
}
# Sixty an hour are few: people get half of them.
_RESERVED_OF_ANONYMOUS = {Priority.BACKGROUND: 0.5}


class Budget(Protocol):
    """Who says whether an account may be spent, where several processes spend it."""

    async def reserve(self, account: "Account", resource: Resource, priority: Priority) -> bool:
        """Take one point, if there is one for this priority."""

    def settle(self, account: "Account", resource: Resource) -> None:
        """Note that a reserved point is spent."""

    def observe(self, account: "Account", resource: Resource, room: Room | None) -> None:
        """Note what GitHub says is left after a request; None where it does not say."""


class OwnBudget:
    """The budget of a process that is alone: GitHub's headers are all that counts."""

    async def reserve(self, account: "Account", resource: Resource, priority: Priority) -> bool:
        """Agree: what is left was looked at when the account was chosen."""
        return True

    def settle(self, account: "Account", resource: Resource) -> None:
        """Note nothing: the account counts what is under way."""

    def observe(self, account: "Account", resource: Resource, room: Room | None) -> None:
        """Note nothing: the account does."""


@dataclass(slots=True, eq=False)
class Key:
    """
    Who asks: a token, or None for the address's own small ration.

    `strikes` counts refusals in a row; a refused key is left alone until `rests_until`.
    """

    token: Secret | None
    account: "Account" = field(init=False, repr=False)
    under_way: Counter[Resource] = field(default_factory=Counter)
    strikes: int = 0
    rests_until: datetime = _LONG_AGO

    @property
    def name(self) -> str:
        """Name the key in logs, where it is safe: the beginning of the token's SHA-256."""
        if self.token is None:
            return "anonymous"
        return hashlib.sha256(self.token.reveal().encode()).hexdigest()[:8]

    def rests(self, *, now: datetime) -> bool:
        """Tell whether the key was refused and is left alone."""
        return self.rests_until > now

    @contextmanager
    def paying(self, resource: Resource) -> Iterator[None]:
        """Count a question while it is on its way, so that parallel ones don't spend the same room."""
        self.under_way[resource] += 1
        try:
            yield
        finally:
            self.under_way[resource] -= 1


@dataclass(slots=True, eq=False)
class Account:
    """
    One payer with its keys: what is left, and when it may pay again.

    `holder_id` is GitHub's number of whoever the keys belong to, None while that is not known;
    `sharers` counts the processes that spend it, this one included.
    """

    keys: list[Key]
    holder_id: int | None = None
    rooms: dict[Resource, Room] = field(default_factory=dict)
    parked_until: dict[Resource, datetime] = field(default_factory=dict)
    slowdowns: int = 0
    pace: Pace = field(default_factory=Pace)
    sharers: int = 1

    def __post_init__(self) -> None:
        for key in self.keys:
            key.account = self

    def room(self, resource: Resource, *, now: datetime) -> int:
        """Count what this account can still pay for; a reset that has passed fills it up."""
        under_way = sum(key.under_way[resource] for key in self.keys)
        room = self.rooms.get(resource)
        if room is not None and room.reset_at > now:
            return room.remaining - under_way
        return self.limit(resource) - under_way

    @property
    def name(self) -> str:
        """Name the account where processes share what is known of it; never by a token."""
        key = self.keys[0]
        return key.name if self.holder_id is None else f"user-{self.holder_id}"

    @property
    def is_anonymous(self) -> bool:
        """Tell whether these are the requests that an address has without a token."""
        return all(key.token is None for key in self.keys)

    def reserve(self, resource: Resource, priority: Priority) -> int:
        """Count the points that a priority has to leave to others."""
        share = priority.reserved_share
        if self.is_anonymous:
            share = _RESERVED_OF_ANONYMOUS.get(priority, share)
        return math.ceil(share * self.limit(resource))

    def limit(self, resource: Resource) -> int:
        """Count what this account can pay for in an hour."""
        room = self.rooms.get(resource)
        usual = _ANONYMOUS_LIMITS[resource] if self.is_anonymous else _TOKEN_LIMIT
        # A limit of zero is told to whom GitHub did not recognise: not for good.
        return room.limit or usual if room is not None else usual

    def may_pay(
        self, resource: Resource, *, now: datetime, priority: Priority = Priority.KNOWN
    ) -> bool:
        """Tell whether to ask with this account now."""
        is_awake = not all(key.rests(now=now) for key in self.keys)
        is_parked = self._is_parked(resource, now=now)
        spare = self.room(resource, now=now) - self.reserve(resource, priority)
        return is_awake and not is_parked and spare > 0

    def note_room(self, room: Room) -> None:
        """Take what an answer says is left; answers can overtake each other, so the least counts."""
        known = self.rooms.get(room.resource)
        if known is not None and known.reset_at > room.reset_at:
            return
        if known is not None and known.reset_at == room.reset_at:
            room = min(known, room, key=lambda one: one.remaining)
        self.rooms[room.resource] = room

    def park(self, until: datetime | None, resources: Iterable[Resource]) -> None:
        """Leave budgets alone until a time; a shorter pause does not end a longer one."""
        if until is not None:
            for resource in resources:
                self.parked_until[resource] = max(until, self.parked_until.get(resource, until))

    def slow_down(self, until: datetime | None, resource: Resource, *, now: datetime) -> None:
        """Heed a secondary limit, which speaks of the account as a whole, with or without advice."""
        # What was already on its way when the first limit came says nothing new.
        if until is None and not self._is_parked(resource, now=now):
            self.slowdowns += 1
            until = now + _backoff(self.slowdowns, first=_SECONDARY_PAUSE)
        self.park(until, Resource)

    def speed_up(self, resource: Resource, *, now: datetime) -> None:
        """Forget earlier secondary limits, once one of them is over and a question went well."""
        if not self._is_parked(resource, now=now):
            self.slowdowns = 0

    def take_over(self, other: "Account") -> None:
        """Take the keys of what turned out to be the same account, and all that is known of it."""
        for key in other.keys:
            key.account = self
        self.keys += other.keys
        for room in other.rooms.values():
            self.note_room(room)
        for resource, until in other.parked_until.items():
            self.park(until, [resource])
        self.slowdowns = max(self.slowdowns, other.slowdowns)

    def _is_parked(self, resource: Resource, *, now: datetime) -> bool:
        return resource in self.parked_until and self.parked_until[resource] > now


def accounts_of(tokens: Sequence[Secret]) -> list[Account]:
    """Make an account of every token given, and the anonymous one for when none can pay."""
    return [Account([Key(token)]) for token in (*dict.fromkeys(tokens), None)]


def choose(
    accounts: Sequence[Account],
    resource: Resource,
    *,
    now: datetime,
    priority: Priority = Priority.KNOWN,
    without: Collection[Key] = (),
) -> Key | None:
    """Pick a key of the account with the most room; None when nobody can pay."""
    keys = [
        key
        for account in accounts
        if account.may_pay(resource, now=now, priority=priority)
        for key in account.keys
        if key not in without and not key.rests(now=now)
    ]
    # The anonymous ration is the last resort however much of it is left.
    return max(
        keys,
        key=lambda one: (one.token is not None, one.account.room(resource, now=now)),
        default=None,
    )


def join(accounts: list[Account], key: Key, *, holder_id: int) -> None:
    """Note whose a key is: what was taken for two accounts of one holder becomes one."""
    account = key.account
    account.holder_id = holder_id
    for twin in accounts:
        if twin is not account and twin.holder_id == holder_id:
            twin.take_over(account)
            accounts.remove(account)
            return


def note_success(key: Key, resource: Resource, *, now: datetime) -> None:
    """Forget earlier refusals."""
    key.strikes = 0
    key.account.speed_up(resource, now=now)


def note_failure(
    accounts: Sequence[Account], key: Key, failure: Failure, resource: Resource, *, now: datetime
) -> None:
    """Leave alone whom a refusal speaks of, as long as it asks for; others concern nobody."""
    if failure.kind is FailureKind.PRIMARY_LIMIT:
        key.account.park(failure.until, [resource])
    elif failure.kind is FailureKind.SECONDARY_LIMIT:
        key.account.slow_down(failure.until, resource, now=now)
    elif failure.kind is FailureKind.SUSPENDED:
        key.account.park(now + _HOPELESS_PAUSE, Resource)
    elif failure.kind is FailureKind.BAD_TOKEN:
        _strike(accounts, key, now=now)


def spoken_of(key: Key, failure: Failure) -> list[Key]:
    """Say which keys need not be tried with the same question."""
    is_about_the_token = failure.kind in {FailureKind.BAD_TOKEN, FailureKind.FORBIDDEN}
    return [key] if is_about_the_token else list(key.account.keys)


def _strike(accounts: Sequence[Account], key: Key, *, now: datetime) -> None:
    """
    Let a refused key rest, so that strikes are at least 30 s apart.

    GitHub has been seen to refuse good tokens for a while. So a key is given up after three in a row,
    and only while another token is in good standing: when all are refused it is not the tokens.
    Given up means one try an hour.
    """
    if key.rests(now=now):
        return
    key.strikes += 1
    others = [one for account in accounts for one in account.keys if one is not key]
    is_hopeless = key.strikes >= _STRIKES and any(
        one.token is not None and not one.strikes for one in others
    )
    pause = _HOPELESS_PAUSE if is_hopeless else _backoff(key.strikes, first=_REFUSED_PAUSE)
    key.rests_until = now + pause


def _backoff(times: int, *, first: timedelta) -> timedelta:
    """Double a pause with every time in a row, up to a quarter of an hour."""
    return min(first * (1 << min(times - 1, 10)), _LONGEST_PAUSE)
