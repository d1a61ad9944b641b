"""Responses and exception handlers of all services, over real ASGI calls."""

import json
import traceback
from collections.abc import Callable

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message
from structlog.testing import capture_logs

from github_banners.errors import (
    BannersError,
    InvalidOption,
    InvalidSignature,
    InvalidType,
    MalformedMessage,
    RemoteRejected,
    RenderingFailed,
    StorageUnavailable,
    TooLarge,
    TooManyRequests,
    UnknownBanner,
    UnknownRepository,
)
from github_banners.serving.framework import (
    HttpResponse,
    build_app,
    error_response,
    etag_matches,
    json_response,
    to_starlette_response,
)
from tests.unit.api.asgi import http_scope

PLAIN = {"content-type": "application/json", "x-content-type-options": "nosniff"}
PRIVATE = "postgresql://banners:hunter2@db/"


async def request_service(
    respond: Callable[[], Response],
    path: str = "/endpoint",
    *,
    method: str = "GET",
    **headers: str,
) -> httpx2.Response:
    """Send one request to a service whose only handler calls `respond`."""

    async def endpoint(request: Request) -> Response:
        return respond()

    transport = httpx2.ASGITransport(app=build_app([Route("/endpoint", endpoint)]))
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as http:
        return await http.request(method, path, headers=headers)


def raising(error: Exception) -> Callable[[], Response]:
    def respond() -> Response:
        raise error

    return respond


def everything_in(response: httpx2.Response) -> str:
    return response.text + str(response.headers)


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (
            InvalidType("type", PRIVATE, ["default", "dark"]),
            400,
            {"error": "invalid banner type", "field": "type", "allowed": ["default", "dark"]},
        ),
        (
            InvalidOption("url_path", PRIVATE),
            400,
            {"error": "invalid inputs", "field": "url_path", "allowed": []},
        ),
        (InvalidSignature(PRIVATE), 401, {"error": "signature refused"}),
        (UnknownBanner(PRIVATE), 404, {"error": "banner doesn't exist"}),
        (TooLarge(PRIVATE), 413, {"error": "too large"}),
        (TooManyRequests(7), 429, {"error": "too many requests"}),
        (RemoteRejected(PRIVATE), 500, {"error": "something went wrong"}),
        (RenderingFailed(PRIVATE), 500, {"error": "something went wrong"}),
        (BannersError(PRIVATE), 500, {"error": "something went wrong"}),
        (StorageUnavailable(PRIVATE), 503, {"error": "can't store banner"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BannersError) else "",
)
async def test_error_response_has_public_message_only(
    error: BannersError, status: int, body: dict[str, object]
) -> None:
    response = await request_service(raising(error))
    assert (response.status_code, response.json()) == (status, body)
    assert response.headers.items() >= {**PLAIN, "cache-control": "no-store"}.items()
    assert "hunter2" not in everything_in(response)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(TooManyRequests(7), "7"), (StorageUnavailable(), "30")],
    ids=["for one client", "for all"],
)
async def test_temporary_error_has_retry_after(error: BannersError, seconds: str) -> None:
    assert (await request_service(raising(error))).headers["retry-after"] == seconds


async def test_refused_request_is_logged_once() -> None:
    with capture_logs() as logs:
        await request_service(raising(MalformedMessage("Object missing required field `x`")))
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("request.refused", "info")
    assert (line["path"], line["reason"]) == ("/endpoint", "Object missing required field `x`")


@pytest.mark.parametrize(
    "error",
    [
        ValueError(PRIVATE),
        KeyError(PRIVATE),
        ConnectionRefusedError(111, PRIVATE),
        RecursionError(PRIVATE),
        UnicodeDecodeError("utf-8", PRIVATE.encode(), 0, 1, PRIVATE),
        ExceptionGroup(PRIVATE, [RuntimeError(PRIVATE)]),
        HTTPException(500, PRIVATE),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_unexpected_exception_leaks_nothing(error: Exception) -> None:
    response = await request_service(raising(error), accept="text/html", **{"x-debug": "1"})
    assert response.status_code == 500
    assert response.headers.items() >= PLAIN.items()
    for word in ("hunter2", "Traceback", ".py", type(error).__name__, "endpoint"):
        assert word not in everything_in(response)


async def test_unexpected_exception_is_logged_with_traceback() -> None:
    error = ValueError(PRIVATE)
    with capture_logs() as logs:
        response = await request_service(raising(error))
    assert response.json() == {"error": "something went wrong"}
    (failed,) = [line for line in logs if line["log_level"] == "error"]
    assert (failed["event"], failed["path"]) == ("request.failed", "/endpoint")
    assert failed["exc_info"] is error
    assert "hunter2" in "".join(traceback.format_exception(failed["exc_info"]))


async def test_unknown_path_gets_404() -> None:
    response = await request_service(raising(ValueError()), "/hunter2")
    assert (response.status_code, response.json()) == (404, {"error": "not found"})
    assert response.headers.items() >= PLAIN.items()
    assert "hunter2" not in everything_in(response)


@pytest.mark.parametrize("path", ["/endpoint/", "/endpoint//"])
async def test_trailing_slash_is_ignored(path: str) -> None:
    sent = await request_service(lambda: to_starlette_response(json_response(200, b"{}", {})), path)
    assert (sent.status_code, sent.content) == (200, b"{}")
    assert "location" not in sent.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
async def test_wrong_method_gets_405_with_allow(method: str) -> None:
    response = await request_service(raising(ValueError()), method=method)
    assert (response.status_code, response.json()) == (405, {"error": "method not allowed"})
    assert {method.strip() for method in response.headers["allow"].split(",")} >= {"GET"}


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (HTTPException(403, PRIVATE), 403, "forbidden"),
        (HTTPException(500, PRIVATE), 500, "internal server error"),
        (HTTPException(503, PRIVATE), 503, "service unavailable"),
    ],
    ids=lambda value: str(value.status_code) if isinstance(value, HTTPException) else "",
)
async def test_http_exception_response_has_status_phrase_only(
    error: HTTPException, status: int, message: str
) -> None:
    response = await request_service(raising(error))
    assert (response.status_code, response.json()) == (status, {"error": message})
    assert "hunter2" not in everything_in(response)


