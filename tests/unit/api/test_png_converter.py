"""PNG pictures: found in memory, made elsewhere, or not to be had now."""

import asyncio
from collections import Counter
from typing import cast

import pytest

from github_banners.api.banner_responses import Picture
from github_banners.api.png_converter import PngConverter, PngOutcome
from github_banners.api.rate_limit import ClientCharge, RateLimiter
from github_banners.errors import (
    BannersError,
    Overloaded,
    RenderingFailed,
    TooManyRequests,
    Unavailable,
)
from github_banners.serving.worker_process import WorkerProcess
from github_banners.stats.deadline import Deadline, picture_deadline

SVG = Picture.svg(b"<svg>1</svg>")
OTHER = Picture.svg(b"<svg>2</svg>")


class WorkerStub:
    """In a workshop's place: does nothing before it is let go, or fails as it is told to."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.error: BannersError | None = None
        self.is_closed = False

    async def run(self, payload: bytes) -> bytes:
        self.asked.append(payload)
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return b"png of " + payload

    async def close(self) -> None:
        self.is_closed = True


class Scene:
    """PNG pictures with a bench and a clock of their own."""

    def __init__(self, *, memory_bytes: int = 1 << 20, per_second: float = 1_000) -> None:
        self.bench = WorkerStub()
        self.counted: Counter[str] = Counter()
        self.seconds = 0.0
        self.pngs = PngConverter(
            worker=cast("WorkerProcess", self.bench),
            memory_bytes=memory_bytes,
            count=lambda outcome: self.counted.update([outcome]),
            monotonic=lambda: self.seconds,
        )
        self.shares = RateLimiter(per_second=per_second, monotonic=lambda: self.seconds)

    def charge(self, client: str = "a") -> ClientCharge:
        return ClientCharge(client, self.shares)

    async def draw(
        self, svg: Picture = SVG, *, client: str = "a", is_cacheable: bool = True
    ) -> bytes | None:
        picture = await self.pngs.to_png(
            svg, charge=self.charge(client), deadline=picture_deadline(), is_cacheable=is_cacheable
        )
        return picture.body if picture is not None else None


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_it_is_made_once(scene: Scene) -> None:
    assert scene.pngs.get_cached(SVG) is None
    assert await scene.draw() == await scene.draw() == b"png of <svg>1</svg>"
    assert await scene.draw(OTHER) == b"png of <svg>2</svg>"
    assert scene.bench.asked == [SVG.body, OTHER.body]
    assert scene.counted == {"drawn": 2}
    found = scene.pngs.get_cached(Picture.svg(SVG.body))
    assert found is not None
    assert found.gzipped is None
    assert found.media_type == "image/png"


async def test_who_asks_at_the_same_time_gets_the_same(scene: Scene) -> None:
    scene.bench.may_end.clear()
    tasks = [asyncio.create_task(scene.draw()) for _ in range(20)]
    await asyncio.sleep(0)
    scene.bench.may_end.set()
    assert {*await asyncio.gather(*tasks)} == {b"png of <svg>1</svg>"}
    assert scene.bench.asked == [SVG.body]


async def test_a_dated_picture_is_made_and_never_kept(scene: Scene) -> None:
    assert await scene.draw(is_cacheable=False) == b"png of <svg>1</svg>"
    assert scene.pngs.get_cached(SVG) is None
    await scene.draw(is_cacheable=False)
    assert len(scene.bench.asked) == 2


async def test_what_misses_the_deadline_serves_the_next(scene: Scene) -> None:
    scene.bench.may_end.clear()
    over = Deadline(0.1, 0.1)  # less than what drawing keeps for itself
    assert await scene.pngs.to_png(SVG, charge=scene.charge(), deadline=over) is None
    assert scene.pngs.get_cached(SVG) is None
    scene.bench.may_end.set()
    assert await scene.draw() == b"png of <svg>1</svg>"
    assert len(scene.bench.asked) == 1


async def test_who_goes_away_loses_nothing(scene: Scene) -> None:
    scene.bench.may_end.clear()
    asking = asyncio.create_task(scene.draw())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    scene.bench.may_end.set()
    assert await scene.draw() == b"png of <svg>1</svg>"
    assert len(scene.bench.asked) == 1


@pytest.mark.parametrize("error", [Unavailable("died"), RenderingFailed("no")])
async def test_after_a_failure_one_a_second_is_tried(scene: Scene, error: BannersError) -> None:
    scene.bench.error = error
    assert [await scene.draw() for _ in range(5)] == [None] * 5
    assert len(scene.bench.asked) == 1
    assert scene.pngs.get_cached(SVG) is None
    scene.bench.error = None
    assert await scene.draw() is None
    scene.seconds += 1.0
    assert await scene.draw() == b"png of <svg>1</svg>"
    assert await scene.draw(OTHER) == b"png of <svg>2</svg>"
    assert scene.counted == {"failed": 1, "busy": 5, "drawn": 2}
    assert {*scene.counted} == {*PngOutcome}


async def test_overflow_is_no_failure(scene: Scene) -> None:
    scene.bench.error = Overloaded()
    assert await scene.draw() is None
    scene.bench.error = None
    assert await scene.draw() == b"png of <svg>1</svg>"
    assert scene.counted == {"busy": 1, "drawn": 1}


def pictures(number: int, *, named: str = "") -> list[Picture]:
    return [Picture.svg(f"<svg>{named}{index}</svg>".encode()) for index in range(number)]


async def test_one_client_cannot_take_the_queue_from_another(scene: Scene) -> None:
    scene.bench.may_end.clear()
    flood = [asyncio.create_task(scene.draw(svg, client="flood")) for svg in pictures(100)]
    await asyncio.sleep(0)
    others = [
        asyncio.create_task(scene.draw(svg, client="other")) for svg in pictures(4, named="other")
    ]
    for _ in range(3):
        await asyncio.sleep(0)
    # Eight may wait and one is at work: there is room for both.
    assert len(scene.bench.asked) == 8
    scene.bench.may_end.set()
    assert all(await asyncio.gather(*others))
    assert sum(png is not None for png in await asyncio.gather(*flood)) == 4
    assert not scene.pngs._clients


async def test_png_that_has_to_be_drawn_is_charged_and_one_in_memory_is_free() -> None:
    scene = Scene(per_second=1)
    one, two, three = pictures(3)
    assert await scene.draw(one)
    assert await scene.draw(two)
    assert await scene.draw(three) is None
    assert await scene.draw(one)
    assert await scene.draw(three, client="b")
    assert scene.counted == {"drawn": 3, "busy": 1}
    with pytest.raises(TooManyRequests):
        scene.charge()()


async def test_png_that_is_being_drawn_costs_those_who_wait_nothing() -> None:
    scene = Scene(per_second=1)
    assert all(await asyncio.gather(*(scene.draw() for _ in range(10))))
    scene.charge()()


async def test_memory_is_bounded() -> None:
    scene = Scene(memory_bytes=20_000)
    drawn = [Picture.svg(b"%d" % number * 500) for number in range(10, 30)]
    for one in drawn:
        await scene.draw(one)
    kept = [one for one in drawn if scene.pngs.get_cached(one) is not None]
    assert 0 < len(kept) < 20
    assert kept == drawn[-len(kept) :]


async def test_closing_ends_what_is_at_work(scene: Scene) -> None:
    scene.bench.may_end.clear()
    asking = asyncio.create_task(scene.draw())
    await asyncio.sleep(0)
    await scene.pngs.close()
    assert scene.bench.is_closed
    assert await asking is None
