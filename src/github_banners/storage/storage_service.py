"""The composition root of the storage: the store, its routes and the signature check."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.middleware import Middleware

from github_banners.messaging.nonces import NonceCache
from github_banners.messaging.signature_middleware import SignatureMiddleware
from github_banners.messaging.signing import Verifier
from github_banners.models import Clock, utc_now
from github_banners.serving.framework import build_app
from github_banners.serving.health import PUBLIC_PATHS, Health, health_routes
from github_banners.serving.metrics import Metrics, RequestMetricsMiddleware
from github_banners.serving.service import Service
from github_banners.serving.telemetry import OFF, Tracing
from github_banners.settings import ServiceName, Settings, StorageFolder
from github_banners.storage import banner_routes
from github_banners.storage.open_store import open_service_store
from github_banners.storage.store import Store, StoreOutcome
from github_banners.storage.traced_store import trace_store

CALLERS = (ServiceName.API, ServiceName.RENDERER)
"""The services whose calls are accepted."""


@asynccontextmanager
async def open_storage(
    settings: Settings, *, banners_dir: Path, clock: Clock = utc_now, tracing: Tracing = OFF
) -> AsyncIterator[Service]:
    """Open the storage; drawn banners are stored at BANNERS_STORAGE_URL, else in `banners_dir`."""
    location = settings.banners_storage_url or StorageFolder(banners_dir)
    async with open_service_store(location, settings, clock=clock) as store:
        traced = trace_store(store, tracing=tracing)
        yield _make_service(settings, traced, clock=clock, tracing=tracing)


def _make_service(settings: Settings, store: Store, *, clock: Clock, tracing: Tracing) -> Service:
    metrics = Metrics()
    count = metrics.counter(
        "stored_total",
        "Requests to store a picture, by outcome.",
        labels="outcome",
        label_values=StoreOutcome,
    )
    health = Health({"store": lambda: store.is_available})
    health.register_metrics(metrics)
    count_refusal = metrics.counter(
        "refused_calls_total", "Calls refused by signature or size.", labels="reason"
    )
    application = build_app(
        [*banner_routes.StorageRoutes(store, count).routes(), *health_routes(health)],
        middleware=[
            *tracing.middleware(banner_routes.route_label),
            Middleware(
                RequestMetricsMiddleware, metrics=metrics, label_path=banner_routes.route_label
            ),
            Middleware(
                SignatureMiddleware,
                verifier=Verifier(
                    settings.signing_keys, callers=CALLERS, nonces=NonceCache(), clock=clock
                ),
                public_paths=PUBLIC_PATHS,
                max_body_bytes=banner_routes.MAX_BODY_BYTES,
                on_refused=count_refusal,
            ),
        ],
    )
    return Service(application, metrics)
