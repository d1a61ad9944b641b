"""
Selects the account and the token for a request, by rate limits and recent failures; no I/O.

GitHub's rate limits belong to the account, not to the token, and REST and GraphQL have one each. A rate
limit blocks the whole account, a rejected token only itself.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

import hashlib
import math
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import Protocol

from github_banners.backoff import backoff_delay
from github_banners.github.protocol import Failure, FailureKind, RateLimit, Resource
from github_banners.models import LONG_AGO
from github_banners.settings import Secret

_ANONYMOUS_LIMITS = {Resource.CORE: 60, Resource.GRAPHQL: 0}
_TOKEN_LIMIT = 5000
_MAX_CONSECUTIVE_FAILURES = 3
_BAD_TOKEN_PAUSE = timedelta(seconds=30)
_SECONDARY_PAUSE = timedelta(seconds=60)
_MAX_PAUSE = timedelta(minutes=15)
_PERMANENT_FAILURE_PAUSE = timedelta(hours=1)


WINDOW_SECONDS = 60.0
MAX_RESPONSE_SECONDS = 45.0
"""Response time per window up to which background requests are sent."""

_INITIAL_AVERAGE_SECONDS = 1.0
_MIN_PAUSE_SECONDS = 0.05


class Priority(StrEnum):
    """Priority of a request, named after its cause; low ones leave a share of each limit unused."""

    KNOWN_OWNER = "known-owner"
    """A client waits for an owner that was seen before."""
    UNKNOWN_LOGIN = "unknown-login"
    """A client waits for a login that was never seen: invented logins must not use up the limit."""
    STALE = "stale"
    """A client was served stale numbers and does not wait for new ones."""
    BACKGROUND = "background"
    """Scheduled refresh; no client is involved."""

    @property
    def reserved_share(self) -> float:
        """Return the share of an hourly limit, 0 to 1, that is reserved for higher priorities."""
        return _RESERVED_SHARES[self]


_RESERVED_SHARES = {
    Priority.KNOWN_OWNER: 0.0,
    Priority.UNKNOWN_LOGIN: 0.1,
    Priority.STALE: 0.1,
    Priority.BACKGROUND: 0.3,
}
# The unauthenticated limit is only 60 an hour: half of it is reserved for clients.
_ANONYMOUS_RESERVED_SHARES = {Priority.BACKGROUND: 0.5}


class Budget(Protocol):
    """Decides whether a point of an account may be spent that several processes share."""

    async def reserve(self, account: "Account", resource: Resource, priority: Priority) -> bool:
        """Reserve one point, if one is left for this priority."""

    def mark_spent(self, account: "Account", resource: Resource) -> None:
        """Record that a reserved point is spent."""

    async def observe(
        self, account: "Account", resource: Resource, rate_limit: RateLimit | None
    ) -> None:
        """Record the rate limit of a response; None if it had no such headers."""


class LocalBudget:
    """Budget of a single process: `Account` knows GitHub's headers, and nothing else counts."""

    async def reserve(self, account: "Account", resource: Resource, priority: Priority) -> bool:
        """Return True: the remaining points were checked when the account was selected."""
        return True

    def mark_spent(self, account: "Account", resource: Resource) -> None:
        """Do nothing: the account counts requests in flight."""

    async def observe(
        self, account: "Account", resource: Resource, rate_limit: RateLimit | None
    ) -> None:
        """Do nothing: the account records rate limits."""


@dataclass(slots=True)
class Pace:
    """
    Response times of one account in this process; `average_seconds` is a moving average.

    GitHub allows about sixty seconds of GraphQL response time per minute. Background requests stay
    below that, so that interactive ones are not throttled.
    https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api#secondary-rate-limits
    """

    average_seconds: float = _INITIAL_AVERAGE_SECONDS
    _completed: deque[tuple[float, float]] = field(default_factory=deque)
    _in_flight: dict[int, float] = field(default_factory=dict)
    _request_ids: Iterator[int] = field(default_factory=count)

    @contextmanager
    def measure(self, monotonic: Callable[[], float]) -> Iterator[None]:
        """Count the response time of a request, while it is in flight and for a minute afterwards."""
        request_id, started_at = next(self._request_ids), monotonic()
        self._in_flight[request_id] = started_at
        try:
            yield
        finally:
            del self._in_flight[request_id]
            seconds = monotonic() - started_at
            self._completed.append((started_at + seconds, seconds))
            self.average_seconds += (seconds - self.average_seconds) / 4

    def pause_seconds(self, now: float, *, process_count: int = 1) -> float:
        """
        Return how long to wait before another background request; 0 to send it now.

        Processes that share an account each get an equal part of its time.
        """
        while self._completed and self._completed[0][0] <= now - WINDOW_SECONDS:
            self._completed.popleft()
        spent = sum(seconds for _, seconds in self._completed)
        expected = sum(
            max(now - started_at, self.average_seconds) for started_at in self._in_flight.values()
        )
        is_idle = not self._completed and not self._in_flight
        if (
            is_idle
            or spent + expected + self.average_seconds <= MAX_RESPONSE_SECONDS / process_count
        ):
            return 0.0
        if not self._completed:
            return _INITIAL_AVERAGE_SECONDS
        return max(_MIN_PAUSE_SECONDS, self._completed[0][0] + WINDOW_SECONDS - now)


