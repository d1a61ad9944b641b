"""
How wide text is, whatever font it is drawn in, and how it is made to fit.

Estimates from above: for ASCII the largest advance of DejaVu Sans, Liberation Sans, Noto Sans,
Inter and Roboto, for living alphabets what was measured, for all else one number per class of
characters. So nothing overflows, and nobody has to know the reader's fonts. Positions and words are
the layouts' business.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, lru_cache, partial
from importlib.resources import files
from typing import NamedTuple

import msgspec

from github_banners.drawing.cleaning import graphemes, isolate
from github_banners.drawing.memo import Memo

_SAFETY = 1.03
_STRETCH_FROM = 0.9
_ELLIPSIS = "…"


class Fitted(msgspec.Struct, frozen=True, gc=False):
    """A text at the size that fits; `length` is the width to force it to, empty for its own."""

    text: str
    size: float
    width: float
    length: str = ""


class _Advance(NamedTuple):
    """The width of a character in hundredths of an em, at weight 400 and 600."""

    regular: int
    bold: int
    is_guess: bool = False


def _ascii(hundredths: str) -> bytes:
    return bytes(32) + bytes(map(int, hundredths.split())) + bytes(129)


# Chinese and Japanese sentences have no spaces.
_LINE_BREAK = re.compile("(?<=[ 、。，；：])")

# Arabic's letters, with a mark or without, before another one; but hamza joins nothing.
_LETTERS = "\u0620-\u064a\u066e\u066f\u0671-\u06d3\u06fa-\u06ff\u0750-\u077f\u08a0-\u08c7"
_POINTS = "\u064b-\u065f\u0670\u06d6-\u06ed\u08d3-\u08ff"
# Where `character_widths.txt` has them as they are inside of a word, beyond all code points.
_INSIDE = 0x200000
_UNJOINED = "\u0621\u0674\u08ad"
_INSIDE_A_WORD = re.compile(f"[{_LETTERS}](?=[{_POINTS}]*(?![{_UNJOINED}])[{_LETTERS}])")

# By code point, 32 to 126.
_REGULAR = _ascii(
    "32 41 46 84 64 95 78 28 39 39 56 84 32 46 32 42 64 64 64 64 65 64 64 64 64 64 34 34 84 84 84 "
    "56 102 69 69 73 77 67 62 78 76 34 56 67 57 91 76 79 67 79 73 67 65 75 69 99 69 67 69 39 42 39 "
    "84 56 50 62 64 56 64 62 37 64 64 28 28 58 28 98 64 62 64 64 42 53 40 64 60 82 60 60 55 64 56 "
    "64 84"
)
_BOLD = _ascii(
    "35 46 53 84 70 101 88 31 46 46 55 84 38 47 38 42 70 70 70 70 70 70 70 70 70 70 40 40 84 84 84 "
    "62 100 78 77 75 83 69 69 83 84 39 57 78 64 100 84 85 74 85 77 72 69 82 78 111 78 73 73 46 43 "
    "46 84 56 50 68 72 60 72 68 44 72 72 35 35 67 35 105 72 69 72 72 50 60 48 72 66 93 65 66 59 72 "
    "56 72 84"
)

_NOTHING = _Advance(0, 0)
_HALF_WIDTH = _Advance(55, 55)
_FULL_WIDTH = _Advance(100, 100)
_EMOJI = _Advance(130, 130)
_OTHER_LATIN = _Advance(102, 111)
_SEMITIC = _Advance(75, 85)
_LOWER = _Advance(80, 90)
_UPPER = _Advance(100, 110)
_ELSE = _Advance(95, 95, is_guess=True)

# A mark that makes an emoji of the digit before it.
_KEYCAP, _KEYCAP_EXTRA = "\u20e3", _Advance(66, 66)
# What the classes would get wrong by so much that a short text leaves its room: first and last
# code point, hundredths of an em (measured with the Noto fonts, the widest that cover these).
_EXCEPTIONS = (
    (0x00A0, 0x00A0, _Advance(32, 35)),  # the no-break space is as wide as the other
    (0x2190, 0x2BFF, _Advance(140, 140)),  # symbols, which may be drawn as emoji
    (0x2E3A, 0x2E3B, _Advance(290, 290)),  # dashes of two and three em
    (0x12000, 0x1254F, _Advance(400, 400, is_guess=True)),  # cuneiform
)


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Estimate a width from above, in user units at a font size in user units."""
    return _SAFETY * size * _hundredths(text, bold) / 100


def fit(text: str, sizes: Sequence[float], room: float, *, bold: bool = False) -> Fitted:
    """
    Choose the first size at which a text fits; at the last one cut it and add an ellipsis.

    Text of scripts whose widths are guessed is forced to its estimate where room is short.
    """
    hundredths = _hundredths(text, bold)
    for size in sizes:
        wide = _SAFETY * size * hundredths / 100
        if wide <= room:
            return Fitted(text, size, wide, "" if text.isascii() else _forced(text, wide, room))
    cut = _cut(text, sizes[-1], room, bold=bold)
    wide = width(cut, sizes[-1], bold=bold)
    return Fitted(cut, sizes[-1], wide, _forced(cut, wide, room))


def wrap(text: str, sizes: Sequence[float], room: float) -> list[Fitted]:
    """Fit our own words, over several lines at the first size where one does not hold them."""
    if width(text, sizes[-1]) <= room:
        return [fit(text, sizes, room)]
    lines = [""]
    for part in _LINE_BREAK.split(text):
        longer = lines[-1] + part
        if width(longer.rstrip(), sizes[0]) <= room:
            lines[-1] = longer
        else:
            lines.append(part)
    return [fit(line.rstrip(), sizes, room) for line in lines if line]


