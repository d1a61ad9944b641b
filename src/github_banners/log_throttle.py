"""
Whether a failure is worth another line in the log: the first time, then at most once an hour.

Pure: the time comes in. Bounded: of more keys than it can remember, the oldest may be logged again.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

INTERVAL_SECONDS = 3600.0
_MAX_KEYS = 1000


class LogThrottle:
    """Remembers when something was last logged; `monotonic` tells seconds."""

    def __init__(
        self, monotonic: Callable[[], float], *, interval_seconds: float = INTERVAL_SECONDS
    ) -> None:
        self._monotonic = monotonic
        self._interval_seconds = interval_seconds
        self._logged_at: OrderedDict[Hashable, float] = OrderedDict()

    def allows(self, key: Hashable) -> bool:
        """Return whether to log about a key now; True counts as logged."""
        now = self._monotonic()
        logged_at = self._logged_at.get(key)
        if logged_at is not None and now - logged_at < self._interval_seconds:
            return False
        self._logged_at[key] = now
        self._logged_at.move_to_end(key)
        if len(self._logged_at) > _MAX_KEYS:
            self._logged_at.popitem(last=False)
        return True
