"""
Find fonts for texts that the two fonts of PNG pictures do not cover.

Fonts of the machine come first, then our subsets in `fonts/words/`, which cover our own words. Of
each file only the tables that say what it covers are read, when a text needs them for the first
time; a process reads each file once. https://learn.microsoft.com/typography/opentype/spec/otff
"""

import os
import re
import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO

MACHINE_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
    *([f"{os.environ['SYSTEMROOT']}/Fonts"] if "SYSTEMROOT" in os.environ else []),
)
WORDS_FOLDER = str(Path(__file__).parent / "fonts" / "words")

_SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}
# Bounds the work on a machine with a huge collection.
_MAX_LISTED_FILES, _MAX_READ_FILES = 4000, 1000
_MAX_TABLE_BYTES, _MAX_FACES, _MAX_CACHED_TEXTS = 4 << 20, 64, 4096
# Files with these words in their names are chosen last.
_SPECIAL = re.compile(
    "Serif|Mono|Italic|Oblique|Bold|Black|Light|Thin|Medium|Condensed|Kufi|Nastaliq|Display|Looped"
    "|UI|Math|Symbols|Music|Unjoined"
)
_PLAIN_FAMILY = re.compile(r"[\w .+&-]+")
_TYPOGRAPHIC_FAMILY, _FAMILY = 16, 1
_WINDOWS, _US_ENGLISH, _UNICODE_ENCODINGS = 3, 0x409, {1, 10}
# Joiners, direction controls and variation selectors need no glyph.
_INVISIBLE = re.compile("[\u200b-\u200f\u2060-\u2069\ufe0e\ufe0f]+")


class FontFile:
    """
    A font file: the names of its families, and which characters it covers.

    A collection has several families, which differ in the forms of Chinese characters only.
    """

    def __init__(self, path: Path, families: Sequence[str], character_map: bytes) -> None:
        self.path = path
        self.families = families
        self._character_map = character_map

    @cached_property
    def paths(self) -> list[str]:
        """The paths of the regular and, if it is installed, of the bold style."""
        bold = self.path.with_stem(f"{self.path.stem.removesuffix('-Regular')}-Bold")
        return [str(self.path), *([str(bold)] if bold.is_file() else [])]

    def family(self, region: str) -> str:
        """Return the name of the family for a region (`JP`), or of the only one."""
        return next(
            (name for name in self.families if name.endswith(f" {region}")), self.families[0]
        )

    def covers(self, text: str) -> bool:
        """Return True if the font has a glyph for every character of a text."""
        try:
            return all(self._has_glyph(ord(char)) for char in _INVISIBLE.sub("", text))
        except struct.error:  # the file is broken
            return False

    def _has_glyph(self, code: int) -> bool:
        (table_format,) = struct.unpack_from(">H", self._character_map)
        return self._is_in_groups(code) if table_format == 12 else self._is_in_segments(code)

    def _is_in_groups(self, code: int) -> bool:
        """Search a map of format 12: sorted rows of first code, last code and glyph."""
        (high,) = struct.unpack_from(">I", self._character_map, 12)
        low = 0
        while low < high:
            middle = (low + high) // 2
            first, last = struct.unpack_from(">II", self._character_map, 16 + 12 * middle)
            if first <= code <= last:
                return True
            low, high = (middle + 1, high) if code > last else (low, middle)
        return False

    def _is_in_segments(self, code: int) -> bool:
        """Search a map of format 4: columns of last codes, first codes, deltas and offsets."""
        (size,) = struct.unpack_from(">H", self._character_map, 6)
        last_positions = range(14, 14 + size, 2)
        segment = bisect_left(last_positions, code, key=self._number)
        if segment == len(last_positions):
            return False
        last_position = last_positions[segment]
        # Two unused bytes follow the first column.
        first_position = last_position + 2 + size
        offset_position = first_position + 2 * size
        first, offset = self._number(first_position), self._number(offset_position)
        if code < first:
            return False
        if not offset:
            return bool((code + self._number(first_position + size)) & 0xFFFF)
        return bool(self._number(offset_position + offset + 2 * (code - first)))

    def _number(self, position: int) -> int:
        number: int = struct.unpack_from(">H", self._character_map, position)[0]
        return number


