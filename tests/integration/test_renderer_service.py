"""The renderer service: its routes behind the signature middleware, in process."""

import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

from github_banners.api.backends import FallbackRenderer
from github_banners.circuit_breaker import CircuitBreaker
from github_banners.drawing import TO_PNG, draw
from github_banners.drawing.png import to_png
from github_banners.errors import Overloaded, RemoteRejected, RendererUnavailable
from github_banners.messaging.clients import RendererClient
from github_banners.messaging.mapping import from_preview_request, to_preview_request
from github_banners.messaging.nonces import NonceCache
from github_banners.messaging.schemas import PreviewRequest
from github_banners.messaging.signature_middleware import SignatureMiddleware
from github_banners.messaging.signing import Signer, Verifier
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import BannerOptions, HideableField, Theme
from github_banners.renderer import preview_route
from github_banners.serving.framework import build_app
from github_banners.serving.health import PUBLIC_PATHS, Health, health_routes
from github_banners.serving.worker_process import WorkerProcess
from github_banners.settings import Secret
from github_banners.stats.fetch import Deadline
from github_banners.storage.picture_format import check_picture
from tests.integration.test_storage_service import UNSIGNED, send
from tests.unit.api.asgi import RecordedResponse, open_websocket
from tests.unit.messaging.captured_messages import PREVIEW
from tests.unit.messaging.handwritten_signatures import (
    CURRENT,
    FOREIGN,
    NOW,
    PREVIOUS,
    Call,
    parameters,
    signed,
)

HOSTILE_NAME = "\u0008\ufffe<script>\u202e]]>&\"'"
STATS = Stats(150, 93, 57, 11558, 1635, {"Ruby": 51, "JavaScript": 20, "C": 2})
FETCHED_AT = datetime(2026, 11, 22, 16, 36, 37, 586084, tzinfo=UTC)
SNAPSHOT = Snapshot(Owner(4, "WyCats", "U_4", "Yehuda Katz"), STATS, FETCHED_AT, 7)
OPTIONS = {
    "plain": BannerOptions(),
    "dark": BannerOptions(theme=Theme.DARK),
    "with options": BannerOptions(
        theme=Theme.DARK, hide=(HideableField.STARS,), langs_count=2, border=False
    ),
    "with a title": BannerOptions(title="Čau & <hi>"),
}


@dataclass
class RendererServiceHarness:
    """A renderer application, and the client of another service."""

    app: ASGIApp
    client: RendererClient

    async def send(
        self, body: bytes, path: bytes = b"/preview", method: str = "POST"
    ) -> RecordedResponse:
        return await send(self.app, signed(Call(method, path, b"", (), body)))


@asynccontextmanager
async def open_renderer_app(keys: Iterable[Secret] = (CURRENT, PREVIOUS)) -> AsyncIterator[ASGIApp]:
    png_worker = WorkerProcess(TO_PNG)
    try:
        yield SignatureMiddleware(
            build_app(
                [*preview_route.RendererRoutes(png_worker).routes(), *health_routes(Health())]
            ),
            verifier=Verifier(tuple(keys), callers=["api"], nonces=NonceCache(), clock=lambda: NOW),
            public_paths=PUBLIC_PATHS,
            max_body_bytes=preview_route.MAX_BODY_BYTES,
        )
    finally:
        await png_worker.close()


def create_client(
    http: httpx2.AsyncClient, key: Secret = CURRENT, *, service: str = "api"
) -> RendererClient:
    signer = Signer(key, service=service, clock=lambda: NOW)
    return RendererClient(http, base_url="http://renderer", signer=signer)


@pytest.fixture
async def harness() -> AsyncIterator[RendererServiceHarness]:
    async with open_renderer_app() as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport) as http:
            yield RendererServiceHarness(app, create_client(http))


def changed(**fields: object) -> bytes:
    return json.dumps(json.loads(PREVIEW) | fields).encode()


def without(field: str) -> bytes:
    message = json.loads(PREVIEW)
    del (message if field in message else message["stats"])[field]
    return json.dumps(message).encode()


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
async def test_draw_equals_drawing_locally(
    harness: RendererServiceHarness, options: BannerOptions
) -> None:
    assert await harness.client.draw(SNAPSHOT, options) == draw(SNAPSHOT, options)
    assert harness.client.is_available


async def test_fallback_renderer_uses_the_renderer(harness: RendererServiceHarness) -> None:
    counts: list[str] = []
    fallback_renderer = FallbackRenderer(
        harness.client.draw, circuit=CircuitBreaker(time.monotonic), count=counts.append
    )
    picture = await fallback_renderer.draw(SNAPSHOT, BannerOptions(), Deadline(3.0, 1.8))
    assert (picture, counts) == (draw(SNAPSHOT, BannerOptions()), ["renderer"])


