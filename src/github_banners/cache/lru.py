"""Least-recently-used map that is bounded in bytes; not thread-safe."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRY_BYTES = 200
"""Approximate overhead of one entry in the map, without key and value."""


class ByteBoundedLru(Generic[K, V]):
    """A map of at most `max_bytes` that evicts the least recently used entries."""

    def __init__(self, max_bytes: int, *, entry_bytes: Callable[[K, V], int]) -> None:
        self._max_bytes = max_bytes
        self._entry_bytes = entry_bytes
        self._entries: OrderedDict[K, V] = OrderedDict()
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return an entry, and mark it as recently used."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: K, entry: V) -> None:
        """Store an entry, evicting others until it fits; an entry above the limit is not stored."""
        self.drop(key)
        needed_bytes = self._entry_bytes(key, entry) + ENTRY_BYTES
        if needed_bytes > self._max_bytes:
            return
        self._entries[key] = entry
        self.used_bytes += needed_bytes
        while self.used_bytes > self._max_bytes:
            self.used_bytes -= self._entry_bytes(*self._entries.popitem(last=False)) + ENTRY_BYTES

    def oldest(self) -> tuple[K, V] | None:
        """Return the least recently used entry with its key."""
        return next(iter(self._entries.items()), None)

    def drop(self, key: K) -> None:
        """Remove an entry, if present."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.used_bytes -= self._entry_bytes(key, entry) + ENTRY_BYTES
