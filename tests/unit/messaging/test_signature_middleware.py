"""The signature middleware: which calls it passes on, how it refuses others, and how much it reads."""

import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest
import structlog
from structlog.testing import capture_logs

from github_banners.errors import InvalidSignature
from github_banners.messaging.nonces import NonceCache
from github_banners.messaging.signature_middleware import Message, SignatureMiddleware
from github_banners.messaging.signing import RefusalReason, Signer
from tests.unit.messaging.forged_calls import FORGED_HEADS
from tests.unit.messaging.handwritten_signatures import (
    BODY,
    CURRENT,
    FOREIGN,
    NOW,
    SECONDS,
    Call,
    parameters,
    signed,
    verifier,
)
from tests.unit.messaging.middleware_harness import (
    MAX_BODY_BYTES,
    PUBLIC_PATHS,
    Connection,
    FakeApplication,
    MiddlewareHarness,
    part,
    to_scope,
    with_content_length,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
REFUSED = b'{"error":"signature refused"}'


@pytest.fixture
def harness() -> MiddlewareHarness:
    return MiddlewareHarness()


# Accepted calls


async def test_signed_call_reaches_the_application_with_its_body(
    harness: MiddlewareHarness,
) -> None:
    call = signed()
    connection = await harness.send_call(call)
    assert (connection.status, connection.body) == (200, b"done")
    assert harness.application.received == [part(BODY), {"type": "http.disconnect"}]
    assert harness.application.scopes == [to_scope(call)]
    assert harness.reasons == []


@pytest.mark.parametrize(
    "parts",
    [
        [part(BODY[:3], more=True), part(b"", more=True), part(BODY[3:])],
        [part(BODY, more=True), part(b"")],
        [part(BODY, more=True), {"type": "http.request"}],
        [{"type": "http.request", "body": BODY}],
    ],
)
async def test_signed_call_with_a_body_in_parts_arrives_as_one_message(
    harness: MiddlewareHarness, parts: list[Message]
) -> None:
    connection = await harness.send_call(signed(), parts=parts)
    assert connection.status == 200
    assert harness.application.received[0] == part(BODY)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PUBLIC_PATHS)
async def test_unsigned_get_of_a_public_path_is_served(
    harness: MiddlewareHarness, method: str, path: str
) -> None:
    connection = await harness.send_call(Call(method=method, path=path.encode(), body=b""))
    assert connection.status == 200
    assert harness.reasons == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/healthz"),
        ("OPTIONS", "/healthz"),
        ("get", "/healthz"),
        ("GET", "/healthz/"),
        ("GET", "/HEALTHZ"),
        ("GET", "//healthz"),
        ("GET", "/healthz/../banners"),
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/banners"),
    ],
)
async def test_unsigned_call_of_any_other_path_is_refused(
    harness: MiddlewareHarness, method: str, path: str
) -> None:
    connection = await harness.send_call(Call(), method=method, path=path, raw_path=path.encode())
    assert connection.status == 401
    assert harness.application.scopes == []


async def test_signed_call_of_a_public_path_is_served(harness: MiddlewareHarness) -> None:
    assert (await harness.send_call(signed(Call(path=b"/healthz")))).status == 200


@pytest.mark.parametrize("path", [b"/banners/a%20b", b"/banners/a:b@c,d;e=f"])
@pytest.mark.parametrize("raw_path", [{"raw_path": None}, {"raw_path": b""}, {}])
async def test_signed_call_without_raw_path_is_served(
    harness: MiddlewareHarness, path: bytes, raw_path: dict[str, Any]
) -> None:
    call = signed(Call(path=path))
    scope = {key: value for key, value in to_scope(call).items() if key != "raw_path"} | raw_path
    connection = Connection([part(BODY)])
    await harness.middleware(scope, connection.receive, connection.send)
    assert connection.status == 200


async def test_path_that_can_not_be_encoded_is_refused(harness: MiddlewareHarness) -> None:
    assert (await harness.send_call(signed(), raw_path=None, path="/\udcff")).status == 401


async def test_lifespan_reaches_the_application(harness: MiddlewareHarness) -> None:
    connection = Connection([])
    await harness.middleware({"type": "lifespan"}, connection.receive, connection.send)
    assert harness.application.scopes == [{"type": "lifespan"}]


# Refused calls


async def test_websocket_is_closed(harness: MiddlewareHarness) -> None:
    connection = Connection([])
    scope = {"type": "websocket", "path": "/healthz", "headers": []}
    await harness.middleware(scope, connection.receive, connection.send)
    assert connection.sent == [{"type": "websocket.close", "code": 1008}]
    assert (harness.application.scopes, harness.reasons) == ([], ["websocket"])


