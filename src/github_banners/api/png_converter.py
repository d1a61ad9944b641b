"""
Pictures as PNG: another form of an SVG that was drawn already, made in a process of its own.

Each is remembered by the SVG's tag, so that it is as new as that, whatever version it is of. Where
none can be had in time there is None, and the SVG is answered instead.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import structlog

from github_banners.api.banner_responses import Picture
from github_banners.api.rate_limit import ClientCharge
from github_banners.circuit_breaker import CircuitBreaker
from github_banners.errors import BannersError, Overloaded, TooManyRequests
from github_banners.serving.worker_process import MAX_QUEUE, WorkerProcess
from github_banners.stats.deadline import PICTURE_TIMEOUT_SECONDS, Deadline
from github_banners.stats.lru import ByteBoundedLru

_log = structlog.get_logger(__name__)

PNG_OUTCOMES = (_DRAWN, _BUSY, _FAILED) = ("drawn", "busy", "failed")
"""What can have become of a wish for a PNG that lay not in memory, for counting."""

_ENTRY_OVERHEAD_BYTES = 700
# Of the pieces that are at work or wait: one client leaves as much of the queue to all others.
_MAX_PER_CLIENT = MAX_QUEUE // 2


class PngConverter:
    """Finds PNG pictures, or has them made; after a failure one a second is tried."""

    def __init__(
        self,
        *,
        worker: WorkerProcess,
        memory_bytes: int,
        count: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker = worker
        self._count = count
        self._circuit = CircuitBreaker(monotonic)
        self._cached: ByteBoundedLru[str, Picture] = ByteBoundedLru(
            memory_bytes, entry_bytes=_entry_bytes
        )
        self._in_flight: dict[str, asyncio.Task[Picture | None]] = {}
        self._clients: Counter[str] = Counter()

    def get_cached(self, svg: Picture) -> Picture | None:
        """Find the PNG of a drawing in memory."""
        return self._cached.get(svg.digest)

    async def to_png(
        self, svg: Picture, *, charge: ClientCharge, deadline: Deadline, is_cacheable: bool = True
    ) -> Picture | None:
        """
        Draw the PNG of a drawing, unless it lies in memory; None where that can't be done in time.

        Drawing is charged to the client, who can have a part of the queue only. What misses the
        deadline is finished all the same, for whoever asks next.
        """
        found = self.get_cached(svg)
        if found is not None:
            return found
        making = self._in_flight.get(svg.digest)
        if making is None and not self._is_admitted(charge):
            self._count(_BUSY)
            return None
        making = making or self._start(svg, charge.client, is_cacheable=is_cacheable)
        await asyncio.wait({making}, timeout=deadline.timeout_seconds(PICTURE_TIMEOUT_SECONDS))
        return making.result() if making.done() and not making.cancelled() else None

    async def close(self) -> None:
        """End what is being drawn, and the process that draws."""
        making = [*self._in_flight.values()]
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        await self._worker.close()

    def _is_admitted(self, charge: ClientCharge) -> bool:
        if self._clients[charge.client] >= _MAX_PER_CLIENT:
            return False
        try:
            charge()
        except TooManyRequests:
            return False
        return True

    def _start(
        self, svg: Picture, client: str, *, is_cacheable: bool
    ) -> "asyncio.Task[Picture | None]":
        task = asyncio.create_task(self._convert(svg, is_cacheable=is_cacheable), name="png")
        self._in_flight[svg.digest] = task
        self._clients[client] += 1
        task.add_done_callback(partial(self._on_done, svg.digest, client))
        return task

    def _on_done(self, digest: str, client: str, _: "asyncio.Task[Picture | None]") -> None:
        self._in_flight.pop(digest, None)
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    async def _convert(self, svg: Picture, *, is_cacheable: bool) -> Picture | None:
        if not self._circuit.allow_request():
            self._count(_BUSY)
            return None
        try:
            picture = Picture.png(await self._worker.run(svg.body))
        except BannersError as error:
            self._record_failure(error)
            return None
        self._circuit.record_success()
        self._count(_DRAWN)
        if is_cacheable:
            self._cached.put(svg.digest, picture)
        return picture

    def _record_failure(self, error: BannersError) -> None:
        if isinstance(error, Overloaded):
            self._count(_BUSY)
            return
        self._count(_FAILED)
        if self._circuit.record_failure():
            _log.warning("png.failed", reason=str(error))


def _entry_bytes(_: str, picture: Picture) -> int:
    return _ENTRY_OVERHEAD_BYTES + picture.size_bytes
