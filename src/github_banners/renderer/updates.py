"""
One update of a banner: draw it, hand the drawing to the storage.

Knows neither Kafka nor HTTP. An event is decoded here, at the edge to Kafka; inside one process the
job is handed over as it is.
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
"""Draws numbers in a look as UTF-8 SVG."""

StorePicture: TypeAlias = Callable[[StoreRequest], Awaitable[object]]
"""Stores a picture; returns when it lies there or a newer one does, raises when neither."""


def parse_update(message: bytes, *, now: datetime) -> RenderJob:
    """
    Decode an event; what `now` is, says which versions can be believed.

    :raises MalformedMessage: it is no event of the agreed shape
    """
    return from_event(BannerEvent.from_json(message), now=now)


async def render_and_store(update: RenderJob, *, draw: DrawSvg, store: StorePicture) -> None:
    """
    Draw an update and store it; other errors are those of `store`.

    :raises RenderingFailed: drawing went wrong, and would again, since it depends on nothing else
    """
    try:
        body = draw(update.snapshot, update.look)
    except (BannersError, MemoryError):
        raise
    except Exception as error:
        raise RenderingFailed(f"can't be drawn: {type(error).__name__}: {error}") from error
    await store(
        StoreRequest(
            url_path=update.path, banner_info=body, banner_format="svg", version=update.version
        )
    )
