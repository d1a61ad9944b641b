"""One event of a changed banner: draw it, hand it to the storage. Knows neither Kafka nor HTTP."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from github_banners.errors import BannersError, Undrawable
from github_banners.look import Look
from github_banners.messages.shapes import BannerEvent, StoreAsk
from github_banners.messages.translation import update_of
from github_banners.model import Snapshot

Draw: TypeAlias = Callable[[Snapshot, Look], bytes]
"""Draws numbers in a look as UTF-8 SVG."""

Keep: TypeAlias = Callable[[StoreAsk], Awaitable[object]]
"""Stores a picture; returns when it lies there or a newer one does, raises when neither."""


async def handle_update(event: BannerEvent, *, draw: Draw, store: Keep) -> None:
    """
    Draw what an event says and store it; other errors are those of `store`.

    :raises Undrawable: drawing went wrong, and would again, since it depends on nothing else
    """
    await store(_drawn(event, draw=draw))


def _drawn(event: BannerEvent, *, draw: Draw) -> StoreAsk:
    try:
        update = update_of(event)
        body = draw(update.snapshot, update.look)
    except (BannersError, MemoryError):
        raise
    except Exception as error:
        raise Undrawable(f"can't be drawn: {type(error).__name__}: {error}") from error
    return StoreAsk(
        url_path=update.path, banner_info=body, banner_format="svg", version=update.version
    )
