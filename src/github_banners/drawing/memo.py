"""
A bounded cache for what is looked up several times in each drawing.

`functools.lru_cache` keeps its entries in order of use, which moves memory at every hit; with some
hundred entries, such as the names of languages, a plain dict answers in a third of the time.
"""

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memo(dict[K, V]):
    """Results of a pure function by its argument; emptied whenever it is full."""

    def __init__(self, compute: Callable[[K], V], *, max_size: int = 1024) -> None:
        """Remember what `compute` returns, for at most `max_size` arguments."""
        super().__init__()
        self._compute = compute
        self._max_size = max_size

    def __missing__(self, key: K) -> V:
        """Compute what is not here yet."""
        if len(self) >= self._max_size:
            self.clear()
        value = self[key] = self._compute(key)
        return value
