"""The gate: who gets in, who does not and with which answer, and how much is read of whom."""

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
    MOST_BODY_BYTES,
    OPEN,
    House,
    Service,
    Wire,
    part,
    scope_of,
    sized,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
REFUSED = b'{"error":"signature refused"}'


@pytest.fixture
def house() -> House:
    return House()


# ── who gets in


async def test_a_signed_call_gets_in_with_its_body(house: House) -> None:
    call = signed()
    wire = await house.ask(call)
    assert (wire.status, wire.body) == (200, b"done")
    assert house.service.received == [part(BODY), {"type": "http.disconnect"}]
    assert house.service.scopes == [scope_of(call)]
    assert house.reasons == []


@pytest.mark.parametrize(
    "parts",
    [
        [part(BODY[:3], more=True), part(b"", more=True), part(BODY[3:])],
        [part(BODY, more=True), part(b"")],
        [part(BODY, more=True), {"type": "http.request"}],
        [{"type": "http.request", "body": BODY}],
    ],
)
async def test_a_body_in_parts_arrives_as_one(house: House, parts: list[Message]) -> None:
    wire = await house.ask(signed(), parts=parts)
    assert wire.status == 200
    assert house.service.received[0] == part(BODY)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", OPEN)
async def test_an_open_path_can_be_read_by_anybody(house: House, method: str, path: str) -> None:
    wire = await house.ask(Call(method=method, path=path.encode(), body=b""))
    assert wire.status == 200
    assert house.reasons == []


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
async def test_all_else_must_be_signed(house: House, method: str, path: str) -> None:
    wire = await house.ask(Call(), method=method, path=path, raw_path=path.encode())
    assert wire.status == 401
    assert house.service.scopes == []


async def test_an_open_path_can_be_called_signed_too(house: House) -> None:
    assert (await house.ask(signed(Call(path=b"/healthz")))).status == 200


@pytest.mark.parametrize("path", [b"/banners/a%20b", b"/banners/a:b@c,d;e=f"])
@pytest.mark.parametrize("raw_path", [{"raw_path": None}, {"raw_path": b""}, {}])
async def test_a_server_may_keep_the_raw_path(
    house: House, path: bytes, raw_path: dict[str, Any]
) -> None:
    call = signed(Call(path=path))
    scope = {key: value for key, value in scope_of(call).items() if key != "raw_path"} | raw_path
    wire = Wire([part(BODY)])
    await house.gate(scope, wire.receive, wire.send)
    assert wire.status == 200


async def test_a_path_that_no_bytes_make_is_refused(house: House) -> None:
    assert (await house.ask(signed(), raw_path=None, path="/\udcff")).status == 401


async def test_lifespan_passes(house: House) -> None:
    wire = Wire([])
    await house.gate({"type": "lifespan"}, wire.receive, wire.send)
    assert house.service.scopes == [{"type": "lifespan"}]


# ── who does not


async def test_a_websocket_is_closed(house: House) -> None:
    wire = Wire([])
    scope = {"type": "websocket", "path": "/healthz", "headers": []}
    await house.gate(scope, wire.receive, wire.send)
    assert wire.sent == [{"type": "websocket.close", "code": 1008}]
    assert (house.service.scopes, house.reasons) == ([], ["websocket"])


@pytest.mark.parametrize(
    ("forge", "reason"),
    [(forge, reason) for _, forge, reason in FORGED_HEADS],
    ids=[name for name, _, _ in FORGED_HEADS],
)
async def test_a_forged_head_is_answered_unread(
    house: House, forge: Callable[[], Call], reason: RefusalReason
) -> None:
    wire = await house.ask(forge())
    assert (wire.status, wire.body, wire.reads) == (401, REFUSED, 0)
    assert wire.headers == {"content-type": "application/json", "content-length": str(len(REFUSED))}
    assert house.reasons == [reason]
    assert house.service.scopes == []


async def test_a_forged_body_is_refused_and_burns_no_nonce(house: House) -> None:
    call = signed()
    wire = await house.ask(replace(call, body=b"{}"))
    assert (wire.status, wire.body) == (401, REFUSED)
    assert house.reasons == [RefusalReason.BODY_CHANGED]
    assert house.service.scopes == []
    assert (await house.ask(call)).status == 200


async def test_a_repeated_call_is_refused(house: House) -> None:
    call = signed()
    assert (await house.ask(call)).status == 200
    wire = await house.ask(call)
    assert (wire.status, wire.body, house.reasons) == (401, REFUSED, [RefusalReason.REPEATED])
    assert len(house.service.scopes) == 1


async def test_more_calls_than_can_be_remembered_are_put_off() -> None:
    house = House(nonces=NonceCache(max_size=1))
    assert (await house.ask(signed())).status == 200
    wire = await house.ask(signed())
    assert (wire.status, wire.body) == (503, b'{"error":"too many calls"}')
    assert wire.headers["retry-after"] == "30"
    assert house.reasons == ["too many calls"]
    assert len(house.service.scopes) == 1


# ── how much is read


@pytest.mark.parametrize("length", ["101", "99999999999999", "9" * 5000, "0" * 20 + "1"])
async def test_a_body_that_says_it_is_too_large_is_not_read(house: House, length: str) -> None:
    wire = await house.ask(sized(signed(), length))
    assert (wire.status, wire.body, wire.reads) == (413, b'{"error":"too large"}', 0)
    assert wire.headers["content-type"] == "application/json"
    assert house.reasons == ["too large"]
    assert (house.service.scopes, len(house.nonces)) == ([], 0)


