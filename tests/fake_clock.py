"""Clocks that stand still until a test moves them: FakeClock in seconds, FakeTime in datetimes."""

import asyncio
import heapq
from datetime import datetime
from itertools import count

_LOOP_ITERATIONS = 40


class FakeClock:
    """Monotonic seconds; `advance` wakes tasks that sleep, in order, and lets each run."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._sequence = count()

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Sleep until the clock was moved by so many seconds."""
        wake_up = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.seconds + seconds, next(self._sequence), wake_up))
        await wake_up

    async def advance(self, seconds: float) -> None:
        """Move the clock, with a stop at each moment at which a task wakes up."""
        end = self.seconds + seconds
        await drain_loop()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.seconds, _, wake_up = heapq.heappop(self._sleepers)
            if not wake_up.done():
                wake_up.set_result(None)
                await drain_loop()
        self.seconds = end


class FakeTime:
    """UTC time, which tests change through `now`."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


async def drain_loop() -> None:
    """Let all tasks run until they wait for something else than the event loop."""
    for _ in range(_LOOP_ITERATIONS):
        await asyncio.sleep(0)
