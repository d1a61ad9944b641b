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

from github_banners.api.delivery import (
    Picture,
    asks_for_picture,
    deliver_explanation,
    is_image_loader,
)
from github_banners.drawing import explain
from github_banners.errors import BannersError, UnknownBanner
from github_banners.look import misspelt_options, read_query, salvage_look
from github_banners.serving.answers import (
    answer_http,
    deliver_problem,
    known_error,
    respond,
)

_PICTURES, _PREVIEW = "/banners/", "/banners/preview"


DrawPng: TypeAlias = Callable[[Request, Picture], Awaitable[Picture | None]]
"""Draws the PNG of a drawing for whoever sends a request; None where it can't be had in time."""


class ExplainProblem:
    """Turns our errors into answers; `host` is what a drawn explanation may call this service."""

    def __init__(self, *, host: str, draw_png: DrawPng) -> None:
        self._host = host
        self._draw_png = draw_png

    async def __call__(self, request: Request, error: Exception) -> Response:
        """Answer one of our own errors, or hide one that is not."""
        known = known_error(request, error)
        vary = _vary_of_explanation(request)
        if vary is not None:
            return await self._explain(request, known, vary=vary)
        unknown = misspelt_options(getattr(request.state, "options", {}))
        return respond(deliver_problem(known, unknown=unknown))

    async def explain_http(self, request: Request, error: Exception) -> Response:
        """Answer what the framework refuses: no such address, wrong method."""
        assert isinstance(error, HTTPException)
        vary = _vary_of_explanation(request)
        if vary is not None and error.status_code == HTTPStatus.NOT_FOUND:
            return await self._explain(request, UnknownBanner(_path(request)), vary=vary)
        return answer_http(request, error)

    async def _explain(self, request: Request, error: BannersError, *, vary: str) -> Response:
        """Draw an explanation that suits the page it stands on, as PNG where one was asked for."""
        query = _query(request)
        drawing = explain(error, look=salvage_look(query), host=self._host)
        if _form(request, query) != "png":
            return respond(deliver_explanation(error, drawing, vary=vary))
        png = await self._draw_png(request, Picture.svg(drawing))
        if png is None:
            return respond(deliver_explanation(error, drawing, vary=vary, is_replacement=True))
        return respond(deliver_explanation(error, png.body, vary=vary, media_type=png.media_type))


def _vary_of_explanation(request: Request) -> str | None:
    """
    Tell an image client, which gets its errors drawn, by the headers that tell it; None for others.

    JSON is never cached, so that only the explanation says what it depends on.
    """
    path, headers = _path(request), request.headers
    if request.method not in {"GET", "HEAD"} or not path.startswith(_PICTURES):
        return None
    form = _query(request).get("format", "").strip().lower()
    if asks_for_picture(headers.get("accept", ""), suffix=PurePosixPath(path).suffix, form=form):
        return "Accept"
    if is_image_loader(headers.get("user-agent", ""), headers.get("sec-fetch-dest", "")):
        return "Accept, User-Agent, Sec-Fetch-Dest"
    return None


def _form(request: Request, query: Mapping[str, str]) -> str:
    """Return the format that was asked for: a permanent name's query means nothing."""
    path = _path(request)
    if path == _PREVIEW:
        return query.get("format", "").strip().lower()
    return PurePosixPath(path).suffix.lower().removeprefix(".")


def _query(request: Request) -> Mapping[str, str]:
    """Read the query as far as it can be read."""
    try:
        return read_query(request.scope["query_string"].decode(errors="replace"))
    except ValueError:
        return {}


def _path(request: Request) -> str:
    """Return the path, without a look at the `Host` header that `Request.url` takes."""
    path: str = request.scope["path"]
    return path
