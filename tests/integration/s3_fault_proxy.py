"""
A proxy in front of an S3 server that breaks requests as networks and servers do.

It also makes a server exact that is not: S3Proxy checks the condition of a put and writes in two
steps, and S3 itself in one. So the proxy lets one put at a time through for each key. With
`puts_to_await` it holds the puts of a key until so many have arrived, so that each of them was
decided before any of the others was written.
"""

import asyncio
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple, Self

_VERSION = re.compile(rb"\r\nx-amz-meta-version: (\d+)\r\n")
_MAX_HOLD_SECONDS = 0.2


class S3Fault(StrEnum):
    """What happens to a request."""

    UNAVAILABLE = "503"
    SLOW_DOWN = "503 SlowDown"
    INTERNAL = "500 InternalError"
    EXPIRED = "403 ExpiredToken"
    DENIED = "403 AccessDenied"
    HANG = "hangs"
    DROP = "drops the connection"
    DROP_RESPONSE = "drops the connection after the server has done it"
    TRUNCATE = "truncates the response"
    GARBAGE = "answers garbage"


_RESPONSES = {
    S3Fault.UNAVAILABLE: ("503 Service Unavailable", None),
    S3Fault.SLOW_DOWN: ("503 Slow Down", "SlowDown"),
    S3Fault.INTERNAL: ("500 Internal Server Error", "InternalError"),
    S3Fault.EXPIRED: ("403 Forbidden", "ExpiredToken"),
    S3Fault.DENIED: ("403 Forbidden", "AccessDenied"),
}


class S3Request(NamedTuple):
    """A request by its method and path, and which one it is for this proxy."""

    method: str
    path: str
    number: int


def always(fault: S3Fault) -> Callable[[S3Request], S3Fault]:
    return lambda request: fault


class S3FaultProxy:
    """
    The proxy, in a thread of its own so that tests of any kind can use it.

    `choose_fault` is called for each request, and may be replaced at any time; None means no fault.
    `change_response` is called with each response, and returns what the client gets.
    `statuses` counts method and status of the server's own responses, and `written` has the
    versions that it has written for each path, in this order.
    """

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.port = 0
        self.choose_fault: Callable[[S3Request], S3Fault | None] = lambda request: None
        self.change_response: Callable[[bytes], bytes] = lambda response: response
        self.puts_to_await = 1
        self.statuses: Counter[str] = Counter()
        self.written: defaultdict[str, list[int]] = defaultdict(list)
        self._number = 0
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._held: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="s3 faults", daemon=True)
        self._is_ready = threading.Event()
        self._stopping: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        connections: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections.add(task)
            try:
                with suppress(OSError, EOFError, asyncio.CancelledError):
                    await self._handle(reader, writer)
            finally:
                connections.discard(task)
                writer.transport.abort()

        server = await asyncio.start_server(handle, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        await self._stopping.wait()
        server.close()
        for task in [*connections]:
            task.cancel()
        if connections:
            await asyncio.wait(connections)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                head, body, method, path = await _read_request(reader)
                self._number += 1
                fault = self.choose_fault(S3Request(method, path, self._number))
                if fault in _RESPONSES:
                    writer.write(_error_response(fault, method))
                    continue
                if fault is S3Fault.HANG:
                    await asyncio.sleep(3600)
                if fault is S3Fault.DROP:
                    return None
                if fault is S3Fault.GARBAGE:
                    writer.write(b"\0\1\2 not HTTP \r\n\r\n")
                    return await writer.drain()
                if upstream is None:
                    upstream = await asyncio.open_connection("127.0.0.1", self.server_port)
                response = await self._forward(upstream, head + body, method, path)
                if fault is S3Fault.DROP_RESPONSE:
                    return None
                if fault is S3Fault.TRUNCATE:
                    writer.write(response[:-2])
                    return await writer.drain()
                writer.write(self.change_response(response))
                await writer.drain()
        finally:
            if upstream is not None:
                upstream[1].transport.abort()

    async def _forward(
        self,
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        request: bytes,
        method: str,
        path: str,
    ) -> bytes:
        if method != "PUT":
            return await self._exchange(upstream, request, method)
        await self._hold(path)
        async with self._locks[path]:
            response = await self._exchange(upstream, request, method)
            if response.startswith(b"HTTP/1.1 200 ") and (version := _VERSION.search(request)):
                self.written[path].append(int(version[1]))
            return response

    async def _hold(self, path: str) -> None:
        """Wait until enough puts of this key are there, or for as long as a test can wait."""
        held = self._held[path]
        released = self._loop.create_future()
        held.append(released)
        if len(held) >= self.puts_to_await:
            for other in held:
                if not other.done():
                    other.set_result(None)
            held.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(released, _MAX_HOLD_SECONDS)
        if released in held:
            held.remove(released)

    async def _exchange(
        self,
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        request: bytes,
        method: str,
    ) -> bytes:
        reader, writer = upstream
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b" ", 2)[1].decode()
        self.statuses[f"{method} {status}"] += 1
        if method == "HEAD" or status in {"204", "304"}:
            return head
        return head + await _read_body(reader, head)


async def _read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes, str, str]:
    head = await reader.readuntil(b"\r\n\r\n")
    method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    return head, await _read_body(reader, head), method, path


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if fields.get(b"transfer-encoding") == b"chunked":
        return await _read_chunks(reader)
    return await reader.readexactly(int(fields.get(b"content-length", b"0")))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        chunk = await reader.readexactly(int(line, 16) + 2)
        body += line + chunk
        if chunk == b"\r\n":
            return body


def _error_response(fault: S3Fault, method: str) -> bytes:
    status, code = _RESPONSES[fault]
    xml = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>'
        if code
        else ""
    )
    body = b"" if method == "HEAD" else xml.encode()
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
