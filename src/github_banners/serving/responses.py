"""
Responses as every service sends them: JSON, and our errors as JSON.

Public words come from the error's class; everything else goes to the log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from github_banners.errors import (
    BannersError,
    InvalidInput,
    MalformedMessage,
    TooManyRequests,
    Unavailable,
)

JSON = "application/json"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def json_response(status: int, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
    """Wrap JSON."""
    fixed = {"content-type": JSON, "x-content-type-options": "nosniff"}
    return HttpResponse(status, {**fixed, **headers}, body)


def error_response(
    error: BannersError, *, unknown: Mapping[str, str] | None = None
) -> HttpResponse:
    """
    Build the response to a program: status, public sentence, and what a wrong input may be.

    `unknown` are inputs that were probably misspelt, each with the one that was meant.
    """
    problem: dict[str, Any] = {"error": error.public_message}
    if isinstance(error, InvalidInput):
        problem |= {"field": error.field, "allowed": error.allowed}
        if error.suggestion is not None:
            problem["suggestion"] = error.suggestion
    if isinstance(error, MalformedMessage):
        problem["reason"] = str(error)
    if unknown:
        problem["unknown"] = unknown
    headers = {"vary": "Accept", "cache-control": "no-store"}
    if isinstance(error, TooManyRequests | Unavailable):
        headers["retry-after"] = str(error.retry_after_seconds)
    return json_response(error.status, msgspec.json.encode(problem), headers)


def etag_matches(if_none_match: str, etag: str) -> bool:
    """Compare tags weakly, as `If-None-Match` asks (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


def as_public_error(request: Request, error: Exception) -> BannersError:
    """Return one of our own errors, or hide one that is not behind the root of the tree."""
    if isinstance(error, BannersError):
        return error
    _log.error("request.failed", path=request.scope["path"], exc_info=error)
    return BannersError()


def handle_error(request: Request, error: Exception) -> Response:
    """Answer an error to another service."""
    known = as_public_error(request, error)
    if known is error:
        _log.info("request.refused", path=request.scope["path"][:128], reason=str(known))
    return to_starlette_response(error_response(known))


def handle_http_error(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses: no such address, wrong method."""
    assert isinstance(error, HTTPException)
    sentence = HTTPStatus(error.status_code).phrase.lower()
    body = msgspec.json.encode({"error": sentence})
    return to_starlette_response(json_response(error.status_code, body, error.headers or {}))


def handle_disconnect(request: Request, error: Exception) -> Response:
    """End a request whose client left in the middle of its body: nobody reads this."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


def to_starlette_response(response: HttpResponse) -> Response:
    """Turn a response into the framework's."""
    return Response(response.body, status_code=response.status, headers=response.headers)
