"""Who asks, and how often: addresses behind proxies, and a fair share for each."""

import ipaddress
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from github_banners.errors import TooManyRequests
from github_banners.settings import Network
from github_banners.stats.lru import ByteBoundedLru

_BUCKETS_BYTES = 8 << 20
_BURST_SECONDS = 2.0
# A banner of somebody new costs two: the POST, or its PNG, and the request to GitHub.
_MAX_COST = 2
_MAX_DEBT_SECONDS = 60.0
_IPV6_PREFIX_BITS = 64


def client_address(peer: str, forwarded_for: str, *, trusted: Sequence[Network]) -> str:
    """
    Find the client behind proxies: the last address in `X-Forwarded-For` that no proxy of ours has.

    An IPv6 client is counted by its /64, which is what one household gets. Addresses may have ports,
    brackets and quotes: Azure's gateways and IIS write `203.0.113.9:4711`, others `"[2001:db8::1]"`.
    """
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    address = peer
    while hops and _is_trusted(address, trusted):
        address = hops.pop()
    return _client_network(address)


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in trusted)


def _client_network(address: str) -> str:
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX_BITS), strict=False))
    return str(parsed or "unknown")


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    bare = address.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:  # an IPv6 address without brackets has two at least
        bare = bare.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(bare)
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
    A token bucket per client: `per_second` on average, two seconds' worth at once.

    However slowly a bucket fills, it holds what the dearest wish costs.
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
        Count one charge of a client, of those that a wish costs; or charges that it owes already.

        :raises TooManyRequests: the share is used up; who comes back when told can pay any wish
        """
        now = self._monotonic()
        bucket = self._buckets.get(client) or _Bucket(self._capacity, now)
        self._buckets.put(client, bucket)
        gained = (now - bucket.filled_at) * self._per_second
        bucket.tokens = min(self._capacity, bucket.tokens + gained)
        bucket.filled_at = now
        if debt:
            least = -_MAX_DEBT_SECONDS * self._per_second
            bucket.tokens = max(bucket.tokens - debt, least)
            return
        if bucket.tokens < 1:
            missing = _MAX_COST - bucket.tokens
            raise TooManyRequests(math.ceil(missing / self._per_second))
        bucket.tokens -= 1


@dataclass(frozen=True, slots=True)
class ClientCharge:
    """The charges against one client; `client` is its address, or its network's."""

    client: str
    rate_limiter: RateLimiter

    def __call__(self, *, debt: int = 0) -> None:
        """Count one charge, or charges that are owed already; see `RateLimiter.acquire`."""
        self.rate_limiter.acquire(self.client, debt=debt)
