"""
HTTP client for GitHub and for our own services: time limits, and response bodies of a bounded size.

It reads nothing from the environment. `github.transport` adds the proxy and the certificates, and
`messaging.clients` the signatures.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import httpx2

WrapTransport: TypeAlias = Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport]
"""Returns a transport that uses another one, for example to record requests."""


class TooLargeBody(Exception):
    """The body of a response is larger than allowed."""


class HttpTransport(httpx2.AsyncHTTPTransport):
    """HTTP transport that also closes a connection whose TLS handshake was cancelled."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request."""
        request.extensions = {**request.extensions, "trace": _FailedHandshakeCloser()}
        return await super().handle_async_request(request)


def unwrapped(transport: httpx2.AsyncBaseTransport) -> httpx2.AsyncBaseTransport:
    """Return the transport itself."""
    return transport


def build_client(
    transport: httpx2.AsyncBaseTransport, *, timeout: timedelta, connect_timeout_seconds: float
) -> httpx2.AsyncClient:
    """Build a client; `timeout` limits each single read and write, and connecting too."""
    seconds = timeout.total_seconds()
    limit = httpx2.Timeout(seconds, connect=min(seconds, connect_timeout_seconds))
    return httpx2.AsyncClient(transport=transport, timeout=limit, trust_env=False)


async def limit_size(chunks: AsyncIterable[bytes], *, max_bytes: int) -> AsyncIterator[bytes]:
    """
    Pass on the chunks of a body.

    :raises TooLargeBody: they have more than `max_bytes` in total
    """
    size_bytes = 0
    async for chunk in chunks:
        size_bytes += len(chunk)
        if size_bytes > max_bytes:
            raise TooLargeBody(f"a response of more than {max_bytes >> 20} MB")
        yield chunk


class _FailedHandshakeCloser:
    """
    Trace extension of one request: close the connection when its TLS handshake fails or is cancelled.

    httpcore2 2.16 closes it after an error, but not after a cancellation.
    https://www.encode.io/httpcore/extensions/#trace
    """

    def __init__(self) -> None:
        self._stream: Any = None

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(".connect_tcp.complete"):
            self._stream = info["return_value"]
        elif event.endswith(".start_tls.failed") and self._stream is not None:
            await self._stream.aclose()
