"""
Upper bounds of the widths of single characters, without knowing the reader's font.

ASCII has the largest advance of DejaVu Sans, Liberation Sans, Noto Sans, Inter and Roboto; characters
of living alphabets have measured widths (`character_widths.txt`); all others have one width per class
of characters. Each width is calculated once, when a character is first used: `text` reads it from the
maps below. Widths are in hundredths of an em.
"""

import re
import unicodedata
from bisect import bisect_right
from functools import cache, lru_cache, partial
from importlib.resources import files
from typing import NamedTuple

from github_banners.cache import Memo


class _Advance(NamedTuple):
    """The width of a character in hundredths of an em, at weight 400 and 600."""

    regular: int
    bold: int
    is_guess: bool = False


def _ascii(hundredths: str) -> bytes:
    return bytes(32) + bytes(map(int, hundredths.split())) + bytes(129)


# By code point, 32 to 126.
ASCII_REGULAR = _ascii(
    "32 41 46 84 64 95 78 28 39 39 56 84 32 46 32 42 64 64 64 64 65 64 64 64 64 64 34 34 84 84 84 "
    "56 102 69 69 73 77 67 62 78 76 34 56 67 57 91 76 79 67 79 73 67 65 75 69 99 69 67 69 39 42 39 "
    "84 56 50 62 64 56 64 62 37 64 64 28 28 58 28 98 64 62 64 64 42 53 40 64 60 82 60 60 55 64 56 "
    "64 84"
)
"""The widths of ASCII characters at weight 400, as a table for `bytes.translate`."""

ASCII_BOLD = _ascii(
    "35 46 53 84 70 101 88 31 46 46 55 84 38 47 38 42 70 70 70 70 70 70 70 70 70 70 40 40 84 84 84 "
    "62 100 78 77 75 83 69 69 83 84 39 57 78 64 100 84 85 74 85 77 72 69 82 78 111 78 73 73 46 43 "
    "46 84 56 50 68 72 60 72 68 44 72 72 35 35 67 35 105 72 69 72 72 50 60 48 72 66 93 65 66 59 72 "
    "56 72 84"
)
"""The same at weight 600."""

# Arabic letters change their shape, and so their width, before another letter. Marks between them
# do not matter, and hamza does not join.
JOINING_LETTERS = "\u0620-\u064a\u066e\u066f\u0671-\u06d3\u06fa-\u06ff\u0750-\u077f\u08a0-\u08c7"
_POINTS = "\u064b-\u065f\u0670\u06d6-\u06ed\u08d3-\u08ff"
_NON_JOINING_LETTERS = "\u0621\u0674\u08ad"
JOINED_LETTER = re.compile(
    f"[{JOINING_LETTERS}](?=[{_POINTS}]*(?![{_NON_JOINING_LETTERS}])[{JOINING_LETTERS}])"
)
"""Matches a letter that is joined to the one after it."""

# `character_widths.txt` lists the joined forms at this offset, beyond all code points.
JOINED_FORM_OFFSET = 0x200000

_ZERO_ADVANCE = _Advance(0, 0)
_HALF_WIDTH = _Advance(55, 55)
_FULL_WIDTH = _Advance(100, 100)
_EMOJI = _Advance(130, 130)
_OTHER_LATIN = _Advance(102, 111)
_SEMITIC = _Advance(75, 85)
_LOWER = _Advance(80, 90)
_UPPER = _Advance(100, 110)
_DEFAULT_ADVANCE = _Advance(95, 95, is_guess=True)

# The combining mark that turns the digit before it into an emoji.
_KEYCAP, _KEYCAP_EXTRA = "\u20e3", _Advance(66, 66)
# Ranges whose class is so wrong that even a short text would overflow: first and last code point,
# and the advance, measured with the Noto fonts (the widest that cover these).
_EXCEPTIONS = (
    (0x00A0, 0x00A0, _Advance(32, 35)),  # the no-break space is as wide as a space
    (0x2190, 0x2BFF, _Advance(140, 140)),  # symbols, which can be drawn as emoji
    (0x2E3A, 0x2E3B, _Advance(290, 290)),  # two-em and three-em dashes
    (0x12000, 0x1254F, _Advance(400, 400, is_guess=True)),  # cuneiform
)


