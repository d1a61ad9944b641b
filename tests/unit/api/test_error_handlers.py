"""Errors of the public API: JSON for programs, a drawn explanation for image clients."""

from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from github_banners.api.error_handlers import DrawPng, ErrorHandler
from github_banners.drawing import explain
from github_banners.errors import (
    BannersError,
    ContributionsHidden,
    DatabaseUnavailable,
    FetchPending,
    InvalidOption,
    NoContributions,
    Overloaded,
    TokenRequired,
    TooManyRequests,
    UnknownBanner,
    UnknownRepository,
    UnknownUser,
    UserNotServed,
)
from github_banners.options import OPTIONS, BannerOptions, Layout, Locale, Theme
from github_banners.serving.framework import Content, build_app
from tests.svg_text import read_description
from tests.unit.api.asgi import http_scope

HOST = "banners.example"
BROWSER = "image/avif,image/webp,image/svg+xml,*/*;q=0.8"
PAGE = "text/html,application/xhtml+xml,image/avif,*/*;q=0.8"
PRIVATE = "postgresql://banners:hunter2@db/"


async def draw_no_png(request: Request, drawing: Content) -> Content | None:
    """Return None, as if the conversion took too long."""
    return None


async def draw_png(request: Request, drawing: Content) -> Content | None:
    """Return a recognisable PNG."""
    return Content.png(b"png of " + drawing.body)


def failing_api(
    error: Exception, *, draw: DrawPng = draw_no_png, options: dict[str, str] | None = None
) -> ASGIApp:
    """Build an application with the paths of the api whose handlers raise `error`."""

    async def fail(request: Request) -> Response:
        request.state.options = options or {}
        raise error

    error_handler = ErrorHandler(host=HOST, draw_png=draw)
    return build_app(
        [Route("/banners/{name}", fail), Route("/banners", fail, methods=["POST"])],
        on_error={Exception: error_handler, HTTPException: error_handler.handle_http_error},
    )


async def request_api(
    error: Exception,
    path: str,
    *,
    accept: str = "*/*",
    method: str = "GET",
    headers: dict[str, str] | None = None,
    **options: Any,
) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=failing_api(error, **options))
    async with httpx2.AsyncClient(transport=transport, base_url=f"http://{HOST}") as http:
        return await http.request(method, path, headers={"accept": accept, **(headers or {})})


def is_picture(response: httpx2.Response) -> bool:
    is_svg = response.headers["content-type"] == "image/svg+xml; charset=utf-8"
    return is_svg and ET.fromstring(response.content).tag.endswith("}svg")


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/banners/a/b.svg", "*/*"),
        ("/banners/a/b.SVG", "*/*"),
        ("/banners/a/b.svg", PAGE),
        ("/banners/a/b.svg", BROWSER),
        ("/banners/a/b", BROWSER),
        ("/banners/a%2fb.svg", ""),
        ("/banners/a//b.svg?type=dark", "*/*"),
    ],
)
async def test_unknown_path_image_client_gets_explanation(path: str, accept: str) -> None:
    response = await request_api(ValueError(), path, accept=accept)
    assert response.status_code == 200
    assert is_picture(response)
    assert read_description(response.content) == "banner doesn't exist"
    assert response.headers["cache-control"] == "public, max-age=60"
    assert response.headers["vary"] == "Accept"
    # The banner may be created at any moment.
    assert response.headers["x-accel-expires"] == "0"


@pytest.mark.parametrize("accept", ["*/*", "application/json", PAGE, ""])
async def test_unknown_path_program_gets_json(accept: str) -> None:
    response = await request_api(ValueError(), "/banners/a/b", accept=accept)
    assert (response.status_code, response.json()) == (404, {"error": "not found"})
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/favicon.svg", "/", "/bannersx/a.svg", "/x/banners/a.svg"])
async def test_unknown_path_outside_banners_gets_json(path: str) -> None:
    response = await request_api(ValueError(), path, accept=BROWSER)
    assert (response.status_code, response.json()) == (404, {"error": "not found"})


