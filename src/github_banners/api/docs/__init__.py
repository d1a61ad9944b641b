"""
The API documentation page, served without any external resource.

`index.html` and `page.js` are ours; the bundle is RapiDoc (https://rapidocweb.com, MIT),
unmodified. Its file name holds its version, so that browsers may cache it for ever.
"""

from functools import cache
from pathlib import Path

from github_banners.api.documents import HTML, IMMUTABLE, REVALIDATE, SCRIPT, Document
from github_banners.serving.framework import Content

PAGE = "index.html"

_FOLDER = Path(__file__).parent
# Media type and `Cache-Control` of each file; any other name is refused before the disk is read.
_FILES = {
    PAGE: (HTML, REVALIDATE),
    "page.js": (SCRIPT, REVALIDATE),
    "rapidoc-9.3.8.min.js": (SCRIPT, IMMUTABLE),
}
# RapiDoc needs inline styles; everything else must come from our own origin.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def read_document(name: str, *, base_path: str = "") -> Document:
    """
    Read a file of the page, hash and compress it like a picture.

    Links of the page start with `base_path`. It takes about 40 ms for the bundle, so it is cached.

    :raises KeyError: the page has no such file
    """
    media_type, cache_control = _FILES[name]
    body = (_FOLDER / name).read_bytes()
    if name == PAGE:
        body = body.replace(b'"/docs/', f'"{base_path}/docs/'.encode())
    return Document(Content.text(body, media_type), cache_control)
