"""
The rate limiter of the public API.

Clients are told apart by address, behind trusted proxies by `X-Forwarded-For`; each has a token
bucket.
"""

import ipaddress
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from github_banners.cache import ByteBoundedLru
from github_banners.errors import TooManyRequests
from github_banners.settings import Network

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
