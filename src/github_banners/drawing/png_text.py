"""
Name the fonts of the texts of a picture, for a rasterizer that finds none by itself.

Text is drawn in the two fonts of `fonts/`, which cover Latin, Greek and Cyrillic. A text with other
characters gets a second font (see `fallback_fonts`); words that it does not cover become boxes.

There is one second font in each text element: resvg lays out an element in its first font and then
replaces glyphs by those of the others, which goes wrong at ligatures and groups of marks. So the
second font comes first, in the weight of its words, and only plain characters are replaced.
https://github.com/linebender/resvg/blob/main/crates/usvg/src/text/layout.rs
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from enum import Enum, auto
from functools import cache
from html import escape, unescape
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

from github_banners.drawing.fallback_fonts import (
    MACHINE_FOLDERS,
    WORDS_FOLDER,
    FallbackFonts,
    FontFile,
)
from github_banners.drawing.text import graphemes

FONTS = Path(__file__).parent / "fonts"
FAMILY = "Banners Sans"
REPLACEMENT_CHARACTER = "\u25a1"
"""Stands for graphemes that no font covers; never wider than the layouts estimate those."""

_FONT_LIST = re.compile(r'font-family="[^"]*"')
_TEXT_ELEMENT = re.compile(r"<text\b([^>]*)>(.*?)</text>")
_TAG = re.compile(r"(<[^>]*>)")
_FORCED_LENGTH = re.compile(r' textLength="[\d.]+" lengthAdjust="spacingAndGlyphs"')
_KANA = re.compile("[\u3041-\u30ff]")
_WORD_JOINER = "\u2060"


class _Kind(Enum):
    """Kind of a run of graphemes: in our fonts, direction controls, or not in our fonts."""

    COVERED = auto()
    CONTROLS = auto()
    LETTERS = auto()
    OTHERS = auto()


_WORDS = {_Kind.LETTERS, _Kind.OTHERS}


class _Run(NamedTuple):
    kind: _Kind
    graphemes: Sequence[str]

    @property
    def text(self) -> str:
        return "".join(self.graphemes)


def choose_fonts(svg: str) -> tuple[str, list[str]]:
    """
    Return an SVG with a font for each text, and the paths of the second fonts to load.

    Forced text lengths are dropped: they are for unknown fonts, and would stretch boxes.
    """
    # The list for browsers may name a font that is loaded for another text.
    svg = _FONT_LIST.sub(f'font-family="{FAMILY}"', svg, count=1)
    if svg.isascii():
        return svg, []
    # The region whose forms of Chinese characters are drawn, if a font has several.
    region = "JP" if _KANA.search(svg) else "SC"
    paths: dict[str, None] = {}

    def name_fonts(match: "re.Match[str]") -> str:
        attributes, content = match.groups()
        if content.isascii():
            return match[0]
        content, font = _name_fonts(content)
        if font is not None:
            paths.update(dict.fromkeys(font.paths))
            # Without xml:space, resvg drops a space that is the whole content of an element.
            attributes += f""" xml:space="preserve" font-family="'{font.family(region)}'\""""
        return f"<text{attributes}>{content}</text>"

    return _TEXT_ELEMENT.sub(name_fonts, _FORCED_LENGTH.sub("", svg)), [*paths]


def is_covered(character: str) -> bool:
    """Return True if our two fonts have a glyph for a character."""
    return bisect_right(_coverage(), ord(character)) % 2 == 1


def _name_fonts(content: str) -> tuple[str, FontFile | None]:
    """Return the content of a text element, with a second font if it needs one."""
    parts = [part if part.startswith("<") else _split(part) for part in _TAG.split(content)]
    runs = [run for part in parts if not isinstance(part, str) for run in part]
    words = [run.text for run in runs if run.kind in _WORDS]
    font = _find_font(words) if words else None
    # A font that covers the whole text draws it all, digits and spaces too.
    is_uniform = font is None or all(font.covers(run.text) for run in runs)

    def to_markup(run: _Run) -> str:
        is_boxed = run.kind in _WORDS and (font is None or not font.covers(run.text))
        if not is_boxed and (is_uniform or run.kind is not _Kind.COVERED):
            return escape(run.text)
        bases = (REPLACEMENT_CHARACTER if is_boxed else cluster[0] for cluster in run.graphemes)
        text = escape("".join(bases))
        return text if font is None else f'<tspan font-family="{FAMILY}">{text}</tspan>'

    markup = "".join(
        part if isinstance(part, str) else "".join(map(to_markup, part)) for part in parts
    )
    span = _find_first_words_span(parts)
    if span:
        return f"{span}{_WORD_JOINER}</tspan>{markup}", font
    return markup if is_uniform else _WORD_JOINER + markup, font


def _find_first_words_span(parts: Sequence[str | Sequence[_Run]]) -> str:
    """Return the opening tag of the span with the first words; empty if they are in none."""
    tag = ""
    for part in parts:
        if isinstance(part, str):
            tag = part
        elif any(run.kind in _WORDS for run in part):
            return tag if tag.startswith("<tspan") else ""
    return ""


def _find_font(words: Sequence[str]) -> FontFile | None:
    """Find a font for all words, else one for the first word that any font covers."""
    for text in ("".join(words), *words):
        font = machine_fonts().find(text) or word_fonts().find(text)
        if font is not None:
            return font
    return None


def _split(text: str) -> list[_Run]:
    clusters = filter(None, map(_simplify, graphemes(unescape(text))))
    return [_Run(kind, [*run]) for kind, run in groupby(clusters, key=_find_kind)]


def _simplify(grapheme: str) -> str:
    """Drop accents that our fonts do not cover from characters that they do cover."""
    base, marks = grapheme[0], grapheme[1:]
    category = unicodedata.category(base)
    if is_covered(base) or category == "Cf":
        return base + "".join(filter(is_covered, marks))
    if category in {"Mn", "Me"}:
        return ""
    plain = unicodedata.normalize("NFD", base)[0]
    return plain if is_covered(plain) else grapheme


def _find_kind(cluster: str) -> _Kind:
    category = unicodedata.category(cluster[0])
    if category == "Cf":
        return _Kind.CONTROLS
    if is_covered(cluster[0]):
        return _Kind.COVERED
    return _Kind.LETTERS if category.startswith("L") else _Kind.OTHERS


@cache
def machine_fonts() -> FallbackFonts:
    """Return the fonts that are installed on the machine."""
    return FallbackFonts(MACHINE_FOLDERS)


@cache
def word_fonts() -> FallbackFonts:
    """Return the bundled subsets with the characters of our own words."""
    return FallbackFonts([WORDS_FOLDER])


@cache
def _coverage() -> list[int]:
    """Read the covered ranges as a flat list: first, last + 1, first, last + 1, ..."""
    lines = (FONTS / "coverage.txt").read_text(encoding="ascii").split()
    ranges = [[int(code, 16) for code in line.split("-")] for line in lines]
    return [*chain.from_iterable((codes[0], codes[-1] + 1) for codes in ranges)]
