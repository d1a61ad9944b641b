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

from github_banners.api.clients import ClientCharge
from github_banners.api.delivery import Picture
from github_banners.circuit import Circuit
from github_banners.errors import BannersError, Busy, TooManyRequests
from github_banners.serving.workshop import MOST_WAITING, Workshop
from github_banners.stats.deadline import PICTURE_SECONDS, Deadline
from github_banners.stats.memory import Memory

_log = structlog.get_logger(__name__)

OUTCOMES = (_DRAWN, _BUSY, _FAILED) = ("drawn", "busy", "failed")
"""What can have become of a wish for a PNG that lay not in memory, for counting."""

_KEPT_BYTES = 700
# Of the pieces that are at work or wait: one client leaves as much of the queue to all others.
_MAX_PER_CLIENT = MOST_WAITING // 2


class Pngs:
    """Finds PNG pictures, or has them made; after a failure one a second is tried."""

    def __init__(
        self,
        *,
        workshop: Workshop,
        memory_bytes: int,
        count: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workshop = workshop
        self._count = count
        self._circuit = Circuit(monotonic)
        self._kept: Memory[str, Picture] = Memory(memory_bytes, bytes_of=_kept_bytes)
        self._making: dict[str, asyncio.Task[Picture | None]] = {}
        self._clients: Counter[str] = Counter()

    def find(self, svg: Picture) -> Picture | None:
        """Find the PNG of a drawing in memory."""
        return self._kept.get(svg.digest)

    async def draw(
        self, svg: Picture, *, charge: ClientCharge, deadline: Deadline, is_kept: bool = True
    ) -> Picture | None:
        """
        Draw the PNG of a drawing, unless it lies in memory; None where that can't be done in time.

        Drawing is charged to the client, who can have a part of the queue only. What misses the
        deadline is finished all the same, for whoever asks next.
        """
        found = self.find(svg)
        if found is not None:
            return found
        making = self._making.get(svg.digest)
        if making is None and not self._admit(charge):
            self._count(_BUSY)
            return None
        making = making or self._begin(svg, charge.client, is_kept=is_kept)
        await asyncio.wait({making}, timeout=deadline.grant(PICTURE_SECONDS))
        return making.result() if making.done() and not making.cancelled() else None

    async def close(self) -> None:
        """End what is being drawn, and the process that draws."""
        making = [*self._making.values()]
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        await self._workshop.close()

    def _admit(self, charge: ClientCharge) -> bool:
        if self._clients[charge.client] >= _MAX_PER_CLIENT:
            return False
        try:
            charge()
        except TooManyRequests:
            return False
        return True

    def _begin(self, svg: Picture, client: str, *, is_kept: bool) -> "asyncio.Task[Picture | None]":
        task = asyncio.create_task(self._make(svg, is_kept=is_kept), name="png")
        self._making[svg.digest] = task
        self._clients[client] += 1
        task.add_done_callback(partial(self._end, svg.digest, client))
        return task

    def _end(self, digest: str, client: str, _: "asyncio.Task[Picture | None]") -> None:
        self._making.pop(digest, None)
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    async def _make(self, svg: Picture, *, is_kept: bool) -> Picture | None:
        if not self._circuit.admit():
            self._count(_BUSY)
            return None
        try:
            picture = Picture.png(await self._workshop.do(svg.body))
        except BannersError as error:
            self._note_failure(error)
            return None
        self._circuit.succeed()
        self._count(_DRAWN)
        if is_kept:
            self._kept.put(svg.digest, picture)
        return picture

    def _note_failure(self, error: BannersError) -> None:
        if isinstance(error, Busy):
            self._count(_BUSY)
            return
        self._count(_FAILED)
        if self._circuit.fail():
            _log.warning("png.failed", reason=str(error))


def _kept_bytes(_: str, picture: Picture) -> int:
    return _KEPT_BYTES + picture.size_bytes
