"""The composition root of all services in one process: functions replace Kafka and signed HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from github_banners.api.api_service import open_api
from github_banners.api.backends import Backends, to_render_job
from github_banners.api.pictures import draw_locally
from github_banners.api.traced_backends import trace_backends
from github_banners.database.banners import Banner
from github_banners.database.forgotten_users import RemovedPicture
from github_banners.drawing import draw
from github_banners.messaging.schemas import RemoveResponse
from github_banners.models import Clock, Snapshot, utc_now
from github_banners.renderer.traced_updates import trace_draw
from github_banners.renderer.updates import render_and_store
from github_banners.serving.metrics import Metrics
from github_banners.serving.service import Service
from github_banners.serving.telemetry import OFF, Tracing
from github_banners.settings import Settings, StorageFolder
from github_banners.storage.open_store import open_service_store
from github_banners.storage.store import Store
from github_banners.storage.traced_store import trace_store


@asynccontextmanager
async def open_all_in_one(
    settings: Settings,
    *,
    conninfo: str,
    banners_dir: Path,
    clock: Clock = utc_now,
    tracing: Tracing = OFF,
) -> AsyncIterator[Service]:
    """Open the service; drawn banners are stored at BANNERS_STORAGE_URL, else in `banners_dir`."""
    location = settings.banners_storage_url or StorageFolder(banners_dir)
    async with (
        open_service_store(location, settings, clock=clock) as store,
        open_api(
            settings,
            conninfo=conninfo,
            backends=trace_backends(
                _local_backends(trace_store(store, tracing=tracing), tracing=tracing),
                tracing=tracing,
            ),
            metrics=Metrics(),
            clock=clock,
            tracing=tracing,
        ) as service,
    ):
        yield service


def _local_backends(store: Store, *, tracing: Tracing) -> Backends:
    draw_update = trace_draw(draw, tracing=tracing)

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        await render_and_store(to_render_job(banner, snapshot), draw=draw_update, store=store.put)

    async def read_stored(name: str) -> bytes | None:
        picture = await store.get(name)
        return picture.body if picture is not None else None

    async def remove(picture: RemovedPicture) -> RemoveResponse:
        return await store.remove(picture.path, version=picture.version)

    return Backends(
        draw=draw_locally,
        store=store.put,
        read_stored=read_stored,
        publish=publish,
        remove=remove,
        health={"store": lambda: store.is_available},
    )
