"""
Converts drawn SVGs to PNG in a worker process, and caches the results.

PNGs are cached by the digest of their SVG, so that they can't be older than it. If a conversion
fails or takes too long the result is None, and the caller sends the SVG.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from functools import partial

import structlog

from github_banners.api.admission import ClientCharge
from github_banners.cache import ByteBoundedLru
from github_banners.circuit_breaker import CircuitBreaker
from github_banners.errors import BannersError, Overloaded, RenderingFailed, TooManyRequests
from github_banners.log_throttle import LogThrottle
from github_banners.serving.framework import Content
from github_banners.serving.worker_process import MAX_QUEUE, WorkerProcess
from github_banners.stats.fetch import PICTURE_TIMEOUT_SECONDS, Deadline
from github_banners.tasks import cancel_and_wait

_log = structlog.get_logger(__name__)

_ENTRY_OVERHEAD_BYTES = 700
# One client may fill half of the worker's queue; the rest is for all others.
_MAX_PER_CLIENT = MAX_QUEUE // 2


class PngOutcome(StrEnum):
    """Outcome of a PNG cache miss (metric label)."""

    DRAWN = "drawn"
    BUSY = "busy"
    FAILED = "failed"


class PngConverter:
    """
    Converts pictures with `worker` and caches them, within `memory_bytes`.

    Concurrent requests for one picture share a conversion. After a failure of the
    worker the circuit breaker admits few attempts. `count` is called with the `PngOutcome` of every
    cache miss.
    """

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
        self._circuit = CircuitBreaker(monotonic, name="png")
        self._throttle = LogThrottle(monotonic)
        self._cached: ByteBoundedLru[str, Content] = ByteBoundedLru(
            memory_bytes, entry_bytes=_entry_bytes
        )
        self._in_flight: dict[str, asyncio.Task[Content | None]] = {}
        self._clients: Counter[str] = Counter()

    def get_cached(self, svg: Content) -> Content | None:
        """Return the cached PNG of an SVG, or None."""
        return self._cached.get(svg.digest)

    def drop(self, svg: Content) -> None:
        """Remove the cached PNG of an SVG."""
        self._cached.drop(svg.digest)

    async def to_png(
        self, svg: Content, *, charge: ClientCharge, deadline: Deadline, is_cacheable: bool = True
    ) -> Content | None:
        """
        Convert an SVG to PNG, unless it is cached; None if that fails or takes too long.

        A conversion is charged to the client, who may use only a part of the queue. One that misses
        the deadline is completed and cached, for the next request.
        """
        cached = self.get_cached(svg)
        if cached is not None:
            return cached
        task = self._in_flight.get(svg.digest)
        if task is None and not self._is_admitted(charge):
            self._count(PngOutcome.BUSY)
            return None
        task = task or self._start(svg, charge.client, is_cacheable=is_cacheable)
        await asyncio.wait({task}, timeout=deadline.timeout_seconds(PICTURE_TIMEOUT_SECONDS))
        return task.result() if task.done() and not task.cancelled() else None

    async def close(self) -> None:
        """Cancel running conversions and end the worker process."""
        await cancel_and_wait([*self._in_flight.values()])
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
        self, svg: Content, client: str, *, is_cacheable: bool
    ) -> "asyncio.Task[Content | None]":
        task = asyncio.create_task(self._convert(svg, is_cacheable=is_cacheable), name="png")
        self._in_flight[svg.digest] = task
        self._clients[client] += 1
        task.add_done_callback(partial(self._on_done, svg.digest, client))
        return task

    def _on_done(self, digest: str, client: str, _: "asyncio.Task[Content | None]") -> None:
        self._in_flight.pop(digest, None)
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    async def _convert(self, svg: Content, *, is_cacheable: bool) -> Content | None:
        if self._circuit.is_open and not self._circuit.allow_probe():
            self._count(PngOutcome.BUSY)
            return None
        try:
            picture = Content.png(await self._worker.run(svg.body))
        except Overloaded:
            self._count(PngOutcome.BUSY)
            return None
        except RenderingFailed as error:
            # This picture alone can't be converted; the worker has responded.
            self._circuit.close()
            self._count(PngOutcome.FAILED)
            if self._throttle.allows(str(error)):
                _log.warning("png.failed", svg=svg.digest, reason=str(error))
            return None
        except BannersError as error:
            self._count(PngOutcome.FAILED)
            self._circuit.record_failure(str(error))
            return None
        self._circuit.close()
        self._count(PngOutcome.DRAWN)
        if is_cacheable:
            self._cached.put(svg.digest, picture)
        return picture


def _entry_bytes(_: str, picture: Content) -> int:
    return _ENTRY_OVERHEAD_BYTES + picture.size_bytes
