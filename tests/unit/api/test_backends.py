"""FallbackRenderer: the remote renderer if it answers in time, else local drawing."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

import pytest
from structlog.testing import capture_logs

from github_banners.api.backends import Backends, DrawnBy, FallbackRenderer
from github_banners.api.pictures import draw_locally
from github_banners.circuit_breaker import PROBE_INTERVAL_SECONDS, CircuitBreaker
from github_banners.drawing import draw
from github_banners.errors import BannersError, NonceCacheFull, RemoteRejected, RendererUnavailable
from github_banners.messaging.schemas import RemoveResponse
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import BannerOptions, Theme
from github_banners.stats.fetch import Deadline
from tests.fake_clock import FakeClock

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SNAPSHOT = Snapshot(Owner(4, "WyCats", None, "Yehuda"), Stats(3, 2, 1, 10, 4, {"Ruby": 2}), NOW, 7)
OPTIONS = BannerOptions(theme=Theme.DARK)
LOCAL_PICTURE = draw(SNAPSHOT, OPTIONS)
REMOTE_PICTURE = b"<svg>drawn by the renderer</svg>"
DRAWING_RESERVE_SECONDS = 0.2

RemoteBehaviour: TypeAlias = Callable[[], Awaitable[bytes]]


async def respond() -> bytes:
    return REMOTE_PICTURE


async def hang() -> bytes:
    await asyncio.Event().wait()
    raise AssertionError("never reached")


async def be_down() -> bytes:
    raise RendererUnavailable


@dataclass
class FallbackRendererHarness:
    """A FallbackRenderer with a fake remote renderer and a fake clock."""

    behaviour: RemoteBehaviour = respond
    remote_calls: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    time: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.circuit = CircuitBreaker(self.time, name="renderer")
        self.renderer = FallbackRenderer(self.remote, circuit=self.circuit, count=self.count)

    async def remote(self, snapshot: Snapshot, options: BannerOptions) -> bytes:
        assert (snapshot, options) == (SNAPSHOT, OPTIONS)
        self.remote_calls += 1
        return await self.behaviour()

    def count(self, drawn_by: str) -> None:
        assert drawn_by in [*DrawnBy]
        self.counted[drawn_by] += 1

    async def draw(self, *, seconds: float = 3.0) -> bytes:
        """Draw for a request with `seconds` left besides the time reserved for local drawing."""
        deadline = Deadline(seconds + DRAWING_RESERVE_SECONDS, 1.8, monotonic=self.time)
        return await self.renderer.draw(SNAPSHOT, OPTIONS, deadline)


@pytest.fixture
def harness() -> FallbackRendererHarness:
    return FallbackRendererHarness()


async def test_draw_renderer_up_returns_its_picture(harness: FallbackRendererHarness) -> None:
    assert await harness.draw() == REMOTE_PICTURE
    assert harness.counted == {"renderer": 1}
    assert not harness.circuit.is_open


@pytest.mark.parametrize("error", [RendererUnavailable(), NonceCacheFull(), RemoteRejected()])
async def test_draw_renderer_error_falls_back_to_local_drawing(
    harness: FallbackRendererHarness, error: BannersError
) -> None:
    async def refuse() -> bytes:
        raise error

    harness.behaviour = refuse
    assert await harness.draw() == LOCAL_PICTURE
    assert harness.counted == {"self": 1}


async def test_draw_slow_renderer_times_out_and_opens_circuit(
    harness: FallbackRendererHarness,
) -> None:
    harness.behaviour = hang
    with capture_logs() as logs:
        assert await harness.draw(seconds=0.005) == LOCAL_PICTURE
        assert harness.circuit.is_open
        assert [await harness.draw() for _ in range(10)] == [LOCAL_PICTURE] * 10
    assert harness.remote_calls == 1
    assert harness.counted == {"self": 11}
    assert [(line["event"], line["reason"]) for line in logs] == [("renderer.down", "TimeoutError")]


async def test_draw_renderer_timeout_is_half_a_second_at_most(
    harness: FallbackRendererHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeouts: list[float | None] = []
    timeout = asyncio.timeout

    def recording_timeout(delay: float | None) -> asyncio.Timeout:
        timeouts.append(delay)
        return timeout(delay)

    monkeypatch.setattr(asyncio, "timeout", recording_timeout)
    await harness.draw(seconds=2.8)
    await harness.draw(seconds=0.3)
    assert timeouts == [0.5, pytest.approx(0.3)]


async def test_draw_deadline_passed_skips_renderer_and_keeps_circuit_closed(
    harness: FallbackRendererHarness,
) -> None:
    harness.behaviour = hang
    assert await harness.draw(seconds=0) == LOCAL_PICTURE
    assert (harness.remote_calls, harness.counted) == (0, {"self": 1})
    assert not harness.circuit.is_open


async def test_draw_renderer_down_probes_once_a_second(harness: FallbackRendererHarness) -> None:
    harness.behaviour = be_down
    for _ in range(3):
        assert [await harness.draw() for _ in range(5)] == [LOCAL_PICTURE] * 5
        harness.time.seconds += PROBE_INTERVAL_SECONDS
    assert harness.remote_calls == 3
    harness.time.seconds += 10 * PROBE_INTERVAL_SECONDS
    await asyncio.gather(*(harness.draw() for _ in range(20)))
    assert harness.remote_calls == 4
    assert harness.counted == {"self": 35}


async def test_draw_during_probe_draws_other_requests_locally(
    harness: FallbackRendererHarness,
) -> None:
    harness.behaviour = be_down
    await harness.draw()
    harness.time.seconds += PROBE_INTERVAL_SECONDS
    may_respond = asyncio.Event()

    async def slowly() -> bytes:
        await may_respond.wait()
        return REMOTE_PICTURE

    harness.behaviour = slowly
    probe = asyncio.create_task(harness.draw())
    await asyncio.sleep(0)
    assert harness.remote_calls == 2
    assert [await harness.draw() for _ in range(5)] == [LOCAL_PICTURE] * 5
    assert harness.remote_calls == 2
    may_respond.set()
    assert await probe == REMOTE_PICTURE
    assert not harness.circuit.is_open


async def test_draw_renderer_up_again_is_used_and_logged(harness: FallbackRendererHarness) -> None:
    harness.behaviour = be_down
    with capture_logs() as logs:
        await harness.draw()
        harness.behaviour = respond
        assert await harness.draw() == LOCAL_PICTURE
        harness.time.seconds += PROBE_INTERVAL_SECONDS
        assert [await harness.draw() for _ in range(5)] == [REMOTE_PICTURE] * 5
    assert harness.counted == {"self": 2, "renderer": 5}
    assert [line["event"] for line in logs] == ["renderer.down", "renderer.up"]


async def test_draw_concurrent_timeouts_return_pictures_and_log_once(
    harness: FallbackRendererHarness,
) -> None:
    harness.behaviour = hang
    with capture_logs() as logs:
        drawn = await asyncio.gather(*(harness.draw(seconds=0.005) for _ in range(30)))
    assert drawn == [LOCAL_PICTURE] * 30
    assert harness.remote_calls == 30
    assert [line["event"] for line in logs] == ["renderer.down"]


async def test_draw_cancelled_request_keeps_circuit_closed(
    harness: FallbackRendererHarness,
) -> None:
    harness.behaviour = hang
    request = asyncio.create_task(harness.draw())
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert (harness.remote_calls, harness.counted) == (1, {})
    assert not harness.circuit.is_open


async def test_draw_rejected_request_keeps_circuit_closed(harness: FallbackRendererHarness) -> None:
    async def refuse() -> bytes:
        raise RemoteRejected

    harness.behaviour = refuse
    assert await harness.draw() == LOCAL_PICTURE
    assert not harness.circuit.is_open


async def test_draw_locally_past_deadline_returns_picture(harness: FallbackRendererHarness) -> None:
    deadline = Deadline(0.0, 0.0, monotonic=harness.time)
    assert await draw_locally(SNAPSHOT, OPTIONS, deadline) == LOCAL_PICTURE

    async def store(_: object) -> None: ...

    async def read_stored(_: str) -> None: ...

    async def publish(*_: object) -> None: ...

    async def remove(_: object) -> RemoveResponse:
        return RemoveResponse(url="")

    backends = Backends(
        draw=draw_locally, store=store, read_stored=read_stored, publish=publish, remove=remove
    )
    assert backends.health == {}
