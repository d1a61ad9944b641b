"""Which pictures are sent in one call, when, and what each caller gets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import msgspec
import pytest
from structlog.testing import capture_logs

from github_banners.errors import RemoteRejected, StorageUnavailable
from github_banners.messaging.schemas import (
    MAX_BATCH_BANNERS,
    MAX_BATCH_BYTES,
    BatchedBanner,
    StoreBatch,
    StoreRequest,
    StoreResponse,
)
from github_banners.messaging.trace_context import parse_trace_id, trace_context
from github_banners.renderer.batching import MAX_CALLS, Batcher
from tests.fake_clock import FakeClock, drain_loop

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def picture(number: int, *, size_bytes: int = 10) -> StoreRequest:
    body = b"x" * size_bytes
    return StoreRequest(
        url_path=f"b-{number}", banner_info=body, banner_format="svg", version=number
    )


@dataclass
class FakeStorage:
    """A storage whose calls end when a test allows it; `errors` by banner."""

    calls: list[list[BatchedBanner]] = field(default_factory=list)
    errors: dict[str, BaseException] = field(default_factory=dict)
    error: BaseException | None = None
    may_finish: list[asyncio.Event] = field(default_factory=list)
    is_slow: bool = False

    async def store_many(
        self, banners: Sequence[BatchedBanner]
    ) -> list[StoreResponse | BaseException]:
        self.calls.append(list(banners))
        self.may_finish.append(asyncio.Event())
        if self.is_slow:
            await self.may_finish[-1].wait()
        if self.error is not None:
            raise self.error
        return [
            self.errors.get(banner.url_path, StoreResponse(url=f"/banners/{banner.url_path}"))
            for banner in banners
        ]

    @property
    def sizes(self) -> list[int]:
        return [len(call) for call in self.calls]


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def batcher(storage: FakeStorage, clock: FakeClock) -> AsyncIterator[Batcher]:
    batcher = Batcher(storage.store_many, sleep=clock.sleep)
    yield batcher
    await batcher.close()


def start(batcher: Batcher, numbers: range) -> list[asyncio.Task[StoreResponse]]:
    return [asyncio.create_task(batcher.store(picture(number))) for number in numbers]


async def test_store_single_picture_is_sent_at_once(batcher: Batcher, storage: FakeStorage) -> None:
    response = await batcher.store(picture(7))
    assert response == StoreResponse(url="/banners/b-7")
    ((banner,),) = storage.calls
    assert (banner.url_path, banner.banner_info, banner.version) == ("b-7", b"x" * 10, 7)


async def test_store_pictures_of_one_loop_iteration_are_sent_together(
    batcher: Batcher, storage: FakeStorage
) -> None:
    responses = await asyncio.gather(*start(batcher, range(10)))
    assert [response.url for response in responses] == [
        f"/banners/b-{number}" for number in range(10)
    ]
    assert storage.sizes == [10]


async def test_store_many_pictures_are_split_into_two_calls_in_flight(
    batcher: Batcher, storage: FakeStorage
) -> None:
    storage.is_slow = True
    tasks = start(batcher, range(200))
    await drain_loop()
    assert storage.sizes == [MAX_BATCH_BANNERS] * MAX_CALLS
    storage.may_finish[1].set()
    await drain_loop()
    assert storage.sizes == [MAX_BATCH_BANNERS] * (MAX_CALLS + 1)
    for call in count():
        if call == len(storage.calls):
            break
        storage.may_finish[call].set()
        await drain_loop()
    await asyncio.gather(*tasks)
    assert storage.sizes == [64, 64, 64, 8]
    sent = [banner.url_path for call in storage.calls for banner in call]
    assert sent == [f"b-{number}" for number in range(200)]


async def test_store_call_in_flight_delays_pictures_until_its_end(
    batcher: Batcher, storage: FakeStorage
) -> None:
    storage.is_slow = True
    tasks = start(batcher, range(1))
    await drain_loop()
    for first in (1, 3, 5):
        tasks += start(batcher, range(first, first + 2))
        await drain_loop()
    assert storage.sizes == [1]
    storage.may_finish[0].set()
    await drain_loop()
    assert storage.sizes == [1, 6]
    storage.may_finish[1].set()
    await asyncio.gather(*tasks)


async def test_store_full_batch_does_not_wait(batcher: Batcher, storage: FakeStorage) -> None:
    storage.is_slow = True
    tasks = start(batcher, range(1))
    await drain_loop()
    tasks += start(batcher, range(1, MAX_BATCH_BANNERS))
    await drain_loop()
    assert storage.sizes == [1]
    tasks += start(batcher, range(MAX_BATCH_BANNERS, MAX_BATCH_BANNERS + 1))
    await drain_loop()
    assert storage.sizes == [1, MAX_BATCH_BANNERS]
    for event in storage.may_finish:
        event.set()
    await asyncio.gather(*tasks)


async def test_store_slow_call_delays_pictures_for_5_ms(
    batcher: Batcher, storage: FakeStorage, clock: FakeClock
) -> None:
    storage.is_slow = True
    tasks = start(batcher, range(1))
    await drain_loop()
    tasks += start(batcher, range(1, 3))
    await clock.advance(0.003)
    tasks += start(batcher, range(3, 4))
    await clock.advance(0.0019)
    assert storage.sizes == [1]
    await clock.advance(0.0002)
    assert storage.sizes == [1, 3]
    # A third call is not started, however long they wait.
    tasks += start(batcher, range(4, 6))
    await clock.advance(60)
    assert storage.sizes == [1, 3]
    for event in storage.may_finish:
        event.set()
    storage.is_slow = False
    await asyncio.gather(*tasks)
    assert storage.sizes == [1, 3, 2]


async def test_store_mixed_results_reach_their_callers(
    batcher: Batcher, storage: FakeStorage
) -> None:
    storage.errors = {"b-1": RemoteRejected("400"), "b-3": StorageUnavailable("503")}
    results = await asyncio.gather(*start(batcher, range(5)), return_exceptions=True)
    assert results[1] is storage.errors["b-1"]
    assert results[3] is storage.errors["b-3"]
    assert [isinstance(result, StoreResponse) for result in results] == [
        True,
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("error", [StorageUnavailable(), TypeError("a bug")])
async def test_store_failed_call_fails_each_picture(
    batcher: Batcher, storage: FakeStorage, error: Exception
) -> None:
    storage.error = error
    with capture_logs() as lines:
        results = await asyncio.gather(*start(batcher, range(3)), return_exceptions=True)
    assert results == [error] * 3
    assert lines == []
    storage.error = None
    assert (await batcher.store(picture(9))).url == "/banners/b-9"


async def test_store_call_cancelled_inside_cancels_each_picture(
    batcher: Batcher, storage: FakeStorage
) -> None:
    storage.error = asyncio.CancelledError()
    tasks = start(batcher, range(3))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


async def test_store_cancelled_caller_is_not_sent(batcher: Batcher, storage: FakeStorage) -> None:
    storage.is_slow = True
    first, second, third = start(batcher, range(3))
    await drain_loop()
    later = start(batcher, range(3, 6))
    await drain_loop()
    second.cancel()
    later[1].cancel()
    storage.may_finish[0].set()
    await drain_loop()
    assert [banner.url_path for banner in storage.calls[1]] == ["b-3", "b-5"]
    storage.may_finish[1].set()
    done = await asyncio.gather(first, third, later[0], later[2])
    assert [response.url for response in done] == [
        f"/banners/b-{number}" for number in (0, 2, 3, 5)
    ]
    assert second.cancelled()
    assert later[1].cancelled()


async def test_store_all_callers_cancelled_sends_nothing(
    batcher: Batcher, storage: FakeStorage
) -> None:
    tasks = start(batcher, range(3))
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await drain_loop()
    assert storage.calls == []
    assert (await batcher.store(picture(9))).url == "/banners/b-9"


async def test_store_large_pictures_are_split_by_size(
    batcher: Batcher, storage: FakeStorage
) -> None:
    pictures = [picture(number, size_bytes=1 << 20) for number in range(9)]
    huge = picture(9, size_bytes=MAX_BATCH_BYTES)
    await asyncio.gather(*(batcher.store(request) for request in [*pictures, huge]))
    assert sum(storage.sizes) == 10
    bodies = [
        StoreBatch(banners=[_raw(banner) for banner in call]).to_json() for call in storage.calls
    ]
    *usual, last = sorted(bodies, key=len)
    assert len(usual[-1]) <= MAX_BATCH_BYTES
    assert len(last) > MAX_BATCH_BYTES
    assert len(usual) < 9


async def test_store_each_picture_has_its_own_trace(batcher: Batcher, storage: FakeStorage) -> None:
    async def store(number: int, traceparent: str) -> None:
        with trace_context(traceparent):
            await batcher.store(picture(number))

    with capture_logs(processors=[]) as lines:
        await asyncio.gather(store(1, TRACEPARENT), store(2, ""))
    ((first, second),) = storage.calls
    assert parse_trace_id(first.traceparent) == TRACE
    assert parse_trace_id(second.traceparent) not in {None, TRACE}
    (line,) = lines
    assert line["event"] == "updates.stored"
    assert (line["count"], line["failed"]) == (2, 0)
    assert line["trace_ids"] == [TRACE, parse_trace_id(second.traceparent)]


async def test_close_cancels_calls_in_flight(batcher: Batcher, storage: FakeStorage) -> None:
    storage.is_slow = True
    tasks = start(batcher, range(1))
    await drain_loop()
    tasks += start(batcher, range(1, 3))
    await drain_loop()
    await batcher.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert storage.sizes == [1]
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "updates.store"]


def _raw(banner: BatchedBanner) -> msgspec.Raw:
    return msgspec.Raw(banner.to_json())
