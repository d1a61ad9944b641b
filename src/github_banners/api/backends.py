"""
The api's dependencies: functions that draw, store, read, publish and remove banners.

In one process they are local functions; between services they call the renderer, the storage and
Kafka. A picture is drawn even if all of them are down: by the renderer if it answers in time, else
in this process.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import structlog

from github_banners.api.pictures import Draw
from github_banners.api.user_removal import RemovePicture
from github_banners.circuit_breaker import CircuitBreaker
from github_banners.database.banners import Banner
from github_banners.drawing import draw
from github_banners.errors import BannersError, RemoteRejected
from github_banners.messaging.mapping import RenderJob
from github_banners.messaging.schemas import StoreRequest
from github_banners.models import Snapshot
from github_banners.options import BannerOptions
from github_banners.stats.fetch import Deadline

_log = structlog.get_logger(__name__)

_RENDERER_TIMEOUT_SECONDS = 0.5

StoreDrawing: TypeAlias = Callable[[StoreRequest], Awaitable[object]]
"""Stores a drawing; returns once it or a newer version is stored, else raises BannersError."""

ReadStored: TypeAlias = Callable[[str], Awaitable[bytes | None]]
"""Reads the newest stored drawing of a permanent banner by its name; None if there is none."""

Publish: TypeAlias = Callable[[Banner, Snapshot], Awaitable[None]]
"""Publishes a new version; returns once it is acknowledged, else raises BannersError."""


class DrawnBy(StrEnum):
    """The process that drew a banner (metric label)."""

    RENDERER = "renderer"
    SELF = "self"


@dataclass(frozen=True, slots=True)
class Backends:
    """
    The dependencies of the api.

    `health` maps each dependency's name to a function that returns whether its last call succeeded.
    """

    draw: Draw
    store: StoreDrawing
    read_stored: ReadStored
    publish: Publish
    remove: RemovePicture
    health: Mapping[str, Callable[[], bool]] = field(default_factory=dict)


class FallbackRenderer:
    """
    Draws with the remote renderer, and in this process if that fails or takes too long.

    While the circuit breaker is open the renderer is not called, so that pictures do not wait for
    a service that is down. `count` is called with the `DrawnBy` of every picture.
    """

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

    async def draw(self, snapshot: Snapshot, options: BannerOptions, deadline: Deadline) -> bytes:
        """Draw a snapshot as SVG."""
        seconds = deadline.timeout_seconds(_RENDERER_TIMEOUT_SECONDS)
        if seconds > 0 and (not self._circuit.is_open or self._circuit.allow_probe()):
            try:
                async with asyncio.timeout(seconds):
                    picture = await self._remote(snapshot, options)
            except RemoteRejected as error:
                # A renderer that refuses one picture is up.
                self._circuit.close()
                _log.warning("renderer.refused", reason=str(error))
            except (BannersError, TimeoutError) as error:
                self._circuit.record_failure(str(error) or type(error).__name__)
            else:
                self._circuit.close()
                self._count(DrawnBy.RENDERER)
                return picture
        self._count(DrawnBy.SELF)
        return draw(snapshot, options)


def to_render_job(banner: Banner, snapshot: Snapshot) -> RenderJob:
    """Build the job that draws and stores a new version of a banner."""
    return RenderJob(banner.storage_path, snapshot, banner.options, banner.version)
