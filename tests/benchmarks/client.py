"""A client with little overhead: plain HTTP/1.1 over a few persistent connections."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

_DESCRIPTION = re.compile(rb"<desc>[^<]* star")
_CONTENT_LENGTH = re.compile(rb"^content-length: (\d+)\r$", re.IGNORECASE | re.MULTILINE)


class Fetched(NamedTuple):
    """The number of pictures received, and how many of them were explanations without numbers."""

    pictures: int
    explanations: int


async def fetch_all(url: str, targets: Iterable[str], *, connections: int = 16) -> Fetched:
    """Fetch pictures, one at a time on each connection; every response must have status 200."""
    remaining = iter(targets)
    workers = (_fetch_sequentially(url, remaining) for _ in range(connections))
    fetched = await asyncio.gather(*workers)
    return Fetched(*map(sum, zip(*fetched, strict=True)))


async def _fetch_sequentially(url: str, targets: Iterator[str]) -> Fetched:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    pictures = explanations = 0
    try:
        for target in targets:
            writer.write(
                f"GET {target} HTTP/1.1\r\nHost: bench\r\nAccept: image/*\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = _CONTENT_LENGTH.search(head)
            assert head.startswith(b"HTTP/1.1 200 "), head
            assert length is not None, head
            body = await reader.readexactly(int(length[1]))
            pictures += 1
            explanations += _DESCRIPTION.search(body) is None
    finally:
        writer.close()
        await writer.wait_closed()
    return Fetched(pictures, explanations)
