"""The body of a wish, as it comes off the wire."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest
from starlette.requests import Request

from github_banners.api import public_routes
from github_banners.errors import InvalidOption


class Arriving:
    """A request whose body comes in pieces, and then no end of it."""

    def __init__(self, chunks: Sequence[bytes], *, is_whole: bool) -> None:
        self._chunks = chunks
        self._is_whole = is_whole
        self.taken = 0

    async def stream(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.taken += len(chunk)
            yield chunk
        if not self._is_whole:
            await asyncio.Event().wait()


async def read(arriving: Arriving) -> object:
    return await public_routes._body(cast("Request", arriving))


async def test_a_body_in_pieces_is_one() -> None:
    body = Arriving([b'{"USERNAME": "ad', b'a", "radius": 3.0}'], is_whole=True)
    assert await read(body) == {"username": "ada", "radius": 3}


async def test_byte_order_mark_before_a_body_is_left_out() -> None:
    body = Arriving([b"\xef\xbb", b'\xbf{"username": "ada"}'], is_whole=True)
    assert await read(body) == {"username": "ada"}


async def test_who_does_not_go_on_sending_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(public_routes, "_BODY_TIMEOUT_SECONDS", 0.01)
    with pytest.raises(InvalidOption) as refused:
        await read(Arriving([b'{"username":'], is_whole=False))
    assert refused.value.field == "body"


async def test_a_body_without_end_is_left_alone() -> None:
    endless = Arriving([b" " * (1 << 20)] * 100, is_whole=True)
    with pytest.raises(InvalidOption):
        await read(endless)
    assert endless.taken <= 17 << 20
