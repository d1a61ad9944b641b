"""How far the memory of this process may be trusted while others write to the same database."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime

from github_banners.cache.lru import ByteBoundedLru
from github_banners.models import Clock

_NEVER = datetime.min.replace(tzinfo=UTC)
_CHANGES_BYTES = 4 << 20


class Invalidations:
    """
    Remembers who has changed elsewhere, and when.

    `is_listening` says whether changes can be heard at all: while they can't, nothing is trusted.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._changed_at: ByteBoundedLru[int, datetime] = ByteBoundedLru(
            _CHANGES_BYTES, entry_bytes=lambda *_: 0
        )
        self._all_changed_at = _NEVER
        self._is_listening = True
        self.on_change: Callable[[], None] = lambda: None
        """Called after every change of what `allows` says."""

    @property
    def is_listening(self) -> bool:
        """Tell whether changes can be heard."""
        return self._is_listening

    @is_listening.setter
    def is_listening(self, is_heard: bool) -> None:
        if is_heard != self._is_listening:
            self._is_listening = is_heard
            self.on_change()

    def invalidate(self, owner_ids: Collection[int] | None) -> None:
        """Trust nothing older than now about these owners, or about any."""
        if owner_ids is None:
            self._all_changed_at = self._clock()
        for owner_id in owner_ids or ():
            self._changed_at.put(owner_id, self._clock())
        self.on_change()

    def is_unchanged(self, owner_id: int, *, since: datetime) -> bool:
        """Tell whether what was known of an owner at a moment holds still."""
        changed_at = self._changed_at.get(owner_id) or _NEVER
        return self._is_listening and since > self._all_changed_at and since > changed_at
