"""HTML pages and their files: hashed, compressed, and sent with security headers."""

from collections.abc import Mapping
from dataclasses import dataclass

from github_banners.api.banner_responses import Picture
from github_banners.serving.framework import HttpResponse, etag_matches

REVALIDATE = "no-cache"
IMMUTABLE = "public, max-age=31536000, immutable"
HTML = "text/html; charset=utf-8"
SCRIPT = "text/javascript; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Document:
    """A page or one of its files, hashed and compressed like a picture."""

    content: Picture
    media_type: str
    cache_control: str = REVALIDATE


def document_response(
    document: Document,
    request_headers: Mapping[str, str],
    *,
    policy: str,
    vary: str = "Accept-Encoding",
) -> HttpResponse:
    """
    Build the response with a document, or 304 if `If-None-Match` matches.

    `policy` is its `Content-Security-Policy`.
    """
    body, etag = document.content.negotiate(request_headers.get("accept-encoding", ""))
    headers = {
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "etag": etag,
        "cache-control": document.cache_control,
        "vary": vary,
    }
    if etag_matches(request_headers.get("if-none-match", ""), etag):
        return HttpResponse(304, headers)
    headers["content-type"] = document.media_type
    if body is document.content.gzipped:
        headers["content-encoding"] = "gzip"
    return HttpResponse(200, headers, body)