class FallbackFonts:
    """The font files in some folders, searched in order; plain styles of Noto Sans come first."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders
        self._files: list[FontFile] = []
        self.find = lru_cache(_MAX_CACHED_TEXTS)(self._find)

    def _find(self, text: str) -> FontFile | None:
        """Return the first font that covers a whole text, None if there is none."""
        return next((font for font in self.all_files() if font.covers(text)), None)

    def all_files(self) -> Iterator[FontFile]:
        """Yield the files read before, then read more."""
        yield from self._files
        for font in self._unread:
            self._files.append(font)
            yield font

    @cached_property
    def _unread(self) -> Iterator[FontFile]:
        paths = islice(self._list_paths(), _MAX_READ_FILES)
        return (font for path in paths if (font := _read(path)) is not None)

    def _list_paths(self) -> Iterator[Path]:
        for folder in self._folders:
            # `Path.expanduser` raises if a user has no home.
            walked = os.walk(os.path.expanduser(folder))  # noqa: PTH111
            paths = (Path(parent, name) for parent, _, names in walked for name in names)
            fonts = (path for path in paths if path.suffix.lower() in _SUFFIXES)
            yield from sorted(islice(fonts, _MAX_LISTED_FILES), key=_rank)


def _rank(path: Path) -> tuple[bool, bool, bool, str]:
    name = path.stem
    is_special = _SPECIAL.search(name) is not None
    return is_special, not name.startswith("NotoSans"), not name.startswith("Noto"), name


def _read(path: Path) -> FontFile | None:
    """Read what a file covers; None if it is broken, or of a kind that we can't read."""
    try:
        with path.open("rb") as file:
            faces = _face_offsets(file)
            names = [_family(_read_table(file, face, b"name")) for face in faces]
            character_map = _unicode_map(_read_table(file, faces[0], b"cmap"))
    except (OSError, struct.error, IndexError):
        return None
    families = [name for name in names if _PLAIN_FAMILY.fullmatch(name)]
    return FontFile(path, families, character_map) if families and character_map else None


def _face_offsets(file: BinaryIO) -> Sequence[int]:
    """Return the offset of each face of a file; a plain font has one, at the beginning."""
    header = file.read(12 + 4 * _MAX_FACES)
    if not header.startswith(b"ttcf"):
        return [0]
    (count,) = struct.unpack_from(">I", header, 8)
    return struct.unpack_from(f">{min(count, _MAX_FACES)}I", header, 12)


def _read_table(file: BinaryIO, face: int, tag: bytes) -> bytes:
    """Read a table of a face; empty if there is none."""
    file.seek(face)
    (count,) = struct.unpack_from(">H", file.read(12), 4)
    for row in struct.iter_unpack(">4sIII", file.read(16 * count)):
        if row[0] == tag:
            file.seek(row[2])
            return file.read(min(row[3], _MAX_TABLE_BYTES))
    return b""


def _family(names: bytes) -> str:
    """Return the English name of the family from a `name` table; empty if there is none."""
    count, storage = struct.unpack_from(">HH", names, 2)
    families = {}
    for index in range(count):
        platform, _, language, name_id, length, offset = struct.unpack_from(
            ">6H", names, 6 + 12 * index
        )
        if (platform, language) == (_WINDOWS, _US_ENGLISH):
            start = storage + offset
            families[name_id] = names[start : start + length].decode("utf-16-be", errors="ignore")
    return families.get(_TYPOGRAPHIC_FAMILY) or families.get(_FAMILY, "")


def _unicode_map(maps: bytes) -> bytes:
    """Return the largest Unicode map of a `cmap` table: format 12, else 4, else empty."""
    (count,) = struct.unpack_from(">H", maps, 2)
    by_format = {}
    for index in range(count):
        platform, encoding, offset = struct.unpack_from(">HHI", maps, 4 + 8 * index)
        if platform == 0 or (platform == _WINDOWS and encoding in _UNICODE_ENCODINGS):
            by_format[struct.unpack_from(">H", maps, offset)[0]] = maps[offset:]
    return by_format.get(12) or by_format.get(4, b"")
