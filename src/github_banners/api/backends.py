"""
What the api needs of others: drawing, storing, and handing on. In one process these are functions.

Whoever else is down, a picture is drawn: by the renderer while it answers in time, else here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog

from github_banners.circuit_breaker import CircuitBreaker
from github_banners.database.banners import Banner
from github_banners.drawing import draw
from github_banners.errors import BannersError, RemoteRejected
from github_banners.messaging.mapping import RenderJob
from github_banners.messaging.schemas import StoreRequest
from github_banners.models import Snapshot
from github_banners.options import BannerOptions
from github_banners.stats.deadline import Deadline

_log = structlog.get_logger(__name__)

_RENDERER_TIMEOUT_SECONDS = 0.5

DRAWERS = (_RENDERER, _SELF) = ("renderer", "self")
"""Who can have drawn a banner, for counting."""

Draw: TypeAlias = Callable[[Snapshot, BannerOptions, Deadline], Awaitable[bytes]]
"""Draws numbers in a look as UTF-8 SVG; it always can, and in time."""

StoreDrawing: TypeAlias = Callable[[StoreRequest], Awaitable[object]]
"""Stores a drawing; returns when it or a newer one lies there, raises BannersError when neither."""

ReadStored: TypeAlias = Callable[[str], Awaitable[bytes | None]]
"""Reads the drawing that was stored last under a permanent name."""

Publish: TypeAlias = Callable[[Banner, Snapshot], Awaitable[None]]
"""Hands one new version on; returns when it is acknowledged, raises BannersError when it is not."""


async def draw_locally(snapshot: Snapshot, look: BannerOptions, deadline: Deadline) -> bytes:
    """Draw in this process."""
    return draw(snapshot, look)


@dataclass(frozen=True, slots=True)
class Backends:
    """Who is asked; `health` tells by name whether somebody answered the last time."""

    draw: Draw
    store: StoreDrawing
    read_stored: ReadStored
    publish: Publish
    health: Mapping[str, Callable[[], bool]] = field(default_factory=dict)


class FallbackRenderer:
    """Has pictures drawn by the renderer, and draws them itself when that takes too long."""

    def __init__(
        self,
        remote: Callable[[Snapshot, BannerOptions], Awaitable[bytes]],
        *,
        circuit: CircuitBreaker,
        count: Callable[[str], None],
    ) -> None:
        self._remote = remote
        self._circuit = circuit
        self._count = count

    async def draw(self, snapshot: Snapshot, look: BannerOptions, deadline: Deadline) -> bytes:
        """Draw, one way or the other."""
        seconds = deadline.timeout_seconds(_RENDERER_TIMEOUT_SECONDS)
        if seconds > 0 and self._circuit.allow_request():
            try:
                async with asyncio.timeout(seconds):
                    picture = await self._remote(snapshot, look)
            except RemoteRejected as error:
                self._circuit.record_success()
                _log.warning("renderer.refused", reason=str(error))
            except (BannersError, TimeoutError) as error:
                self._record_failure(error)
            else:
                if self._circuit.record_success():
                    _log.info("renderer.back")
                self._count(_RENDERER)
                return picture
        self._count(_SELF)
        return draw(snapshot, look)

    def _record_failure(self, error: Exception) -> None:
        if self._circuit.record_failure():
            _log.warning("renderer.away", reason=str(error) or type(error).__name__)


def to_render_job(banner: Banner, snapshot: Snapshot) -> RenderJob:
    """Build what is drawn and stored of a new version."""
    return RenderJob(banner.storage_path, snapshot, banner.look, banner.version)
