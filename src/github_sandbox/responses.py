"""
HTTP responses independent of the web framework: compressed bodies, ETags, GitHub's error messages.

Pure: knows neither the request nor how a response is sent.
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


class HttpResponse(msgspec.Struct, frozen=True):
    """A complete response."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}
    media_type: str = JSON


class HttpError(Exception):
    """The request is answered with an error response."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(response.status)
        self.response = response


class CompressedBody(msgspec.Struct, frozen=True):
    """A gzip-compressed body; `digest` is the SHA-256 of the uncompressed one."""

    digest: bytes
    gzipped: bytes

    def decompress(self) -> bytes:
        """Return the uncompressed body, for clients that do not accept gzip."""
        return gzip.decompress(self.gzipped)


def compress(value: Any) -> CompressedBody:
    """Encode a value as JSON and compress it at the fastest level."""
    body = msgspec.json.encode(value)
    return CompressedBody(hashlib.sha256(body).digest(), gzip.compress(body, 1, mtime=0))


def build_etag(body: CompressedBody, *, accept: str, authorization: str) -> str:
    """
    Build a weak ETag that differs between tokens, as GitHub's does.

    https://github.com/bored-engineer/github-conditional-http-transport
    """
    varying = f"{accept}:{authorization}:".encode()
    return f'W/"{hashlib.sha256(varying + body.digest).hexdigest()}"'


def matches_etag(etag: str, if_none_match: str) -> bool:
    """Return whether `If-None-Match` contains an ETag, by weak comparison (RFC 9110, 13.1.2)."""
    candidates = {candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")}
    return "*" in candidates or etag.removeprefix("W/") in candidates


def message(
    status: int,
    text: str,
    *,
    documentation_url: str = _REST_DOCUMENTATION,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Build a response with GitHub's JSON error body."""
    body = {"message": text, "documentation_url": documentation_url, "status": str(status)}
    return HttpResponse(status, msgspec.json.encode(body), headers or {})


def moved_permanently(url: str, *, headers: Mapping[str, str]) -> HttpResponse:
    """Build the redirect to the URL of a repository that has been renamed."""
    body = {
        "message": "Moved Permanently",
        "url": url,
        "documentation_url": f"{_REST_DOCUMENTATION}/guides/best-practices-for-using-the-rest-api"
        "#follow-redirects",
    }
    return HttpResponse(301, msgspec.json.encode(body), {**headers, "location": url})


def not_found(*, headers: Mapping[str, str]) -> HttpResponse:
    """Build the response for a missing account or repository."""
    return message(404, "Not Found", headers=headers)


def bad_credentials(*, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Build the response for an invalid token."""
    return message(401, "Bad credentials", headers=headers)


def missing_user_agent() -> HttpResponse:
    """Build the response for a request without `User-Agent`."""
    text = (
        b"Request forbidden by administrative rules. Please make sure your request has a"
        b" User-Agent header (https://docs.github.com/en/rest/overview/"
        b"resources-in-the-rest-api#user-agent-required)."
        b" Check https://developer.github.com for other possible causes.\n"
    )
    return HttpResponse(403, text, media_type="text/html")


def rate_limit_exceeded(
    subject: str, *, is_anonymous: bool, headers: Mapping[str, str]
) -> HttpResponse:
    """Build the response for an exhausted primary rate limit."""
    advice = (
        " (But here's the good news: Authenticated requests get a higher rate limit. Check out the"
        " documentation for more details.)"
        if is_anonymous
        else f" {_SUPPORT} {headers.get('x-github-request-id', '')}."
    )
    text = f"API rate limit exceeded for {subject}.{advice}"
    return message(403, text, documentation_url=_LIMITS_DOCUMENTATION, headers=headers)


def secondary_rate_limit(status: int, *, request_id: str, retry_after_seconds: int) -> HttpResponse:
    """Build the response for a secondary rate limit."""
    text = (
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        f" {_SUPPORT} {request_id}."
    )
    headers = {"retry-after": str(retry_after_seconds)}
    return message(status, text, documentation_url=_SECONDARY_DOCUMENTATION, headers=headers)


def bad_gateway() -> HttpResponse:
    """Build the response of GitHub's proxies for a request that took too long."""
    return html_page(502, "Bad Gateway", "The server returned an invalid response.")


def html_page(status: int, title: str, text: str) -> HttpResponse:
    """Build an HTML page, as GitHub's proxies send it in place of JSON."""
    body = (
        f"<!DOCTYPE html>\n<html>\n  <head><title>{title} &middot; GitHub</title></head>\n"
        f"  <body><h1>{title}</h1><p>{text}</p></body>\n</html>\n"
    )
    return HttpResponse(status, body.encode(), media_type=HTML)
