"""
Convert our SVGs to PNGs of twice the size, for clients that do not show SVG.

The rasterizer ignores media queries and animations, so the PNG shows the wide, light form. Text is
drawn in the two fonts of `fonts/`, never in fonts of the machine; each grapheme they do not cover
(see `fonts/README.md`) becomes a box. A conversion holds the GIL for some 50 to 150 ms, so services
run it in a worker process.
"""

import re
import unicodedata
from bisect import bisect_right
from functools import cache
from html import escape, unescape
from itertools import chain
from pathlib import Path

from github_banners.drawing.sanitize import graphemes
from github_banners.errors import RenderingFailed

SCALE = 2
REPLACEMENT_CHARACTER = "\u25a1"
"""Stands for graphemes that the fonts do not cover; never wider than the layouts estimate those."""

FONTS = Path(__file__).parent / "fonts"
_FAMILY = "Banners Sans"
FONT_FILES = [str(FONTS / f"BannersSans-{style}.ttf") for style in ("Regular", "SemiBold")]

# resvg allocates the memory of the whole picture at once and aborts the process if it can't.
_MAX_WIDTH, _MAX_HEIGHT = 1200, 600
_MAX_BYTES = 256 << 10
_ROOT = re.compile(rb'\s*<svg [^>]*?\bwidth="(\d{1,4})" height="(\d{1,4})"')
# resvg would read images from disk. Ours contain none, but a stored file may have been changed.
_IMAGE_ELEMENT = re.compile(rb"<(?:\w+:)?(?:fe)?image\b", re.IGNORECASE)
_TEXT = re.compile(r">([^<]*[^\x00-\x7f<][^<]*)<")
_FORCED_LENGTH = re.compile(r' textLength="[\d.]+" lengthAdjust="spacingAndGlyphs"')


def to_png(svg: bytes) -> bytes:
    """
    Convert an SVG made by `draw` or `explain` to PNG.

    :raises RenderingFailed: the SVG is not one of ours, or too large
    """
    import resvg_py  # noqa: PLC0415 - only the worker process needs it; others pass this function

    _check(svg)
    try:
        return resvg_py.svg_to_bytes(
            svg_string=substitute_texts(svg.decode()),
            zoom=SCALE,
            skip_system_fonts=True,
            font_files=FONT_FILES,
            sans_serif_family=_FAMILY,
        )
    except ValueError as error:
        raise RenderingFailed(str(error)) from error


def substitute(text: str) -> str:
    """Replace what the fonts do not cover: drop accents, turn any other grapheme into a box."""
    return "".join(map(_substitute_grapheme, graphemes(text)))


def is_covered(character: str) -> bool:
    """Return True if the fonts have a glyph for a character."""
    return bisect_right(_coverage(), ord(character)) % 2 == 1


def _check(svg: bytes) -> None:
    root = _ROOT.match(svg)
    if root is None or len(svg) > _MAX_BYTES or _IMAGE_ELEMENT.search(svg):
        raise RenderingFailed("this is not one of our SVGs")
    width, height = map(int, root.groups())
    if not (0 < width <= _MAX_WIDTH and 0 < height <= _MAX_HEIGHT):
        raise RenderingFailed(f"a picture of {width} x {height} is too large")


def substitute_texts(svg: str) -> str:
    """Apply `substitute` to every text; drop forced lengths, which are for unknown fonts only."""
    if svg.isascii():
        return svg
    return _TEXT.sub(_substitute_match, _FORCED_LENGTH.sub("", svg))


def _substitute_match(match: "re.Match[str]") -> str:
    return f">{escape(substitute(unescape(match[1])))}<"


def _substitute_grapheme(grapheme: str) -> str:
    """Keep the covered characters; an uncovered base loses its accents, or becomes a box."""
    base = grapheme[0]
    category = unicodedata.category(base)
    if is_covered(base) or category == "Cf":  # direction controls need no glyph
        return base + "".join(filter(is_covered, grapheme[1:]))
    if category in {"Mn", "Me"}:
        return ""
    plain = unicodedata.normalize("NFD", base)[0]
    return plain if is_covered(plain) else REPLACEMENT_CHARACTER


@cache
def _coverage() -> list[int]:
    """Read the covered ranges as a flat list: first, last + 1, first, last + 1, ..."""
    lines = (FONTS / "coverage.txt").read_text(encoding="ascii").split()
    ranges = [[int(code, 16) for code in line.split("-")] for line in lines]
    return [*chain.from_iterable((codes[0], codes[-1] + 1) for codes in ranges)]
