"""
The API documentation page, served without any external resource.

`index.html` and `page.js` are ours; the bundle is RapiDoc (https://rapidocweb.com, MIT),
unmodified. Its file name holds its version, so that browsers may cache it for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from github_banners.api.banner_responses import Picture
from github_banners.serving.framework import HttpResponse, etag_matches

PAGE = "index.html"

_FOLDER = Path(__file__).parent
_SCRIPT = "text/javascript; charset=utf-8"
_REVALIDATE = "no-cache"
_IMMUTABLE = "public, max-age=31536000, immutable"
# Media type and `Cache-Control` of each file; any other name is refused before the disk is read.
_FILES = {
    PAGE: ("text/html; charset=utf-8", _REVALIDATE),
    "page.js": (_SCRIPT, _REVALIDATE),
    "rapidoc-9.3.8.min.js": (_SCRIPT, _IMMUTABLE),
}
# RapiDoc needs inline styles; everything else must come from our own origin.
_SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; "
        "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Document:
    """A file of the page, hashed and compressed once like a picture."""

    content: Picture
    media_type: str
    cache_control: str = _REVALIDATE


@cache
def read_document(name: str, *, base_path: str = "") -> Document:
    """
    Read a file of the page and compress it, which takes about 40 ms for the bundle; cached.

    Links of the page start with `base_path`.

    :raises KeyError: the page has no such file
    """
    media_type, cache_control = _FILES[name]
    body = (_FOLDER / name).read_bytes()
    if name == PAGE:
        body = body.replace(b'"/docs/', f'"{base_path}/docs/'.encode())
    return Document(Picture.svg(body), media_type, cache_control)


def document_response(document: Document, request_headers: Mapping[str, str]) -> HttpResponse:
    """Build the response with a file, or 304 if `If-None-Match` matches."""
    body, etag = document.content.negotiate(request_headers.get("accept-encoding", ""))
    headers = {
        **_SECURITY_HEADERS,
        "etag": etag,
        "cache-control": document.cache_control,
        "vary": "Accept-Encoding",
    }
    if etag_matches(request_headers.get("if-none-match", ""), etag):
        return HttpResponse(304, headers)
    headers["content-type"] = document.media_type
    if body is document.content.gzipped:
        headers["content-encoding"] = "gzip"
    return HttpResponse(200, headers, body)
