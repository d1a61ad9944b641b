"""How many requests came, how they were answered, and how long that took."""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from github_banners.serving.metrics import Metrics

_OTHER = "other"
# Whatever a client invents, the series in Prometheus stay few.
_METHODS = {"GET", "HEAD", "POST", "OPTIONS"}


class RequestMetricsMiddleware:
    """
    Middleware that counts requests by method, path and status.

    `name` says what a path is called in the metrics: few names, whatever is asked for.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        name: Callable[[str], str | None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._name = name
        self._monotonic = monotonic
        self._count = metrics.counter(
            "requests_total", "Requests by what they asked for.", labels=("call", "status")
        )
        self._observe = metrics.histogram(
            "request_seconds", "How long it took to answer.", label="call"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = "aborted"

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        call = f"{method} {self._name(scope['path']) or _OTHER}"
        begun = self._monotonic()
        try:
            await self._app(scope, receive, noting)
        finally:
            self._count(call, status)
            self._observe(call, self._monotonic() - begun)