async def test_client_disconnect_in_body_is_not_logged() -> None:
    async def read_body(request: Request) -> Response:
        return Response(await request.body())

    async def leave() -> Message:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    parts: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}]
    sent: list[Message] = []
    app = build_app([Route("/endpoint", read_body, methods=["POST"])])
    with capture_logs() as logs:
        await app(http_scope("/endpoint", method="POST"), leave, send)
    assert logs == []
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def test_http_exception_headers_are_sent() -> None:
    error = HTTPException(503, headers={"Retry-After": "3"})
    assert (await request_service(raising(error))).headers["retry-after"] == "3"


async def test_json_response_sends_body_and_headers() -> None:
    response = json_response(201, b'{"url":"/banners/ada"}', {"location": "/banners/ada"})
    sent = await request_service(lambda: to_starlette_response(response))
    assert (sent.status_code, sent.content) == (201, b'{"url":"/banners/ada"}')
    assert sent.headers == {**PLAIN, "location": "/banners/ada", "content-length": "22"}


@pytest.mark.parametrize(
    ("content_type", "sent_type"),
    [
        ("image/svg+xml; charset=utf-8", "image/svg+xml; charset=utf-8"),
        ("image/svg+xml", "image/svg+xml"),
        ("text/html; charset=utf-8", "text/html; charset=utf-8"),
    ],
)
async def test_to_starlette_response_keeps_content_type(content_type: str, sent_type: str) -> None:
    headers = {"content-type": content_type}
    sent = await request_service(
        lambda: to_starlette_response(HttpResponse(200, headers, b"\xc3\xa9"))
    )
    assert (sent.headers["content-type"], sent.content) == (sent_type, "é".encode())


async def test_redirect_without_body_has_no_content_type() -> None:
    sent = await request_service(
        lambda: to_starlette_response(HttpResponse(307, {"location": "/docs"}))
    )
    assert (sent.status_code, sent.content) == (307, b"")
    assert sent.headers == {"location": "/docs", "content-length": "0"}


async def test_not_modified_has_no_body_and_no_content_type() -> None:
    sent = await request_service(lambda: to_starlette_response(HttpResponse(304, {"etag": '"1"'})))
    assert (sent.status_code, sent.content) == (304, b"")
    assert sent.headers == {"etag": '"1"'}


@pytest.mark.parametrize(
    ("if_none_match", "is_match"),
    [
        ("", False),
        ("*", True),
        (' "a" ', True),
        ('"b","a"', True),
        ('W/"b",\tW/"a"', True),
        (",,", False),
        ('w/"a"', False),
        ("'a'", False),
        ('"A"', False),
        ('"aa"', False),
        ('"a', False),
        ('W/W/"a"', False),
    ],
)
def test_etag_matches_compares_weakly(if_none_match: str, is_match: bool) -> None:
    assert etag_matches(if_none_match, '"a"') is is_match


TAGS = st.text("0123456789abcdef", min_size=1, max_size=32).map('"{}"'.format)


@given(
    others=st.lists(TAGS, max_size=4),
    tag=TAGS,
    position=st.integers(0, 4),
    is_weak=st.booleans(),
    between=st.sampled_from([",", ", ", " , "]),
)
def test_etag_matches_at_any_position(
    others: list[str], tag: str, position: int, is_weak: bool, between: str
) -> None:
    listed = [*others[:position], f"W/{tag}" if is_weak else tag, *others[position:]]
    assert etag_matches(between.join(listed), tag)
    assert etag_matches(between.join(others), tag) is (tag in others)


def test_error_response_misspelt_value_has_suggestion() -> None:
    problem = error_response(InvalidType("type", "drak", ["default", "dark"]))
    assert json.loads(problem.body)["suggestion"] == "dark"


@pytest.mark.parametrize("suggestion", ["linux", None])
def test_error_response_unknown_repository_has_nearest_name_if_any(suggestion: str | None) -> None:
    problem = json.loads(error_response(UnknownRepository("linus", suggestion)).body)
    assert problem.pop("suggestion", None) == suggestion
    assert problem == {"error": "repository doesn't exist"}
