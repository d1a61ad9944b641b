"""
What goes through the broker: the names of its topics, a record, who sends and who takes.

`producer` and `source` are the two ends at Kafka, `testing` is their twin in this process.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

TOPIC = "banner-update"
DEAD_LETTERS = "banner-update.dlq"
PARTITIONS = 6
GROUP = "banner-renderers"

Headers: TypeAlias = tuple[tuple[str, bytes], ...]
"""Names can repeat; of equal ones the last counts."""

OnRevoked: TypeAlias = Callable[[Collection[int]], Awaitable[None]]
"""Is told which partitions go to another member; until it returns, no other has them."""


@dataclass(frozen=True, slots=True)
class Record:
    """
    A message at its place in a topic.

    `problem` says why it can't be decoded, empty where it can; its value is then what is there of it.
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
        """Read a header; empty where there is none."""
        found = (value for given, value in reversed(self.headers) if given == name)
        return next(found, b"").decode(errors="replace")


class Producer(Protocol):
    """Hands messages to the broker."""

    async def send(self, topic: str, *, key: bytes | None, value: bytes, headers: Headers) -> None:
        """
        Send a message; returns when the broker has it for good.

        :raises BrokerUnavailable: no broker says so in time; the message may have arrived
        :raises RemoteRejected: the broker will never take this message
        """


class Consumer(Protocol):
    """Takes the messages of one topic as a member of a group."""

    def on_revoked(self, handler: OnRevoked) -> None:
        """Name who is told before partitions are lost, and may still commit them then."""

    async def poll(self, *, max_records: int, wait_seconds: float) -> Sequence[Record]:
        """Take what has come since; empty after a wait, which a broker that is away prolongs."""

    def pause(self, partitions: Collection[int]) -> None:
        """Take nothing from these partitions, and again from all others."""

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """
        Keep the next offset to read of partitions.

        :raises BrokerUnavailable: nothing was kept: no broker answers, or others own a partition
        """

    async def close(self) -> None:
        """Leave the group."""
