"""
A Kafka broker in memory, for tests, with its producers and consumers.

The member of a group that joined last is assigned all partitions. Clients are refused only while
`is_down`, which simulates an outage.
"""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping

from github_banners.errors import BrokerUnavailable
from github_banners.messaging.events import GROUP, PARTITIONS, TOPIC, Headers, OnRevoked, Record
from github_banners.tasks import wait_with_timeout


class MemoryBroker:
    """The broker; consumers wait for messages with `sleep`."""

    def __init__(
        self,
        *,
        partitions: int = PARTITIONS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.is_down = False
        self.partitions = partitions
        self._sleep = sleep
        self._logs: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self._committed: dict[tuple[str, str, int], int] = {}
        self._members: dict[tuple[str, str], list[MemoryConsumer]] = defaultdict(list)
        self._message_added = asyncio.Event()

    def producer(self) -> "MemoryProducer":
        """Return a new producer."""
        return MemoryProducer(self)

    def consumer(self, *, topic: str = TOPIC, group: str = GROUP) -> "MemoryConsumer":
        """Return a new consumer; it joins its group when it first polls."""
        return MemoryConsumer(self, topic=topic, group=group)

    def records(self, topic: str) -> list[Record]:
        """Return the records of a topic, partition by partition."""
        return [record for n in range(self.partitions) for record in self._logs[topic, n]]

    def committed(self, *, topic: str = TOPIC, group: str = GROUP) -> dict[int, int]:
        """Return the committed offsets of a group by partition."""
        offsets = {n: self._committed.get((group, topic, n)) for n in range(self.partitions)}
        return {n: offset for n, offset in offsets.items() if offset is not None}

    def raise_if_down(self) -> None:
        """
        Simulate a call to the broker.

        :raises BrokerUnavailable: during an outage
        """
        if self.is_down:
            raise BrokerUnavailable

    def append(self, topic: str, *, key: bytes | None, value: bytes, headers: Headers) -> None:
        """Append a message to the partition of its key."""
        partition = zlib.crc32(key or b"") % self.partitions
        log = self._logs[topic, partition]
        log.append(Record(topic, partition, len(log), key, value, headers))
        self._message_added.set()
        self._message_added = asyncio.Event()

    def read(self, topic: str, partition: int, offset: int) -> list[Record]:
        """Return the records of a partition from an offset on; none during an outage."""
        return [] if self.is_down else self._logs[topic, partition][offset:]

    def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        """Store the committed offsets of a group."""
        self._committed |= {(group, topic, n): offset for n, offset in offsets.items()}

    def members(self, topic: str, group: str) -> "list[MemoryConsumer]":
        """Return the members of a group in the order in which they joined."""
        return self._members[topic, group]

    async def wait(self, seconds: float) -> None:
        """Wait until a message is appended, at most so many seconds."""
        await wait_with_timeout(seconds, self._message_added.wait(), sleep=self._sleep)


class MemoryProducer:
    """In-memory counterpart of `KafkaProducer`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    @property
    def is_available(self) -> bool:
        """True unless there is an outage."""
        return not self._broker.is_down

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes, headers: Headers = ()
    ) -> None:
        """
        Send a message.

        :raises BrokerUnavailable: during an outage
        """
        await asyncio.sleep(0)
        self._broker.raise_if_down()
        self._broker.append(topic, key=key, value=value, headers=headers)

    async def close(self) -> None:
        """Do nothing; there is no connection."""


class MemoryConsumer:
    """In-memory counterpart of `KafkaConsumer`."""

    def __init__(self, broker: MemoryBroker, *, topic: str, group: str) -> None:
        self._broker = broker
        self._topic = topic
        self._group = group
        self._on_revoked: OnRevoked = _ignore
        self._paused: frozenset[int] = frozenset()
        self._next: dict[int, int] | None = None

    @property
    def is_available(self) -> bool:
        """True while it is a member of its group and there is no outage."""
        return self._is_member and not self._broker.is_down

    @property
    def lag(self) -> int:
        """The number of records that are not read."""
        logs = range(self._broker.partitions) if self._next is not None else ()
        return sum(
            len(self._broker.read(self._topic, number, (self._next or {}).get(number, 0)))
            for number in logs
        )

    @property
    def _members(self) -> "list[MemoryConsumer]":
        return self._broker.members(self._topic, self._group)

    @property
    def _is_member(self) -> bool:
        return self in self._members

    def on_revoked(self, handler: OnRevoked) -> None:
        """Set the handler called before partitions are revoked."""
        self._on_revoked = handler

    async def poll(self, *, max_records: int, wait_seconds: float) -> list[Record]:
        """Return new records; empty after the wait."""
        await self._join()
        if not (records := self._read(max_records)):
            await self._broker.wait(wait_seconds)
            records = self._read(max_records)
        return records

    def pause(self, partitions: Collection[int]) -> None:
        """Pause these partitions, and resume all others."""
        self._paused = frozenset(partitions)

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """
        Commit the next offset to read of each partition.

        :raises BrokerUnavailable: during an outage, or if another member is assigned the partitions
        """
        await asyncio.sleep(0)
        self._broker.raise_if_down()
        if not self._is_assigned:
            raise BrokerUnavailable
        self._broker.commit(self._topic, self._group, offsets)

    async def close(self) -> None:
        """Leave the group; the member that joined before it is assigned all partitions again."""
        if self._is_member:
            self._members.remove(self)

    @property
    def _is_assigned(self) -> bool:
        return self._is_member and self._members[-1] is self

    async def _join(self) -> None:
        if self._is_member or self._broker.is_down:
            return
        if self._members:
            await self._members[-1].revoke()
        self._members.append(self)

    async def revoke(self) -> None:
        """Call the handler, and give up all partitions for another member."""
        if self._next is not None:
            await self._on_revoked(set(range(self._broker.partitions)))
            self._next = None

    def _read(self, max_records: int) -> list[Record]:
        if not self._is_assigned:
            return []
        if self._next is None:
            self._next = self._broker.committed(topic=self._topic, group=self._group)
        polled: list[Record] = []
        for partition in set(range(self._broker.partitions)) - self._paused:
            start = self._next.get(partition, 0)
            records = self._broker.read(self._topic, partition, start)[: max_records - len(polled)]
            self._next[partition] = start + len(records)
            polled += records
        return polled


async def _ignore(partitions: Collection[int]) -> None:
    pass
