"""The storage service: behind its signature middleware, in process, on a disk and in a bucket."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import httpx2
import pytest
from starlette.types import ASGIApp

from github_banners.errors import RemoteRejected, StorageUnavailable
from github_banners.messaging.clients import StorageClient
from github_banners.messaging.schemas import (
    MAX_BATCH_BANNERS,
    BatchedBanner,
    RemoveResponse,
    StoreRequest,
    StoreResponse,
)
from github_banners.messaging.signing import Signer
from github_banners.serving.service import Service
from github_banners.settings import Settings
from github_banners.storage import bucket_store, folder_store
from github_banners.storage.banner_routes import MAX_BODY_BYTES, VERSION_HEADER
from github_banners.storage.picture_format import MAX_BYTES, with_version
from github_banners.storage.storage_service import open_storage
from tests.integration.store_backends import StoreBackend
from tests.unit.api.asgi import RecordedResponse, open_websocket
from tests.unit.messaging.captured_messages import STORE
from tests.unit.messaging.handwritten_signatures import (
    CURRENT,
    FOREIGN,
    NOW,
    PREVIOUS,
    Call,
    parameters,
    signed,
)
from tests.unit.serving.test_metrics import scrape

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><text>\xc3\xa9</text></svg>'
NEWER = SVG.replace(b"\xc3\xa9", b"newer")
SECRET_SVG = SVG.replace(b"\xc3\xa9", b"not for you")
NAME, VERSION = "wycats-dark", 5
UNSIGNED = (401, b'{"error":"signature refused"}')
URL = f"/banners/{NAME}"


async def send(app: ASGIApp, call: Call, *, chunk_bytes: int = 1 << 30) -> RecordedResponse:
    """Send a call unchanged; an HTTP client would normalise its path."""
    body = [
        call.body[start : start + chunk_bytes] for start in range(0, len(call.body), chunk_bytes)
    ]
    chunks = iter(body or [b""])
    response, chunks_left = RecordedResponse(), max(1, len(body))
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": call.method,
        "scheme": "http",
        "path": unquote_to_bytes(call.path).decode(errors="replace"),
        "raw_path": call.path,
        "query_string": call.query,
        "root_path": "",
        "headers": [(b"host", b"storage"), *call.headers],
        "client": ("127.0.0.1", 1),
        "server": ("storage", 80),
    }

    async def receive() -> Any:
        nonlocal chunks_left
        chunks_left -= 1
        return {"type": "http.request", "body": next(chunks), "more_body": chunks_left > 0}

    async def record(message: Any) -> None:
        response.messages.append(message)

    await app(scope, receive, record)
    return response


def get(path: bytes = URL.encode(), *, method: str = "GET", **headers: str) -> Call:
    raw = tuple((name.replace("_", "-").encode(), text.encode()) for name, text in headers.items())
    return signed(Call(method, path, b"", raw, b""))


def post(body: bytes) -> Call:
    return signed(Call("POST", b"/banners", b"", (), body))


def store_body(svg: bytes = SVG, **fields: object) -> bytes:
    """A request to store in the form of another implementation of the API."""
    message = json.loads(STORE) | {"banner_info": b64encode(svg).decode()} | fields
    return json.dumps(message).encode()


def url_read_by_other_implementation(response: RecordedResponse) -> str:
    """Read a response as that implementation does: status 200 or 201 and a string `url`."""
    assert response.status in {200, 201}
    url: str = json.loads(response.body)["url"]
    return url


@dataclass
class StorageServiceHarness:
    """A storage service, the client of another service, and where its files are."""

    service: Service
    backend: StoreBackend
    client: StorageClient

    def contents(self) -> Mapping[str, bytes | None]:
        return self.backend.contents()

    def file_names(self) -> set[str]:
        return {path.rpartition("/")[2] for path in self.contents() if path.endswith(".svg")}

    async def send(self, call: Call, **more: int) -> RecordedResponse:
        return await send(self.service.app, call, **more)


@pytest.fixture
async def harness(backend: StoreBackend, tmp_path: Path) -> AsyncIterator[StorageServiceHarness]:
    settings = Settings.from_environment(
        {
            **backend.environment,
            "SERVICES_SECRET_KEY": CURRENT.reveal(),
            "SERVICES_SECRET_KEY_PREVIOUS": PREVIOUS.reveal(),
        }
    )
    unused = tmp_path / "unused"
    async with open_storage(settings, banners_dir=unused, clock=lambda: NOW) as service:
        transport = httpx2.ASGITransport(app=service.app)
        async with httpx2.AsyncClient(transport=transport) as http:
            signer = Signer(CURRENT, service="api", clock=lambda: NOW)
            yield StorageServiceHarness(
                service, backend, StorageClient(http, base_url="http://storage", signer=signer)
            )


def store_request(
    svg: bytes = SVG, *, version: int | None = VERSION, path: str = NAME
) -> StoreRequest:
    return StoreRequest(url_path=path, banner_info=svg, banner_format="svg", version=version)


async def test_get_returns_the_stored_picture(harness: StorageServiceHarness) -> None:
    assert await harness.client.get(NAME) is None
    assert await harness.client.store(store_request()) == StoreResponse(url=URL)
    assert await harness.client.get(NAME) == SVG
    assert harness.client.is_available


async def test_store_older_version_is_superseded_and_equal_overwrites(
    harness: StorageServiceHarness,
) -> None:
    await harness.client.store(store_request())
    older = await harness.client.store(store_request(NEWER, version=VERSION - 1))
    assert older == StoreResponse(url=URL, superseded=True)
    assert await harness.client.get(NAME) == SVG
    assert await harness.client.store(store_request(NEWER)) == StoreResponse(url=URL)
    assert await harness.client.get(NAME) == NEWER


async def test_remove_refuses_the_picture_from_then_on(harness: StorageServiceHarness) -> None:
    await harness.client.store(store_request())
    removed = await harness.client.remove(NAME, version=VERSION)
    assert removed == RemoveResponse(url=URL, removed=True)
    assert await harness.client.get(NAME) is None
    assert await harness.client.store(store_request()) == StoreResponse(url=URL, superseded=True)
    assert await harness.client.get(NAME) is None
    assert await harness.client.remove(NAME, version=VERSION) == RemoveResponse(url=URL)
    await harness.client.store(store_request(version=VERSION + 1))
    assert await harness.client.get(NAME) == SVG


@pytest.mark.parametrize("query", [b"", b"version=", b"version=-1", b"version=9223372036854775808"])
async def test_remove_invalid_version_is_refused(
    harness: StorageServiceHarness, query: bytes
) -> None:
    await harness.client.store(store_request())
    response = await harness.send(signed(Call("DELETE", URL.encode(), query, (), b"")))
    assert (response.status, json.loads(response.body)["field"]) == (400, "version")
    assert await harness.client.get(NAME) == SVG


async def test_store_many_versions_at_once_newest_wins(
    harness: StorageServiceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each write waits for the ones before it.
    for store in (bucket_store, folder_store):
        monkeypatch.setattr(store, "MAX_WRITE_SECONDS", 60.0)
    requests = [
        store_request(SVG.replace(b"\xc3\xa9", b"%d" % version), version=version)
        for version in range(40)
    ]
    responses = await asyncio.gather(
        *(harness.client.store(request) for request in requests[::2] + requests[1::2])
    )
    assert {response.url for response in responses} == {URL}
    assert await harness.client.get(NAME) == requests[-1].banner_info
    assert (await harness.send(get())).headers[VERSION_HEADER] == "39"


async def test_path_is_case_insensitive(harness: StorageServiceHarness) -> None:
    assert (await harness.client.store(store_request(path="WyCats-DARK"))).url == URL
    assert (await harness.send(get(b"/banners/WYCATS-dark"))).body == SVG


async def test_get_returns_type_version_and_etag(harness: StorageServiceHarness) -> None:
    await harness.client.store(store_request())
    picture = await harness.send(get())
    assert (picture.status, picture.body) == (200, SVG)
    assert (
        picture.headers.items()
        >= {
            "content-type": "image/svg+xml",
            "content-length": str(len(SVG)),
            "x-content-type-options": "nosniff",
            "cache-control": "no-cache",
            VERSION_HEADER: str(VERSION),
        }.items()
    )
    etag = picture.headers["etag"]
    assert etag[0] == etag[-1] == '"'
    for tags in (etag, f'"other", W/{etag}', "*"):
        same = await harness.send(get(if_none_match=tags))
        assert (same.status, same.body) == (304, b"")
        assert (same.headers["etag"], same.headers[VERSION_HEADER]) == (etag, str(VERSION))
        assert "content-type" not in same.headers
    assert (await harness.send(get(if_none_match='"other"'))).status == 200


async def test_get_etag_changes_with_the_picture(harness: StorageServiceHarness) -> None:
    await harness.client.store(store_request())
    etag = (await harness.send(get())).headers["etag"]
    await harness.client.store(store_request(version=VERSION + 1))
    assert (await harness.send(get(if_none_match=etag))).headers[VERSION_HEADER] == str(VERSION + 1)
    await harness.client.store(store_request(NEWER, version=VERSION + 2))
    assert (await harness.send(get(if_none_match=etag))).body == NEWER


async def test_head_returns_the_headers_of_get(harness: StorageServiceHarness) -> None:
    await harness.client.store(store_request())
    head, complete = await harness.send(get(method="HEAD")), await harness.send(get())
    assert (head.status, head.headers) == (200, complete.headers)
    same = await harness.send(get(method="HEAD", if_none_match=complete.headers["etag"]))
    assert same.status == 304
    assert (await harness.send(get(b"/banners/nobody", method="HEAD"))).status == 404


async def test_store_body_of_another_implementation_is_accepted(
    harness: StorageServiceHarness,
) -> None:
    response = await harness.send(post(store_body()))
    assert url_read_by_other_implementation(response) == URL
    assert json.loads(response.body) == {"url": URL}
    assert await harness.client.get(NAME) == SVG
    # A request without a version keeps the stored one.
    await harness.client.store(store_request())
    assert url_read_by_other_implementation(await harness.send(post(store_body(NEWER)))) == URL
    picture = await harness.send(get())
    assert (picture.body, picture.headers[VERSION_HEADER]) == (NEWER, str(VERSION))


async def test_store_superseded_response_is_compatible(
    harness: StorageServiceHarness,
) -> None:
    await harness.client.store(store_request())
    response = await harness.send(post(store_body(version=1)))
    assert url_read_by_other_implementation(response) == URL
    assert json.loads(response.body) == {"url": URL, "superseded": True}


async def test_client_request_is_compatible_with_another_implementation() -> None:
    sent: list[Any] = []

    def other_storage(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content))
        plain = {"content-type": "text/plain; charset=utf-8"}
        return httpx2.Response(200, headers=plain, content=b'{"url":"/banners/WyCats-dark"}')

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(other_storage)) as http:
        signer = Signer(CURRENT, service="api", clock=lambda: NOW)
        client = StorageClient(http, base_url="http://storage", signer=signer)
        stored = await client.store(store_request(version=None))
    assert stored == StoreResponse(url="/banners/WyCats-dark")
    (message,) = sent
    assert message.keys() == json.loads(STORE).keys()
    assert b64decode(message["banner_info"], validate=True) == SVG


# Batches


def batched_banner(number: int, svg: bytes = SVG, **fields: Any) -> BatchedBanner:
    plain = {"url_path": f"b-{number}", "banner_format": "svg", "version": VERSION}
    return BatchedBanner(**{**plain, "banner_info": svg, **fields})


def post_batch(body: bytes) -> Call:
    return signed(Call("POST", b"/banners/batch", b"", (), body))


async def test_store_many_full_batch_is_one_call(harness: StorageServiceHarness) -> None:
    pictures = [SVG.replace(b"\xc3\xa9", b"%d" % n) for n in range(MAX_BATCH_BANNERS)]
    batch = [batched_banner(number, svg) for number, svg in enumerate(pictures)]
    responses = await harness.client.store_many(batch)
    assert responses == [StoreResponse(url=f"/banners/b-{n}") for n in range(MAX_BATCH_BANNERS)]
    assert [await harness.client.get(f"b-{n}") for n in range(MAX_BATCH_BANNERS)] == pictures
    metrics = await scrape(harness.service.metrics)
    assert metrics["requests_total{POST /banners/batch,200}"] == 1
    assert metrics["stored_total{stored}"] == MAX_BATCH_BANNERS


async def test_store_many_invalid_banner_fails_alone(harness: StorageServiceHarness) -> None:
    await harness.client.store(store_request())
    batch = [
        batched_banner(1),
        batched_banner(2, b"<html/>"),
        batched_banner(3, url_path="../outside"),
        batched_banner(4, url_path=NAME, version=VERSION - 1),
        batched_banner(5, SVG + b" " * MAX_BYTES),
        batched_banner(6),
    ]
    first, no_picture, outside, older, large, last = await harness.client.store_many(batch)
    assert first == StoreResponse(url="/banners/b-1")
    assert older == StoreResponse(url=URL, superseded=True)
    assert last == StoreResponse(url="/banners/b-6")
    for response, field in ((no_picture, "banner_info"), (outside, "url_path"), (large, "banner")):
        assert isinstance(response, RemoteRejected)
        assert field in str(response)
    assert harness.file_names() == {"wycats-dark.svg", "b-1.svg", "b-6.svg"}
    counted = await scrape(harness.service.metrics)
    assert counted["stored_total{refused}"] == 3
    assert counted["stored_total{superseded}"] == 1


async def test_store_many_store_down_fails_each_banner(harness: StorageServiceHarness) -> None:
    harness.backend.go_down()
    responses = await harness.client.store_many([batched_banner(1), batched_banner(2)])
    assert [type(response) for response in responses] == [StorageUnavailable] * 2
    assert not harness.client.is_available
    harness.backend.come_back()
    assert (await harness.client.store_many([batched_banner(1)])) == [
        StoreResponse(url="/banners/b-1")
    ]
    assert harness.client.is_available


async def test_batch_malformed_body_is_refused(harness: StorageServiceHarness) -> None:
    single = store_body()
    many = b'{"banners":[%b]}' % b",".join([single] * (MAX_BATCH_BANNERS + 1))
    for body in (b"", b"[]", single, b'{"banners":[]}', b'{"banners":[%b}' % single, many):
        response = await harness.send(post_batch(body))
        assert (response.status, json.loads(response.body)["error"]) == (400, "invalid inputs")
    assert harness.contents() == {}


async def test_batch_above_the_limit_is_too_large(harness: StorageServiceHarness) -> None:
    body = b'{"banners":[%b]}' % store_body()
    fits = body + b" " * (MAX_BODY_BYTES - len(body))
    assert (await harness.send(post_batch(fits + b" "), chunk_bytes=1 << 16)).status == 413
    assert harness.contents() == {}
    assert (await harness.send(post_batch(fits), chunk_bytes=1 << 16)).status == 200


async def test_banner_named_batch_is_stored(harness: StorageServiceHarness) -> None:
    await harness.client.store(store_request(path="batch"))
    assert await harness.client.get("batch") == SVG


# Signatures and routes

UNSIGNED_PROBES = [
    ("GET", b"/healthz"),
    ("HEAD", b"/healthz"),
    ("GET", b"/readyz"),
    ("HEAD", b"/readyz"),
]
SIGNED_ONLY = [
    ("POST", b"/banners"), ("GET", URL.encode()), ("HEAD", URL.encode()), ("GET", b"/banners"),
    ("DELETE", URL.encode()), ("PUT", URL.encode()), ("OPTIONS", b"/banners"),
    ("PROPFIND", b"/banners"), ("POST", b"/healthz"), ("DELETE", b"/readyz"),
    ("OPTIONS", b"/healthz"), ("GET", b"/healthz/"), ("GET", b"/HEALTHZ"),
    ("GET", b"/healthz/../banners/wycats-dark"), ("GET", b"/banners/../healthz"),
    ("GET", b"/readyz;x"), ("GET", b"/"), ("GET", b""), ("GET", b"/schema"), ("GET", b"/docs"),
    ("GET", b"/nothing/of/the/kind"), ("GET", b"//healthz"), ("GET", b"http://storage/healthz"),
    ("GET", b"/\xc3\xa9"), ("POST", b"/banners/batch"), ("GET", b"/banners/batch"),
]  # fmt: skip


async def test_probe_unsigned_is_served(harness: StorageServiceHarness) -> None:
    for method, path in UNSIGNED_PROBES:
        assert (await harness.send(Call(method, path, b"", (), b""))).status == 200


async def test_unsigned_call_is_refused(harness: StorageServiceHarness) -> None:
    await harness.client.store(store_request())
    before = harness.contents()
    for method, path in SIGNED_ONLY:
        response = await harness.send(Call(method, path, b"x=1", (), store_body(NEWER, version=9)))
        assert (response.status, response.body) == UNSIGNED, (method, path)
        assert response.headers.keys() == {"content-type", "content-length"}
    assert harness.contents() == before


FORGED_CALLS = {
    "foreign key": signed(Call(body=store_body()), key=FOREIGN),
    "another service": signed(Call(body=store_body()), params=parameters(keyid="gateway")),
    "storage itself": signed(Call(body=store_body()), params=parameters(keyid="storage")),
    "another body": replace(signed(Call(body=store_body())), body=store_body(NEWER)),
    "another path": replace(signed(Call(path=b"/banner", body=store_body())), path=b"/banners"),
    "another query": replace(signed(Call(body=store_body())), query=b"v=2"),
    "long ago": signed(Call(body=store_body()), params=parameters(created=1)),
}


async def test_forged_call_stores_nothing(harness: StorageServiceHarness) -> None:
    for reason, call in FORGED_CALLS.items():
        response = await harness.send(call)
        assert (response.status, response.body) == UNSIGNED, reason
    assert harness.contents() == {}


async def test_repeated_call_is_refused(harness: StorageServiceHarness) -> None:
    call = post(store_body())
    assert [(await harness.send(call)).status for _ in range(3)] == [200, 401, 401]


async def test_previous_key_is_accepted(harness: StorageServiceHarness) -> None:
    call = signed(Call(path=b"/banners", body=store_body()), key=PREVIOUS)
    assert (await harness.send(call)).status == 200


@pytest.mark.parametrize("caller", ["api", "renderer"])
async def test_api_and_renderer_may_call(harness: StorageServiceHarness, caller: str) -> None:
    call = signed(Call(body=store_body()), params=parameters(keyid=caller))
    assert (await harness.send(call)).status == 200


async def test_websocket_is_closed(harness: StorageServiceHarness) -> None:
    assert await open_websocket(harness.service.app, "/healthz") == [
        {"type": "websocket.close", "code": 1008}
    ]


async def test_signed_call_unknown_route_is_not_found(harness: StorageServiceHarness) -> None:
    reads, writes = {"GET", "HEAD"}, {"POST"}
    for method, path, allowed in [
        ("GET", b"/nothing/of/the/kind", None),
        ("GET", b"/", None),
        ("GET", b"/schema", None),
        ("GET", b"/banners", writes),
        ("PUT", b"/banners", writes),
        ("PATCH", URL.encode(), reads),
        ("POST", URL.encode(), reads),
    ]:
        response = await harness.send(get(path, method=method))
        assert response.status == (405 if allowed else 404), (method, path)
        assert response.headers["content-type"] == "application/json"
        allow = response.headers.get("allow")
        assert (allow and {method.strip() for method in allow.split(",")}) == allowed


# Paths that try to leave the folder

ESCAPING_PATHS = [
    "", ".", "..", "../outside", "../../outside", "..\\outside", "a/../../outside",
    "./wycats-dark", "a/b", "/outside", "//outside", "/etc/passwd", "file:///etc/passwd",
    "%2e%2e%2foutside", "%252e%252e%252foutside", "..%2foutside", "%00", "wycats-dark\0",
    "wycats-dark\0.svg", "a\\b", "C:\\outside", ".hidden", ".locks", ".locks/00",
    "wycats-dark\n", "wycats-dark\r\n", "\nwycats-dark", "wycats-dark ", "wycats-dark/",
    "wycats-dark.svg", "~root", "$HOME", "x" * 129, "x" * 300, "x" * 100_000,
    # Characters that fold to a slash, to dots or to letters of an existing banner.
    "..\u2044outside", "..\uff0foutside", "..\u2215outside", "\u2024\u2024/outside",
    "\uff0e\uff0e\uff0foutside", "\u212a", "wycats-dar\u212a", "wycat\u017f-dark",
    "wycats\u2010dark", "wycats-dark\u200b", "\ufeffwycats-dark", "wycats-dark\u0301", "\u0661",
]  # fmt: skip


@pytest.fixture
async def surrounded(harness: StorageServiceHarness) -> StorageServiceHarness:
    """The storage with secret files around it, which an escaping path would return."""
    await harness.client.store(store_request())
    stolen = with_version(SECRET_SVG, 1)
    harness.backend.add_around("outside.svg", stolen)
    for name in (".hidden.svg", "sub/inner.svg"):
        harness.backend.add_file(name, stolen)
    return harness


async def test_store_escaping_path_is_refused(surrounded: StorageServiceHarness) -> None:
    before = surrounded.contents()
    for path in ESCAPING_PATHS:
        response = await surrounded.send(post(store_body(NEWER, url_path=path, version=99)))
        problem = json.loads(response.body)
        assert (response.status, problem.get("field")) == (400, "url_path"), path[:300]
    assert surrounded.contents() == before


async def test_store_path_not_a_string_is_refused(surrounded: StorageServiceHarness) -> None:
    before = surrounded.contents()
    for path in ("\ud800", "..\ud800", 5, None, ["a"], {"a": 1}):
        response = await surrounded.send(post(store_body(NEWER, url_path=path, version=99)))
        assert (response.status, json.loads(response.body)["error"]) == (400, "invalid inputs"), (
            path
        )
    assert surrounded.contents() == before


ESCAPING_URL_PATHS = [
    b".", b"..", b"../outside", b"../../outside", b"%2e%2e%2foutside", b"%2E%2E/outside",
    b"..%2foutside", b"..%5coutside", b"..\\outside", b"%252e%252e%252foutside",
    b"%25252e%25252e%25252foutside", b"a/../../outside", b"wycats-dark/../../outside",
    b"sub", b"sub/inner", b"sub%2finner", b"/outside", b"//outside",
    b"outside", b"%2foutside", b"/etc/passwd", b"%2fetc%2fpasswd", b"%00", b"wycats-dark%00",
    b"wycats-dark%00.svg", b"wycats-dark%0a", b"wycats-dark%0d%0a", b"%20wycats-dark",
    b"wycats-dark%20", b"a%5cb", b".hidden", b"%2ehidden", b".locks", b".locks/00",
    b".locks%2f00", b"wycats-dark.svg", b"~root", b"x" * 129, b"x" * 300, b"x" * 60_000,
    b"wycats-dark%", b"wycats-dark%zz", b"wycats-dark;x", b"wycats-dark%ff",
    # Overlong dots and slash, U+2044, U+FF0F, full-width dots, the Kelvin sign, the long s.
    b"%c0%ae%c0%ae%c0%afoutside", b"..%e2%81%84outside", b"..%ef%bc%8foutside",
    b"%ef%bc%8e%ef%bc%8e%ef%bc%8foutside", b"%e2%84%aa", b"wycats-dar%e2%84%aa",
    b"wycat%c5%bf-dark",
]  # fmt: skip
OTHER_STATUSES = {
    b"": 405,  # routed to `/banners`
    b"/": 405,
    "wycats-dar\u212a".encode(): 401,  # only ASCII can be signed
}
STATUSES = dict.fromkeys(ESCAPING_URL_PATHS, 404) | OTHER_STATUSES


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_get_escaping_path_is_not_found(
    surrounded: StorageServiceHarness, method: str
) -> None:
    before = surrounded.contents()
    for path, status in STATUSES.items():
        response = await surrounded.send(get(b"/banners/" + path, method=method))
        assert response.status == status, path[:300]
        assert response.headers["content-type"] == "application/json"
        assert b"not for you" not in response.body
        assert VERSION_HEADER not in response.headers
    assert surrounded.contents() == before


# Invalid pictures and bodies

INVALID_PICTURES = {
    "empty": b"",
    "text": b"hello",
    "as it was captured, without a namespace": b64decode(json.loads(STORE)["banner_info"]),
    "document type": b"<!DOCTYPE svg>" + SVG,
    "entities": b'<!DOCTYPE svg [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>' + SVG,
    "from outside": b'<!DOCTYPE svg SYSTEM "file:///etc/passwd">' + SVG,
    "page": b'<html xmlns="http://www.w3.org/1999/xhtml"/>',
    "other root": b'<g xmlns="http://www.w3.org/2000/svg"/>',
    "cut short": SVG[:-1],
    "more behind": SVG + SVG,
    "latin-1": SVG.replace(b"\xc3\xa9", b"\xe9"),
    "utf-16": SVG.decode().encode("utf-16"),
    "zero": SVG + b"\0",
    "png": b"\x89PNG\r\n\x1a\n",
    "above 1 MB": SVG + b" " * (MAX_BYTES + 1 - len(SVG)),
}


@pytest.mark.parametrize("svg", INVALID_PICTURES.values(), ids=list(INVALID_PICTURES))
async def test_store_invalid_picture_keeps_the_old_one(
    harness: StorageServiceHarness, svg: bytes
) -> None:
    await harness.client.store(store_request())
    before = harness.contents()
    response = await harness.send(post(store_body(svg, version=99)))
    problem = json.loads(response.body)
    assert (response.status, problem["field"]) == (400, "banner_info")
    assert harness.contents() == before
    with pytest.raises(RemoteRejected, match="400"):
        await harness.client.store(store_request(svg, version=99))
    assert harness.client.is_available


async def test_store_largest_picture_is_accepted(harness: StorageServiceHarness) -> None:
    largest = SVG + b" " * (MAX_BYTES - len(SVG))
    assert (await harness.client.store(store_request(largest))).url == URL
    assert await harness.client.get(NAME) == largest


MALFORMED = {
    "empty": b"",
    "no json": b"<svg/>",
    "list": b"[]",
    "no base64": store_body(banner_info="<svg/>"),
    "another format": store_body(banner_format="png"),
    "a negative version": store_body(version=-1),
    "a version that no column holds": store_body(version=2**63),
    "deep": b'{"url_path":' + b"[" * 100_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=list(MALFORMED))
async def test_store_malformed_body_is_refused(harness: StorageServiceHarness, body: bytes) -> None:
    response = await harness.send(post(body))
    assert (response.status, json.loads(response.body)["error"]) == (400, "invalid inputs")
    assert harness.contents() == {}


FIELDS = ("url_path", "banner_info", "banner_format")


@pytest.mark.parametrize("field", FIELDS)
async def test_store_missing_field_is_refused(harness: StorageServiceHarness, field: str) -> None:
    message = json.loads(store_body())
    del message[field]
    assert (await harness.send(post(json.dumps(message).encode()))).status == 400
    assert harness.contents() == {}


@pytest.mark.parametrize("field", FIELDS)
async def test_store_missing_field_is_named(harness: StorageServiceHarness, field: str) -> None:
    message = json.loads(store_body())
    del message[field]
    assert field.encode() in (await harness.send(post(json.dumps(message).encode()))).body


async def test_store_body_above_the_limit_is_too_large(harness: StorageServiceHarness) -> None:
    small = store_body()
    fits = small + b" " * (MAX_BODY_BYTES - len(small))
    call = post(fits + b" ")
    declared = call.with_header("content-length", str(len(call.body)))
    for response in (
        await harness.send(declared),
        await harness.send(call),
        await harness.send(call, chunk_bytes=1 << 16),
        await harness.send(call.with_header("content-length", "9" * 400)),
        await harness.send(call.with_header("content-length", "17"), chunk_bytes=1 << 16),
    ):
        assert (response.status, response.body) == (413, b'{"error":"too large"}')
    assert harness.contents() == {}
    assert (await harness.send(post(fits), chunk_bytes=1 << 16)).status == 200
    with pytest.raises(RemoteRejected, match="413"):
        await harness.client.store(store_request(b"x" * MAX_BODY_BYTES))


# Readiness and metrics


async def test_store_down_is_reported_until_it_is_back(harness: StorageServiceHarness) -> None:
    probe = Call("GET", b"/readyz", b"", (), b"")
    assert json.loads((await harness.send(probe)).body) == {"status": "ready", "degraded": []}
    harness.backend.go_down()
    for call in (post(store_body()), get()):
        failed = await harness.send(call)
        assert (failed.status, failed.body) == (503, b'{"error":"can\'t store banner"}')
        assert failed.headers["retry-after"] == "30"
    with pytest.raises(StorageUnavailable, match="503"):
        await harness.client.store(store_request())
    assert not harness.client.is_available
    ready = await harness.send(probe)
    assert (ready.status, json.loads(ready.body)["degraded"]) == (200, ["store"])
    assert (await scrape(harness.service.metrics))["dependency_up{store}"] == 0
    harness.backend.come_back()
    await harness.client.store(store_request())
    assert json.loads((await harness.send(probe)).body)["degraded"] == []


async def test_metrics_count_all_outcomes(harness: StorageServiceHarness) -> None:
    await harness.client.store(store_request())
    await harness.client.store(store_request(version=1))
    await harness.send(post(store_body(b"no svg")))
    await harness.send(post(b"no json"))
    await harness.send(Call("GET", URL.encode(), b"", (), b""))
    await harness.send(signed(Call(body=store_body()), key=FOREIGN))
    await harness.client.get(NAME)
    await harness.client.get("nobody")
    harness.backend.go_down()
    await harness.send(post(store_body()))
    metrics = await scrape(harness.service.metrics)
    counted = {key: value for key, value in metrics.items() if "_seconds_" not in key}
    assert counted == {
        "stored_total{stored}": 1,
        "stored_total{superseded}": 1,
        "stored_total{refused}": 2,
        "stored_total{failed}": 1,
        "dependency_up{store}": 0,
        "refused_calls_total{no signature}": 1,
        "refused_calls_total{wrong key}": 1,
        "requests_total{POST /banners,200}": 2,
        "requests_total{POST /banners,400}": 2,
        "requests_total{POST /banners,401}": 1,
        "requests_total{POST /banners,503}": 1,
        "requests_total{GET /banners/{name},401}": 1,
        "requests_total{GET /banners/{name},200}": 1,
        "requests_total{GET /banners/{name},404}": 1,
    }


async def test_banners_are_stored_in_the_data_folder_by_default(tmp_path: Path) -> None:
    settings = Settings(services_secret_key=CURRENT)
    async with open_storage(
        settings, banners_dir=tmp_path / "default", clock=lambda: NOW
    ) as service:
        assert (await send(service.app, post(store_body()))).status == 200
    assert (tmp_path / "default" / "wycats-dark.svg").exists()
