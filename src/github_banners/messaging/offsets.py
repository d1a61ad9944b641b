"""
Which offset of a partition may be committed: pure.

Records are finished in any order, and Kafka keeps one number per partition: the next offset to
read. It may never pass a record that is unfinished. Offsets have gaps (compaction, transactions).
"""


class OffsetTracker:
    """The records of one partition that somebody has in hand, from its assignment to its loss."""

    def __init__(self) -> None:
        self._unfinished: set[int] = set()
        self._next = -1  # after the highest that was begun
        self._committed = -1  # nothing below it is of any news to the broker

    @property
    def unfinished(self) -> int:
        """Count what was begun and is not finished."""
        return len(self._unfinished)

    @property
    def committable(self) -> int | None:
        """Name the next offset to commit, the lowest unfinished one; None where that is no news."""
        lowest = min(self._unfinished, default=self._next)
        return lowest if lowest > self._committed else None

    def is_new(self, offset: int) -> bool:
        """Say whether an offset is above all that were begun; if not, the log has begun anew."""
        return offset >= self._next

    def begin(self, offset: int) -> None:
        """Take a record in hand; offsets come in rising order, as Kafka hands them out."""
        if self._committed < 0:
            self._committed = offset
        self._unfinished.add(offset)
        self._next = offset + 1

    def finish(self, offset: int) -> None:
        """Take note that a record needs no more work."""
        self._unfinished.discard(offset)

    def mark_committed(self, offset: int) -> None:
        """Take note that the broker has kept an offset as the next to read."""
        self._committed = max(self._committed, offset)
