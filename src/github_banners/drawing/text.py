"""
Estimate text widths without knowing the reader's font, and fit text into a width.

Estimates are upper bounds, so that nothing overflows. ASCII has the largest advance of DejaVu Sans,
Liberation Sans, Noto Sans, Inter and Roboto; characters of living alphabets have measured widths
(`character_widths.txt`); all others have one width per class of characters.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, lru_cache, partial
from importlib.resources import files
from typing import NamedTuple

import msgspec

from github_banners.cache import Memo
from github_banners.drawing.sanitize import graphemes, isolate

SAFETY_FACTOR = 1.03
_STRETCH_FROM = 0.9
_ELLIPSIS = "…"


class Fitted(msgspec.Struct, frozen=True, gc=False):
    """A text at a font size that fits; `length` is its `textLength` attribute, or empty for none."""

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


# Chinese and Japanese sentences have no spaces: they break after punctuation.
_LINE_BREAK = re.compile("(?<=[ 、。，；：])")

# Words of a paragraph, each with the spaces before it. Ideographs and kana are words of their own,
# but no line begins with closing punctuation or a small kana, nor ends with an opening bracket:
# https://www.w3.org/TR/clreq/#prohibition_rules_for_line_start_end
_IDEOGRAPHS = (
    "\u2e80-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef"
    "\U00020000-\U0003ffff"
)
_OPENING = "（「『【〈《〔［｛"
_CLOSING = (
    r"、。，．・：；？！…‥）」』】〉》〕］｝”’％ー々〻ゝゞヽヾぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
    r"!),.:;?\]}%\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef"
)
_WORD = re.compile(
    f" *(?:[{_OPENING}“‘]*[{_IDEOGRAPHS}][{_CLOSING}]*|[^ {_IDEOGRAPHS}]+[{_CLOSING}]*|.)"
)
# An ellipsis after these would look like a mistake.
_BEFORE_ELLIPSIS = " .,:;!?-–—、。，．：；！？（「『【(["
_MIN_LAST_LINE = 0.5

# Arabic letters change their shape, and so their width, before another letter. Marks between them
# do not matter, and hamza does not join.
JOINING_LETTERS = "\u0620-\u064a\u066e\u066f\u0671-\u06d3\u06fa-\u06ff\u0750-\u077f\u08a0-\u08c7"
_POINTS = "\u064b-\u065f\u0670\u06d6-\u06ed\u08d3-\u08ff"
# `character_widths.txt` lists the joined forms at this offset, beyond all code points.
JOINED_FORM_OFFSET = 0x200000
_NON_JOINING_LETTERS = "\u0621\u0674\u08ad"
_JOINED_LETTER = re.compile(
    f"[{JOINING_LETTERS}](?=[{_POINTS}]*(?![{_NON_JOINING_LETTERS}])[{JOINING_LETTERS}])"
)

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


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return an upper bound of a text's width; width and font size are in user units."""
    return SAFETY_FACTOR * size * _hundredths(text, bold) / 100


def fit(text: str, sizes: Sequence[float], room: float, *, bold: bool = False) -> Fitted:
    """
    Fit a text into a width: use the first size at which it fits, or truncate it at the last size.

    Truncated text ends in an ellipsis. Where the width of a script is only guessed and nearly all
    of the room is needed, `length` forces the text to its estimated width.
    """
    hundredths = _hundredths(text, bold)
    for size in sizes:
        text_width = SAFETY_FACTOR * size * hundredths / 100
        if text_width <= room:
            length = "" if text.isascii() else _text_length(text, text_width, room)
            return Fitted(text, size, text_width, length)
    truncated = _truncate(text, sizes[-1], room, bold=bold)
    text_width = width(truncated, sizes[-1], bold=bold)
    return Fitted(truncated, sizes[-1], text_width, _text_length(truncated, text_width, room))


