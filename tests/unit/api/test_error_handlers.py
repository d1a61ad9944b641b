"""Errors at the public door: JSON for programs, a drawn explanation for image clients."""

from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from github_banners.api.banner_responses import Picture
from github_banners.api.error_handlers import DrawPng, ErrorHandler
from github_banners.drawing import explain
from github_banners.errors import (
    BannersError,
    DatabaseUnavailable,
    FirstFetchPending,
    InvalidOption,
    Overloaded,
    TooManyRequests,
    UnknownBanner,
    UnknownUser,
)
from github_banners.options import OPTIONS, BannerOptions, Layout, Locale, Theme
from github_banners.serving.framework import build_app

HOST = "banners.example"
BROWSER = "image/avif,image/webp,image/svg+xml,*/*;q=0.8"
PAGE = "text/html,application/xhtml+xml,image/avif,*/*;q=0.8"
PRIVATE = "postgresql://banners:hunter2@db/"


async def draw_no_png(request: Request, drawing: Picture) -> Picture | None:
    """Fail to draw in time."""
    return None


async def draw_png(request: Request, drawing: Picture) -> Picture | None:
    """Draw what tests can tell."""
    return Picture.png(b"png of " + drawing.body)


def failing_api(
    error: Exception, *, draw: DrawPng = draw_no_png, options: dict[str, str] | None = None
) -> ASGIApp:
    """The addresses of the public service, where everything goes wrong in the same way."""

    async def fail(request: Request) -> Response:
        request.state.options = options or {}
        raise error

    explain_problem = ErrorHandler(host=HOST, draw_png=draw)
    return build_app(
        [Route("/banners/{name}", fail), Route("/banners", fail, methods=["POST"])],
        on_error={Exception: explain_problem, HTTPException: explain_problem.handle_http_error},
    )


async def ask(
    error: Exception,
    path: str,
    *,
    accept: str = "*/*",
    method: str = "GET",
    headers: dict[str, str] | None = None,
    **how: Any,
) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=failing_api(error, **how))
    async with httpx2.AsyncClient(transport=transport, base_url=f"http://{HOST}") as http:
        return await http.request(method, path, headers={"accept": accept, **(headers or {})})


def is_picture(answer: httpx2.Response) -> bool:
    is_svg = answer.headers["content-type"] == "image/svg+xml; charset=utf-8"
    return is_svg and ET.fromstring(answer.content).tag.endswith("}svg")


def sentence_in(answer: httpx2.Response) -> str | None:
    """What the picture says to who can't see it."""
    return ET.fromstring(answer.content).findtext("{http://www.w3.org/2000/svg}desc")


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
async def test_an_image_client_sees_that_there_is_no_such_banner(path: str, accept: str) -> None:
    answer = await ask(ValueError(), path, accept=accept)
    assert answer.status_code == 200
    assert is_picture(answer)
    assert sentence_in(answer) == "banner doesn't exist"
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert answer.headers["vary"] == "Accept"
    # Somebody may make it the next moment.
    assert answer.headers["x-accel-expires"] == "0"


@pytest.mark.parametrize("accept", ["*/*", "application/json", PAGE, ""])
async def test_a_program_reads_that_there_is_no_such_address(accept: str) -> None:
    answer = await ask(ValueError(), "/banners/a/b", accept=accept)
    assert (answer.status_code, answer.json()) == (404, {"error": "not found"})
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/favicon.svg", "/", "/bannersx/a.svg", "/x/banners/a.svg"])
async def test_where_no_pictures_are_nobody_sees_one(path: str) -> None:
    answer = await ask(ValueError(), path, accept=BROWSER)
    assert (answer.status_code, answer.json()) == (404, {"error": "not found"})


