"""
Responses from memory, before the framework is asked: no lock, no await.

Remembers which picture a request target meant last time. Targets have a memory of their own, so that
invented ones can push out nothing but each other; what makes no difference (unknown options, their
order) is taken out first. Whole responses are kept for the second in which they stay the same.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from operator import itemgetter
from typing import TypeAlias

import msgspec

from github_banners.api.banner_responses import Picture, raw_picture_response
from github_banners.api.picture_cache import CachedPicture, PictureCache, PictureKey
from github_banners.models import Clock
from github_banners.options import OPTION_NAMES
from github_banners.serving.cached_responses import CachedResponse, RawHeaders, encode_response
from github_banners.stats.lru import ByteBoundedLru

Variant: TypeAlias = Callable[[Picture], Picture | None]
"""Finds another form of a drawing, if it lies in memory."""

_BANNERS, _PREVIEW = b"/banners/", b"/banners/preview"
_OPTION_NAMES = {name.encode() for name in (*OPTION_NAMES, "username", "format")}
# Of the ways to write it the others hold a `#`, which the framework reads: see `fold_name`.
_ESCAPED_AMPERSAND = b"amp;"
_PICTURE, _NOT_MODIFIED = "picture", "not modified"

_TARGETS_BYTES = 16 << 20
_ENTRY_BYTES = 350
_MAX_TARGET_BYTES = 1024
_MAX_OPTIONS = 100
_MAX_RESPONSES, _MAX_RESPONSE_BYTES = 256, 64 << 10
_MAX_RAW_REQUESTS = 1024
_MIN_REMAINING = timedelta(seconds=5)


class CacheEntry(msgspec.Struct, frozen=True, gc=False):
    """Which picture a target means; not for ever, as a login can change hands."""

    key: PictureKey
    expires_at: datetime
    banner: str | None
    variant: Variant | None


class ResponseCache:
    """What targets mean, and the responses to them."""

    def __init__(
        self, picture_cache: PictureCache, *, clock: Clock, soft_seconds: float, base_path: str = ""
    ) -> None:
        self.picture_cache = picture_cache
        self._base_path = base_path.encode()
        self.targets: ByteBoundedLru[bytes, CacheEntry] = ByteBoundedLru(
            _TARGETS_BYTES, entry_bytes=lambda target, _: _ENTRY_BYTES + len(target)
        )
        self.hits = {_PICTURE: 0, _NOT_MODIFIED: 0}
        self._clock = clock
        self._soft_seconds = soft_seconds
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
        Remember which picture a target means; `banner` is its permanent name, if it has one.

        `variant` finds the form that the target asks for, where that is not the drawing itself.
        """
        self._record_request(banner)
        normalized, kept = normalize_target(target), self.picture_cache.get(key)
        if kept is not None and normalized is not None:
            self.targets.put(normalized, CacheEntry(key, kept.expires_at, banner, variant))

    def get(self, target: bytes) -> CachedPicture | None:
        """Return the picture that a target meant last time, if it needs no second look."""
        if self._base_path and target.startswith(self._base_path + _BANNERS):
            target = target[len(self._base_path) :]
        normalized = normalize_target(target)
        entry = self.targets.get(normalized) if normalized is not None else None
        if entry is None or entry.expires_at <= self._clock():
            return None
        self._record_request(entry.banner)
        kept = self.picture_cache.get(entry.key)
        if kept is None or entry.variant is None:
            return kept
        variant = entry.variant(kept.picture)
        return kept.with_picture(variant) if variant is not None else None

    def get_by_raw_request(self, request: bytes, *, common_headers: RawHeaders) -> bytes | None:
        """Return the response to a request that was remembered, if it is still the same."""
        if common_headers is not self._common_headers:
            self._expire_responses(common_headers)
        response = self._raw_requests.get(request)
        if response is None:
            return None
        self.hits[response.kind] += 1
        return response.payload

    def put_by_raw_request(self, request: bytes, response: CachedResponse) -> None:
        """Remember the bytes of a request for as long as its response stays the same."""
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
        """Return the whole response to a request, or None if the framework has to be asked."""
        if common_headers is not self._common_headers:
            self._expire_responses(common_headers)
        accept_encoding = headers.get(b"accept-encoding", b"")
        if_none_match = headers.get(b"if-none-match", b"")
        request = (target, is_head, is_closing, accept_encoding, if_none_match)
        response = self._responses.get(request)
        if response is None:
            response = self._build_response(*request)
            if response is None:
                return None
            if response.is_reusable and len(self._responses) < _MAX_RESPONSES:
                self._responses[request] = response
        self.hits[response.kind] += 1
        return response

    def seconds_fresh(self, fetched_at: datetime) -> int:
        """Count the seconds until numbers of this age are refreshed."""
        return int(self._soft_seconds - (self._clock() - fetched_at).total_seconds())

    def drain_access_times(self) -> dict[str, datetime]:
        """Return which permanent banners were requested, and when, since the last time."""
        taken = dict(self._requested_at)
        self._requested_at.clear()
        return taken

    def restore_access_times(self, requested_at: Mapping[str, datetime]) -> None:
        """Take back what could not be saved; what was requested meanwhile is later."""
        for banner, time in requested_at.items():
            self._requested_at.setdefault(banner, time)

    def _record_request(self, banner: str | None) -> None:
        if banner is not None:
            self._requested_at[banner] = self._clock()

    def _expire_responses(self, common_headers: RawHeaders) -> None:
        """Forget whole responses: the headers that they have in common hold the date."""
        self._common_headers = common_headers
        self._clear_responses()

    def _clear_responses(self) -> None:
        self._responses.clear()
        self._raw_requests.clear()

    def _build_response(
        self,
        target: bytes,
        is_head: bool,
        is_closing: bool,
        accept_encoding: bytes,
        if_none_match: bytes,
    ) -> CachedResponse | None:
        kept = self.get(target)
        if kept is None:
            return None
        status, headers, body = raw_picture_response(
            kept.picture,
            accept_encoding.decode("latin-1"),
            if_none_match.decode("latin-1"),
            seconds_fresh=self.seconds_fresh(kept.fetched_at),
        )
        if is_closing:
            headers.append((b"connection", b"close"))
        payload = encode_response(
            status, [*self._common_headers, *headers], b"" if is_head else body
        )
        # The next second may begin late, when the event loop is busy.
        is_good = kept.expires_at - self._clock() > _MIN_REMAINING
        return CachedResponse(
            payload,
            kind=_NOT_MODIFIED if status == 304 else _PICTURE,
            is_reusable=is_good and len(payload) <= _MAX_RESPONSE_BYTES,
        )


def normalize_target(target: bytes) -> bytes | None:
    """
    Leave out of a target what makes no difference: unknown options, their order, case of names.

    None for a target that only the framework can read.
    """
    path, _, query = target.partition(b"?")
    if len(target) > _MAX_TARGET_BYTES or not path.startswith(_BANNERS):
        return None
    if b"%" in path or path.endswith(b"/"):
        return None
    if path != _PREVIEW:
        # The query of a permanent name means nothing.
        return path.lower() if path.lower() != _PREVIEW else None
    parts = query.split(b"&")
    if len(parts) > _MAX_OPTIONS or b"#" in query:
        return None
    options = []
    for part in parts:
        spelled, _, value = part.partition(b"=")
        name = spelled.lower()
        while name.startswith(_ESCAPED_AMPERSAND):
            name = name[len(_ESCAPED_AMPERSAND) :]
        if name in _OPTION_NAMES:
            options.append((name, value))
        elif b"%" in name or b"+" in name:
            return None
    # Of one name the order counts: the last value is taken, or all are joined.
    options.sort(key=itemgetter(0))
    return b"&".join([path, *[b"%b=%b" % option for option in options]])
