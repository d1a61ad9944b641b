"""The composition root of the storage: pictures on disk, behind signed calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.middleware import Middleware

from github_banners.messages.nonces import Nonces
from github_banners.messages.signing import Verifier
from github_banners.messages.verify import Gate
from github_banners.model import Clock, utc_now
from github_banners.serving.access import Measured
from github_banners.serving.framework import make_framework
from github_banners.serving.health import OPEN_PATHS, Health, health_routes
from github_banners.serving.metrics import Metrics
from github_banners.serving.service import Service
from github_banners.settings import Service as Of
from github_banners.settings import Settings
from github_banners.storage import routes
from github_banners.storage.store import open_store

CALLERS = (Of.API, Of.RENDERER)
"""Who may call."""


@asynccontextmanager
async def open_storage(
    settings: Settings, *, default_url: str, clock: Clock = utc_now
) -> AsyncIterator[Service]:
    """Open the storage; pictures are kept at `default_url` unless a setting says otherwise."""
    store = open_store(settings.banners_storage_url or default_url, clock=clock)
    metrics = Metrics()
    count = metrics.counter(
        "stored_total",
        "Pictures that were to be stored, by what became of them.",
        by="outcome",
        kinds=("stored", "superseded", "refused", "failed"),
    )
    health = Health({"store": lambda: store.is_available})
    health.expose(metrics)
    refused = metrics.counter("refused_calls_total", "Calls refused unread.", by="reason")
    application = make_framework(
        [*routes.StorageRoutes(store, count).routes(), *health_routes(health)],
        middleware=[
            Middleware(Measured, metrics=metrics, name=routes.name_of),
            Middleware(
                Gate,
                verifier=Verifier(
                    settings.signing_keys, callers=CALLERS, nonces=Nonces(), clock=clock
                ),
                open_paths=OPEN_PATHS,
                most_body_bytes=routes.MOST_BODY_BYTES,
                note_refusal=refused,
            ),
        ],
    )
    try:
        yield Service(application, metrics)
    finally:
        store.close()
