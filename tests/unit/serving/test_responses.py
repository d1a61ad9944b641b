"""Answers and refusals as they leave a service, over real ASGI calls."""

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
)
from github_banners.serving.framework import build_app
from github_banners.serving.responses import (
    HttpResponse,
    error_response,
    etag_matches,
    json_response,
    to_starlette_response,
)
from tests.unit.api.asgi import http_scope

PLAIN = {"content-type": "application/json", "x-content-type-options": "nosniff"}
PRIVATE = "postgresql://banners:hunter2@db/"


async def answer(
    act: Callable[[], Response],
    path: str = "/door",
    *,
    method: str = "GET",
    **headers: str,
) -> httpx2.Response:
    """Send one request to a service whose only handler does what the test says."""

    async def door(request: Request) -> Response:
        return act()

    transport = httpx2.ASGITransport(app=build_app([Route("/door", door)]))
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as http:
        return await http.request(method, path, headers=headers)


def raising(error: Exception) -> Callable[[], Response]:
    def act() -> Response:
        raise error

    return act


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
async def test_our_errors_say_their_public_words_and_none_besides(
    error: BannersError, status: int, body: dict[str, object]
) -> None:
    refused = await answer(raising(error))
    assert (refused.status_code, refused.json()) == (status, body)
    assert refused.headers.items() >= {**PLAIN, "cache-control": "no-store"}.items()
    assert "hunter2" not in everything_in(refused)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(TooManyRequests(7), "7"), (StorageUnavailable(), "30")],
    ids=["for one client", "for all"],
)
async def test_what_passes_says_when_to_come_again(error: BannersError, seconds: str) -> None:
    assert (await answer(raising(error))).headers["retry-after"] == seconds


async def test_why_a_request_was_refused_is_logged_once() -> None:
    with capture_logs() as logs:
        await answer(raising(MalformedMessage("Object missing required field `x`")))
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("request.refused", "info")
    assert (line["path"], line["reason"]) == ("/door", "Object missing required field `x`")


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
async def test_nothing_of_an_unforeseen_exception_leaks(error: Exception) -> None:
    refused = await answer(raising(error), accept="text/html", **{"x-debug": "1"})
    assert refused.status_code == 500
    assert refused.headers.items() >= PLAIN.items()
    for word in ("hunter2", "Traceback", ".py", type(error).__name__, "door"):
        assert word not in everything_in(refused)


async def test_an_unforeseen_exception_is_logged_whole() -> None:
    error = ValueError(PRIVATE)
    with capture_logs() as logs:
        refused = await answer(raising(error))
    assert refused.json() == {"error": "something went wrong"}
    (failed,) = [line for line in logs if line["log_level"] == "error"]
    assert (failed["event"], failed["path"]) == ("request.failed", "/door")
    assert failed["exc_info"] is error
    assert "hunter2" in "".join(traceback.format_exception(failed["exc_info"]))


async def test_an_address_that_is_not_there_is_not_found() -> None:
    refused = await answer(raising(ValueError()), "/hunter2")
    assert (refused.status_code, refused.json()) == (404, {"error": "not found"})
    assert refused.headers.items() >= PLAIN.items()
    assert "hunter2" not in everything_in(refused)


@pytest.mark.parametrize("path", ["/door/", "/door//"])
async def test_a_slash_at_the_end_of_a_path_makes_no_difference(path: str) -> None:
    sent = await answer(lambda: to_starlette_response(json_response(200, b"{}", {})), path)
    assert (sent.status_code, sent.content) == (200, b"{}")
    assert "location" not in sent.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
async def test_a_wrong_method_is_told_which_are_right(method: str) -> None:
    refused = await answer(raising(ValueError()), method=method)
    assert (refused.status_code, refused.json()) == (405, {"error": "method not allowed"})
    assert {one.strip() for one in refused.headers["allow"].split(",")} >= {"GET"}


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (HTTPException(403, PRIVATE), 403, "forbidden"),
        (HTTPException(500, PRIVATE), 500, "internal server error"),
        (HTTPException(503, PRIVATE), 503, "service unavailable"),
    ],
    ids=lambda value: str(value.status_code) if isinstance(value, HTTPException) else "",
)
async def test_what_the_framework_refuses_says_its_status_alone(
    error: HTTPException, status: int, sentence: str
) -> None:
    refused = await answer(raising(error))
    assert (refused.status_code, refused.json()) == (status, {"error": sentence})
    assert "hunter2" not in everything_in(refused)


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error() -> None:
    async def read_body(request: Request) -> Response:
        return Response(await request.body())

    async def leave() -> Message:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    parts: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}]
    sent: list[Message] = []
    app = build_app([Route("/door", read_body, methods=["POST"])])
    with capture_logs() as logs:
        await app(http_scope("/door", method="POST"), leave, send)
    assert logs == []
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def test_headers_of_a_refusal_are_kept() -> None:
    error = HTTPException(503, headers={"Retry-After": "3"})
    assert (await answer(raising(error))).headers["retry-after"] == "3"


async def test_json_goes_out_as_it_is() -> None:
    made = json_response(201, b'{"url":"/banners/ada"}', {"location": "/banners/ada"})
    sent = await answer(lambda: to_starlette_response(made))
    assert (sent.status_code, sent.content) == (201, b'{"url":"/banners/ada"}')
    assert sent.headers == {**PLAIN, "location": "/banners/ada", "content-length": "22"}


@pytest.mark.parametrize(
    ("given_type", "sent_type"),
    [
        ("image/svg+xml; charset=utf-8", "image/svg+xml; charset=utf-8"),
        ("image/svg+xml", "image/svg+xml"),
        ("text/html; charset=utf-8", "text/html; charset=utf-8"),
    ],
)
async def test_a_type_is_named_with_one_charset_at_most(given_type: str, sent_type: str) -> None:
    headers = {"content-type": given_type}
    sent = await answer(lambda: to_starlette_response(HttpResponse(200, headers, b"\xc3\xa9")))
    assert (sent.headers["content-type"], sent.content) == (sent_type, "é".encode())


async def test_a_redirect_without_a_body_has_no_type() -> None:
    sent = await answer(lambda: to_starlette_response(HttpResponse(307, {"location": "/docs"})))
    assert (sent.status_code, sent.content) == (307, b"")
    assert sent.headers == {"location": "/docs", "content-length": "0"}


async def test_who_has_it_gets_no_body_and_no_type() -> None:
    sent = await answer(lambda: to_starlette_response(HttpResponse(304, {"etag": '"1"'})))
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
def test_tags_are_compared_weakly(if_none_match: str, is_match: bool) -> None:
    assert etag_matches(if_none_match, '"a"') is is_match


TAGS = st.text("0123456789abcdef", min_size=1, max_size=32).map('"{}"'.format)


@given(
    others=st.lists(TAGS, max_size=4),
    tag=TAGS,
    at=st.integers(0, 4),
    is_weak=st.booleans(),
    between=st.sampled_from([",", ", ", " , "]),
)
def test_a_tag_is_found_wherever_it_stands(
    others: list[str], tag: str, at: int, is_weak: bool, between: str
) -> None:
    listed = [*others[:at], f"W/{tag}" if is_weak else tag, *others[at:]]
    assert etag_matches(between.join(listed), tag)
    assert etag_matches(between.join(others), tag) is (tag in others)


def test_a_misspelt_value_is_answered_with_the_nearest() -> None:
    problem = error_response(InvalidType("type", "drak", ["default", "dark"]))
    assert json.loads(problem.body)["suggestion"] == "dark"
