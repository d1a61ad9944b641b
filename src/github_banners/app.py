"""
The composition root of the all-in-one service: api, renderer and storage in one process.

Where the services are apart, a broker and signed HTTP stand between them; here a function does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from github_banners.api.app import Service, open_api
from github_banners.database.banners import Banner
from github_banners.drawing import draw
from github_banners.messages.translation import Update, event_of
from github_banners.model import Clock, Snapshot, utc_now
from github_banners.renderer.updates import handle_update
from github_banners.settings import Settings
from github_banners.storage.store import open_store


@asynccontextmanager
async def open_all_in_one(
    settings: Settings, *, conninfo: str, data_dir: Path, clock: Clock = utc_now
) -> AsyncIterator[Service]:
    """Open everything; drawn banners are kept below `data_dir` unless a setting says otherwise."""
    store = open_store(settings.banners_storage_url or (data_dir / "banners").as_uri())

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        update = Update(banner.storage_path, snapshot, banner.look, banner.version)
        event = event_of(update, produced_at=clock())
        await handle_update(event, draw=draw, store=store.keep)

    async def stored(name: str) -> bytes | None:
        found = await store.get(name)
        return found.body if found is not None else None

    try:
        async with open_api(
            settings, conninfo=conninfo, publish=publish, stored=stored, clock=clock
        ) as service:
            yield service
    finally:
        store.close()
