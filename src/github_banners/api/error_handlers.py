"""
Exception handlers of the api: JSON for programs, a drawn explanation card for image clients.

At the address of a banner's page, all other clients get an HTML page instead of JSON. The public message comes from the class of the error; details go to the log.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from github_banners.api.banner_page import (
    VARY,
    error_page_response,
    is_open_graph_path,
    is_page_path,
)
from github_banners.api.banner_responses import (
    explanation_response,
    is_image_loader,
    requests_picture,
)
from github_banners.api.base_path import PREVIEW_PATH
from github_banners.drawing import explain
from github_banners.drawing.open_graph import draw_open_graph
from github_banners.errors import BannersError, UnknownBanner
from github_banners.options import find_misspelt_options, parse_options_leniently, parse_query
from github_banners.serving.framework import (
    Content,
    as_public_error,
    error_response,
    handle_http_error,
    to_starlette_response,
)

_BANNERS_PREFIX = "/banners/"


DrawPng: TypeAlias = Callable[[Request, Content], Awaitable[Content | None]]
"""Converts an SVG to PNG on behalf of a request's client; None if that fails or takes too long."""


class ErrorHandler:
    """
    Turns exceptions into responses.

    `host` is the name of this service on explanation cards, "" if it is not known. `base_path` is
    its path on its host. `count` is called with the class and the status of each error.
    """

    def __init__(
        self,
        *,
        host: str,
        draw_png: DrawPng,
        base_path: str = "",
        count: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._host = host
        self._base_path = base_path
        self._draw_png = draw_png
        self._count = count

    async def __call__(self, request: Request, error: Exception) -> Response:
        """Build the response to an error; an error that is not ours becomes a plain 500."""
        public_error = as_public_error(request, error)
        self._count(type(public_error).__name__, str(public_error.status))
        vary = _explanation_vary(request)
        if vary is not None:
            return await self._explanation_response(request, public_error, vary=vary)
        if is_page_path(_path(request)):
            return to_starlette_response(
                error_page_response(public_error, host=self._host, base_path=self._base_path)
            )
        unknown = find_misspelt_options(getattr(request.state, "options", {}))
        return to_starlette_response(
            error_response(public_error, unknown=unknown, login_parameter=_login_parameter(request))
        )

    async def handle_http_error(self, request: Request, error: Exception) -> Response:
        """Build the response to an error of the framework: unknown path or wrong method."""
        assert isinstance(error, HTTPException)
        vary = _explanation_vary(request)
        if vary is not None and error.status_code == HTTPStatus.NOT_FOUND:
            return await self._explanation_response(
                request, UnknownBanner(_path(request)), vary=vary
            )
        return handle_http_error(request, error)

    async def _explanation_response(
        self, request: Request, error: BannersError, *, vary: str
    ) -> Response:
        """Draw an explanation card in the theme and locale of the request, as PNG if requested."""
        query = _query(request)
        drawing = explain(
            error,
            options=parse_options_leniently(query),
            host=self._host,
            login_parameter=_login_parameter(request),
        )
        if is_open_graph_path(_path(request)):
            drawing = draw_open_graph(drawing)
        if _requested_format(request, query) != "png":
            return to_starlette_response(explanation_response(error, drawing, vary=vary))
        png = await self._draw_png(request, Content.svg(drawing))
        if png is None:
            return to_starlette_response(
                explanation_response(error, drawing, vary=vary, is_replacement=True)
            )
        return to_starlette_response(
            explanation_response(error, png.body, vary=vary, media_type=png.media_type)
        )


def _login_parameter(request: Request) -> str:
    """Return what the login is called in the requested URL: that of another service has its own name."""
    parameter: str = getattr(request.state, "login_parameter", "username")
    return parameter


def _explanation_vary(request: Request) -> str | None:
    """
    Return the `Vary` header of an explanation card for image clients, None for other clients.

    It names the headers by which the client was recognised. JSON errors need none: they are not
    cached.
    """
    path, headers = _path(request), request.headers
    if request.method not in {"GET", "HEAD"} or not path.startswith(_BANNERS_PREFIX):
        return None
    response_format = _query(request).get("format", "").strip().lower()
    if requests_picture(
        headers.get("accept", ""),
        suffix=PurePosixPath(path).suffix,
        response_format=response_format,
    ):
        return "Accept"
    if is_image_loader(headers.get("user-agent", ""), headers.get("sec-fetch-dest", "")):
        return VARY
    return None


def _requested_format(request: Request, query: Mapping[str, str]) -> str:
    """Return the requested format: `format` of a preview, the suffix of a permanent banner."""
    path = _path(request)
    if path == PREVIEW_PATH:
        return query.get("format", "").strip().lower()
    return PurePosixPath(path).suffix.lower().removeprefix(".")


def _query(request: Request) -> Mapping[str, str]:
    """Parse the query; empty if it is malformed."""
    try:
        return parse_query(request.scope["query_string"])
    except ValueError:
        return {}


def _path(request: Request) -> str:
    # `Request.url` would be built from the client's `Host` header.
    path: str = request.scope["path"]
    return path
