"""What the protocol asks of a cache of responses: whole ones, as bytes for the wire."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple, Protocol, TypeAlias

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Headers as they stand on the wire."""


class CachedResponse(NamedTuple):
    """A whole response, the kind that it is counted as, and whether it stays for this second."""

    payload: bytes
    kind: str
    is_reusable: bool


class CachedResponses(Protocol):
    """Responses that are known before an application is asked."""

    def get_by_raw_request(self, request: bytes, *, common_headers: RawHeaders) -> bytes | None:
        """Return the response to a request that was remembered; None if it may be another now."""

    def put_by_raw_request(self, request: bytes, response: CachedResponse) -> None:
        """Remember the bytes of a whole request, for as long as its response stays what it is."""

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
        Return a whole response, or None.

        `target` is the path and query as they came; `closing` says that the connection ends with the
        response; `common` are headers of every response, renewed once a second.
        """


def encode_response(status: int, headers: RawHeaders, body: bytes) -> bytes:
    """Write a whole response."""
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join([_STATUS_LINES[status], *lines, b"\r\n", body])


_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
