"""
Who is next: one line per key, so that no two of a key are at work at once. Pure.

It saves drawings that a newer one of the same banner would replace at once; what is right does not
depend on it.
"""

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class KeyedQueue(Generic[T]):
    """Things that wait for their turn; the keys take turns, and each keeps the order of its own."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[T]] = {}  # of every key that is ready or at work
        self._ready: deque[Hashable] = deque()

    @property
    def has_ready(self) -> bool:
        """Say whether `take` will find somebody."""
        return bool(self._ready)

    def put(self, key: Hashable, item: T) -> None:
        """Let something wait behind all others of its key."""
        if key not in self._waiting:
            self._waiting[key] = deque()
            self._ready.append(key)
        self._waiting[key].append(item)

    def pop(self) -> T:
        """Take the first of the key whose turn it is; the key is at work until it is freed."""
        return self._waiting[self._ready.popleft()].popleft()

    def release(self, key: Hashable) -> None:
        """Take note that a key is at work no longer."""
        if self._waiting[key]:
            self._ready.append(key)
        else:
            del self._waiting[key]

    def drop(self, is_dropped: Callable[[T], bool]) -> None:
        """Forget some of those who wait; whoever is at work stays at work."""
        ready, self._ready = self._ready, deque()
        for waiting in self._waiting.values():
            kept = [thing for thing in waiting if not is_dropped(thing)]
            waiting.clear()
            waiting.extend(kept)
        for key in ready:
            self.release(key)
