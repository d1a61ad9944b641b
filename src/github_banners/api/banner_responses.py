"""
Responses of the public API: bodies and headers, without I/O.

A picture is hashed for its ETag and compressed once, when it is drawn. Explanation cards are cached
for at most a minute, since most of their causes pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec

from github_banners.errors import BannersError, TooManyRequests, Unavailable, UnknownBanner
from github_banners.messaging.mapping import extra_data
from github_banners.models import Snapshot
from github_banners.options import BannerOptions
from github_banners.serving.framework import SVG, Content, HttpResponse, etag_matches, json_response

_MIN_AGE_SECONDS = 30
_MAX_AGE_SECONDS = 600
_EXPLANATION_AGE_SECONDS = 60

_SECURITY_HEADERS = {
    "access-control-allow-origin": "*",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "x-content-type-options": "nosniff",
}
# nginx must not cache a temporary explanation in place of the picture:
# https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_valid
_NO_PROXY_CACHE = {"x-accel-expires": "0"}
_RAW_SECURITY_HEADERS = [
    (name.encode(), value.encode()) for name, value in _SECURITY_HEADERS.items()
]


def requests_picture(accept: str, *, suffix: str, response_format: str) -> bool:
    """Return whether a request asks for a picture: by `Accept`, path suffix or `format`."""
    lowered = accept.lower()
    accepts_images = "image/" in lowered and "text/html" not in lowered
    return accepts_images or suffix.lower() in {".svg", ".png"} or response_format in {"svg", "png"}


def is_image_loader(user_agent: str, fetch_dest: str) -> bool:
    """Return whether a client only displays images: GitHub's proxy (camo) or an `<img>` element."""
    return "camo" in user_agent.lower() or fetch_dest.strip().lower() == "image"


def picture_response(
    picture: Content, request_headers: Mapping[str, str], *, seconds_fresh: int
) -> HttpResponse:
    """
    Build the response with a picture, or 304 if `If-None-Match` matches.

    `seconds_fresh` is the time until the numbers are refreshed; it sets `max-age`, within limits.
    """
    accept_encoding = request_headers.get("accept-encoding", "")
    if_none_match = request_headers.get("if-none-match", "")
    status, headers, body = raw_picture_response(
        picture, accept_encoding, if_none_match, seconds_fresh=seconds_fresh
    )
    return HttpResponse(status, {name.decode(): value.decode() for name, value in headers}, body)


def raw_picture_response(
    picture: Content, accept_encoding: str, if_none_match: str, *, seconds_fresh: int
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Build the response of `picture_response` as status, raw ASGI headers and body."""
    body, etag = picture.negotiate(accept_encoding)
    headers = list(_RAW_SECURITY_HEADERS)
    if picture.gzipped is not None:
        headers.append((b"vary", b"Accept-Encoding"))
    headers += [(b"etag", etag.encode()), (b"cache-control", cache_control(seconds_fresh))]
    if etag_matches(if_none_match, etag):
        return 304, headers, b""
    headers += [
        (b"content-type", picture.media_type.encode()),
        (b"content-length", b"%d" % len(body)),
    ]
    if body is picture.gzipped:
        headers.append((b"content-encoding", b"gzip"))
    return 200, headers, body


def svg_fallback_response(picture: Content, request_headers: Mapping[str, str]) -> HttpResponse:
    """
    Build the response with an SVG in place of a PNG that could not be converted in time.

    It has the shortest `max-age` and is not cached by proxies, so that the PNG replaces it soon.
    """
    response = picture_response(picture, request_headers, seconds_fresh=0)
    return replace(response, headers={**response.headers, **_NO_PROXY_CACHE})


@lru_cache(_MAX_AGE_SECONDS)
def cache_control(seconds_fresh: int) -> bytes:
    """Build `Cache-Control` of a picture: `max-age` while its numbers are fresh, within limits."""
    age_seconds = min(max(seconds_fresh, _MIN_AGE_SECONDS), _MAX_AGE_SECONDS)
    return b"public, max-age=%d, stale-while-revalidate=60, stale-if-error=86400" % age_seconds


def numbers_response(
    snapshot: Snapshot,
    options: BannerOptions,
    *,
    is_stale: bool,
    unknown: Mapping[str, str] | None = None,
) -> HttpResponse:
    """
    Build the response with an owner's numbers as JSON, and what else the banner shows.

    `unknown` maps misspelt option names to the likely intended ones.
    """
    numbers: dict[str, Any] = {
        "username": snapshot.owner.login,
        "display_name": snapshot.owner.display_name,
        "stats": snapshot.stats,
        "fetched_at": snapshot.fetched_at,
        "stale": is_stale,
        **extra_data(snapshot, options),
    }
    if unknown:
        numbers["unknown"] = unknown
    body = msgspec.json.encode(numbers)
    return json_response(200, body, {"cache-control": f"public, max-age={_MIN_AGE_SECONDS}"})


def explanation_response(
    error: BannersError,
    drawing: bytes,
    *,
    vary: str = "Accept",
    media_type: str = SVG,
    is_replacement: bool = False,
) -> HttpResponse:
    """
    Build the response to an image client: a drawn explanation with status 200.

    The status is 200 because image clients drop the body of an error. `is_replacement` is True if
    the drawing is an SVG in place of the requested PNG; then a retry may get the PNG.
    """
    headers = {**_SECURITY_HEADERS, "content-type": media_type, "vary": vary}
    age_seconds = _MIN_AGE_SECONDS if is_replacement else _EXPLANATION_AGE_SECONDS
    if isinstance(error, TooManyRequests | Unavailable):
        age_seconds = min(error.retry_after_seconds, age_seconds)
    is_temporary = isinstance(error, TooManyRequests | UnknownBanner) or error.status >= 500
    if is_temporary or is_replacement:
        headers |= _NO_PROXY_CACHE
    headers["cache-control"] = f"public, max-age={age_seconds}"
    return HttpResponse(200, headers, drawing)


def expand_origins(origins: Sequence[str]) -> frozenset[str]:
    """Expand CORS origins: a host without a scheme stands for http and https."""
    expanded: set[str] = set()
    for raw in origins:
        is_complete = raw == "*" or "://" in raw
        expanded.update([raw] if is_complete else [f"http://{raw}", f"https://{raw}"])
    return frozenset(expanded)
