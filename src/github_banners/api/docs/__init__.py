"""
The API documentation page, served without any external resource.

`index.html` and `page.js` are ours; the bundle is RapiDoc (https://rapidocweb.com, MIT),
unmodified. Its file name holds its version, so that browsers may cache it for ever.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from github_banners.api.banner_responses import Picture
from github_banners.serving.framework import HttpResponse, etag_matches

PAGE, OPENAPI = "index.html", "openapi.json"

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


@cache
def read_document(name: str, *, base_path: str = "") -> Picture:
    """
    Read a file of the page, hash and compress it like a picture.

    Links of the page start with `base_path`. It takes about 40 ms for the bundle, so it is cached.

    :raises KeyError: the page has no such file
    """
    media_type, _ = _FILES[name]
    body = (_FOLDER / name).read_bytes()
    if name == PAGE:
        body = body.replace(b'"/docs/', f'"{base_path}/docs/'.encode())
    return Picture.svg(body, media_type)


def document_response(
    name: str, document: Picture, request_headers: Mapping[str, str]
) -> HttpResponse:
    """Build the response with a document of the page, or 304 if `If-None-Match` matches."""
    _, cache_control = _FILES.get(name, (document.media_type, _REVALIDATE))
    body, etag = document.negotiate(request_headers.get("accept-encoding", ""))
    headers = {
        **_SECURITY_HEADERS,
        "etag": etag,
        "cache-control": cache_control,
        "vary": "Accept-Encoding",
    }
    if etag_matches(request_headers.get("if-none-match", ""), etag):
        return HttpResponse(304, headers)
    headers["content-type"] = document.media_type
    if body is document.gzipped:
        headers["content-encoding"] = "gzip"
    return HttpResponse(200, headers, body)
