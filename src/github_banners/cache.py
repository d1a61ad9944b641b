"""
In-memory caches of one process, bounded in size; without locks and awaits.

`ByteBoundedLru` is the map behind the caches that are bounded by bytes, such as those of snapshots and
recent errors in `stats`, of pictures, PNGs and banner names in `api`. `Memo` caches results of a pure function, such as
measured texts in `drawing`.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRY_BYTES = 200
"""Approximate overhead of one entry in the map, without key and value."""


class ByteBoundedLru(Generic[K, V]):
    """A map of at most `max_bytes` that evicts the least recently used entries, calling `on_evict`."""

    def __init__(
        self,
        max_bytes: int,
        *,
        entry_bytes: Callable[[K, V], int],
        on_evict: Callable[[K, V], None] = lambda *_: None,
    ) -> None:
        self._max_bytes = max_bytes
        self._entry_bytes = entry_bytes
        self._on_evict = on_evict
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
            evicted = self._entries.popitem(last=False)
            self.used_bytes -= self._entry_bytes(*evicted) + ENTRY_BYTES
            self._on_evict(*evicted)

    def drop_where(self, matches: Callable[[K, V], bool]) -> list[V]:
        """Remove the entries for which `matches` is true, and return them; reads all of the map."""
        keys = [key for key, entry in self._entries.items() if matches(key, entry)]
        dropped = [self._entries[key] for key in keys]
        for key in keys:
            self.drop(key)
        return dropped

    def oldest(self) -> tuple[K, V] | None:
        """Return the least recently used entry with its key."""
        return next(iter(self._entries.items()), None)

    def drop(self, key: K) -> None:
        """Remove an entry, if present."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.used_bytes -= self._entry_bytes(key, entry) + ENTRY_BYTES

    def clear(self) -> None:
        """Remove all entries, without calling `on_evict`."""
        self._entries.clear()
        self.used_bytes = 0


class Memo(dict[K, V]):
    """
    Cached results of a pure function by its argument; cleared when it is full.

    `functools.lru_cache` keeps its entries in order of use, which costs time on every hit. With some
    hundred entries, such as language names, a plain dict takes a third of the time.
    """

    def __init__(self, compute: Callable[[K], V], *, max_size: int = 1024) -> None:
        """Cache the results of `compute` for at most `max_size` arguments."""
        super().__init__()
        self._compute = compute
        self._max_size = max_size

    def __missing__(self, key: K) -> V:
        """Compute and store the value of a new key."""
        if len(self) >= self._max_size:
            self.clear()
        value = self[key] = self._compute(key)
        return value
