"""
Cache of the nonces of accepted calls, to refuse repeated ones.

Its size is bounded, and only expired nonces are removed: when it is full of others, new calls are
refused rather than accepted twice.
"""

import time
from collections import deque
from collections.abc import Callable

from github_banners.errors import NonceCacheFull


class NonceCache:
    """
    The nonces of the last `ttl_seconds`, at most `max_size`; `monotonic` returns seconds.

    The TTL is twice the maximum age of a call: a call signed by a clock that is ahead by the maximum
    stays valid for that long.
    """

    def __init__(
        self,
        *,
        max_size: int = 250_000,
        ttl_seconds: float = 120,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_size = max_size
        self._ttl_seconds = ttl_seconds
        self._monotonic = monotonic
        self._known: set[str] = set()
        self._by_age: deque[tuple[float, str]] = deque()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, nonce: str) -> bool:
        """
        Add a nonce; return False if it is in the cache already.

        :raises NonceCacheFull: it is new, and the cache is full
        """
        now = self._monotonic()
        self._evict(before=now - self._ttl_seconds)
        if nonce in self._known:
            return False
        if len(self._known) >= self._max_size:
            raise NonceCacheFull
        self._known.add(nonce)
        self._by_age.append((now, nonce))
        return True

    def _evict(self, *, before: float) -> None:
        while self._by_age and self._by_age[0][0] < before:
            _, nonce = self._by_age.popleft()
            self._known.remove(nonce)
