"""
Health endpoints of every service: `/healthz` and `/readyz`.

A service is ready as soon as it can answer. A dependency that is down makes it degraded, not
unready, so that an orchestrator does not remove it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from github_banners.serving.media_types import JSON
from github_banners.serving.metrics import Metrics

PUBLIC_PATHS = ("/healthz", "/readyz", "/metrics")
"""Paths that need no signature."""


@dataclass(frozen=True, slots=True)
class Health:
    """The dependencies of a service: for each name, a function that returns whether it is up."""

    dependencies: Mapping[str, Callable[[], bool]] = field(default_factory=dict)

    def degraded(self) -> Sequence[str]:
        """Return the names of dependencies that are down."""
        return [name for name, is_available in self.dependencies.items() if not is_available()]

    def register_metrics(self, metrics: Metrics) -> None:
        """Register a gauge for each dependency."""
        metrics.gauge(
            "dependency_up",
            "1 if the last call of the dependency succeeded, else 0.",
            label="dependency",
            callbacks=self.dependencies,
        )


def health_routes(health: Health) -> list[Route]:
    """Build the routes for orchestrators and monitoring."""

    async def healthz(request: Request) -> Response:
        """Respond while the process is alive."""
        return _json({"status": "alive"})

    async def readyz(request: Request) -> Response:
        """Respond that the service is ready, with the dependencies that are down."""
        return _json({"status": "ready", "degraded": health.degraded()})

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type=JSON)