@pytest.mark.parametrize(
    ("forge", "reason"),
    [(forge, reason) for _, forge, reason in FORGED_HEADS],
    ids=[name for name, _, _ in FORGED_HEADS],
)
async def test_forged_head_is_refused_without_reading_the_body(
    harness: MiddlewareHarness, forge: Callable[[], Call], reason: RefusalReason
) -> None:
    connection = await harness.send_call(forge())
    assert (connection.status, connection.body, connection.reads) == (401, REFUSED, 0)
    assert connection.headers == {
        "content-type": "application/json",
        "content-length": str(len(REFUSED)),
    }
    assert harness.reasons == [reason]
    assert harness.application.scopes == []


async def test_forged_body_is_refused_and_uses_no_nonce(harness: MiddlewareHarness) -> None:
    call = signed()
    connection = await harness.send_call(replace(call, body=b"{}"))
    assert (connection.status, connection.body) == (401, REFUSED)
    assert harness.reasons == [RefusalReason.BODY_CHANGED]
    assert harness.application.scopes == []
    assert (await harness.send_call(call)).status == 200


async def test_repeated_call_is_refused(harness: MiddlewareHarness) -> None:
    call = signed()
    assert (await harness.send_call(call)).status == 200
    connection = await harness.send_call(call)
    assert (connection.status, connection.body, harness.reasons) == (
        401,
        REFUSED,
        [RefusalReason.REPEATED],
    )
    assert len(harness.application.scopes) == 1


async def test_call_with_a_full_nonce_cache_is_unavailable() -> None:
    harness = MiddlewareHarness(nonces=NonceCache(max_size=1))
    assert (await harness.send_call(signed())).status == 200
    connection = await harness.send_call(signed())
    assert (connection.status, connection.body) == (503, b'{"error":"too many calls"}')
    assert connection.headers["retry-after"] == "30"
    assert harness.reasons == ["too many calls"]
    assert len(harness.application.scopes) == 1


# How much of a body is read


@pytest.mark.parametrize("length", ["101", "99999999999999", "9" * 5000, "0" * 20 + "1"])
async def test_declared_length_too_large_is_refused_without_reading(
    harness: MiddlewareHarness, length: str
) -> None:
    connection = await harness.send_call(with_content_length(signed(), length))
    assert (connection.status, connection.body, connection.reads) == (
        413,
        b'{"error":"too large"}',
        0,
    )
    assert connection.headers["content-type"] == "application/json"
    assert harness.reasons == ["too large"]
    assert (harness.application.scopes, len(harness.nonces)) == ([], 0)


async def test_two_declared_lengths_the_larger_counts(harness: MiddlewareHarness) -> None:
    call = with_content_length(signed(), "101").with_another("content-length", "26")
    assert (await harness.send_call(call)).status == 413


@pytest.mark.parametrize("length", ["26", "0", None, "", "-1", "x", "26, 26", "²"])
async def test_body_too_large_is_not_read_to_its_end(
    harness: MiddlewareHarness, length: str | None
) -> None:
    call = signed().with_header("content-length", length)
    connection = await harness.send_call(call, parts=[part(b"x" * 60, more=True)] * 9)
    assert (connection.status, connection.reads) == (413, 2)
    assert (harness.application.scopes, harness.reasons) == ([], ["too large"])


async def test_body_of_the_maximum_size_is_served(harness: MiddlewareHarness) -> None:
    call = signed(Call(body=b"x" * MAX_BODY_BYTES))
    assert (await harness.send_call(with_content_length(call, "100"))).status == 200


async def test_wrong_declared_length_is_left_to_the_digest(harness: MiddlewareHarness) -> None:
    assert (await harness.send_call(with_content_length(signed(), "5"))).status == 200
    assert (await harness.send_call(with_content_length(signed(), "99"))).status == 200
    connection = await harness.send_call(
        with_content_length(signed(), "26"), parts=[part(BODY[:5])]
    )
    assert (connection.status, harness.reasons) == (401, [RefusalReason.BODY_CHANGED])


async def test_unsigned_call_that_is_too_large_is_unauthorized(harness: MiddlewareHarness) -> None:
    assert (await harness.send_call(with_content_length(Call(), "101"))).status == 401


