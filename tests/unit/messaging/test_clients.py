"""The clients of renderer and storage: what they send, and how they handle each response."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, cast

import httpx2
import msgspec
import pytest
import stamina
from structlog.testing import capture_logs

from github_banners.errors import (
    RemoteRejected,
    RendererUnavailable,
    StorageUnavailable,
    Unavailable,
)
from github_banners.messaging.clients import RendererClient, StorageClient, open_service_http
from github_banners.messaging.mapping import to_preview_request
from github_banners.messaging.nonces import NonceCache
from github_banners.messaging.schemas import (
    BatchedBanner,
    PreviewRequest,
    RemoveResponse,
    StoreBatch,
    StoreRequest,
    StoreResponse,
    StoreResult,
    StoreResults,
)
from github_banners.messaging.signing import Signer, VerifiedHead, Verifier
from github_banners.messaging.trace_context import parse_trace_id, trace_context
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import BannerOptions, Theme
from github_banners.settings import Secret

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = Secret("a secret that never travels")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SNAPSHOT = Snapshot(Owner(4, "WyCats", None, "Yehuda"), Stats(3, 2, 1, 10, 4, {"Ruby": 2}), NOW, 7)
OPTIONS = BannerOptions(theme=Theme.DARK, radius=3)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
REQUEST = StoreRequest(url_path="wycats-dark", banner_info=SVG, banner_format="svg", version=7)
URL = b'{"url":"/banners/wycats-dark"}'
BATCH = [
    BatchedBanner(url_path=f"b-{number}", banner_info=SVG, banner_format="svg", version=number)
    for number in range(3)
]
PICTURE_TYPE = {"content-type": "image/svg+xml; charset=utf-8"}

Handler: TypeAlias = Callable[[httpx2.Request], httpx2.Response | Awaitable[httpx2.Response]]


def build_response(
    body: bytes = b"", *, status: int = 200, headers: dict[str, str] | None = None
) -> httpx2.Response:
    # A stream, since httpx2 decodes a body of bytes, and may fail, before the client gets it.
    return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(body))


def respond_with_picture(request: httpx2.Request) -> httpx2.Response:
    return build_response(SVG, headers=PICTURE_TYPE)


def respond_to_batch(request: httpx2.Request) -> httpx2.Response:
    banners = StoreBatch.from_json(request.content).banners
    paths = [BatchedBanner.from_json(bytes(banner)).url_path for banner in banners]
    results = [StoreResult(url=f"/banners/{path}") for path in paths]
    return build_response(StoreResults(results=results).to_json())


def respond_as_storage(request: httpx2.Request) -> httpx2.Response:
    return (
        build_response(URL)
        if request.method == "POST"
        else build_response(SVG, headers=PICTURE_TYPE)
    )


def responding(
    body: bytes = b"", *, status: int = 200, headers: dict[str, str] | None = None
) -> Handler:
    return lambda request: build_response(body, status=status, headers=headers)


def responding_with_status(status: int) -> Handler:
    return responding(b'{"error": "a reason"}', status=status)


def failing(error: Exception) -> Handler:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise error

    return fail


@dataclass
class Remote:
    """A fake service that uses its handlers in turn, and the last one for ever."""

    handlers: list[Handler]
    requests: list[httpx2.Request] = field(default_factory=list)
    verifier: Verifier = field(
        default_factory=lambda: Verifier(
            [KEY], callers=["api"], nonces=NonceCache(), clock=lambda: NOW
        )
    )

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        handler = self.handlers.pop(0) if len(self.handlers) > 1 else self.handlers[0]
        response = handler(request)
        return await response if isinstance(response, Awaitable) else response

    def verify(self, request: httpx2.Request) -> VerifiedHead:
        """Verify a request like a service, which accepts each nonce once."""
        path, _, query = request.url.raw_path.partition(b"?")
        head = self.verifier.check_head(request.method, path, query, request.headers.raw)
        self.verifier.check_body(head, request.content)
        return head


@asynccontextmanager
async def renderer(
    remote: Remote, base_url: str = "http://renderer"
) -> AsyncIterator[RendererClient]:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(remote)) as http:
        yield RendererClient(http, base_url=base_url, signer=make_signer())


@asynccontextmanager
async def storage(remote: Remote, base_url: str = "http://storage") -> AsyncIterator[StorageClient]:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(remote)) as http:
        yield StorageClient(http, base_url=base_url, signer=make_signer())


def make_signer() -> Signer:
    return Signer(KEY, service="api", clock=lambda: NOW)


@dataclass(frozen=True)
class Call:
    """One of the calls of the clients."""

    open: Callable[[Remote], Any]
    make: Callable[[Any], Awaitable[object]]
    good: Handler
    error: type[Unavailable]


CALLS = {
    "draw": Call(
        renderer,
        lambda client: client.draw(SNAPSHOT, OPTIONS),
        respond_with_picture,
        RendererUnavailable,
    ),
    "store": Call(
        storage, lambda client: client.store(REQUEST), respond_as_storage, StorageUnavailable
    ),
    "store_many": Call(
        storage, lambda client: client.store_many(BATCH), respond_to_batch, StorageUnavailable
    ),
    "get": Call(
        storage, lambda client: client.get("wycats-dark"), respond_as_storage, StorageUnavailable
    ),
    "remove": Call(
        storage,
        lambda client: client.remove("wycats-dark", version=7),
        responding(URL),
        StorageUnavailable,
    ),
}


@pytest.fixture(params=CALLS.values(), ids=list(CALLS))
def call(request: pytest.FixtureRequest) -> Call:
    return cast("Call", request.param)


SINGLE_CALLS = {name: call for name, call in CALLS.items() if name != "store_many"}


@pytest.fixture(autouse=True)
def fast_retries() -> Iterator[None]:
    """Let stamina retry without delays."""
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


async def test_draw_sends_the_signed_request_of_the_schema() -> None:
    remote = Remote([respond_with_picture])
    async with renderer(remote) as client:
        assert await client.draw(SNAPSHOT, OPTIONS) == SVG
    (request,) = remote.requests
    assert (request.method, str(request.url)) == ("POST", "http://renderer/preview")
    assert request.headers["content-type"] == "application/json"
    assert PreviewRequest.from_json(request.content) == to_preview_request(SNAPSHOT, OPTIONS)
    assert remote.verify(request).caller == "api"


async def test_store_sends_the_signed_request_of_the_schema() -> None:
    remote = Remote([respond_as_storage])
    async with storage(remote) as client:
        assert await client.store(REQUEST) == StoreResponse(url="/banners/wycats-dark")
    (request,) = remote.requests
    assert (request.method, str(request.url)) == ("POST", "http://storage/banners")
    assert StoreRequest.from_json(request.content) == REQUEST
    assert remote.verify(request).caller == "api"


async def test_remove_sends_the_version_in_a_signed_query() -> None:
    remote = Remote([responding(b'{"url":"/banners/wycats-dark","removed":true}')])
    async with storage(remote) as client:
        response = await client.remove("wycats-dark", version=7)
    assert response == RemoveResponse(url="/banners/wycats-dark", removed=True)
    (request,) = remote.requests
    assert request.method == "DELETE"
    assert str(request.url) == "http://storage/banners/wycats-dark?version=7"
    assert request.content == b""
    assert remote.verify(request).caller == "api"


async def test_store_superseded_returns_the_response() -> None:
    handler = responding(URL.replace(b"}", b',"superseded":true,"new":[]}'))
    async with storage(Remote([handler])) as client:
        assert await client.store(REQUEST) == StoreResponse(
            url="/banners/wycats-dark", superseded=True
        )
        assert client.is_available


async def test_store_many_sends_one_signed_request() -> None:
    remote = Remote([respond_to_batch])
    async with storage(remote) as client:
        handlers = await client.store_many(BATCH)
        assert client.is_available
    assert handlers == [StoreResponse(url=f"/banners/b-{number}") for number in range(3)]
    (request,) = remote.requests
    assert (request.method, str(request.url)) == ("POST", "http://storage/banners/batch")
    sent = [bytes(raw) for raw in StoreBatch.from_json(request.content).banners]
    assert [BatchedBanner.from_json(body) for body in sent] == BATCH
    # Each is also the body of a single call.
    assert [StoreRequest.from_json(body).version for body in sent] == [0, 1, 2]
    assert remote.verify(request).caller == "api"


def responding_with_results(*fields: Mapping[str, object]) -> Handler:
    return responding(msgspec.json.encode({"results": fields, "new": 1}))


async def test_store_many_mixed_results_returns_one_per_picture() -> None:
    mixed = responding_with_results(
        {"url": "/banners/b-0", "superseded": True, "new": 1},
        {"status": 400, "error": "invalid inputs", "field": "banner_info"},
        {"status": 503, "error": "can't store banner"},
    )
    async with storage(Remote([mixed])) as client:
        first, refused, failed = await client.store_many(BATCH)
        assert client.is_available
    assert first == StoreResponse(url="/banners/b-0", superseded=True)
    assert isinstance(refused, RemoteRejected)
    assert "400" in str(refused)
    assert "banner_info" in str(refused)
    assert isinstance(failed, StorageUnavailable)
    assert "503" in str(failed)


@pytest.mark.parametrize("status", [401, 404, 408, 429, 500, 503, 507])
async def test_store_many_transient_status_is_unavailable(status: int) -> None:
    async with storage(Remote([responding_with_results(*[{"status": status}] * 3)])) as client:
        outcomes = await client.store_many(BATCH)
        assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 3
        assert not client.is_available


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_store_many_permanent_status_is_rejected(status: int) -> None:
    async with storage(Remote([responding_with_results(*[{"status": status}] * 3)])) as client:
        outcomes = await client.store_many(BATCH)
        assert [type(outcome) for outcome in outcomes] == [RemoteRejected] * 3
        assert client.is_available


@pytest.mark.parametrize("status", [400, 404, 405, 413, 422])
async def test_store_many_batch_refused_stores_each_picture_alone(status: int) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        path = StoreRequest.from_json(request.content).url_path
        if path == "b-1":
            return build_response(b'{"error":"invalid inputs"}', status=400)
        return build_response(b'{"url":"/banners/%b"}' % path.encode())

    remote = Remote([responding_with_status(status), handler])
    banners = [
        msgspec.structs.replace(banner, traceparent=f"00-{banner.version:032x}-{1:016x}-01")
        for banner in [BATCH[0], BATCH[1], BATCH[2]]
    ]
    async with storage(remote) as client:
        with capture_logs() as lines:
            first, refused, last = await client.store_many(banners)
        assert client.is_available
    assert [first, last] == [StoreResponse(url=f"/banners/b-{number}") for number in (0, 2)]
    assert isinstance(refused, RemoteRejected)
    assert [request.url.path for request in remote.requests] == ["/banners/batch"] + [
        "/banners"
    ] * 3
    for request in remote.requests:
        remote.verify(request)
    traces = [parse_trace_id(request.headers["traceparent"]) for request in remote.requests[2:]]
    assert traces == [f"{number:032x}" for number in (1, 2)]
    assert [line["event"] for line in lines] == ["storage.batch_refused"]


async def test_store_many_batch_refused_twice_is_logged_once() -> None:
    handlers = [responding_with_status(405), *[responding(URL)] * 3] * 2
    async with storage(Remote([*handlers])) as client:
        with capture_logs() as lines:
            for _ in range(2):
                assert (
                    await client.store_many(BATCH)
                    == [StoreResponse(url="/banners/wycats-dark")] * 3
                )
    assert [line["event"] for line in lines] == ["storage.batch_refused"]


async def test_store_many_batch_refused_then_down_fails_each_picture() -> None:
    remote = Remote([responding_with_status(405), failing(httpx2.ConnectError("down"))])
    async with storage(remote) as client:
        outcomes = await client.store_many(BATCH)
        assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 3
        assert not client.is_available


MALFORMED_RESULTS = {
    "empty": responding(b""),
    "page": responding(b"<html/>"),
    "a single response": responding(URL),
    "too few": responding_with_results({"url": "/banners/b-0"}),
    "too many": responding_with_results(*[{"url": "/banners/b-0"}] * 4),
    "wrong": responding_with_results(*[{"url": 5}] * 3),
}


@pytest.mark.parametrize("handler", MALFORMED_RESULTS.values(), ids=MALFORMED_RESULTS)
async def test_store_many_malformed_response_is_unavailable(handler: Handler) -> None:
    async with storage(Remote([handler])) as client:
        with pytest.raises(StorageUnavailable):
            await client.store_many(BATCH)
        assert not client.is_available


async def test_store_status_201_is_success() -> None:
    async with storage(Remote([responding(URL, status=201)])) as client:
        assert (await client.store(REQUEST)).url == "/banners/wycats-dark"


async def test_get_returns_the_picture_or_none() -> None:
    none = responding(b'{"error":"banner doesn\'t exist"}', status=404)
    remote = Remote([respond_as_storage, none])
    async with storage(remote) as client:
        assert await client.get("wycats-dark") == SVG
        assert client.is_available
        assert await client.get("wycats-dark") is None
        assert client.is_available
    for request in remote.requests:
        assert (request.method, str(request.url)) == ("GET", "http://storage/banners/wycats-dark")
        assert request.content == b""
        remote.verify(request)


async def test_call_sends_the_current_trace_id(call: Call) -> None:
    remote = Remote([call.good])
    async with call.open(remote) as client:
        with trace_context(f"00-{TRACE}-00f067aa0ba902b7-01"):
            await call.make(client)
        await call.make(client)
    traces = [parse_trace_id(request.headers["traceparent"]) for request in remote.requests]
    assert traces[0] == TRACE
    assert traces[1] not in {None, TRACE}


async def test_call_does_not_contain_the_key(call: Call) -> None:
    remote = Remote([call.good])
    async with call.open(remote) as client:
        await call.make(client)
        assert KEY.reveal() not in repr(client)
    (request,) = remote.requests
    sent = request.content + b"".join(map(b": ".join, request.headers.raw)) + request.url.raw_path
    assert KEY.reveal().encode() not in sent


async def test_call_after_response_with_cookie_sends_none() -> None:
    requests = list[httpx2.Request]()

    def respond(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return httpx2.Response(200, headers={"set-cookie": f"c{len(requests)}=x; Path=/"})

    transport = httpx2.MockTransport(respond)
    async with open_service_http(wrap_transport=lambda _: transport) as http:
        for _ in range(3):
            await http.get("http://storage/banners")
        assert len(http.cookies.jar) == 0
    assert len(requests) == 3
    assert not [request for request in requests if "cookie" in request.headers]


@pytest.mark.parametrize("error", [httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError])
async def test_call_stale_connection_is_sent_again_with_a_new_nonce(
    call: Call, error: type[httpx2.TransportError]
) -> None:
    remote = Remote([failing(error("closed")), call.good])
    async with call.open(remote) as client:
        await call.make(client)
        assert client.is_available
    first, second = remote.requests
    assert (first.method, first.url, first.content) == (second.method, second.url, second.content)
    # A service that has received the first one accepts the second one too.
    assert remote.verify(first).nonce != remote.verify(second).nonce


async def test_call_connection_closed_twice_is_unavailable(call: Call) -> None:
    remote = Remote([failing(httpx2.RemoteProtocolError("closed"))])
    async with call.open(remote) as client:
        with pytest.raises(call.error, match="RemoteProtocolError: closed"):
            await call.make(client)
        assert not client.is_available
    assert len(remote.requests) == 2


async def test_call_repeated_has_another_signature(call: Call) -> None:
    remote = Remote([call.good])
    async with call.open(remote) as client:
        await asyncio.gather(*(call.make(client) for _ in range(20)))
    assert len({request.headers["signature"] for request in remote.requests}) == 20
    assert len({remote.verify(request).nonce for request in remote.requests}) == 20


@pytest.mark.parametrize("call", SINGLE_CALLS.values(), ids=list(SINGLE_CALLS))
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_call_permanent_status_is_rejected(call: Call, status: int) -> None:
    async with call.open(Remote([responding_with_status(status)])) as client:
        with pytest.raises(RemoteRejected, match=str(status)):
            await call.make(client)
        assert client.is_available


@pytest.mark.parametrize("call", SINGLE_CALLS.values(), ids=list(SINGLE_CALLS))
async def test_call_method_not_allowed_is_unavailable(call: Call) -> None:
    async with call.open(Remote([responding_with_status(405), call.good])) as client:
        with pytest.raises(call.error, match="405"):
            await call.make(client)
        assert not client.is_available


@pytest.mark.parametrize(
    "status", [301, 307, 401, 403, 408, 409, 429, 500, 502, 503, 504, 507, 599]
)
async def test_call_transient_status_is_unavailable_until_success(call: Call, status: int) -> None:
    remote = Remote([responding_with_status(status), call.good])
    async with call.open(remote) as client:
        with pytest.raises(call.error, match=str(status)):
            await call.make(client)
        assert not client.is_available
        assert len(remote.requests) == 1, "a response is not retried"
        await call.make(client)
        assert client.is_available


def httpx2_errors() -> list[type[Exception]]:
    classes = [getattr(httpx2, name) for name in httpx2.__all__]
    return [cls for cls in classes if inspect.isclass(cls) and issubclass(cls, Exception)]


USAGE_ERRORS = (httpx2.StreamError, httpx2.CookieConflict)
"""Errors that neither a response nor the network can cause."""


async def test_call_any_error_of_httpx2_becomes_unavailable(call: Call) -> None:
    errors = [cls for cls in httpx2_errors() if not issubclass(cls, USAGE_ERRORS)]
    assert {httpx2.ReadTimeout, httpx2.ConnectError, httpx2.InvalidURL} <= set(errors)
    for error in errors:
        error_class: Any = error
        request = httpx2.Request("GET", "http://remote/")
        is_status = issubclass(error, httpx2.HTTPStatusError)
        more = {"request": request, "response": httpx2.Response(500)} if is_status else {}
        remote = Remote([failing(error_class("words", **more)), call.good])
        # A retry must fail as well.
        remote.handlers.insert(0, remote.handlers[0])
        async with call.open(remote) as client:
            with pytest.raises(call.error, match=f"{error.__name__}: words") as caught:
                await call.make(client)
            assert isinstance(caught.value.__cause__, error)
            assert not client.is_available


@pytest.mark.parametrize(
    "error",
    [httpx2.ConnectTimeout, httpx2.ReadTimeout, httpx2.PoolTimeout, httpx2.ConnectError],
)
async def test_call_timeout_is_not_retried(call: Call, error: type[httpx2.TransportError]) -> None:
    remote = Remote([failing(error(""))])
    async with call.open(remote) as client:
        with pytest.raises(call.error) as caught:
            await call.make(client)
    assert str(caught.value) == error.__name__
    assert len(remote.requests) == 1


async def test_call_encoded_response_is_unavailable(call: Call) -> None:
    handler = responding(b"no gzip", headers={"content-encoding": "gzip"})
    async with call.open(Remote([handler])) as client:
        with pytest.raises(call.error, match="DecodingError"):
            await call.make(client)
        assert not client.is_available


NOT_PICTURES = {
    "page": responding(b"<html/>", headers={"content-type": "text/html"}),
    "json": responding(b"{}", headers={"content-type": "application/json"}),
    "png": responding(b"\x89PNG", headers={"content-type": "image/png"}),
    "without a type": responding(SVG),
    "nothing": responding(b"", status=204, headers=PICTURE_TYPE),
    "created": responding(SVG, status=201, headers=PICTURE_TYPE),
    "another service": responding(b'{"error":"not found"}', status=404),
    "picture with 404": responding(SVG, status=404, headers=PICTURE_TYPE),
}


@pytest.mark.parametrize("handler", NOT_PICTURES.values(), ids=NOT_PICTURES)
async def test_draw_response_not_a_picture_is_unavailable(handler: Handler) -> None:
    async with renderer(Remote([handler])) as client:
        with pytest.raises(RendererUnavailable, match="not a picture"):
            await client.draw(SNAPSHOT, OPTIONS)


MALFORMED_RESPONSES = {
    "empty": responding(b""),
    "page": responding(b"<html/>"),
    "other json": responding(b"[]"),
    "without a URL": responding(b'{"superseded":true}'),
    "wrong URL": responding(b'{"url":5}'),
    "another service": responding(b'{"error":"not found"}', status=404),
    "cut short": responding(URL[:-1]),
}


@pytest.mark.parametrize("handler", MALFORMED_RESPONSES.values(), ids=MALFORMED_RESPONSES)
async def test_store_malformed_response_is_unavailable(handler: Handler) -> None:
    async with storage(Remote([handler])) as client:
        with pytest.raises(StorageUnavailable, match="malformed"):
            await client.store(REQUEST)


@pytest.mark.parametrize("handler", NOT_PICTURES.values(), ids=NOT_PICTURES)
async def test_get_response_not_a_picture_is_unavailable(handler: Handler) -> None:
    async with storage(Remote([handler])) as client:
        with pytest.raises(StorageUnavailable):
            await client.get("wycats-dark")


@pytest.mark.parametrize("name", ["draw", "store", "store_many", "remove"])
async def test_call_malformed_response_marks_the_remote_unavailable(name: str) -> None:
    call = CALLS[name]
    async with call.open(Remote([NOT_PICTURES["page"]])) as client:
        with pytest.raises(call.error):
            await call.make(client)
        assert not client.is_available


async def test_call_cancelled_marks_the_remote_unavailable(call: Call) -> None:
    was_requested = asyncio.Event()

    async def hang(request: httpx2.Request) -> httpx2.Response:
        was_requested.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    remote = Remote([hang, call.good])
    async with call.open(remote) as client:
        assert client.is_available
        waiting = asyncio.ensure_future(call.make(client))
        await was_requested.wait()
        assert client.is_available
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not client.is_available
        assert len(remote.requests) == 1
        await call.make(client)
        assert client.is_available


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://renderer:8081", "http://renderer:8081/preview"),
        ("http://renderer:8081/", "http://renderer:8081/preview"),
        ("http://gateway/inner/renderer", "http://gateway/inner/renderer/preview"),
        ("http://gateway/inner/renderer//", "http://gateway/inner/renderer/preview"),
        ("http://gateway/a%20b/~x", "http://gateway/a%20b/~x/preview"),
        ("https://[::1]:8081", "https://[::1]:8081/preview"),
    ],
)
async def test_base_url_with_a_path_is_kept(base_url: str, url: str) -> None:
    remote = Remote([respond_with_picture])
    async with renderer(remote, base_url) as client:
        assert await client.draw(SNAPSHOT, OPTIONS) == SVG
    (request,) = remote.requests
    assert str(request.url) == url
    # The signature is valid for the URL that was sent.
    remote.verify(request)


async def test_call_real_connection_closed_is_sent_again() -> None:
    heads: list[bytes] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        if len(heads) > 1:
            lines = [b"HTTP/1.1 200 OK", b"content-type: image/svg+xml", b"connection: close"]
            writer.write(b"\r\n".join([*lines, b"content-length: %d" % len(SVG), b"", SVG]))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, open_service_http(timeout=timedelta(seconds=5)) as http:
        client = StorageClient(http, base_url=f"http://127.0.0.1:{port}", signer=make_signer())
        assert await client.get("wycats-dark") == SVG
    nonces = {head.partition(b";nonce=")[2].partition(b"\r\n")[0] for head in heads}
    assert len(nonces) == len(heads) == 2


async def test_call_refused_connection_is_unavailable(unused_tcp_port: int) -> None:
    async with open_service_http(timeout=timedelta(seconds=5)) as http:
        client = RendererClient(
            http, base_url=f"http://127.0.0.1:{unused_tcp_port}", signer=make_signer()
        )
        with pytest.raises(RendererUnavailable, match="ConnectError"):
            await client.draw(SNAPSHOT, OPTIONS)
        assert not client.is_available


async def test_open_service_http_limits_connecting_to_one_second() -> None:
    for seconds, connect_seconds in [(5.0, 1.0), (0.5, 0.5)]:
        async with open_service_http(timeout=timedelta(seconds=seconds)) as http:
            assert http.timeout.connect == connect_seconds
            assert http.timeout.read == http.timeout.write == http.timeout.pool == seconds
            assert not http.trust_env


@pytest.mark.parametrize("make", [renderer, storage])
async def test_check_health_after_a_failure_requests_healthz(make: Any) -> None:
    remote = Remote(
        [responding_with_status(503), failing(httpx2.ConnectError("down")), responding(b"{}")]
    )
    async with make(remote, "http://somewhere/base") as client:
        await client.check_health()
        assert remote.requests == []
        with pytest.raises(Unavailable):
            await (client.draw(SNAPSHOT, OPTIONS) if make is renderer else client.store(REQUEST))
        await client.check_health()
        assert not client.is_available
        await client.check_health()
        assert client.is_available
        await client.check_health()
    assert [request.url.path for request in remote.requests[1:]] == ["/base/healthz"] * 2
