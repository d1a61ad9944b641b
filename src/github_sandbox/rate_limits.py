"""
GitHub's primary rate limits: which account a request is charged to, and what it has left.

Pure: the current time is a parameter. Limits belong to an account, not to a token.
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum

import msgspec

AUTHENTICATED_LIMIT = 5_000
ANONYMOUS_LIMIT = 60
_WINDOW_SECONDS = 3_600
_UNDECLARED_ACCOUNT_BASE = 1_000_000_000
_UNDECLARED_ACCOUNT_COUNT = 1_000_000_000


class Resource(StrEnum):
    """APIs with separate rate limits."""

    CORE = "core"
    GRAPHQL = "graphql"


class RateLimitSubject(msgspec.Struct, frozen=True):
    """What a request is charged to: an account or, without a token, an IP address."""

    account_id: int | None
    address: str = ""

    def limit(self, resource: Resource) -> int:
        """Return the points per hour; GraphQL requires an account."""
        if self.account_id is not None:
            return AUTHENTICATED_LIMIT
        return ANONYMOUS_LIMIT if resource is Resource.CORE else 0

    def __str__(self) -> str:
        return self.address if self.account_id is None else f"user ID {self.account_id}"


class RateLimitStatus(msgspec.Struct, frozen=True):
    """The state of one rate limit; `reset` is in seconds since the Unix epoch."""

    limit: int
    remaining: int
    used: int
    reset: int
    resource: Resource

    def headers(self) -> dict[str, str]:
        """Return the status as response headers."""
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-used": str(self.used),
            "x-ratelimit-reset": str(self.reset),
            "x-ratelimit-resource": self.resource.value,
        }


class BadCredentials(PermissionError):
    """The token is unknown or revoked."""


class Tokens:
    """
    Maps tokens to accounts.

    `declared` maps a token to its account id, or to None if it is revoked. If it is empty, every token
    is valid and has an account of its own, whose id is derived from the token's digest.
    """

    def __init__(self, declared: Mapping[str, int | None]) -> None:
        self._declared = dict(declared)

    def authenticate(self, authorization: str | None, *, address: str) -> RateLimitSubject:
        """
        Return what a request with this `Authorization` header is charged to.

        :raises BadCredentials: the header contains no valid token
        """
        if authorization is None:
            return RateLimitSubject(None, address)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() not in {"bearer", "token"} or not token.strip():
            raise BadCredentials
        return RateLimitSubject(self._account_id(token.strip()), address)

    def _account_id(self, token: str) -> int:
        if not self._declared:
            digest = hashlib.sha256(token.encode()).digest()
            offset = int.from_bytes(digest[:8]) % _UNDECLARED_ACCOUNT_COUNT
            return _UNDECLARED_ACCOUNT_BASE + offset
        if (account_id := self._declared.get(token)) is None:
            raise BadCredentials
        return account_id


class _Window(msgspec.Struct):
    used: int
    reset: int


class RateLimiter:
    """
    Hourly windows per subject and resource; a window starts with its first request.

    `initial_budget` is how many points the first window of each subject has, None for the full limit.
    """

    def __init__(self, *, initial_budget: int | None = None) -> None:
        self._initial_budget = initial_budget
        self._windows: dict[tuple[int | str, Resource], _Window] = {}

    def status(
        self, subject: RateLimitSubject, resource: Resource, *, now: float
    ) -> RateLimitStatus:
        """Return what a subject has left, without charging it."""
        limit, window = subject.limit(resource), self._window(subject, resource, now)
        used = min(window.used, limit)
        return RateLimitStatus(limit, limit - used, used, window.reset, resource)

    def charge(
        self, subject: RateLimitSubject, resource: Resource, points: int, *, now: float
    ) -> bool:
        """Charge points if enough are left, and return whether they were."""
        window = self._window(subject, resource, now)
        if subject.limit(resource) - window.used < points:
            return False
        window.used += points
        return True

    def _window(self, subject: RateLimitSubject, resource: Resource, now: float) -> _Window:
        key = (subject.address if subject.account_id is None else subject.account_id, resource)
        window = self._windows.get(key)
        if window is not None and now < window.reset:
            return window
        used = 0
        if window is None and self._initial_budget is not None:
            used = max(0, subject.limit(resource) - self._initial_budget)
        self._windows[key] = window = _Window(used, int(now) + _WINDOW_SECONDS)
        return window
