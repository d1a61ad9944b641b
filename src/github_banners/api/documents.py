"""HTML pages and their files: hashed, compressed, and sent with security headers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from html import escape

from minijinja import Environment, safe

from github_banners.serving.framework import Content, HttpResponse, etag_matches

REVALIDATE = "no-cache"
IMMUTABLE = "public, max-age=31536000, immutable"
HTML = "text/html; charset=utf-8"
SCRIPT = "text/javascript; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Document:
    """A page or one of its files, hashed and compressed like a picture."""

    content: Content
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
        **security_headers(policy),
        "etag": etag,
        "cache-control": document.cache_control,
        "vary": vary,
    }
    if etag_matches(request_headers.get("if-none-match", ""), etag):
        return HttpResponse(304, headers)
    headers["content-type"] = document.content.media_type
    if body is document.content.gzipped:
        headers["content-encoding"] = "gzip"
    return HttpResponse(200, headers, body)


def security_headers(policy: str) -> dict[str, str]:
    """Return the security headers of a page with this `Content-Security-Policy`."""
    return {
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


@cache
def html_environment(loader: Callable[[str], str]) -> Environment:
    """Return the environment of the HTML templates that `loader` reads; it escapes every value."""
    return Environment(
        loader=loader,
        auto_escape_callback=lambda _: "html",
        undefined_behavior="strict",
        trim_blocks=True,
        lstrip_blocks=True,
    )


def escape_url(url: str) -> str:
    """Escape a URL, but not its slashes as templates do: not every crawler decodes those."""
    return safe(escape(url))