async def test_preview_body_of_another_implementation_is_drawn(
    harness: RendererServiceHarness,
) -> None:
    response = await harness.send(PREVIEW)
    assert response.status == 200
    assert response.headers["content-type"].startswith("image/svg+xml")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-length"] == str(len(response.body))
    assert response.body == draw(*from_preview_request(PreviewRequest.from_json(PREVIEW)))
    assert b"wycats" in response.body
    check_picture(response.body)


async def test_client_request_is_compatible_with_another_implementation() -> None:
    requests: list[Any] = []

    def other_renderer(request: httpx2.Request) -> httpx2.Response:
        requests.append(json.loads(request.content))
        return httpx2.Response(
            200, headers={"content-type": "image/svg+xml"}, content=b"<svg>theirs</svg>"
        )

    snapshot, options = from_preview_request(PreviewRequest.from_json(PREVIEW))
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(other_renderer)) as http:
        assert await create_client(http).draw(snapshot, options) == b"<svg>theirs</svg>"
    expected = json.loads(PREVIEW) | {"fetched_at": "2026-11-22T16:36:37.586084Z"}
    assert requests == [expected]


@pytest.mark.parametrize("name", [HOSTILE_NAME, "Ünï ©ödé", "名前" * 15, "", "x" * 1024])
async def test_preview_hostile_name_is_escaped(harness: RendererServiceHarness, name: str) -> None:
    response = await harness.send(changed(display_name=name, look={"title": (name or "x")[:64]}))
    assert response.status == 200
    check_picture(response.body)
    assert b"<script" not in response.body


async def test_preview_largest_valid_body_fits_the_limit(harness: RendererServiceHarness) -> None:
    languages = {f"{number:04}".ljust(100, "x"): 10**12 - 1 for number in range(1000)}
    largest = PREVIEW.replace(
        PREVIEW[PREVIEW.index(b'{"C"') : PREVIEW.index(b"}", PREVIEW.index(b'{"C"')) + 1],
        json.dumps(languages, separators=(",", ":")).encode(),
    )
    message = json.loads(largest) | {"language_bytes": languages, "display_name": "x" * 1024}
    body = json.dumps(message, separators=(",", ":")).encode()
    assert preview_route.MAX_BODY_BYTES * 0.8 < len(body) <= preview_route.MAX_BODY_BYTES
    assert (await harness.send(body)).status == 200


REQUIRED = ("username", "banner_type", "stats", "fetched_at", "total_repos", "languages")


@pytest.mark.parametrize("field", REQUIRED)
async def test_preview_missing_field_is_refused(
    harness: RendererServiceHarness, field: str
) -> None:
    response = await harness.send(without(field))
    assert (response.status, json.loads(response.body)["error"]) == (400, "invalid inputs")


@pytest.mark.parametrize("field", REQUIRED)
async def test_preview_missing_field_is_named(harness: RendererServiceHarness, field: str) -> None:
    assert field.encode() in (await harness.send(without(field))).body


MALFORMED = {
    "empty": b"",
    "no json": b"<svg/>",
    "list": b"[]",
    "deep": b'{"username":' + b"[" * 100_000,
    "unknown theme": changed(banner_type="neon"),
    "name without a letter": changed(username=""),
    "long name": changed(username="x" * 40),
    "long display name": changed(display_name="x" * 1025),
    "time without a zone": changed(fetched_at="2026-11-22T16:36:37"),
    "unknown option": changed(look={"radius": 21}),
    "unknown format": changed(format="gif"),
    "fractions": PREVIEW.replace(b":150", b":150.5"),
    "negative": PREVIEW.replace(b":150", b":-1"),
    "half a character": changed(username="\ud800"),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=list(MALFORMED))
async def test_preview_malformed_body_is_refused(
    harness: RendererServiceHarness, body: bytes
) -> None:
    response = await harness.send(body)
    assert (response.status, json.loads(response.body)["error"]) == (400, "invalid inputs")
    assert response.headers["content-type"] == "application/json"


async def test_preview_format_png_returns_png(harness: RendererServiceHarness) -> None:
    response = await harness.send(changed(format="png"))
    assert response.status == 200
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.body == to_png((await harness.send(changed(format="svg"))).body)


