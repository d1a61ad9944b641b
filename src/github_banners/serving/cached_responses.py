"""The interface between the HTTP protocol and a cache of whole responses."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple, Protocol, TypeAlias

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Pairs of name and value, as bytes; names are in lower case."""


class CachedResponse(NamedTuple):
    """
    A whole response as bytes.

    `kind` is a metric label; `is_reusable` is True if it stays valid until the common headers
    change.
    """

    payload: bytes
    kind: str
    is_reusable: bool


class CachedResponses(Protocol):
    """A cache that answers requests before the application is called."""

    def get_by_raw_request(self, request: bytes, *, common_headers: RawHeaders) -> bytes | None:
        """Return the cached response to the bytes of a whole request, None if it is not current."""

    def put_by_raw_request(self, request: bytes, response: CachedResponse) -> None:
        """Cache the response to the bytes of a whole request, if it is reusable."""

    def respond(
        self,
        target: bytes,
        headers: dict[bytes, bytes],
        *,
        is_head: bool,
        is_closing: bool,
        common_headers: RawHeaders,
    ) -> CachedResponse | None:
        """
        Return the response to a request, or None if the application has to build it.

        `target` is the path and query, still encoded; `is_closing` is True if the connection ends
        with this response; `common_headers` belong to every response and are replaced once a
        second.
        """


def are_unambiguous(headers: RawHeaders) -> bool:
    """Return whether none of the headers that matter to a cached response is repeated."""
    names = [name for name, _ in headers if name in _RELEVANT_HEADERS]
    return len(names) == len(set(names))


def encode_response(status: int, headers: RawHeaders, body: bytes) -> bytes:
    """Encode a whole HTTP/1.1 response."""
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join([_STATUS_LINES[status], *lines, b"\r\n", body])


_RELEVANT_HEADERS = {b"host", b"accept-encoding", b"if-none-match"}
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
