"""
What goes over the wire, with which headers: pure.

A picture's bytes are tagged and compressed once; explanations are never kept for longer than a
minute by anybody.
"""

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec

from github_banners.errors import BannersError, TooManyRequests, Unavailable, UnknownBanner
from github_banners.models import Snapshot
from github_banners.serving.responses import HttpResponse, etag_matches, json_response

SVG = "image/svg+xml; charset=utf-8"
PNG = "image/png"
_MIN_AGE_SECONDS = 30
_MAX_AGE_SECONDS = 600
_EXPLANATION_AGE_SECONDS = 60
_GZIP_LEVEL = 6

_SECURITY_HEADERS = {
    "access-control-allow-origin": "*",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "x-content-type-options": "nosniff",
}
# A gateway must not put what passes by itself in the place of a picture.
_NO_PROXY_CACHE = {"x-accel-expires": "0"}
_RAW_SECURITY_HEADERS = [
    (name.encode(), value.encode()) for name, value in _SECURITY_HEADERS.items()
]


RawHeaderList: TypeAlias = list[tuple[bytes, bytes]]
"""Headers as ASGI takes them."""


class Picture(msgspec.Struct, frozen=True, gc=False):
    """
    A drawn banner, tagged and compressed once.

    Tens of thousands lie in memory: the garbage collector has nothing to look at in them.
    """

    body: bytes
    media_type: str
    digest: str
    gzipped: bytes | None
    """The same with gzip; None where a format is compressed already."""

    @classmethod
    def svg(cls, body: bytes, media_type: str = SVG) -> "Picture":
        """Tag and compress an SVG, or another text."""
        # No time in gzip's header: equal pictures have equal bytes.
        return cls(body, media_type, _digest(body), gzip.compress(body, _GZIP_LEVEL, mtime=0))

    @classmethod
    def png(cls, body: bytes) -> "Picture":
        """Take bytes for PNG."""
        return cls(body, PNG, _digest(body), None)

    @property
    def etag(self) -> str:
        """Return the tag of the uncompressed bytes."""
        return f'"{self.digest}"'

    @property
    def size_bytes(self) -> int:
        """Return what it takes in memory, but for the objects themselves."""
        return len(self.body) + len(self.gzipped or b"")


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


def requests_picture(accept: str, *, suffix: str, response_format: str) -> bool:
    """Return whether a request wants a picture and nothing else, by what it says itself."""
    flat = accept.lower()
    accepts_images = "image/" in flat and "text/html" not in flat
    return accepts_images or suffix.lower() in {".svg", ".png"} or response_format in {"svg", "png"}


def is_image_loader(user_agent: str, fetch_dest: str) -> bool:
    """Return whether a client shows pictures only, whatever it accepts: GitHub's proxy, an `<img>`."""
    return "camo" in user_agent.lower() or fetch_dest.strip().lower() == "image"


def picture_response(
    picture: Picture, request_headers: Mapping[str, str], *, seconds_fresh: int
) -> HttpResponse:
    """Answer with a picture, or with 304 to who has it; `seconds_fresh` until numbers are refreshed."""
    accept_encoding = request_headers.get("accept-encoding", "")
    if_none_match = request_headers.get("if-none-match", "")
    status, headers, body = raw_picture_response(
        picture, accept_encoding, if_none_match, seconds_fresh=seconds_fresh
    )
    return HttpResponse(status, {name.decode(): value.decode() for name, value in headers}, body)


def raw_picture_response(
    picture: Picture, accept_encoding: str, if_none_match: str, *, seconds_fresh: int
) -> tuple[int, RawHeaderList, bytes]:
    """Do what `deliver` does, for headers as they come and go: status, headers, body."""
    body, etag, headers = picture.body, picture.etag, list(_RAW_SECURITY_HEADERS)
    if picture.gzipped is not None:
        headers.append((b"vary", b"Accept-Encoding"))
        if accepts_gzip(accept_encoding):
            body, etag = picture.gzipped, f'"{picture.digest}-gz"'
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


def svg_fallback_response(picture: Picture, request_headers: Mapping[str, str]) -> HttpResponse:
    """Answer with an SVG where a PNG can't be had now: for as short as may be, and by no gateway."""
    outgoing = picture_response(picture, request_headers, seconds_fresh=0)
    return replace(outgoing, headers={**outgoing.headers, **_NO_PROXY_CACHE})


@lru_cache(_MAX_AGE_SECONDS)
def cache_control(seconds_fresh: int) -> bytes:
    """Say how long a picture may be kept: while its numbers are fresh, within limits."""
    age_seconds = min(max(seconds_fresh, _MIN_AGE_SECONDS), _MAX_AGE_SECONDS)
    return b"public, max-age=%d, stale-while-revalidate=60, stale-if-error=86400" % age_seconds


@lru_cache(256)
def accepts_gzip(accept_encoding: str) -> bool:
    """Read `Accept-Encoding`: gzip, else anything, that `q=0` does not refuse (RFC 9110, 12.5.3)."""
    weights = {}
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = offer.partition(";")
        weights[coding.strip()] = weight.replace(" ", "")
    weight = weights.get("gzip", weights.get("*", "q=0"))
    return weight not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}


def numbers_response(
    snapshot: Snapshot, *, is_stale: bool, unknown: Mapping[str, str] | None = None
) -> HttpResponse:
    """Answer with an owner's numbers as JSON; `unknown` are options that were probably misspelt."""
    numbers: dict[str, Any] = {
        "username": snapshot.owner.login,
        "display_name": snapshot.owner.display_name,
        "stats": snapshot.stats,
        "fetched_at": snapshot.fetched_at,
        "stale": is_stale,
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
    Answer an image client: the explanation with status 200, kept for a minute at most.

    `is_replacement` says that another format was asked for, which may be had the next time.
    """
    headers = {**_SECURITY_HEADERS, "content-type": media_type, "vary": vary}
    age_seconds = _MIN_AGE_SECONDS if is_replacement else _EXPLANATION_AGE_SECONDS
    if isinstance(error, TooManyRequests | Unavailable):
        age_seconds = min(error.retry_after_seconds, age_seconds)
    is_passing = isinstance(error, TooManyRequests | UnknownBanner) or error.status >= 500
    if is_passing or is_replacement:
        headers |= _NO_PROXY_CACHE
    headers["cache-control"] = f"public, max-age={age_seconds}"
    return HttpResponse(200, headers, drawing)


def expand_origins(origins: Sequence[str]) -> frozenset[str]:
    """Write out CORS origins; a host without a scheme means both."""
    return frozenset(
        origin
        for given in origins
        for origin in (
            [given] if given == "*" or "://" in given else [f"http://{given}", f"https://{given}"]
        )
    )
