"""PngConverter: caching, conversion in a worker process, limits and failures."""

import asyncio
from collections import Counter
from typing import cast

import pytest
from structlog.testing import capture_logs

from github_banners.api.admission import ClientCharge, RateLimiter
from github_banners.api.png_converter import PngConverter, PngOutcome
from github_banners.errors import (
    BannersError,
    Overloaded,
    RenderingFailed,
    TooManyRequests,
    Unavailable,
)
from github_banners.serving.framework import Content
from github_banners.serving.worker_process import WorkerProcess
from github_banners.stats.fetch import Deadline, picture_deadline

SVG = Content.svg(b"<svg>1</svg>")
OTHER = Content.svg(b"<svg>2</svg>")


class WorkerStub:
    """A fake WorkerProcess: waits for `may_finish`, then fails with `error` if it is set."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.error: BannersError | None = None
        self.is_closed = False

    async def run(self, payload: bytes) -> bytes:
        self.payloads.append(payload)
        await self.may_finish.wait()
        if self.error is not None:
            raise self.error
        return b"png of " + payload

    async def close(self) -> None:
        self.is_closed = True


class PngConverterHarness:
    """A PngConverter with a fake worker process and a fake clock."""

    def __init__(self, *, memory_bytes: int = 1 << 20, per_second: float = 1_000) -> None:
        self.worker = WorkerStub()
        self.counted: Counter[str] = Counter()
        self.seconds = 0.0
        self.converter = PngConverter(
            worker=cast("WorkerProcess", self.worker),
            memory_bytes=memory_bytes,
            count=lambda outcome: self.counted.update([outcome]),
            monotonic=lambda: self.seconds,
        )
        self.rate_limiter = RateLimiter(per_second=per_second, monotonic=lambda: self.seconds)

    def charge(self, client: str = "a") -> ClientCharge:
        return ClientCharge(client, self.rate_limiter)

    async def draw(
        self, svg: Content = SVG, *, client: str = "a", is_cacheable: bool = True
    ) -> bytes | None:
        picture = await self.converter.to_png(
            svg, charge=self.charge(client), deadline=picture_deadline(), is_cacheable=is_cacheable
        )
        return picture.body if picture is not None else None


@pytest.fixture
def harness() -> PngConverterHarness:
    return PngConverterHarness()


async def test_to_png_converts_once(harness: PngConverterHarness) -> None:
    assert harness.converter.get_cached(SVG) is None
    assert await harness.draw() == await harness.draw() == b"png of <svg>1</svg>"
    assert await harness.draw(OTHER) == b"png of <svg>2</svg>"
    assert harness.worker.payloads == [SVG.body, OTHER.body]
    assert harness.counted == {"drawn": 2}
    cached = harness.converter.get_cached(Content.svg(SVG.body))
    assert cached is not None
    assert cached.gzipped is None
    assert cached.media_type == "image/png"


async def test_to_png_concurrent_requests_share_a_conversion(harness: PngConverterHarness) -> None:
    harness.worker.may_finish.clear()
    tasks = [asyncio.create_task(harness.draw()) for _ in range(20)]
    await asyncio.sleep(0)
    harness.worker.may_finish.set()
    assert {*await asyncio.gather(*tasks)} == {b"png of <svg>1</svg>"}
    assert harness.worker.payloads == [SVG.body]


async def test_to_png_not_cacheable_is_not_cached(harness: PngConverterHarness) -> None:
    assert await harness.draw(is_cacheable=False) == b"png of <svg>1</svg>"
    assert harness.converter.get_cached(SVG) is None
    await harness.draw(is_cacheable=False)
    assert len(harness.worker.payloads) == 2


async def test_to_png_past_deadline_returns_none_and_caches_result(
    harness: PngConverterHarness,
) -> None:
    harness.worker.may_finish.clear()
    over = Deadline(0.1, 0.1)  # less than the time reserved for drawing
    assert await harness.converter.to_png(SVG, charge=harness.charge(), deadline=over) is None
    assert harness.converter.get_cached(SVG) is None
    harness.worker.may_finish.set()
    assert await harness.draw() == b"png of <svg>1</svg>"
    assert len(harness.worker.payloads) == 1


async def test_to_png_cancelled_request_completes_conversion(harness: PngConverterHarness) -> None:
    harness.worker.may_finish.clear()
    request = asyncio.create_task(harness.draw())
    await asyncio.sleep(0)
    request.cancel()
    await asyncio.wait({request})
    harness.worker.may_finish.set()
    assert await harness.draw() == b"png of <svg>1</svg>"
    assert len(harness.worker.payloads) == 1


async def test_to_png_after_failure_retries_once_a_second(harness: PngConverterHarness) -> None:
    error = harness.worker.error = Unavailable("died")
    with capture_logs() as logs:
        assert [await harness.draw() for _ in range(5)] == [None] * 5
        assert len(harness.worker.payloads) == 1
        assert harness.converter.get_cached(SVG) is None
        harness.worker.error = None
        assert await harness.draw() is None
        harness.seconds += 1.0
        assert await harness.draw() == b"png of <svg>1</svg>"
    assert [(line["event"], line.get("reason")) for line in logs] == [
        ("png.down", str(error)),
        ("png.up", None),
    ]
    assert await harness.draw(OTHER) == b"png of <svg>2</svg>"
    assert harness.counted == {"failed": 1, "busy": 5, "drawn": 2}
    assert {*harness.counted} == {*PngOutcome}


async def test_to_png_picture_that_fails_does_not_open_circuit(
    harness: PngConverterHarness,
) -> None:
    harness.worker.error = RenderingFailed("no")
    with capture_logs() as logs:
        assert [await harness.draw() for _ in range(3)] == [None] * 3
        harness.worker.error = None
        assert await harness.draw(OTHER) == b"png of <svg>2</svg>"
    assert harness.counted == {"failed": 3, "drawn": 1}
    assert [(line["event"], line["svg"], line["reason"]) for line in logs] == [
        ("png.failed", SVG.digest, "no")
    ]


async def test_to_png_picture_that_fails_as_probe_closes_circuit(
    harness: PngConverterHarness,
) -> None:
    harness.worker.error = Unavailable("died")
    assert await harness.draw() is None
    harness.worker.error = RenderingFailed("no")
    harness.seconds += 1.0
    assert await harness.draw() is None
    harness.worker.error = None
    assert await harness.draw(OTHER) == b"png of <svg>2</svg>"


async def test_to_png_overload_does_not_open_circuit(harness: PngConverterHarness) -> None:
    harness.worker.error = Overloaded()
    assert await harness.draw() is None
    harness.worker.error = None
    assert await harness.draw() == b"png of <svg>1</svg>"
    assert harness.counted == {"busy": 1, "drawn": 1}


def pictures(number: int, *, prefix: str = "") -> list[Content]:
    return [Content.svg(f"<svg>{prefix}{index}</svg>".encode()) for index in range(number)]


async def test_to_png_one_client_uses_half_of_the_queue(harness: PngConverterHarness) -> None:
    harness.worker.may_finish.clear()
    flood = [asyncio.create_task(harness.draw(svg, client="flood")) for svg in pictures(100)]
    await asyncio.sleep(0)
    others = [
        asyncio.create_task(harness.draw(svg, client="other"))
        for svg in pictures(4, prefix="other")
    ]
    for _ in range(3):
        await asyncio.sleep(0)
    # The queue has room for eight besides the one that is running.
    assert len(harness.worker.payloads) == 8
    harness.worker.may_finish.set()
    assert all(await asyncio.gather(*others))
    for _ in range(2):
        assert sum(png is not None for png in await asyncio.gather(*flood)) == 4
        # The client has its half again when its first pictures are finished.
        more = pictures(100, prefix="more")
        flood = [asyncio.create_task(harness.draw(svg, client="flood")) for svg in more]
    await asyncio.gather(*flood)


async def test_to_png_cache_miss_is_charged_and_hit_is_free() -> None:
    harness = PngConverterHarness(per_second=1)
    first, second, third = pictures(3)
    assert await harness.draw(first)
    assert await harness.draw(second)
    assert await harness.draw(third) is None
    assert await harness.draw(first)
    assert await harness.draw(third, client="b")
    assert harness.counted == {"drawn": 3, "busy": 1}
    with pytest.raises(TooManyRequests):
        harness.charge()()


async def test_to_png_conversion_in_flight_is_not_charged() -> None:
    harness = PngConverterHarness(per_second=1)
    assert all(await asyncio.gather(*(harness.draw() for _ in range(10))))
    harness.charge()()


async def test_to_png_cache_memory_is_bounded() -> None:
    harness = PngConverterHarness(memory_bytes=20_000)
    drawn = [Content.svg(b"%d" % number * 500) for number in range(10, 30)]
    for svg in drawn:
        await harness.draw(svg)
    cached = [svg for svg in drawn if harness.converter.get_cached(svg) is not None]
    assert 0 < len(cached) < 20
    assert cached == drawn[-len(cached) :]


async def test_close_cancels_running_conversions(harness: PngConverterHarness) -> None:
    harness.worker.may_finish.clear()
    request = asyncio.create_task(harness.draw())
    await asyncio.sleep(0)
    await harness.converter.close()
    assert harness.worker.is_closed
    assert await request is None
