"""The clients of renderer and storage: what they send, and what they make of every answer."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

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
from github_banners.messaging.clients import RendererClient, StorageClient, open_http
from github_banners.messaging.mapping import to_preview_request
from github_banners.messaging.nonces import NonceCache
from github_banners.messaging.schemas import (
    BatchedBanner,
    PreviewRequest,
    StoreBatch,
    StoreRequest,
    StoreResponse,
    StoreResult,
    StoreResults,
)
from github_banners.messaging.signing import Signer, VerifiedHead, Verifier
from github_banners.messaging.tracing import parse_trace_id, trace_context
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import BannerOptions, Theme
from github_banners.settings import Secret

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = Secret("a secret that never travels")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SNAPSHOT = Snapshot(Owner(4, "WyCats", None, "Yehuda"), Stats(3, 2, 1, 10, 4, {"Ruby": 2}), NOW, 7)
LOOK = BannerOptions(theme=Theme.DARK, radius=3)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
ASK = StoreRequest(url_path="wycats-dark", banner_info=SVG, banner_format="svg", version=7)
URL = b'{"url":"/banners/wycats-dark"}'
BATCH = [
    BatchedBanner(url_path=f"b-{number}", banner_info=SVG, banner_format="svg", version=number)
    for number in range(3)
]
PICTURE_TYPE = {"content-type": "image/svg+xml; charset=utf-8"}

Answer: TypeAlias = Callable[[httpx2.Request], httpx2.Response | Awaitable[httpx2.Response]]


def said(
    body: bytes = b"", *, status: int = 200, headers: dict[str, str] | None = None
) -> httpx2.Response:
    # As a stream: what is made of bytes is decoded, and fails, before it is sent.
    return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(body))


def drawn(request: httpx2.Request) -> httpx2.Response:
    return said(SVG, headers=PICTURE_TYPE)


def stored_many(request: httpx2.Request) -> httpx2.Response:
    banners = StoreBatch.from_json(request.content).banners
    paths = [BatchedBanner.from_json(bytes(banner)).url_path for banner in banners]
    results = [StoreResult(url=f"/banners/{path}") for path in paths]
    return said(StoreResults(results=results).to_json())


def stored(request: httpx2.Request) -> httpx2.Response:
    return said(URL) if request.method == "POST" else said(SVG, headers=PICTURE_TYPE)


def saying(
    body: bytes = b"", *, status: int = 200, headers: dict[str, str] | None = None
) -> Answer:
    return lambda request: said(body, status=status, headers=headers)


def status_of(status: int) -> Answer:
    return saying(b'{"error": "a reason"}', status=status)


def failing(error: Exception) -> Answer:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise error

    return answer


@dataclass
class Remote:
    """Stands where a service would: gives its answers in turn, the last one for ever."""

    answers: list[Answer]
    asked: list[httpx2.Request] = field(default_factory=list)
    verifier: Verifier = field(
        default_factory=lambda: Verifier(
            [KEY], callers=["api"], nonces=NonceCache(), clock=lambda: NOW
        )
    )

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        made = answer(request)
        return await made if isinstance(made, Awaitable) else made

    def verify(self, request: httpx2.Request) -> VerifiedHead:
        """Judge a request as a service does, which takes each nonce once."""
        path, _, query = request.url.raw_path.partition(b"?")
        claim = self.verifier.check_head(request.method, path, query, request.headers.raw)
        self.verifier.check_body(claim, request.content)
        return claim


@asynccontextmanager
async def renderer(
    remote: Remote, base_url: str = "http://renderer"
) -> AsyncIterator[RendererClient]:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(remote)) as http:
        yield RendererClient(http, base_url=base_url, signer=signer())


@asynccontextmanager
async def storage(remote: Remote, base_url: str = "http://storage") -> AsyncIterator[StorageClient]:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(remote)) as http:
        yield StorageClient(http, base_url=base_url, signer=signer())


def signer() -> Signer:
    return Signer(KEY, service="api", clock=lambda: NOW)


@dataclass(frozen=True)
class Call:
    """One of the four calls that there are."""

    open: Callable[[Remote], Any]
    make: Callable[[Any], Awaitable[object]]
    good: Answer
    away: type[Unavailable]


CALLS = {
    "draw": Call(renderer, lambda one: one.draw(SNAPSHOT, LOOK), drawn, RendererUnavailable),
    "keep": Call(storage, lambda one: one.keep(ASK), stored, StorageUnavailable),
    "store_many": Call(storage, lambda one: one.store_many(BATCH), stored_many, StorageUnavailable),
    "get": Call(storage, lambda one: one.get("wycats-dark"), stored, StorageUnavailable),
}


@pytest.fixture(params=CALLS.values(), ids=list(CALLS))
def call(request: pytest.FixtureRequest) -> Call:
    made: Call = request.param
    return made


SINGLE_CALLS = {name: call for name, call in CALLS.items() if name != "store_many"}


@pytest.fixture(autouse=True)
def hurried() -> Iterator[None]:
    """Try again at once."""
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


async def test_a_drawing_is_asked_for_as_agreed() -> None:
    remote = Remote([drawn])
    async with renderer(remote) as client:
        assert await client.draw(SNAPSHOT, LOOK) == SVG
    (request,) = remote.asked
    assert (request.method, str(request.url)) == ("POST", "http://renderer/preview")
    assert request.headers["content-type"] == "application/json"
    assert PreviewRequest.from_json(request.content) == to_preview_request(SNAPSHOT, LOOK)
    assert remote.verify(request).caller == "api"


async def test_a_picture_is_stored_as_agreed() -> None:
    remote = Remote([stored])
    async with storage(remote) as client:
        assert await client.store(ASK) == StoreResponse(url="/banners/wycats-dark")
    (request,) = remote.asked
    assert (request.method, str(request.url)) == ("POST", "http://storage/banners")
    assert StoreRequest.from_json(request.content) == ASK
    assert remote.verify(request).caller == "api"


async def test_a_newer_picture_that_stays_is_no_failure() -> None:
    answer = saying(URL.replace(b"}", b',"superseded":true,"new":[]}'))
    async with storage(Remote([answer])) as client:
        assert await client.store(ASK) == StoreResponse(url="/banners/wycats-dark", superseded=True)
        assert client.is_available


async def test_pictures_are_stored_together_as_agreed() -> None:
    remote = Remote([stored_many])
    async with storage(remote) as client:
        answers = await client.store_many(BATCH)
        assert client.is_available
    assert answers == [StoreResponse(url=f"/banners/b-{number}") for number in range(3)]
    (request,) = remote.asked
    assert (request.method, str(request.url)) == ("POST", "http://storage/banners/batch")
    sent = [bytes(raw) for raw in StoreBatch.from_json(request.content).banners]
    assert [BatchedBanner.from_json(body) for body in sent] == BATCH
    # Each is also what a single call would have sent.
    assert [StoreRequest.from_json(body).version for body in sent] == [0, 1, 2]
    assert remote.verify(request).caller == "api"


def results(*fields: Mapping[str, object]) -> Answer:
    return saying(msgspec.json.encode({"results": fields, "new": 1}))


async def test_each_picture_of_a_batch_has_its_own_result() -> None:
    mixed = results(
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
async def test_a_status_for_a_picture_that_may_change_is_unavailable(status: int) -> None:
    async with storage(Remote([results(*[{"status": status}] * 3)])) as client:
        outcomes = await client.store_many(BATCH)
        assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 3
        assert not client.is_available


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_status_for_a_picture_that_stays_is_a_rejection(status: int) -> None:
    async with storage(Remote([results(*[{"status": status}] * 3)])) as client:
        outcomes = await client.store_many(BATCH)
        assert [type(outcome) for outcome in outcomes] == [RemoteRejected] * 3
        assert client.is_available


@pytest.mark.parametrize("status", [400, 404, 405, 413, 422])
async def test_a_storage_that_takes_no_batch_gets_each_picture_by_itself(status: int) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        path = StoreRequest.from_json(request.content).url_path
        if path == "b-1":
            return said(b'{"error":"invalid inputs"}', status=400)
        return said(b'{"url":"/banners/%b"}' % path.encode())

    remote = Remote([status_of(status), answer])
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
    assert [request.url.path for request in remote.asked] == ["/banners/batch"] + ["/banners"] * 3
    for request in remote.asked:
        remote.verify(request)
    traces = [parse_trace_id(request.headers["traceparent"]) for request in remote.asked[2:]]
    assert traces == [f"{number:032x}" for number in (1, 2)]
    assert [line["event"] for line in lines] == ["storage.batch_refused"]


async def test_a_storage_that_takes_no_batch_is_logged_once() -> None:
    answers = [status_of(405), *[saying(URL)] * 3] * 2
    async with storage(Remote([*answers])) as client:
        with capture_logs() as lines:
            for _ in range(2):
                assert (
                    await client.store_many(BATCH)
                    == [StoreResponse(url="/banners/wycats-dark")] * 3
                )
    assert [line["event"] for line in lines] == ["storage.batch_refused"]


async def test_a_storage_of_an_older_version_that_goes_away_fails_each_picture() -> None:
    remote = Remote([status_of(405), failing(httpx2.ConnectError("away"))])
    async with storage(remote) as client:
        outcomes = await client.store_many(BATCH)
        assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 3
        assert not client.is_available


NO_RESULTS = {
    "empty": saying(b""),
    "page": saying(b"<html/>"),
    "a single answer": saying(URL),
    "too few": results({"url": "/banners/b-0"}),
    "too many": results(*[{"url": "/banners/b-0"}] * 4),
    "wrong": results(*[{"url": 5}] * 3),
}


@pytest.mark.parametrize("answer", NO_RESULTS.values(), ids=NO_RESULTS)
async def test_what_are_no_results_of_a_storage_has_not_stored(answer: Answer) -> None:
    async with storage(Remote([answer])) as client:
        with pytest.raises(StorageUnavailable):
            await client.store_many(BATCH)
        assert not client.is_available


async def test_201_is_an_answer_too() -> None:
    async with storage(Remote([saying(URL, status=201)])) as client:
        assert (await client.store(ASK)).url == "/banners/wycats-dark"


async def test_a_stored_picture_is_read_and_one_that_is_none_is_none() -> None:
    none = saying(b'{"error":"banner doesn\'t exist"}', status=404)
    remote = Remote([stored, none])
    async with storage(remote) as client:
        assert await client.get("wycats-dark") == SVG
        assert client.is_available
        assert await client.get("wycats-dark") is None
        assert client.is_available
    for request in remote.asked:
        assert (request.method, str(request.url)) == ("GET", "http://storage/banners/wycats-dark")
        assert request.content == b""
        remote.verify(request)


async def test_the_id_of_what_is_being_done_goes_along(call: Call) -> None:
    remote = Remote([call.good])
    async with call.open(remote) as client:
        with trace_context(f"00-{TRACE}-00f067aa0ba902b7-01"):
            await call.make(client)
        await call.make(client)
    traces = [parse_trace_id(request.headers["traceparent"]) for request in remote.asked]
    assert traces[0] == TRACE
    assert traces[1] not in {None, TRACE}


async def test_the_key_does_not_travel(call: Call) -> None:
    remote = Remote([call.good])
    async with call.open(remote) as client:
        await call.make(client)
        assert KEY.reveal() not in repr(client)
    (request,) = remote.asked
    sent = request.content + b"".join(map(b": ".join, request.headers.raw)) + request.url.raw_path
    assert KEY.reveal().encode() not in sent


@pytest.mark.parametrize("error", [httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError])
async def test_what_met_a_closed_connection_is_signed_anew(
    call: Call, error: type[httpx2.TransportError]
) -> None:
    remote = Remote([failing(error("closed")), call.good])
    async with call.open(remote) as client:
        await call.make(client)
        assert client.is_available
    first, second = remote.asked
    assert (first.method, first.url, first.content) == (second.method, second.url, second.content)
    # A service that did see the first one takes the second one too.
    assert remote.verify(first).nonce != remote.verify(second).nonce


async def test_a_connection_that_closes_twice_is_enough(call: Call) -> None:
    remote = Remote([failing(httpx2.RemoteProtocolError("closed"))])
    async with call.open(remote) as client:
        with pytest.raises(call.away, match="RemoteProtocolError: closed"):
            await call.make(client)
        assert not client.is_available
    assert len(remote.asked) == 2


async def test_two_calls_never_have_the_same_signature(call: Call) -> None:
    remote = Remote([call.good])
    async with call.open(remote) as client:
        await asyncio.gather(*(call.make(client) for _ in range(20)))
    assert len({request.headers["signature"] for request in remote.asked}) == 20
    assert len({remote.verify(request).nonce for request in remote.asked}) == 20


@pytest.mark.parametrize("call", SINGLE_CALLS.values(), ids=list(SINGLE_CALLS))
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_will_never_be_taken_is_rejected(call: Call, status: int) -> None:
    async with call.open(Remote([status_of(status)])) as client:
        with pytest.raises(RemoteRejected, match=str(status)):
            await call.make(client)
        assert client.is_available


@pytest.mark.parametrize("call", SINGLE_CALLS.values(), ids=list(SINGLE_CALLS))
async def test_a_call_that_is_not_known_is_unavailable(call: Call) -> None:
    async with call.open(Remote([status_of(405), call.good])) as client:
        with pytest.raises(call.away, match="405"):
            await call.make(client)
        assert not client.is_available


@pytest.mark.parametrize(
    "status", [301, 307, 401, 403, 408, 409, 429, 500, 502, 503, 504, 507, 599]
)
async def test_what_may_be_taken_later_is_unavailable(call: Call, status: int) -> None:
    remote = Remote([status_of(status), call.good])
    async with call.open(remote) as client:
        with pytest.raises(call.away, match=str(status)):
            await call.make(client)
        assert not client.is_available
        assert len(remote.asked) == 1, "an answer is not asked for again"
        await call.make(client)
        assert client.is_available


def _errors_of_the_client() -> list[type[Exception]]:
    found = [one for name in httpx2.__all__ if inspect.isclass(one := getattr(httpx2, name))]
    return [one for one in found if issubclass(one, Exception)]


OUR_MISTAKES = (httpx2.StreamError, httpx2.CookieConflict)
"""What no answer and no network can cause."""


async def test_no_error_of_the_client_gets_out_as_itself(call: Call) -> None:
    errors = [one for one in _errors_of_the_client() if not issubclass(one, OUR_MISTAKES)]
    assert {httpx2.ReadTimeout, httpx2.ConnectError, httpx2.InvalidURL} <= set(errors)
    for error in errors:
        made: Any = error
        request = httpx2.Request("GET", "http://remote/")
        is_status = issubclass(error, httpx2.HTTPStatusError)
        more = {"request": request, "response": httpx2.Response(500)} if is_status else {}
        remote = Remote([failing(made("words", **more)), call.good])
        # What is tried a second time has to fail there as well.
        remote.answers.insert(0, remote.answers[0])
        async with call.open(remote) as client:
            with pytest.raises(call.away, match=f"{error.__name__}: words") as caught:
                await call.make(client)
            assert isinstance(caught.value.__cause__, error)
            assert not client.is_available


@pytest.mark.parametrize(
    "error",
    [httpx2.ConnectTimeout, httpx2.ReadTimeout, httpx2.PoolTimeout, httpx2.ConnectError],
)
async def test_who_does_not_answer_is_asked_once(
    call: Call, error: type[httpx2.TransportError]
) -> None:
    remote = Remote([failing(error(""))])
    async with call.open(remote) as client:
        with pytest.raises(call.away) as caught:
            await call.make(client)
    assert str(caught.value) == error.__name__
    assert len(remote.asked) == 1


async def test_an_answer_that_can_not_be_unpacked_is_unavailable(call: Call) -> None:
    answer = saying(b"no gzip", headers={"content-encoding": "gzip"})
    async with call.open(Remote([answer])) as client:
        with pytest.raises(call.away, match="DecodingError"):
            await call.make(client)
        assert not client.is_available


NO_PICTURES = {
    "page": saying(b"<html/>", headers={"content-type": "text/html"}),
    "json": saying(b"{}", headers={"content-type": "application/json"}),
    "png": saying(b"\x89PNG", headers={"content-type": "image/png"}),
    "without a type": saying(SVG),
    "nothing": saying(b"", status=204, headers=PICTURE_TYPE),
    "created": saying(SVG, status=201, headers=PICTURE_TYPE),
    "another address": saying(b'{"error":"not found"}', status=404),
    "drawn not found": saying(SVG, status=404, headers=PICTURE_TYPE),
}


@pytest.mark.parametrize("answer", NO_PICTURES.values(), ids=NO_PICTURES)
async def test_what_is_no_picture_is_as_good_as_no_answer(answer: Answer) -> None:
    async with renderer(Remote([answer])) as client:
        with pytest.raises(RendererUnavailable, match="no picture"):
            await client.draw(SNAPSHOT, LOOK)


NO_ANSWERS = {
    "empty": saying(b""),
    "page": saying(b"<html/>"),
    "other json": saying(b"[]"),
    "without an address": saying(b'{"superseded":true}'),
    "wrong address": saying(b'{"url":5}'),
    "another service": saying(b'{"error":"not found"}', status=404),
    "cut short": saying(URL[:-1]),
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_what_is_no_answer_of_a_storage_has_not_stored(answer: Answer) -> None:
    async with storage(Remote([answer])) as client:
        with pytest.raises(StorageUnavailable, match="no answer"):
            await client.store(ASK)


@pytest.mark.parametrize("answer", NO_PICTURES.values(), ids=NO_PICTURES)
async def test_what_is_no_storage_says_of_no_picture_that_it_is_none(answer: Answer) -> None:
    async with storage(Remote([answer])) as client:
        with pytest.raises(StorageUnavailable):
            await client.get("wycats-dark")


@pytest.mark.parametrize("name", ["draw", "keep", "store_many"])
async def test_who_answers_garbage_is_away(name: str) -> None:
    call = CALLS[name]
    async with call.open(Remote([NO_PICTURES["page"]])) as client:
        with pytest.raises(call.away):
            await call.make(client)
        assert not client.is_available


async def test_who_waits_no_longer_has_had_no_answer(call: Call) -> None:
    was_asked = asyncio.Event()

    async def hang(request: httpx2.Request) -> httpx2.Response:
        was_asked.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody waits for this")

    remote = Remote([hang, call.good])
    async with call.open(remote) as client:
        assert client.is_available
        waiting = asyncio.ensure_future(call.make(client))
        await was_asked.wait()
        assert client.is_available
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not client.is_available
        assert len(remote.asked) == 1
        await call.make(client)
        assert client.is_available


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("http://renderer:8081", "http://renderer:8081/preview"),
        ("http://renderer:8081/", "http://renderer:8081/preview"),
        ("http://gateway/inner/renderer", "http://gateway/inner/renderer/preview"),
        ("http://gateway/inner/renderer//", "http://gateway/inner/renderer/preview"),
        ("http://gateway/a%20b/~x", "http://gateway/a%20b/~x/preview"),
        ("https://[::1]:8081", "https://[::1]:8081/preview"),
    ],
)
async def test_a_service_may_lie_below_a_path(base_url: str, address: str) -> None:
    remote = Remote([drawn])
    async with renderer(remote, base_url) as client:
        assert await client.draw(SNAPSHOT, LOOK) == SVG
    (request,) = remote.asked
    assert str(request.url) == address
    # What is signed is what goes over the wire.
    remote.verify(request)


async def test_on_a_real_connection_that_closes_the_call_is_made_again() -> None:
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        if len(heads) > 1:
            lines = [b"HTTP/1.1 200 OK", b"content-type: image/svg+xml", b"connection: close"]
            writer.write(b"\r\n".join([*lines, b"content-length: %d" % len(SVG), b"", SVG]))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, open_http(timeout=timedelta(seconds=5)) as http:
        client = StorageClient(http, base_url=f"http://127.0.0.1:{port}", signer=signer())
        assert await client.get("wycats-dark") == SVG
    nonces = {head.partition(b";nonce=")[2].partition(b"\r\n")[0] for head in heads}
    assert len(nonces) == len(heads) == 2


async def test_a_remote_that_is_not_there_is_unavailable(unused_tcp_port: int) -> None:
    async with open_http(timeout=timedelta(seconds=5)) as http:
        client = RendererClient(
            http, base_url=f"http://127.0.0.1:{unused_tcp_port}", signer=signer()
        )
        with pytest.raises(RendererUnavailable, match="ConnectError"):
            await client.draw(SNAPSHOT, LOOK)
        assert not client.is_available


async def test_no_connection_is_waited_for_longer_than_a_second() -> None:
    for seconds, connect_seconds in [(5.0, 1.0), (0.5, 0.5)]:
        async with open_http(timeout=timedelta(seconds=seconds)) as http:
            assert http.timeout.connect == connect_seconds
            assert http.timeout.read == http.timeout.write == http.timeout.pool == seconds
            assert not http.trust_env


@pytest.mark.parametrize("make", [renderer, storage])
async def test_who_did_not_answer_is_knocked_at(make: Any) -> None:
    remote = Remote([status_of(503), failing(httpx2.ConnectError("away")), saying(b"{}")])
    async with make(remote, "http://somewhere/base") as client:
        await client.knock()
        assert remote.asked == []
        with pytest.raises(Unavailable):
            await (client.draw(SNAPSHOT, LOOK) if make is renderer else client.keep(ASK))
        await client.knock()
        assert not client.is_available
        await client.knock()
        assert client.is_available
        await client.knock()
    assert [one.url.path for one in remote.asked[1:]] == ["/base/healthz"] * 2
