"""One event of a changed banner: draw it, hand it to the storage. Knows neither Kafka nor HTTP."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from github_banners.look import Look
from github_banners.messages.shapes import BannerEvent, StoreAsk
from github_banners.messages.translation import update_of
from github_banners.model import Snapshot

Draw: TypeAlias = Callable[[Snapshot, Look], bytes]
"""Draws numbers in a look as UTF-8 SVG."""

Keep: TypeAlias = Callable[[StoreAsk], Awaitable[object]]
"""Stores a picture; returns when it lies there or a newer one does, raises when neither."""


async def handle_update(event: BannerEvent, *, draw: Draw, store: Keep) -> None:
    """Draw what an event says and store it; errors are those of `draw` and `store`."""
    update = update_of(event)
    body = draw(update.snapshot, update.look)
    await store(
        StoreAsk(
            url_path=update.path, banner_info=body, banner_format="svg", version=update.version
        )
    )
