"""
Which requests are served: the rate limit of each client, and the users whom this instance serves.

Clients are told apart by address, behind trusted proxies by `X-Forwarded-For`; each has a token
bucket.

Users are served by ALLOWED_USERS, DENIED_USERS and the logins denied by `forget`. A login must be in the
first list, unless that is empty, and in no other. A list that is set as a file is read again within a
second after the file has changed; while the file can't be used, the last list holds. The lists hold for
the login that a user has now: after a rename that is the new one.
"""

import asyncio
import ipaddress
import math
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

import structlog

from github_banners.cache import ByteBoundedLru
from github_banners.errors import TooManyRequests, UserNotServed
from github_banners.settings import Network, Settings, read_logins

_log = structlog.get_logger(__name__)

NOT_SERVED_RETRY_AFTER = timedelta(days=1)
"""How long background refreshes skip an owner who is not served; a request refreshes earlier."""

_CHECK_FILES_SECONDS = 1.0

_BUCKETS_BYTES = 8 << 20
_BURST_SECONDS = 2.0
# A banner of an unknown user costs 2: the POST or the PNG, and the fetch from GitHub.
_MAX_COST = 2
_MAX_DEBT_SECONDS = 60.0
_IPV6_PREFIX_BITS = 64


def client_address(peer: str, forwarded_for: str, *, trusted: Sequence[Network]) -> str:
    """
    Return the client's address: the last one in `X-Forwarded-For` that is no trusted proxy.

    For IPv6 its /64 network is returned, which is what one household gets. Addresses may have
    ports, brackets and quotes: Azure's gateways and IIS write `203.0.113.9:4711`, others
    `"[2001:db8::1]"`.
    """
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    address = peer
    while hops and is_trusted(address, trusted):
        address = hops.pop()
    return _client_network(address)


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Return True if an address is that of a trusted proxy."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in trusted)


