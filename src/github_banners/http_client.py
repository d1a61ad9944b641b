"""
HTTP client for GitHub and for our own services: time limits, no cookies, bodies of a bounded size.

It reads nothing from the environment. `github.transport` adds the proxy and the certificates, and
`messaging.clients` the signatures.
"""

import asyncio
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeAlias

import httpx2

_LARGE_RESPONSE_BYTES = 1 << 20
_PIECE_BYTES = 1 << 18
# gzip or zlib, by the header of the data: https://docs.python.org/3/library/zlib.html#zlib.decompressobj
_ANY_WINDOW = zlib.MAX_WBITS | 32

WrapTransport: TypeAlias = Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport]
"""Returns a transport that uses another one, for example to record requests."""


class TooLargeBody(Exception):
    """The body of a response is larger than allowed."""


class UnreadableBody(Exception):
    """The body of a response is truncated, or has an unsupported encoding."""


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
    """Build a client without cookies; `timeout` limits each single read and write, and connecting too."""
    seconds = timeout.total_seconds()
    limit = httpx2.Timeout(seconds, connect=min(seconds, connect_timeout_seconds))
    # A cookie that came with one account's response would be sent with the tokens of the others.
    cookies = CookieJar(DefaultCookiePolicy(netscape=False, rfc2965=False))
    return httpx2.AsyncClient(transport=transport, timeout=limit, cookies=cookies, trust_env=False)


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


async def read_body(
    response: httpx2.Response, *, max_bytes: int, large_responses: asyncio.Semaphore
) -> bytes:
    """
    Read and decompress a streamed body; `max_bytes` limits its size, compressed and decompressed.

    httpx2 would decompress each chunk as a whole, and 64 KB of gzip can become 64 MB. `large_responses`
    limits how many responses may exceed a megabyte at the same time.

    :raises UnreadableBody: the body is truncated, or has an unsupported encoding
    :raises TooLargeBody: the body is larger
    """
    body, is_large = bytearray(), False
    try:
        async with AsyncExitStack() as stack:
            async for piece in limit_size(_unpack(response), max_bytes=max_bytes):
                body += piece
                if not is_large and len(body) > _LARGE_RESPONSE_BYTES:
                    is_large = True
                    await stack.enter_async_context(large_responses)
            return bytes(body)
    finally:
        # The traceback of an error would keep the whole body alive.
        body.clear()


async def _unpack(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Yield the decompressed body in pieces; other tasks may run between them."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "", "gzip", "x-gzip"}:
        raise UnreadableBody("unknown content encoding")
    if not encoding.endswith("gzip"):
        async for chunk in response.aiter_raw():
            yield chunk
        return
    unpacker, is_empty = zlib.decompressobj(_ANY_WINDOW), True
    async for chunk in response.aiter_raw():
        rest, is_empty = chunk, False
        while rest and not unpacker.eof:
            try:
                piece = unpacker.decompress(rest, _PIECE_BYTES)
            except zlib.error as error:
                raise UnreadableBody(f"broken gzip: {error}") from error
            rest = unpacker.unconsumed_tail
            yield piece
            if rest:
                await asyncio.sleep(0)
    if not is_empty and not unpacker.eof:
        raise UnreadableBody("the compressed body is truncated")


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
