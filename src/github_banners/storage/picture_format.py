"""
What a stored picture is: well-formed SVG in UTF-8, and its version in a comment behind it. Pure.

A picture can bring no document type, so no entity, and nothing from outside is read to judge it.
"""

import re
from xml.parsers import expat

from github_banners.errors import InvalidOption

MAX_BYTES = 1 << 20

MAX_VERSION_BYTES = 64
"""At the end of a stored picture: its version is there, or nowhere."""

_ROOT = "http://www.w3.org/2000/svg svg"
_ALLOWED = ("well-formed SVG in UTF-8 without a document type, at most 1 MB",)
_VERSION = re.compile(rb"\n<!-- version (\d{1,19}) -->\n\Z")


def check_picture(body: bytes) -> None:
    """
    Refuse what is no picture.

    :raises InvalidOption: with the reason where the value stands
    """
    if len(body) > MAX_BYTES:
        raise InvalidOption("banner_info", f"{len(body)} bytes", _ALLOWED)
    try:
        if b"\0" in body:  # else expat would find out for itself that it is UTF-16
            raise _NotSvg("NUL")  # noqa: TRY301
        _make_parser().Parse(body, True)
    except (expat.ExpatError, _NotSvg) as error:
        raise InvalidOption("banner_info", str(error), _ALLOWED) from error


def with_version(body: bytes, version: int) -> bytes:
    """Write a version behind a picture, where XML allows only comments."""
    return b"%b\n<!-- version %d -->\n" % (body, version)


def split_version(stored: bytes) -> tuple[bytes, int] | None:
    """Read a picture and its version; None for what `with_version` did not write to the end."""
    start = max(0, len(stored) - MAX_VERSION_BYTES)
    found = _VERSION.search(stored, start)
    return (stored[: found.start()], int(found[1])) if found else None


class _NotSvg(Exception):
    """XML, but not the XML of a picture."""


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
