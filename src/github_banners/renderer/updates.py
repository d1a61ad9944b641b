"""
One update of a banner: draw it, hand the drawing to the storage.

Knows neither Kafka nor HTTP. An event is decoded here, at the edge to Kafka; inside one process the
job is handed over as it is.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

from github_banners.errors import BannersError, Undrawable
from github_banners.look import Look
from github_banners.messages.shapes import BannerEvent, StoreAsk
from github_banners.messages.translation import Update, update_of
from github_banners.model import Snapshot

Draw: TypeAlias = Callable[[Snapshot, Look], bytes]
"""Draws numbers in a look as UTF-8 SVG."""

Keep: TypeAlias = Callable[[StoreAsk], Awaitable[object]]
"""Stores a picture; returns when it lies there or a newer one does, raises when neither."""


def parse_update(message: bytes, *, now: datetime) -> Update:
    """
    Decode an event; what `now` is, says which versions can be believed.

    :raises UnreadableMessage: it is no event of the agreed shape
    """
    return update_of(BannerEvent.from_json(message), now=now)


async def handle_update(update: Update, *, draw: Draw, store: Keep) -> None:
    """
    Draw an update and store it; other errors are those of `store`.

    :raises Undrawable: drawing went wrong, and would again, since it depends on nothing else
    """
    try:
        body = draw(update.snapshot, update.look)
    except (BannersError, MemoryError):
        raise
    except Exception as error:
        raise Undrawable(f"can't be drawn: {type(error).__name__}: {error}") from error
    await store(
        StoreAsk(
            url_path=update.path, banner_info=body, banner_format="svg", version=update.version
        )
    )
