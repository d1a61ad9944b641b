"""
Process one update of a banner: decode the event, draw the banner, store the drawing.

Independent of Kafka and HTTP: with all services in one process, render jobs are passed directly.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

from github_banners.errors import BannersError, RenderingFailed
from github_banners.messaging.mapping import RenderJob, from_event
from github_banners.messaging.schemas import BannerEvent, StoreRequest
from github_banners.models import Snapshot
from github_banners.options import BannerOptions

DrawSvg: TypeAlias = Callable[[Snapshot, BannerOptions], bytes]
"""Draws a snapshot with these options as UTF-8 SVG."""

StorePicture: TypeAlias = Callable[[StoreRequest], Awaitable[object]]
"""Returns once this picture or a newer one is stored; raises if neither is."""


def parse_update(message: bytes, *, now: datetime) -> RenderJob:
    """
    Decode an event; `now` limits which versions are plausible.

    :raises MalformedMessage: it does not match the schema of an event
    """
    return from_event(BannerEvent.from_json(message), now=now)


async def render_and_store(update: RenderJob, *, draw: DrawSvg, store: StorePicture) -> None:
    """
    Draw an update and store the picture.

    :raises RenderingFailed: drawing raised an unexpected error, as it would on every retry
    :raises BannersError: as raised by `draw` and `store`
    """
    try:
        picture = draw(update.snapshot, update.options)
    except (BannersError, MemoryError):
        raise
    except Exception as error:
        raise RenderingFailed(f"drawing failed: {type(error).__name__}: {error}") from error
    await store(
        StoreRequest(
            url_path=update.path, banner_info=picture, banner_format="svg", version=update.version
        )
    )
