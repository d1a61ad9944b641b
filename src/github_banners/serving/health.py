"""
What every service tells of itself: alive, ready and what is away, and its metrics.

A service is ready once it can answer; whatever else is away makes it degraded, not unready.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from github_banners.serving.metrics import Metrics
from github_banners.serving.responses import JSON

PUBLIC_PATHS = ("/healthz", "/readyz", "/metrics")
"""What is answered to everybody."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a service is: for each neighbour a function that says whether it answers."""

    dependencies: Mapping[str, Callable[[], bool]] = field(default_factory=dict)

    def degraded(self) -> Sequence[str]:
        """Name who is away."""
        return [name for name, is_available in self.dependencies.items() if not is_available()]

    def register_metrics(self, metrics: Metrics) -> None:
        """Tell Prometheus too."""
        metrics.gauge(
            "neighbour_up",
            "Whether a neighbour answered the last call: 1 or 0.",
            label="neighbour",
            callbacks=self.dependencies,
        )


def health_routes(health: Health) -> list[Route]:
    """Build the routes for whoever watches over the process."""

    async def healthz(request: Request) -> Response:
        """Say that the process is alive."""
        return _json({"status": "alive"})

    async def readyz(request: Request) -> Response:
        """Say that an answer can be given, and what is away meanwhile."""
        return _json({"status": "ready", "degraded": health.degraded()})

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type=JSON)


class MetricsMiddleware:
    """Middleware that answers `/metrics` itself."""

    def __init__(self, app: ASGIApp, *, metrics: ASGIApp) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the one path, pass on all others."""
        is_asked = scope["type"] == "http" and scope["path"] == "/metrics"
        await (self._metrics if is_asked else self._app)(scope, receive, send)