def _client_network(address: str) -> str:
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX_BITS), strict=False))
    return str(parsed or "unknown")


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    host = address.strip().strip('"')
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:  # an IPv6 address without brackets has at least two
        host = host.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RateLimiter:
    """
    Token buckets by client: `per_second` on average, bursts of two seconds' worth.

    However small `per_second` is, a full bucket covers the most expensive request.
    """

    def __init__(
        self, *, per_second: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._capacity = max(_MAX_COST, per_second * _BURST_SECONDS)
        self._monotonic = monotonic
        self._buckets: ByteBoundedLru[str, _Bucket] = ByteBoundedLru(
            _BUCKETS_BYTES, entry_bytes=lambda *_: 64
        )

    def acquire(self, client: str, *, debt: int = 0) -> None:
        """
        Take one token of a client, or subtract `debt` tokens after the fact.

        :raises TooManyRequests: no token is left; after its delay any request can be paid
        """
        now = self._monotonic()
        bucket = self._buckets.get(client) or _Bucket(self._capacity, now)
        self._buckets.put(client, bucket)
        refill = (now - bucket.filled_at) * self._per_second
        bucket.tokens = min(self._capacity, bucket.tokens + refill)
        bucket.filled_at = now
        if debt:
            # Bounded: one owner of very many repositories must not block a client for hours.
            min_tokens = -_MAX_DEBT_SECONDS * self._per_second
            bucket.tokens = max(bucket.tokens - debt, min_tokens)
            return
        if bucket.tokens < 1:
            missing_tokens = _MAX_COST - bucket.tokens
            raise TooManyRequests(math.ceil(missing_tokens / self._per_second))
        bucket.tokens -= 1


@dataclass(frozen=True, slots=True)
class ClientCharge:
    """Charges one client of a rate limiter; `client` is its address or IPv6 network."""

    client: str
    rate_limiter: RateLimiter

    def __call__(self, *, debt: int = 0) -> None:
        """Take one token, or subtract `debt` tokens; see `RateLimiter.acquire`."""
        self.rate_limiter.acquire(self.client, debt=debt)


class ServedUsers:
    """
    Decides whether a login is served; `watch` sets a callback for every change of the decision.

    `allowed` and `denied` are logins in any case; the files replace them when they change.
    """

    def __init__(
        self,
        *,
        allowed: Collection[str] = (),
        denied: Collection[str] = (),
        allowed_file: Path | None = None,
        denied_file: Path | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._allowed = _folded(allowed)
        self._denied = _folded(denied)
        self._denied_by_forget: frozenset[str] = frozenset()
        self._allowed_file = _LoginFile("ALLOWED_USERS_FILE", allowed_file, may_be_empty=False)
        self._denied_file = _LoginFile("DENIED_USERS_FILE", denied_file, may_be_empty=True)
        self._sleep = sleep
        self._on_change: Callable[[], None] = lambda: None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build it from the lists and the names of the files in the settings."""
        return cls(
            allowed=settings.allowed_users,
            denied=settings.denied_users,
            allowed_file=settings.allowed_users_file,
            denied_file=settings.denied_users_file,
        )

    def watch(self, on_change: Callable[[], None]) -> None:
        """Set the callback that is called after the lists have changed."""
        self._on_change = on_change

    def is_served(self, login: str) -> bool:
        """Return whether a user or organisation is served; the case of the login is ignored."""
        folded = login.lower()
        if folded in self._denied or folded in self._denied_by_forget:
            return False
        return not self._allowed or folded in self._allowed

    def require(self, *logins: str) -> None:
        """
        Check that all of these logins are served.

        :raises UserNotServed: with the first that is not
        """
        for login in logins:
            if not self.is_served(login):
                raise UserNotServed(login)

    def may_serve_name(self, name: str) -> bool:
        """
        Return whether the owner of a permanent banner may be served, as far as the banner's name tells.

        A name begins with its owner's login and a hyphen, but logins may contain hyphens too: no
        denied login may begin it, and an allowed one has to, which need not be the owner's.
        """
        parts = name.lower().split("-")
        logins = {"-".join(parts[:count]) for count in range(1, len(parts))}
        if logins & (self._denied | self._denied_by_forget):
            return False
        return not self._allowed or not logins.isdisjoint(self._allowed)

    def deny(self, logins: Collection[str]) -> None:
        """Deny these logins too, in place of those of the last call."""
        self._replace(denied_by_forget=_folded(logins))

    async def run(self) -> None:
        """Read the files again for ever, when they have changed."""
        if self._allowed_file.path is None and self._denied_file.path is None:
            await asyncio.Event().wait()
        while True:
            await self.check_files()
            await self._sleep(_CHECK_FILES_SECONDS)

    async def check_files(self) -> None:
        """Read the files that have changed since they were read last."""
        # In a thread: the files may be on a network file system.
        self._replace(allowed=await asyncio.to_thread(self._allowed_file.read_if_changed))
        self._replace(denied=await asyncio.to_thread(self._denied_file.read_if_changed))

    def _replace(
        self,
        *,
        allowed: frozenset[str] | None = None,
        denied: frozenset[str] | None = None,
        denied_by_forget: frozenset[str] | None = None,
    ) -> None:
        """Replace the lists that are not None."""
        before = self._allowed, self._denied, self._denied_by_forget
        self._allowed = self._allowed if allowed is None else allowed
        self._denied = self._denied if denied is None else denied
        self._denied_by_forget = (
            self._denied_by_forget if denied_by_forget is None else denied_by_forget
        )
        if before == (self._allowed, self._denied, self._denied_by_forget):
            return
        self._on_change()
        _log.info(
            "served_users.changed",
            allowed=len(self._allowed) or "all",
            denied=len(self._denied | self._denied_by_forget),
        )


class _LoginFile:
    """A file of logins; it has changed if its time, size or inode has."""

    def __init__(self, setting: str, path: Path | None, *, may_be_empty: bool) -> None:
        self._setting = setting
        self.path = path
        self._may_be_empty = may_be_empty
        self._signature: Sequence[int] = ()
        self._problem = ""

    def read_if_changed(self) -> frozenset[str] | None:
        """Read the logins, None if the file has not changed or can't be used, which is logged once."""
        if self.path is None:
            return None
        try:
            status = self.path.stat()
            signature = status.st_mtime_ns, status.st_size, status.st_ino
            if signature == self._signature:
                return None
            logins = read_logins(self.path)
            if not logins and not self._may_be_empty:
                # A file that is just being written may be empty for a moment.
                raise ValueError("has no logins")  # noqa: TRY301
        except (OSError, ValueError) as error:
            # Without a signature it is tried again, since new permissions do not change the time.
            self._signature = ()
            problem = str(error)
            if problem != self._problem:
                _log.error("served_users.file_unusable", setting=self._setting, reason=problem)
            self._problem = problem
            return None
        self._signature, self._problem = signature, ""
        return _folded(logins)


def _folded(logins: Collection[str]) -> frozenset[str]:
    return frozenset(login.lower() for login in logins)