@pytest.mark.parametrize(
    ("error", "seconds", "is_temporary"),
    [
        (UnknownUser("hunter2"), 60, False),
        (UnknownBanner("hunter2"), 60, True),
        (InvalidOption("radius", "99", ["0 to 20"]), 60, False),
        (TooManyRequests(7), 7, True),
        (FetchPending("ada"), 2, True),
        (Overloaded(), 30, True),
        (DatabaseUnavailable(PRIVATE), 30, True),
        (RuntimeError(PRIVATE), 60, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_error_image_client_gets_explanation(
    error: Exception, seconds: int, is_temporary: bool
) -> None:
    public_error = error if isinstance(error, BannersError) else BannersError()
    response = await request_api(error, "/banners/ada", accept=BROWSER)
    assert (response.status_code, response.content) == (200, explain(public_error, host=HOST))
    assert is_picture(response)
    assert read_description(response.content) == public_error.public_message
    assert response.headers["cache-control"] == f"public, max-age={seconds}"
    assert response.headers.get("x-accel-expires") == ("0" if is_temporary else None)
    assert PRIVATE not in response.text


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (UnknownUser("hunter2"), 404, {"error": "user doesn't exist"}),
        (
            UnknownRepository("hunter2", "linux"),
            404,
            {"error": "repository doesn't exist", "suggestion": "linux"},
        ),
        (ContributionsHidden("hunter2"), 404, {"error": "contributions are hidden"}),
        (NoContributions("hunter2"), 404, {"error": "organisations have no contributions"}),
        (UserNotServed("hunter2"), 403, {"error": "user not served here"}),
        (TokenRequired(), 503, {"error": "token required"}),
        (DatabaseUnavailable(PRIVATE), 503, {"error": "can't get preview"}),
        (RuntimeError(PRIVATE), 500, {"error": "something went wrong"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_error_program_gets_json(
    error: Exception, status: int, body: dict[str, str], method: str
) -> None:
    path = "/banners/ada" if method == "GET" else "/banners"
    response = await request_api(error, path, method=method)
    assert (response.status_code, response.json()) == (status, body)
    assert response.headers["vary"] == "Accept"
    assert "hunter2" not in response.text + str(response.headers)


async def test_error_post_gets_json_for_any_accept() -> None:
    response = await request_api(UnknownUser("ada"), "/banners", method="POST", accept=BROWSER)
    assert (response.status_code, response.json()) == (404, {"error": "user doesn't exist"})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_wrong_method_gets_json_with_allow(method: str) -> None:
    response = await request_api(ValueError(), "/banners/ada.svg", method=method, accept=BROWSER)
    assert (response.status_code, response.json()) == (405, {"error": "method not allowed"})
    assert {"GET", "HEAD"} <= {method.strip() for method in response.headers["allow"].split(",")}


async def test_explanation_head_has_headers_of_get() -> None:
    head, complete = [
        await request_api(UnknownUser("ada"), "/banners/ada.svg", method=method)
        for method in ("HEAD", "GET")
    ]
    assert (head.status_code, head.headers, head.content) == (200, complete.headers, b"")


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", BannerOptions()),
        ("type=dark", BannerOptions(theme=Theme.DARK)),
        ("TYPE=Dark&username=x", BannerOptions(theme=Theme.DARK)),
        ("theme=dark", BannerOptions(theme=Theme.DARK)),
        ("type=klingon&layout=classic", BannerOptions()),
        ("type=dark&layout=none", BannerOptions(theme=Theme.DARK)),
        ("type=dark&layout=classic&radius=99", BannerOptions(theme=Theme.DARK)),
        ("type=dark&bg_color=f00&title=No", BannerOptions(theme=Theme.DARK, bg_color="ff0000")),
        (
            "layout=card&LOCALE=ar&radius=0",
            BannerOptions(layout=Layout.CARD, locale=Locale.AR, radius=0),
        ),
        ("locale=klingon&border=false", BannerOptions(border=False)),
    ],
)
async def test_explanation_uses_theme_and_locale_of_the_request(
    query: str, options: BannerOptions
) -> None:
    error = UnknownUser("ada")
    response = await request_api(error, f"/banners/preview?{query}", accept=BROWSER)
    assert response.content == explain(error, options=options, host=HOST)


async def test_explanation_too_long_query_uses_defaults() -> None:
    query = "type=dark&" + "&".join(["hide=stars"] * 100)
    response = await request_api(UnknownUser("ada"), f"/banners/preview?{query}", accept=BROWSER)
    assert response.content == explain(UnknownUser("ada"), options=BannerOptions(), host=HOST)


@given(
    pairs=st.lists(
        st.tuples(
            st.sampled_from([*OPTIONS, "theme", "TYPE", "username"]) | st.text(max_size=5),
            st.sampled_from(["dark", "card", "he", "\ud83d", "%ff"]) | st.text(max_size=12),
        ),
        max_size=6,
    )
)
async def test_explanation_any_query_returns_valid_svg(
    pairs: list[tuple[str, str]],
) -> None:
    quoted_pairs = [[quote(text, errors="surrogatepass") for text in pair] for pair in pairs]
    query = "&".join("=".join(pair) for pair in quoted_pairs)
    response = await request_api(UnknownUser("ada"), f"/banners/preview?{query}", accept=BROWSER)
    assert response.status_code == 200
    assert is_picture(response)


async def test_unexpected_exception_is_logged_once() -> None:
    error = RuntimeError(PRIVATE)
    with capture_logs() as logs:
        await request_api(error, "/banners/ada", accept=BROWSER)
    assert [(line["event"], line["exc_info"]) for line in logs] == [("request.failed", error)]


async def test_errors_are_counted_by_class_and_status() -> None:
    counted: list[tuple[str, str]] = []
    for error in (UnknownUser("ada"), DatabaseUnavailable(), RuntimeError(PRIVATE)):
        handler = ErrorHandler(
            host=HOST, draw_png=draw_no_png, count=lambda *labels: counted.append(labels)
        )
        request = Request(http_scope("/banners/ada", accept=BROWSER))
        await handler(request, error)
    assert counted == [
        ("UnknownUser", "404"),
        ("DatabaseUnavailable", "503"),
        ("BannersError", "500"),
    ]


IMAGE_CLIENTS: list[tuple[str, dict[str, str], str]] = [
    ("/banners/preview", {"accept": BROWSER}, "Accept"),
    ("/banners/a.svg", {}, "Accept"),
    ("/banners/preview?format=svg", {}, "Accept"),
    ("/banners/preview?x=1&amp;FORMAT=%20Png", {"accept": PAGE}, "Accept"),
    ("/banners/a", {"user-agent": "github-camo (1)"}, "Accept, User-Agent, Sec-Fetch-Dest"),
    ("/banners/preview", {"sec-fetch-dest": "image"}, "Accept, User-Agent, Sec-Fetch-Dest"),
    ("/banners/a/b", {"user-agent": "GitHub-Camo"}, "Accept, User-Agent, Sec-Fetch-Dest"),
]


@pytest.mark.parametrize(("path", "headers", "vary"), IMAGE_CLIENTS)
async def test_error_recognised_image_client_gets_picture_with_vary(
    path: str, headers: dict[str, str], vary: str
) -> None:
    response = await request_api(UnknownUser("ada"), path, headers=headers)
    assert (response.status_code, is_picture(response)) == (200, True)
    assert response.headers["vary"] == vary


@pytest.mark.parametrize("path", ["/banners/preview?format=json", "/banners/a", "/banners/a.json"])
@pytest.mark.parametrize("agent", ["curl/8.5.0", ""])
async def test_error_accept_anything_gets_json(path: str, agent: str) -> None:
    response = await request_api(UnknownUser("ada"), path, headers={"user-agent": agent})
    assert (response.status_code, response.json()) == (404, {"error": "user doesn't exist"})


@pytest.mark.parametrize(
    "path", ["/banners/a.png", "/banners/A.PNG", "/banners/preview?format=png", "/banners/a/b.png"]
)
async def test_explanation_png_requested_is_png(path: str) -> None:
    response = await request_api(UnknownUser("ada"), path, draw=draw_png)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    assert response.content.startswith(b"png of <svg")
    assert response.headers["cache-control"] == "public, max-age=60"


@pytest.mark.parametrize("path", ["/banners/a.svg", "/banners/a?format=png", "/banners/preview"])
async def test_explanation_png_not_requested_is_svg(path: str) -> None:
    response = await request_api(UnknownUser("ada"), path, accept=BROWSER, draw=draw_png)
    assert is_picture(response)


async def test_explanation_png_unavailable_is_svg_for_30_seconds() -> None:
    response = await request_api(UnknownUser("ada"), "/banners/a.png")
    assert is_picture(response)
    assert response.headers["cache-control"] == "public, max-age=30"
    assert response.headers["x-accel-expires"] == "0"


@pytest.mark.parametrize(("path", "method"), [("/banners/preview", "GET"), ("/banners", "POST")])
async def test_error_misspelt_options_are_listed_as_unknown(path: str, method: str) -> None:
    options = {"layuot": "card", "typ": "dark", "utm_source": "x"}
    response = await request_api(UnknownUser("ada"), path, method=method, options=options)
    assert response.json() == {
        "error": "user doesn't exist",
        "unknown": {"layuot": "layout", "typ": "type"},
    }
