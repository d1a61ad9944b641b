"""
Pictures that are ready at about the same time, stored in one call.

A picture goes out at once when no call is in flight. While one is, further pictures are collected;
they go out together when there are 64, when the call ends or after 5 ms, whichever comes first, and
at most two calls are in flight. Each picture has a result of its own.
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
from github_banners.messaging.tracing import bind_trace, make_traceparent, parse_trace_id
from github_banners.renderer.tasks import cancel_and_wait

_log = structlog.get_logger(__name__)

StoreMany: TypeAlias = Callable[
    [Sequence[BatchedBanner]], Awaitable[Sequence[StoreResponse | BaseException]]
]
"""Stores pictures; one result each, in their order, with an error in place of raising it."""

MAX_CALLS = 2
MAX_WAIT_SECONDS = 0.005
# Base64 makes four bytes of three; what is left is for the other fields of 64 banners.
_MAX_PICTURES_BYTES = MAX_BATCH_BYTES // 2


@dataclass(eq=False, slots=True)
class _Picture:
    """A picture, and the result that its caller waits for."""

    banner: BatchedBanner
    result: "asyncio.Future[StoreResponse]"


class Batcher:
    """Stores the pictures of many tasks; close it when none of them stores any more."""

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
        Store a picture, together with others; raises what a call for it alone would raise.

        If the caller is cancelled, the picture is not sent any more, unless it is in flight.
        """
        loop = asyncio.get_running_loop()
        banner = BatchedBanner(**msgspec.structs.asdict(request), traceparent=make_traceparent())
        picture = _Picture(banner, loop.create_future())
        self._waiting.append(picture)
        if not self._is_checking:
            # Not at once: other tasks may add their pictures in this turn of the loop.
            self._is_checking = True
            loop.call_soon(self._check)
        return await picture.result

    async def close(self) -> None:
        """Cancel the calls that are in flight and what waits for one."""
        while self._waiting:
            self._waiting.popleft().result.cancel()
        await cancel_and_wait([*self._calls, *([self._timer] if self._timer is not None else [])])

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
        """Begin the calls that are due; what is left over has to wait 5 ms at most."""
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
        """Take what fits into one call; a picture of any size fits if it is alone."""
        pictures: list[_Picture] = []
        size_bytes = 0
        while self._waiting and len(pictures) < MAX_BATCH_BANNERS:
            size_bytes += len(self._waiting[0].banner.banner_info)
            if pictures and size_bytes > _MAX_PICTURES_BYTES:
                break
            picture = self._waiting.popleft()
            if not picture.result.done():
                pictures.append(picture)
        return pictures

    async def _send(self, pictures: Sequence[_Picture]) -> None:
        outcomes: Sequence[StoreResponse | BaseException]
        trace_ids = [parse_trace_id(picture.banner.traceparent) for picture in pictures]
        bind_trace()
        try:
            outcomes = await self._store_many([picture.banner for picture in pictures])
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - each is told
            outcomes = [error] * len(pictures)
        if stored := sum(isinstance(outcome, StoreResponse) for outcome in outcomes):
            failed = len(outcomes) - stored
            _log.info("updates.stored", count=stored, failed=failed, trace_ids=trace_ids)
        for picture, outcome in zip(pictures, outcomes, strict=True):
            _set_outcome(picture.result, outcome)


def _set_outcome(
    result: "asyncio.Future[StoreResponse]", outcome: StoreResponse | BaseException
) -> None:
    if result.done():  # its caller was cancelled
        return
    if isinstance(outcome, StoreResponse):
        result.set_result(outcome)
    elif isinstance(outcome, asyncio.CancelledError):
        result.cancel()
    else:
        result.set_exception(outcome)
