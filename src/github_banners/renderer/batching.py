"""
Store pictures that are ready at about the same time in one call.

A picture is sent at once if no call is in flight. Otherwise further pictures are collected and sent
together when there are 64, when a call ends or after 5 ms, whichever comes first. At most two calls
are in flight. Each picture has a result of its own.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import structlog

from github_banners.messaging.schemas import (
    MAX_BATCH_BANNERS,
    MAX_BATCH_BYTES,
    BatchedBanner,
    StoreRequest,
    StoreResponse,
)
from github_banners.messaging.trace_context import bind_trace, make_traceparent, parse_trace_id
from github_banners.tasks import cancel_and_wait

_log = structlog.get_logger(__name__)

StoreMany: TypeAlias = Callable[
    [Sequence[BatchedBanner]], Awaitable[Sequence[StoreResponse | BaseException]]
]
"""Stores pictures; returns one result each in their order, and errors as results."""

MAX_CALLS = 2
MAX_WAIT_SECONDS = 0.005
# Base64 grows pictures by a third; the rest is left to the other fields of 64 banners.
_MAX_PICTURES_BYTES = MAX_BATCH_BYTES // 2


@dataclass(eq=False, slots=True)
class _Picture:
    """A picture, and the future result that its caller awaits."""

    banner: BatchedBanner
    result: "asyncio.Future[StoreResponse]"


class Batcher:
    """Stores the pictures of many tasks; close it once no task uses it any more."""

    def __init__(
        self, store_many: StoreMany, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._store_many = store_many
        self._sleep = sleep
        self._waiting: deque[_Picture] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._is_checking = False
        self._timer: asyncio.Task[None] | None = None

    async def store(self, request: StoreRequest) -> StoreResponse:
        """
        Store a picture together with others; raise the error that a call for it alone would raise.

        If the caller is cancelled, the picture is not sent, unless its call is already in flight.
        """
        loop = asyncio.get_running_loop()
        banner = BatchedBanner(**msgspec.structs.asdict(request), traceparent=make_traceparent())
        picture = _Picture(banner, loop.create_future())
        self._waiting.append(picture)
        if not self._is_checking:
            # Not at once: other tasks may add pictures in the same iteration of the event loop.
            self._is_checking = True
            loop.call_soon(self._check)
        return await picture.result

    async def close(self) -> None:
        """Cancel the calls in flight and the pictures that wait for one."""
        while self._waiting:
            self._waiting.popleft().result.cancel()
        timers = [self._timer] if self._timer is not None else []
        await cancel_and_wait([*self._calls, *timers])

    def _check(self) -> None:
        self._is_checking = False
        self._send_due()

    async def _check_later(self) -> None:
        await self._sleep(MAX_WAIT_SECONDS)
        self._timer = None
        self._send_due(has_waited=True)

    def _on_call_done(self, call: "asyncio.Task[None]") -> None:
        self._calls.discard(call)
        self._send_due(has_waited=True)

    def _send_due(self, *, has_waited: bool = False) -> None:
        """Start the calls that are due; remaining pictures wait for 5 ms at most."""
        while self._waiting and len(self._calls) < MAX_CALLS:
            if self._calls and len(self._waiting) < MAX_BATCH_BANNERS and not has_waited:
                break
            if pictures := self._next_batch():
                call = asyncio.create_task(self._send(pictures), name="updates.store")
                self._calls.add(call)
                call.add_done_callback(self._on_call_done)
        if self._waiting and len(self._calls) < MAX_CALLS and self._timer is None:
            self._timer = asyncio.create_task(self._check_later(), name="updates.wait")

    def _next_batch(self) -> list[_Picture]:
        """Remove and return the pictures of one call; a single picture may have any size."""
        pictures: list[_Picture] = []
        size_bytes = 0
        while self._waiting and len(pictures) < MAX_BATCH_BANNERS:
            size_bytes += len(self._waiting[0].banner.banner_info)
            if pictures and size_bytes > _MAX_PICTURES_BYTES:
                break
            picture = self._waiting.popleft()
            if not picture.result.done():  # else its caller was cancelled
                pictures.append(picture)
        return pictures

    async def _send(self, pictures: Sequence[_Picture]) -> None:
        outcomes: Sequence[StoreResponse | BaseException]
        trace_ids = [parse_trace_id(picture.banner.traceparent) for picture in pictures]
        bind_trace()
        try:
            outcomes = await self._store_many([picture.banner for picture in pictures])
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the result of each picture
            outcomes = [error] * len(pictures)
        if stored := sum(isinstance(outcome, StoreResponse) for outcome in outcomes):
            failed = len(outcomes) - stored
            _log.info("updates.stored", count=stored, failed=failed, trace_ids=trace_ids)
        for picture, outcome in zip(pictures, outcomes, strict=True):
            _set_outcome(picture.result, outcome)


def _set_outcome(
    result: "asyncio.Future[StoreResponse]", outcome: StoreResponse | BaseException
) -> None:
    if result.done():  # the caller was cancelled
        return
    if isinstance(outcome, StoreResponse):
        result.set_result(outcome)
    elif isinstance(outcome, asyncio.CancelledError):
        result.cancel()
    else:
        result.set_exception(outcome)
