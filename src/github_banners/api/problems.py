"""
Errors -> answers, in one place: JSON for programs, a drawn explanation for image clients.

Public words come from the error's class; everything else goes to the log.
"""

from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from github_banners.api.delivery import (
    Client,
    Outgoing,
    as_json,
    deliver_explanation,
    deliver_problem,
    tell_client,
)
from github_banners.drawing import explain
from github_banners.errors import BannersError, InvalidInput
from github_banners.look import Look, parse_look

Ask: TypeAlias = Request[Any, Any, Any]
"""A request as the framework hands it over."""

_log = structlog.get_logger(__name__)

_PICTURES = "/banners/"


class ExplainProblem:
    """Turns our errors into answers; `host` is what a drawn explanation may call this service."""

    def __init__(self, *, host: str) -> None:
        self._host = host

    def __call__(self, request: Ask, error: Exception) -> Response[bytes]:
        """Answer one of our own errors, or hide one that is not."""
        if not isinstance(error, BannersError):
            _log.error("request.failed", path=request.url.path, exc_info=error)
            error = BannersError()
        path = request.url.path
        client = tell_client(request.headers.get("accept", ""), suffix=PurePosixPath(path).suffix)
        is_picture = path.startswith(_PICTURES) and request.method in {"GET", "HEAD"}
        if is_picture and client is Client.IMAGE:
            drawing = explain(error, look=_look_of(request), host=self._host)
            return respond(deliver_explanation(error, drawing))
        return respond(deliver_problem(error))


def explain_http(request: Ask, error: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses: no such address, wrong method."""
    sentence = HTTPStatus(error.status_code).phrase.lower()
    body = msgspec.json.encode({"error": sentence})
    return respond(as_json(error.status_code, body, error.headers or {}))


def respond(outgoing: Outgoing) -> Response[bytes]:
    """Hand an answer to the framework."""
    headers = dict(outgoing.headers)
    media_type = headers.pop("content-type", "text/plain")
    if media_type.startswith("text/"):
        # The framework names the charset of text by itself.
        media_type = media_type.partition(";")[0]
    return Response(
        outgoing.body, status_code=outgoing.status, headers=headers, media_type=media_type
    )


def _look_of(request: Ask) -> Look:
    """Take the part of a wish that was right, so that an explanation suits the page it stands on."""
    given = {name.lower(): value for name, value in parse_qsl(request.url.query)}
    look = Look()
    for name in ("theme", "type", "layout"):
        try:
            wish = parse_look({name: given[name]})
        except (KeyError, InvalidInput):
            continue
        look = msgspec.structs.replace(
            look,
            theme=wish.theme if name != "layout" else look.theme,
            layout=wish.layout if name == "layout" else look.layout,
        )
    return look
