"""
Pictures of banners: drawn, cached, and sent.

`PictureCache` has the newest version of each requested banner. A picture is served from it until its
numbers must be validated again, or until its owner is invalidated by a change in the database. A
picture is hashed for its ETag and compressed once, when it is drawn. Explanation cards are cached for
at most a minute, since most of their causes pass.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import TypeAlias

import msgspec

from github_banners.cache import ByteBoundedLru
from github_banners.drawing import draw
from github_banners.errors import BannersError, TooManyRequests, Unavailable, UnknownBanner
from github_banners.models import EPOCH, MAX_CLOCK_SKEW, Clock, Snapshot
from github_banners.options import BannerOptions, options_digest
from github_banners.serving.framework import SVG, Content, HttpResponse, etag_matches
from github_banners.stats.fetch import Deadline
from github_banners.stats.lookup import LookupResult
from github_banners.stats.snapshots import Freshness, Invalidations

PictureKey: TypeAlias = tuple[int, bytes]
"""Owner id and digest of the options; a digest because options can be larger than the picture."""

Draw: TypeAlias = Callable[[Snapshot, BannerOptions, Deadline], Awaitable[bytes]]
"""Draws a snapshot as UTF-8 SVG within the deadline; does not fail."""

_PICTURE_OVERHEAD_BYTES = 700
MIN_AGE_SECONDS = 30
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


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """
    What to draw: an owner's numbers, and the options to draw them with.

    `parts_fetched_at` has the age of each part that can change without a change of the owner's
    version.
    """

    result: LookupResult
    options: BannerOptions
    parts_fetched_at: tuple[datetime, ...] = ()

    @property
    def key(self) -> PictureKey:
        """The key of the picture in the picture cache."""
        return to_picture_key(self.result.snapshot.owner.id, self.options)


def to_picture_key(owner_id: int, options: BannerOptions) -> PictureKey:
    """Build the cache key of a banner's picture."""
    return owner_id, options_digest(options)


async def draw_locally(snapshot: Snapshot, options: BannerOptions, deadline: Deadline) -> bytes:
    """Draw in this process."""
    return draw(snapshot, options)


class CachedPicture(msgspec.Struct, frozen=True, gc=False):
    """
    A picture of one version; it is served without validation until `expires_at`.

    `refresh_at` is when its numbers are refreshed, `parts_fetched_at` see `RenderRequest`.
    """

    picture: Content
    version: int
    refresh_at: datetime
    drawn_at: datetime
    expires_at: datetime
    parts_fetched_at: tuple[datetime, ...] = ()

    def with_picture(self, picture: Content) -> "CachedPicture":
        """Return a copy with the picture in another format."""
        return msgspec.structs.replace(self, picture=picture)


class PictureCache:
    """Draws pictures and caches them, within `memory_bytes`."""

    def __init__(
        self,
        *,
        clock: Clock,
        memory_bytes: int,
        draw: Draw = draw_locally,
        invalidations: Invalidations | None = None,
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._invalidations = invalidations or Invalidations(clock=clock)
        self._cached: ByteBoundedLru[PictureKey, CachedPicture] = ByteBoundedLru(
            memory_bytes, entry_bytes=_entry_bytes
        )
        self._on_change: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._cached)

    def drop_owners(self, owner_ids: Collection[int]) -> list[CachedPicture]:
        """Remove and return the pictures of these owners."""
        return self._cached.drop_where(lambda key, _: key[0] in owner_ids)

    def watch(self, on_change: Callable[[], None]) -> None:
        """Set a callback for every event, except the passing of time, that may change `get`."""
        self._on_change = on_change
        self._invalidations.on_change = on_change

    def get(self, key: PictureKey) -> CachedPicture | None:
        """Return a picture that may be served without validation, or None."""
        cached = self._cached.get(key)
        now = self._clock()
        # A picture from the future means that the clock was set back.
        if cached is None or now >= cached.expires_at or cached.drawn_at > now + MAX_CLOCK_SKEW:
            return None
        return cached if self._invalidations.is_unchanged(key[0], since=cached.drawn_at) else None

    async def draw(self, request: RenderRequest, *, deadline: Deadline) -> CachedPicture:
        """
        Draw a banner, unless this version is cached, and cache the picture.

        Numbers older than the hard TTL are drawn with their date; such a picture is not cached.
        """
        result, options, now = request.result, request.options, self._clock()
        snapshot = result.snapshot
        if result.freshness is Freshness.HARD_STALE:
            # Drawn in this process: the call to the renderer carries no date to show.
            is_dated = snapshot.fetched_at > EPOCH
            body = draw(snapshot, options, as_of=snapshot.fetched_at.date() if is_dated else None)
            return CachedPicture(Content.svg(body), snapshot.version, result.refresh_at, now, now)
        key = request.key
        cached = self._cached.get(key)
        is_same = cached is not None and (cached.version, cached.parts_fetched_at) == (
            snapshot.version,
            request.parts_fetched_at,
        )
        if cached is not None and is_same:
            picture = cached.picture
        else:
            picture = Content.svg(await self._draw(snapshot, options, deadline))
            # While this one was drawn, another request may have cached a newer version.
            cached = self._cached.get(key)
        fresh = CachedPicture(
            picture,
            snapshot.version,
            result.refresh_at,
            now,
            result.fresh_until,
            request.parts_fetched_at,
        )
        is_from_future = cached is not None and cached.drawn_at > now + MAX_CLOCK_SKEW
        if cached is None or is_from_future or cached.version <= snapshot.version:
            self._cached.put(key, fresh)
            self._on_change()
        return fresh


def _entry_bytes(_: PictureKey, cached: CachedPicture) -> int:
    return _PICTURE_OVERHEAD_BYTES + cached.picture.size_bytes


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
    age_seconds = min(max(seconds_fresh, MIN_AGE_SECONDS), _MAX_AGE_SECONDS)
    return b"public, max-age=%d, stale-while-revalidate=60, stale-if-error=86400" % age_seconds


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
    age_seconds = MIN_AGE_SECONDS if is_replacement else _EXPLANATION_AGE_SECONDS
    if isinstance(error, TooManyRequests | Unavailable):
        age_seconds = min(error.retry_after_seconds, age_seconds)
    is_temporary = isinstance(error, TooManyRequests | UnknownBanner) or error.status >= 500
    if is_temporary or is_replacement:
        headers |= _NO_PROXY_CACHE
    headers["cache-control"] = f"public, max-age={age_seconds}"
    return HttpResponse(200, headers, drawing)
