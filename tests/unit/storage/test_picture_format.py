"""Which pictures may be stored, and the version at their end."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.errors import InvalidOption
from github_banners.storage.picture_format import (
    MAX_BYTES,
    StoredVersion,
    check_picture,
    parse_version,
    split_version,
    tombstone,
    with_version,
)

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><text>\xc3\xa9 &amp; &#233;</text></svg>'


def padded(size_bytes: int) -> bytes:
    return SVG[:-6] + b" " * (size_bytes - len(SVG)) + SVG[-6:]


@pytest.mark.parametrize(
    "body",
    [
        SVG,
        b'<?xml version="1.0" encoding="UTF-8"?>\n' + SVG + b"\n",
        b'<?xml version="1.0"?><!-- before -->' + SVG + b"<!-- behind -->",
        b'<s:svg xmlns:s="http://www.w3.org/2000/svg"/>',
        b"\xef\xbb\xbf" + SVG,
        padded(MAX_BYTES),
    ],
)
def test_check_picture_valid_svg_passes_with_and_without_version(body: bytes) -> None:
    check_picture(body)
    if len(body) < MAX_BYTES:
        check_picture(with_version(body, 1))


INVALID_PICTURES = {
    "empty": b"",
    "text": b"no svg",
    "json": b'{"error": "x"}',
    "png": b"\x89PNG\r\n\x1a\n",
    "html": b'<html xmlns="http://www.w3.org/1999/xhtml"/>',
    "no namespace": b"<svg/>",
    "other namespace": b'<svg xmlns="http://example.com/"/>',
    "not closed": SVG[:-6],
    "two roots": SVG + SVG,
    "text behind": SVG + b"x",
    "doctype": b"<!DOCTYPE svg>" + SVG,
    "doctype from outside": b'<!DOCTYPE svg SYSTEM "file:///etc/passwd">' + SVG,
    "entities": b'<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + SVG,
    "unknown entity": SVG.replace(b"&amp;", b"&nbsp;"),
    "control character": SVG.replace(b"&amp;", b"\x08"),
    "written control character": SVG.replace(b"&amp;", b"&#8;"),
    "noncharacter": SVG.replace(b"&amp;", "\ufffe".encode()),
    "written noncharacter": SVG.replace(b"&amp;", b"&#xfffe;"),
    "surrogate": SVG.replace(b"&amp;", b"\xed\xa0\x80"),
    "latin-1": SVG.replace(b"\xc3\xa9", b"\xe9"),
    "said to be latin-1": b'<?xml version="1.0" encoding="iso-8859-1"?>' + SVG,
    "utf-16": SVG.decode().encode("utf-16"),
    "utf-16 without a mark": SVG.decode().encode("utf-16-le"),
    "zero": SVG + b"\0",
    "unknown prefix": SVG.replace(b"<text>", b'<text x:y="1">'),
    "too large": padded(MAX_BYTES + 1),
}


@pytest.mark.parametrize("body", INVALID_PICTURES.values(), ids=INVALID_PICTURES)
def test_check_picture_invalid_svg_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidOption) as caught:
        check_picture(body)
    assert (caught.value.field, caught.value.status) == ("banner_info", 400)


@given(version=st.integers(0, 2**63 - 1), tail=st.binary(max_size=40))
def test_split_version_returns_what_with_version_wrote(version: int, tail: bytes) -> None:
    assert split_version(with_version(SVG + tail, version)) == (SVG + tail, version)


def test_split_version_two_versions_returns_the_last() -> None:
    inner = with_version(SVG, 1)
    check_picture(with_version(inner, 2))
    assert split_version(with_version(inner, 2)) == (inner, 2)


@given(version=st.integers(0, 2**63 - 1))
def test_parse_version_tells_pictures_from_tombstones(version: int) -> None:
    assert parse_version(with_version(SVG, version)) == StoredVersion(version)
    removed = tombstone(version)
    assert parse_version(removed) == StoredVersion(version, is_removed=True)
    assert split_version(removed) is None
    check_picture(removed)


@pytest.mark.parametrize(
    ("stored", "superseded", "accepted"),
    [
        (StoredVersion(5), (4,), (None, 5, 6)),
        (StoredVersion(5, is_removed=True), (None, 4, 5), (6,)),
        (StoredVersion(0), (), (None, 0, 1)),
    ],
)
def test_supersedes_equal_version_only_if_removed(
    stored: StoredVersion, superseded: Sequence[int | None], accepted: Sequence[int | None]
) -> None:
    assert all(stored.supersedes(version) for version in superseded)
    assert not any(stored.supersedes(version) for version in accepted)


@pytest.mark.parametrize("cut_bytes", range(1, len(with_version(SVG, 123))))
def test_split_version_truncated_is_none(cut_bytes: int) -> None:
    assert split_version(with_version(SVG, 123)[:-cut_bytes]) is None
