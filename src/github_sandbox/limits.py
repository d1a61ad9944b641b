"""
GitHub's rate limits: who pays for a question, and what they have left.

Pure: the time comes with each call. The budget belongs to an account, not to a token.
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum

import msgspec

WITH_TOKEN = 5_000
WITHOUT_TOKEN = 60
_HOUR_SECONDS = 3_600
_UNDECLARED_BASE = 1_000_000_000
_UNDECLARED_COUNT = 1_000_000_000


class Resource(StrEnum):
    """The budgets that are counted apart."""

    CORE = "core"
    GRAPHQL = "graphql"


class Payer(msgspec.Struct, frozen=True):
    """Who pays: an account, or an address where no token was given."""

    account_id: int | None
    address: str = ""

    def limit(self, resource: Resource) -> int:
        """Say how many points an hour there are; GraphQL is for accounts only."""
        if self.account_id is not None:
            return WITH_TOKEN
        return WITHOUT_TOKEN if resource is Resource.CORE else 0

    def __str__(self) -> str:
        return self.address if self.account_id is None else f"user ID {self.account_id}"


class Allowance(msgspec.Struct, frozen=True):
    """What a payer has left; `reset` is in seconds since 1970."""

    limit: int
    remaining: int
    used: int
    reset: int
    resource: Resource

    def headers(self) -> dict[str, str]:
        """Write it as response headers."""
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-used": str(self.used),
            "x-ratelimit-reset": str(self.reset),
            "x-ratelimit-resource": self.resource.value,
        }


class BadCredentials(PermissionError):
    """The token is nobody's."""


class Tokens:
    """
    Whom a token belongs to.

    `declared` maps a token to the number of its account, or to None when it is revoked. When none is
    declared every token is good and belongs to an account of its own, chosen by its digest.
    """

    def __init__(self, declared: Mapping[str, int | None]) -> None:
        self._declared = dict(declared)

    def payer(self, authorization: str | None, *, address: str) -> Payer:
        """
        Find who pays for a request.

        :raises BadCredentials: the header names no known account
        """
        if authorization is None:
            return Payer(None, address)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() not in {"bearer", "token"} or not token.strip():
            raise BadCredentials
        return Payer(self._account(token.strip()), address)

    def _account(self, token: str) -> int:
        if not self._declared:
            digest = hashlib.sha256(token.encode()).digest()
            return _UNDECLARED_BASE + int.from_bytes(digest[:8]) % _UNDECLARED_COUNT
        if (account_id := self._declared.get(token)) is None:
            raise BadCredentials
        return account_id


class _Window(msgspec.Struct):
    used: int
    reset: int


class Budgets:
    """
    Hourly windows, one per payer and resource, each opened by its first question.

    `at_start` is what every first window has left, None for all of it.
    """

    def __init__(self, *, at_start: int | None = None) -> None:
        self._at_start = at_start
        self._windows: dict[tuple[int | str, Resource], _Window] = {}

    def allowance(self, payer: Payer, resource: Resource, *, now: float) -> Allowance:
        """Look at what a payer has left; costs nothing."""
        limit, window = payer.limit(resource), self._window(payer, resource, now)
        used = min(window.used, limit)
        return Allowance(limit, limit - used, used, window.reset, resource)

    def spend(self, payer: Payer, resource: Resource, points: int, *, now: float) -> bool:
        """Take points if they are there; say whether they were."""
        window = self._window(payer, resource, now)
        if payer.limit(resource) - window.used < points:
            return False
        window.used += points
        return True

    def _window(self, payer: Payer, resource: Resource, now: float) -> _Window:
        key = (payer.address if payer.account_id is None else payer.account_id, resource)
        window = self._windows.get(key)
        if window is not None and now < window.reset:
            return window
        used = 0
        if window is None and self._at_start is not None:
            used = max(0, payer.limit(resource) - self._at_start)
        self._windows[key] = window = _Window(used, int(now) + _HOUR_SECONDS)
        return window
