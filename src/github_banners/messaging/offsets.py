"""
Tell which offset of a partition may be committed. Pure.

Records are finished in any order, but Kafka stores one number per partition: the next offset to
read. It must never pass an unfinished record. Offsets have gaps (compaction, transactions).
"""


class OffsetTracker:
    """The unfinished records of one partition, from its assignment until it is revoked."""

    def __init__(self) -> None:
        self._unfinished: set[int] = set()
        self._next = -1  # one more than the highest offset that was begun
        self._committed = -1  # the broker has this offset or a higher one

    @property
    def unfinished(self) -> int:
        """The number of records that were begun and are not finished."""
        return len(self._unfinished)

    @property
    def committable(self) -> int | None:
        """The next offset to commit, the lowest unfinished one; None if it is committed already."""
        lowest = min(self._unfinished, default=self._next)
        return lowest if lowest > self._committed else None

    def is_new(self, offset: int) -> bool:
        """Return True if an offset is above all earlier ones; if not, the topic was created anew."""
        return offset >= self._next

    def begin(self, offset: int) -> None:
        """Record that a record is in progress; offsets come in ascending order, as Kafka returns them."""
        if self._committed < 0:
            self._committed = offset
        self._unfinished.add(offset)
        self._next = offset + 1

    def finish(self, offset: int) -> None:
        """Record that a record is finished."""
        self._unfinished.discard(offset)

    def mark_committed(self, offset: int) -> None:
        """Record that the broker has stored an offset as the next to read."""
        self._committed = max(self._committed, offset)