def wrap(text: str, sizes: Sequence[float], room: float) -> list[Fitted]:
    """
    Fit a sentence in one line, or break it into several.

    One line uses the first size that fits; several are broken for the first size.
    """
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


def fit_paragraph(
    text: str, sizes: Sequence[float], room: float, *, max_lines: int
) -> list[Fitted]:
    """
    Break a foreign text into lines of one size: the first size at which it fits into `max_lines`.

    At the last size it is truncated after a word, and ends in an ellipsis. Words that are longer
    than a line are broken anywhere.
    """
    words = _WORD.findall(text)
    size, (lines, rest) = sizes[0], _break_lines(words, sizes[0], room, max_lines)
    for smaller in sizes[1:]:
        if rest:
            size, (lines, rest) = smaller, _break_lines(words, smaller, room, max_lines)
    if rest:
        lines[-1] = _shorten(lines[-1], "".join(rest), size, room)
    return [fit(line, (size,), room) for line in lines]


def _break_lines(
    words: Sequence[str], size: float, room: float, max_lines: int
) -> tuple[list[str], list[str]]:
    """Fill up to `max_lines` lines with words; return them and the words that are left."""
    room_hundredths = room / SAFETY_FACTOR / size * 100
    lines: list[str] = []
    end = room_hundredths + 1  # so that the first word begins a line
    pending = list(reversed(words))
    while pending:
        word = pending.pop()
        hundredths = _hundredths(word, bold=False)
        is_too_long = hundredths > room_hundredths
        if is_too_long and end < _MIN_LAST_LINE * room_hundredths:
            word, rest = _split(word, room_hundredths - end)
            pending.append(rest)
        elif end + hundredths > room_hundredths:
            if len(lines) == max_lines:
                return lines, [word, *reversed(pending)]
            word = word.lstrip()
            if is_too_long:
                word, rest = _split(word, room_hundredths)
                pending.append(rest)
            lines.append("")
            end = 0
        lines[-1] += word
        end += _hundredths(word, bold=False)
    return lines, []


def _split(word: str, room_hundredths: float) -> tuple[str, str]:
    """Split a word where it no longer fits."""
    clusters = graphemes(word)
    count = max(1, _count_fitting(clusters, room_hundredths, bold=False))
    return "".join(clusters[:count]), "".join(clusters[count:])


def _shorten(line: str, rest: str, size: float, room: float) -> str:
    """Return a line with an ellipsis; `rest` is the text after it."""
    room_hundredths = room / SAFETY_FACTOR / size * 100 - _hundredths(_ELLIPSIS, bold=False)
    words = _WORD.findall(line)
    while words and _hundredths("".join(words), bold=False) > room_hundredths:
        words.pop()
    shortened = "".join(words).rstrip(_BEFORE_ELLIPSIS)
    if _hundredths(shortened, bold=False) < _MIN_LAST_LINE * room_hundredths:
        return _truncate(line + rest, size, room, bold=False)
    return shortened + _ELLIPSIS


def fit_isolated(text: str, sizes: Sequence[float], room: float, *, bold: bool = False) -> Fitted:
    """Fit a foreign text and put it into a directional isolate if it is right-to-left."""
    fitted = fit(text, sizes, room, bold=bold)
    if text.isascii():
        return fitted
    isolated = isolate(fitted.text)
    return msgspec.structs.replace(fitted, text=isolated) if isolated != fitted.text else fitted


def fit_between(
    before: str, text: str, after: str, sizes: Sequence[float], room: float, *, bold: bool = False
) -> Fitted:
    """Fit a sentence around a foreign text; only the foreign text is truncated."""
    if width(before + text + after, sizes[-1], bold=bold) > room:
        text_room = room - width(before + after, sizes[-1], bold=bold)
        text = _truncate(text, sizes[-1], text_room, bold=bold)
    return fit(before + isolate(text) + after, sizes, room, bold=bold)


