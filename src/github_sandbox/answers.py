"""
What goes out: bodies packed once, their ETags, GitHub's refusals.

Pure: nothing here knows who asks or how an answer is sent.
"""

import gzip
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
_REST_DOCUMENTATION = "https://docs.github.com/rest"
_LIMITS_DOCUMENTATION = (
    "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"
)
_SECONDARY_DOCUMENTATION = f"{_LIMITS_DOCUMENTATION}#about-secondary-rate-limits"
_SUPPORT = "If you reach out to GitHub Support for help, please include the request ID"


class Answer(msgspec.Struct, frozen=True):
    """A whole response."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}
    media_type: str = JSON


class Packed(msgspec.Struct, frozen=True):
    """A body, compressed once; `digest` is that of the plain one."""

    digest: bytes
    gzipped: bytes

    def plain(self) -> bytes:
        """Unpack it for a client that takes no gzip."""
        return gzip.decompress(self.gzipped)


class Refusal(Exception):
    """GitHub says no; `answer` is what it says."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def pack(value: Any) -> Packed:
    """Write a value as JSON and compress it quickly."""
    body = msgspec.json.encode(value)
    return Packed(hashlib.sha256(body).digest(), gzip.compress(body, 1, mtime=0))


def etag_of(packed: Packed, *, accept: str, authorization: str) -> str:
    """
    Write a weak ETag that differs from token to token, as GitHub's does.

    https://github.com/bored-engineer/github-conditional-http-transport
    """
    named = f"{accept}:{authorization}:".encode()
    return f'W/"{hashlib.sha256(named + packed.digest).hexdigest()}"'


def matches(etag: str, if_none_match: str) -> bool:
    """Compare weakly, as `If-None-Match` asks: RFC 9110, section 13.1.2."""
    given = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return "*" in given or etag.removeprefix("W/") in given


def said(
    status: int,
    message: str,
    *,
    documentation: str = _REST_DOCUMENTATION,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Write a message in GitHub's shape."""
    body = {"message": message, "documentation_url": documentation, "status": str(status)}
    return Answer(status, msgspec.json.encode(body), headers or {})


def not_found() -> Answer:
    """Say that there is nothing there."""
    return said(404, "Not Found")


def bad_credentials() -> Answer:
    """Say that a token is nobody's."""
    return said(401, "Bad credentials")


def no_user_agent() -> Answer:
    """Say that a client must name itself."""
    sentence = (
        b"Request forbidden by administrative rules. Please make sure your request has a"
        b" User-Agent header (https://docs.github.com/en/rest/overview/"
        b"resources-in-the-rest-api#user-agent-required)."
        b" Check https://developer.github.com for other possible causes.\n"
    )
    return Answer(403, sentence, media_type="text/html")


def exhausted(payer: str, *, is_anonymous: bool, headers: Mapping[str, str]) -> Answer:
    """Say that the hour's budget is spent."""
    advice = (
        " (But here's the good news: Authenticated requests get a higher rate limit. Check out the"
        " documentation for more details.)"
        if is_anonymous
        else f" {_SUPPORT} {headers.get('x-github-request-id', '')}."
    )
    message = f"API rate limit exceeded for {payer}.{advice}"
    return said(403, message, documentation=_LIMITS_DOCUMENTATION, headers=headers)


def secondary(status: int, *, request_id: str, retry_after_seconds: int) -> Answer:
    """Say that too much is being asked at once."""
    message = (
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        f" {_SUPPORT} {request_id}."
    )
    headers = {"retry-after": str(retry_after_seconds)}
    return said(status, message, documentation=_SECONDARY_DOCUMENTATION, headers=headers)


def page(status: int, title: str, sentence: str) -> Answer:
    """Write one of the HTML pages that stand where JSON was expected."""
    body = (
        f"<!DOCTYPE html>\n<html>\n  <head><title>{title} &middot; GitHub</title></head>\n"
        f"  <body><h1>{title}</h1><p>{sentence}</p></body>\n</html>\n"
    )
    return Answer(status, body.encode(), media_type=HTML)
