"""
Responses with pictures, and the cache of whole responses, without locks.

The cache answers repeated requests for pictures before the framework runs, without awaits. It has three
levels. `targets` maps a normalised request target to the key of a cached picture; these entries have
a memory limit of their own, so that invented targets push out only each other. Whole responses are
cached for the second in which their `Date` stays the same, by normalised target and relevant headers
and by the raw bytes of the request.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter
from typing import TypeAlias
from urllib.parse import unquote_plus

import msgspec

from github_banners.api.base_path import PREVIEW_PATH
from github_banners.api.compatible_route import to_preview_target
from github_banners.api.pictures import CachedPicture, PictureCache, PictureKey
from github_banners.cache import ByteBoundedLru
from github_banners.models import Clock
from github_banners.options import OPTION_NAMES, fold_name
from github_banners.serving.cached_responses import CachedResponse, RawHeaders, encode_response
from github_banners.serving.framework import Content, HttpResponse, etag_matches

Variant: TypeAlias = Callable[[Content], Content | None]
"""Returns a cached picture in another format, or None."""

MIN_AGE_SECONDS = 30
"""The smallest `max-age` of a response."""

_MAX_AGE_SECONDS = 600

SECURITY_HEADERS = {
    "access-control-allow-origin": "*",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "x-content-type-options": "nosniff",
}
# nginx must not cache a temporary explanation in place of the picture:
# https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_valid
NO_PROXY_CACHE = {"x-accel-expires": "0"}
_RAW_SECURITY_HEADERS = [
    (name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()
]

_BANNERS, _PREVIEW = b"/banners/", PREVIEW_PATH.encode()
_OPTION_NAMES = {name.encode() for name in (*OPTION_NAMES, "username", "format")}
# `&amp;` copied from HTML. Targets with numeric references hold a `#` and are left to the framework.
_ESCAPED_AMPERSAND = b"amp;"

_TARGETS_BYTES = 16 << 20
_TARGET_OVERHEAD_BYTES = 350
_MAX_TARGET_BYTES = 1024
_MAX_OPTIONS = 100
_MAX_RESPONSES, _MAX_RESPONSE_BYTES = 256, 64 << 10
_MAX_RAW_REQUESTS = 1024
_MIN_REMAINING = timedelta(seconds=5)


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


@lru_cache(_MAX_AGE_SECONDS)
def cache_control(seconds_fresh: int) -> bytes:
    """Build `Cache-Control` of a picture: `max-age` while its numbers are fresh, within limits."""
    age_seconds = min(max(seconds_fresh, MIN_AGE_SECONDS), _MAX_AGE_SECONDS)
    return b"public, max-age=%d, stale-while-revalidate=60, stale-if-error=86400" % age_seconds


class CacheHit(StrEnum):
    """Kind of a response from the cache (metric label)."""

    PICTURE = "picture"
    NOT_MODIFIED = "not modified"


class CacheEntry(msgspec.Struct, frozen=True, gc=False):
    """
    The picture that a target refers to.

    It expires, because a login can pass to another owner. `banner` is the name of a permanent
    banner, whose access time is recorded.
    """

    key: PictureKey
    expires_at: datetime
    banner: str | None
    variant: Variant | None


class ResponseCache:
    """
    Caches targets and responses, see the module; `hits` counts responses by `CacheHit`.

    It also records when each permanent banner was requested last.
    """

    def __init__(self, picture_cache: PictureCache, *, clock: Clock, base_path: str = "") -> None:
        self.picture_cache = picture_cache
        self._base_path = base_path.encode()
        self.targets: ByteBoundedLru[bytes, CacheEntry] = ByteBoundedLru(
            _TARGETS_BYTES, entry_bytes=lambda target, _: _TARGET_OVERHEAD_BYTES + len(target)
        )
        self.hits: dict[str, int] = dict.fromkeys(CacheHit, 0)
        self._clock = clock
        self._requested_at: dict[str, datetime] = {}
        self._responses: dict[tuple[object, ...], CachedResponse] = {}
        self._raw_requests: dict[bytes, CachedResponse] = {}
        self._common_headers: RawHeaders = ()
        picture_cache.watch(self._clear_responses)

    def put(
        self,
        target: bytes,
        key: PictureKey,
        *,
        banner: str | None = None,
        variant: Variant | None = None,
    ) -> None:
        """
        Cache which picture a target refers to; `banner` is the name of a permanent banner.

        `variant` finds the picture in the format of the target, if that is not SVG.
        """
        self.record_request(banner)
        normalised, cached = normalise_target(target), self.picture_cache.get(key)
        if cached is not None and normalised is not None:
            self.targets.put(normalised, CacheEntry(key, cached.expires_at, banner, variant))

    def get(self, target: bytes) -> CachedPicture | None:
        """Return the cached picture of a target, if it may be served without validation."""
        normalised = self._normalise_public_target(target)
        return self._find(normalised) if normalised is not None else None

    def _normalise_public_target(self, target: bytes) -> bytes | None:
        if self._base_path and target.startswith(self._base_path + _BANNERS):
            target = target[len(self._base_path) :]
        elif not target.startswith(_BANNERS):
            # The framework ends a target at its `#`.
            if len(target) > _MAX_TARGET_BYTES or b"#" in target:
                return None
            target = to_preview_target(target, base_path=self._base_path) or target
        return normalise_target(target)

    def _find(self, normalised: bytes) -> CachedPicture | None:
        entry = self.targets.get(normalised)
        if entry is None or entry.expires_at <= self._clock():
            return None
        self.record_request(entry.banner)
        cached = self.picture_cache.get(entry.key)
        if cached is None or entry.variant is None:
            return cached
        variant = entry.variant(cached.picture)
        return cached.with_picture(variant) if variant is not None else None

    def get_by_raw_request(self, request: bytes, *, common_headers: RawHeaders) -> bytes | None:
        """Return the response to the same request bytes, if it is cached and unchanged."""
        if common_headers is not self._common_headers:
            self._expire_responses(common_headers)
        response = self._raw_requests.get(request)
        if response is None:
            return None
        self.hits[response.kind] += 1
        return response.payload

    def put_by_raw_request(self, request: bytes, response: CachedResponse) -> None:
        """Cache a response by the bytes of its whole request."""
        if response.is_reusable and len(self._raw_requests) < _MAX_RAW_REQUESTS:
            self._raw_requests[request] = response

    def respond(
        self,
        target: bytes,
        headers: dict[bytes, bytes],
        *,
        is_head: bool,
        is_closing: bool,
        common_headers: RawHeaders,
    ) -> CachedResponse | None:
        """Return the whole response to a request, or None if the application has to build it."""
        if common_headers is not self._common_headers:
            self._expire_responses(common_headers)
        normalised = self._normalise_public_target(target)
        if normalised is None:
            return None
        accept_encoding = headers.get(b"accept-encoding", b"")
        if_none_match = headers.get(b"if-none-match", b"")
        request = (normalised, is_head, is_closing, accept_encoding, if_none_match)
        response = self._responses.get(request)
        if response is None:
            response = self._build_response(*request)
            if response is None:
                return None
            if response.is_reusable and len(self._responses) < _MAX_RESPONSES:
                self._responses[request] = response
        self.hits[response.kind] += 1
        return response

    def clear(self) -> None:
        """Forget all targets, so that the application builds the next response to each of them."""
        self.targets.clear()
        self._clear_responses()

    def seconds_fresh(self, refresh_at: datetime) -> int:
        """Return the seconds until numbers are refreshed."""
        return int((refresh_at - self._clock()).total_seconds())

    def drain_access_times(self) -> dict[str, datetime]:
        """Return and clear the time of the last request of each permanent banner, by name."""
        access_times = dict(self._requested_at)
        self._requested_at.clear()
        return access_times

    def restore_access_times(self, requested_at: Mapping[str, datetime]) -> None:
        """Put back access times that could not be saved, unless a banner has a later one."""
        for banner, access_time in requested_at.items():
            self._requested_at.setdefault(banner, access_time)

    def record_request(self, banner: str | None) -> None:
        """Record that a permanent banner was requested now; None stands for other pictures."""
        if banner is not None:
            self._requested_at[banner] = self._clock()

    def _expire_responses(self, common_headers: RawHeaders) -> None:
        """Drop whole responses, because their common headers, which hold the date, have changed."""
        self._common_headers = common_headers
        self._clear_responses()

    def _clear_responses(self) -> None:
        self._responses.clear()
        self._raw_requests.clear()

    def _build_response(
        self,
        normalised: bytes,
        is_head: bool,
        is_closing: bool,
        accept_encoding: bytes,
        if_none_match: bytes,
    ) -> CachedResponse | None:
        cached = self._find(normalised)
        if cached is None:
            return None
        status, headers, body = raw_picture_response(
            cached.picture,
            accept_encoding.decode("latin-1"),
            if_none_match.decode("latin-1"),
            seconds_fresh=self.seconds_fresh(cached.refresh_at),
        )
        if is_closing:
            headers.append((b"connection", b"close"))
        payload = encode_response(
            status, [*self._common_headers, *headers], b"" if is_head else body
        )
        # The common headers change once a second, but later if the event loop is busy: a response
        # that expires soon must not be reused until then.
        is_fresh = cached.expires_at - self._clock() > _MIN_REMAINING
        return CachedResponse(
            payload,
            kind=CacheHit.NOT_MODIFIED if status == 304 else CacheHit.PICTURE,
            is_reusable=is_fresh and len(payload) <= _MAX_RESPONSE_BYTES,
        )


def normalise_target(target: bytes) -> bytes | None:
    """
    Return the canonical form of a request target: known options only, names sorted and lowered.

    None for a target that only the framework can parse.
    """
    path, _, query = target.partition(b"?")
    if len(target) > _MAX_TARGET_BYTES or not path.startswith(_BANNERS):
        return None
    if b"%" in path or path.endswith(b"/"):
        return None
    if path != _PREVIEW:
        # Permanent banners ignore their query.
        return path.lower() if path.lower() != _PREVIEW else None
    parts = query.split(b"&")
    if len(parts) > _MAX_OPTIONS or b"#" in query:
        return None
    # Looked for once in the whole query, because most queries have neither.
    may_be_encoded = b"%" in query or b"+" in query
    options = []
    for part in parts:
        raw_name, _, value = part.partition(b"=")
        name = raw_name.lower()
        while name.startswith(_ESCAPED_AMPERSAND):
            name = name[len(_ESCAPED_AMPERSAND) :]
        if name in _OPTION_NAMES:
            options.append((name, value))
        elif (may_be_encoded and (b"%" in name or b"+" in name)) or name != name.strip():
            # The parser decodes and strips names: it may find a known one.
            decoded = unquote_plus(raw_name.decode("latin-1"))
            if fold_name(decoded).encode() in _OPTION_NAMES:
                return None
    # Sorted by name only: the order of values of one name matters (the last one counts, lists
    # join).
    options.sort(key=itemgetter(0))
    return b"&".join([path, *[b"%b=%b" % option for option in options]])