async def test_preview_png_worker_overloaded_is_unavailable(
    harness: RendererServiceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(worker: WorkerProcess, payload: bytes) -> bytes:
        raise Overloaded

    monkeypatch.setattr(WorkerProcess, "run", busy)
    response = await harness.send(changed(format="png"))
    assert (response.status, json.loads(response.body)) == (503, {"error": "can't get preview"})
    assert "retry-after" in response.headers
    assert (await harness.send(PREVIEW)).status == 200


async def test_draw_invalid_login_is_rejected(harness: RendererServiceHarness) -> None:
    invalid_login = Snapshot(Owner(4, "x" * 40), STATS, FETCHED_AT)
    with pytest.raises(RemoteRejected, match="400"):
        await harness.client.draw(invalid_login, BannerOptions())
    assert harness.client.is_available


async def test_preview_body_above_the_limit_is_too_large(harness: RendererServiceHarness) -> None:
    fits = PREVIEW + b" " * (preview_route.MAX_BODY_BYTES - len(PREVIEW))
    assert (await harness.send(fits)).status == 200
    call = signed(Call("POST", b"/preview", b"", (), fits + b" "))
    declared = call.with_header("content-length", str(len(call.body)))
    for response in (
        await send(harness.app, declared),
        await send(harness.app, call),
        await send(harness.app, call, chunk_bytes=1 << 14),
    ):
        assert (response.status, response.body) == (413, b'{"error":"too large"}')


SIGNED_ONLY = [
    ("POST", b"/preview"), ("GET", b"/preview"), ("HEAD", b"/preview"), ("OPTIONS", b"/preview"),
    ("PROPFIND", b"/preview"), ("POST", b"/healthz"), ("DELETE", b"/readyz"), ("GET", b"/healthz/"),
    ("GET", b"/"), ("GET", b""), ("GET", b"/docs"), ("GET", b"/preview/../healthz"),
    ("GET", b"/nothing/of/the/kind"), ("GET", b"//readyz"),
]  # fmt: skip


async def test_unsigned_call_other_than_probes_is_refused(harness: RendererServiceHarness) -> None:
    for method, path in SIGNED_ONLY:
        response = await send(harness.app, Call(method, path, b"", (), PREVIEW))
        assert (response.status, response.body) == UNSIGNED, (method, path)
    for path in (b"/healthz", b"/readyz"):
        for method in ("GET", "HEAD"):
            assert (await send(harness.app, Call(method, path, b"", (), b""))).status == 200


@pytest.mark.parametrize("caller", ["storage", "renderer", "gateway", "API"])
async def test_other_callers_than_the_api_are_refused(
    harness: RendererServiceHarness, caller: str
) -> None:
    call = signed(Call(path=b"/preview", body=PREVIEW), params=parameters(keyid=caller))
    response = await send(harness.app, call)
    assert (response.status, response.body) == UNSIGNED


async def test_websocket_is_closed(harness: RendererServiceHarness) -> None:
    assert await open_websocket(harness.app, "/preview") == [
        {"type": "websocket.close", "code": 1008}
    ]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", b"/preview", 405), ("PUT", b"/preview", 405), ("POST", b"/banners", 404)],
)
async def test_signed_call_unknown_route_or_method_is_refused(
    harness: RendererServiceHarness, method: str, path: bytes, status: int
) -> None:
    response = await harness.send(PREVIEW, path, method)
    assert response.status == status
    assert ("POST" in response.headers.get("allow", "")) == (status == 405)


@pytest.mark.parametrize(
    ("keys", "key", "is_accepted"),
    [
        ((CURRENT,), CURRENT, True),
        ((FOREIGN, CURRENT), CURRENT, True),
        ((FOREIGN,), CURRENT, False),
        ((CURRENT, PREVIOUS), FOREIGN, False),
    ],
    ids=["the same key", "the key before", "another key", "a foreign key"],
)
async def test_draw_needs_a_common_key(
    keys: tuple[Secret, ...], key: Secret, is_accepted: bool
) -> None:
    async with open_renderer_app(keys) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport) as http:
            client = create_client(http, key)
            if is_accepted:
                assert await client.draw(SNAPSHOT, BannerOptions()) == draw(
                    SNAPSHOT, BannerOptions()
                )
            else:
                with pytest.raises(RendererUnavailable, match="401"):
                    await client.draw(SNAPSHOT, BannerOptions())
            assert client.is_available is is_accepted


async def test_preview_request_with_options_draws_them(harness: RendererServiceHarness) -> None:
    body = to_preview_request(SNAPSHOT, OPTIONS["with options"]).to_json()
    assert (await harness.send(body)).body == draw(SNAPSHOT, OPTIONS["with options"])