@lru_cache(8192)
def advance(character: str) -> _Advance:
    """Return the width of a character that is not joined to others."""
    code = ord(character)
    if code < 0x80:
        return _Advance(ASCII_REGULAR[code], ASCII_BOLD[code])
    rules = (_by_category, _exception, _by_east_asian_width, _by_script)
    results = (rule(character, code) for rule in rules)
    class_advance = next((result for result in results if result is not None), _DEFAULT_ADVANCE)
    if class_advance is _ZERO_ADVANCE:
        return class_advance
    regular, bold = _measured_widths(code)
    return _Advance(
        regular or class_advance.regular, bold or class_advance.bold, class_advance.is_guess
    )


def _by_category(character: str, code: int) -> _Advance | None:
    if character == _KEYCAP:
        return _KEYCAP_EXTRA
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return _ZERO_ADVANCE
    return _EMOJI if code >= 0x1F000 and not 0x20000 <= code < 0x40000 else None


def _exception(character: str, code: int) -> _Advance | None:
    return next((width for first, last, width in _EXCEPTIONS if first <= code <= last), None)


def _by_east_asian_width(character: str, code: int) -> _Advance | None:
    if unicodedata.east_asian_width(character) not in {"W", "F", "H"}:
        return None
    return _HALF_WIDTH if 0xFF61 <= code <= 0xFF9F else _FULL_WIDTH


def _by_script(character: str, code: int) -> _Advance | None:
    base = ord(unicodedata.normalize("NFD", character)[0])
    if base < 0x80:
        return _Advance(ASCII_REGULAR[base], ASCII_BOLD[base])
    if code < 0x250 or 0x1E00 <= code < 0x1F00 or 0x2010 <= code < 0x2060:
        return _OTHER_LATIN
    if 0x370 <= code < 0x530 or 0x1F00 <= code < 0x2000:
        return _LOWER if character.islower() else _UPPER
    if 0x590 <= code < 0x780 or 0x8A0 <= code < 0x900 or 0xFB1D <= code < 0xFE00:
        return _SEMITIC
    return None


def _joining_saving(letter: str, *, bold: bool) -> int:
    """Return how much narrower a letter is when joined to the next; negative if it is wider."""
    joined = _measured_widths(ord(letter) + JOINED_FORM_OFFSET)[bold]
    return advance(letter)[bold] - joined if joined else 0


def _measured_widths(code: int) -> tuple[int, int]:
    """Return a character's measured widths, regular and bold; 0 if its class decides."""
    starts, ranges = _read_widths()
    index = bisect_right(starts, code) - 1
    last, regular, bold = ranges[index] if index >= 0 else (-1, 0, 0)
    return (regular, bold) if code <= last else (0, 0)


@cache
def _read_widths() -> tuple[list[int], list[tuple[int, int, int]]]:
    """
    Read lines such as `100/120 1c4-1cc 2031`: two widths, and the code points that have them.

    Returns the first code point of each range, and (last code point, regular, bold) of each.
    """
    lines = (files(__package__) / "character_widths.txt").read_text(encoding="ascii").splitlines()
    rows = []
    for widths, *ranges in map(str.split, lines):
        regular, _, bold = widths.partition("/")
        for first, _, last in (code_range.partition("-") for code_range in ranges):
            rows.append((int(first, 16), int(last or first, 16), int(regular), int(bold)))
    rows.sort()
    return [row[0] for row in rows], [row[1:] for row in rows]


REGULAR_ADVANCES: Memo[str, int] = Memo(lambda character: advance(character).regular, max_size=8192)
BOLD_ADVANCES: Memo[str, int] = Memo(lambda character: advance(character).bold, max_size=8192)
"""The width of any character that is not joined to others, at weight 400 and 600."""

REGULAR_SAVINGS: Memo[str, int] = Memo(partial(_joining_saving, bold=False))
BOLD_SAVINGS: Memo[str, int] = Memo(partial(_joining_saving, bold=True))
"""How much narrower a letter is when joined to the next, at weight 400 and 600."""
