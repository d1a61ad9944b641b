"""Middleware that counts requests and measures their duration."""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from github_banners.serving.metrics import Metrics

_OTHER = "other"
# Unknown methods share one label, so that clients can't create series in Prometheus.
_METHODS = {"GET", "HEAD", "POST", "OPTIONS"}


class RequestMetricsMiddleware:
    """
    Middleware that counts requests by method, path label and status, and records their duration.

    `label_path` returns the label of a path, None for unknown ones; it must have few values.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        label_path: Callable[[str], str | None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._label_path = label_path
        self._monotonic = monotonic
        self._count = metrics.counter(
            "requests_total", "Requests by method, path and status.", labels=("call", "status")
        )
        self._observe = metrics.histogram("request_seconds", "Duration of requests.", label="call")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application and record status and duration."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = "aborted"

        async def record_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        call = f"{method} {self._label_path(scope['path']) or _OTHER}"
        started_at = self._monotonic()
        try:
            await self._app(scope, receive, record_status)
        finally:
            self._count(call, status)
            self._observe(call, self._monotonic() - started_at)