async def test_of_two_lengths_the_larger_counts(house: House) -> None:
    call = sized(signed(), "101").with_another("content-length", "26")
    assert (await house.ask(call)).status == 413


@pytest.mark.parametrize("length", ["26", "0", None, "", "-1", "x", "26, 26", "²"])
async def test_a_body_that_is_too_large_is_not_read_further(
    house: House, length: str | None
) -> None:
    call = signed().with_header("content-length", length)
    wire = await house.ask(call, parts=[part(b"x" * 60, more=True)] * 9)
    assert (wire.status, wire.reads) == (413, 2)
    assert (house.service.scopes, house.reasons) == ([], ["too large"])


async def test_a_body_that_is_just_not_too_large_gets_in(house: House) -> None:
    call = signed(Call(body=b"x" * MOST_BODY_BYTES))
    assert (await house.ask(sized(call, "100"))).status == 200


async def test_a_length_that_lies_is_left_to_the_digest(house: House) -> None:
    assert (await house.ask(sized(signed(), "5"))).status == 200
    assert (await house.ask(sized(signed(), "99"))).status == 200
    wire = await house.ask(sized(signed(), "26"), parts=[part(BODY[:5])])
    assert (wire.status, house.reasons) == (401, [RefusalReason.BODY_CHANGED])


async def test_who_is_unsigned_does_not_learn_what_is_too_large(house: House) -> None:
    assert (await house.ask(sized(Call(), "101"))).status == 401


async def test_a_client_that_leaves_gets_no_answer(house: House) -> None:
    call = signed()
    wire = await house.ask(call, parts=[part(BODY[:3], more=True)])
    assert (wire.sent, house.service.scopes, house.reasons) == ([], [], [])
    assert (await house.ask(call)).status == 200


# ── what is told of it


async def test_a_refusal_is_told_to_the_log(house: House) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        call = signed(Call("P" * 500, path=b"/banners/" + b"x" * 500), key=FOREIGN)
        await house.ask(call.with_header("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"))
    assert logs == [
        {
            "event": "request.refused",
            "log_level": "warning",
            "reason": "wrong key",
            "method": "P" * 100,
            "path": "/banners/" + "x" * 91,
            "trace_id": TRACE,
        }
    ]


async def test_refusals_need_no_listener() -> None:
    gate = SignatureMiddleware(Service(), verifier=verifier(), public_paths=(), max_body_bytes=0)
    wire = Wire([])
    await gate(scope_of(Call()), wire.receive, wire.send)
    assert wire.status == 401


@pytest.mark.parametrize("call", [signed(), Call(method="GET", path=b"/healthz")])
async def test_what_happens_inside_carries_the_id_of_the_caller(house: House, call: Call) -> None:
    await house.ask(call.with_header("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"))
    await house.ask(Call(method="GET", path=b"/healthz").with_header("traceparent", b"\xff\n"))
    first, second = house.service.traces
    assert first == TRACE
    assert len(second) == 32
    assert "trace_id" not in structlog.contextvars.get_contextvars()


async def test_errors_of_the_service_are_its_own() -> None:
    house = House(service=Service(error=InvalidSignature("elsewhere")))
    with pytest.raises(InvalidSignature, match="elsewhere"):
        await house.ask(signed())
    assert house.reasons == []


# ── with the client that the services use


class Signing(httpx2.Auth):
    """Signs what the client is about to send."""

    requires_request_body = True

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        request.headers.update(self._signer.sign(request.method, str(request.url), request.content))
        yield request


def client_of(house: House, signer: Signer | None = None) -> httpx2.AsyncClient:
    signer = signer or Signer(CURRENT, service="api", clock=lambda: NOW)
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(house.gate),
        base_url="http://storage:8082",
        auth=Signing(signer),
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
async def test_what_httpx2_sends_is_what_is_signed(house: House, target: str) -> None:
    async with client_of(house) as http:
        posted = await http.post(target, content=BODY)
        read = await http.get(target)
    assert (posted.status_code, read.status_code) == (200, 200), house.reasons


async def test_httpx2_is_refused_as_anybody(house: House) -> None:
    nonces = iter(["once", "once", "twice"])
    signer = Signer(CURRENT, service="api", clock=lambda: NOW, make_nonce=lambda: next(nonces))
    async with client_of(house, signer) as http:
        assert (await http.post("/banners", content=b"x" * 100)).status_code == 200
        repeated = await http.post("/banners", content=BODY)
        large = await http.post("/banners", content=b"x" * 101)
        unsigned = await http.post("/banners", content=BODY, auth=httpx2.Auth())
        assert (await http.get("/healthz", auth=httpx2.Auth())).status_code == 200
    assert (repeated.status_code, json.loads(repeated.content)) == (401, json.loads(REFUSED))
    assert (large.status_code, large.json()) == (413, {"error": "too large"})
    assert (unsigned.status_code, unsigned.json()) == (401, {"error": "signature refused"})
    assert house.reasons == ["repeated", "too large", "no signature"]


async def test_an_old_call_is_refused(house: House) -> None:
    wire = await house.ask(signed(params=parameters(created=SECONDS - 61)))
    assert (wire.status, house.reasons) == (401, ["too old"])
