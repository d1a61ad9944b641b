"""The HTTP protocol over real sockets: cached responses, pipelining and limits."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn

from github_banners.serving.cached_responses import CachedResponse, RawHeaders, encode_response
from github_banners.serving.connections import Connections, Limits
from github_banners.serving.http_protocol import HttpProtocol
from tests.fake_clock import drain_loop

CACHED = b"/cached"
BODY = b"<svg/>" * 800
HEAD = b"GET %b HTTP/1.1\r\nHost: banners.example\r\n"


class Cache:
    """A cache of one response."""

    def __init__(self) -> None:
        self.body = BODY
        self.requests: list[tuple[bytes, dict[bytes, bytes]]] = []
        self.repeated: dict[bytes, CachedResponse] = {}
        self.repeats = 0

    def get_by_raw_request(self, request: bytes, *, common_headers: RawHeaders) -> bytes | None:
        response = self.repeated.get(request)
        self.repeats += response is not None
        return response.payload if response is not None else None

    def put_by_raw_request(self, request: bytes, response: CachedResponse) -> None:
        self.repeated[request] = response

    def respond(
        self,
        target: bytes,
        headers: dict[bytes, bytes],
        *,
        is_head: bool,
        is_closing: bool,
        common_headers: RawHeaders,
    ) -> CachedResponse | None:
        self.requests.append((target, headers))
        if not target.startswith(CACHED):
            return None
        sent = [*common_headers, (b"x-from", b"cache"), (b"content-length", b"%d" % len(self.body))]
        if is_closing:
            sent.append((b"connection", b"close"))
        payload = encode_response(200, sent, b"" if is_head else self.body)
        return CachedResponse(payload, "picture", is_reusable=True)


class Application:
    """Responds with the target and the size of the body, after `may_respond` is set."""

    def __init__(self) -> None:
        self.may_respond = asyncio.Event()
        self.may_respond.set()
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []
        self.response = b""
        self.reads_body = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        body, more = b"", self.reads_body
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.bodies.append(b"disconnected")
                return
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        await self.may_respond.wait()
        sent = self.response or scope["raw_path"] + b" %d" % len(body)
        headers = [(b"content-length", b"%d" % len(sent)), (b"x-from", b"application")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": sent, "more_body": False})


class Server:
    """Connections to our protocol, without uvicorn's server."""

    def __init__(self, limits: Limits) -> None:
        self.cache = Cache()
        self.app = Application()
        self.connections = Connections(limits, self.cache, 0.0)
        self.protocols: list[HttpProtocol] = []
        self.clients: list[Client] = []
        config = uvicorn.Config(
            self.app, ws="none", lifespan="off", interface="asgi3", log_config=None,
            access_log=False, proxy_headers=False, server_header=False,
        )  # fmt: skip
        self._config = config
        self._state = uvicorn.server.ServerState()
        self._state.default_headers = [(b"date", b"now")]

    def make(self) -> HttpProtocol:
        loop = asyncio.get_running_loop()
        protocol = HttpProtocol(self._config, self._state, {}, loop, shared=self.connections)
        self.protocols.append(protocol)
        return protocol

    async def connect(self) -> "Client":
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        await loop.connect_accepted_socket(self.make, theirs)
        client = Client(*await asyncio.open_connection(sock=ours))
        self.clients.append(client)
        return client

    def sweep_after(self, seconds: float) -> None:
        self.connections.sweep(self.connections.now + seconds)


