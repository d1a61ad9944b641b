"""
Foreign text made fit for a picture: names, languages, whatever stands in an address.

Drops what XML refuses, what is invisible and what turns the reading direction; splits into what
people see as characters. Measures nothing and escapes nothing: the templates do the escaping.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

MAX_GRAPHEMES = 64
# One grapheme can hold any number of marks; this bounds the size of a picture.
MAX_BYTES = 192
# What is looked at before anything is dropped.
_MAX_CHARACTERS = 1024

_RIGHT_TO_LEFT = {"R", "AL", "AN"}
_FIRST_STRONG_ISOLATE = "\u2068"
_POP_ISOLATE = "\u2069"
_ZERO_WIDTH_JOINER = "\u200d"
_JOINERS = {"\u200c", _ZERO_WIDTH_JOINER}
_DROPPED_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_MARKS = {"Mn", "Me"}
# Hindi writes three on one letter.
_MAX_MARKS = 3
# A whole sentence in one character, up to eleven times as wide as high.
_OVERWIDE = {"\ufdfa", "\ufdfb", "\ufdfd"}


def clean(text: str) -> str:
    """
    Bring text into NFC without control and bidi characters, at most 64 graphemes and 192 bytes.

    White space of any kind becomes one space. The result may be empty.
    """
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()[:MAX_GRAPHEMES].rstrip()
    spaced = " ".join(text[:_MAX_CHARACTERS].split())
    if spaced.isascii() and spaced.isprintable():
        return spaced[:MAX_GRAPHEMES].rstrip()
    kept = _unstacked(unicodedata.normalize("NFC", "".join(filter(_is_kept, spaced))))
    return _shortened(" ".join(kept.split())).rstrip()


def graphemes(text: str) -> list[str]:
    """
    Split text into what people see as characters.

    The extended grapheme clusters of https://www.unicode.org/reports/tr29/, without the rules for
    prepended marks and Indic conjuncts, which matter to editors rather than to a cut.
    """
    return list(text) if text.isascii() else list(_clusters(text))


def initial(name: str) -> str:
    """Pick the character that stands for a name: its first letter or digit, in upper case."""
    clusters = name if name.isascii() else graphemes(name)
    chosen = clusters[0] if clusters else ""
    for cluster in clusters:
        if cluster[0].isalnum():
            chosen = cluster
            break
    upper = chosen.upper()
    return upper if len(upper) == len(chosen) else chosen


def isolate(text: str) -> str:
    """
    Keep a text that runs from right to left from turning its neighbours.

    https://www.unicode.org/reports/tr9/#Explicit_Directional_Isolates
    """
    if text.isascii() or _RIGHT_TO_LEFT.isdisjoint(map(unicodedata.bidirectional, text)):
        return text
    return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}"


def is_right_to_left(text: str) -> bool:
    """
    Tell whether the first letter that has a direction is one that runs from right to left.

    https://www.unicode.org/reports/tr9/#P2
    """
    if text.isascii():
        return False
    directions = map(unicodedata.bidirectional, text)
    return next((one for one in directions if one in {"L", "R", "AL"}), "L") != "L"


def _unstacked(text: str) -> str:
    """Drop marks that pile up beyond what any script writes: they would leave their line."""
    kept, pile = [], 0
    for character in text:
        pile = pile + 1 if unicodedata.category(character) in _MARKS else 0
        # Points of Hebrew and Arabic have places of their own around a letter.
        if pile <= _MAX_MARKS or 10 <= unicodedata.combining(character) <= 35:
            kept.append(character)
    return "".join(kept)


@lru_cache(8192)
def _is_kept(character: str) -> bool:
    if character in _JOINERS or "\U000e0020" <= character <= "\U000e007f":
        return True
    return not (
        unicodedata.category(character) in _DROPPED_CATEGORIES
        or ord(character) & 0xFFFE == 0xFFFE
        or "\ufdd0" <= character <= "\ufdef"
        or character in _OVERWIDE
    )


def _shortened(text: str) -> str:
    kept: list[str] = []
    left = MAX_BYTES
    for cluster in graphemes(text)[:MAX_GRAPHEMES]:
        left -= len(cluster.encode())
        if left < 0:
            break
        kept.append(cluster)
    return "".join(kept)


def _clusters(text: str) -> Iterator[str]:
    start = 0
    for end in range(1, len(text)):
        if not _continues(text, start, end):
            yield text[start:end]
            start = end
    yield text[start:]


def _continues(text: str, start: int, index: int) -> bool:
    """Tell whether a character belongs to the cluster that began at `start`."""
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