@dataclass(slots=True, eq=False)
class Credential:
    """
    A token, or None for unauthenticated requests, which GitHub limits by IP address.

    `name` is its name in logs. `consecutive_failures` counts rejections in a row; a rejected token is
    not used until `cooldown_until`.
    """

    token: Secret | None
    name: str = field(init=False)
    account: "Account" = field(init=False, repr=False)
    in_flight: Counter[Resource] = field(default_factory=Counter)
    consecutive_failures: int = 0
    cooldown_until: datetime = LONG_AGO

    def __post_init__(self) -> None:
        self.name = "anonymous"
        if self.token is not None:
            # The beginning of the SHA-256 does not reveal the token.
            self.name = hashlib.sha256(self.token.reveal().encode()).hexdigest()[:8]

    def is_cooling_down(self, *, now: datetime) -> bool:
        """Return whether the token was rejected and is not used for now."""
        return self.cooldown_until > now

    @contextmanager
    def track_in_flight(self, resource: Resource) -> Iterator[None]:
        """Count a request in flight, so that parallel requests don't spend the same points."""
        self.in_flight[resource] += 1
        try:
            yield
        finally:
            self.in_flight[resource] -= 1


@dataclass(slots=True, eq=False)
class Account:
    """
    A GitHub account with its credentials, rate limits and pauses.

    `user_id` is GitHub's id of the account, None while it is unknown; `process_count` is the number of
    processes that use the account, including this one.
    """

    credentials: list[Credential]
    user_id: int | None = None
    rate_limits: dict[Resource, RateLimit] = field(default_factory=dict)
    blocked_until: dict[Resource, datetime] = field(default_factory=dict)
    secondary_hits: int = 0
    pace: Pace = field(default_factory=Pace)
    process_count: int = 1

    def __post_init__(self) -> None:
        for credential in self.credentials:
            credential.account = self

    def remaining(self, resource: Resource, *, now: datetime) -> int:
        """Return the remaining points; the full limit if the reset time has passed."""
        in_flight = sum(credential.in_flight[resource] for credential in self.credentials)
        rate_limit = self.rate_limits.get(resource)
        if rate_limit is not None and rate_limit.reset_at > now:
            return rate_limit.remaining - in_flight
        return self.limit(resource) - in_flight

    @property
    def name(self) -> str:
        """The name under which processes share the rate limit; never a token."""
        credential = self.credentials[0]
        return credential.name if self.user_id is None else f"user-{self.user_id}"

    @property
    def is_anonymous(self) -> bool:
        """Return whether requests of this account carry no token."""
        return all(credential.token is None for credential in self.credentials)

    def reserved_points(self, resource: Resource, priority: Priority) -> int:
        """Return the number of points that are reserved for higher priorities."""
        share = priority.reserved_share
        if self.is_anonymous:
            share = _ANONYMOUS_RESERVED_SHARES.get(priority, share)
        return math.ceil(share * self.limit(resource))

    def limit(self, resource: Resource) -> int:
        """Return the hourly limit."""
        rate_limit = self.rate_limits.get(resource)
        default = _ANONYMOUS_LIMITS[resource] if self.is_anonymous else _TOKEN_LIMIT
        # GitHub reports a limit of 0 to a client that it did not recognise: that is temporary.
        return rate_limit.limit or default if rate_limit is not None else default

    def is_usable(
        self, resource: Resource, *, now: datetime, priority: Priority = Priority.KNOWN_OWNER
    ) -> bool:
        """Return whether a request of this priority may be sent with this account now."""
        has_credential = not all(
            credential.is_cooling_down(now=now) for credential in self.credentials
        )
        is_blocked = self._is_blocked(resource, now=now)
        spare = self.remaining(resource, now=now) - self.reserved_points(resource, priority)
        return has_credential and not is_blocked and spare > 0

    def update_rate_limit(self, rate_limit: RateLimit) -> None:
        """Record the rate limit of a response; responses can overtake each other, so the least counts."""
        known = self.rate_limits.get(rate_limit.resource)
        if known is not None and known.reset_at > rate_limit.reset_at:
            return
        if known is not None and known.reset_at == rate_limit.reset_at:
            rate_limit = min(known, rate_limit, key=lambda limit: limit.remaining)
        self.rate_limits[rate_limit.resource] = rate_limit

    def block(self, until: datetime | None, resources: Iterable[Resource]) -> None:
        """Block rate limits until a time; a shorter block does not end a longer one."""
        if until is not None:
            for resource in resources:
                self.blocked_until[resource] = max(until, self.blocked_until.get(resource, until))

    def apply_secondary_limit(
        self, until: datetime | None, resource: Resource, *, now: datetime
    ) -> None:
        """Block the whole account after a secondary limit, until a time or with exponential backoff."""
        # Requests that were in flight when the first limit was hit must not lengthen the pause.
        if until is None and not self._is_blocked(resource, now=now):
            self.secondary_hits += 1
            until = now + backoff_delay(
                self.secondary_hits, first=_SECONDARY_PAUSE, maximum=_MAX_PAUSE
            )
        self.block(until, Resource)

    def reset_backoff(self, resource: Resource, *, now: datetime) -> None:
        """Reset the backoff after a successful request, unless the account is still blocked."""
        if not self._is_blocked(resource, now=now):
            self.secondary_hits = 0

    def merge(self, other: "Account") -> None:
        """Take over the credentials and limits of another object for the same account."""
        for credential in other.credentials:
            credential.account = self
        self.credentials += other.credentials
        for rate_limit in other.rate_limits.values():
            self.update_rate_limit(rate_limit)
        for resource, until in other.blocked_until.items():
            self.block(until, [resource])
        self.secondary_hits = max(self.secondary_hits, other.secondary_hits)

    def _is_blocked(self, resource: Resource, *, now: datetime) -> bool:
        return resource in self.blocked_until and self.blocked_until[resource] > now


