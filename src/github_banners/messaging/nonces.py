"""
Which calls this process has already taken: each nonce once.

Bounded in number. It forgets only what is due: when it is full of what is not, calls are refused
rather than taken twice.
"""

import time
from collections import deque
from collections.abc import Callable

from github_banners.errors import NonceCacheFull


class NonceCache:
    """
    The nonces of the last `remembered_seconds`, at most `most`; `monotonic` tells seconds.

    That is twice as long as a call may be old: one from a clock that is ahead stays good for longest.
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
        Say whether a nonce is new, and remember it.

        :raises NonceCacheFull: it is new, and there is no room left
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
