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
from github_banners.github.protocol import Failure, FailureKind, RateLimit, Resource
from github_banners.settings import Secret

_ANONYMOUS_LIMITS = {Resource.CORE: 60, Resource.GRAPHQL: 0}
_TOKEN_LIMIT = 5000
_MAX_CONSECUTIVE_FAILURES = 3
_BAD_TOKEN_PAUSE = timedelta(seconds=30)
_SECONDARY_PAUSE = timedelta(seconds=60)
_MAX_PAUSE = timedelta(minutes=15)
_PERMANENT_FAILURE_PAUSE = timedelta(hours=1)
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
_ANONYMOUS_RESERVED_SHARES = {Priority.BACKGROUND: 0.5}


class Budget(Protocol):
    """Who says whether an account may be spent, where several processes spend it."""

    async def reserve(self, account: "Account", resource: Resource, priority: Priority) -> bool:
        """Take one point, if there is one for this priority."""

    def mark_spent(self, account: "Account", resource: Resource) -> None:
        """Note that a reserved point is spent."""

    def observe(self, account: "Account", resource: Resource, rate_limit: RateLimit | None) -> None:
        """Note what GitHub says is left after a request; None where it does not say."""


class LocalBudget:
    """The budget of a process that is alone: GitHub's headers are all that counts."""

    async def reserve(self, account: "Account", resource: Resource, priority: Priority) -> bool:
        """Agree: what is left was looked at when the account was chosen."""
        return True

    def mark_spent(self, account: "Account", resource: Resource) -> None:
        """Note nothing: the account counts what is under way."""

    def observe(self, account: "Account", resource: Resource, rate_limit: RateLimit | None) -> None:
        """Note nothing: the account does."""


@dataclass(slots=True, eq=False)
class Credential:
    """
    Who asks: a token, or None for the address's own small ration.

    `strikes` counts refusals in a row; a refused key is left alone until `cooldown_until`.
    """

    token: Secret | None
    account: "Account" = field(init=False, repr=False)
    in_flight: Counter[Resource] = field(default_factory=Counter)
    consecutive_failures: int = 0
    cooldown_until: datetime = _LONG_AGO

    @property
    def name(self) -> str:
        """Name the key in logs, where it is safe: the beginning of the token's SHA-256."""
        if self.token is None:
            return "anonymous"
        return hashlib.sha256(self.token.reveal().encode()).hexdigest()[:8]

    def is_cooling_down(self, *, now: datetime) -> bool:
        """Tell whether the key was refused and is left alone."""
        return self.cooldown_until > now

    @contextmanager
    def track_in_flight(self, resource: Resource) -> Iterator[None]:
        """Count a question while it is on its way, so that parallel ones don't spend the same room."""
        self.in_flight[resource] += 1
        try:
            yield
        finally:
            self.in_flight[resource] -= 1


@dataclass(slots=True, eq=False)
class Account:
    """
    One payer with its keys: what is left, and when it may pay again.

    `user_id` is GitHub's number of whoever the keys belong to, None while that is not known;
    `sharers` counts the processes that spend it, this one included.
    """

    credentials: list[Credential]
    user_id: int | None = None
    rate_limits: dict[Resource, RateLimit] = field(default_factory=dict)
    blocked_until: dict[Resource, datetime] = field(default_factory=dict)
    secondary_hits: int = 0
    pace: Pace = field(default_factory=Pace)
    process_count: int = 1

    def __post_init__(self) -> None:
        for key in self.credentials:
            key.account = self

    def remaining(self, resource: Resource, *, now: datetime) -> int:
        """Count what this account can still pay for; a reset that has passed fills it up."""
        under_way = sum(key.in_flight[resource] for key in self.credentials)
        room = self.rate_limits.get(resource)
        if room is not None and room.reset_at > now:
            return room.remaining - under_way
        return self.limit(resource) - under_way

    @property
    def name(self) -> str:
        """Name the account where processes share what is known of it; never by a token."""
        key = self.credentials[0]
        return key.name if self.user_id is None else f"user-{self.user_id}"

    @property
    def is_anonymous(self) -> bool:
        """Tell whether these are the requests that an address has without a token."""
        return all(key.token is None for key in self.credentials)

    def reserved_points(self, resource: Resource, priority: Priority) -> int:
        """Count the points that a priority has to leave to others."""
        share = priority.reserved_share
        if self.is_anonymous:
            share = _ANONYMOUS_RESERVED_SHARES.get(priority, share)
        return math.ceil(share * self.limit(resource))

    def limit(self, resource: Resource) -> int:
        """Count what this account can pay for in an hour."""
        room = self.rate_limits.get(resource)
        usual = _ANONYMOUS_LIMITS[resource] if self.is_anonymous else _TOKEN_LIMIT
        # A limit of zero is told to whom GitHub did not recognise: not for good.
        return room.limit or usual if room is not None else usual

    def is_usable(
        self, resource: Resource, *, now: datetime, priority: Priority = Priority.KNOWN
    ) -> bool:
        """Tell whether to ask with this account now."""
        is_awake = not all(key.is_cooling_down(now=now) for key in self.credentials)
        is_parked = self._is_blocked(resource, now=now)
        spare = self.remaining(resource, now=now) - self.reserved_points(resource, priority)
        return is_awake and not is_parked and spare > 0

    def update_rate_limit(self, rate_limit: RateLimit) -> None:
        """Take what an answer says is left; answers can overtake each other, so the least counts."""
        known = self.rate_limits.get(rate_limit.resource)
        if known is not None and known.reset_at > rate_limit.reset_at:
            return
        if known is not None and known.reset_at == rate_limit.reset_at:
            rate_limit = min(known, rate_limit, key=lambda one: one.remaining)
        self.rate_limits[rate_limit.resource] = rate_limit

    def block(self, until: datetime | None, resources: Iterable[Resource]) -> None:
        """Leave budgets alone until a time; a shorter pause does not end a longer one."""
        if until is not None:
            for resource in resources:
                self.blocked_until[resource] = max(until, self.blocked_until.get(resource, until))

    def apply_secondary_limit(
        self, until: datetime | None, resource: Resource, *, now: datetime
    ) -> None:
        """Heed a secondary limit, which speaks of the account as a whole, with or without advice."""
        # What was already on its way when the first limit came says nothing new.
        if until is None and not self._is_blocked(resource, now=now):
            self.secondary_hits += 1
            until = now + _backoff(self.secondary_hits, first=_SECONDARY_PAUSE)
        self.block(until, Resource)

    def reset_backoff(self, resource: Resource, *, now: datetime) -> None:
        """Forget earlier secondary limits, once one of them is over and a question went well."""
        if not self._is_blocked(resource, now=now):
            self.secondary_hits = 0

    def merge(self, other: "Account") -> None:
        """Take the keys of what turned out to be the same account, and all that is known of it."""
        for key in other.credentials:
            key.account = self
        self.credentials += other.credentials
        for room in other.rate_limits.values():
            self.update_rate_limit(room)
        for resource, until in other.blocked_until.items():
            self.block(until, [resource])
        self.secondary_hits = max(self.secondary_hits, other.secondary_hits)

    def _is_blocked(self, resource: Resource, *, now: datetime) -> bool:
        return resource in self.blocked_until and self.blocked_until[resource] > now