async def test_client_disconnect_gets_no_response(harness: MiddlewareHarness) -> None:
    call = signed()
    connection = await harness.send_call(call, parts=[part(BODY[:3], more=True)])
    assert (connection.sent, harness.application.scopes, harness.reasons) == ([], [], [])
    assert (await harness.send_call(call)).status == 200


# Logging and tracing


async def test_refusal_is_logged(harness: MiddlewareHarness) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        call = signed(Call("P" * 500, path=b"/banners/" + b"x" * 500), key=FOREIGN)
        await harness.send_call(call.with_header("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"))
    assert logs == [
        {
            "event": "signature.refused",
            "log_level": "warning",
            "reason": "wrong key",
            "method": "P" * 100,
            "path": "/banners/" + "x" * 91,
            "trace_id": TRACE,
        }
    ]


async def test_refusal_without_a_callback_is_answered() -> None:
    middleware = SignatureMiddleware(
        FakeApplication(), verifier=verifier(), public_paths=(), max_body_bytes=0
    )
    connection = Connection([])
    await middleware(to_scope(Call()), connection.receive, connection.send)
    assert connection.status == 401


@pytest.mark.parametrize("call", [signed(), Call(method="GET", path=b"/healthz")])
async def test_application_runs_under_the_trace_id_of_the_caller(
    harness: MiddlewareHarness, call: Call
) -> None:
    await harness.send_call(call.with_header("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"))
    await harness.send_call(
        Call(method="GET", path=b"/healthz").with_header("traceparent", b"\xff\n")
    )
    first, second = harness.application.traces
    assert first == TRACE
    assert len(second) == 32
    assert "trace_id" not in structlog.contextvars.get_contextvars()


async def test_error_of_the_application_is_raised() -> None:
    harness = MiddlewareHarness(application=FakeApplication(error=InvalidSignature("elsewhere")))
    with pytest.raises(InvalidSignature, match="elsewhere"):
        await harness.send_call(signed())
    assert harness.reasons == []


# With httpx2, which the services use


class SigningAuth(httpx2.Auth):
    """Signs each request of the client."""

    requires_request_body = True

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        request.headers.update(self._signer.sign(request.method, str(request.url), request.content))
        yield request


def create_client(harness: MiddlewareHarness, signer: Signer | None = None) -> httpx2.AsyncClient:
    signer = signer or Signer(CURRENT, service="api", clock=lambda: NOW)
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(harness.middleware),
        base_url="http://storage:8082",
        auth=SigningAuth(signer),
    )


@pytest.mark.parametrize(
    "target",
    [
        "/banners",
        "/banners?",
        "/banners?v=1&name=ü b%20c+d",
        "/banners?a=/?:@|{}^`\\",
        "/banners/a b/ü/%2e%2E/%2F",
        '/banners/|^[]\\{}`"<>',
        "/banners/a;b=c,d@e:f!$&'()*+~",
        "/banners/../x/./y",
        "/banners//",
        "/100%/%zz/%00",
        "?v=1",
        "",
        "/banners#part",
    ],
)
async def test_httpx2_target_is_signed_as_sent(harness: MiddlewareHarness, target: str) -> None:
    async with create_client(harness) as http:
        post_response = await http.post(target, content=BODY)
        get_response = await http.get(target)
    assert (post_response.status_code, get_response.status_code) == (200, 200), harness.reasons


async def test_httpx2_invalid_calls_are_refused(harness: MiddlewareHarness) -> None:
    nonces = iter(["once", "once", "twice"])
    signer = Signer(CURRENT, service="api", clock=lambda: NOW, make_nonce=lambda: next(nonces))
    async with create_client(harness, signer) as http:
        assert (await http.post("/banners", content=b"x" * 100)).status_code == 200
        repeated = await http.post("/banners", content=BODY)
        large = await http.post("/banners", content=b"x" * 101)
        unsigned = await http.post("/banners", content=BODY, auth=httpx2.Auth())
        assert (await http.get("/healthz", auth=httpx2.Auth())).status_code == 200
    assert (repeated.status_code, json.loads(repeated.content)) == (401, json.loads(REFUSED))
    assert (large.status_code, large.json()) == (413, {"error": "too large"})
    assert (unsigned.status_code, unsigned.json()) == (401, {"error": "signature refused"})
    assert harness.reasons == ["repeated", "too large", "no signature"]


async def test_old_call_is_refused(harness: MiddlewareHarness) -> None:
    connection = await harness.send_call(signed(params=parameters(created=SECONDS - 61)))
    assert (connection.status, harness.reasons) == (401, ["too old"])
