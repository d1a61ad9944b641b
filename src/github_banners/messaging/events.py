"""
Topics, consumer group, records, and the protocols of producer and consumer.

`producer` and `consumer` implement the protocols for Kafka, `testing` in memory.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

TOPIC = "banner-update"
DEAD_LETTERS = "banner-update.dlq"
PARTITIONS = 6
GROUP = "banner-renderers"

Headers: TypeAlias = tuple[tuple[str, bytes], ...]
"""Names may repeat; the last of equal names counts."""

OnRevoked: TypeAlias = Callable[[Collection[int]], Awaitable[None]]
"""Called with the partitions to revoke; until it returns, no other member is assigned them."""


@dataclass(frozen=True, slots=True)
class Record:
    """
    A message and its position in a topic.

    `problem` says why it can't be decoded, and is empty otherwise; `value` is then the raw bytes.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Headers = ()
    timestamp_ms: int = 0
    problem: str = ""

    def header(self, name: str) -> str:
        """Return the value of a header; empty if there is none."""
        values = (value for header, value in reversed(self.headers) if header == name)
        return next(values, b"").decode(errors="replace")


class Producer(Protocol):
    """Sends messages to the broker."""

    async def send(self, topic: str, *, key: bytes | None, value: bytes, headers: Headers) -> None:
        """
        Send a message; return once the broker has acknowledged it.

        :raises BrokerUnavailable: it was not acknowledged in time, but may have arrived
        :raises RemoteRejected: the broker will never accept this message
        """


class Consumer(Protocol):
    """Reads the records of one topic as a member of a group."""

    def on_revoked(self, handler: OnRevoked) -> None:
        """Set the handler called before partitions are revoked; it can still commit their offsets."""

    async def poll(self, *, max_records: int, wait_seconds: float) -> Sequence[Record]:
        """Return new records; empty after the wait, which takes longer while the broker is down."""

    def pause(self, partitions: Collection[int]) -> None:
        """Pause these partitions, and resume all others."""

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """
        Commit the next offset to read of each partition.

        :raises BrokerUnavailable: nothing was committed: no broker responds, or another member owns
            one of the partitions
        """

    async def close(self) -> None:
        """Leave the group."""
