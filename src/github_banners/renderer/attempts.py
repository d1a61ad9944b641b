"""
Each record until it is seen through: its banner is stored, or it lies among the dead letters.

Up to 128 are at work at once, two batches for the storage, those of one key one after another. Who
waits to be tried again, or for the broker to take a dead letter, is not at work and holds up nobody. Decides nothing:
`retries` says when to try again, `lines` who is next. Knows no source and commits nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, TypeAlias

import structlog

from github_banners.errors import Rejected, StorageUnavailable, Unavailable, UnreadableMessage
from github_banners.log_throttle import LogThrottle
from github_banners.messages.dead_letters import to_dead_letters
from github_banners.messages.events import Record, RecordSender
from github_banners.messages.offsets import Offsets
from github_banners.messages.shapes import MAX_BATCH_BANNERS
from github_banners.messages.tracing import TRACEPARENT, bind_trace
from github_banners.messages.translation import Update
from github_banners.model import Clock
from github_banners.renderer.batching import MAX_CALLS
from github_banners.renderer.lines import Lines
from github_banners.renderer.retries import Storage, Trouble, delay_seconds, is_hopeless
from github_banners.renderer.tasks import cancel, wait_at_most
from github_banners.renderer.updates import parse_update

_log = structlog.get_logger(__name__)

Handle: TypeAlias = Callable[[Update], Awaitable[None]]
"""Draws and stores one update; raises what `retries` can tell apart."""

MOST_AT_ONCE = MAX_CALLS * MAX_BATCH_BANNERS
"""Enough for as many full batches as are in flight."""

_MAX_SHOWN_KEY_BYTES = 64


class Outcome(StrEnum):
    """What has become of an attempt."""

    STORED = "stored"
    RETRIED = "retried"
    DEAD_LETTERED = "dead_lettered"
    DROPPED = "dropped"


@dataclass(eq=False, slots=True)
class Part:
    """A partition from its assignment to its loss: its offsets, and the tasks of its records."""

    offsets: Offsets = field(default_factory=Offsets)
    unfinished_bytes: int = 0
    working: "set[asyncio.Task[None]]" = field(default_factory=set)
    waiting: "set[asyncio.Task[None]]" = field(default_factory=set)
    is_lost: bool = False


@dataclass(eq=False, slots=True)
class _Work:
    """A record that is to be seen through."""

    record: Record
    part: Part
    trouble: Trouble = field(default_factory=Trouble)

    @property
    def line(self) -> Hashable:
        return self.record.key or (self.record.partition, self.record.offset)


class Attempts:
    """
    Tries records until they are seen through, and finishes their offsets.

    `finished` is called after each. `broken` is told of a mistake of ours: its record stays
    unfinished, and would for ever.
    """

    def __init__(
        self,
        *,
        handle: Handle,
        producer: RecordSender,
        note: Callable[[Outcome], None],
        finished: Callable[[], None],
        broken: Callable[[BaseException], None],
        clock: Callable[[], float],
        now: Clock,
        sleep: Callable[[float], Awaitable[None]],
        chance: Callable[[], float],
    ) -> None:
        self._handle = handle
        self._producer = producer
        self._note = note
        self._finished = finished
        self._broken = broken
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._chance = chance
        self._throttle = LogThrottle(clock)
        self._storage = Storage(clock)
        self._lines: Lines[_Work] = Lines()
        self._at_work = 0

    @property
    def is_storage_down(self) -> bool:
        """Say whether all wait for the storage, but for one attempt a second."""
        return self._storage.is_down

    def add(self, record: Record, part: Part) -> None:
        """Take a record in hand; `go_on` begins with it."""
        part.offsets.begin(record.offset)
        part.unfinished_bytes += len(record.value)
        work = _Work(record, part)
        self._lines.put(work.line, work)

    def go_on(self) -> None:
        """Begin as much as may be; call it now and then, for a storage that may be asked again."""
        while (
            self._at_work < MOST_AT_ONCE and self._lines.is_anyone_ready and self._storage.admit()
        ):
            work = self._lines.take()
            self._at_work += 1
            task = self._spawn(work.part.working, self._attempt(work))
            # Not at the end of the task itself: one that is cancelled at once never begins.
            task.add_done_callback(partial(self._end, work.line))

    async def call_off(self, parts: Collection[Part], *, seconds: float) -> None:
        """Begin nothing of these parts any more; what is at work has so long to end by itself."""
        self.forget(parts)
        if working := [task for part in parts for task in part.working]:
            await wait_at_most(seconds, asyncio.wait(working), sleep=self._sleep)
        await cancel([task for part in parts for task in (*part.working, *part.waiting)])

    def forget(self, parts: Collection[Part]) -> None:
        """Begin nothing of these parts any more; what is at work goes on."""
        for part in parts:
            part.is_lost = True
            for task in part.waiting:
                task.cancel()
        self._lines.drop(lambda work: work.part.is_lost)

    def _end(self, line: Hashable, _: "asyncio.Task[None]") -> None:
        self._at_work -= 1
        self._lines.free(line)
        self.go_on()

    async def _attempt(self, work: _Work) -> None:
        bind_trace(work.record.header(TRACEPARENT))
        try:
            if work.record.problem:
                raise UnreadableMessage(work.record.problem)  # noqa: TRY301 - judged as the others
            update = parse_update(work.record.value, now=self._now())
            await self._handle(update)
        except (Exception, asyncio.CancelledError) as error:
            if _is_called_off():
                raise
            self._judge(work, error)
        else:
            self._storage.accept()
            self._see_off(work, Outcome.STORED)
            stored = {"banner": update.path, "version": update.version}
            _log.debug("update.stored", **stored, **_place(work.record))

    def _judge(self, work: _Work, error: BaseException) -> None:
        if isinstance(error, StorageUnavailable):
            self._storage.refuse()
        is_given_up = work.trouble.fail(now=self._clock(), accepted_at=self._storage.accepted_at)
        if is_given_up or is_hopeless(error):
            self._spawn(work.part.working, self._give_up(work, error))
        elif not work.part.is_lost:
            self._retry(work, error)

    def _retry(self, work: _Work, error: BaseException) -> None:
        self._warn("update.failed", error, work.record)
        self._note(Outcome.RETRIED)
        self._spawn(work.part.waiting, self._try_later(work))

    async def _try_later(self, work: _Work) -> None:
        await self._sleep(delay_seconds(work.trouble.failures, random=self._chance))
        self._lines.put(work.line, work)
        self.go_on()

    async def _give_up(self, work: _Work, error: BaseException) -> None:
        """Put a record among the dead letters, however long that takes; drop what can't lie there."""
        reason, failed_at, failures = _describe(error), self._now(), 0
        while True:
            try:
                await to_dead_letters(
                    self._producer, work.record, reason=reason, failed_at=failed_at
                )
            except Unavailable as refused:
                self._warn("update.not_dead_lettered", refused, work.record)
            except Rejected as refused:
                _log.error("update.dropped", reason=reason, why=str(refused), **_place(work.record))
                self._see_off(work, Outcome.DROPPED)
                return
            else:
                break
            failures += 1
            await self._sleep(delay_seconds(failures, random=self._chance))
        self._see_off(work, Outcome.DEAD_LETTERED)
        self._warn("update.dead_lettered", error, work.record)

    def _warn(self, event: str, error: BaseException, record: Record) -> None:
        """Log a failure once for its key and kind, then once an hour; what is down concerns no key."""
        key = None if isinstance(error, Unavailable) else record.key
        if self._throttle.allows((event, type(error), key)):
            _log.warning(event, reason=_describe(error), key=_to_text(record.key), **_place(record))

    def _see_off(self, work: _Work, outcome: Outcome) -> None:
        self._note(outcome)
        work.part.offsets.finish(work.record.offset)
        work.part.unfinished_bytes -= len(work.record.value)
        self._finished()

    def _spawn(
        self, tasks: "set[asyncio.Task[None]]", work: Coroutine[Any, Any, None]
    ) -> "asyncio.Task[None]":
        task = asyncio.create_task(work, name="updates.work")
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(self._check)
        return task

    def _check(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken(error)


def _is_called_off() -> bool:
    """Say whether somebody wants this task to end; else something in it was cancelled, and failed."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _to_text(key: bytes | None) -> str:
    return (key or b"")[:_MAX_SHOWN_KEY_BYTES].decode(errors="replace")


def _place(record: Record) -> dict[str, int]:
    return {"partition": record.partition, "offset": record.offset}