class Client:
    """The client side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        transport = writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def response(self, *, is_head: bool = False) -> tuple[int, dict[bytes, bytes], bytes]:
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines)
            length = 0 if is_head else int(headers.get(b"content-length", b"0"))
            return int(status.split()[1]), headers, await self.reader.readexactly(length)

    async def origin(self) -> bytes:
        return (await self.response())[1][b"x-from"]

    async def is_closed(self) -> bool:
        async with asyncio.timeout(5):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True

    async def responses(self) -> list[tuple[int, bytes]]:
        """Read all responses until the connection is closed."""
        responses = []
        while not self.reader.at_eof():
            status, _, body = await self.response()
            responses.append((status, body))
            await drain_loop()
        return responses


@asynccontextmanager
async def serving(limits: Limits | None = None) -> AsyncIterator[Server]:
    server = Server(limits or Limits())
    yield server
    for protocol in server.protocols:
        protocol.transport.abort()
    for client in server.clients:
        client.writer.close()
        with suppress(ConnectionError):
            await client.writer.wait_closed()


def get(target: bytes = CACHED, *headers: bytes, method: bytes = b"GET") -> bytes:
    request = b"%b %b HTTP/1.1\r\nHost: banners.example\r\n" % (method, target)
    return request + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


async def test_cached_target_skips_the_application() -> None:
    async with serving() as server:
        client = await server.connect()
        for _ in range(3):
            client.send(get())
            assert await client.response() == (
                200,
                {b"date": b"now", b"x-from": b"cache", b"content-length": b"4800"},
                BODY,
            )
        assert server.app.scopes == []


async def test_repeated_request_is_not_parsed() -> None:
    async with serving() as server:
        client, other = await server.connect(), await server.connect()
        for connection in (client, client, other):
            connection.send(get())
            assert await connection.origin() == b"cache"
        assert (len(server.cache.requests), server.cache.repeats) == (1, 2)


@pytest.mark.parametrize(
    "parts",
    [
        [get() + get()],
        [get()[:20], get()[20:]],
        [get(b"/other") + get()],
        [get(CACHED, b"Connection: close")],
    ],
    ids=["two in one", "one in two", "after another", "the last"],
)
async def test_raw_cache_stores_single_whole_requests_only(parts: list[bytes]) -> None:
    async with serving() as server:
        client = await server.connect()
        for part in parts:
            client.send(part)
            await drain_loop()
        await client.response()
        assert server.cache.repeated == {}


async def test_body_equal_to_cached_request_is_read_as_body() -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(get())
        await client.response()
        body = get()
        client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (2 * len(body)))
        await drain_loop()
        for _ in range(2):
            client.send(body)
            await drain_loop()
        assert (await client.response())[2] == b"/x %d" % (2 * len(body))
        assert server.app.bodies == [2 * body]
        assert server.cache.repeats == 0


async def test_cached_head_has_no_body() -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(get(method=b"HEAD"), get())
        status, headers, _ = await client.response(is_head=True)
        assert (status, headers[b"content-length"]) == (200, b"4800")
        assert (await client.response())[2] == BODY


@pytest.mark.parametrize("name", [b"Via", b"X-Forwarded-For", b"Cookie", b"X-Other"])
async def test_repeated_header_without_effect_is_answered_from_cache(name: bytes) -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(get(CACHED, name + b": 1.1 a", b"Accept-Encoding: gzip", name + b": 1.1 b"))
        assert await client.origin() == b"cache"


@pytest.mark.parametrize(
    "request_bytes",
    [
        get(b"/other"),
        get(method=b"POST"),
        get(method=b"OPTIONS"),
        get(CACHED, b"Content-Length: 0"),
        get(CACHED, b"Upgrade: websocket", b"Connection: upgrade"),
        get(CACHED, b"Accept-Encoding: gzip", b"Accept-Encoding: br"),
        get(CACHED, b'If-None-Match: "a"', b'If-None-Match: "b"'),
        get(b"http://banners.example" + CACHED),
        get(CACHED).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=lambda request: (
        request.decode().partition("\r\nHost: banners.example")[0]
        + request.decode().partition("banners.example\r\n")[2].strip()
    ),
)
async def test_uncacheable_request_reaches_the_application(request_bytes: bytes) -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(request_bytes)
        assert await client.origin() == b"application"


async def test_raw_utf_8_in_target_is_percent_encoded() -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(get("/x?title=é 1%20&b".replace(" ", "+").encode(), "X-Name: é".encode()))
        await client.response()
        (scope,) = server.app.scopes
        assert scope["query_string"] == b"title=%C3%A9+1%20&b"
        assert (b"x-name", "é".encode()) in scope["headers"]


RAW = "/x?title=ë1".encode()
POST = get(b"/y", b"Content-Length: 3", method=b"POST") + b"abc"


@pytest.mark.parametrize(
    "parts",
    [
        [get(RAW)[:12], get(RAW)[12:]],
        [get(RAW)[:14], get(RAW)[14:]],
        [get(RAW)[:20], get(RAW)[20:]],
        [get(RAW)[index : index + 1] for index in range(len(get(RAW)))],
        [b"\r\n" + get(RAW)],
        [get() + get(RAW)],
        [POST + get(RAW)],
        [POST + get(RAW)[:12], get(RAW)[12:]],
        [get(b"/z", "X: ë".encode())[:-5], b"\xab\r\n\r\n" + get(RAW)],
        [get(b"/" + 2000 * b"a") + get(RAW)],
        [get(b"/slow"), get(RAW)],
    ],
    ids=[
        "before", "within", "after", "bytes", "empty line", "second", "body", "body, two",
        "header", "long", "waiting",
    ],
)  # fmt: skip
async def test_raw_utf_8_is_encoded_anywhere_in_a_target(parts: list[bytes]) -> None:
    async with serving() as server:
        client = await server.connect()
        server.app.may_respond.clear()
        for part in parts:
            client.send(part)
            await drain_loop()
        server.app.may_respond.set()
        while not (await client.response())[2].startswith(b"/x "):
            pass
        scope = server.app.scopes[-1]
        assert scope["query_string"] == b"title=%C3%AB1"
        assert set(scope["headers"]) == {(b"host", b"banners.example")}


async def test_raw_utf_8_in_split_header_is_kept() -> None:
    async with serving() as server:
        client = await server.connect()
        for part in (HEAD % b"/x", b"X: a", b"\xc3", b"\xa9\r", b"\n\r\n"):
            client.send(part)
            await drain_loop()
        await client.response()
        assert (b"x", "aé".encode()) in server.app.scopes[0]["headers"]


async def test_repeated_raw_utf_8_request_is_not_parsed() -> None:
    async with serving() as server:
        client = await server.connect()
        for _ in range(2):
            client.send(get("/cached?é".encode()))
            assert await client.origin() == b"cache"
        assert [target for target, _ in server.cache.requests] == [b"/cached?%C3%A9"]
        assert server.cache.repeats == 1


async def test_absolute_target_is_reduced_to_path() -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(get(b"http://banners.example/cached?a=1"))
        await client.response()
        (scope,) = server.app.scopes
        assert (scope["path"], scope["query_string"]) == ("/cached", b"a=1")


@pytest.mark.parametrize(
    ("version", "headers", "stays"),
    [
        (b"HTTP/1.1", (), True),
        (b"HTTP/1.1", (b"Connection: keep-alive",), True),
        (b"HTTP/1.1", (b"Connection: close",), False),
        (b"HTTP/1.1", (b"Connection: Close, x",), False),
        (b"HTTP/1.0", (), False),
        (b"HTTP/1.1", (b"Upgrade: h2c", b"Connection: Upgrade"), False),
    ],
)
@pytest.mark.parametrize("target", [CACHED, b"/other"])
async def test_connection_persistence_follows_http(
    target: bytes, version: bytes, headers: tuple[bytes, ...], stays: bool
) -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(get(target, *headers).replace(b"HTTP/1.1", version))
        _, received, _ = await client.response()
        assert (received.get(b"connection") == b"close") is not stays
        if stays:
            client.send(get(target))
            assert (await client.response())[0] == 200
        else:
            assert await client.is_closed()


@pytest.mark.parametrize(("method", "size"), [(b"POST", 3), (b"GET", 0)])
async def test_expect_100_continue_is_answered_before_the_body(method: bytes, size: int) -> None:
    async with serving() as server:
        client = await server.connect()
        length = b"Content-Length: %d" % size
        client.send(get(CACHED, length, b"Expect: 100-continue", method=method))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(size * b"a")
        assert (await client.response())[2] == CACHED + b" %d" % size


async def test_expect_100_continue_of_http_1_0_is_ignored() -> None:
    async with serving() as server:
        client = await server.connect()
        head = get(b"/x", b"Content-Length: 1", b"Expect: 100-continue", method=b"POST")
        client.send(head.replace(b"HTTP/1.1", b"HTTP/1.0"))
        await drain_loop()
        client.send(b"a")
        assert (await client.response())[2] == b"/x 1"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /x HTTP/1.0\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: \ta \t\r\n\r\n",
    ],
    ids=["none", "empty", "blanks around"],
)
async def test_unusual_host_is_accepted(head: bytes) -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(head)
        assert (await client.response())[2] == b"/x 0"


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
async def test_pipelined_requests_are_answered_in_order(size: int) -> None:
    async with serving() as server:
        client = await server.connect()
        targets = [CACHED if index % 3 else b"/other/%d" % index for index in range(10)]
        data = b"".join(map(get, targets))
        for position in range(0, len(data), size):
            client.send(data[position : position + size])
            if size == 1:
                await asyncio.sleep(0)
        for target in targets:
            _, headers, body = await client.response()
            # Requests queued behind one in the application are answered by it, too.
            is_from_cache = headers[b"x-from"] == b"cache"
            assert is_from_cache <= (target == CACHED)
            assert body == (BODY if is_from_cache else target + b" 0")


async def test_cached_response_waits_for_earlier_requests() -> None:
    async with serving() as server:
        client = await server.connect()
        server.app.may_respond.clear()
        client.send(get(b"/slow"), get())
        await drain_loop()
        server.app.may_respond.set()
        assert (await client.response())[2] == b"/slow 0"
        assert (await client.response())[1][b"x-from"] == b"application"


async def test_client_not_reading_buffers_are_bounded() -> None:
    async with serving() as server:
        client = await server.connect()
        client.pause_reading()
        server.app.response = BODY
        for _ in range(8):
            client.send(100 * get())
            await drain_loop()
        (protocol,) = server.protocols
        # Buffered: one response that the socket did not accept, and unparsed requests.
        assert protocol.transport.get_write_buffer_size() <= len(BODY) + 200
        assert len(protocol.pipeline) <= 40
        assert len(server.app.scopes) <= 2
        client.resume_reading()
        for _ in range(800):
            assert (await client.response())[2] == BODY


async def test_too_many_unparsed_requests_abort_the_connection() -> None:
    async with serving() as server:
        client = await server.connect()
        server.app.may_respond.clear()
        client.send(get(b"/slow"))
        for _ in range(40):
            client.send(400 * get())
            await drain_loop()
        (protocol,) = server.protocols
        assert len(protocol.pipeline) <= 40
        assert protocol.unparsed_bytes <= 512 << 10


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /cached?\xc3a\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x01\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xc3\xa9\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\xc3\xa9 / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\xc3\xa9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /cached HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /cached HTTP/1.1\r\nHost: a\tb\r\n\r\n",
        b"GET /cached HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=repr,
)
async def test_malformed_request_gets_400_and_closes(
    request_bytes: bytes,
) -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(request_bytes)
        status, headers, body = await client.response()
        assert (status, body) == (400, b'{"error":"bad request"}')
        assert headers[b"connection"] == b"close"
        assert await client.is_closed()
        assert server.app.scopes == []


async def test_malformed_request_waits_for_earlier_requests() -> None:
    async with serving() as server:
        client = await server.connect()
        server.app.may_respond.clear()
        client.send(get(b"/slow"), get(b"/next"), b"nonsense\r\n\r\n", get())
        await drain_loop()
        server.app.may_respond.set()
        assert [(await client.response())[0] for _ in range(3)] == [200, 200, 400]
        assert await client.is_closed()


@pytest.mark.parametrize("chunk", [b"-1\r\n", b"ffffffffffffffffff\r\n", b"zz\r\n"])
async def test_malformed_chunk_gets_400_and_closes(chunk: bytes) -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(get(b"/x", b"Transfer-Encoding: chunked", method=b"POST"), chunk)
        status, _, _ = await client.response()
        assert status == 400
        assert await client.is_closed()
        await asyncio.sleep(0)
        assert server.app.bodies in ([], [b"disconnected"])


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + 70_000 * b"a",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + 70_000 * b"a",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + 300 * b"X: 1\r\n",
    ],
    ids=["target", "header", "headers"],
)
async def test_head_too_large_gets_431(head: bytes) -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(head)
        status, _, body = await client.response()
        assert (status, body) == (431, b'{"error":"request header fields too large"}')
        assert await client.is_closed()


@pytest.mark.parametrize(
    ("requests", "bodies"),
    [
        ([get(b"/a")], [b"/a 0"]),
        ([get(b"/a"), get(b"/b")], [b"/a 0", b"/b 0"]),
        ([get(b"/%d" % index) for index in range(40)], [b"/%d 0" % index for index in range(40)]),
        ([get(b"/a", b"Content-Length: 1", method=b"POST"), b"b"], [b"/a 1"]),
        ([get(b"/a"), get(b"/b")[:-9]], [b"/a 0"]),
        ([get(b"/a"), get(b"/b", b"Content-Length: 2", method=b"POST"), b"b"], [b"/a 0"]),
        ([get(b"/a"), b"nonsense\r\n\r\n"], [b"/a 0", b'{"error":"bad request"}']),
        ([get()], [BODY]),
        ([get()[:-9]], []),
        ([get(b"/a", b"Content-Length: 2", method=b"POST"), b"b"], []),
    ],
    ids=lambda value: f"{len(value)} parts, {len(b''.join(value))} bytes",
)
async def test_half_closed_connection_gets_all_responses(
    requests: list[bytes], bodies: list[bytes]
) -> None:
    async with serving() as server:
        client = await server.connect()
        server.app.may_respond.clear()
        client.send(*requests)
        client.writer.write_eof()
        await drain_loop()
        server.app.may_respond.set()
        assert [body for _, body in await client.responses()] == bodies
        await drain_loop()
        assert server.connections.open == set()


async def test_half_closed_connection_last_response_says_close() -> None:
    async with serving() as server:
        client = await server.connect()
        server.app.may_respond.clear()
        client.send(get(b"/a"))
        client.writer.write_eof()
        await drain_loop()
        server.sweep_after(1000)
        server.app.may_respond.set()
        assert (await client.response())[1][b"connection"] == b"close"
        assert await client.is_closed()


CHUNKED = b"Transfer-Encoding: chunked"


async def test_trailers_are_dropped() -> None:
    async with serving() as server:
        client = await server.connect()
        trailers = b"2\r\nab\r\n0\r\nX-Forwarded-For: 192.0.2.1\r\nHost: b\r\n\r\n"
        client.send(get(b"/x", CHUNKED, method=b"POST"), trailers, get(b"/y"))
        assert (await client.response())[2] == b"/x 2"
        assert (await client.response())[2] == b"/y 0"
        assert [len(scope["headers"]) for scope in server.app.scopes] == [2, 1]


@pytest.mark.parametrize(
    ("before", "endless"),
    [
        (b"0\r\n", b"a:\r\n"),
        (b"0\r\na: ", b"b"),
        (b"1;a=", b"b"),
        (b"", b"1;name=a-long-value\r\na\r\n"),
    ],
    ids=["trailers", "trailer", "chunk extension", "chunk extensions"],
)
async def test_endless_chunk_framing_gets_431(before: bytes, endless: bytes) -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(get(b"/x", CHUNKED, method=b"POST"), before)
        for _ in range(7):
            client.send(10_000 // len(endless) * endless)
            await drain_loop()
            if not server.connections.open:
                break
        assert (await client.response())[0] == 431
        assert await client.is_closed()
        assert server.app.bodies == [b"disconnected"]


@pytest.mark.parametrize(
    "rest", [b"-1\r\n", b"0\r\n" + 20_000 * b"a:\r\n"], ids=["chunk", "trailers"]
)
async def test_malformed_rest_of_answered_body_closes_only(rest: bytes) -> None:
    async with serving() as server:
        server.app.reads_body = False
        client = await server.connect()
        client.send(get(b"/x", CHUNKED, method=b"POST"))
        assert (await client.response())[0] == 200
        client.send(rest)
        assert await client.is_closed()


async def test_long_chunked_body_is_passed_to_the_application() -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(get(b"/x", CHUNKED, method=b"POST"))
        client.send(300 * (b"1000\r\n" + 4096 * b"a" + b"\r\n"), b"0\r\n\r\n", get())
        assert (await client.response())[2] == b"/x %d" % (300 * 4096)
        assert (await client.response())[0] == 200


async def test_long_body_is_passed_to_the_application() -> None:
    async with serving() as server:
        client = await server.connect()
        size = 3 << 20
        client.send(get(b"/x", b"Content-Length: %d" % size, method=b"POST"), size * b"a", get())
        assert (await client.response())[2] == b"/x %d" % size
        assert (await client.response())[0] == 200
        client.send(get())
        assert (await client.response())[2] == BODY


def connect_only(client: Client) -> None:
    """Send nothing."""


def begin_head(client: Client) -> None:
    client.send(HEAD % CACHED)


def begin_body(client: Client) -> None:
    client.send(get(b"/x", b"Content-Length: 9", method=b"POST"), b"abc")


def send_request(client: Client) -> None:
    client.send(get())


@pytest.mark.parametrize(
    ("start", "seconds"),
    [(connect_only, 75), (begin_head, 15), (begin_body, 15), (send_request, 75)],
)
async def test_sweep_overdue_connection_is_closed(
    start: Callable[[Client], None], seconds: float
) -> None:
    async with serving() as server:
        client = await server.connect()
        start(client)
        await drain_loop()
        server.sweep_after(seconds)
        await drain_loop()
        assert len(server.connections.open) == 1
        server.sweep_after(1)
        await drain_loop()
        assert server.connections.open == set()


async def test_sweep_slow_head_is_closed() -> None:
    async with serving() as server:
        client = await server.connect()
        for _ in range(16):
            client.send(b"GET"[:1])
            await drain_loop()
            server.sweep_after(1)
        await drain_loop()
        assert server.connections.open == set()


def begin_trailers(client: Client) -> None:
    client.send(get(b"/x", CHUNKED, method=b"POST"), b"0\r\n")


def begin_chunk_extension(client: Client) -> None:
    client.send(get(b"/x", CHUNKED, method=b"POST"), b"1;a=")


@pytest.mark.parametrize(
    ("start", "dripped", "seconds"),
    [
        (connect_only, b"\r\n", 75),
        (send_request, b"\r\n", 75),
        (begin_trailers, b"a: b\r\n", 15),
        (begin_chunk_extension, b"a", 15),
    ],
)
@pytest.mark.parametrize("reads_body", [True, False])
async def test_sweep_dripped_bytes_do_not_hold_the_connection(
    start: Callable[[Client], None], dripped: bytes, seconds: int, reads_body: bool
) -> None:
    async with serving() as server:
        server.app.reads_body = reads_body
        client = await server.connect()
        start(client)
        await drain_loop()
        for _ in range(seconds // 5):
            client.send(dripped)
            await drain_loop()
            server.sweep_after(5)
        await drain_loop()
        assert len(server.connections.open) == 1
        server.sweep_after(1)
        await drain_loop()
        assert server.connections.open == set()


@pytest.mark.parametrize("reads_body", [True, False])
async def test_sweep_slow_body_is_awaited_until_answered(reads_body: bool) -> None:
    async with serving() as server:
        server.app.reads_body = reads_body
        client = await server.connect()
        client.send(get(b"/x", b"Content-Length: 99", method=b"POST"))
        await drain_loop()
        for _ in range(10):
            client.send(b"a")
            await drain_loop()
            server.sweep_after(3)
        await drain_loop()
        assert len(server.connections.open) == reads_body


async def test_sweep_slow_head_idle_time_starts_with_the_response() -> None:
    async with serving() as server:
        client = await server.connect()
        client.send(get()[:20])
        await drain_loop()
        server.sweep_after(14)
        client.send(get()[20:])
        await client.response()
        server.sweep_after(75)
        await drain_loop()
        assert len(server.connections.open) == 1


async def test_sweep_unread_response_aborts_the_connection() -> None:
    async with serving() as server:
        client = await server.connect()
        client.pause_reading()
        server.app.response = (8 << 20) * b"a"
        client.send(get(b"/large"))
        await drain_loop()
        server.sweep_after(1)  # finds something unread
        server.sweep_after(30)
        assert len(server.connections.open) == 1
        server.sweep_after(1)
        await drain_loop()
        assert server.connections.open == set()


async def test_sweep_running_request_is_not_closed() -> None:
    async with serving() as server:
        client = await server.connect()
        server.app.may_respond.clear()
        client.send(get(b"/slow"))
        await drain_loop()
        server.sweep_after(1000)
        server.app.may_respond.set()
        assert (await client.response())[0] == 200


async def test_shutdown_finishes_running_request() -> None:
    async with serving() as server:
        client = await server.connect()
        server.app.may_respond.clear()
        client.send(get(b"/slow"))
        await drain_loop()
        server.protocols[0].shutdown()
        server.app.may_respond.set()
        _, headers, _ = await client.response()
        assert headers[b"connection"] == b"close"
        assert await client.is_closed()


@pytest.mark.parametrize("target", [CACHED, b"/other"])
@pytest.mark.parametrize("requests_before", [0, 1])
async def test_shutdown_answers_request_in_transit(requests_before: int, target: bytes) -> None:
    async with serving(Limits(shutdown_seconds=5)) as server:
        client = await server.connect()
        for _ in range(requests_before):
            client.send(get(target))
            await client.response()
        server.protocols[0].shutdown()
        client.send(get(target))
        _, headers, _ = await client.response()
        assert headers[b"connection"] == b"close"
        assert await client.is_closed()


async def test_shutdown_idle_connection_closes_after_delay() -> None:
    async with serving(Limits(shutdown_seconds=0.05)) as server:
        client = await server.connect()
        server.protocols[0].shutdown()
        assert not server.protocols[0].transport.is_closing()
        assert await client.is_closed()


def test_encode_response_returns_whole_response() -> None:
    assert encode_response(304, [(b"etag", b'"a"'), (b"vary", b"Accept")], b"") == (
        b'HTTP/1.1 304 Not Modified\r\netag: "a"\r\nvary: Accept\r\n\r\n'
    )
