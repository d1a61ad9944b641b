"""
A drawing of ours as PNG, twice as large: for what shows no SVG. Takes SVG bytes, gives PNG bytes.

Draws the wide, light, still picture: media queries mean nothing here, and nothing is animated. All
text is drawn in the two fonts of `fonts/`, whatever the machine has; what they do not cover (see
`fonts/README.md`) gets a box for each character that people see. Holds the interpreter's lock for
some 50 to 150 ms, so services call it in a process of its own.
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
"""Stands for what the fonts do not cover; theirs is narrower than any that the layouts reckon with."""

FONTS = Path(__file__).parent / "fonts"
_FAMILY = "Banners Sans"
_FILES = [str(FONTS / f"BannersSans-{style}.ttf") for style in ("Regular", "SemiBold")]

# resvg asks for the memory of any picture at once, and ends the process when there is not enough.
_MAX_WIDTH, _MAX_HEIGHT = 1200, 600
_MAX_BYTES = 256 << 10
_ROOT = re.compile(rb'\s*<svg [^>]*?\bwidth="(\d{1,4})" height="(\d{1,4})"')
# Would be read from the disk; ours have none, and a stored one has been elsewhere meanwhile.
_IMAGE_ELEMENT = re.compile(rb"<(?:\w+:)?(?:fe)?image\b", re.IGNORECASE)
_TEXT = re.compile(r">([^<]*[^\x00-\x7f<][^<]*)<")
_FORCED_LENGTH = re.compile(r' textLength="[\d.]+" lengthAdjust="spacingAndGlyphs"')


def to_png(svg: bytes) -> bytes:
    """
    Draw what `draw` or `explain` has printed as PNG.

    :raises RenderingFailed: it is none of ours, or too large
    """
    import resvg_py  # noqa: PLC0415 - by the process that converts; others only name this function

    _check(svg)
    try:
        return resvg_py.svg_to_bytes(
            svg_string=_substitute_all(svg.decode()),
            zoom=SCALE,
            skip_system_fonts=True,
            font_files=_FILES,
            sans_serif_family=_FAMILY,
        )
    except ValueError as error:
        raise RenderingFailed(str(error)) from error


def substitute(text: str) -> str:
    """Write a text with what the fonts cover: accents may go, all else becomes a box."""
    return "".join(map(_substitute_grapheme, graphemes(text)))


def is_covered(character: str) -> bool:
    """Tell whether the fonts have a character."""
    edges = _coverage()
    return bisect_right(edges, ord(character)) % 2 == 1


def _check(svg: bytes) -> None:
    found = _ROOT.match(svg)
    if found is None or len(svg) > _MAX_BYTES or _IMAGE_ELEMENT.search(svg):
        raise RenderingFailed("This is no drawing of ours.")
    width, height = map(int, found.groups())
    if not (0 < width <= _MAX_WIDTH and 0 < height <= _MAX_HEIGHT):
        raise RenderingFailed(f"A picture of {width} x {height} is too large.")


def _substitute_all(svg: str) -> str:
    """Spell every text; none keeps a forced length, which is for fonts that nobody knows."""
    if svg.isascii():
        return svg
    return _TEXT.sub(_substitute_match, _FORCED_LENGTH.sub("", svg))


def _substitute_match(match: "re.Match[str]") -> str:
    return f">{escape(substitute(unescape(match[1])))}<"


def _substitute_grapheme(grapheme: str) -> str:
    """Keep what is covered of a character; one whose base is not becomes a box, or loses its accents."""
    base = grapheme[0]
    category = unicodedata.category(base)
    if is_covered(base) or category == "Cf":  # what steers the reading direction has no shape
        return base + "".join(filter(is_covered, grapheme[1:]))
    if category in {"Mn", "Me"}:
        return ""
    plain = unicodedata.normalize("NFD", base)[0]
    return plain if is_covered(plain) else REPLACEMENT_CHARACTER


@cache
def _coverage() -> list[int]:
    """Read where the covered characters begin and end, in turn."""
    lines = (FONTS / "coverage.txt").read_text(encoding="ascii").split()
    ranges = [[int(code, 16) for code in line.split("-")] for line in lines]
    return [*chain.from_iterable((one[0], one[-1] + 1) for one in ranges)]
