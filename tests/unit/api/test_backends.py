"""Who draws: the renderer while it answers in time, else this process."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

import pytest
from structlog.testing import capture_logs

from github_banners.api.backends import Backends, DrawnBy, FallbackRenderer, draw_locally
from github_banners.circuit_breaker import PROBE_INTERVAL_SECONDS, CircuitBreaker
from github_banners.drawing import draw
from github_banners.errors import BannersError, NonceCacheFull, RemoteRejected, RendererUnavailable
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import BannerOptions, Theme
from github_banners.stats.deadline import Deadline

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SNAPSHOT = Snapshot(Owner(4, "WyCats", None, "Yehuda"), Stats(3, 2, 1, 10, 4, {"Ruby": 2}), NOW, 7)
LOOK = BannerOptions(theme=Theme.DARK)
OURS = draw(SNAPSHOT, LOOK)
THEIRS = b"<svg>drawn by the renderer</svg>"
KEPT_FOR_DRAWING_SECONDS = 0.2

Act: TypeAlias = Callable[[], Awaitable[bytes]]


class Time:
    """Monotonic seconds that move when they are told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


async def answer() -> bytes:
    return THEIRS


async def hang() -> bytes:
    await asyncio.Event().wait()
    raise AssertionError("nobody waits for this")


async def be_away() -> bytes:
    raise RendererUnavailable


@dataclass
class Scene:
    """A drawer, the renderer that it asks, and a clock that moves when it is told to."""

    act: Act = answer
    asked: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        self.circuit = CircuitBreaker(self.time)
        self.drawer = FallbackRenderer(self.remote, circuit=self.circuit, count=self.count)

    async def remote(self, snapshot: Snapshot, look: BannerOptions) -> bytes:
        assert (snapshot, look) == (SNAPSHOT, LOOK)
        self.asked += 1
        return await self.act()

    def count(self, drawn_by: str) -> None:
        assert drawn_by in [*DrawnBy]
        self.counted[drawn_by] += 1

    async def draw(self, *, seconds: float = 3.0) -> bytes:
        """Draw for a request that has so many seconds left, beside those for drawing itself."""
        deadline = Deadline(seconds + KEPT_FOR_DRAWING_SECONDS, 1.8, monotonic=self.time)
        return await self.drawer.draw(SNAPSHOT, LOOK, deadline)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_what_the_renderer_has_drawn_is_taken_as_it_is(scene: Scene) -> None:
    assert await scene.draw() == THEIRS
    assert scene.counted == {"renderer": 1}
    assert not scene.circuit.is_open


@pytest.mark.parametrize("error", [RendererUnavailable(), NonceCacheFull(), RemoteRejected()])
async def test_what_the_renderer_does_not_draw_is_drawn_here(
    scene: Scene, error: BannersError
) -> None:
    async def refuse() -> bytes:
        raise error

    scene.act = refuse
    assert await scene.draw() == OURS
    assert scene.counted == {"self": 1}


async def test_a_slow_renderer_is_not_waited_for_and_not_asked_again(scene: Scene) -> None:
    scene.act = hang
    with capture_logs() as logs:
        assert await scene.draw(seconds=0.005) == OURS
        assert scene.circuit.is_open
        assert [await scene.draw() for _ in range(10)] == [OURS] * 10
    assert scene.asked == 1
    assert scene.counted == {"self": 11}
    assert [(line["event"], line["reason"]) for line in logs] == [("renderer.down", "TimeoutError")]


async def test_half_a_second_is_all_that_the_renderer_gets(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted: list[float | None] = []
    timeout = asyncio.timeout

    def noting(delay: float | None) -> asyncio.Timeout:
        granted.append(delay)
        return timeout(delay)

    monkeypatch.setattr(asyncio, "timeout", noting)
    await scene.draw(seconds=2.8)
    await scene.draw(seconds=0.3)
    assert granted == [0.5, pytest.approx(0.3)]


async def test_a_request_without_time_does_not_ask_and_blames_nobody(scene: Scene) -> None:
    scene.act = hang
    assert await scene.draw(seconds=0) == OURS
    assert (scene.asked, scene.counted) == (0, {"self": 1})
    assert not scene.circuit.is_open


async def test_while_it_is_away_one_request_a_second_asks(scene: Scene) -> None:
    scene.act = be_away
    for _ in range(3):
        assert [await scene.draw() for _ in range(5)] == [OURS] * 5
        scene.time.seconds += PROBE_INTERVAL_SECONDS
    assert scene.asked == 3
    scene.time.seconds += 10 * PROBE_INTERVAL_SECONDS
    await asyncio.gather(*(scene.draw() for _ in range(20)))
    assert scene.asked == 4
    assert scene.counted == {"self": 35}


async def test_while_a_probe_waits_the_others_are_drawn_at_once(scene: Scene) -> None:
    scene.act = be_away
    await scene.draw()
    scene.time.seconds += PROBE_INTERVAL_SECONDS
    may_answer = asyncio.Event()

    async def slowly() -> bytes:
        await may_answer.wait()
        return THEIRS

    scene.act = slowly
    probe = asyncio.create_task(scene.draw())
    await asyncio.sleep(0)
    assert scene.asked == 2
    assert [await scene.draw() for _ in range(5)] == [OURS] * 5
    assert scene.asked == 2
    may_answer.set()
    assert await probe == THEIRS
    assert not scene.circuit.is_open


async def test_once_it_is_back_it_draws_again(scene: Scene) -> None:
    scene.act = be_away
    with capture_logs() as logs:
        await scene.draw()
        scene.act = answer
        assert await scene.draw() == OURS
        scene.time.seconds += PROBE_INTERVAL_SECONDS
        assert [await scene.draw() for _ in range(5)] == [THEIRS] * 5
    assert scene.counted == {"self": 2, "renderer": 5}
    assert [line["event"] for line in logs] == ["renderer.down", "renderer.up"]


async def test_however_many_wait_all_get_a_picture_and_it_is_news_once(scene: Scene) -> None:
    scene.act = hang
    with capture_logs() as logs:
        drawn = await asyncio.gather(*(scene.draw(seconds=0.005) for _ in range(30)))
    assert drawn == [OURS] * 30
    assert scene.asked == 30
    assert [line["event"] for line in logs] == ["renderer.down"]


async def test_who_has_left_says_nothing_about_the_renderer(scene: Scene) -> None:
    scene.act = hang
    leaving = asyncio.create_task(scene.draw())
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (scene.asked, scene.counted) == (1, {})
    assert not scene.circuit.is_open


async def test_who_refuses_one_wish_has_answered(scene: Scene) -> None:
    async def refuse() -> bytes:
        raise RemoteRejected

    scene.act = refuse
    assert await scene.draw() == OURS
    assert not scene.circuit.is_open


async def test_in_one_process_drawing_is_a_function(scene: Scene) -> None:
    deadline = Deadline(0.0, 0.0, monotonic=scene.time)
    assert await draw_locally(SNAPSHOT, LOOK, deadline) == OURS

    async def keep(_: object) -> None: ...

    async def stored(_: str) -> None: ...

    async def publish(*_: object) -> None: ...

    alone = Backends(draw=draw_locally, store=keep, read_stored=stored, publish=publish)
    assert alone.health == {}
