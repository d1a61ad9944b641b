"""
The page that shows the API, from our own address: needs no network but ours.

`index.html` and `page.js` are ours; the bundle is RapiDoc (https://rapidocweb.com, MIT), as it is
published. Its version stands in its name, so that browsers may keep it for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from github_banners.api.banner_responses import Picture, accepts_gzip
from github_banners.serving.responses import HttpResponse, etag_matches

PAGE = "index.html"

_FOLDER = Path(__file__).parent
_SCRIPT = "text/javascript; charset=utf-8"
_REVALIDATE = "no-cache"
_IMMUTABLE = "public, max-age=31536000, immutable"
# What may be asked for, and how long it may be kept: no other name reaches the disk.
_FILES = {
    PAGE: ("text/html; charset=utf-8", _REVALIDATE),
    "page.js": (_SCRIPT, _REVALIDATE),
    "rapidoc-9.3.8.min.js": (_SCRIPT, _IMMUTABLE),
}
# The bundle writes its own styles; nothing else gets in, from anywhere.
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
    """A file of the page; tagged and compressed once, as pictures are."""

    content: Picture
    media_type: str
    cache_control: str = _REVALIDATE


@cache
def read_document(name: str, *, base_path: str = "") -> Document:
    """
    Read a file of the page; compressing the bundle takes about 40 ms, once.

    Links of the page itself begin with `base_path`.

    :raises KeyError: there is no such file
    """
    media_type, cache_control = _FILES[name]
    body = (_FOLDER / name).read_bytes()
    if name == PAGE:
        body = body.replace(b'"/docs/', f'"{base_path}/docs/'.encode())
    return Document(Picture.svg(body), media_type, cache_control)


def document_response(document: Document, request_headers: Mapping[str, str]) -> HttpResponse:
    """Answer with a file, or with 304 to who has it."""
    content = document.content
    body, etag = content.body, content.etag
    is_zipped = content.gzipped is not None and accepts_gzip(
        request_headers.get("accept-encoding", "")
    )
    if content.gzipped is not None and is_zipped:
        body, etag = content.gzipped, f'"{content.digest}-gz"'
    headers = {
        **_SECURITY_HEADERS,
        "etag": etag,
        "cache-control": document.cache_control,
        "vary": "Accept-Encoding",
    }
    if etag_matches(request_headers.get("if-none-match", ""), etag):
        return HttpResponse(304, headers)
    headers["content-type"] = document.media_type
    if is_zipped:
        headers["content-encoding"] = "gzip"
    return HttpResponse(200, headers, body)
