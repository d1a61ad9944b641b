"""
Errors -> answers, in one place: JSON for programs, a drawn explanation for image clients.

Public words come from the error's class; everything else goes to the log.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from github_banners.api.banner_responses import (
    Picture,
    explanation_response,
    is_image_loader,
    requests_picture,
)
from github_banners.drawing import explain
from github_banners.errors import BannersError, UnknownBanner
from github_banners.options import find_misspelt_options, parse_options_leniently, parse_query
from github_banners.serving.responses import (
    as_public_error,
    error_response,
    handle_http_error,
    to_starlette_response,
)

_BANNERS_PREFIX, _PREVIEW_PATH = "/banners/", "/banners/preview"


DrawPng: TypeAlias = Callable[[Request, Picture], Awaitable[Picture | None]]
"""Draws the PNG of a drawing for whoever sends a request; None where it can't be had in time."""


class ErrorHandler:
    """Turns our errors into answers; `host` is what a drawn explanation may call this service."""

    def __init__(self, *, host: str, draw_png: DrawPng) -> None:
        self._host = host
        self._draw_png = draw_png

    async def __call__(self, request: Request, error: Exception) -> Response:
        """Answer one of our own errors, or hide one that is not."""
        known = as_public_error(request, error)
        vary = _explanation_vary(request)
        if vary is not None:
            return await self._explanation_response(request, known, vary=vary)
        unknown = find_misspelt_options(getattr(request.state, "options", {}))
        return to_starlette_response(error_response(known, unknown=unknown))

    async def handle_http_error(self, request: Request, error: Exception) -> Response:
        """Answer what the framework refuses: no such address, wrong method."""
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
        """Draw an explanation that suits the page it stands on, as PNG where one was asked for."""
        query = _query(request)
        drawing = explain(error, options=parse_options_leniently(query), host=self._host)
        if _requested_format(request, query) != "png":
            return to_starlette_response(explanation_response(error, drawing, vary=vary))
        png = await self._draw_png(request, Picture.svg(drawing))
        if png is None:
            return to_starlette_response(
                explanation_response(error, drawing, vary=vary, is_replacement=True)
            )
        return to_starlette_response(
            explanation_response(error, png.body, vary=vary, media_type=png.media_type)
        )


def _explanation_vary(request: Request) -> str | None:
    """
    Tell an image client, which gets its errors drawn, by the headers that tell it; None for others.

    JSON is never cached, so that only the explanation says what it depends on.
    """
    path, headers = _path(request), request.headers
    if request.method not in {"GET", "HEAD"} or not path.startswith(_BANNERS_PREFIX):
        return None
    form = _query(request).get("format", "").strip().lower()
    if requests_picture(
        headers.get("accept", ""), suffix=PurePosixPath(path).suffix, response_format=form
    ):
        return "Accept"
    if is_image_loader(headers.get("user-agent", ""), headers.get("sec-fetch-dest", "")):
        return "Accept, User-Agent, Sec-Fetch-Dest"
    return None


def _requested_format(request: Request, query: Mapping[str, str]) -> str:
    """Return the format that was asked for: a permanent name's query means nothing."""
    path = _path(request)
    if path == _PREVIEW_PATH:
        return query.get("format", "").strip().lower()
    return PurePosixPath(path).suffix.lower().removeprefix(".")


def _query(request: Request) -> Mapping[str, str]:
    """Read the query as far as it can be read."""
    try:
        return parse_query(request.scope["query_string"].decode(errors="replace"))
    except ValueError:
        return {}


def _path(request: Request) -> str:
    """Return the path, without a look at the `Host` header that `GitHubRequest.url` takes."""
    path: str = request.scope["path"]
    return path
