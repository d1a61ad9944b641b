"""An update consumer with a broker in memory, a fake clock and a storage that a test controls."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from github_banners.messaging.events import DEAD_LETTERS, TOPIC, Consumer, Headers, Record
from github_banners.messaging.mapping import RenderJob
from github_banners.messaging.testing import MemoryBroker
from github_banners.renderer.update_consumer import UpdateConsumer
from github_banners.renderer.worker import Outcome, Worker
from tests.fake_clock import FakeClock, drain_loop
from tests.unit.messaging.captured_messages import EVENT

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def event_body(user: str, version: int) -> bytes:
    """The JSON of an event for the dark banner of a user."""
    message = json.loads(EVENT)
    message["payload"] |= {"username": user, "storage_path": f"{user}-dark", "version": version}
    return json.dumps(message).encode()


class UpdateConsumerHarness:
    """
    The dependencies of an update consumer, and what it did.

    `store` stands for drawing and storing an update: it returns or raises, and may wait for `clock`.
    """

    def __init__(self, *, partitions: int = 1) -> None:
        self.clock = FakeClock()
        self.broker = MemoryBroker(partitions=partitions, sleep=self.clock.sleep)
        self.store: Callable[[RenderJob], Awaitable[None]] = accept
        self.attempted: list[int] = []
        self.stored: list[int] = []
        self.outcomes: list[Outcome] = []
        self.running_logins: list[str] = []
        self.max_running = 0
        self.stop = asyncio.Event()

    async def handle(self, update: RenderJob) -> None:
        login = update.snapshot.owner.login
        self.attempted.append(update.version)
        assert login not in self.running_logins, "two updates of one key run at once"
        self.running_logins.append(login)
        self.max_running = max(self.max_running, len(self.running_logins))
        try:
            await self.store(update)
        finally:
            self.running_logins.remove(login)
        self.stored.append(update.version)

    def put(self, user: str, version: int, headers: Headers = ()) -> None:
        """Append an event to the topic."""
        key, body = user.encode(), event_body(user, version)
        self.broker.append(TOPIC, key=key, value=body, headers=headers)

    def create_update_consumer(self, consumer: Consumer | None = None) -> UpdateConsumer:
        return UpdateConsumer(
            consumer=consumer or self.broker.consumer(),
            producer=self.broker.producer(),
            handle=self.handle,
            on_outcome=self.outcomes.append,
            clock=self.clock,
            now=lambda: NOW,
            sleep=self.clock.sleep,
            random=lambda: 1.0,
        )

    def create_worker(self) -> Worker:
        def raise_bug(error: BaseException) -> None:
            raise error

        return Worker(
            handle=self.handle,
            producer=self.broker.producer(),
            on_outcome=self.outcomes.append,
            on_finished=lambda: None,
            on_bug=raise_bug,
            clock=self.clock,
            now=lambda: NOW,
            sleep=self.clock.sleep,
            random=lambda: 1.0,
        )

    @property
    def committed(self) -> int:
        """The sum of the committed offsets."""
        return sum(self.broker.committed().values())

    @property
    def dead_letters(self) -> list[Record]:
        return self.broker.records(DEAD_LETTERS)

    @asynccontextmanager
    async def running(self, consumer: Consumer | None = None) -> AsyncIterator[UpdateConsumer]:
        """Run an update consumer, and stop it in the end, however long the fake clock takes."""
        update_consumer = self.create_update_consumer(consumer)
        task = asyncio.create_task(update_consumer.run(self.stop))
        await drain_loop()
        try:
            yield update_consumer
        finally:
            self.stop.set()
            while not task.done():
                await self.clock.advance(0.5)
            await task


async def accept(update: RenderJob) -> None:
    await asyncio.sleep(0)


def fail_with(
    error: BaseException, *, only: set[int] | None = None
) -> Callable[..., Awaitable[None]]:
    """Return a `store` that raises an error for some versions, or for all."""

    async def store(update: RenderJob) -> None:
        await asyncio.sleep(0)
        if only is None or update.version in only:
            raise error

    return store
