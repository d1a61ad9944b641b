"""
Sanitize foreign text for a picture: names, languages, option values.

Removes characters that XML forbids, invisible ones, and direction controls; bounds the length; and
splits text into graphemes. Escaping is left to the templates.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

MAX_GRAPHEMES = 64
# A grapheme can have any number of marks, so a limit in bytes is needed to bound a picture's size.
_MAX_BYTES_PER_GRAPHEME = 3
MAX_BYTES = MAX_GRAPHEMES * _MAX_BYTES_PER_GRAPHEME
# Bounds the work on hostile input; applied before anything is dropped.
_MAX_INPUT_CHARACTERS = 1024

_RIGHT_TO_LEFT = {"R", "AL", "AN"}
_STRONG = {"L", "R", "AL"}
_FIRST_STRONG_ISOLATE = "\u2068"
_POP_ISOLATE = "\u2069"
_ZERO_WIDTH_JOINER = "\u200d"
_JOINERS = {"\u200c", _ZERO_WIDTH_JOINER}
_DROPPED_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_MARKS = {"Mn", "Me"}
# Hindi puts up to three marks on a letter.
_MAX_MARKS = 3
# Ligatures of a whole sentence, up to eleven times as wide as high.
_OVERWIDE = {"\ufdfa", "\ufdfb", "\ufdfd"}


def sanitize(text: str, *, max_graphemes: int = MAX_GRAPHEMES) -> str:
    """
    Return text in NFC, without control and direction characters, of at most `max_graphemes`.

    It has at most three times as many bytes in UTF-8; a run of white space becomes one space. It
    can be empty.
    """
    # Nearly all names are plain ASCII: the shortcuts save the work per character.
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()[:max_graphemes].rstrip()
    spaced = " ".join(text[:_MAX_INPUT_CHARACTERS].split())
    if spaced.isascii() and spaced.isprintable():
        return spaced[:max_graphemes].rstrip()
    allowed = _limit_marks(unicodedata.normalize("NFC", "".join(filter(_is_allowed, spaced))))
    # Dropping characters can leave two spaces in a row.
    return _truncate(" ".join(allowed.split()), max_graphemes).rstrip()


def graphemes(text: str) -> list[str]:
    """
    Split text into graphemes, that is user-perceived characters.

    Extended grapheme clusters of https://www.unicode.org/reports/tr29/, without the rules for
    prepended marks and Indic conjuncts, which matter to editors but not for truncation.
    """
    return list(text) if text.isascii() else list(_clusters(text))


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


def isolate(text: str) -> str:
    """
    Put right-to-left text into a directional isolate, so that it does not reorder the text around it.

    https://www.unicode.org/reports/tr9/#Explicit_Directional_Isolates
    """
    if text.isascii() or _RIGHT_TO_LEFT.isdisjoint(map(unicodedata.bidirectional, text)):
        return text
    return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}"


def starts_right_to_left(text: str) -> bool:
    """
    Return True if the first character with a strong direction is right-to-left.

    https://www.unicode.org/reports/tr9/#P2
    """
    if text.isascii():
        return False
    directions = map(unicodedata.bidirectional, text)
    return next((direction for direction in directions if direction in _STRONG), "L") != "L"


def _limit_marks(text: str) -> str:
    """Drop stacked marks beyond what any script uses: they would overlap other lines."""
    characters, mark_count = [], 0
    for character in text:
        mark_count = mark_count + 1 if unicodedata.category(character) in _MARKS else 0
        # Hebrew and Arabic points have fixed places around a letter: they do not stack.
        if mark_count <= _MAX_MARKS or 10 <= unicodedata.combining(character) <= 35:
            characters.append(character)
    return "".join(characters)


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


def _truncate(text: str, max_graphemes: int) -> str:
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
