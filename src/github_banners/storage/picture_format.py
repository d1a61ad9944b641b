"""
The format of a stored picture: well-formed SVG in UTF-8, followed by its version in a comment. Pure.

A document type is refused, which rules out entities, so that checking a picture reads nothing else.
"""

import re
from xml.parsers import expat

from github_banners.errors import InvalidOption

MAX_BYTES = 1 << 20

MAX_VERSION_BYTES = 64
"""The version of a stored picture is in its last 64 bytes, or missing."""

_ROOT = "http://www.w3.org/2000/svg svg"
_ALLOWED = ("well-formed SVG in UTF-8 without a document type, at most 1 MB",)
_VERSION = re.compile(rb"\n<!-- version (\d{1,19}) -->\n\Z")


def check_picture(body: bytes) -> None:
    """
    Check that a picture may be stored.

    :raises InvalidOption: it may not; `value` is the reason
    """
    if len(body) > MAX_BYTES:
        raise InvalidOption("banner_info", f"{len(body)} bytes", _ALLOWED)
    try:
        if b"\0" in body:  # otherwise expat may detect UTF-16 by itself
            raise _NotSvg("NUL")  # noqa: TRY301
        _make_parser().Parse(body, True)
    except (expat.ExpatError, _NotSvg) as error:
        raise InvalidOption("banner_info", str(error), _ALLOWED) from error


def with_version(body: bytes, version: int) -> bytes:
    """Append a version to a picture as a comment: XML allows little else behind the root element."""
    return b"%b\n<!-- version %d -->\n" % (body, version)


def split_version(stored: bytes) -> tuple[bytes, int] | None:
    """Split a stored picture from its version; None if its end, the version, was not written."""
    start = max(0, len(stored) - MAX_VERSION_BYTES)
    match = _VERSION.search(stored, start)
    return (stored[: match.start()], int(match[1])) if match else None


class _NotSvg(Exception):
    """The document is XML, but not acceptable SVG."""


def _make_parser() -> expat.XMLParserType:
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")

    def check_declaration(version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            raise _NotSvg(f"encoding {encoding}")

    def reject_doctype(*_: object) -> None:
        raise _NotSvg("document type")

    def check_root(name: str, attributes: object) -> None:
        if name != _ROOT:
            raise _NotSvg(f"root element {name[:64]}")
        parser.StartElementHandler = None

    parser.XmlDeclHandler = check_declaration
    parser.StartDoctypeDeclHandler = reject_doctype
    parser.StartElementHandler = check_root
    return parser
