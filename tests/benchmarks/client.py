"""A client that costs little: plain HTTP/1.1 over a few connections that stay open."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

_DESCRIPTION = re.compile(rb"<desc>[^<]* star")


class Fetched(NamedTuple):
    """How many pictures came, and how many of them were explanations and showed no numbers."""

    pictures: int
    explanations: int


async def fetch_all(url: str, targets: Iterable[str], *, connections: int = 16) -> Fetched:
    """Fetch pictures, each connection one after the other; fails if there is none to a target."""
    remaining = iter(targets)
    workers = (_fetch_in_turn(url, remaining) for _ in range(connections))
    fetched = await asyncio.gather(*workers)
    return Fetched(*map(sum, zip(*fetched, strict=True)))


async def _fetch_in_turn(url: str, targets: Iterator[str]) -> Fetched:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    pictures = explanations = 0
    try:
        for target in targets:
            writer.write(
                f"GET {target} HTTP/1.1\r\nHost: bench\r\nAccept: image/*\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            assert head.startswith(b"HTTP/1.1 200 "), head
            assert length is not None, head
            body = await reader.readexactly(int(length[1]))
            pictures += 1
            explanations += _DESCRIPTION.search(body) is None
    finally:
        writer.close()
        await writer.wait_closed()
    return Fetched(pictures, explanations)
