"""
The format of a stored picture: well-formed SVG in UTF-8, followed by its version in a comment. Pure.

A document type is refused, which rules out entities, so that checking a picture reads nothing else.
A tombstone stands in the place of a removed picture, so that no picture of the same or a lower version
can be stored there again. It is an empty SVG, for readers of a bucket that bypass the storage service.
"""

import re
from dataclasses import dataclass
from xml.parsers import expat

from github_banners.errors import InvalidOption

MAX_BYTES = 1 << 20

VERSION_PATTERN = r"\d{1,19}"
"""Regular expression of a version; of text, it needs re.ASCII."""

MAX_VERSION_BYTES = 64
"""The version of a stored picture is in its last 64 bytes, or missing."""

_ROOT = "http://www.w3.org/2000/svg svg"
_ALLOWED = ("well-formed SVG in UTF-8 without a document type, at most 1 MB",)
_VERSION = re.compile(rb"\n<!-- (removed at )?version (%b) -->\n\Z" % VERSION_PATTERN.encode())
_EMPTY_PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """The version of a stored picture, or of a tombstone."""

    version: int
    is_removed: bool = False

    def supersedes(self, version: int | None) -> bool:
        """Return whether a picture of a version, None if it has none, must not replace this."""
        if self.is_removed:
            return version is None or version <= self.version
        return version is not None and version < self.version


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


def tombstone(version: int) -> bytes:
    """Return what is stored in the place of a picture that was removed at a version."""
    return b"%b\n<!-- removed at version %d -->\n" % (_EMPTY_PICTURE, version)


def split_version(stored: bytes) -> tuple[bytes, int] | None:
    """Split a picture from its version; None for a tombstone, and if its end was not written."""
    match = _find_version(stored)
    return (stored[: match.start()], int(match[2])) if match and not match[1] else None


def parse_version(stored: bytes) -> StoredVersion | None:
    """Return the version at the end of a picture or tombstone; None if that was not written."""
    match = _find_version(stored)
    return StoredVersion(int(match[2]), is_removed=bool(match[1])) if match else None


def _find_version(stored: bytes) -> re.Match[bytes] | None:
    return _VERSION.search(stored, max(0, len(stored) - MAX_VERSION_BYTES))


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