@pytest.mark.parametrize(
    ("error", "seconds", "is_passing"),
    [
        (UnknownUser("hunter2"), 60, False),
        (UnknownBanner("hunter2"), 60, True),
        (InvalidOption("radius", "99", ["0 to 20"]), 60, False),
        (TooManyRequests(7), 7, True),
        (FirstFetchPending("ada"), 2, True),
        (Overloaded(), 30, True),
        (DatabaseUnavailable(PRIVATE), 30, True),
        (RuntimeError(PRIVATE), 60, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_an_image_client_sees_what_went_wrong(
    error: Exception, seconds: int, is_passing: bool
) -> None:
    known = error if isinstance(error, BannersError) else BannersError()
    answer = await ask(error, "/banners/ada", accept=BROWSER)
    assert (answer.status_code, answer.content) == (200, explain(known, host=HOST))
    assert is_picture(answer)
    assert sentence_in(answer) == known.public_message
    assert answer.headers["cache-control"] == f"public, max-age={seconds}"
    assert answer.headers.get("x-accel-expires") == ("0" if is_passing else None)
    assert PRIVATE not in answer.text


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (UnknownUser("hunter2"), 404, {"error": "user doesn't exist"}),
        (DatabaseUnavailable(PRIVATE), 503, {"error": "can't get preview"}),
        (RuntimeError(PRIVATE), 500, {"error": "something went wrong"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_program_reads_what_went_wrong(
    error: Exception, status: int, body: dict[str, str], method: str
) -> None:
    path = "/banners/ada" if method == "GET" else "/banners"
    answer = await ask(error, path, method=method)
    assert (answer.status_code, answer.json()) == (status, body)
    assert answer.headers["vary"] == "Accept"
    assert "hunter2" not in answer.text + str(answer.headers)


async def test_who_makes_a_banner_reads_json_whatever_it_accepts() -> None:
    answer = await ask(UnknownUser("ada"), "/banners", method="POST", accept=BROWSER)
    assert (answer.status_code, answer.json()) == (404, {"error": "user doesn't exist"})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_wrong_method_is_json_and_says_which_are_right(method: str) -> None:
    answer = await ask(ValueError(), "/banners/ada.svg", method=method, accept=BROWSER)
    assert (answer.status_code, answer.json()) == (405, {"error": "method not allowed"})
    assert {"GET", "HEAD"} <= {one.strip() for one in answer.headers["allow"].split(",")}


async def test_the_head_of_an_explanation_is_that_of_the_whole() -> None:
    head, whole = [
        await ask(UnknownUser("ada"), "/banners/ada.svg", method=method)
        for method in ("HEAD", "GET")
    ]
    assert (head.status_code, head.headers, head.content) == (200, whole.headers, b"")


@pytest.mark.parametrize(
    ("query", "look"),
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
async def test_an_explanation_suits_the_page_it_stands_on(query: str, look: BannerOptions) -> None:
    error = UnknownUser("ada")
    answer = await ask(error, f"/banners/preview?{query}", accept=BROWSER)
    assert answer.content == explain(error, options=look, host=HOST)


async def test_too_long_a_query_is_not_read_for_an_explanation() -> None:
    query = "type=dark&" + "&".join(["hide=stars"] * 100)
    answer = await ask(UnknownUser("ada"), f"/banners/preview?{query}", accept=BROWSER)
    assert answer.content == explain(UnknownUser("ada"), options=BannerOptions(), host=HOST)


@settings(deadline=None, max_examples=60)
@given(
    pairs=st.lists(
        st.tuples(
            st.sampled_from([*OPTIONS, "theme", "TYPE", "username"]) | st.text(max_size=5),
            st.sampled_from(["dark", "card", "he", "\ud83d", "%ff"]) | st.text(max_size=12),
        ),
        max_size=6,
    )
)
async def test_whatever_stands_in_a_query_the_explanation_is_a_picture(
    pairs: list[tuple[str, str]],
) -> None:
    wishes = [[quote(one, errors="surrogatepass") for one in pair] for pair in pairs]
    query = "&".join("=".join(pair) for pair in wishes)
    answer = await ask(UnknownUser("ada"), f"/banners/preview?{query}", accept=BROWSER)
    assert answer.status_code == 200
    assert is_picture(answer)


async def test_an_unforeseen_exception_is_logged_once() -> None:
    error = RuntimeError(PRIVATE)
    with capture_logs() as logs:
        await ask(error, "/banners/ada", accept=BROWSER)
    assert [(line["event"], line["exc_info"]) for line in logs] == [("request.failed", error)]


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
async def test_image_client_gets_a_picture(path: str, headers: dict[str, str], vary: str) -> None:
    answer = await ask(UnknownUser("ada"), path, headers=headers)
    assert (answer.status_code, is_picture(answer)) == (200, True)
    assert answer.headers["vary"] == vary


@pytest.mark.parametrize("path", ["/banners/preview?format=json", "/banners/a", "/banners/a.json"])
@pytest.mark.parametrize("agent", ["curl/8.5.0", ""])
async def test_program_that_takes_anything_gets_json(path: str, agent: str) -> None:
    answer = await ask(UnknownUser("ada"), path, headers={"user-agent": agent})
    assert (answer.status_code, answer.json()) == (404, {"error": "user doesn't exist"})


@pytest.mark.parametrize(
    "path", ["/banners/a.png", "/banners/A.PNG", "/banners/preview?format=png", "/banners/a/b.png"]
)
async def test_explanation_is_a_png_where_one_was_asked_for(path: str) -> None:
    answer = await ask(UnknownUser("ada"), path, draw=draw_png)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.content.startswith(b"png of <svg")
    assert answer.headers["cache-control"] == "public, max-age=60"


@pytest.mark.parametrize("path", ["/banners/a.svg", "/banners/a?format=png", "/banners/preview"])
async def test_explanation_is_an_svg_elsewhere(path: str) -> None:
    answer = await ask(UnknownUser("ada"), path, accept=BROWSER, draw=draw_png)
    assert is_picture(answer)


async def test_explanation_is_an_svg_for_half_a_minute_where_a_png_cannot_be_had() -> None:
    answer = await ask(UnknownUser("ada"), "/banners/a.png")
    assert is_picture(answer)
    assert answer.headers["cache-control"] == "public, max-age=30"
    assert answer.headers["x-accel-expires"] == "0"


@pytest.mark.parametrize(("path", "method"), [("/banners/preview", "GET"), ("/banners", "POST")])
async def test_misspelt_options_are_named_in_json(path: str, method: str) -> None:
    options = {"layuot": "card", "typ": "dark", "utm_source": "x"}
    answer = await ask(UnknownUser("ada"), path, method=method, options=options)
    assert answer.json() == {
        "error": "user doesn't exist",
        "unknown": {"layuot": "layout", "typ": "type"},
    }
