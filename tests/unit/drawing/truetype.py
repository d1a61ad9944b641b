"""Read TrueType fonts without a library."""

import struct
from collections.abc import Iterator
from pathlib import Path


class Font:
    """The parts of a TrueType file that the tests need: https://learn.microsoft.com/typography/opentype"""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        count = struct.unpack_from(">H", self.data, 4)[0]
        rows = (struct.unpack_from(">4sIII", self.data, 12 + 16 * index) for index in range(count))
        self.offsets = {tag.decode(): offset for tag, _, offset, _ in rows}
        self.units = self._numbers("head", ">H", 18)[0]
        self.weight = self._numbers("OS/2", ">H", 4)[0]
        self.glyphs = dict(self._glyphs())

    def _numbers(self, table: str, layout: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(layout, self.data, self.offsets[table] + offset)

    def _glyphs(self) -> Iterator[tuple[int, int]]:
        """Read the map from characters to glyphs (format 4)."""
        count = self._numbers("cmap", ">H", 2)[0]
        tables = [self._numbers("cmap", ">HHI", 4 + 8 * index)[2] for index in range(count)]
        formats = {self._numbers("cmap", ">H", offset)[0]: offset for offset in tables}
        base = formats[4]
        segments = self._numbers("cmap", ">H", base + 6)[0] // 2
        row = f">{segments}H"
        ends = self._numbers("cmap", row, base + 14)
        starts = self._numbers("cmap", row, base + 16 + 2 * segments)
        deltas = self._numbers("cmap", row, base + 16 + 4 * segments)
        ranges = self._numbers("cmap", row, base + 16 + 6 * segments)
        for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
            for code in range(start, min(end, 0xFFFE) + 1):
                glyph = code
                if ranges[index]:
                    place = (
                        base + 16 + 6 * segments + 2 * index + ranges[index] + 2 * (code - start)
                    )
                    glyph = self._numbers("cmap", ">H", place)[0]
                yield code, (glyph + deltas[index]) & 0xFFFF

    def advance(self, character: str) -> float:
        """Return the advance of a character in em."""
        count = self._numbers("hhea", ">H", 34)[0]
        glyph = min(self.glyphs[ord(character)], count - 1)
        return self._numbers("hmtx", ">H", 4 * glyph)[0] / self.units
