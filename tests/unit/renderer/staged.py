"""A renderer on a stage: a broker in memory, time that moves when it is told to, a storage to order."""

import asyncio
import heapq
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count

from github_banners.messaging.events import DEAD_LETTERS, TOPIC, Consumer, Headers, Record
from github_banners.messaging.mapping import RenderJob
from github_banners.messaging.testing import MemoryBroker
from github_banners.renderer.update_consumer import UpdateConsumer
from github_banners.renderer.worker import Outcome
from tests.unit.messaging.captured import EVENT

NOW = datetime(2026, 11, 26, tzinfo=UTC)
_ROUNDS = 40


def event_body(user: str, version: int) -> bytes:
    message = json.loads(EVENT)
    message["payload"] |= {"username": user, "storage_path": f"{user}-dark", "version": version}
    return json.dumps(message).encode()


class Time:
    """Monotonic seconds; `pass_` wakes who sleeps, in order, and lets them do what they do."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.seconds + seconds, next(self._numbers), woken))
        await woken

    async def pass_(self, seconds: float) -> None:
        until = self.seconds + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            self.seconds, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
                await settle()
        self.seconds = until


async def settle() -> None:
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)


class Stage:
    """What a case needs; `answer` is the storage: it returns or raises, and may wait for `time`."""

    def __init__(self, *, partitions: int = 1) -> None:
        self.time = Time()
        self.broker = MemoryBroker(partitions=partitions, sleep=self.time.sleep)
        self.answer: Callable[[RenderJob], Awaitable[None]] = accept
        self.tried: list[int] = []
        self.stored: list[int] = []
        self.outcomes: list[Outcome] = []
        self.at_work: list[str] = []
        self.most_at_work = 0
        self.stop = asyncio.Event()

    async def handle(self, update: RenderJob) -> None:
        login = update.snapshot.owner.login
        self.tried.append(update.version)
        assert login not in self.at_work, "two of one key"
        self.at_work.append(login)
        self.most_at_work = max(self.most_at_work, len(self.at_work))
        try:
            await self.answer(update)
        finally:
            self.at_work.remove(login)
        self.stored.append(update.version)

    def put(self, user: str, version: int, headers: Headers = ()) -> None:
        key, body = user.encode(), event_body(user, version)
        self.broker.append(TOPIC, key=key, value=body, headers=headers)

    def consumption(self, source: Consumer | None = None) -> UpdateConsumer:
        return UpdateConsumer(
            consumer=source or self.broker.consumer(),
            producer=self.broker.producer(),
            handle=self.handle,
            on_outcome=self.outcomes.append,
            clock=self.time,
            now=lambda: NOW,
            sleep=self.time.sleep,
            random=lambda: 1.0,
        )

    @property
    def committed(self) -> int:
        return sum(self.broker.committed().values())

    @property
    def dead_letters(self) -> list[Record]:
        return self.broker.records(DEAD_LETTERS)

    @asynccontextmanager
    async def running(self, source: Consumer | None = None) -> AsyncIterator[UpdateConsumer]:
        """Run, and stop in the end, however long it takes on the stage's clock."""
        consumption = self.consumption(source)
        task = asyncio.create_task(consumption.run(self.stop))
        await settle()
        try:
            yield consumption
        finally:
            self.stop.set()
            while not task.done():
                await self.time.pass_(0.5)
            await task


async def accept(update: RenderJob) -> None:
    await asyncio.sleep(0)


def refuse_with(
    error: BaseException, *, only: set[int] | None = None
) -> Callable[..., Awaitable[None]]:
    """A storage that refuses some versions, or all."""

    async def answer(update: RenderJob) -> None:
        await asyncio.sleep(0)
        if only is None or update.version in only:
            raise error

    return answer