def create_accounts(tokens: Sequence[Secret]) -> list[Account]:
    """Make an account of every token given, and the anonymous one for when none can pay."""
    return [Account([Credential(token)]) for token in (*dict.fromkeys(tokens), None)]


def select_credential(
    accounts: Sequence[Account],
    resource: Resource,
    *,
    now: datetime,
    priority: Priority = Priority.KNOWN,
    without: Collection[Credential] = (),
) -> Credential | None:
    """Pick a key of the account with the most room; None when nobody can pay."""
    keys = [
        key
        for account in accounts
        if account.is_usable(resource, now=now, priority=priority)
        for key in account.credentials
        if key not in without and not key.is_cooling_down(now=now)
    ]
    # The anonymous ration is the last resort however much of it is left.
    return max(
        keys,
        key=lambda one: (one.token is not None, one.account.remaining(resource, now=now)),
        default=None,
    )


def assign_user(accounts: list[Account], credential: Credential, *, user_id: int) -> None:
    """Note whose a key is: what was taken for two accounts of one holder becomes one."""
    account = credential.account
    account.user_id = user_id
    for twin in accounts:
        if twin is not account and twin.user_id == user_id:
            twin.merge(account)
            accounts.remove(account)
            return


def record_success(credential: Credential, resource: Resource, *, now: datetime) -> None:
    """Forget earlier refusals."""
    credential.consecutive_failures = 0
    credential.account.reset_backoff(resource, now=now)


def record_failure(
    accounts: Sequence[Account],
    credential: Credential,
    failure: Failure,
    resource: Resource,
    *,
    now: datetime,
) -> None:
    """Leave alone whom a refusal speaks of, as long as it asks for; others concern nobody."""
    if failure.kind is FailureKind.PRIMARY_LIMIT:
        credential.account.block(failure.retry_at, [resource])
    elif failure.kind is FailureKind.SECONDARY_LIMIT:
        credential.account.apply_secondary_limit(failure.retry_at, resource, now=now)
    elif failure.kind is FailureKind.SUSPENDED:
        credential.account.block(now + _PERMANENT_FAILURE_PAUSE, Resource)
    elif failure.kind is FailureKind.BAD_TOKEN:
        _record_bad_token(accounts, credential, now=now)


def affected_credentials(credential: Credential, failure: Failure) -> list[Credential]:
    """Say which keys need not be tried with the same question."""
    is_about_the_token = failure.kind in {FailureKind.BAD_TOKEN, FailureKind.FORBIDDEN}
    return [credential] if is_about_the_token else list(credential.account.credentials)


def _record_bad_token(
    accounts: Sequence[Account], credential: Credential, *, now: datetime
) -> None:
    """
    Let a refused key rest, so that strikes are at least 30 s apart.

    GitHub has been seen to refuse good tokens for a while. So a key is given up after three in a row,
    and only while another token is in good standing: when all are refused it is not the tokens.
    Given up means one try an hour.
    """
    if credential.is_cooling_down(now=now):
        return
    credential.consecutive_failures += 1
    others = [one for account in accounts for one in account.credentials if one is not credential]
    is_hopeless = credential.consecutive_failures >= _MAX_CONSECUTIVE_FAILURES and any(
        one.token is not None and not one.consecutive_failures for one in others
    )
    pause = (
        _PERMANENT_FAILURE_PAUSE
        if is_hopeless
        else _backoff(credential.consecutive_failures, first=_BAD_TOKEN_PAUSE)
    )
    credential.cooldown_until = now + pause


def _backoff(times: int, *, first: timedelta) -> timedelta:
    """Double a pause with every time in a row, up to a quarter of an hour."""
    return min(first * (1 << min(times - 1, 10)), _MAX_PAUSE)
