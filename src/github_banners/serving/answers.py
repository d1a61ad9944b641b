"""
Answers as every door gives them: JSON, and our errors as JSON.

Public words come from the error's class; everything else goes to the log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from github_banners.errors import (
    BannersError,
    InvalidInput,
    TooManyRequests,
    Unavailable,
    UnreadableMessage,
)

JSON = "application/json"

Ask: TypeAlias = Request[Any, Any, Any]
"""A request as the framework hands it over."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def as_json(status: int, body: bytes, headers: Mapping[str, str]) -> Outgoing:
    """Wrap JSON."""
    fixed = {"content-type": JSON, "x-content-type-options": "nosniff"}
    return Outgoing(status, {**fixed, **headers}, body)


def deliver_problem(error: BannersError) -> Outgoing:
    """Answer a program: the status, the public sentence, what a wrong input may be and was meant."""
    problem: dict[str, Any] = {"error": error.sentence}
    if isinstance(error, InvalidInput):
        problem |= {"field": error.field, "allowed": error.allowed}
        if error.meant is not None:
            problem["meant"] = error.meant
    if isinstance(error, UnreadableMessage):
        problem["reason"] = str(error)
    headers = {"vary": "Accept", "cache-control": "no-store"}
    if isinstance(error, TooManyRequests | Unavailable):
        headers["retry-after"] = str(error.retry_after_seconds)
    return as_json(error.status, msgspec.json.encode(problem), headers)


def matches(if_none_match: str, etag: str) -> bool:
    """Compare tags weakly, as `If-None-Match` asks (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


def known_error(request: Ask, error: Exception) -> BannersError:
    """Take one of our own errors, or hide one that is not behind the root of the tree."""
    if isinstance(error, BannersError):
        return error
    _log.error("request.failed", path=request.url.path, exc_info=error)
    return BannersError()


def answer_problem(request: Ask, error: Exception) -> Response[bytes]:
    """Answer an error to another service."""
    known = known_error(request, error)
    if known is error:
        _log.info("request.refused", path=request.url.path[:128], reason=str(known))
    return respond(deliver_problem(known))


def answer_http(request: Ask, error: HTTPException) -> Response[bytes]:
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
