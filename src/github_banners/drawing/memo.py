"""
A bounded cache for values that are looked up several times per picture.

`functools.lru_cache` keeps its entries in order of use, which costs time on every hit. With some
hundred entries, such as language names, a plain dict takes a third of the time.
"""

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memo(dict[K, V]):
    """Cached results of a pure function by its argument; cleared when it is full."""

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
