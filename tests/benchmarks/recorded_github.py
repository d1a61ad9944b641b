"""
A GitHub with prepared responses, for measurements in which the sandbox would be the limit.

`python -m tests.benchmarks.recorded_github FILE SECONDS` serves queries for owners by node id. The file
holds what the sandbox returned; a response is built and compressed once, when a set of owners is
requested for the first time, and is bytes from then on. Each response is sent after `SECONDS`.
"""

import asyncio
import gzip
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from github_banners.github import graphql
from github_banners.github.sender import Sender

MODULE = "tests.benchmarks.recorded_github"
_CONTENT_LENGTH = re.compile(rb"^content-length: (\d+)\r$", re.IGNORECASE | re.MULTILINE)
_HEAD_END = b"\r\n\r\n"
_RESPONSE_HEADERS = (
    "content-type",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-used",
    "x-ratelimit-reset",
    "x-ratelimit-resource",
)


class Recording(msgspec.Struct):
    """The owners of responses by node id, and what is common to all responses."""

    headers: dict[str, str] = {}
    rate_limit: msgspec.Raw = msgspec.Raw(b"null")
    owners: dict[str, msgspec.Raw] = {}


class _Variables(msgspec.Struct):
    ids: list[str]


class _Query(msgspec.Struct):
    variables: _Variables


class _Data(msgspec.Struct, rename="camel"):
    nodes: list[msgspec.Raw]
    rate_limit: msgspec.Raw


class _Response(msgspec.Struct):
    data: _Data


async def record(sender: Sender, node_ids: Sequence[str], *, batch_size: int) -> Recording:
    """Request owners from GitHub in batches, and return its responses."""
    recording = Recording()
    for first in range(0, len(node_ids), batch_size):
        batch = node_ids[first : first + batch_size]
        request = sender.graphql_request(graphql.build_id_query(batch).to_json())
        response = await sender.send_with_failover(request, lambda response: response)
        data = msgspec.json.decode(response.body, type=_Response).data
        recording.headers = {name: response.headers[name] for name in _RESPONSE_HEADERS}
        recording.rate_limit = data.rate_limit
        recording.owners |= zip(batch, data.nodes, strict=True)
    return recording


class _Connection(asyncio.Protocol):
    """Responds to the requests of one connection, one after another."""

    def __init__(
        self, recording: Recording, responses: dict[bytes, bytes], *, latency_seconds: float
    ) -> None:
        self._recording = recording
        self._responses = responses
        self._latency_seconds = latency_seconds
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where responses are written to."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Respond when a whole request is there; the client sends the next one after that."""
        self._received += data
        head, separator, body = self._received.partition(_HEAD_END)
        length = _CONTENT_LENGTH.search(head + b"\r\n") if separator else None
        if length is None or len(body) < int(length[1]):
            return
        self._received = b""
        response = self._responses.get(body)
        if response is None:
            response = self._responses[body] = _build_response(self._recording, body)
        loop = asyncio.get_running_loop()
        loop.call_later(self._latency_seconds, self._transport.write, response)


def _build_response(recording: Recording, body: bytes) -> bytes:
    node_ids = msgspec.json.decode(body, type=_Query).variables.ids
    owners = [recording.owners[node_id] for node_id in node_ids]
    encoded = msgspec.json.encode(_Response(_Data(owners, recording.rate_limit)))
    compressed = gzip.compress(encoded, 1, mtime=0)
    headers = {**recording.headers, "content-encoding": "gzip", "content-length": len(compressed)}
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + _HEAD_END + compressed


async def _serve(recording: Recording, *, latency_seconds: float) -> None:
    responses: dict[bytes, bytes] = {}
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(recording, responses, latency_seconds=latency_seconds), "127.0.0.1"
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    path, seconds = sys.argv[1:]
    uvloop.run(
        _serve(
            msgspec.json.decode(Path(path).read_bytes(), type=Recording),
            latency_seconds=float(seconds),
        )
    )
