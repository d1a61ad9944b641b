"""
Throttle repeated log lines: the first one is logged, then at most one an hour per key.

The number of keys is bounded. If there are more, the least recently logged key is forgotten and may
be logged again early.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

_INTERVAL_SECONDS = 3600.0
_MAX_KEYS = 1000


class LogThrottle:
    """Record when each key was last logged; `monotonic` returns seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._logged_at: OrderedDict[Hashable, float] = OrderedDict()

    def allows(self, key: Hashable) -> bool:
        """Return True if a line with this key may be logged now, and record it as logged."""
        now = self._monotonic()
        logged_at = self._logged_at.get(key)
        if logged_at is not None and now - logged_at < _INTERVAL_SECONDS:
            return False
        self._logged_at[key] = now
        self._logged_at.move_to_end(key)
        if len(self._logged_at) > _MAX_KEYS:
            self._logged_at.popitem(last=False)
        return True
