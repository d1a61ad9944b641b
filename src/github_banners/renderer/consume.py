"""
The loop of the renderer: takes updates from the broker, and commits what was seen through.

Of a partition the lowest unfinished offset is committed, twice a second, when the partition is lost
and at the end. What becomes of a record, `attempts` sees to; what may be committed, `Offsets` says.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import structlog

from github_banners.errors import BrokerUnavailable
from github_banners.messages.events import Record, RecordSender, RecordSource
from github_banners.model import Clock, utc_now
from github_banners.renderer.attempts import MOST_AT_ONCE, Attempts, Handle, Outcome, Part
from github_banners.renderer.tasks import cancel, wait_at_most

_log = structlog.get_logger(__name__)

MOST_UNFINISHED = 1000
"""Of one partition; then nothing more is taken from it."""

MAX_UNFINISHED_BYTES = 8 << 20
"""Of one partition; a thousand usual events have half a megabyte."""

_MOST_TAKEN = 200
_TAKE_SECONDS = 0.2
_COMMIT_SECONDS = 0.5
_LOSE_SECONDS = 2.0
_STOP_SECONDS = 5.0


class Consumption:
    """Sees every update of a source through; runs once."""

    def __init__(
        self,
        *,
        source: RecordSource,
        producer: RecordSender,
        handle: Handle,
        note: Callable[[Outcome], None],
        clock: Callable[[], float] = time.monotonic,
        now: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._sleep = sleep
        self._attempts = Attempts(
            handle=handle,
            producer=producer,
            note=note,
            finished=self._check_settled,
            broken=self._break,
            clock=clock,
            now=now,
            sleep=sleep,
            chance=chance,
        )
        self._parts: dict[int, Part] = {}
        self._settled = asyncio.Event()
        self._committing = asyncio.Lock()
        self._broken: asyncio.Future[None] | None = None

    @property
    def unfinished(self) -> int:
        """Count the records that were taken and are not seen through."""
        return sum(part.offsets.unfinished for part in self._parts.values())

    async def run(self, stop: asyncio.Event) -> None:
        """
        Take and handle records until `stop` is set, or for ever; whatever the broker does.

        At the end, and when cancelled, what was taken is finished within five seconds, committed,
        and the group left. Raises only for a mistake of ours.
        """
        self._broken = asyncio.get_running_loop().create_future()
        self._source.listen(self._lose)
        chores: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._take_for_ever(), name="updates.take"),
            asyncio.create_task(self._commit_for_ever(), name="updates.commit"),
            asyncio.create_task(stop.wait(), name="updates.stop"),
        ]
        watched: list[asyncio.Future[Any]] = [*chores, self._broken]
        try:
            ended, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for one in ended:
                one.result()
        finally:
            await cancel(chores)
            await self._finish()

    async def _take_for_ever(self) -> None:
        while True:
            self._source.hold(self._full())
            for record in await self._source.take(most=_MOST_TAKEN, wait_seconds=_TAKE_SECONDS):
                self._begin(record)
            self._attempts.go_on()
            # A source that has something at hand does not wait, and others have work to do.
            await asyncio.sleep(0)

    def _full(self) -> set[int]:
        """Name the partitions to be held; while the storage is down, a few records are enough."""
        is_down = self._attempts.is_storage_down
        most = MOST_AT_ONCE if is_down else MOST_UNFINISHED - _MOST_TAKEN
        return {
            number
            for number, part in self._parts.items()
            if part.offsets.unfinished > most or part.unfinished_bytes > MAX_UNFINISHED_BYTES
        }

    def _begin(self, record: Record) -> None:
        part = self._parts.setdefault(record.partition, Part())
        if not part.offsets.is_new(record.offset):
            # The topic was made anew, and counts from nothing again.
            self._attempts.forget([part])
            part = self._parts[record.partition] = Part()
        self._attempts.add(record, part)

    async def _commit_for_ever(self) -> None:
        while True:
            await self._sleep(_COMMIT_SECONDS)
            await self._commit(dict(self._parts))

    async def _commit(self, parts: Mapping[int, Part]) -> None:
        async with self._committing:
            found = {n: part.offsets.committable for n, part in parts.items()}
            due = {n: offset for n, offset in found.items() if offset is not None}
            if not due:
                return
            try:
                await self._source.commit(due)
            except BrokerUnavailable as error:
                _log.debug("updates.uncommitted", reason=str(error))
                return
        for number, offset in due.items():
            parts[number].offsets.commit(offset)

    async def _lose(self, partitions: Collection[int]) -> None:
        """Give partitions back: what runs has a short time, the rest is the next owner's."""
        parts = {n: self._parts.pop(n) for n in partitions if n in self._parts}
        try:
            await self._release(parts, seconds=_LOSE_SECONDS)
        except Exception as error:
            self._break(error)
            raise

    async def _finish(self) -> None:
        try:
            self._settled.clear()
            if self.unfinished:
                await wait_at_most(_STOP_SECONDS, self._settled.wait(), sleep=self._sleep)
            parts, self._parts = self._parts, {}
            await self._release(parts, seconds=0.0)
        finally:
            await self._source.close()

    async def _release(self, parts: Mapping[int, Part], *, seconds: float) -> None:
        await self._attempts.call_off(parts.values(), seconds=seconds)
        await self._commit(parts)
        self._check_settled()

    def _check_settled(self) -> None:
        if not self.unfinished:
            self._settled.set()

    def _break(self, error: BaseException) -> None:
        if self._broken is not None and not self._broken.done():
            self._broken.set_exception(error)
