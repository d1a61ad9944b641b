"""
Malformed requests: targets with raw UTF-8, which are repaired, and the response to all others.

Programs such as curl send a URL as it was typed, and the parser rejects bytes above 127 in it.
"""

import re
from urllib.parse import quote, unquote_to_bytes

import msgspec

from github_banners.serving.cached_responses import RawHeaders, encode_response
from github_banners.serving.media_types import JSON

_ERRORS = {400: "bad request", 431: "request header fields too large"}
_RUNS = re.compile(rb"[\x80-\xff]+|[^\n\x80-\xff]*\n|[^\n\x80-\xff]+")
# Longer data is the middle of a body: many short runs would take long to parse.
_MAX_BYTES_IN_RUNS = 1 << 10


def split_at_lines(data: bytes | bytearray) -> list[bytes]:
    """
    Split data into parts that are inside or outside of a request line as a whole.

    A line ends with the part that ends with a line feed; bytes above 127 are parts of their own.
    """
    if len(data) <= _MAX_BYTES_IN_RUNS and not data.isascii():
        return _RUNS.findall(data)
    end = data.rfind(b"\n") + 1
    return [bytes(part) for part in (data[:end], data[end:]) if part]


def percent_encode(raw: bytes) -> bytes:
    """Percent-encode bytes above 127."""
    return quote(raw).encode()


def is_utf8(target: bytes) -> bool:
    """Return whether a percent-encoded target is UTF-8."""
    try:
        unquote_to_bytes(target).decode()
    except UnicodeDecodeError:
        return False
    return True


def encode_rejection(status: int, common_headers: RawHeaders) -> bytes:
    """Encode the response to a malformed request (400) or one with too large a head (431)."""
    body = msgspec.json.encode({"error": _ERRORS[status]})
    headers = [
        *common_headers,
        (b"content-type", JSON.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    return encode_response(status, headers, body)