def create_accounts(tokens: Sequence[Secret]) -> list[Account]:
    """Create an account for each token, and one for unauthenticated requests."""
    return [Account([Credential(token)]) for token in (*dict.fromkeys(tokens), None)]


def select_credential(
    accounts: Sequence[Account],
    resource: Resource,
    *,
    now: datetime,
    priority: Priority = Priority.KNOWN_OWNER,
    without: Collection[Credential] = (),
) -> Credential | None:
    """Select a credential of the account with most points left; None if no account is usable."""
    credentials = [
        credential
        for account in accounts
        if account.is_usable(resource, now=now, priority=priority)
        for credential in account.credentials
        if credential not in without and not credential.is_cooling_down(now=now)
    ]
    # Unauthenticated requests are the last resort, however many are left.
    return max(
        credentials,
        key=lambda credential: (
            credential.token is not None,
            credential.account.remaining(resource, now=now),
        ),
        default=None,
    )


def assign_user(accounts: list[Account], credential: Credential, *, user_id: int) -> None:
    """Record which GitHub account a token belongs to, and merge it with an existing `Account`."""
    account = credential.account
    account.user_id = user_id
    for existing in accounts:
        if existing is not account and existing.user_id == user_id:
            existing.merge(account)
            accounts.remove(account)
            return


def record_success(credential: Credential, resource: Resource, *, now: datetime) -> None:
    """Reset the failure counters of a credential and its account."""
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
    """Block the credential or account that a failure applies to; ignore other failures."""
    if failure.kind is FailureKind.PRIMARY_LIMIT:
        credential.account.block(failure.retry_at, [resource])
    elif failure.kind is FailureKind.SECONDARY_LIMIT:
        credential.account.apply_secondary_limit(failure.retry_at, resource, now=now)
    elif failure.kind is FailureKind.SUSPENDED:
        credential.account.block(now + _PERMANENT_FAILURE_PAUSE, Resource)
    elif failure.kind is FailureKind.BAD_TOKEN:
        _record_bad_token(accounts, credential, now=now)


def affected_credentials(credential: Credential, failure: Failure) -> list[Credential]:
    """Return the credentials that would fail in the same way with the same request."""
    is_about_the_token = failure.kind in {FailureKind.BAD_TOKEN, FailureKind.FORBIDDEN}
    return [credential] if is_about_the_token else list(credential.account.credentials)


def _record_bad_token(
    accounts: Sequence[Account], credential: Credential, *, now: datetime
) -> None:
    """
    Pause a rejected token for at least 30 seconds.

    GitHub sometimes rejects valid tokens for a while. So a token counts as invalid after three
    rejections in a row, and only while another token works: if all are rejected, the tokens are not
    the cause. An invalid token is tried once an hour.
    """
    if credential.is_cooling_down(now=now):
        return
    credential.consecutive_failures += 1
    others = [
        other for account in accounts for other in account.credentials if other is not credential
    ]
    is_invalid = credential.consecutive_failures >= _MAX_CONSECUTIVE_FAILURES and any(
        other.token is not None and not other.consecutive_failures for other in others
    )
    pause = (
        _PERMANENT_FAILURE_PAUSE
        if is_invalid
        else backoff_delay(
            credential.consecutive_failures, first=_BAD_TOKEN_PAUSE, maximum=_MAX_PAUSE
        )
    )
    credential.cooldown_until = now + pause
