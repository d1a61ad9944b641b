"""The response to malformed requests."""

import msgspec

from github_banners.serving.cached_responses import RawHeaders, encode_response

_ERRORS = {400: "bad request", 431: "request header fields too large"}


def encode_rejection(status: int, common_headers: RawHeaders) -> bytes:
    """Encode the response to a malformed request (400) or one with too large a head (431)."""
    body = msgspec.json.encode({"error": _ERRORS[status]})
    headers = [
        *common_headers,
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    return encode_response(status, headers, body)
