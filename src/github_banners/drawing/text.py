"""
Prepare foreign text for a picture, and fit text into a width.

`sanitize` removes from names, languages and option values the characters that XML forbids, invisible
ones and direction controls, and bounds the length; escaping is left to the templates. `graphemes`
splits a text into user-perceived characters; `initial` chooses the letter of an avatar; `isolate` and
`starts_right_to_left` handle the direction of writing. `width` estimates an upper bound, so that
nothing overflows in any of the reader's fonts (`character_widths`); `fit` and the functions after it
choose a font size, break lines or truncate.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

from github_banners.drawing.character_widths import (
    ASCII_BOLD,
    ASCII_REGULAR,
    BOLD_ADVANCES,
    BOLD_SAVINGS,
    JOINED_LETTER,
    REGULAR_ADVANCES,
    REGULAR_SAVINGS,
    advance,
)

LEFT_TO_RIGHT_ISOLATE, RIGHT_TO_LEFT_ISOLATE = "\u2066", "\u2067"
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"

_MAX_GRAPHEMES = 64
# A grapheme can have any number of marks, so a limit in bytes is needed to bound a picture's size.
_MAX_BYTES_PER_GRAPHEME = 3
MAX_BYTES = _MAX_GRAPHEMES * _MAX_BYTES_PER_GRAPHEME
# Bounds the work on hostile input; applied before anything is dropped.
_MAX_INPUT_CHARACTERS = 1024

_RIGHT_TO_LEFT = {"R", "AL", "AN"}
_STRONG = {"L", "R", "AL"}
_ZERO_WIDTH_JOINER = "\u200d"
_JOINERS = {"\u200c", _ZERO_WIDTH_JOINER}
_DROPPED_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_MARKS = {"Mn", "Me"}
# Hindi puts up to three marks on a letter.
_MAX_MARKS = 3
# Ligatures of a whole sentence, up to eleven times as wide as high.
_OVERWIDE = {"\ufdfa", "\ufdfb", "\ufdfd"}

SAFETY_FACTOR = 1.03
_STRETCH_FROM = 0.9
_ELLIPSIS = "…"
# Letters and a symbol without ink, some in names that shall look empty: they count as spaces.
_BLANKS = dict.fromkeys(map(ord, "\u115f\u1160\u2800\u3164\uffa0"), " ")

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


class Fitted(msgspec.Struct, frozen=True, gc=False):
    """A text at a font size that fits; `length` is its `textLength` attribute, or empty for none."""

    text: str
    size: float
    width: float
    length: str = ""


def sanitize(text: str, *, max_graphemes: int = _MAX_GRAPHEMES) -> str:
    """
    Return text in NFC, without control and direction characters, of at most `max_graphemes`.

    It has at most three times as many bytes in UTF-8; a run of white space becomes one space. It
    can be empty.
    """
    # Nearly all names are plain ASCII: the shortcuts save the work per character.
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()[:max_graphemes].rstrip()
    spaced = " ".join(text[:_MAX_INPUT_CHARACTERS].translate(_BLANKS).split())
    if spaced.isascii() and spaced.isprintable():
        return spaced[:max_graphemes].rstrip()
    allowed = _limit_marks(unicodedata.normalize("NFC", "".join(filter(_is_allowed, spaced))))
    # Dropping characters can leave two spaces in a row.
    return _limit_length(" ".join(allowed.split()), max_graphemes).rstrip()


@lru_cache(8192)
def _is_allowed(character: str) -> bool:
    # Joiners shape Persian and Indic text and emoji; tags spell the flags of regions.
    if character in _JOINERS or "\U000e0020" <= character <= "\U000e007f":
        return True
    return not (
        unicodedata.category(character) in _DROPPED_CATEGORIES
        or ord(character) & 0xFFFE == 0xFFFE
        or "\ufdd0" <= character <= "\ufdef"
        or character in _OVERWIDE
    )


def _limit_marks(text: str) -> str:
    """Drop stacked marks beyond what any script uses: they would overlap other lines."""
    characters, mark_count = [], 0
    for character in text:
        mark_count = mark_count + 1 if unicodedata.category(character) in _MARKS else 0
        # Hebrew and Arabic points have fixed places around a letter: they do not stack.
        if mark_count <= _MAX_MARKS or 10 <= unicodedata.combining(character) <= 35:
            characters.append(character)
    return "".join(characters)


def _limit_length(text: str, max_graphemes: int) -> str:
    bytes_left = max_graphemes * _MAX_BYTES_PER_GRAPHEME
    if len(text) <= max_graphemes and len(text.encode()) <= bytes_left:
        return text
    clusters: list[str] = []
    for cluster in graphemes(text)[:max_graphemes]:
        bytes_left -= len(cluster.encode())
        if bytes_left < 0:
            break
        clusters.append(cluster)
    return "".join(clusters)


def graphemes(text: str) -> list[str]:
    """
    Split text into graphemes, that is user-perceived characters.

    Extended grapheme clusters of https://www.unicode.org/reports/tr29/, without the rules for
    prepended marks and Indic conjuncts, which matter to editors but not for truncation.
    """
    return list(text) if text.isascii() else list(_clusters(text))


def _clusters(text: str) -> Iterator[str]:
    start = 0
    for end in range(1, len(text)):
        if not _continues(text, start, end):
            yield text[start:end]
            start = end
    yield text[start:]


def _continues(text: str, start: int, index: int) -> bool:
    """Return True if the character at `index` belongs to the cluster that begins at `start`."""
    character, previous = text[index], text[index - 1]
    if character.isascii():
        return False
    return (
        _extends(character)
        or previous == _ZERO_WIDTH_JOINER
        or (_is_regional(character) and _is_regional(previous) and index - start == 1)
        or (_is_hangul_tail(character) and "\u1100" <= previous <= "\ud7ff")
    )


@lru_cache(8192)
def _extends(character: str) -> bool:
    return (
        unicodedata.category(character) in {"Mn", "Me", "Mc"}
        or character in _JOINERS
        or character in "\u0e33\u0eb3"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
    )


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _is_hangul_tail(character: str) -> bool:
    return "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff"


def initial(name: str) -> str:
    """Return the initial of a name: its first letter or digit in upper case, else its first grapheme."""
    clusters = name if name.isascii() else graphemes(name)
    first = clusters[0] if clusters else ""
    for cluster in clusters:
        if cluster[0].isalnum():
            first = cluster
            break
    upper = first.upper()
    return upper if len(upper) == len(first) else first  # not SS for ß


@lru_cache(1024)
def fit_initial(letter: str, sizes: tuple[float, ...], room: float) -> Fitted:
    """Fit the initial of a name into a width, in bold."""
    return fit(letter, sizes, room, bold=True)


def isolate(text: str) -> str:
    """
    Put right-to-left text into a directional isolate, so that it does not reorder the text around it.

    https://www.unicode.org/reports/tr9/#Explicit_Directional_Isolates
    """
    if text.isascii() or _RIGHT_TO_LEFT.isdisjoint(map(unicodedata.bidirectional, text)):
        return text
    return f"{FIRST_STRONG_ISOLATE}{text}{POP_ISOLATE}"


def starts_right_to_left(text: str) -> bool:
    """
    Return True if the first character with a strong direction is right-to-left.

    https://www.unicode.org/reports/tr9/#P2
    """
    if text.isascii():
        return False
    directions = map(unicodedata.bidirectional, text)
    return next((direction for direction in directions if direction in _STRONG), "L") != "L"


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
        return sum(text.encode().translate(ASCII_BOLD if bold else ASCII_REGULAR))
    hundredths = sum(map((BOLD_ADVANCES if bold else REGULAR_ADVANCES).__getitem__, text))
    if joined := JOINED_LETTER.findall(text):
        hundredths -= sum(map((BOLD_SAVINGS if bold else REGULAR_SAVINGS).__getitem__, joined))
    return hundredths


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
    return f"{text_width:.4g}" if any(advance(character).is_guess for character in text) else ""