def _hundredths(text: str, bold: bool) -> int:
    if text.isascii():
        return sum(text.encode().translate(_BOLD if bold else _REGULAR))
    hundredths = sum(map((_BOLD_ADVANCES if bold else _REGULAR_ADVANCES).__getitem__, text))
    if joined := _JOINED_LETTER.findall(text):
        hundredths -= sum(map((_BOLD_SAVINGS if bold else _REGULAR_SAVINGS).__getitem__, joined))
    return hundredths


def _joining_saving(letter: str, *, bold: bool) -> int:
    """Return how much narrower a letter is when joined to the next; negative if it is wider."""
    joined = _measured_widths(ord(letter) + JOINED_FORM_OFFSET)[bold]
    return _advance(letter)[bold] - joined if joined else 0


_REGULAR_SAVINGS: Memo[str, int] = Memo(partial(_joining_saving, bold=False))
_BOLD_SAVINGS: Memo[str, int] = Memo(partial(_joining_saving, bold=True))


def _truncate(text: str, size: float, room: float, *, bold: bool) -> str:
    room_hundredths = room / SAFETY_FACTOR / size * 100 - _hundredths(_ELLIPSIS, bold)
    clusters = graphemes(text)
    count = _count_fitting(clusters, room_hundredths, bold=bold)
    return "".join(clusters[:count]).rstrip() + _ELLIPSIS


def _count_fitting(clusters: Sequence[str], room_hundredths: float, *, bold: bool) -> int:
    """Return how many graphemes fit into a width."""

    def prefix_hundredths(count: int) -> int:
        # Measured as a whole, since joined letters are narrower than separate ones.
        return _hundredths("".join(clusters[:count]), bold)

    return bisect_right(range(1, len(clusters) + 1), room_hundredths, key=prefix_hundredths)


def _text_length(text: str, text_width: float, room: float) -> str:
    if text_width <= _STRETCH_FROM * room:
        return ""
    return f"{text_width:.4g}" if any(_advance(character).is_guess for character in text) else ""


@lru_cache(8192)
def _advance(character: str) -> _Advance:
    code = ord(character)
    if code < 0x80:
        return _Advance(_REGULAR[code], _BOLD[code])
    rules = (_by_category, _exception, _by_east_asian_width, _by_script)
    advances = (rule(character, code) for rule in rules)
    class_advance = next((advance for advance in advances if advance is not None), _DEFAULT_ADVANCE)
    if class_advance is _ZERO_ADVANCE:
        return class_advance
    regular, bold = _measured_widths(code)
    return _Advance(
        regular or class_advance.regular, bold or class_advance.bold, class_advance.is_guess
    )


_REGULAR_ADVANCES: Memo[str, int] = Memo(
    lambda character: _advance(character).regular, max_size=8192
)
_BOLD_ADVANCES: Memo[str, int] = Memo(lambda character: _advance(character).bold, max_size=8192)


def _measured_widths(code: int) -> tuple[int, int]:
    """Return a character's measured widths, regular and bold; 0 if its class decides."""
    starts, ranges = _character_widths()
    index = bisect_right(starts, code) - 1
    last, regular, bold = ranges[index] if index >= 0 else (-1, 0, 0)
    return (regular, bold) if code <= last else (0, 0)


@cache
def _character_widths() -> tuple[list[int], list[tuple[int, int, int]]]:
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


def _exception(character: str, code: int) -> _Advance | None:
    return next((advance for first, last, advance in _EXCEPTIONS if first <= code <= last), None)


def _by_category(character: str, code: int) -> _Advance | None:
    if character == _KEYCAP:
        return _KEYCAP_EXTRA
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return _ZERO_ADVANCE
    return _EMOJI if code >= 0x1F000 and not 0x20000 <= code < 0x40000 else None


def _by_east_asian_width(character: str, code: int) -> _Advance | None:
    if unicodedata.east_asian_width(character) not in {"W", "F", "H"}:
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
