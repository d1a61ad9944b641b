"""
JSON responses and exception handlers that all services share.

The public message comes from the class of the error; details go to the log.
"""

import hashlib
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
    """A response, independent of the framework; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def json_response(status: int, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
    """Build a response with a JSON body."""
    defaults = {"content-type": JSON, "x-content-type-options": "nosniff"}
    return HttpResponse(status, {**defaults, **headers}, body)


def error_response(
    error: BannersError, *, unknown: Mapping[str, str] | None = None
) -> HttpResponse:
    """
    Build the JSON response of an error: public message, and the allowed values of an invalid input.

    `unknown` maps misspelt input names to the likely intended ones.
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


def etag_digest(body: bytes) -> str:
    """Return the digest of a body that its ETag consists of: 32 hexadecimal digits, without quotes."""
    return hashlib.sha256(body).hexdigest()[:32]


def etag_matches(if_none_match: str, etag: str) -> bool:
    """Return whether `If-None-Match` lists an ETag, by weak comparison (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


def as_public_error(request: Request, error: Exception) -> BannersError:
    """Return our own errors as they are; log any other and return a plain `BannersError`."""
    if isinstance(error, BannersError):
        return error
    _log.error("request.failed", path=request.scope["path"], exc_info=error)
    return BannersError()


def handle_error(request: Request, error: Exception) -> Response:
    """Build the response to an error for another service, and log the error."""
    public_error = as_public_error(request, error)
    if public_error is error:
        _log.info("request.refused", path=request.scope["path"][:128], reason=str(public_error))
    return to_starlette_response(error_response(public_error))


def handle_http_error(request: Request, error: Exception) -> Response:
    """Build the response to an error of the framework: unknown path or wrong method."""
    assert isinstance(error, HTTPException)
    message = HTTPStatus(error.status_code).phrase.lower()
    body = msgspec.json.encode({"error": message})
    return to_starlette_response(json_response(error.status_code, body, error.headers or {}))


def handle_disconnect(request: Request, error: Exception) -> Response:
    """Build a response for a client that disconnected while sending its body; it is never sent."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


def to_starlette_response(response: HttpResponse) -> Response:
    """Convert a response to Starlette's class."""
    return Response(response.body, status_code=response.status, headers=response.headers)
