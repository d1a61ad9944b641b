"""Reading JSON bodies: chunks, size and time limits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest
from starlette.requests import Request

from github_banners.api import public_routes
from github_banners.errors import InvalidOption


class StreamedRequest:
    """A request whose body arrives in chunks; if not `is_whole`, it never ends."""

    def __init__(self, chunks: Sequence[bytes], *, is_complete: bool) -> None:
        self._chunks = chunks
        self._is_complete = is_complete
        self.bytes_read = 0

    async def stream(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.bytes_read += len(chunk)
            yield chunk
        if not self._is_complete:
            await asyncio.Event().wait()


async def read(request: StreamedRequest) -> object:
    return await public_routes.read_json_object(cast("Request", request))


async def test_body_in_chunks_is_joined() -> None:
    body = StreamedRequest([b'{"USERNAME": "ad', b'a", "radius": 3.0}'], is_complete=True)
    assert await read(body) == {"username": "ada", "radius": 3}


async def test_body_byte_order_mark_is_removed() -> None:
    body = StreamedRequest([b"\xef\xbb", b'\xbf{"username": "ada"}'], is_complete=True)
    assert await read(body) == {"username": "ada"}


async def test_body_stalled_client_raises_invalid_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(public_routes, "_BODY_TIMEOUT_SECONDS", 0.01)
    with pytest.raises(InvalidOption) as raised:
        await read(StreamedRequest([b'{"username":'], is_complete=False))
    assert raised.value.field == "body"


async def test_body_too_large_stops_reading() -> None:
    endless = StreamedRequest([b" " * (1 << 20)] * 100, is_complete=True)
    with pytest.raises(InvalidOption):
        await read(endless)
    assert endless.bytes_read <= 17 << 20