def fit_isolated(text: str, sizes: Sequence[float], room: float, *, bold: bool = False) -> Fitted:
    """Fit a foreign text that must not turn its neighbours."""
    fitted = fit(text, sizes, room, bold=bold)
    if text.isascii():
        return fitted
    isolated = isolate(fitted.text)
    return msgspec.structs.replace(fitted, text=isolated) if isolated != fitted.text else fitted


def fit_between(
    before: str, text: str, after: str, sizes: Sequence[float], room: float, *, bold: bool = False
) -> Fitted:
    """Fit a sentence around a foreign text; what gets cut is the foreign text alone."""
    if width(before + text + after, sizes[-1], bold=bold) > room:
        left = room - width(before + after, sizes[-1], bold=bold)
        text = _cut(text, sizes[-1], left, bold=bold)
    return fit(before + isolate(text) + after, sizes, room, bold=bold)


def _hundredths(text: str, bold: bool) -> int:
    if text.isascii():
        return sum(text.encode().translate(_BOLD if bold else _REGULAR))
    return (_BOLD_BEYOND_ASCII if bold else _BEYOND_ASCII)[text]


def _hundredths_beyond_ascii(text: str, *, bold: bool) -> int:
    wide = sum(map((_BOLD_ADVANCES if bold else _REGULAR_ADVANCES).__getitem__, text))
    return wide - sum([_narrowed(letter, bold) for letter in _INSIDE_A_WORD.findall(text)])


# The words around numbers come again, and most owners' numbers are small.
_BEYOND_ASCII = Memo(partial(_hundredths_beyond_ascii, bold=False), max_size=2048)
_BOLD_BEYOND_ASCII = Memo(partial(_hundredths_beyond_ascii, bold=True), max_size=2048)


@lru_cache(1024)
def _narrowed(letter: str, bold: bool) -> int:
    """Find how much narrower a letter is that is joined to the next; a few are wider."""
    inside = _own_widths(ord(letter) + _INSIDE)[bold]
    return _advance(letter)[bold] - inside if inside else 0


def _cut(text: str, size: float, room: float, *, bold: bool) -> str:
    left = room / _SAFETY / size * 100 - _hundredths(_ELLIPSIS, bold)
    clusters = graphemes(text)

    def needed(count: int) -> int:
        # As a whole: joined letters are narrower than they are one by one.
        return _hundredths("".join(clusters[:count]), bold)

    most = bisect_right(range(1, len(clusters) + 1), left, key=needed)
    return "".join(clusters[:most]).rstrip() + _ELLIPSIS


def _forced(text: str, wide: float, room: float) -> str:
    if wide <= _STRETCH_FROM * room:
        return ""
    return f"{wide:.4g}" if any(_advance(character).is_guess for character in text) else ""


@lru_cache(8192)
def _advance(character: str) -> _Advance:
    code = ord(character)
    if code < 0x80:
        return _Advance(_REGULAR[code], _BOLD[code])
    rules = (_by_category, _exception, _by_width, _by_script)
    found = next((it for rule in rules if (it := rule(character, code)) is not None), _ELSE)
    regular, bold = _own_widths(code) if found is not _NOTHING else (0, 0)
    return _Advance(regular or found.regular, bold or found.bold, found.is_guess)


_REGULAR_ADVANCES: Memo[str, int] = Memo(lambda char: _advance(char).regular, max_size=8192)
_BOLD_ADVANCES: Memo[str, int] = Memo(lambda char: _advance(char).bold, max_size=8192)


def _own_widths(code: int) -> tuple[int, int]:
    """Find in hundredths of an em what a character has of its own; 0 leaves it to its class."""
    firsts, runs = _character_widths()
    at = bisect_right(firsts, code) - 1
    last, *widths = runs[at] if at >= 0 else (-1, 0, 0)
    return (widths[0], widths[1]) if code <= last else (0, 0)


@cache
def _character_widths() -> tuple[list[int], list[tuple[int, int, int]]]:
    """Read lines such as `100/120 1c4-1cc 2031`: two widths, and the code points that have them."""
    lines = (files(__package__) / "character_widths.txt").read_text(encoding="ascii").splitlines()
    found = []
    for widths, *runs in map(str.split, lines):
        regular, _, bold = widths.partition("/")
        for first, _, last in (one.partition("-") for one in runs):
            found.append((int(first, 16), int(last or first, 16), int(regular), int(bold)))
    found.sort()
    return [one[0] for one in found], [one[1:] for one in found]


def _exception(character: str, code: int) -> _Advance | None:
    return next((it for first, last, it in _EXCEPTIONS if first <= code <= last), None)


def _by_category(character: str, code: int) -> _Advance | None:
    if character == _KEYCAP:
        return _KEYCAP_EXTRA
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return _NOTHING
    return _EMOJI if code >= 0x1F000 and not 0x20000 <= code < 0x40000 else None


def _by_width(character: str, code: int) -> _Advance | None:
    kind = unicodedata.east_asian_width(character)
    if kind not in {"W", "F", "H"}:
        return None
    return _HALF_WIDTH if 0xFF61 <= code <= 0xFF9F else _FULL_WIDTH


def _by_script(character: str, code: int) -> _Advance | None:
    base = ord(unicodedata.normalize("NFD", character)[0])
    if base < 0x80:
        return _Advance(_REGULAR[base], _BOLD[base])
    if code < 0x250 or 0x1E00 <= code < 0x1F00 or 0x2010 <= code < 0x2060:
        return _OTHER_LATIN
    if 0x370 <= code < 0x530 or 0x1F00 <= code < 0x2000:
        return _LOWER if character.islower() else _UPPER
    if 0x590 <= code < 0x780 or 0x8A0 <= code < 0x900 or 0xFB1D <= code < 0xFE00:
        return _SEMITIC
    return None
